"""What networks, trainings and models ask of their arguments: of one that has a name of this table
the same in every function.

    @checked(size=multiple(8))      # and the table's rules for the other arguments
    def small_ali(size=32, channels=3, latent_size=64, ...): ...

What several arguments have to be to one another is in relations.py. Nothing of the rooms above is
imported: their classes are known here by name.
"""

import numpy as np

from . import checks
from .checks import channels_last_array, expect, integer, named, optional, positive, real
from .random import generator

LOSSES = ("non-saturating", "saturating", "least-squares", "bgan", "relativistic")
PENALTIES = ("roth", "unweighted", "r1", "wgan-gp", "none")
MODULE, TENSOR, GENERATOR = named("Module"), named("Tensor"), generator


def checked(*relations, **rules):
    """``checks.checked`` with the rules of the table; a rule given here goes before it."""
    return checks.checked(RULES, *relations, **rules)


# Rules.

def samples(name, x):
    """What is trained on: finite float32 numbers, or uint8 images."""
    expect(checks.finite_array(least=1)(name, x).dtype in (np.uint8, np.float32), name,
           "float32, or uint8 images",
           f"{x.dtype}{': array.astype(numpy.float32) is' if x.dtype.kind == 'f' else ''}")


def model_input(name, x):
    """What enters a model: finite floats, or uint8 images."""
    dtype = checks.finite_array(least=1)(name, x).dtype
    expect(dtype.kind == "f" or dtype == np.uint8, name, "floats, or uint8 images", str(dtype))


def fractions(name, x):
    """Floating-point numbers from 0 to 1."""
    low, high = (a := checks.finite_array(least=1)(name, x)).min(), a.max()
    expect(a.dtype.kind == "f" and low >= 0 and high <= 1, name, "floats from 0 to 1",
           f"{a.dtype} from {low} to {high}")


def pixels(name, x):
    """Images (..., c) of at least two pixels, channels last."""
    if checks.finite_array()(name, x).ndim == 4:
        checks.channels_last_array("n, h, w, c", 0)(name, x)
    expect(x.ndim and x.size > x.shape[-1], name, "at least two pixels", x)


def square_matrix(name, x):
    """An array (c, c) of finite numbers."""
    expect(len({*checks.finite_array("c, c")(name, x).shape}) == 1, name, "shape (c, c)", x)


def stochastic(name, encoder):
    """An encoder that gives a mean and a log-variance."""
    expect(getattr(MODULE(name, encoder), "stochastic", False), name,
           "a stochastic one, which gives a mean and a log-variance", type(encoder).__name__)


def module_with(what, *attributes):
    """A Module that can do these; ``what``: its kind, in words."""
    return lambda name, value: checks.having(what, *attributes)(name, MODULE(name, value))


coder = module_with("a model that encodes and decodes, ALI say", "encode", "decode")


def function_or(*texts):
    """Something that can be called, or one of the texts."""
    return lambda name, value: callable(value) or checks.one_of(*texts)(name, value)


def tensor_or(rule):
    """A Tensor, or what ``rule`` allows."""
    return lambda name, value: hasattr(value, "node") or rule(name, value)


def part_of_one(name, value):
    """A number in [0, 1], or an array on the device, which is not looked into."""
    return hasattr(value, "shape") or real(0, 1)(name, value)


def draws_points(name, rng):
    """A Generator for a penalty that needs one."""
    GENERATOR(f"{name}, which draws points between real and fake for wgan-gp", rng)


def whole_network(name, value):
    """A Module, not a list of its parameters as in PyTorch."""
    if isinstance(value, (list, tuple)):
        raise TypeError(f"{name}: expected a Module, got {type(value).__name__}: hand over the "
                        "network itself, not its parameters()")
    MODULE(name, value)


def numbers(name, losses):
    """What a step returns: {name: number}."""
    found = losses if isinstance(losses, dict) else {"the losses": losses}
    for loss, value in found.items():
        if not checks.is_number(value):
            raise TypeError(f"{name}: expected to return {{name: number}}, got "
                            f"{checks.full_name(type(value))} for {loss!r}: float(loss) is the "
                            "number in a Tensor")
    checks.instance(dict)(name, losses)


def scores(name, found):
    """What a score returns: a number, or several (NaN too)."""
    array = np.atleast_1d(found)
    if array.dtype.kind not in "fiu" or not array.size:
        raise TypeError(f"{name}: expected to return a number, or several, got {found!r:.80}")
    return array.tolist()


def some_numbers(name, values):
    """Numbers of at least 0, in whatever has a length."""
    checks.several(real(0), 0)(name, [*values] if hasattr(values, "__len__") else values)


def scalars(name, losses):
    """What a compiled step returns: {name: Tensor of one element}."""
    for loss, value in losses.items():
        TENSOR(f"{name}: the loss {loss!r}", value)
        expect(value.size == 1, f"{name}: the loss {loss!r}", "a Tensor of one element", value)


def row_numbers(name, given, rows, count):
    """Whole numbers, ``rows``, as they were given, of a table with this many rows."""
    if rows.dtype.kind not in "iu" or not (rows == given).all():
        raise TypeError(f"{name}: expected whole numbers, got {given.dtype} of shape {given.shape}")
    expect(not rows.size or 0 <= rows.min() <= rows.max() < count, name,
           f"whole numbers from 0 to {count - 1}", rows.size and f"{rows.min()} to {rows.max()}")


BOUNDED = {"Tanh": (-1, 1), "Sigmoid": (0, 1)}


def last_layer(network):
    """The kind of a network's last layer."""
    while network is not None and (children := [*network.children()]):
        network = children[-1][1]
    return type(network).__name__


