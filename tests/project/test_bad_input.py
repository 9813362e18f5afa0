"""Bad input to the public functions: each gets an error that says the argument, what came and what
was expected."""

import tempfile

import numpy as np
import pytest
from helpers import attempt

import ldf_np as ldf
from ldf_np import Tensor as T
from ldf_np import nn
from ldf_np.data import (
    cut_clips,
    gaussians,
    load_cifar10,
    load_games,
    load_pacman,
    motion,
    read_clips,
    to_float,
    to_uint8,
)
from ldf_np.data import (
    moving_shapes as shapes,
)
from ldf_np.experiments import clip_scores, metrics, plots, report, statistics
from ldf_np.gaussian import (
    curves as gaussian_curves,
)
from ldf_np.gaussian import estimators
from ldf_np.gaussian import (
    model as gaussian,
)
from ldf_np.gaussian import (
    networks as linear_ldf,
)
from ldf_np.gaussian import (
    theory as gaussian_theory,
)
from ldf_np.models import baselines, nets
from ldf_np.models import image_nets as patch_nets
from ldf_np.models.ali import Decoder, Discriminator, Encoder
from ldf_np.models.classifier import (
    Classifier,
    cross_entropy,
    small_classifier,
    softmax_cross_entropy,
)
from ldf_np.models.factors import Frames, Groups, Patches
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.vae import VAE, Autoencoder, GaussianTop, normal_kl, normal_nll
from ldf_np.models.whitening import SharedAndLocal, Whitening
from ldf_np.nn import losses, optim, penalty
from ldf_np.training.log import read_records

ldf.use("cpu")
rng = ldf.Generator(0)
lin = nn.Linear(2, 1, rng=rng)
mali, ali = nets.mlp_ali(2, 2, 8), nets.small_ali(8, latent_size=4)
gan, jg = nets.mlp_gan(4, 4, 8), baselines.joint_gan(3, 8, 3, 4, 8)
clf, vae = small_classifier(3, 8, 3, 4), baselines.mlp_vae(4, 4, 8)

FOLDER = tempfile.gettempdir()


def f(*shape):
    return np.ones(shape, np.float32)


def u8(*shape):
    return np.zeros(shape, np.uint8)


nan = f(8, 2)
nan[0, 0] = np.nan

