"""The layers: modules with parameters and buffers, built on the operations of ``autodiff``."""

from contextlib import contextmanager

import numpy as np

from ..autodiff import conv, norm, ops
from ..autodiff.engine import no_grad, wide
from ..kernels.conv import pair
from ..kernels.size import check_size
from ..runtime.checks import expect
from ..runtime.device import xp
from ..runtime.distributed import rows, world
from ..runtime.relations import channels_fit, has_rows
from ..runtime.rules import MODULE, TENSOR, checked, lengths
from .init import he
from .module import Buffer, Module, Parameter, evaluation, restored, seen

__all__ = ["BatchNorm", "Conv2d", "ConvTranspose2d", "Dropout", "Flatten", "LayerNorm", "LeakyReLU",
           "Linear", "Maxout", "ReLU", "Reshape", "Sequential", "Sigmoid", "Softmax", "Tanh",
           "exchanged", "generators", "statistics_of", "update_bn"]


class Sequential(Module):
    """Modules applied one after another. An index gives a module, a slice gives a Sequential of the
    same modules."""

    @checked()
    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        pairs = iter(zip(self.layers, [*self.layers[1:], None]))
        for layer, after in pairs:
            if _as_it_is(layer, Activated) and _as_it_is(after, LeakyReLU):
                x = layer(x, after.slope)
                seen(after, x)
                next(pairs)         # done already, in the pass of the layer before
            else:
                x = layer(x)
        return x

    def __getitem__(self, index):
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __len__(self):
        return len(self.layers)


def _as_it_is(layer, kind):
    """Whether it is a layer of this kind and does what those here do: a subclass may do more."""
    return isinstance(layer, kind) and type(layer).forward.__module__ == __name__


class Activated(Module):
    """A layer that can do the leaky ReLU after it in its own pass over memory: forward(x,
    slope)."""


def _constant(value, n):
    return Parameter(xp().full(n, value, np.float32))


def drawn(layer, init, rng, shape, fan_in, fan_out):
    """A weight of this shape, if that fits into memory."""
    check_size(type(layer).__name__, [int(size) for size in shape])
    return Parameter(init(rng, shape, fan_in, fan_out))


class Linear(Activated):
    """x @ weight + bias: (n, n_in) -> (n, n_out), weight (n_in, n_out)."""

    @checked()
    def __init__(self, n_in, n_out, bias=True, init=he(), *, rng):
        self.weight = drawn(self, init, rng, (n_in, n_out), n_in, n_out)
        self.bias = _constant(0, n_out) if bias else None

    def forward(self, x, slope=1.0):
        return ops.linear(x, self.weight, self.bias, slope)


class Conv2d(Activated):
    """Cross-correlation (n, h, w, c_in) -> (n, i, j, c_out), weight (kh, kw, c_in, c_out)."""

    @checked()
    def __init__(self, c_in, c_out, kernel_size, stride=1, padding=0, bias=True, init=he(), *, rng):
        kh, kw = pair(kernel_size, "Conv2d: kernel_size", 1)
        self.stride = pair(stride, "Conv2d: stride", 1)
        self.padding = pair(padding, "Conv2d: padding", 0)
        self.weight = drawn(self, init, rng, (kh, kw, c_in, c_out), kh * kw * c_in,
                             kh * kw * c_out)
        self.bias = _constant(0, c_out) if bias else None

    def forward(self, x, slope=1.0):
        return conv.conv2d(x, self.weight, self.stride, self.padding, self.bias, slope)


