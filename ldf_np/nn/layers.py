"""Modules: ordered, named parameters and buffers, and the layers built of them.

A module's parameters and buffers are its attributes, in the order in which they were set.
``flat()`` lays all parameters of a network in one array of which each parameter is a named view, so
that an optimiser, a moving average or a gradient reduction is one operation on one array.
"""


import numpy as np

from ..autodiff import conv, norm, ops
from ..autodiff.engine import Tensor
from ..kernels.conv import pair
from ..runtime.checks import (
    check_size,
    function,
    is_whole,
    number,
    one_of_type,
    positive,
    whole,
)
from ..runtime.device import xp
from ..runtime.distributed import rows, world
from ..runtime.random import Generator
from .init import he
from .module import Buffer, Module, Parameter, seen

# Initialisers: (rng, shape, fan_in, fan_out) -> array. The fans count connections per output and
# per input.


class Sequential(Module):
    """Modules applied one after another. Indexing gives a module, a slice gives a Sequential of the
    same modules."""

    def __init__(self, *layers):
        self.layers = [one_of_type(f"Sequential: layer {k}", layer, Module) for k,
                       layer in enumerate(layers)]

    def forward(self, x):
        done = None         # an activation that the layer before it has done in its own pass
        for layer, after in zip(self.layers, [*self.layers[1:], None]):
            if layer is done:
                seen(layer, x)
            elif isinstance(layer, Activated) and isinstance(after, LeakyReLU):
                x, done = layer(x, after.slope), after
            else:
                x = layer(x)
        return x

    def __getitem__(self, index):
        return Sequential(*self.layers[index]) if isinstance(index, slice) else self.layers[index]

    def __len__(self):
        return len(self.layers)


class Activated(Module):
    """A layer that can do the leaky ReLU after it in its own pass over memory: forward(x,
    slope)."""


def _zeros(n):
    return Parameter(xp().zeros(n, np.float32))


def _drawn(layer, init, rng, shape, fan_in, fan_out):
    """A weight of this shape as a Parameter, its sizes and the generator checked."""
    kind = type(layer).__name__
    for size in shape:
        whole(f"{kind}: sizes {shape}", size)
    check_size(kind, shape)
    return Parameter(function(f"{kind}: init", init)(one_of_type(f"{kind}: rng", rng, Generator),
                                                     shape, fan_in, fan_out))


class Linear(Activated):
    """x @ weight + bias: (n, n_in) -> (n, n_out), weight (n_in, n_out)."""

    def __init__(self, n_in, n_out, bias=True, init=he(), *, rng):
        self.weight = _drawn(self, init, rng, (n_in, n_out), n_in, n_out)
        self.bias = _zeros(n_out) if bias else None

    def forward(self, x, slope=1.0):
        return ops.linear(x, self.weight, self.bias, slope)


class Conv2d(Activated):
    """Cross-correlation (n, h, w, c_in) -> (n, i, j, c_out), weight (kh, kw, c_in, c_out)."""

    def __init__(self, c_in, c_out, kernel_size, stride=1, padding=0, bias=True, init=he(), *, rng):
        whole("Conv2d: c_in", c_in), whole("Conv2d: c_out", c_out)
        kh, kw = pair(kernel_size, "Conv2d: kernel_size", 1)
        self.stride, self.padding = pair(
            stride, "Conv2d: stride", 1), pair(padding, "Conv2d: padding", 0)
        self.weight = _drawn(self, init, rng, (kh, kw, c_in, c_out), kh * kw * c_in,
                             kh * kw * c_out)
        self.bias = _zeros(c_out) if bias else None

    def forward(self, x, slope=1.0):
        return conv.conv2d(x, self.weight, self.stride, self.padding, self.bias, slope)