MEMORY = 64 * 2**20  # bytes that a refusal may take
# name: (call, error, the beginning or a part of its message)
CASES = {
    "sum list": (lambda: ldf.sum([1., 2.]), TypeError, "expected Tensors or arrays"),
    "sum str": (lambda: ldf.sum("a"), TypeError, "expected Tensors or arrays"),
    "sum None": (lambda: ldf.sum(None), TypeError, "expected Tensors or arrays"),
    "exp None": (lambda: ldf.exp(None), TypeError, "exp("),
    "sum scalar": (lambda: ldf.sum(3.0), TypeError, "expected Tensors or arrays"),
    "sum axis float": (lambda: ldf.sum(f(2, 2), axis=1.0), TypeError, "sum("),
    "sum axis dup": (lambda: ldf.sum(T(f(2, 2)), axis=(0, 0)), ValueError, "sum("),
    "sum axis str": (lambda: ldf.sum(f(2), axis="x"), TypeError, "sum("),
    "mean list": (lambda: ldf.mean([1.]), TypeError, "mean: expected a Tensor or an array"),
    "mean axis": (lambda: ldf.mean(f(2, 2), axis=5), ValueError, "axis 5 is out of range for an array with 2 axes"),
    "max empty": (lambda: ldf.max(f(0, 2), axis=0), ValueError, "max("),
    "min list": (lambda: ldf.min([1., 2.]), TypeError, "negative("),
    "min empty": (lambda: ldf.min(f(0)), ValueError, "max("),
    "add str": (lambda: ldf.ops.add(T(f(2)), "a"), TypeError, "add("),
    "add none": (lambda: T(f(2)) + None, TypeError, "add("),
    "matmul list": (
        lambda: ldf.matmul(T(f(2, 2)), [[1., 2.], [3., 4.]]),
        ValueError, "matmul: b: expected a matrix or a vector"),
    "matmul 0": (lambda: ldf.matmul(3., T(f(2, 2))), ValueError, "matmul: a: expected a matrix or a vector"),
    "matmul mis": (lambda: ldf.matmul(T(f(2, 3)), T(f(2, 3))), ValueError, "matmul("),
    "linear 1d": (lambda: ldf.ops.linear(T(f(3)), T(f(3, 2)), T(f(2))), ValueError, "linear: expected x"),
    "linear bias": (lambda: ldf.ops.linear(T(f(4, 3)), T(f(3, 2)), T(f(5))), ValueError, "linear: expected x"),
    "linear bias2": (lambda: ldf.ops.linear(T(f(4, 3)), T(f(3, 2)), T(f(4, 2))), ValueError, "linear: expected x"),
    "linear bias3": (lambda: ldf.ops.linear(T(f(1, 3)), T(f(3, 2)), T(f(4, 2))), ValueError, "linear: expected x"),
    "clip inv": (lambda: ldf.clip(T(f(2)), low=2, high=1), ValueError, "low, high: expected low <= high"),
    "clip str": (lambda: ldf.clip(T(f(2)), low="a", high=1), TypeError, "clip("),
    "leaky slope str": (lambda: ldf.leaky_relu(T(f(2)), slope="a"), TypeError, "leaky_relu("),
    "leaky slope 2": (lambda: ldf.leaky_relu(T(f(2)), slope=2.0), ValueError, "slope: expected a number in"),
    "leaky slope neg": (lambda: ldf.leaky_relu(T(f(2)), slope=-1.0), ValueError, "slope: expected a number in"),
    "leaky slope nan": (lambda: ldf.leaky_relu(T(f(2)), slope=float("nan")), ValueError, "slope: expected a number in"),
    "leaky int": (lambda: ldf.leaky_relu(3), TypeError, "leaky_relu("),
    "relu none": (lambda: ldf.relu(None), TypeError, "relu("),
    "where cond": (lambda: ldf.where(f(2), f(2), f(2)), TypeError, "condition: expected a boolean array"),
    "where shape": (lambda: ldf.where(f(2)>0, f(3), f(2)), ValueError, "where("),
    "concat empty": (lambda: ldf.concatenate([]), ValueError, "parts: expected at least one array"),
    "concat tensor": (
        lambda: ldf.concatenate(T(f(2, 2))),
        TypeError, "concatenate: expected a list of Tensors or arrays and a whole numb"),
    "concat none": (
        lambda: ldf.concatenate(None),
        TypeError, "concatenate: expected a list of Tensors or arrays and a whole numb"),
    "concat axis": (lambda: ldf.concatenate([f(2, 2), f(2, 2)], axis=3), ValueError, "concatenate("),
    "concat axis float": (
        lambda: ldf.concatenate([f(2, 2), f(2, 2)], axis=1.5),
        TypeError, "concatenate: expected a list of Tensors or arrays and a whole numb"),
    "concat mism": (lambda: ldf.concatenate([T(f(2, 2)), T(f(3, 3))]), ValueError, "concatenate("),
    "concat scalar": (lambda: ldf.concatenate([T(1.0), T(2.0)]), ValueError, "concatenate("),
    "concat lists": (lambda: ldf.concatenate([[1.], [2.]]), TypeError, "expected a NumPy or CuPy array"),
    "concat axis None": (
        lambda: ldf.concatenate([T(f(2)), T(f(2))], axis=None),
        TypeError, "concatenate: expected a list of Tensors or arrays and a whole numb"),
    "stack empty": (lambda: ldf.stack([]), ValueError, "stack: parts: expected at least one Tensor or array"),
    "stack mism": (lambda: ldf.stack([T(f(2)), T(f(3))]), ValueError, "stack: parts: expected one shape"),
    "stack axis": (
        lambda: ldf.stack([T(f(2)), T(f(2))], axis=7),
        ValueError, "stack: axis: expected a whole number from -2 to 1"),
    "stack axis-": (
        lambda: ldf.stack([T(f(2)), T(f(2))], axis=-9),
        ValueError, "stack: axis: expected a whole number from -2 to 1"),
    "stack int": (lambda: ldf.stack([1, 2]), TypeError, "stack: expected a Tensor or an array"),
    "stack lists": (lambda: ldf.stack([[1.], [2.]]), TypeError, "stack: expected a Tensor or an array"),
    "stack axis f": (lambda: ldf.stack([T(f(2))], axis=0.5), ValueError, "stack: axis: expected a whole number from -2 to 1"),
    "split uneven": (lambda: ldf.split(f(5), 2), ValueError, "split: axis 0 of length 5 does not divide into 2 equal parts"),
    "split 0": (lambda: ldf.split(f(5), 0), ValueError, "split: axis 0 of length 5 does not divide into 0 equal parts"),
    "split axis": (lambda: ldf.split(f(5), 1, axis=2), ValueError, "split: axis: expected a whole number from -1 to 0"),
    "split float": (lambda: ldf.split(f(4), 2.0), TypeError, "split: sections: expected a whole number or a list of them"),
    "split str": (lambda: ldf.split(f(4), "ab"), TypeError, "split: sections: expected a whole number or a list of them"),
    "split none": (lambda: ldf.split(None, 2), TypeError, "split: expected a Tensor or an array"),
    "reshape": (lambda: ldf.reshape(f(5), (2, 3)), ValueError, "reshape("),
    "reshape -1-1": (lambda: ldf.reshape(f(4), (-1, -1)), ValueError, "reshape("),
    "reshape huge": (lambda: ldf.reshape(f(4), (2**70, 1)), ValueError, "reshape("),
    "reshape float": (lambda: ldf.reshape(f(4), (2., 2)), TypeError, "reshape("),
    "reshape none": (lambda: ldf.reshape(None, 3), TypeError, "expected Tensors or arrays"),
    "reshape list": (lambda: ldf.reshape([1., 2.], (2, 1)), TypeError, "expected Tensors or arrays"),
    "reshape str": (lambda: ldf.reshape(f(4), "ab"), TypeError, "reshape("),
    "reshape -2": (lambda: ldf.reshape(f(4), (-2, 2)), ValueError, "shape: expected lengths of at least 0, or one of -1"),
    "reshape 0": (lambda: ldf.reshape(f(4), (0, -1)), ValueError, "reshape("),
    "reshape none shape": (lambda: ldf.reshape(T(f(4)), None), TypeError, "reshape("),
    "transpose axes": (lambda: ldf.transpose(f(2, 3), axes=(0, 0)), ValueError, "transpose("),
    "transpose few": (lambda: ldf.transpose(f(2, 3), axes=(0, )), ValueError, "transpose("),
    "transpose int": (lambda: ldf.transpose(f(2, 3), axes=5), ValueError, "transpose("),
    "transpose none": (lambda: ldf.transpose(None), TypeError, "expected Tensors or arrays"),
    "transpose m": (lambda: T(f(2, 3)).transpose(0), ValueError, "transpose("),
    "swapaxes": (
        lambda: ldf.ops.swapaxes(f(2, 3), 0, 5),
        ValueError, "swapaxes: axes 0 and 5: expected two of the axes of shape"),
    "getitem": (lambda: T(f(2))[5], IndexError, "getitem("),
    "getitem str": (lambda: T(f(2))["a"], IndexError, "getitem("),
    "getitem float": (lambda: T(f(2))[1.0], IndexError, "getitem("),
    "getitem mask": (lambda: T(f(2))[np.array([True]*3)], IndexError, "getitem("),
    "getitem 3": (lambda: T(f(2))[0, 0], IndexError, "getitem("),
    "getitem tensor": (lambda: T(f(2))[T(f(1))], TypeError, "getitem("),
    "getitem huge": (lambda: T(f(2))[2**70], IndexError, "getitem("),
    "pad neg": (lambda: ldf.pad(f(2), ((-1, 0), )), ValueError, "pad_width: expected whole numbers of at least 0"),
    "pad shape": (lambda: ldf.pad(f(2), ((1, 0), (0, 1))), ValueError, "pad_width: expected a"),
    "pad int": (lambda: ldf.pad(f(2), 1), ValueError, "pad_width: expected a"),
    "pad float": (lambda: ldf.pad(f(2), ((0.5, 1), )), ValueError, "pad_width: expected whole numbers of at least 0"),
    "pad huge": (lambda: ldf.pad(f(2), ((0, 2**62), )), ValueError, "pad_width: an array of shape 4611686018427387906"),
    "pad big": (lambda: ldf.pad(f(2), ((0, 2**40), )), ValueError, "pad_width: an array of shape 1099511627778"),
    "pad str": (lambda: ldf.pad(f(2), "a"), ValueError, "pad_width: expected a"),
    "pad ragged": (lambda: ldf.pad(f(2, 2), ((1, ), (1, 2))), ValueError, "pad("),
    "pad 2**70": (lambda: ldf.pad(f(2), ((0, 2**70), )), ValueError, "pad_width: an array of shape 1180591620717411303426"),
    "pad nested": (lambda: ldf.pad(None, ((0, 1), )), TypeError, "expected Tensors or arrays"),
    "pad overflow": (
        lambda: ldf.pad(f(2, 2), ((0, 2**32), (0, 2**32))),
        ValueError, "pad_width: an array of shape 4294967298x4294967298"),
    "maxout": (lambda: ldf.maxout(f(2, 3)), ValueError, "maxout: 3 channels do not divide into groups of 2"),
    "maxout 0": (lambda: ldf.maxout(f(2, 4), 0), ValueError, "maxout: 4 channels do not divide into groups of 0"),
    "maxout scalar": (lambda: ldf.maxout(T(1.0)), ValueError, "maxout: 1 channels do not divide into groups of 2"),
    "maxout float": (lambda: ldf.maxout(f(2, 4), 2.0), TypeError, "maxout: pieces: expected a whole number"),
    "maxout -": (lambda: ldf.maxout(f(2, 4), -2), ValueError, "maxout: 4 channels do not divide into groups of -2"),
    "broadcast": (lambda: ldf.ops.broadcast_to(f(2), shape=(3, )), ValueError, "broadcast_to("),
    "sum_to": (lambda: ldf.ops.sum_to(f(2, 3), shape=(2, )), ValueError, "sum_to("),
    "sum_to more": (lambda: ldf.ops.sum_to(f(2), shape=(2, 2)), ValueError, "sum_to("),
    "sum_to mism": (lambda: ldf.ops.sum_to(f(4, 3), shape=(2, 3)), ValueError, "sum_to("),
    "astype int": (lambda: ldf.ops.astype(T(f(2)), dtype=np.int32), TypeError, "dtype: expected a floating-point one"),
    "astype str": (lambda: ldf.ops.astype(T(f(2)), dtype="banana"), TypeError, "astype("),
    "astype complex": (lambda: ldf.ops.astype(T(f(2)), dtype=complex), TypeError, "dtype: expected a floating-point one"),
    "power": (lambda: T(f(2)) ** "a", TypeError, "power("),
    "softplus_mean list": (lambda: ldf.ops.softplus_mean([1.]), TypeError, "expected Tensors or arrays"),
    "softplus_mean sign": (
        lambda: ldf.ops.softplus_mean(T(f(2)), sign=3.),
        ValueError, "expected at least one logit and a sign of 1 or -1"),
    "softplus empty": (lambda: ldf.ops.softplus_mean(T(f(0))), ValueError, "expected at least one logit and a sign of 1 or -1"),
    "sigmoid str": (lambda: ldf.sigmoid("a"), TypeError, "sigmoid("),
    "scale_shift": (lambda: ldf.ops.scale_shift(T(f(2, 3)), f(2), f(3)), ValueError, "expected one scale and shift a channel"),
    "scale_shift2": (lambda: ldf.ops.scale_shift(T(f(2, 3)), f(3), f(2)), ValueError, "expected one scale and shift a channel"),
    "scale_shift bc": (
        lambda: ldf.ops.scale_shift(T(f(1, 3)), f(4, 3), f(3)),
        ValueError, "expected one scale and shift a channel"),
    "sqrt int overflow": (lambda: ldf.sqrt(2**70), TypeError, "sqrt("),
    "complex": (lambda: ldf.exp(np.ones(2, complex)), TypeError, "data: expected real numbers"),
    "obj": (lambda: ldf.exp(np.array([1, None])), TypeError, "exp("),
    "neg bool": (lambda: ldf.ops.negative(np.array([True])), TypeError, "negative("),
    "Tensor none": (lambda: T(None), TypeError, "data: expected real numbers"),
    "Tensor str": (lambda: T("ab"), TypeError, "data: expected real numbers"),
    "Tensor ragged": (
        lambda: T([[1.], [1., 2.]]),
        ValueError, "setting an array element with a sequence. The requested array has"),
    "Tensor complex": (lambda: T(1j), TypeError, "data: expected real numbers"),
    "Tensor obj": (lambda: T(np.array([None])), TypeError, "data: expected real numbers"),
    "Tensor big int": (lambda: T(10**400), TypeError, "data: expected real numbers"),
    "Tensor T": (lambda: T(T(f(2))), TypeError, "data: expected an array"),
    "Tensor dict": (lambda: T({}), TypeError, "data: expected real numbers"),
    "item": (lambda: T(f(2)).item(), ValueError, "can only convert an array of size 1 to a Python scalar"),
    "len": (lambda: len(T(1.0)), TypeError, "len() of unsized object"),
    "Tensor set": (lambda: T({1, 2}), TypeError, "data: expected real numbers"),
    "Tensor 2**70": (lambda: T(2**70), TypeError, "data: expected real numbers"),
    "Tensor dates": (lambda: T(np.array(["2020-01-01"], "M8")), TypeError, "data: expected real numbers"),
    "grad non": (lambda: ldf.grad(3., T(f(2))), TypeError, "grad: output: expected a Tensor"),
    "grad shape": (lambda: ldf.grad(T(f(2)), T(f(2))), ValueError, "grad: output: expected a scalar"),
    "grad go": (lambda: ldf.grad(T(f(2))*1, T(f(2)), f(3)), ValueError, "grad: grad_output: expected shape"),
    "grad inputs": (lambda: ldf.grad(ldf.sum(T(f(2))), 3), TypeError, "grad: inputs: expected a Tensor or a sequence"),
    "grad go str": (lambda: ldf.grad(T(f(2))*1, T(f(2)), "a"), TypeError, "data: expected real numbers"),
    "grad go bool": (
        lambda: ldf.grad(ldf.sum(T(f(2))), T(f(2)), grad_output=None),
        ValueError, "grad: the output does not depend on inputs[0] of shape"),
    "grad inputs none": (lambda: ldf.grad(ldf.sum(T(f(2))), None), TypeError, "grad: inputs: expected a Tensor or a sequence"),
    "conv dims": (
        lambda: ldf.conv2d(f(2, 3, 3), f(1, 1, 3, 3)),
        ValueError, "x has shape (2, 3, 3), expected 4 axes (n, h, w, c)"),
    "conv list": (lambda: ldf.conv2d([1.], f(1, 1, 3, 3)), TypeError, "expected Tensors or arrays"),
    "conv nchw": (lambda: ldf.conv2d(f(2, 3, 8, 8), f(3, 3, 3, 4)), ValueError, "conv2d("),
    "conv stride0": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), stride=0),
        ValueError, "stride is 0, expected at least 1"),
    "conv stride-": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), stride=-1),
        ValueError, "stride is -1, expected at least 1"),
    "conv pad-": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), padding=-1),
        ValueError, "padding is -1, expected at least 0"),
    "conv stride f": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), stride=1.5),
        ValueError, "stride is 1.5, expected an int or a pair of ints"),
    "conv pad3": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), padding=(1, 2, 3)),
        ValueError, "padding is (1, 2, 3), expected an int or a pair of ints"),
    "conv k0": (lambda: ldf.conv2d(f(1, 4, 4, 1), f(0, 2, 1, 1)), ValueError, "the kernel has size"),
    "conv kbig": (lambda: ldf.conv2d(f(1, 4, 4, 1), f(5, 5, 1, 1)), ValueError, "the kernel has size"),
    "conv none": (lambda: ldf.conv2d(None, f(5, 5, 1, 1)), TypeError, "expected Tensors or arrays"),
    "conv w none": (lambda: ldf.conv2d(f(1, 4, 4, 1), None), TypeError, "expected Tensors or arrays"),
    "conv bias": (lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 3), bias=f(2)), ValueError, "bias has shape"),
    "conv bias2": (lambda: ldf.conv2d(f(3, 4, 4, 1), f(2, 2, 1, 3), bias=f(3, 1, 1, 1)), ValueError, "bias has shape"),
    "conv bias1": (lambda: ldf.conv2d(f(3, 4, 4, 1), f(2, 2, 1, 3), bias=f(1)), ValueError, "bias has shape"),
    "conv bias0": (lambda: ldf.conv2d(f(3, 4, 4, 1), f(2, 2, 1, 3), bias=3.0), ValueError, "bias has shape"),
    "conv slope": (lambda: ldf.conv2d(f(3, 4, 4, 1), f(2, 2, 1, 3), slope="a"), ValueError, "conv2d("),
    "conv complex": (
        lambda: ldf.conv2d(np.ones((3, 4, 4, 1), complex), f(2, 2, 1, 3)),
        TypeError, "data: expected real numbers"),
    "conv pad huge": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), padding=10**6),
        ValueError, "the padded x: an array of shape 1x2000004x2000004x1"),
    "conv pad huge2": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), padding=2**62),
        ValueError, "the padded x: an array of shape 1x9223372036854775812x922337203685"),
    "conv stride huge": (
        lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), stride=2**70),
        ValueError, "expected sizes of 64 bits"),
    "convT out": (
        lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 1, 1), 2, 0, (9, 9)),
        ValueError, "output_size (9, 9) is impossible, expected (4, 4) to (5, 5) and at"),
    "convT huge": (
        lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 1, 1), 10**6),
        ValueError, "x: an array of shape 1x1000002x1000002x1"),
    "convT huge2": (
        lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 1, 1), 2**62),
        ValueError, "x: an array of shape 1x4611686018427387906x4611686018427387906x1"),
    "convT outhuge": (
        lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 1, 1), 2**40, 0, (2**40+2, )*2),
        ValueError, "x: an array of shape 1x1099511627778x1099511627778x1"),
    "convT ch": (lambda: ldf.conv_transpose2d(f(1, 2, 2, 2), f(2, 2, 1, 1)), ValueError, "conv_transpose2d("),
    "convT empty": (lambda: ldf.conv_transpose2d(f(1, 0, 2, 1), f(2, 2, 1, 1)), ValueError, "the kernel has size"),
    "convT size f": (
        lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 1, 1), output_size=3.5),
        ValueError, "output_size is 3.5, expected an int or a pair of ints"),
    "convT pad": (
        lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 1, 1), padding=5),
        ValueError, "output_size (-7, -7) is impossible, expected (-7, -7) to (-7, -7)"),
    "convT bias": (lambda: ldf.conv_transpose2d(f(1, 2, 2, 1), f(2, 2, 3, 1), bias=f(1)), ValueError, "bias has shape"),
    "convW k": (
        lambda: ldf.conv2d_weight(f(1, 4, 4, 1), f(1, 3, 3, 1), 0),
        ValueError, "kernel_size is 0, expected at least 1"),
    "convW mis": (
        lambda: ldf.conv2d_weight(f(1, 4, 4, 1), f(1, 3, 3, 1), 3),
        ValueError, "y has shape (1, 3, 3, 1), expected (1, 2, 2) and its channels: x ("),
    "convW huge": (
        lambda: ldf.conv2d_weight(f(1, 4, 4, 1), f(1, 3, 3, 1), 2*10**6+2, 1, 10**6),
        ValueError, "the padded x: an array of shape 1x2000004x2000004x1"),
    "convW none": (
        lambda: ldf.conv2d_weight(f(1, 4, 4, 1), f(1, 3, 3, 1), None),
        ValueError, "kernel_size is None, expected an int or a pair of ints"),
    "convW f16": (lambda: ldf.conv2d_weight(f(1, 4, 4, 1), "a", 2), TypeError, "expected Tensors or arrays"),
    "Linear 0": (lambda: nn.Linear(0, 3, rng=rng), ValueError, "Linear: sizes"),
    "Linear -": (lambda: nn.Linear(-1, 3, rng=rng), ValueError, "Linear: sizes"),
    "Linear f": (lambda: nn.Linear(2.5, 3, rng=rng), TypeError, "Linear: sizes"),
    "Linear norng": (lambda: nn.Linear(2, 2, rng=None), TypeError, "Linear: rng: expected a Generator"),
    "Linear nprng": (lambda: nn.Linear(2, 2, rng=np.random.default_rng(0)), TypeError, "Linear: rng: expected a Generator"),
    "Linear in": (lambda: lin(T(f(4, 3))), ValueError, "matmul("),
    "Linear 1d": (lambda: lin(T(f(2))), ValueError, "linear: expected x"),
    "Linear list": (lambda: lin([1., 2.]), TypeError, "linear: expected a Tensor or an array"),
    "Linear str": (lambda: nn.Linear("2", 2, rng=rng), TypeError, "Linear: sizes"),
    "Linear init": (lambda: nn.Linear(2, 2, init=3, rng=rng), TypeError, "Linear: init: expected a function"),
    "Linear 0-d": (lambda: lin(T(1.0)), ValueError, "linear: expected x"),
    "Conv k0": (lambda: nn.Conv2d(3, 4, 0, rng=rng), ValueError, "Conv2d: kernel_size is 0, expected at least 1"),
    "Conv k-": (lambda: nn.Conv2d(3, 4, -1, rng=rng), ValueError, "Conv2d: kernel_size is -1, expected at least 1"),
    "Conv s0": (lambda: nn.Conv2d(3, 4, 3, 0, rng=rng), ValueError, "Conv2d: stride is 0, expected at least 1"),
    "Conv p-": (lambda: nn.Conv2d(3, 4, 3, 1, -1, rng=rng), ValueError, "Conv2d: padding is -1, expected at least 0"),
    "Conv kf": (
        lambda: nn.Conv2d(3, 4, 3.5, rng=rng),
        ValueError, "Conv2d: kernel_size is 3.5, expected an int or a pair of ints"),
    "Conv k3": (lambda: nn.Conv2d(3, 4, (3, 3, 3), rng=rng), ValueError, "Conv2d: kernel_size is"),
    "Conv c0": (lambda: nn.Conv2d(0, 4, 3, rng=rng), ValueError, "Conv2d: c_in: expected at least 1"),
    "ConvT s0": (
        lambda: nn.ConvTranspose2d(3, 4, 3, 0, rng=rng),
        ValueError, "ConvTranspose2d: stride is 0, expected at least 1"),
    "ConvT o": (
        lambda: nn.ConvTranspose2d(3, 4, 3, output_size=-1, rng=rng),
        ValueError, "ConvTranspose2d: output_size is -1, expected at least 1"),
    "ConvT kf": (
        lambda: nn.ConvTranspose2d(3, 4, 3.5, rng=rng),
        ValueError, "ConvTranspose2d: kernel_size is 3.5, expected an int or a pair of"),
    "BN 0": (lambda: nn.BatchNorm(0), ValueError, "BatchNorm: channels: expected at least 1"),
    "BN -": (lambda: nn.BatchNorm(-2), ValueError, "BatchNorm: channels: expected at least 1"),
    "BN f": (lambda: nn.BatchNorm(2.5), TypeError, "BatchNorm: channels: expected a whole number"),
    "BN mom": (lambda: nn.BatchNorm(2, momentum=2), ValueError, "BatchNorm: momentum: expected a number in [0, 1]"),
    "BN eps": (lambda: nn.BatchNorm(2, eps=-1), ValueError, "BatchNorm: eps: expected a positive number"),
    "BN in": (lambda: nn.BatchNorm(2)(T(f(4, 3))), ValueError, "BatchNorm: expected 2 channels"),
    "BN 0d": (lambda: nn.BatchNorm(2)(T(1.0)), ValueError, "BatchNorm: expected 2 channels"),
    "BN arr": (lambda: nn.BatchNorm(2)(f(4, 2)), TypeError, "BatchNorm: x: expected a Tensor"),
    "BN one": (lambda: nn.BatchNorm(2)(T(f(1, 2))), ValueError, "BatchNorm: training needs at least 2 values a channel"),
    "BN none": (lambda: nn.BatchNorm(2)(None), TypeError, "BatchNorm: x: expected a Tensor"),
    "LN 0": (lambda: nn.LayerNorm(0), ValueError, "LayerNorm: channels: expected at least 1"),
    "LN in": (lambda: nn.LayerNorm(4)(T(f(2, 3))), ValueError, "LayerNorm: expected 4 channels"),
    "LN 1": (lambda: nn.LayerNorm(4)(T(f(2, 1))), ValueError, "LayerNorm: expected 4 channels"),
    "LN arr": (lambda: nn.LayerNorm(4)(f(2, 4)), TypeError, "LayerNorm: x: expected a Tensor"),
    "LN eps": (lambda: nn.LayerNorm(4, eps=-1.), ValueError, "LayerNorm: eps: expected a positive number"),
    "LeakyReLU": (lambda: nn.LeakyReLU("a"), TypeError, "LeakyReLU: slope: expected a number"),
    "LeakyReLU2": (lambda: nn.LeakyReLU(-2.), ValueError, "LeakyReLU: slope: expected a number in [0, 1]"),
    "LeakyReLU3": (lambda: nn.LeakyReLU(2.), ValueError, "LeakyReLU: slope: expected a number in [0, 1]"),
    "Maxout": (lambda: nn.Maxout(0), ValueError, "Maxout: pieces: expected at least 1"),
    "Maxout f": (lambda: nn.Maxout(1.5), TypeError, "Maxout: pieces: expected a whole number"),
    "Dropout": (lambda: nn.Dropout(1.0, rng=rng), ValueError, "Dropout: p: expected a probability in"),
    "Dropout nan": (lambda: nn.Dropout(float("nan"), rng=rng), ValueError, "Dropout: p: expected a finite number"),
    "Dropout str": (lambda: nn.Dropout("a", rng=rng), TypeError, "Dropout: p: expected a number"),
    "Dropout rng": (lambda: nn.Dropout(0.5, rng=None), TypeError, "Dropout: rng: expected a Generator"),
    "Flatten 0d": (lambda: nn.Flatten()(T(1.0)), ValueError, "Flatten: expected"),
    "Flatten 0": (lambda: nn.Flatten()(T(f(0, 2))), ValueError, "Flatten: expected"),
    "Reshape": (lambda: nn.Reshape(3)(T(f(2, 2))), ValueError, "reshape("),
    "Reshape 0": (lambda: nn.Reshape(0), ValueError, "Reshape: shape: expected at least 1"),
    "Reshape f": (lambda: nn.Reshape(1.5), TypeError, "Reshape: shape: expected a whole number"),
    "Reshape 0d": (lambda: nn.Reshape(1)(T(1.0)), ValueError, "Reshape: expected"),
    "Sequential": (lambda: nn.Sequential(3), TypeError, "Sequential: layer 0: expected a Module"),
    "Sequential call": (lambda: nn.Sequential(3)(T(f(2, 2))), TypeError, "Sequential: layer 0: expected a Module"),
    "Module": (lambda: nn.Module()(T(f(1))), TypeError, "Module defines no forward"),
    "flat empty": (lambda: nn.Tanh().flat(), ValueError, "Tanh has no parameters to lay out"),
    "load_state none": (lambda: lin.load_state_dict(None), TypeError, "state: expected a dict"),
    "load_state nan": (
        lambda: nn.Linear(2, 1, rng=rng).load_state_dict({"weight": np.full((2, 1), "a"), "bias": f(1)}),
        ValueError, "state: weight: expected real numbers"),
    "load_state cpx": (
        lambda: nn.Linear(2, 1, rng=rng).load_state_dict({"weight": np.full((2, 1), 1j), "bias": f(1)}),
        ValueError, "state: weight: expected real numbers"),
    "summary": (lambda: lin.summary((3, )), ValueError, "matmul("),
    "summary int": (lambda: lin.summary(2), TypeError, "input_shapes[0]: expected a tuple"),
    "load": (lambda: lin.load("/nonexistent"), FileNotFoundError, "/nonexistent: no such file"),
    "load dir": (lambda: lin.load("/tmp"), FileNotFoundError, "/tmp: no such file"),
    "log_odds": (lambda: nn.log_odds(nan), ValueError, "images: expected finite numbers"),
    "log_odds u8": (lambda: nn.log_odds(u8(2, 2, 2, 3)+255), ValueError, "images: expected floats from 0 to 1"),
    "log_odds e": (lambda: nn.log_odds(f(0, 2)), ValueError, "images: expected at least 1 of them and no empty axis"),
    "log_odds0": (lambda: nn.log_odds(3.), TypeError, "images: expected an array of real numbers"),
    "log_odds range": (lambda: nn.log_odds(f(2, 3)*200), ValueError, "images: expected floats from 0 to 1"),
    "Adam lr": (lambda: optim.Adam(lin, 0), ValueError, "Adam: lr: expected a positive number"),
    "Adam lr nan": (lambda: optim.Adam(lin, float("nan")), ValueError, "Adam: lr: expected a positive number"),
    "Adam lr inf": (lambda: optim.Adam(lin, float("inf")), ValueError, "Adam: lr: expected a positive number"),
    "Adam str": (lambda: optim.Adam(lin, "a"), TypeError, "Adam: lr: expected a number"),
    "Adam betas": (lambda: optim.Adam(lin, 1e-3, (1, )), ValueError, "Adam: betas: expected two numbers in"),
    "Adam betas1": (lambda: optim.Adam(lin, 1e-3, (.5, )), ValueError, "Adam: betas: expected two numbers in"),
    "Adam betas f": (lambda: optim.Adam(lin, 1e-3, .5), ValueError, "Adam: betas: expected two numbers in"),
    "Adam net": (lambda: optim.Adam(3, 1e-3), TypeError, "Adam: network: expected a Module"),
    "Adam noparam": (lambda: optim.Adam(nn.Tanh()), ValueError, "Tanh has no parameters to lay out"),
    "step none": (lambda: optim.Adam(lin).step(None), TypeError, "grads: expected a list of Tensors, one for each parameter"),
    "step few": (lambda: optim.Adam(lin).step([T(f(2, 1))]), ValueError, "grads: expected one for each parameter, of shapes"),
    "step shape": (
        lambda: optim.Adam(lin).step([T(f(1, 2)), T(f(1))]),
        ValueError, "grads: expected one for each parameter, of shapes"),
    "step list": (lambda: optim.Adam(lin).step([1, 2]), TypeError, "grads: expected a list of Tensors, one for each parameter"),
    "step arrays": (
        lambda: optim.Adam(lin).step([f(2, 1), f(1)]),
        TypeError, "grads: expected a list of Tensors, one for each parameter"),
    "step share": (
        lambda: optim.Adam(lin).step([T(f(2, 1)), T(f(1))], "a"),
        TypeError, "share: expected a number"),
    "SGD mom": (lambda: optim.SGD(lin, 1e-3, 1.0), ValueError, "SGD: momentum: expected a number in"),
    "SGD mom s": (lambda: optim.SGD(lin, 1e-3, "a"), TypeError, "SGD: momentum: expected a number"),
    "EMA": (lambda: optim.EMA(lin, 1.0), ValueError, "EMA: decay: expected a number in"),
    "EMA net": (lambda: optim.EMA(3), TypeError, "EMA: network: expected a Module"),
    "EMA str": (lambda: optim.EMA(lin, "a"), TypeError, "EMA: decay: expected a number"),
    "Adam eps": (lambda: optim.Adam(lin, eps=0), ValueError, "Adam: eps: expected a positive number"),
    "falling": (lambda: optim.falling("a", 0.1), TypeError, "share: expected a number"),
    "loss kind": (
        lambda: losses.discriminator_loss(T(f(2)), T(f(2)), "x"),
        ValueError, "loss: expected one of non-saturating, saturating, least-squares, b"),
    "loss list": (lambda: losses.discriminator_loss([1.], [1.]), TypeError, "expected Tensors or arrays"),
    "loss empty": (
        lambda: losses.discriminator_loss(T(f(0)), T(f(0))),
        ValueError, "expected at least one logit and a sign of 1 or -1"),
    "loss empty ls": (
        lambda: losses.discriminator_loss(T(f(0)), T(f(0)), "least-squares"),
        ValueError, "mean of an empty selection: shape"),
    "rec": (lambda: losses.reconstruction_loss(T(f(2, 3)), T(f(2, 4))), ValueError, "reconstruction: expected shape"),
    "rec bc": (lambda: losses.reconstruction_loss(T(f(2, 3)), T(f(1, 3))), ValueError, "reconstruction: expected shape"),
    "rec bc2": (lambda: losses.reconstruction_loss(T(f(4, 3)), T(f(3))), ValueError, "reconstruction: expected shape"),
    "rec metric": (lambda: losses.reconstruction_loss(T(f(2, 4, 4, 3)), T(f(2, 4, 4, 3)), f(2, 2)), ValueError, "conv2d("),
    "rec metric1": (
        lambda: losses.reconstruction_loss(T(f(2, 4, 4, 3)), T(f(2, 4, 4, 3)), f(3)),
        ValueError, "metric: expected shape (c, c)"),
    "rec metric vec": (
        lambda: losses.reconstruction_loss(T(f(2, 3)), T(f(2, 3)), f(3, 3)),
        ValueError, "x has shape (2, 3), expected 4 axes (n, h, w, c)"),
    "cm": (lambda: losses.colour_metric(u8(1, 3)), ValueError, "images: expected at least two pixels"),
    "cm empty": (lambda: losses.colour_metric(f(0, 3)), ValueError, "images: expected at least two pixels"),
    "cm nan": (lambda: losses.colour_metric(nan), ValueError, "images: expected finite numbers"),
    "cm str": (lambda: losses.colour_metric("a"), TypeError, "images: expected an array of real numbers"),
    "cm strength": (lambda: losses.colour_metric(f(4, 3), 2), ValueError, "strength: expected a number in"),
    "cm s": (lambda: losses.colour_metric(f(4, 3), "a"), TypeError, "strength: expected a number"),
    "cm nchw": (lambda: losses.colour_metric(u8(4, 3, 8, 8)), ValueError, "images: expected channels in the last axis,"),
    "cm list": (lambda: losses.colour_metric([[1., 2.], [2., 1.]]), TypeError, "images: expected an array of real numbers"),
    "cm 0d": (lambda: losses.colour_metric(np.float32(1)), ValueError, "images: expected at least two pixels"),
    "pen kind": (
        lambda: penalty.check_penalty("a"),
        ValueError, "penalty: expected one of roth, unweighted, r1, wgan-gp, none"),
    "pen gamma": (
        lambda: penalty.check_penalty("roth", float("nan")),
        ValueError, "gamma: expected a finite number of at least 0"),
    "pen gamma s": (lambda: penalty.check_penalty("roth", "a"), TypeError, "gamma: expected a number"),
    "pen gamma inf": (
        lambda: penalty.check_penalty("roth", float("inf")),
        ValueError, "gamma: expected a finite number of at least 0"),
    "pl": (
        lambda: penalty.penalized_logits(lin, (f(4, 2), ), (f(3, 2), )),
        ValueError, "real, fake: expected arrays of one batch size"),
    "pl wgan": (
        lambda: penalty.penalized_logits(lin, (f(4, 2), ), (f(4, 2), ), "wgan-gp"),
        ValueError, "penalty: wgan-gp draws points between real and fake: give rng, a G"),
    "pl shape": (
        lambda: penalty.penalized_logits(lin, (f(4, 2), ), (f(4, 3), )),
        ValueError, "real, fake: expected arrays of the same shapes"),
    "pl count": (
        lambda: penalty.penalized_logits(lin, (f(4, 2), f(4, 2)), (f(4, 2), )),
        ValueError, "real, fake: expected as many arrays, one for each input of the dis"),
    "pl empty": (
        lambda: penalty.penalized_logits(lin, (), ()),
        ValueError, "real, fake: expected as many arrays, one for each input of the dis"),
    "pl logits": (
        lambda: penalty.penalized_logits(lambda x: x, (f(4, 2), ), (f(4, 2), )),
        ValueError, "real: expected one boolean, or one a sample"),
    "roth real": (
        lambda: penalty.roth_penalty(lin(T(f(2, 2))), T(f(2, 2)), np.ones(3, bool)),
        ValueError, "real: expected one boolean, or one a sample"),
    "roth non": (lambda: penalty.roth_penalty(3, T(f(2, 2)), True), TypeError, "expected Tensors or arrays"),
    "annealed": (lambda: penalty.annealed("a", 1), TypeError, "gamma: expected a number"),
    "pl0": (lambda: penalty.penalized_logits(lin, (f(0, 2), ), (f(0, 2), )), ValueError, "weighted_norms("),
    "sgn logits": (
        lambda: penalty.squared_gradient_norms(T(f(2, 3)), T(f(2, 3))),
        ValueError, "grad: the output does not depend on inputs[0] of shape"),
    "pl none": (
        lambda: penalty.penalized_logits(lin, None, None),
        TypeError, "real: expected a list of arrays"),
    "Gen -": (lambda: ldf.Generator(-1), ValueError, "seed: expected a non-negative integer"),
    "Gen f": (lambda: ldf.Generator(1.5), ValueError, "seed: expected a non-negative integer"),
    "Gen str": (lambda: ldf.Generator("a"), ValueError, "seed: expected a non-negative integer"),
    "Gen none": (lambda: ldf.Generator(None), ValueError, "seed: expected a non-negative integer"),
    "Gen np": (lambda: ldf.Generator(np.float64(1.)), ValueError, "seed: expected a non-negative integer"),
    "normal size": (lambda: rng.standard_normal(-1), ValueError, "size: expected lengths of at least 0"),
    "normal f": (lambda: rng.standard_normal(1.5), TypeError, "size: expected a whole number, several of them or None"),
    "normal dtype": (lambda: rng.standard_normal(2, np.int32), TypeError, "dtype: expected float32 or float64"),
    "normal f16": (lambda: rng.standard_normal(2, np.float16), TypeError, "dtype: expected float32 or float64"),
    "random -": (lambda: rng.random((2, -1)), ValueError, "size: expected lengths of at least 0"),
    "normal (2,-2)": (lambda: rng.standard_normal((-2, -2)), ValueError, "size: expected lengths of at least 0"),
    "random huge": (lambda: rng.random(10**13), ValueError, "size: an array of shape 10000000000000"),
    "integers": (lambda: rng.integers(3, 1), ValueError, "high: expected at least 4"),
    "integers f": (lambda: rng.integers(0, 2.5), TypeError, "high: expected a whole number"),
    "integers size": (lambda: rng.integers(0, 2, -1), ValueError, "size: expected lengths of at least 0"),
    "integers huge": (lambda: rng.integers(0, 2, 10**13), ValueError, "size: an array of shape 10000000000000"),
    "perm -": (lambda: rng.permutation(-1), ValueError, "n: expected 0 to 4611686018427387904"),
    "perm f": (lambda: rng.permutation(1.5), TypeError, "n: expected a whole number"),
    "spawn": (lambda: rng.spawn(-1), ValueError, "count: expected 0 to 1048576"),
    "spawn f": (lambda: rng.spawn(1.5), TypeError, "count: expected a whole number"),
    "state": (lambda: setattr(rng, "state", {}), ValueError, "state: expected what Generator.state gave"),
    "state none": (lambda: setattr(rng, "state", None), ValueError, "state: expected what Generator.state gave"),
    "state bad": (
        lambda: setattr(rng, "state", rng.state | {"counter": [1]}),
        ValueError, "state: expected what Generator.state gave"),
    "state neg": (
        lambda: setattr(rng, "state", rng.state | {"counter": [-1, 0, 0, 0]}),
        ValueError, "state: expected what Generator.state gave"),
    "normal str": (lambda: rng.standard_normal("ab"), TypeError, "size: expected a whole number, several of them or None"),
    "permutation huge": (lambda: rng.permutation(2**70), ValueError, "n: expected 0 to 4611686018427387904"),
    "use": (lambda: ldf.use("tpu"), ValueError, "device: expected \"cpu\", \"cuda\" or \"auto\""),
    "prec": (lambda: ldf.set_float32_matmul_precision("x"), ValueError, "precision: expected \"highest\" or \"high\""),
    "threads": (lambda: ldf.set_num_threads(0), ValueError, "count: expected 1 or 2 threads"),
    "cg": (lambda: ldf.check_grads(lambda x: x, []), ValueError, "check_grads: args: expected at least one argument"),
    "cg order": (lambda: ldf.check_grads(lambda x: x, [f(2)], order=0), ValueError, "check_grads: order: expected at least 1"),
    "cg f": (lambda: ldf.check_grads(lambda x: 3, [f(2)]), TypeError, "check_grads: the result of f: expected a Tensor"),
    "asarray": (lambda: ldf.asarray("a", dtype=np.float32), ValueError, "could not convert string to float: 'a'"),
    "to_numpy": (lambda: ldf.to_numpy([1]), TypeError, "expected a NumPy or CuPy array"),
    "cg str": (lambda: ldf.check_grads(lambda x: x, ["a"]), TypeError, "check_grads: args[0]: expected an array of real"),
    "cg none": (lambda: ldf.check_grads(None, [f(2)]), TypeError, "check_grads: f: expected a function"),
    "ali fit nchw": (lambda: ali.fit(u8(8, 3, 8, 8), steps=1, batch_size=4), ValueError, "conv2d("),
    "ali fit nan": (lambda: mali.fit(nan, steps=1, batch_size=4), ValueError, "data: expected finite numbers"),
    "ali fit 1d": (lambda: mali.fit(f(8), steps=1, batch_size=4), ValueError, "linear: expected x"),
    "ali fit empty": (lambda: mali.fit(f(0, 2), steps=1), ValueError, "data: expected at least 1 of them and no empty axis"),
    "ali fit f64": (
        lambda: mali.fit(np.ones((8, 2)), steps=1, batch_size=4),
        ValueError, "data: expected float32, or uint8 images"),
    "ali fit list": (
        lambda: mali.fit([[1., 2.]]*8, steps=1, batch_size=4),
        TypeError, "data: expected an array of real numbers"),
    "ali fit none": (lambda: mali.fit(None, steps=1), TypeError, "data: expected an array of real numbers"),
    "ali fit bs0": (lambda: mali.fit(f(8, 2), steps=1, batch_size=0), ValueError, "batch_size: expected 2 to 8"),
    "ali fit bs f": (lambda: mali.fit(f(8, 2), steps=1, batch_size=2.5), TypeError, "batch_size: expected a whole number"),
    "ali fit bs str": (lambda: mali.fit(f(8, 2), steps=1, batch_size="a"), TypeError, "batch_size: expected a whole number"),
    "ali steps0": (lambda: mali.fit(f(8, 2), steps=0, batch_size=4), ValueError, "steps: expected at least 1, got 0"),
    "ali steps-": (lambda: mali.fit(f(8, 2), steps=-1, batch_size=4), ValueError, "steps: expected at least 1, got -1"),
    "ali steps 1.5": (lambda: mali.fit(f(8, 2), steps=1.5, batch_size=4), TypeError, "steps: expected a whole number, got 1.5"),
    "ali checkpoints": (
        lambda: mali.fit(f(8, 2), steps=1, batch_size=4, checkpoints="out"),
        TypeError, "checkpoints: expected a checkpoint.Checkpoints, got 'out'"),
    "ali nobudget": (
        lambda: mali.fit(f(8, 2), batch_size=4),
        ValueError, "steps, minutes: expected at least one of them as the budget of the"),
    "ali minutes nan": (
        lambda: mali.fit(f(8, 2), minutes=float("nan"), batch_size=4),
        ValueError, "minutes: expected a positive number"),
    "ali minutes str": (lambda: mali.fit(f(8, 2), minutes="1", batch_size=4), TypeError, "minutes: expected a number"),
    "ali cb": (lambda: mali.fit(f(8, 2), steps=1, batch_size=4, callback=3), TypeError, "callback: expected a function"),
    "ali wrong width": (lambda: mali.fit(f(8, 3), steps=1, batch_size=4), ValueError, "matmul("),
    "ali wrong size": (lambda: ali.fit(u8(8, 16, 16, 3), steps=1, batch_size=4), ValueError, "matmul("),
    "ali 2ch": (lambda: ali.fit(f(8, 8, 8, 2), steps=1, batch_size=4), ValueError, "conv2d("),
    "ali sample -": (lambda: mali.sample(-1), ValueError, "n: expected at least 1"),
    "ali sample 0": (lambda: mali.sample(0), ValueError, "n: expected at least 1"),
    "ali sample f": (lambda: mali.sample(1.5), TypeError, "n: expected a whole number"),
    "ali sample str": (lambda: mali.sample("a"), TypeError, "n: expected a whole number"),
    "ali sample rng": (lambda: mali.sample(2, 3), TypeError, "rng: expected a Generator"),
    "ali enc nan": (lambda: mali.encode(nan), ValueError, "x: expected finite numbers"),
    "ali enc code": (lambda: mali.encode(f(4, 2), "q"), ValueError, "code: expected \"h\" or \"z\""),
    "ali enc shape": (lambda: mali.encode(f(4, 3)), ValueError, "matmul("),
    "ali enc nchw": (lambda: ali.encode(u8(4, 3, 8, 8)), ValueError, "conv2d("),
    "ali enc none": (lambda: mali.encode(None), TypeError, "x: expected an array of real numbers"),
    "ali enc list": (lambda: mali.encode([[1., 2.]]), TypeError, "x: expected an array of real numbers"),
    "ali enc 0": (lambda: mali.encode(f(0, 2)), ValueError, "x: expected at least 1 of them and no empty axis"),
    "ali enc 0d": (lambda: mali.encode(np.float32(1)), ValueError, "x: expected at least 1 of them and no empty axis"),
    "ali enc cplx": (lambda: mali.encode(np.ones((4, 2), complex)), TypeError, "x: expected an array of real numbers"),
    "ali enc str": (lambda: mali.encode(np.array([["a", "b"]])), TypeError, "x: expected an array of real numbers"),
    "ali enc 1d": (lambda: mali.encode(f(2)), ValueError, "linear: expected x"),
    "ali dec": (lambda: ali.decode(f(2, 7)), ValueError, "x has shape (2, 7), expected 4 axes (n, h, w, c)"),
    "ali dec z": (lambda: ali.decode(f(2, 7), "z"), ValueError, "matmul("),
    "ali rec": (lambda: ali.reconstruct(f(2, 5, 5, 3)), ValueError, "the kernel has size"),
    "ali rec16z": (lambda: ali.reconstruct(f(2, 16, 16, 3), "z"), ValueError, "matmul("),
    "ali step": (lambda: mali.step(nan), ValueError, "x: expected finite numbers"),
    "ali step shape": (lambda: mali.step(f(8, 3)), ValueError, "matmul("),
    "ali step share": (lambda: mali.step(f(8, 2), 7.), ValueError, "share: expected a number in [0, 1]"),
    "ali step list": (lambda: mali.step([1.]), TypeError, "x: expected an array of real numbers"),
    "ali step 1": (lambda: mali.step(f(1, 2)), ValueError, "BatchNorm: training needs at least 2 values a channel"),
    "ali share nan": (
        lambda: nets.mlp_ali(2, 2, 8).step(f(8, 2), float("nan")),
        ValueError, "share: expected a number in [0, 1]"),
    "ALI latent": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 0),
        ValueError, "latent_size: expected at least 1"),
    "ALI latent mis": (lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 5).sample(2), ValueError, "matmul("),
    "ALI none": (lambda: ldf.ALI(None, None, None, 2), TypeError, "encoder: expected a Module"),
    "ALI swap": (lambda: ldf.ALI(mali.decoder, mali.encoder, mali.discriminator, 2).step(f(4, 2)), ValueError, "matmul("),
    "ALI w": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, shortcut_weight=-1),
        ValueError, "shortcut_weight: expected a finite number of at least 0"),
    "ALI w nan": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, latent_weight=float("nan")),
        ValueError, "latent_weight: expected a finite number of at least 0"),
    "ALI loss": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, loss="x"),
        ValueError, "loss: expected one of non-saturating, saturating, least-squares, b"),
    "ALI metric": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, colour_metric=f(3)),
        ValueError, "colour_metric: expected shape"),
    "ALI metric nan": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, colour_metric=f(3, 3)*np.nan),
        ValueError, "colour_metric: expected finite numbers"),
    "ALI betas": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, betas=(2, 2)),
        ValueError, "Adam: betas: expected two numbers in"),
    "ALI final": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, final_lr=-1),
        ValueError, "final_lr: expected a finite number of at least 0"),
    "ALI latent f": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2.5),
        TypeError, "latent_size: expected a whole number"),
    "ALI seed": (
        lambda: ldf.ALI(mali.encoder, mali.decoder, mali.discriminator, 2, seed=-1),
        ValueError, "seed: expected a non-negative integer"),
    "GAN latent": (lambda: ldf.GAN(gan.generator, gan.discriminator, 0), ValueError, "latent_size: expected at least 1"),
    "GAN none": (lambda: ldf.GAN(None, None, 2), TypeError, "generator: expected a Module"),
    "GAN ema": (lambda: ldf.GAN(gan.generator, gan.discriminator, 4, ema=2), ValueError, "EMA: decay: expected a number in"),
    "GAN fg": (
        lambda: ldf.GAN(gan.generator, gan.discriminator, 4, final_gamma=-1),
        ValueError, "final_gamma: expected a finite number of at least 0"),
    "GAN fit": (
        lambda: gan.fit(f(8, 5), steps=1, batch_size=4),
        ValueError, "real, fake: expected arrays of the same shapes"),
    "GAN fit nan": (
        lambda: gan.fit(np.full((8, 4), np.nan, np.float32), steps=1, batch_size=4),
        ValueError, "data: expected finite numbers"),
    "GAN sample": (lambda: gan.sample(-2), ValueError, "n: expected at least 1"),
    "GAN fit 3d": (
        lambda: gan.fit(f(8, 2, 4), steps=1, batch_size=4),
        ValueError, "real, fake: expected arrays of the same shapes"),
    "GAN fit list": (lambda: gan.fit([1], steps=1), TypeError, "data: expected an array of real numbers"),
    "JG": (lambda: jg.fit(u8(8, 2, 8, 8, 3), steps=1, batch_size=4), ValueError, "x: expected clips"),
    "JG ch": (lambda: jg.fit(u8(8, 3, 3, 8, 8), steps=1, batch_size=4), ValueError, "x: expected channels in the last axis,"),
    "JG last t": (lambda: jg.fit(u8(8, 8, 8, 3, 3), steps=1, batch_size=4), ValueError, "x: expected clips"),
    "JG none": (lambda: jg.fit(None, steps=1), TypeError, "x: expected an array of real numbers"),
    "JG frames": (
        lambda: jg.fit(u8(8, 3, 8, 8, 3), u8(8, 8, 8, 3), steps=1),
        ValueError, "frames: expected None, for this model has no frame_discriminator t"),
    "JG frames arg": (lambda: ldf.JointGAN(jg.generator, jg.discriminator, 4, 0), ValueError, "frames: expected at least 1"),
    "JG frames mis": (
        lambda: ldf.JointGAN(jg.generator, jg.discriminator, 4, 7).sample(1),
        ValueError, "frames: 7 do not divide the 9 channels"),
    "fjg frames": (
        lambda: baselines.framed_joint_gan(3, 8, 3, hidden=8).fit(u8(8, 3, 8, 8, 3), 3, steps=1, batch_size=4),
        TypeError, "frames: expected an array of real numbers"),
    "clf fit": (
        lambda: clf.fit(u8(8, 8, 8, 3), [0]*7, steps=1, batch_size=4),
        ValueError, "labels: expected 8 integers, one for each image"),
    "clf labels": (
        lambda: clf.fit(u8(8, 8, 8, 3), [5]*8, steps=1, batch_size=4),
        ValueError, "labels: expected integers from 0 to 2"),
    "clf labels f": (
        lambda: clf.fit(u8(8, 8, 8, 3), f(8), steps=1, batch_size=4),
        ValueError, "labels: expected 8 integers, one for each image"),
    "clf none": (lambda: clf.fit(None, None, steps=1), TypeError, "images: expected an array of real numbers"),
    "clf nchw": (
        lambda: clf.fit(u8(8, 3, 8, 8), [0]*8, steps=1, batch_size=4),
        ValueError, "images: expected channels in the last axis,"),
    "clf predict": (lambda: clf.predict(u8(8, 3, 8, 8)), ValueError, "images: expected channels in the last axis,"),
    "clf pred nan": (lambda: clf.predict(np.full((2, 8, 8, 3), np.nan, np.float32)), ValueError, "x: expected finite numbers"),
    "clf acc": (lambda: clf.accuracy(u8(8, 8, 8, 3), [1]), ValueError, "labels: expected 8 integers, one for each image"),
    "clf classes": (lambda: small_classifier(1), ValueError, "classes: expected at least 2"),
    "clf classes f": (lambda: small_classifier(2.5), TypeError, "classes: expected a whole number"),
    "clf size": (lambda: small_classifier(3, 9), ValueError, "size: expected a multiple of 8"),
    "clf size s": (lambda: small_classifier(3, "a"), TypeError, "size: expected a whole number"),
    "clf width": (lambda: small_classifier(3, 8, width=0), ValueError, "width: expected at least 1"),
    "clf net": (lambda: Classifier(3, 2), TypeError, "Adam: network: expected a Module"),
    "clf none pred": (lambda: clf.predict(None), TypeError, "images: expected an array of real numbers"),
    "sce": (lambda: softmax_cross_entropy(T(f(2, 3)), [0, 5]), ValueError, "labels: expected integers from 0 to 2"),
    "sce l": (lambda: softmax_cross_entropy(f(2, 3), [0, 1]), TypeError, "logits: expected a Tensor"),
    "ce": (
        lambda: cross_entropy(T(f(2, 3)), f(2, 4)),
        ValueError, "targets: expected one row for each of at least one row of logits"),
    "ce1": (
        lambda: cross_entropy(T(f(2, 3)), f(1, 3)),
        ValueError, "targets: expected one row for each of at least one row of logits"),
    "sce0": (
        lambda: softmax_cross_entropy(T(f(0, 3)), np.zeros(0, int)),
        ValueError, "targets: expected one row for each of at least one row of logits"),
    "clf pred16": (lambda: clf.predict(f(2, 16, 16, 3)), ValueError, "matmul("),
    "clf fit 1d": (
        lambda: clf.fit(u8(8), [0]*8, steps=1, batch_size=4),
        ValueError, "x has shape (4,), expected 4 axes (n, h, w, c)"),
    "vae enc": (
        lambda: VAE(mali.encoder, gan.generator, 4),
        ValueError, "encoder: expected a stochastic one, which gives a mean and a log-v"),
    "vae none": (lambda: VAE(None, None, 4), ValueError, "encoder: expected a stochastic one, which gives a mean and a log-v"),
    "vae fit": (lambda: vae.fit(f(8, 5), steps=1, batch_size=4), ValueError, "matmul("),
    "vae code": (lambda: vae.encode(f(8, 4), "h"), ValueError, "code: expected \"z\", the only code of this VAE"),
    "vae var": (
        lambda: VAE(vae.encoder, vae.decoder, 4, variance=0),
        ValueError, "variance: expected a positive number"),
    "vae nan": (
        lambda: vae.fit(np.full((8, 4), np.nan, np.float32), steps=1, batch_size=4),
        ValueError, "data: expected finite numbers"),
    "vae latent": (lambda: VAE(vae.encoder, vae.decoder, -1), ValueError, "latent_size: expected at least 1"),
    "vae sample": (lambda: vae.sample(-1), ValueError, "n: expected at least 1"),
    "GT": (lambda: GaussianTop(0), ValueError, "size: expected at least 1"),
    "GT f": (lambda: GaussianTop(1.5), TypeError, "size: expected a whole number"),
    "GT fit": (lambda: GaussianTop(3).fit(f(4, 2)), ValueError, "x: expected vectors"),
    "GT nan": (lambda: GaussianTop(2).fit(nan), ValueError, "x: expected finite numbers"),
    "GT bs": (lambda: GaussianTop(2).fit(f(8, 2), batch_size=0), ValueError, "batch_size: expected at least 1"),
    "GT none": (lambda: GaussianTop(2).fit(None), TypeError, "x: expected an array of real numbers"),
    "GT bs f": (lambda: GaussianTop(2).fit(f(8, 2), batch_size=-1), ValueError, "batch_size: expected at least 1"),
    "GT sample": (lambda: GaussianTop(2).sample(-1), ValueError, "n: expected at least 1"),
    "normal_kl": (lambda: normal_kl(T(f(2, 3)), T(f(2, 2))), ValueError, "mean, log_variance: expected one shape"),
    "AE": (lambda: Autoencoder(3, 4), TypeError, "encoder: expected a Module"),
    "normal_kl bc": (lambda: normal_kl(T(f(2, 3)), T(f(1, 3))), ValueError, "mean, log_variance: expected one shape"),
    "normal_nll": (lambda: normal_nll(1.0, -1.0, 3), ValueError, "variance: expected a positive number"),
    "Frames 0": (lambda: Frames(0), ValueError, "count: expected at least 1"),
    "Frames f": (lambda: Frames(1.5), TypeError, "count: expected a whole number"),
    "Frames split": (lambda: Frames(5).split(u8(2, 4, 8, 8, 3)), ValueError, "x: expected clips"),
    "Frames nchw": (lambda: Frames(5).split(u8(2, 3, 5, 8, 8)), ValueError, "x: expected clips"),
    "Frames none": (lambda: Frames(5).split(None), TypeError, "x: expected an array of real numbers"),
    "Patches 0": (lambda: Patches(0, 2), ValueError, "rows: expected at least 1"),
    "Patches f": (lambda: Patches(1.5, 2), TypeError, "rows: expected a whole number"),
    "Patches split": (lambda: Patches(2, 2).split(u8(2, 5, 5, 3)), ValueError, "x: expected images"),
    "Patches nchw": (lambda: Patches(2, 2).split(u8(2, 3, 8, 8)), ValueError, "x: expected images"),
    "Patches merge": (lambda: Patches(2, 2).merge(u8(2, 3, 4, 4, 3)), ValueError, "factors: expected 4 patches"),
    "Groups 0": (lambda: Groups(0, 4, (2, )), ValueError, "size: expected at least 1"),
    "Groups mis": (lambda: Groups(3, 4, (2, )), ValueError, "size: 4 factors do not divide into groups of 3"),
    "Groups split": (lambda: Groups(2, 4, (2, )).split(f(2, 4, 3)), ValueError, "x: expected codes"),
    "Groups f": (lambda: Groups(1.5, 3, (2, )), TypeError, "size: expected a whole number"),
    "Groups code": (lambda: Groups(2, 4, 2), TypeError, "'int' object is not iterable"),
    "Groups merge": (lambda: Groups(2, 4, (2, )).merge(f(2, 3, 4)), ValueError, "cannot reshape array of size 24 into shape"),
    "Level code": (lambda: Level(mali, Frames(2), "x"), ValueError, "code: expected \"h\" or \"z\""),
    "Level enc": (lambda: Level(mali, Frames(2)).encode(f(2, 3, 2)), ValueError, "x: expected clips"),
    "Level dec": (lambda: Level(mali, Frames(2)).decode(f(2, 3, 8)), ValueError, "codes: expected"),
    "Level none": (lambda: Level(None, None).encode(f(2, 2, 2)), TypeError, "model: expected a Module"),
    "Whitening 0": (lambda: Whitening((4, ), 0), ValueError, "components: expected 1 to 4"),
    "Whitening f": (lambda: Whitening((4, ), 1.5), TypeError, "components: expected a whole number"),
    "Whitening int": (lambda: Whitening(4, 2), TypeError, "code_shape: expected a tuple of whole numbers"),
    "Whitening -": (lambda: Whitening((-2, -2), 2), ValueError, "code_shape: expected at least 1"),
    "Whitening huge": (lambda: Whitening((10**7, ), 10**7), ValueError, "code_shape, components"),
    "Whitening strength": (lambda: Whitening((4, ), 2, 2), ValueError, "strength: expected a number in [0, 1]"),
    "W fit nan": (lambda: Whitening((2, ), 2).fit(nan), ValueError, "codes: expected finite numbers"),
    "W fit empty": (
        lambda: Whitening((4, ), 2).fit(f(0, 4)),
        ValueError, "codes: expected at least 2 of them and no empty axis"),
    "W fit 1": (lambda: Whitening((4, ), 2).fit(f(1, 4)), ValueError, "codes: expected at least 2 of them and no empty axis"),
    "W fit const": (lambda: Whitening((4, ), 2).fit(f(8, 4)), ValueError, "codes: expected to vary, but all 8 are the same"),
    "W fit none": (lambda: Whitening((4, ), 2).fit(None), TypeError, "codes: expected an array of real numbers"),
    "W apply": (lambda: Whitening((4, ), 2).apply(f(2, 5)), ValueError, "codes: expected"),
    "W invert": (lambda: Whitening((4, ), 2).invert(f(2, 3)), ValueError, "white: expected"),
    "W invert 1": (lambda: Whitening((4, ), 2).invert(f(2, 1)), ValueError, "white: expected"),
    "W fit perm": (lambda: Whitening((2, 3), 2).fit(f(8, 3, 2)), ValueError, "codes: expected"),
    "SL": (lambda: SharedAndLocal((3, 4), 9, 2), ValueError, "components: expected 1 to 4"),
    "SL shape": (lambda: SharedAndLocal(4, 1, 1), TypeError, "code_shape: expected a tuple of whole numbers"),
    "SL empty shape": (lambda: SharedAndLocal((), 1, 1), ValueError, "code_shape: expected"),
    "SL fit": (lambda: SharedAndLocal((3, 4), 2, 2).fit(f(8, 2, 4)), ValueError, "codes: expected"),
    "SL fit nan": (lambda: SharedAndLocal((1, 2), 2, 2).fit(nan[:, None]), ValueError, "codes: expected finite numbers"),
    "SL apply": (lambda: SharedAndLocal((3, 4), 2, 2).apply(f(8, 2, 4)), ValueError, "codes: expected"),
    "SL invert": (lambda: SharedAndLocal((3, 4), 2, 2).invert(f(8, 3)), ValueError, "white: expected"),
    "LDF empty": (lambda: LDF([], gan, Whitening((4, ), 4)), TypeError, "levels: expected a list of at least one Level"),
    "LDF none": (lambda: LDF(None, gan, Whitening((4, ), 4)), TypeError, "levels: expected a list of at least one Level"),
    "LDF types": (lambda: LDF([3], gan, Whitening((4, ), 4)), TypeError, "levels: expected a Level"),
    "clip_ldf": (
        lambda: nets.clip_ldf(u8(2, 5, 32, 32, 3)),
        ValueError, "images: expected at least 8 of them and no empty axis"),
    "clip_ldf nchw": (lambda: nets.clip_ldf(u8(8, 5, 3, 32, 32)), ValueError, "images: expected channels in the last axis,"),
    "clip_ldf code": (lambda: nets.clip_ldf(u8(8, 5, 32, 32, 3), code="x"), ValueError, "code: expected \"h\" or \"z\""),
    "clip_ldf frames": (lambda: nets.clip_ldf(u8(8, 5, 32, 32, 3), frames=0), ValueError, "frames: expected at least 1"),
    "clip_ldf frames mis": (lambda: nets.clip_ldf(u8(8, 4, 32, 32, 3)), ValueError, "images: expected clips"),
    "clip_ldf none": (lambda: nets.clip_ldf(None), TypeError, "images: expected an array of real numbers"),
    "clip_ldf size": (lambda: nets.clip_ldf(u8(8, 5, 16, 16, 3)), ValueError, "images: expected clips"),
    "clip_ldf shared": (lambda: nets.clip_ldf(u8(8, 5, 32, 32, 3), shared=0), ValueError, "shared: expected at least 1"),
    # metrics, data and what experiments share
    "feat nchw": (lambda: metrics.features(u8(4, 3, 32, 32)), ValueError, "images: expected channels in the last axis,"),
    "feat none": (lambda: metrics.features(None), TypeError, "images: expected an array of real numbers"),
    "feat 3d": (lambda: metrics.features(u8(4, 32, 32)), ValueError, "images: expected shape"),
    "feat small": (lambda: metrics.features(u8(4, 1, 1, 3)), ValueError, "images: expected at least 2 x 2 pixels"),
    "feat empty": (
        lambda: metrics.features(u8(0, 8, 8, 3)),
        ValueError, "images: expected at least 1 of them and no empty axis"),
    "feat nan": (lambda: metrics.features(np.full((2, 8, 8, 3), np.nan, np.float32)), ValueError, "x: expected finite numbers"),
    "feat width": (lambda: metrics.features(u8(4, 8, 8, 3), width=0), ValueError, "width: expected at least 4"),
    "PF comp": (lambda: metrics.PrincipalFeatures(u8(4, 8, 8, 3), 9), ValueError, "components: expected 1 to 3"),
    "PF const": (
        lambda: metrics.PrincipalFeatures(u8(8, 8, 8, 3), 2),
        ValueError, "images: expected to vary in at least 2 directions"),
    "PF none": (lambda: metrics.PrincipalFeatures(None), TypeError, "images: expected an array of real numbers"),
    "PF nan": (
        lambda: metrics.PrincipalFeatures(np.full((8, 8, 8, 3), np.nan, np.float32), 2),
        ValueError, "images: expected finite numbers"),
    "PF f": (lambda: metrics.PrincipalFeatures(f(8, 8, 8, 3), 1.5), TypeError, "components: expected a whole number"),
    "PF 1d": (lambda: metrics.PrincipalFeatures(f(8), 1), ValueError, "images: expected to vary in at least 1 directions"),
    "one_frame": (lambda: clip_scores.one_frame(u8(4, 32, 32, 3)), ValueError, "clips: expected shape"),
    "one_frame 1": (lambda: clip_scores.one_frame(u8(4)), ValueError, "clips: expected shape"),
    "one_frame e": (
        lambda: clip_scores.one_frame(u8(0, 5, 8, 8, 3)),
        ValueError, "clips: expected at least 1 of them and no empty axis"),
    "one_frame tch": (lambda: clip_scores.one_frame(u8(4, 5, 3, 8, 8)), ValueError, "clips: expected channels in the last axis,"),
    "one_frame none": (lambda: clip_scores.one_frame(None), TypeError, "clips: expected an array of real numbers"),
    "one_frame hwct": (lambda: clip_scores.one_frame(u8(4, 8, 8, 3, 5)), ValueError, "clips: expected channels in the last axis,"),
    "as_channels": (lambda: clip_scores.as_channels(u8(4, 8, 8, 3)), ValueError, "clips: expected shape"),
    "as_channels nchw": (
        lambda: clip_scores.as_channels(u8(4, 5, 3, 8, 8)),
        ValueError, "clips: expected channels in the last axis,"),
    "diff": (lambda: clip_scores.differences(u8(4, 8, 8, 3)), ValueError, "clips: expected shape"),
    "diff 1": (lambda: clip_scores.differences(u8(4, 1, 8, 8, 3)), ValueError, "clips: expected at least two frames"),
    "kid 1d": (lambda: metrics.kid(f(4), f(4)), ValueError, "x: expected features"),
    "kid nan": (lambda: metrics.kid(nan, nan), ValueError, "x: expected finite features"),
    "kid len": (lambda: metrics.kid(f(4, 2), f(4, 3)), ValueError, "x, y: expected features of one length"),
    "kid none": (lambda: metrics.kid(None, f(4, 2)), ValueError, "x: expected features"),
    "kid str": (lambda: metrics.kid("ab", f(4, 2)), ValueError, "x: expected features"),
    "kid list": (lambda: metrics.kid([[1., 2.]]*3, [[1., 2.]]*3), TypeError, "x: expected an array of real numbers"),
    "kid d0": (lambda: metrics.kid(f(4, 0), f(4, 0)), ValueError, "x: expected features"),
    "kid cplx": (lambda: metrics.kid(np.ones((4, 2), complex), f(4, 2)), TypeError, "x: expected an array of real numbers"),
    "frechet": (lambda: metrics.frechet(f(1, 2), f(4, 2)), ValueError, "x: expected features"),
    "fu": (lambda: metrics.frechet_unbiased(f(4, 2), f(4, 2), halvings=0), ValueError, "halvings: expected at least 1"),
    "fu -": (lambda: metrics.frechet_unbiased(f(4, 2), f(4, 2), halvings=-1), ValueError, "halvings: expected at least 1"),
    "is": (
        lambda: metrics.inception_score(lambda x: f(4, 2), u8(4, 8, 8, 3)),
        ValueError, "classifier: expected probabilities"),
    "is none": (lambda: metrics.inception_score(None, u8(4, 8, 8, 3)), TypeError, "classifier: expected a function"),
    "is splits": (
        lambda: metrics.inception_score(lambda x: f(4, 2)/2, u8(4, 8, 8, 3), splits=9),
        ValueError, "splits: expected 1 to 4"),
    "is nan": (
        lambda: metrics.inception_score(lambda x: f(4, 2)*np.nan, u8(4, 8, 8, 3), 2),
        ValueError, "classifier: expected probabilities"),
    "is splits f": (
        lambda: metrics.inception_score(lambda x: f(4, 2)/2, u8(4, 8, 8, 3), splits=1.5),
        TypeError, "splits: expected a whole number"),
    "c2st folds": (lambda: metrics.classifier_two_sample(f(8, 2), f(8, 2), folds=0), ValueError, "folds: expected at least 2"),
    "c2st folds1": (lambda: metrics.classifier_two_sample(f(8, 2), f(8, 2), folds=1), ValueError, "folds: expected at least 2"),
    "c2st folds f": (
        lambda: metrics.classifier_two_sample(f(8, 2), f(8, 2), folds=2.5),
        TypeError, "folds: expected a whole number"),
    "c2st ridge": (
        lambda: metrics.classifier_two_sample(f(8, 2), f(8, 2), ridge=0),
        ValueError, "ridge: expected a positive number"),
    "c2st ridge-": (
        lambda: metrics.classifier_two_sample(f(8, 2), f(8, 2), ridge=-1),
        ValueError, "ridge: expected a positive number"),
    "pr k": (lambda: metrics.precision_recall(f(4, 2), f(4, 2), k=0), ValueError, "k: expected at least 1"),
    "pr k-": (lambda: metrics.precision_recall(f(4, 2), f(4, 2), k=-1), ValueError, "k: expected at least 1"),
    "pr k big": (lambda: metrics.precision_recall(f(4, 2), f(4, 2), k=4), ValueError, "x: expected features"),
    "pr kf": (lambda: metrics.precision_recall(f(4, 2), f(4, 2), k=1.5), TypeError, "k: expected a whole number"),
    "mem": (
        lambda: metrics.memorisation(f(4, 2), f(4, 2), f(4, 2)),
        ValueError, "held_out: expected samples that are not in train, but half of them"),
    "mem len": (lambda: metrics.memorisation(f(4, 2), f(4, 3), f(4, 2)), ValueError, "x, y: expected features of one length"),
    "motion": (lambda: clip_scores.motion(u8(4, 8, 8, 3)), ValueError, "clips: expected shape"),
    "motion t1": (lambda: clip_scores.motion(u8(4, 1, 8, 8, 3)), ValueError, "clips: expected at least two frames"),
    "motion none": (lambda: clip_scores.motion(None), TypeError, "clips: expected an array of real numbers"),
    "motion nchw": (lambda: clip_scores.motion(u8(4, 5, 3, 8, 8)), ValueError, "clips: expected channels in the last axis,"),
    "motion W1": (
        lambda: clip_scores.motion_distance(u8(0, 5, 8, 8, 3), u8(4, 5, 8, 8, 3)),
        ValueError, "clips: expected at least 1 of them and no empty axis"),
    "bd share": (lambda: clip_scores.background_drift(u8(4, 5, 8, 8, 3), 2), ValueError, "share: expected a number in"),
    "bd": (lambda: clip_scores.background_drift(u8(4, 8, 8, 3)), ValueError, "clips: expected shape"),
    "bd nan": (lambda: clip_scores.background_drift(u8(4, 5, 8, 8, 3), float("nan")), ValueError, "share: expected a finite"),
    "bd e": (
        lambda: clip_scores.background_drift(u8(0, 5, 8, 8, 3)),
        ValueError, "clips: expected at least 1 of them and no empty axis"),
    "CS": (lambda: clip_scores.ClipScores(u8(4, 8, 8, 3)), ValueError, "real: expected shape"),
    "CS 1": (lambda: clip_scores.ClipScores(u8(1, 5, 8, 8, 3)), ValueError, "real: expected at least 2 of them and no empty axis"),
    "CS nchw": (lambda: clip_scores.ClipScores(u8(4, 5, 3, 8, 8)), ValueError, "real: expected channels in the last axis,"),
    "interval": (
        lambda: statistics.interval(lambda x: 1, f(4), repeats=1),
        ValueError, "repeats, level: expected at least 2 and a number in"),
    "interval lvl": (
        lambda: statistics.interval(lambda x: 1, f(4), level=2),
        ValueError, "repeats, level: expected at least 2 and a number in"),
    "interval none": (lambda: statistics.interval(None, f(4)), TypeError, "score: expected a function"),
    "interval 1": (lambda: statistics.interval(lambda x: x.mean(), f(1)), ValueError, "samples: expected at least 2 rows of each"),
    "anchors": (lambda: clip_scores.anchors(f(4, 5, 8, 8, 3), u8(4, 5, 8, 8, 3)), ValueError, "real: expected at least 4 clips"),
    "anchors few": (
        lambda: clip_scores.anchors(u8(3, 5, 8, 8, 3), u8(4, 5, 8, 8, 3)),
        ValueError, "real: expected at least 4 clips"),
    "anchors none": (lambda: clip_scores.anchors(None, None), TypeError, "real: expected an array of real numbers"),
    "anchors train": (lambda: clip_scores.anchors(u8(4, 5, 8, 8, 3), f(2)), ValueError, "train: expected shape"),
    "anchors nchw": (
        lambda: clip_scores.anchors(u8(4, 5, 3, 8, 8), u8(4, 5, 3, 8, 8)),
        ValueError, "real: expected channels in the last axis,"),
    "relative": (
        lambda: clip_scores.relative(1, 2, 2),
        ValueError, "independent: expected a score other than that of real clips, 2: th"),
    "relative str": (lambda: clip_scores.relative("a", 2, 3), TypeError, "score: expected a number"),
    "nn": (lambda: metrics.nearest_neighbour_two_sample(f(1, 2), f(4, 2)), ValueError, "x: expected features"),
    "to_float": (lambda: to_float(f(2)), ValueError, "to_float: clips has dtype float32, expected uint8"),
    "to_float none": (lambda: to_float(None), TypeError, "to_float: clips: expected an array of real numbers"),
    "to_uint8": (lambda: to_uint8(u8(2)), ValueError, "to_uint8: x has dtype uint8, expected floats"),
    "to_uint8 nan": (lambda: to_uint8(nan), ValueError, "to_uint8: x of shape"),
    "to_uint8 list": (lambda: to_uint8([1.]), TypeError, "to_uint8: x: expected an array of real numbers"),
    "motion d": (lambda: motion(u8(4, 8)), ValueError, "motion: clips: expected uint8"),
    "motion d none": (lambda: motion(None), TypeError, "motion: clips: expected an array of real numbers"),
    "motion f": (lambda: motion(f(4, 5, 8, 8, 3)), ValueError, "motion: clips: expected uint8"),
    "motion nchw d": (lambda: motion(u8(4, 5, 3, 8, 8)), ValueError, "motion: clips: expected channels in the last axis,"),
    "cut": (
        lambda: cut_clips(u8(6, 40, 40, 3), 2, np.random.default_rng(0)),
        ValueError, "frames: only 0 of 2 clips in which something moves"),
    "cut dims": (lambda: cut_clips(u8(6, 40, 40), 2, None), ValueError, "frames: expected shape"),
    "cut float": (
        lambda: cut_clips(f(6, 40, 40, 3), 2, np.random.default_rng(0)),
        ValueError, "frames: float32, expected uint8"),
    "cut count": (lambda: cut_clips(u8(6, 40, 40, 3), -1, np.random.default_rng(0)), ValueError, "count: expected at least 0"),
    "cut count f": (
        lambda: cut_clips(u8(6, 40, 40, 3), 1.5, np.random.default_rng(0)),
        TypeError, "count: expected a whole number"),
    "cut none": (lambda: cut_clips(None, 2, None), TypeError, "frames: expected an array of real numbers"),
    "cut rng": (lambda: cut_clips(u8(6, 40, 40, 3), 2, None), TypeError, "rng: expected a Generator"),
    "cut nchw": (lambda: cut_clips(u8(6, 3, 40, 40), 2, None), ValueError, "frames: expected channels in the last axis,"),
    "read none": (lambda: read_clips(None), TypeError, "expected str, bytes or os.PathLike object, not NoneType"),
    "read int": (lambda: read_clips(3), TypeError, "expected str, bytes or os.PathLike object, not int"),
    "read missing": (lambda: read_clips("/nonexist"), FileNotFoundError, "/nonexist: there is no such folder"),
    "read nul": (lambda: read_clips("a\0b"), FileNotFoundError, "a\u0000b: there is no such folder"),
    "cifar nul": (
        lambda: load_cifar10("a\0b"),
        FileNotFoundError, "a\u0000b: there is no such file or folder, expected cifar-10-python.tar"),
    "cifar none": (lambda: load_cifar10(None), TypeError, "expected str, bytes or os.PathLike object, not NoneType"),
    "cifar missing": (
        lambda: load_cifar10("/nonexist"),
        FileNotFoundError, "/nonexist: there is no such file or folder, expected cifar-10-pyth"),
    "pacman": (lambda: load_pacman(0), ValueError, "load_pacman: clips is 0, expected a whole number of at least 1"),
    "pacman f": (lambda: load_pacman(1.5), ValueError, "load_pacman: clips is 1.5, expected a whole number of at least 1"),
    "pacman huge": (lambda: load_pacman(10**15), ValueError, "load_pacman: clips and test_clips"),
    "games huge": (lambda: load_games(10**15), ValueError, "load_games: train and test"),
    "pacman cache": (lambda: load_pacman(1, cache=3), TypeError, "expected str, bytes or os.PathLike object, not int"),
    "games cache": (lambda: load_games(1, 1, cache=3), TypeError, "expected str, bytes or os.PathLike object, not int"),
    "pacman huge int": (lambda: load_pacman(2**70), ValueError, "load_pacman: clips and test_clips"),
    "pacman seed str": (
        lambda: load_pacman(1, seed="a"),
        ValueError, "load_pacman: seed is 'a', expected a whole number of at least 0"),
    "read none prog": (
        lambda: read_clips("/tmp", clips="a"),
        ValueError, "read_clips: clips is 'a', expected a whole number of at least 1"),
    "make_shapes": (lambda: shapes.make_shapes(0), ValueError, "count, frames: expected at least 1 of each"),
    "make f": (lambda: shapes.make_shapes(1.5), TypeError, "count: expected a whole number"),
    "make huge": (lambda: shapes.make_shapes(10**12), ValueError, "count, frames, size"),
    "make size": (lambda: shapes.make_shapes(1, size=5), ValueError, "size: expected at least 23, so that a shape can move"),
    "make seed": (lambda: shapes.make_shapes(1, seed=-1), ValueError, "seed: expected at least 0"),
    "render": (lambda: shapes.render([9], [[0, 0]]), ValueError, "shape: expected 0 to 3"),
    "render pos": (lambda: shapes.render([0], [[99, 0]]), ValueError, "position: expected 0 to 11"),
    "render float": (lambda: shapes.render([0.5], [[0, 0]]), ValueError, "shape: expected whole numbers"),
    "render posf": (lambda: shapes.render([0], [[0.5, 0]]), ValueError, "position: expected whole numbers"),
    "read_shapes": (lambda: shapes.read_shapes(f(4, 5, 32, 32, 3)), ValueError, "clips: expected uint8"),
    "read_shapes none": (lambda: shapes.read_shapes(None), TypeError, "clips: expected an array of real numbers"),
    "read_shapes nchw": (
        lambda: shapes.read_shapes(u8(4, 5, 3, 32, 32)),
        ValueError, "clips: expected channels in the last axis,"),
    "read batch0": (lambda: shapes.read_shapes(u8(1, 5, 32, 32, 3), batch=0), ValueError, "batch: expected at least 1"),
    "allowed": (lambda: shapes.allowed_steps(u8(4, 5)), ValueError, "positions: expected rows and columns"),
    "allowed none": (lambda: shapes.allowed_steps(None), TypeError, "positions: expected an array of real numbers"),
    "render bc": (
        lambda: shapes.render([0, 1, 2], [[0, 0], [1, 1]]),
        ValueError, "shape, position: expected shapes that broadcast"),
    "mg": (lambda: gaussians.make_gaussians(-1), ValueError, "count: expected at least 1"),
    "mh": (lambda: gaussians.modes_hit(f(4, 3)), ValueError, "samples: expected points of the plane"),
    "mh none": (lambda: gaussians.modes_hit(None), TypeError, "samples: expected an array of real numbers"),
    "mh e": (lambda: gaussians.modes_hit(f(0, 2)), ValueError, "samples: expected at least 1 of them and no empty axis"),
    "mh nan": (lambda: gaussians.modes_hit(nan), ValueError, "samples: expected finite numbers"),
    "over_seeds str": (lambda: statistics.over_seeds("ab"), TypeError, "values: expected an array of real numbers"),
    "over_seeds strs": (lambda: statistics.over_seeds(["1", "2"]), TypeError, "values: expected an array of real numbers"),
    "over_seeds none": (lambda: statistics.over_seeds([1., None]), TypeError, "values: expected an array of real numbers"),
    "over_seeds nan": (lambda: statistics.over_seeds([1., float("nan")]), ValueError, "values: expected finite numbers"),
    "over_seeds inf": (lambda: statistics.over_seeds([1., float("inf")]), ValueError, "values: expected finite numbers"),
    "over_seeds gen": (
        lambda: statistics.over_seeds(x for x in (1., 2.)),
        TypeError, "values: expected an array of real numbers"),
    "over_seeds 2d": (lambda: statistics.over_seeds(f(2, 2)), ValueError, "values: expected at least one number"),
    "verdict": (lambda: statistics.verdict([1, 0, 2], "x"), ValueError, "expected: \"below\" or \"above\""),
    "verdict few": (lambda: statistics.verdict([1], "below"), ValueError, "interval: expected"),
    "verdict none": (lambda: statistics.verdict(None, "below"), ValueError, "interval: expected"),
    "verdict nan": (lambda: statistics.verdict([1, float("nan"), 2], "below"), ValueError, "interval: expected a finite"),
    "verdict nan 2": (lambda: statistics.verdict([1, 0, float("nan")], "above"), ValueError, "interval: expected a finite"),
    "verdict half": (lambda: statistics.verdict([1, 0, None], "above"), TypeError, "interval: expected a number"),
    "verdict str": (lambda: statistics.verdict([1, "0", "2"], "above"), TypeError, "interval: expected a number"),
    "verdict turned": (lambda: statistics.verdict([1, 2, 0], "above"), ValueError, "interval: expected low <= high"),
    "verdict than": (lambda: statistics.verdict([1, 0, 2], "below", float("nan")), ValueError, "than: expected a finite"),
    "verdict than 1": (lambda: statistics.verdict([1, None, None], "below", None), TypeError, "than: expected a number"),
    "level": (lambda: statistics.over_seeds([1., 2.], level=2), ValueError, "level: expected a number in (0, 1)"),
    "level 1": (lambda: statistics.over_seeds([2., 2.], level=1), ValueError, "level: expected a number in (0, 1)"),
    "sheet": (lambda: plots.clip_sheet(u8(4, 8, 8, 3)), ValueError, "clips: expected shape"),
    "sheet f": (lambda: plots.clip_sheet(f(4, 5, 8, 8, 3)), ValueError, "clips: expected uint8"),
    "sheet cols": (lambda: plots.clip_sheet(u8(4, 5, 8, 8, 3), columns=0), ValueError, "columns: expected at least 1"),
    "sheet scale": (lambda: plots.clip_sheet(u8(4, 5, 8, 8, 3), scale=0), ValueError, "scale: expected at least 1"),
    "sheet e": (
        lambda: plots.clip_sheet(u8(0, 5, 8, 8, 3)),
        ValueError, "clips: expected at least 1 of them and no empty axis"),
    "sheet nchw": (lambda: plots.clip_sheet(u8(4, 5, 3, 8, 8)), ValueError, "clips: expected channels in the last axis,"),
    "sheet none": (lambda: plots.clip_sheet(None), TypeError, "clips: expected an array of real numbers"),
    "save clips": (lambda: plots.save_clips("/tmp/x.png", f(4, 5, 8, 8, 3)), ValueError, "clips: expected uint8"),
    "anim": (lambda: plots.save_animation("/tmp/x.gif", u8(4, 8, 8, 3)), ValueError, "clips: expected shape"),
    "anim e": (
        lambda: plots.save_animation("/tmp/x.gif", u8(0, 5, 8, 8, 3)),
        ValueError, "clips: expected at least 1 of them and no empty axis"),
    "cell": (lambda: report.cell([1]), TypeError, "value: expected a number, [value, low, high]"),
    "cell nan": (lambda: report.cell(object()), TypeError, "value: expected a number, [value, low, high]"),
    "save_json": (
        lambda: report.save_json("/tmp/x.json", {"a": object()}),
        TypeError, "Object of type object is not JSON serializable"),
    "cell bool list": (lambda: report.cell([True, None]), TypeError, "value: expected a number, [value, low, high]"),
    "table": (lambda: report.text_table(None), TypeError, "table, title: expected a dict and a text"),
    "intervals": (lambda: plots.save_intervals(FOLDER + "/x.png", {}), ValueError, "panels: expected at least one metric"),
    "intervals none": (lambda: plots.save_intervals(FOLDER + "/x.png", None), TypeError, "panels: expected a dict"),
    "intervals nan": (
        lambda: plots.save_intervals(FOLDER + "/x.png", {"m": {"a": [1.0, float("nan")]}}),
        ValueError, "values: expected finite numbers"),
    "lines": (lambda: plots.save_lines(FOLDER + "/x.png", [1], "x", "y"), TypeError, "curves: expected a dict"),
    "anim ms": (
        lambda: plots.save_animation(FOLDER + "/x.gif", u8(1, 5, 8, 8, 3), frame_ms=0),
        ValueError, "frame_ms: expected"),
    "sheet gap": (lambda: plots.clip_sheet(u8(1, 5, 8, 8, 3), gap=-1), ValueError, "gap: expected at least 0"),
    "sheet huge": (lambda: plots.clip_sheet(u8(1, 5, 8, 8, 3), scale=10**9), ValueError, "columns, scale, gap"),
    "records int": (lambda: read_records(1), TypeError, "expected str, bytes or os.PathLike object, not int"),
    "encode tensor": (lambda: mali.encode(T(f(2, 2))), TypeError, "x: expected an array of real numbers, got Tensor"),
    "fit tensor": (lambda: mali.fit(T(f(8, 2)), steps=1), TypeError, "data: expected an array of real numbers, got Tensor"),
    "kid tensor": (lambda: metrics.kid(T(f(4, 2)), f(4, 2)), TypeError, "x: expected an array of real numbers, got Tensor"),
    "ali sample 0 as rng": (lambda: mali.sample(2, 0), TypeError, "rng: expected a Generator, got int"),
    "gan sample dict": (lambda: gan.sample(2, {}), TypeError, "rng: expected a Generator, got dict"),
    "vae sample list": (lambda: vae.sample(2, []), TypeError, "rng: expected a Generator, got list"),
    "Encoder": (lambda: Encoder(None, lin), TypeError, "body: expected a function"),
    "Decoder": (lambda: Decoder(lin, 3), TypeError, "body: expected a function"),
    "Discriminator": (lambda: Discriminator(lin, lin, f(2)), TypeError, "joint: expected a function"),
    "JointGAN critic": (
        lambda: ldf.JointGAN(jg.generator, jg.discriminator, 4, 3, frame_discriminator=len),
        TypeError, "frame_discriminator: expected a Module"),
    "code array": (lambda: mali.encode(f(2, 2), f(2)), ValueError, "code: expected \"h\" or \"z\""),
    "loss array": (lambda: losses.generator_loss(T(f(2)), f(2)), ValueError, "loss: expected one of"),
    "penalty array": (lambda: penalty.check_penalty(f(2)), ValueError, "penalty: expected one of"),
    "rec list": (lambda: losses.reconstruction_loss(T(f(2)), [1.0]), TypeError, "reconstruction: expected a Tensor"),
    "ali_loss": (lambda: losses.ali_loss([1.0], T(f(2))), TypeError, "real: expected a Tensor"),
    "annealed nan": (lambda: penalty.annealed(1.0, float("nan")), ValueError, "progress: expected a finite number"),
    "annealed final": (lambda: penalty.annealed(1.0, 0.5, -1), ValueError, "final: expected a finite number of at least 0"),
    "falling nan": (lambda: optim.falling(0.7, float("nan")), ValueError, "final: expected a finite number"),
    "roth list": (lambda: penalty.roth_penalty(lin(T(f(2, 2))), [], True), TypeError, "inputs: expected a Tensor or a list"),
    "roth array": (lambda: penalty.roth_penalty(lin(T(f(2, 2))), [f(2, 2)], True), TypeError, "inputs[0]: expected a Tensor"),
    "pl function": (
        lambda: penalty.penalized_logits(3, (f(2, 2),), (f(2, 2),)),
        TypeError, "discriminator: expected a function"),
    "pl rng": (
        lambda: penalty.penalized_logits(lin, (f(2, 2),), (f(2, 2),), "wgan-gp", 3),
        ValueError, "give rng, a Generator"),
    "he": (lambda: nn.he("a"), TypeError, "slope: expected a number"),
    "init nan": (lambda: nn.normal(float("nan")), ValueError, "std: expected a finite number of at least 0"),
    "log_odds eps": (lambda: nn.log_odds(f(2, 3), eps=0), ValueError, "eps: expected a number in (0, 0.5)"),
    "Conv none": (lambda: nn.Conv2d(3, None, 3, rng=rng), TypeError, "Conv2d: c_out: expected a whole number"),
    "ConvT none": (lambda: nn.ConvTranspose2d(None, 3, 3, rng=rng), TypeError, "ConvTranspose2d: c_in: expected a whole number"),
    "Flatten list": (lambda: nn.Flatten()([1.0]), TypeError, "Flatten: x: expected a Tensor"),
    "Reshape array": (lambda: nn.Reshape(2)(f(2, 2)), TypeError, "Reshape: x: expected a Tensor"),
    "Dropout list": (lambda: nn.Dropout(0.5, rng=rng)([1.0]), TypeError, "Dropout: x: expected a Tensor"),
    "linear weight": (lambda: ldf.ops.linear(T(f(2, 2)), None, f(2)), TypeError, "linear: expected a Tensor or an array"),
    "stack none": (lambda: ldf.stack(None), TypeError, "stack: parts: expected a list"),
    "stack spent": (lambda: ldf.stack(iter([])), TypeError, "stack: parts: expected a list"),
    "mean axis f": (lambda: ldf.mean(f(2, 2), axis=1.0), TypeError, "axis: expected a whole number"),
    "reshape bool": (lambda: ldf.reshape(f(1), (True, 1)), TypeError, "shape: expected whole numbers"),
    "conv k array": (lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), stride=np.array([1, 1])), ValueError, "stride is"),
    "Adam betas s": (lambda: optim.Adam(lin, betas=("a", 0.9)), ValueError, "Adam: betas: expected two numbers in"),
    "Adam eps inf": (lambda: optim.Adam(lin, eps=float("inf")), ValueError, "Adam: eps: expected a positive number"),
    "cg array": (
        lambda: ldf.check_grads(lambda x: x, f(2)),
        ValueError, "check_grads: args: expected at least one argument, in a"),
    "cg nan": (lambda: ldf.check_grads(lambda x: x, [nan]), ValueError, "check_grads: args[0]: expected finite numbers"),
    "cg eps": (lambda: ldf.check_grads(lambda x: x, [f(2)], eps="a"), TypeError, "check_grads: eps: expected a number"),
    "ce list": (lambda: cross_entropy([1.0], f(1)), TypeError, "logits: expected a Tensor"),
    "normal_kl list": (lambda: normal_kl([1.0], T(f(2))), TypeError, "mean: expected a Tensor"),
    "normal_nll nan": (lambda: normal_nll(float("nan"), 1.0, 3), ValueError, "error: expected a finite number of at least 0"),
    "vae kl": (lambda: VAE(vae.encoder, vae.decoder, 4, kl_weight=float("inf")), ValueError, "kl_weight: expected a finite"),
    "vae var s": (lambda: VAE(vae.encoder, vae.decoder, 4, variance="a"), TypeError, "variance: expected a number"),
    "matched": (lambda: baselines.matched(None, 100), TypeError, "make: expected a function"),
    "matched nan": (lambda: baselines.matched(lambda n: lin, float("nan")), TypeError, "parameters: expected a whole number"),
    "joint_gan": (lambda: baselines.joint_gan(None), TypeError, "frames: expected a whole number"),
    "joint_ali hidden": (lambda: baselines.joint_ali(3, 8, hidden="a"), TypeError, "hidden: expected a whole number"),
    "PatchCritic": (lambda: patch_nets.PatchCritic(lin, stride=0), ValueError, "stride: expected at least 1"),
    "PatchCritic x": (
        lambda: patch_nets.PatchCritic(lin)(T(f(1, 3, 32, 32))),
        ValueError, "x: expected square images (n, h, w, c) of at least 16"),
    "image_ali": (lambda: patch_nets.image_ali(None), TypeError, "images: expected an array of real numbers"),
    "image_ldf nchw": (
        lambda: patch_nets.image_ldf(u8(8, 3, 32, 32)),
        ValueError, "images: expected channels in the last axis"),
    "linear_ali": (lambda: linear_ldf.linear_ali(None, 1), TypeError, "d: expected a whole number"),
    "PF call none": (
        lambda: metrics.PrincipalFeatures(np.eye(27, dtype=np.float32).reshape(27, 3, 3, 3), 2)(None),
        TypeError, "images: expected an array of real numbers"),
    "motion nan": (lambda: clip_scores.motion(np.full((2, 3, 8, 8, 3), np.nan, np.float32)), ValueError, "images: expected finite"),
    "drift nan": (
        lambda: clip_scores.background_drift(np.full((2, 3, 8, 8, 3), np.nan, np.float32)),
        ValueError, "images: expected finite numbers"),
    "ClipScores": (lambda: clip_scores.ClipScores(u8(2, 3, 8, 8, 3), None), TypeError, "features: expected a function"),
    "interval nan": (
        lambda: statistics.interval(lambda x: float("nan"), f(4)),
        ValueError, "the score: expected a finite number"),
    "interval level s": (lambda: statistics.interval(np.mean, f(4), level="a"), TypeError, "level: expected a number"),
    "relative nan": (lambda: clip_scores.relative(float("nan"), 0.0, 1.0), ValueError, "score: expected a finite number"),
    "relative inf": (lambda: clip_scores.relative(1.0, float("inf"), 1.0), ValueError, "real: expected a finite number"),
    "spawn huge": (lambda: rng.spawn(2**40), ValueError, "count: expected 0 to 1048576"),
    "normal dtype s": (lambda: rng.random(2, "banana"), TypeError, "dtype: expected float32 or float64"),
    "render huge": (lambda: shapes.render([0], [[0, 0]], size=10**6), ValueError, "shape, size"),
    "render small": (lambda: shapes.render([0], [[0, 0]], size=3), ValueError, "size: expected at least 21"),
    "allowed 2 axes": (lambda: shapes.allowed_steps(np.zeros((4, 2), int)), ValueError, "positions: expected rows and columns"),
    "allowed nan": (lambda: shapes.allowed_steps(f(1, 3, 2) * np.nan), ValueError, "positions: expected rows and columns"),
    "mg seed": (lambda: gaussians.make_gaussians(3, seed=None), TypeError, "seed: expected a whole number"),
    "mh least": (lambda: gaussians.modes_hit(f(3, 2), least="a"), TypeError, "least: expected a whole number"),
    "mh radius": (lambda: gaussians.modes_hit(f(3, 2), radius=float("nan")), ValueError, "radius: expected a finite number"),
    "model rho": (lambda: gaussian.BlockModel(rho="a"), ValueError, "rho: expected a finite number"),
    "model theta": (lambda: gaussian.BlockModel(theta=None), ValueError, "theta: expected a finite number"),
    "model R": (lambda: gaussian.BlockModel(k=2, R=np.eye(2) * 1j), ValueError, "R: expected real numbers"),
    "model rng": (lambda: gaussian.BlockModel().frames(4, None), TypeError, "rng: expected a numpy.random.Generator"),
    "measure": (lambda: estimators.measure(None, [8], 8, 1, None), TypeError, "model: expected a BlockModel"),
    "measure few": (lambda: estimators.measure(gaussian.BlockModel(), [], 8, 1, None), TypeError, "n_joints: expected a list"),
    "predict": (lambda: gaussian_curves.predict(None, 8, 8), TypeError, "model: expected a BlockModel"),
    "gamma": (lambda: gaussian_theory.bbp_threshold(-1.0), ValueError, "gamma: expected finite numbers of at least 0"),
    "theta nan": (
        lambda: gaussian_theory.spike_cosine2([1.0, float("nan")], 0.5),
        ValueError, "theta: expected finite numbers"),
    "wishart": (lambda: gaussian_theory.wishart_kl(10, 2.5), ValueError, "p: expected a whole number"),
    "quantile": (lambda: gaussian_theory.tracy_widom_quantile(1.5), ValueError, "probability: expected a number in (0, 1)"),
    "roth number": (lambda: penalty.roth_penalty(lin(T(f(2, 2))), T(f(2, 2)), 5), ValueError, "real: expected one boolean"),
    "slope none": (lambda: ldf.ops.scale_shift(T(f(2, 3)), f(3), f(3), None), TypeError, "slope: expected a number"),
    "slope list": (lambda: ldf.conv2d(f(1, 4, 4, 1), f(2, 2, 1, 1), slope=[1]), TypeError, "slope: expected a number"),
    "autoregressive": (lambda: gaussian.autoregressive(0.5, 2.5), ValueError, "k: expected a whole number"),
    "power p": (lambda: gaussian_theory.detection_power(1.0, 20, None), ValueError, "p: expected a whole number"),
    "power theta": (lambda: gaussian_theory.detection_power(-1.0, 20, 10), ValueError, "theta: expected finite numbers"),
    "level none": (lambda: gaussian_theory.critical_eigenvalue(20, 10, None), ValueError, "level: expected a finite number"),
}