class ConvTranspose2d(Activated):
    """The adjoint of a convolution: (n, i, j, c_in) -> (n, h, w, c_out).

    The weight has the shape (kh, kw, c_out, c_in) of the convolution whose adjoint this is.
    ``output_size`` (h, w) chooses among the sizes that the stride leaves open; by default the
    smallest.
    """

    @checked()
    def __init__(self, c_in, c_out, kernel_size, stride=1, padding=0, output_size=None, bias=True,
                 init=he(), *, rng):
        kh, kw = pair(kernel_size, "ConvTranspose2d: kernel_size", 1)
        self.stride = sh, sw = pair(stride, "ConvTranspose2d: stride", 1)
        self.padding = pair(padding, "ConvTranspose2d: padding", 0)
        self.output_size = None if output_size is None else pair(
            output_size, "ConvTranspose2d: output_size", 1)
        # Each output pixel is reached by kh * kw / stride^2 of the kernel's taps.
        fan_in = max(1, kh * kw * c_in // (sh * sw))
        self.weight = drawn(self, init, rng, (kh, kw, c_out, c_in), fan_in, kh * kw * c_out)
        self.bias = _constant(0, c_out) if bias else None

    def forward(self, x, slope=1.0):
        return conv.conv_transpose2d(x, self.weight, self.stride, self.padding, self.output_size,
                                     self.bias, slope)


class BatchNorm(Activated):
    """Batch normalisation over all axes but the last, (..., c) -> (..., c) (Ioffe and Szegedy
    2015).

    In training the batch's own statistics are used (where several ranks train, those of all their
    rows), and the running ones move by ``momentum`` towards them (the variance unbiased, as in
    PyTorch). In evaluation the running ones are used. ``affine=False`` leaves out the learned scale
    and shift. A batch normalisation couples the samples of a batch: keep it out of discriminators
    under a penalty.
    """

    @checked()
    def __init__(self, channels, affine=True, momentum=0.1, eps=1e-5):
        self.weight = _constant(1, channels) if affine else None
        self.bias = _constant(0, channels) if affine else None
        self.running_mean = Buffer(xp().zeros(channels, np.float32))
        self.running_var = Buffer(xp().ones(channels, np.float32))
        self.momentum, self.eps = float(momentum), float(eps)   # NumPy's numbers promote

    channels = property(lambda self: self.running_mean.data.size)

    @checked(channels_fit)
    def forward(self, x, slope=1.0):
        if not self.training:
            scale = (self.running_var.data + self.eps) ** -0.5
            shift = -self.running_mean.data * scale
            if self.weight is not None:
                scale, shift = self.weight * scale, self.weight * shift + self.bias
            return ops.scale_shift(x, scale, shift, slope)
        count = x.size // self.channels * world().size
        expect(count > 1, "BatchNorm: x", "at least 2 values a channel in training", x)
        if self.weight is None:
            y, mean, var = norm.normalize(x, self.eps)
            y = y if slope == 1 else ops.leaky_relu(y, slope=slope)
        else:
            y, mean, var = norm.batch_norm(x, self.weight, self.bias, self.eps, slope)
        self._move(self.running_mean.data, mean)
        self._move(self.running_var.data, var * (count / (count - 1)))
        return y

    def _move(self, running, value):
        running += self.momentum * (value - running)


@checked(network=MODULE)
def update_bn(batches, network):
    """Give a network's batch normalisations the running statistics of its weights as they are: the
    means over ``batches`` (an iterable of Tensors, its inputs). For weights that are themselves
    means, whose activations vary less than those they are means of (Izmailov et al. 2018; PyTorch's
    ``swa_utils.update_bn``)."""
    norms = [m for _, m in network.named_modules() if isinstance(m, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        with evaluation(network), no_grad():
            for k, batch in enumerate(batches if norms else ()):
                for norm in norms:
                    norm.training, norm.momentum = True, 1 / (k + 1)
                    for running in (norm.running_mean, norm.running_var) if k == 0 else ():
                        running.data[...] = 0       # nothing is left of those before, no last bit
                network(batch)
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum


@contextmanager
def statistics_of(batches, network):
    """A context in which a network has the batch statistics of these inputs (``update_bn``)."""
    with restored([buffer.data for _, buffer in network.named_buffers()]):
        update_bn(batches, network)
        yield


@contextmanager
def exchanged(network, others):
    """A context in which a network has, and moves, ``others`` in place of its own batch statistics:
    a list of a Buffer for each of its own, in order, or none where it keeps them."""
    modules = [module for _, module in network.named_modules()] if others else []
    places = [(vars(module), name) for module in modules for name, value in vars(module).items()
              if isinstance(value, Buffer)]

    def exchange():
        for k, (held, name) in enumerate(places):
            held[name], others[k] = others[k], held[name]

    expect(len(others) == len(places), "exchanged: others", f"{len(places)} Buffers", len(others))
    exchange()
    try:
        yield
    finally:
        exchange()


class LayerNorm(Module):
    """Each sample's last axis brought to mean 0 and variance 1, then scaled and shifted (Ba et al.
    2016)."""

    @checked()
    def __init__(self, channels, eps=1e-5):
        self.weight, self.bias = _constant(1, channels), _constant(0, channels)
        self.eps = float(eps)

    channels = property(lambda self: self.weight.size)

    @checked(channels_fit)
    def forward(self, x):
        x = wide(x)
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        var = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        return centred * (var + self.eps) ** -0.5 * self.weight + self.bias


class LeakyReLU(Module):
    """x where x > 0, slope * x elsewhere."""

    @checked()
    def __init__(self, slope=0.01):
        self.slope = float(slope)

    def forward(self, x):
        return ops.leaky_relu(x, slope=self.slope)


class ReLU(LeakyReLU):
    """max(x, 0)."""

    def __init__(self):
        super().__init__(0.0)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x):
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + e^-x)."""

    def forward(self, x):
        return ops.sigmoid(x)


class Softmax(Module):
    """Probabilities exp(x_k) / sum_j exp(x_j) over the last axis."""

    def forward(self, x):
        return ops.softmax(x)


class Maxout(Module):
    """The largest of each group of ``pieces`` neighbouring channels: (..., pieces * c) -> (...,
    c)."""

    @checked()
    def __init__(self, pieces=2):
        self.pieces = pieces

    def forward(self, x):
        return ops.maxout(x, self.pieces)


class Dropout(Module):
    """In training each element is zeroed with probability p and the rest scaled by 1 / (1 - p)."""

    @checked()
    def __init__(self, p=0.5, *, rng):
        self.p, self.rng = p, rng

    @checked(x=TENSOR)
    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        kept = rows(self.rng.random, x.shape) >= self.p
        return x * (kept / np.float32(1 - self.p)).astype(x.dtype)


def generators(*modules):
    """The Generators that modules hold, and may draw from when they are called, each once."""
    return list(dict.fromkeys(
        rng for module in modules for _, rng in module.named_generators()))


class Reshape(Module):
    """(n, ...) -> (n, *shape)."""

    @checked(shape=lengths)
    def __init__(self, *shape):
        self.shape = tuple(map(int, shape))

    @checked(has_rows)
    def forward(self, x):
        return ops.reshape(x, (x.shape[0], *self.shape))


class Flatten(Reshape):
    """(n, ...) -> (n, product of the rest)."""

    def __init__(self):
        super().__init__(-1)
