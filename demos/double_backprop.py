"""A gradient of a gradient, and Roth's penalty of a discriminator by two nested gradients.

    python demos/double_backprop.py
"""

import numpy as np

import ldf_np as ldf

ldf.use("cpu")

# 1. f(x) = sum x^3 has the gradient 3 x^2; the sum of its squares, 9 x^4, has the gradient 36 x^3.
x = ldf.Tensor(np.array([1.0, 2.0, 3.0]))
first, = ldf.grad((x ** 3).sum(), [x], create_graph=True)       # a Tensor with a graph of its own
second, = ldf.grad((first ** 2).sum(), [x])
print("gradient of x^3:               ", first.data)
print("gradient of |that gradient|^2: ", second.data, "= 36 x^3:", 36 * x.data ** 3)

# 2. Roth et al. 2017: the mean of (1 - sigmoid(logit))^2 |d logit / d x|^2 over real samples x. It
# holds a gradient, and a discriminator that is trained with it needs the gradient of that.
rng = np.random.default_rng(0)
w, v = ldf.Tensor(rng.standard_normal((3, 4))), ldf.Tensor(rng.standard_normal((4, 1)))
x = ldf.Tensor(rng.standard_normal((8, 3)))
logits = ldf.tanh(x @ w) @ v                                    # a tiny discriminator: (8, 1)

slope, = ldf.grad(logits.sum(), [x], create_graph=True)         # (8, 3): a row for each sample
penalty = ((1 - ldf.sigmoid(logits)) ** 2 * (slope ** 2).sum(axis=1, keepdims=True)).mean()
library = ldf.roth_penalty(logits, [x], real=True)
print("penalty by hand:", penalty.item(), " ldf.roth_penalty:", library.item())

by_hand, by_library = ldf.grad(penalty, [w])[0], ldf.grad(library, [w])[0]
print("their gradients by w differ by at most", abs(by_hand - by_library).max().item())
