"""Modules: ordered, named parameters and buffers, and the layers built of them.

A module's parameters and buffers are its attributes, in the order in which they were set. ``flat()`` lays all
parameters of a network in one array of which each parameter is a named view, so that an optimiser, a moving
average or a gradient reduction is one operation on one array.
"""

import math
import os
import threading
from contextlib import contextmanager

import numpy as np

from . import conv, norm, ops
from .backend import array_module, to_numpy, xp
from .engine import Tensor, no_grad
from .expect import check_size, finite, function, is_whole, number, numbers, one_of_type, positive, whole
from .files import load_tensors, save_tensors
from .kernels.conv import pair
from .parallel import rows, world
from .random import Generator

_watch = threading.local()      # _watch.look: what is told of each output and gradient on this thread, or None


class Parameter(Tensor):
    """A Tensor that training changes, in place."""

    __slots__ = ()


class Buffer:
    """An array that belongs to a module's state but is not trained (running statistics)."""

    __slots__ = ("data",)

    def __init__(self, data):
        self.data = data


# Initialisers: (rng, shape, fan_in, fan_out) -> array. The fans count connections per output and per input.

def normal(std=0.01):
    """N(0, std^2), as in ALI's authors' code."""
    number("std", std, 0)
    return lambda rng, shape, fan_in, fan_out: rng.standard_normal(shape) * np.float32(std)


def he(slope=0.0):
    """N(0, 2 / ((1 + slope^2) fan_in)), which keeps the variance through (leaky) ReLU (He et al. 2015)."""
    number("slope", slope)
    return lambda rng, shape, fan_in, fan_out: rng.standard_normal(shape) * np.float32(
        math.sqrt(2 / ((1 + slope ** 2) * fan_in)))


def glorot():
    """N(0, 2 / (fan_in + fan_out)), a compromise between both directions (Glorot and Bengio 2010)."""
    return lambda rng, shape, fan_in, fan_out: rng.standard_normal(shape) * np.float32(
        math.sqrt(2 / (fan_in + fan_out)))


def log_odds(images, eps=1e-3):
    """The bias at which a sigmoid output starts at the data's mean: log(p / (1 - p)) per channel (ALI's authors).

    ``images``: (n, ..., c) in [0, 1].
    """
    if finite("images", numbers("images", images, least=1)).dtype.kind != "f" or images.min() < 0 or images.max() > 1:
        raise ValueError(f"images: expected floats from 0 to 1, got {images.dtype} from {images.min()} to {images.max()}")
    if not 0 < number("eps", eps) < 0.5:
        raise ValueError(f"eps: expected a number in (0, 0.5), got {eps}")
    p = np.clip(np.asarray(images).mean(axis=tuple(range(np.ndim(images) - 1))), eps, 1 - eps)
    return np.log(p / (1 - p)).astype(np.float32)