# Where whole numbers are meant, True is none: Python would take it as 1.
X, W, YES = f(1, 4, 4, 1), f(2, 2, 1, 1), (True, np.True_)
WHOLE = {
    "conv2d stride": lambda yes: ldf.conv2d(X, W, stride=yes),
    "conv2d strides": lambda yes: ldf.conv2d(X, W, stride=(1, yes)),
    "conv2d padding": lambda yes: ldf.conv2d(X, W, padding=yes),
    "conv_transpose2d stride": lambda yes: ldf.conv_transpose2d(X, W, stride=yes),
    "conv_transpose2d output_size": lambda yes: ldf.conv_transpose2d(X, W, output_size=(5, yes)),
    "conv2d_weight kernel_size": lambda yes: ldf.conv2d_weight(X, X, kernel_size=yes),
    "Conv2d kernel_size": lambda yes: nn.Conv2d(1, 1, yes, rng=rng),
    "Conv2d channels": lambda yes: nn.Conv2d(yes, 1, 3, rng=rng),
    "ConvTranspose2d padding": lambda yes: nn.ConvTranspose2d(1, 1, 3, padding=yes, rng=rng),
    "Linear": lambda yes: nn.Linear(yes, 1, rng=rng),
    "BatchNorm": lambda yes: nn.BatchNorm(yes),
    "Maxout": lambda yes: nn.Maxout(yes),
    "Reshape": lambda yes: nn.Reshape(yes),
    "sum": lambda yes: ldf.sum(f(2, 2), axis=yes),
    "sum axes": lambda yes: ldf.sum(f(2, 2), axis=(0, yes)),
    "mean": lambda yes: ldf.mean(f(2, 2), axis=yes),
    "max": lambda yes: T(f(2, 2)).max(axis=yes),
    "maxout": lambda yes: ldf.maxout(f(2, 2), yes),
    "reshape": lambda yes: ldf.reshape(f(1), yes),
    "reshape shape": lambda yes: T(f(2)).reshape(2, yes),
    "transpose": lambda yes: ldf.transpose(f(2, 2), axes=(yes, 0)),
    "transpose method": lambda yes: T(f(2, 2)).transpose(yes, 0),
    "swapaxes": lambda yes: ldf.ops.swapaxes(f(2, 2), 0, yes),
    "concatenate": lambda yes: ldf.concatenate([f(2, 2), f(2, 2)], axis=yes),
    "stack": lambda yes: ldf.stack([f(2), f(2)], axis=yes),
    "split": lambda yes: ldf.split(f(2, 2), yes),
    "split places": lambda yes: ldf.split(f(2, 2), [yes]),
    "split axis": lambda yes: ldf.split(f(2, 2), 2, axis=yes),
    "pad": lambda yes: ldf.pad(f(2), ((yes, 0),)),
    "Generator": lambda yes: ldf.Generator(yes),
    "random": lambda yes: rng.random(yes),
    "random shape": lambda yes: rng.standard_normal((2, yes)),
    "integers": lambda yes: rng.integers(0, yes),
    "permutation": lambda yes: rng.permutation(yes),
    "spawn": lambda yes: rng.spawn(yes),
    "set_num_threads": lambda yes: ldf.set_num_threads(yes),
    "check_grads": lambda yes: ldf.check_grads(lambda x: x, [f(2)], order=yes),
    "batch_size": lambda yes: mali.fit(f(8, 2), steps=1, batch_size=yes),
    "steps": lambda yes: mali.fit(f(8, 2), steps=yes, batch_size=4),
    "minutes": lambda yes: mali.fit(f(8, 2), minutes=yes, batch_size=4),
    "sample": lambda yes: mali.sample(yes),
    "latent_size": lambda yes: ldf.GAN(gan.generator, gan.discriminator, yes),
    "frames": lambda yes: ldf.JointGAN(jg.generator, jg.discriminator, 4, yes),
    "Frames": lambda yes: Frames(yes),
    "Patches": lambda yes: Patches(yes, 2),
    "Groups": lambda yes: Groups(yes, 4, (2,)),
    "Whitening": lambda yes: Whitening((4,), yes),
    "Whitening shape": lambda yes: Whitening((4, yes), 2),
    "clip_ldf": lambda yes: nets.clip_ldf(u8(8, 5, 32, 32, 3), shared=yes),
    "mlp_ali": lambda yes: nets.mlp_ali(2, yes),
    "small_ali": lambda yes: nets.small_ali(8, yes),
    "Adam lr": lambda yes: optim.Adam(lin, yes),
    "kid folds": lambda yes: metrics.classifier_two_sample(f(8, 2), f(8, 2), folds=yes),
    "splits": lambda yes: metrics.inception_score(lambda x: f(4, 2) / 2, u8(4, 8, 8, 3),
                                                  splits=yes),
    "features width": lambda yes: metrics.features(u8(4, 8, 8, 3), width=yes),
    "make_shapes": lambda yes: shapes.make_shapes(yes),
    "make_shapes frames": lambda yes: shapes.make_shapes(1, frames=yes),
    "make_gaussians": lambda yes: gaussians.make_gaussians(yes),
    "cut_clips": lambda yes: cut_clips(u8(6, 40, 40, 3), yes, np.random.default_rng(0)),
    "load_pacman": lambda yes: load_pacman(yes),
    "load_pacman seed": lambda yes: load_pacman(1, 1, seed=yes),
    "load_games": lambda yes: load_games(yes),
    "read_clips": lambda yes: read_clips(FOLDER, clips=yes),
    "clip_sheet": lambda yes: plots.clip_sheet(u8(4, 5, 8, 8, 3), scale=yes),
}


