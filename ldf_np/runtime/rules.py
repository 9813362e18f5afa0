"""What networks, trainings and models ask of their arguments: of one that has a name of this table
the same in every function.

    @checked(size=multiple(8))      # and the table's rules for the other arguments
    def small_ali(size=32, channels=3, latent_size=64, ...): ...

Nothing of the rooms above is imported: their classes are known here by name.
"""

import numpy as np

from . import checks
from .checks import expect, integer, named, optional, real
from .distributed import world
from .random import Generator, generator

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
           "float32, or uint8 images", str(x.dtype))


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


def function_or(*texts):
    """Something that can be called, or one of the texts."""
    return lambda name, value: callable(value) or checks.one_of(*texts)(name, value)


def tensor_or(rule):
    """A Tensor, or what ``rule`` allows."""
    return lambda name, value: hasattr(value, "node") or rule(name, value)


def part_of_one(name, value):
    """A number in [0, 1], or an array on the device, which is not looked into."""
    return hasattr(value, "shape") or real(0, 1)(name, value)


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


def in_range(name, x, network):
    """The last layer of a network can make the values of x: a Tanh, say, none of images from 0 to
    16."""
    layer = network
    while layer is not None and (children := [*layer.children()]):
        layer = children[-1][1]
    kind = type(layer).__name__
    if kind in ("Tanh", "Sigmoid"):
        least, most = (-1, 1) if kind == "Tanh" else (0, 1)
        low, high = (-1, 1) if x.dtype == np.uint8 else (float(x.min()), float(x.max()))
        expect(least - 1e-3 <= low <= high <= most + 1e-3, name,
               f"values from {least} to {most}, as its last layer, a {kind}, makes them",
               f"{low:g} to {high:g}: scale the data (uint8 images, 0 to 255, become -1 to 1 by "
               "themselves)")


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


def length(name, value):
    """The length of an axis, or -1 for what is left."""
    return integer(-1 if checks.is_whole(value) and value == -1 else 1)(name, value)


def step_shape(name, shape):
    """The shape of a step's code."""
    checks.several(integer(), what="whole number")(name, shape)
    expect(len(shape) in (1, 3), name, "(h, w, c), or (c,) for codes without places", shape)


RULES = {
    **dict.fromkeys((
        "batch_size", "below", "c_in", "c_out", "channels", "classes", "columns", "count", "frames",
        "hidden", "high", "latent_size", "low", "n", "n_in", "n_out", "noise", "parameters",
        "pieces", "rows", "size", "width"), integer()),
    **dict.fromkeys(("each", "steps"), optional(integer())),
    **dict.fromkeys(("every", "final_gamma", "final_lr", "gamma", "kl_weight", "latent_weight",
                     "shortcut_weight", "std"), real(0)),
    **dict.fromkeys(("eps", "lr"), checks.positive),
    **dict.fromkeys(("minutes", "variance"), optional(checks.positive)),
    **dict.fromkeys(("momentum", "slope", "strength"), real(0, 1)),
    **dict.fromkeys(("decay", "p"), checks.between(0, 1, "[")),
    **dict.fromkeys(("decoder", "discriminator", "encoder", "generator", "model", "top",
                     "whitening"), MODULE),
    **dict.fromkeys(("body", "critic", "head", "init", "joint", "make", "x_net", "z_net"),
                    checks.function),
    **dict.fromkeys(("log_variance", "logits", "mean", "reconstruction"), TENSOR),
    **dict.fromkeys(("also", "settings"), optional(checks.instance(dict))),
    "bottom_share": checks.between(0, 1),
    "callback": optional(checks.function),
    "checkpoints": optional(checks.having("a checkpoint.Checkpoints", "begin")),
    "code": checks.one_of("h", "z"),
    "colour_metric": optional(square_matrix), "data": samples,
    "frame_discriminator": optional(MODULE), "images": checks.images_or_vectors,
    "kind": checks.one_of(*LOSSES), "levels": checks.several(named("Level"), what="Level"),
    "discriminators": checks.several(MODULE, what="Module"),
    "layout": checks.one_of("channels", "rows"), "step_shape": step_shape,
    "windows": checks.several(integer(), what="whole number"),
    "loss": checks.one_of(*LOSSES), "metric": optional(checks.real_array("c, c")),
    "nested": named("Nested"), "on_nan": checks.one_of("stop", "back-off"),
    "penalty": checks.one_of(*PENALTIES),
    "schedule": checks.one_of("bottom-first", "together"),
    **dict.fromkeys(("inner", "outer", "split"), checks.having(
        "Frames, Patches, Groups or the like", "split", "merge", "count"))}


# Relations.

def like(argument, other):
    """The argument has the shape of the other."""
    def relation(name, **arguments):
        shape = np.shape(arguments[other])
        expect(np.shape(arguments[argument]) == shape, f"{name}: {argument}", shape,
               arguments[argument])

    relation.needs = {argument, other}
    return relation


def labelled(of):
    """``labels`` has an integer below the number of classes for each row of the argument ``of``."""
    def relation(name, labels, self=None, classes=None, **others):
        shape = np.shape(others.get(of, labels)) or (1,)
        if of == "logits":
            expect(len(shape) == 2, of, "(n, classes)", others[of])
        checks.check_labels(labels, shape[0], classes or getattr(self, "classes", shape[-1]))

    return relation