class Module:
    """Something with parameters that maps Tensors to a Tensor. Subclasses define ``forward``."""

    training = True

    def forward(self, *inputs):
        raise TypeError(f"{type(self).__name__} defines no forward")

    def __call__(self, *inputs):
        y = self.forward(*inputs)
        seen(self, y)
        return y

    def children(self):
        """(name, module) for every module held as an attribute or in a list or tuple of modules."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value
            elif isinstance(value, (list, tuple)):
                yield from ((f"{name}.{k}", v) for k, v in enumerate(value) if isinstance(v, Module))

    def named_modules(self):
        """(name, module) for this module and all below it, outermost first; one that is held twice comes once."""
        seen, stack = set(), [("", self)]
        while stack:
            prefix, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield prefix, module
            below = [(f"{prefix}.{name}" if prefix else name, child) for name, child in module.children()]
            stack.extend(reversed(below))

    def _named(self, kind):
        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kind):
                    yield f"{prefix}.{name}" if prefix else name, value

    def named_parameters(self):
        """(name, Parameter), in order."""
        return self._named(Parameter)

    def named_buffers(self):
        """(name, Buffer), in order."""
        return self._named(Buffer)

    def parameters(self):
        """The Parameters, in order."""
        return [p for _, p in self.named_parameters()]

    def flat(self):
        """All parameters as one flat array (size,), of which each parameter's data is a view.

        The first call lays them out; changing the array changes the parameters.
        """
        parameters = self.parameters()
        if not parameters:
            raise ValueError(f"{type(self).__name__} has no parameters to lay out")
        base = parameters[0].data.base
        start = _offset(parameters[0].data, base)
        end = start
        for p in parameters:
            if base is None or base.ndim != 1 or p.data.base is not base or _offset(p.data, base) != end:
                break
            end += p.size
        else:
            return base[start:end]
        flat = array_module(parameters[0].data).concatenate([p.data.reshape(-1) for p in parameters])
        end = 0
        for p in parameters:
            p.data, end = flat[end:end + p.size].reshape(p.shape), end + p.size
        return flat

    def train(self, mode=True):
        """Put this module and all below it in training (or evaluation) mode; returns self."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self):
        """Put this module and all below it in evaluation mode; returns self."""
        return self.train(False)

    def state_dict(self):
        """{name: NumPy array}, copies of all parameters and buffers, in order."""
        state = {name: p.data for name, p in self.named_parameters()}
        state.update((name, b.data) for name, b in self.named_buffers())
        return {name: np.array(to_numpy(data)) for name, data in state.items()}

    def load_state_dict(self, state):
        """Take over the arrays of a state_dict. Everything is checked first: on an error nothing has changed.

        Raises KeyError for missing or unexpected names, ValueError for wrong shapes.
        """
        targets = dict(self.named_parameters()) | dict(self.named_buffers())
        one_of_type("state", state, dict)
        missing, unexpected = sorted(targets.keys() - state.keys()), sorted(state.keys() - targets.keys())
        if missing or unexpected:
            raise KeyError(f"state: missing {missing or 'nothing'}, unexpected {unexpected or 'nothing'}")
        arrays = {}
        for name, target in targets.items():
            if np.asarray(state[name]).dtype.kind not in "fiub":
                raise ValueError(f"state: {name}: expected real numbers, got dtype {np.asarray(state[name]).dtype}")
            if np.shape(state[name]) != target.data.shape:
                raise ValueError(f"state: {name}: expected shape {target.data.shape}, got {np.shape(state[name])}")
            arrays[name] = array_module(target.data).asarray(state[name], dtype=target.data.dtype)
        for name, target in targets.items():
            target.data[...] = arrays[name]

    def save(self, path):
        """Write the state_dict as a safetensors file (to a temporary name, then renamed)."""
        save_tensors(path, self.state_dict(), {"model": type(self).__name__})

    def load(self, path):
        """Read the weights that ``save`` wrote; returns self. Raises ValueError naming the file and what is wrong."""
        state, _ = load_tensors(path)
        try:
            self.load_state_dict(state)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)}: not the weights of this {type(self).__name__}: {error}") from error
        return self

    def summary(self, *input_shapes):
        """A table of layers, output shapes and parameter counts.

        ``input_shapes``: the shape of each input without the batch, to have the shapes shown.
        """
        for k, shape in enumerate(input_shapes):
            one_of_type(f"input_shapes[{k}]", shape, tuple)
        names = {id(module): name for name, module in self.named_modules()}
        rows = [(name or type(self).__name__, m, "") for name, m in self.named_modules() if not any(m.children())]
        if input_shapes:
            calls = []
            with watching(lambda m, y: calls.append((m, y.shape))), no_grad(), evaluation(self):
                self(*(Tensor(xp().zeros((1, *shape), np.float32)) for shape in input_shapes))
            rows = [(names[id(m)] or type(self).__name__, m, str(shape[1:])) for m, shape in calls
                    if id(m) in names and not any(m.children())]
        lines = [f"{'layer':<20}{'kind':<18}{'output':<20}{'parameters':>12}"]
        for name, module, shape in rows:
            size = sum(p.size for p in module.parameters())
            lines.append(f"{name:<20}{type(module).__name__:<18}{shape:<20}{size:>12,}")
        lines.append(f"{'total':<58}{sum(p.size for p in self.parameters()):>12,}")
        return "\n".join(lines)


def _offset(array, base):
    """How many elements into ``base`` an array begins."""
    return 0 if base is None else (_address(array) - _address(base)) // array.itemsize


def _address(array):
    return array.ctypes.data if isinstance(array, np.ndarray) else array.data.ptr


@contextmanager
def evaluation(*modules):
    """A context in which the modules are in evaluation mode; each is put back as it was."""
    before = [(m, m.training) for module in modules for _, m in module.named_modules()]
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for module, mode in before:
            module.training = mode


def seen(source, result):
    """Tell whoever watches what a module made, or the gradients that an optimiser is given. True where the watcher wants
    nothing done with them."""
    look = getattr(_watch, "look", None)
    return look is not None and look(source, result)


@contextmanager
def watching(look):
    """A context in which ``look(source, result)`` is told of everything that is ``seen`` on this thread."""
    _watch.look = look
    try:
        yield
    finally:
        _watch.look = None


class Sequential(Module):
    """Modules applied one after another. Indexing gives a module, a slice gives a Sequential of the same modules."""

    def __init__(self, *layers):
        self.layers = [one_of_type(f"Sequential: layer {k}", layer, Module) for k, layer in enumerate(layers)]

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
    """A layer that can do the leaky ReLU after it in its own pass over memory: forward(x, slope)."""


def _zeros(n):
    return Parameter(xp().zeros(n, np.float32))