def in_range(name, x, network):
    """The last layer of a network can make the values of x: a Tanh, say, none of images from 0 to
    16."""
    kind = last_layer(network)
    if kind in BOUNDED:
        least, most = BOUNDED[kind]
        low, high = (-1, 1) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
        expect(least - 1e-3 <= low <= high <= most + 1e-3, name,
               f"values from {least} to {most}, as its last layer, a {kind}, makes them",
               f"{low:g} to {high:g}: scale the data (uint8 images, 0 to 255, become -1 to 1 by "
               "themselves)")


FAR = 10        # beyond what a model made for values up to 1 can meet, noise and all


def of_its_scale(name, x, network):
    """x is not of another scale than what a network makes: of 0 to 255, say."""
    if x.dtype != np.uint8 and max(-x.min(), x.max()) > FAR:
        in_range(name, x, network)


def two_decays(name, betas):
    """Two numbers in [0, 1)."""
    checks.several(checks.between(0, 1, "["), 2)(name, betas)
    expect(len(betas) == 2, name, "two", betas)


def one_or_several(name, value):
    """A whole number, or a list of them."""
    (checks.several(integer()) if isinstance(value, (list, tuple)) else integer())(name, value)


def map_shape(name, shape):
    """(h, w, c), h and w multiples of 4, which two strides of two divide."""
    checks.several(integer(), 3, "whole numbers (h, w, c)")(name, shape)
    for side in shape[:2]:
        checks.multiple(4)(f"{name}: a side", side)


def lengths(name, shape):
    """The lengths of axes, of which -1 is what is left."""
    for n in shape:
        integer(-1 if checks.is_whole(n) and n == -1 else 1)(name, n)


def code_shape(name, shape):
    """The shape of a code, or of all codes of an object."""
    checks.several(integer(), what="whole number")(name, shape)


def counted_shape(name, shape):
    """The shape of all codes of an object, (count, ...), which fit into memory."""
    checks.several(integer(), 2, "whole numbers (count, ...)")(name, shape)
    checks.check_size(name, shape)


def code_of_step(name, shape):
    """The shape of a step's code."""
    code_shape(name, shape)
    expect(len(shape) in (1, 3), name, "(h, w, c), or (c,) for codes without places", shape)


def placed_codes(name, codes):
    """Codes of factors, with places or without."""
    expect(checks.real_array()(name, codes).ndim in (3, 5), name,
           "(n, count, c) or (n, count, h, w, c)", codes)


def covariance_size(name, n):
    """The length of vectors whose covariance fits into memory."""
    checks.check_size(name, (integer()(name, n), n))


SPLIT = "Frames, Patches, Groups or another Split"


def counted(name, split):
    """A split into a certain number of factors."""
    checks.having(SPLIT, "split", "merge", "count")(name, split)
    expect(split.count is not None, name, "one of a certain number of factors", "any number")


def counted_split(name, split):
    """A split that lays the codes of a certain number of factors in maps."""
    checks.having(SPLIT, "to_maps", "from_maps")(name, split)
    counted(name, split)


CLIPS, IMAGES = channels_last_array("n, t, h, w, c", 8), channels_last_array("n, h, w, c")

RULES = {
    **dict.fromkeys((
        "batch_size", "below", "c_in", "c_out", "channels", "classes", "columns",
        "count", "depth", "each", "embedding_dim", "frames", "hidden", "high", "latent_size", "low",
        "n", "n_in", "n_out", "noise", "num_embeddings", "parameters", "pieces", "rows", "size",
        "steps", "width"), integer()),
    **dict.fromkeys(("every", "final_gamma", "final_lr", "gamma", "kl_weight", "latent_weight",
                     "shortcut_weight", "std"), real(0)),
    **dict.fromkeys(("eps", "lr", "minutes"), positive), "variance": optional(positive),
    **dict.fromkeys(("momentum", "slope", "strength"), real(0, 1)),
    **dict.fromkeys(("decay", "p"), checks.between(0, 1, "[")),
    **dict.fromkeys(("decoder", "discriminator", "encoder", "frame_discriminator", "generator",
                     "model"), MODULE),
    "top": module_with("a GAN, or another model to sample from", "sample"),
    "whitening": module_with("a Whitening", "apply", "invert"),
    **dict.fromkeys(("body", "callback", "critic", "head", "init", "joint", "make", "x_net",
                     "z_net"), checks.function),
    **dict.fromkeys(("log_variance", "logits", "mean", "reconstruction"), TENSOR),
    **dict.fromkeys(("also", "settings"), checks.instance(dict)),
    **dict.fromkeys(("inner", "outer", "split"), checks.having(SPLIT, "split", "merge", "count")),
    **dict.fromkeys(("kind", "loss"), checks.one_of(*LOSSES)),
    **dict.fromkeys(("bottom_share", "refiner_share"), checks.between(0, 1)),
    "characters": integer(2),
    "checkpoints": checks.having("a checkpoint.Checkpoints", "begin"),
    "code": checks.one_of("h", "z"), "code_shape": code_shape,
    "colour_metric": optional(square_matrix), "data": samples,
    "discriminators": checks.several(MODULE, what="Module"), "images": checks.images_or_vectors,
    "layers": checks.several(MODULE, 0), "layout": checks.one_of("channels", "rows"),
    "length": checks.multiple(4), "levels": checks.several(named("Level"), what="Level"),
    "mapping": optional(MODULE),
    "metric": checks.real_array("c, c"), "nested": named("Nested"),
    "on_nan": checks.one_of("stop", "back-off"), "penalty": checks.one_of(*PENALTIES),
    "rng": GENERATOR, "schedule": checks.one_of("bottom-first", "together"),
    "shape": checks.several(integer(), 3, "whole numbers (h, w, c)"), "step_shape": code_of_step,
    "windows": checks.several(integer(), what="whole number")}