def refused(call, kind, message):
    """Whether a call is refused as it has to be; where not, what happened, as a text."""
    error, came, taken = attempt(call)
    return isinstance(error, kind) and message in str(error) and taken < MEMORY or came


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_named(name):
    assert refused(*CASES[name]) is True


@pytest.mark.parametrize("name", WHOLE)
def test_true_is_no_whole_number(name):
    for yes in YES:
        error, came, _ = attempt(lambda: WHOLE[name](yes))
        assert isinstance(error, (TypeError,
                                  ValueError)) and "expected" in str(error) and "True" in str(
                                      error), came


@pytest.mark.parametrize("planted", [
    lambda: ldf.Tensor(f(2)),                                           # a wrong shape is let through
    lambda: f(2)[5],                                                    # an error from the depths
    lambda: (np.zeros(2 * MEMORY, np.uint8), ldf.reshape(f(5), (2, 3))),     # memory is taken first
])
def test_a_planted_fault_is_noticed(planted):
    assert refused(lambda: ldf.reshape(f(5), (2, 3)), ValueError, "reshape(") is True
    assert refused(planted, ValueError, "reshape(") is not True


def test_a_small_operation_still_takes_what_it_took():
    """The checks stand at the public boundary: what is right passes them."""
    assert ldf.split(f(4), np.int64(2))[1].shape == (2,)
    assert ldf.conv2d(f(1, 2, 2, 3), f(1, 1, 3, 2), bias=f(2)).shape == (1, 2, 2, 2)
    assert clip_scores.as_channels(u8(2, 5, 8, 8, 3)).shape == (2, 8, 8, 15)
    assert Patches(2, 2).split(u8(2, 8, 8, 1)).shape == (2, 4, 4, 4, 1)