def _drawn(layer, init, rng, shape, fan_in, fan_out):
    """A weight of this shape as a Parameter, its sizes and the generator checked."""
    kind = type(layer).__name__
    for size in shape:
        whole(f"{kind}: sizes {shape}", size)
    check_size(kind, shape)
    return Parameter(function(f"{kind}: init", init)(one_of_type(f"{kind}: rng", rng, Generator), shape, fan_in, fan_out))


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
        self.stride, self.padding = pair(stride, "Conv2d: stride", 1), pair(padding, "Conv2d: padding", 0)
        self.weight = _drawn(self, init, rng, (kh, kw, c_in, c_out), kh * kw * c_in, kh * kw * c_out)
        self.bias = _zeros(c_out) if bias else None

    def forward(self, x, slope=1.0):
        return conv.conv2d(x, self.weight, self.stride, self.padding, self.bias, slope)


class ConvTranspose2d(Activated):
    """The adjoint of a convolution: (n, i, j, c_in) -> (n, h, w, c_out).

    The weight has the shape (kh, kw, c_out, c_in) of the convolution whose adjoint this is.
    ``output_size`` (h, w) chooses among the sizes that the stride leaves open; by default the smallest.
    """

    def __init__(self, c_in, c_out, kernel_size, stride=1, padding=0, output_size=None, bias=True, init=he(), *, rng):
        whole("ConvTranspose2d: c_in", c_in), whole("ConvTranspose2d: c_out", c_out)
        kh, kw = pair(kernel_size, "ConvTranspose2d: kernel_size", 1)
        self.stride = sh, sw = pair(stride, "ConvTranspose2d: stride", 1)
        self.padding = pair(padding, "ConvTranspose2d: padding", 0)
        self.output_size = None if output_size is None else pair(output_size, "ConvTranspose2d: output_size", 1)
        # Each output pixel is reached by kh * kw / stride^2 of the kernel's taps.
        fan_in = max(1, kh * kw * c_in // (sh * sw))
        self.weight = _drawn(self, init, rng, (kh, kw, c_out, c_in), fan_in, kh * kw * c_out)
        self.bias = _zeros(c_out) if bias else None

    def forward(self, x, slope=1.0):
        return conv.conv_transpose2d(x, self.weight, self.stride, self.padding, self.output_size, self.bias, slope)


class BatchNorm(Activated):
    """Batch normalisation over all axes but the last, (..., c) -> (..., c) (Ioffe and Szegedy 2015).

    In training the batch's own statistics are used (where several ranks train, those of all their rows) and the
    running ones move by ``momentum`` towards them (the variance unbiased, as elsewhere); in evaluation the running ones
    are used. ``affine=False`` leaves out the learned scale and shift. It couples the samples of a batch: keep it out of
    discriminators under a penalty.
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
            raise ValueError(f"BatchNorm: training needs at least 2 values a channel, got input {x.shape}")
        y, mean, var = norm.normalize(x, self.eps)
        self._move(self.running_mean.data, mean)
        self._move(self.running_var.data, var * (count / (count - 1)))
        if self.weight is not None:
            return ops.scale_shift(y, self.weight, self.bias, slope)
        return y if slope == 1 else ops.leaky_relu(y, slope=slope)

    def _move(self, running, value):
        running += self.momentum * (value - running)


class LayerNorm(Module):
    """Each sample's last axis brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016)."""

    def __init__(self, channels, eps=1e-5):
        whole("LayerNorm: channels", channels)
        positive("LayerNorm: eps", eps)
        self.weight = Parameter(xp().ones(channels, np.float32))
        self.bias = _zeros(channels)
        self.eps = eps

    def forward(self, x):
        if one_of_type("LayerNorm: x", x, Tensor).shape[-1:] != self.weight.shape:
            raise ValueError(f"LayerNorm: expected {self.weight.size} channels, got input {x.shape}")
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
    """The largest of each group of ``pieces`` neighbouring channels: (..., pieces * c) -> (..., c)."""

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
        return x * ((rows(self.rng.random, x.shape) >= self.p) / np.float32(1 - self.p)).astype(x.dtype)


def generators(*modules):
    """The Generators that modules draw from when they are called: those of their Dropouts, each once."""
    found = {id(m.rng): m.rng for module in modules for _, m in module.named_modules() if isinstance(m, Dropout)}
    return list(found.values())


class Flatten(Module):
    """(n, ...) -> (n, product of the rest)."""

    def forward(self, x):
        if not one_of_type("Flatten: x", x, Tensor).size or not x.shape:
            raise ValueError(f"Flatten: expected (n, ...) without an empty axis, got shape {x.shape}")
        return ops.reshape(x, (x.shape[0], -1))


class Reshape(Module):
    """(n, ...) -> (n, *shape)."""

    def __init__(self, *shape):
        self.shape = tuple(whole("Reshape: shape", n, -1 if is_whole(n) and n == -1 else 1) for n in shape)

    def forward(self, x):
        if not one_of_type("Reshape: x", x, Tensor).shape:
            raise ValueError(f"Reshape: expected (n, ...), got shape {x.shape}")
        return ops.reshape(x, (x.shape[0], *self.shape))