class ConvTranspose2d(Activated):
    """The adjoint of a convolution: (n, i, j, c_in) -> (n, h, w, c_out).

    The weight has the shape (kh, kw, c_out, c_in) of the convolution whose adjoint this is.
    ``output_size`` (h, w) chooses among the sizes that the stride leaves open; by default the
    smallest.
    """

    def __init__(self, c_in, c_out, kernel_size, stride=1, padding=0, output_size=None, bias=True,
                 init=he(), *, rng):
        whole("ConvTranspose2d: c_in", c_in), whole("ConvTranspose2d: c_out", c_out)
        kh, kw = pair(kernel_size, "ConvTranspose2d: kernel_size", 1)
        self.stride = sh, sw = pair(stride, "ConvTranspose2d: stride", 1)
        self.padding = pair(padding, "ConvTranspose2d: padding", 0)
        self.output_size = None if output_size is None else pair(
            output_size, "ConvTranspose2d: output_size", 1)
        # Each output pixel is reached by kh * kw / stride^2 of the kernel's taps.
        fan_in = max(1, kh * kw * c_in // (sh * sw))
        self.weight = _drawn(self, init, rng, (kh, kw, c_out, c_in), fan_in, kh * kw * c_out)
        self.bias = _zeros(c_out) if bias else None

    def forward(self, x, slope=1.0):
        return conv.conv_transpose2d(x, self.weight, self.stride, self.padding, self.output_size,
                                     self.bias, slope)


class BatchNorm(Activated):
    """Batch normalisation over all axes but the last, (..., c) -> (..., c) (Ioffe and Szegedy
    2015).

    In training the batch's own statistics are used (where several ranks train, those of all their
    rows) and the running ones move by ``momentum`` towards them (the variance unbiased, as
    elsewhere); in evaluation the running ones are used. ``affine=False`` leaves out the learned
    scale and shift. It couples the samples of a batch: keep it out of discriminators under a
    penalty.
    """

    def __init__(self, channels, affine=True, momentum=0.1, eps=1e-5):
        whole("BatchNorm: channels", channels)
        number("BatchNorm: momentum", momentum, 0, 1)
        positive("BatchNorm: eps", eps)
        self.weight = Parameter(xp().ones(channels, np.float32)) if affine else None
        self.bias = _zeros(channels) if affine else None
        self.running_mean = Buffer(xp().zeros(channels, np.float32))
        self.running_var = Buffer(xp().ones(channels, np.float32))
        self.momentum, self.eps = momentum, eps

    def forward(self, x, slope=1.0):
        channels = self.running_mean.data.size
        if one_of_type("BatchNorm: x", x, Tensor).shape[-1:] != (channels,):
            raise ValueError(f"BatchNorm: expected {channels} channels, got input {x.shape}")
        if not self.training:
            scale = (self.running_var.data + self.eps) ** -0.5
            shift = -self.running_mean.data * scale
            if self.weight is not None:
                scale, shift = self.weight * scale, self.weight * shift + self.bias
            return ops.scale_shift(x, scale, shift, slope)
        count = x.size // channels * world().size
        if count < 2:
            raise ValueError(
                f"BatchNorm: training needs at least 2 values a channel, got input {x.shape}")
        y, mean, var = norm.normalize(x, self.eps)
        self._move(self.running_mean.data, mean)
        self._move(self.running_var.data, var * (count / (count - 1)))
        if self.weight is not None:
            return ops.scale_shift(y, self.weight, self.bias, slope)
        return y if slope == 1 else ops.leaky_relu(y, slope=slope)

    def _move(self, running, value):
        running += self.momentum * (value - running)


class LayerNorm(Module):
    """Each sample's last axis brought to mean 0 and variance 1, then scaled and shifted (Ba et al.
    2016)."""

    def __init__(self, channels, eps=1e-5):
        whole("LayerNorm: channels", channels)
        positive("LayerNorm: eps", eps)
        self.weight = Parameter(xp().ones(channels, np.float32))
        self.bias = _zeros(channels)
        self.eps = eps

    def forward(self, x):
        if one_of_type("LayerNorm: x", x, Tensor).shape[-1:] != self.weight.shape:
            raise ValueError(
                f"LayerNorm: expected {self.weight.size} channels, got input {x.shape}")
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        var = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        return centred * (var + self.eps) ** -0.5 * self.weight + self.bias


class LeakyReLU(Module):
    """x where x > 0, slope * x elsewhere."""

    def __init__(self, slope=0.01):
        self.slope = number("LeakyReLU: slope", slope, 0, 1)

    def forward(self, x):
        return ops.leaky_relu(x, slope=self.slope)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, x):
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + e^-x)."""

    def forward(self, x):
        return ops.sigmoid(x)


class Maxout(Module):
    """The largest of each group of ``pieces`` neighbouring channels: (..., pieces * c) -> (...,
    c)."""

    def __init__(self, pieces=2):
        self.pieces = whole("Maxout: pieces", pieces)

    def forward(self, x):
        return ops.maxout(x, self.pieces)


class Dropout(Module):
    """In training each element is zeroed with probability p and the rest scaled by 1 / (1 - p)."""

    def __init__(self, p=0.5, *, rng):
        if not 0 <= number("Dropout: p", p) < 1:
            raise ValueError(f"Dropout: p: expected a probability in [0, 1), got {p}")
        self.p, self.rng = p, one_of_type("Dropout: rng", rng, Generator)

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        one_of_type("Dropout: x", x, Tensor)
        return x * ((rows(self.rng.random, x.shape) >= self.p)
                    / np.float32(1 - self.p)).astype(x.dtype)


def generators(*modules):
    """The Generators that modules draw from when they are called: those of their Dropouts, each
    once."""
    found = {id(m.rng): m.rng for module in modules for _,
             m in module.named_modules() if isinstance(m, Dropout)}
    return list(found.values())


class Flatten(Module):
    """(n, ...) -> (n, product of the rest)."""

    def forward(self, x):
        if not one_of_type("Flatten: x", x, Tensor).size or not x.shape:
            raise ValueError(
                f"Flatten: expected (n, ...) without an empty axis, got shape {x.shape}")
        return ops.reshape(x, (x.shape[0], -1))


class Reshape(Module):
    """(n, ...) -> (n, *shape)."""

    def __init__(self, *shape):
        self.shape = tuple(whole("Reshape: shape", n, -1 if is_whole(n) and n == -1 else 1)
                           for n in shape)

    def forward(self, x):
        if not one_of_type("Reshape: x", x, Tensor).shape:
            raise ValueError(f"Reshape: expected (n, ...), got shape {x.shape}")
        return ops.reshape(x, (x.shape[0], *self.shape))