def targets_fit(name, logits, targets):
    """There is a row of targets for each row of logits."""
    rows = np.shape(logits)
    expect(0 not in rows and np.shape(targets) == rows, f"{name}: targets",
           f"one row for each of at least one row of logits {rows}", f"shape {np.shape(targets)}")


def paired(name, real, fake, **others):
    """Both are lists of arrays (n, ...) of the same shapes and one batch size."""
    for argument, arrays in (("real", real), ("fake", fake)):
        checks.several(checks.real_array(least=1), what="array (n, ...)")(
            f"{name}: {argument}", arrays)
    checks.same_shape("real", "fake")(name, real=real, fake=fake)
    expect(len({len(r) for r in real}) == 1, f"{name}: real, fake", "one batch size",
           [r.shape for r in real])


def frames_fit(name, self, x, frames, **others):
    """Single frames are like those of the clips, and there is a discriminator of them."""
    if frames is not None:
        expect(self.frame_discriminator is not None, f"{name}: frames", "None, for this model has "
               "no frame_discriminator to train on them", type(frames).__name__)
        shape = np.shape(x)[2:]
        expect(frames.shape[1:] == shape, f"{name}: frames", f"single frames {shape}", frames)


def parts_fit(name, self, x, schedule, **others):
    """The parts of an LDF fit the data and one another, seen before time is spent."""
    white = self.whitening.apply(self.codes(x[:2]))
    if self.any_length:
        return self.top.expect_its_kind(white)
    made = self.top.sample(2, Generator(0))
    expect(made.shape[1:] == white.shape[1:], f"{name}: top",
           f"a GAN on whitened codes {white.shape[1:]}", f"one on {made.shape[1:]}")


def of_any_length(name, self, frames, **others):
    """The top of an LDF can make as many frames as are asked for."""
    expect(frames is None or self.any_length, f"{name}: frames",
           f"None, for the top is a {type(self.top).__name__}, which makes codes of one shape (a "
           "SequenceGAN makes sequences of any length)", frames)


def windows_fit(name, discriminators, windows, **others):
    """There is a discriminator for each window."""
    expect(len(windows) == len(discriminators), f"{name}: windows",
           f"one for each of {len(discriminators)} discriminators", windows)


def sequences_fit(name, self, x, **others):
    """x is sequences of codes, as long as the widest window of a SequenceGAN."""
    wanted, least = ", ".join(map(str, self.step_shape)), max(self.windows)
    expect(x.ndim > 1 and x.shape[2:] == self.step_shape, f"{name}: x",
           f"sequences of codes (n, t, {wanted})", x)
    expect(x.shape[1] >= least, f"{name}: x",
           f"sequences of at least {least} steps, the widest of windows", x)


def is_ready(name, self, **others):
    """The model has learned what its samples are made of."""
    expect(self.ready, name, "a model that was trained, for its whitening is learned from data: "
           "call fit, or load its weights", "one that was not")


def level_or_top(name, self, level, **others):
    """There is such a level of an LDF, by its number, or it is "top"."""
    if level is not None and level != "top":
        integer(0, len(self.levels) - 1)(f'{name}: level (or "top")', level)


def infers(name, self, **others):
    """The top of an LDF has an encoder."""
    expect(hasattr(self.top, "encode"), f"{name}: top", "one with an encoder, from which z is "
           'inferred (nets.local_ali_top or mlp_ali_top; of clip_ldf, top="local-ali" or '
           '"mlp-ali")', f"a {type(self.top).__name__}, which has none")


def clips_fit(name, images, frames, settings, **others):
    """The images are clips of the networks' size."""
    size = settings.get("size", 32)
    shape = frames, size, size, settings.get("channels", 3)
    expect(images.shape[1:] == shape, f"{name}: images",
           f"clips ({', '.join(map(str, ('n', *shape)))})", images)


def budget(name, steps, minutes, **others):
    """There is one."""
    expect((steps, minutes) != (None, None), f"{name}: steps, minutes",
           "at least one of them as the budget of the training", "neither")


def sides(name, logits, real, **others):
    """``real`` is a boolean for all logits, or one for each."""
    dtype = real.dtype if hasattr(real, "dtype") else np.asarray(real).dtype
    shape = np.shape(real)
    expect(dtype.kind == "b" and shape in ((), (logits.size,)), f"{name}: real",
           f"one boolean, or one a sample {(logits.size,)}", f"{dtype} of shape {shape}")


def ranks_fit(name, model, steps, top_steps, rounds, top_ranks, **others):
    """An asynchronous training has whole rounds, and ranks for each level and for the top."""
    levels, ranks = len(model.levels), world().size
    expect(ranks > levels, f"{name}: processes", f"one for each of the {levels + 1} parts, levels "
           f"and top (mpirun -n {levels + 1})", ranks)
    each = list(steps) if isinstance(steps, (list, tuple)) else [steps] * levels
    expect(len(each) == levels, f"{name}: steps", f"a number for each of the {levels} levels, or "
           "one for all", steps)
    for argument, value in (*(("steps", some) for some in each), ("top_steps", top_steps)):
        checks.multiple(rounds)(f"{name}: {argument}", value)
    integer(1, ranks - levels)(f"{name}: top_ranks", top_ranks)     # one is left for each level
