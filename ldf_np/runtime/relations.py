"""What arguments have to be to one another or to their object, for ``checked``; and, at the end,
sentences about what a function has found.

A relation is a function ``relation(name, **arguments)``; its parameters are the arguments it needs.
Nothing of the rooms above is imported: their objects are known here by their attributes.
"""

import inspect
import json
import math
from collections import Counter
from itertools import zip_longest

import numpy as np

from . import checks
from .checks import expect, integer, multiple, of_shape, real_array, same_shape, shaped
from .distributed import world
from .random import Generator
from .rules import BOUNDED, TENSOR, last_layer

# Shapes of what is split into factors, of their codes, and of what is whitened.

SEQUENCES = shaped("x", "n", "l", "...", what="sequences")
CODES_BELOW = shaped("x", "n", "below", "...", what="codes")
FACTORS = shaped("factors", "n", "count", "...", what="factors")
PATCHES = shaped("factors", "n", "count", "h", "w", "c", what="patches")
MAPS = shaped("factors", "n", "count", "h", "w", "c", what="maps")
SEGMENTS = shaped("factors", "n", "t", "size", "...", what="segments")
CODES = shaped("codes", "n", "count", "...", what="codes")
RAW, WHITE = shaped("codes", "n", "*code_shape"), shaped("white", "n", "*shape")


def in_patches(name, self, x):
    """Images divide into the patches of a grid."""
    _on_grid(f"{name}: x", self, x, "images")


def maps_in_patches(name, self, maps):
    """So do maps of codes."""
    _on_grid(f"{name}: maps", self, maps, "maps")


def _on_grid(name, grid, x, what):
    expect(x.shape[1] % grid.rows == 0 == x.shape[2] % grid.columns, name,
           f"{what} that divide into {grid.rows} x {grid.columns} patches", x)


def channels_of_factors(name, self, maps):
    """The channels of maps are those of a certain number of factors."""
    expect(self.count and maps.shape[3] % self.count == 0, f"{name}: maps",
           f"maps (n, h, w, c) whose channels {self.count or 'a certain number of'} factors share",
           maps)


def in_groups(name, size, below, **others):
    """The codes below divide into groups."""
    multiple(size)(f"{name}: below", below)


def in_segments(name, self, x):
    """Sequences divide into segments."""
    multiple(self.size)(f"{name}: x: its length", x.shape[1])


def components_fit(name, code_shape, components, **others):
    """There are so many components, and they fit into memory."""
    size = math.prod(code_shape)
    integer(1, size)(f"{name}: components", components)
    checks.check_size(f"{name}: code_shape, components", (size, components))


# Networks.

def signed(name, logits, sign):
    """A sign, and some logits."""
    expect(logits.size and sign in (1, -1), f"{name}: sign", "at least one logit and a sign of 1 "
           "or -1", sign)


def channels_fit(name, self, x, **others):
    """x is a Tensor with as many channels as the layer."""
    TENSOR(f"{name}: x", x)
    expect(x.shape[-1:] == (self.channels,), name, f"{self.channels} channels", x)


def has_rows(name, self, x):
    """x is a Tensor (n, ...) whose rows have a length."""
    TENSOR(f"{name}: x", x)
    expect(x.ndim and (x.size or -1 not in self.shape), name, "(n, ...) and no empty axis", x)


def square_images(name, self, x):
    """Images of which a patch can be cut."""
    expect(len(x.shape) == 4 and self.size <= x.shape[1] == x.shape[2], f"{name}: x",
           f"square images (n, h, w, c) of at least {self.size} rows", x)


def real_where_needed(name, fake, kind, real, **others):
    """A relativistic loss has the logits of real samples, one for each generated one."""
    expect(real is not None or kind != "relativistic", f"{name}: real",
           'the logits of real samples, for "relativistic"', "None")
    if kind == "relativistic":
        same_shape("real", "fake")(name, real=real, fake=fake)


def gradients_fit(name, self, grads, **others):
    """The network of an optimiser is as it was, and there is a gradient for each parameter."""
    shapes = [p.shape for p in self.network.parameters()]
    expect(shapes == self._shapes, f"{type(self).__name__}: network",
           f"the parameters that it had when this was made, of shapes {self._shapes}", shapes)
    got = [g.shape if hasattr(g, "node") else type(g).__name__ for g in grads]
    expect(got == shapes, f"{name}: grads", f"a Tensor for each parameter, of shapes {shapes}", got)


def state_fits(name, self, state):
    """A state_dict has the names, shapes and kinds of numbers of a module's parameters and
    buffers."""
    checks.instance(dict)(f"{name}: state", state)
    same_arrays("state", {key: held.data for key, held in self.parts_of_state().items()}, state)


def reconstruction_fits(name, x, reconstruction, **others):
    """x and its reconstruction have one shape."""
    expect(np.shape(reconstruction) == np.shape(x), f"{name}: reconstruction", np.shape(x),
           reconstruction)


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


# Models.

def batch_fits(name, data, size, **others):
    """A batch has two samples at least, and no more than there are."""
    expect(len(data) > 1, f"{name}: data", "at least 2 samples", len(data))
    integer(2, len(data))(f"{name}: batch_size", size)


def data_given(name, self, more, **others):
    """What a model's batches are made of: all of it, and nothing else without a name."""
    _, _, *wanted = inspect.signature(self._batches).parameters.values()
    expect(len(more) <= len(wanted), name, "the data, and the rest by name (steps=100, say)",
           f"{1 + len(more)} arguments without a name")
    missing = [p.name for p in wanted[len(more):] if p.default is p.empty]
    expect(not missing, name, f"{', '.join(missing)} beside the data", "none")


def made_alike(name, self, x):
    """x is data like those that the generator makes."""
    made = self._generate(Generator(0).standard_normal((1, self.latent_size)), None).shape[1:]
    expect(x.shape[1:] == made, f"{name}: x", "data like those that the generator makes, (n, "
           f"{', '.join(map(str, made))})", x)


def factors_fit(name, self, x, factors, **others):
    """More local factors are like those of the objects."""
    if factors is not None:
        own = self.levels[0].factors(x[:1]).shape[1:]
        expect(np.shape(factors)[1:] == own, f"{name}: factors", "local factors like those of x, "
               f"(n, {', '.join(map(str, own))})", factors)


def frames_fit(name, self, x, frames, **others):
    """Single frames are like those of the clips, and there is a discriminator of them."""
    if frames is not None:
        expect(self.frame_discriminator is not None, f"{name}: frames", "None, for this model has "
               "no frame_discriminator to train on them", type(frames).__name__)
        shape = np.shape(x)[2:]
        expect(frames.shape[1:] == shape, f"{name}: frames", f"single frames {shape}", frames)


def parts_fit(name, self, x, schedule, **others):
    """The parts of an LDF fit the data and one another, seen before time is spent."""
    expect(schedule == "bottom-first" or hasattr(self.top, "_step"), f"{name}: schedule",
           f'"bottom-first", for a {type(self.top).__name__} takes no steps', f'"{schedule}"')
    real_array()(f"{name}: x", x)
    expect(len(x) > 1, f"{name}: x", "at least two objects, from which the whitening is learned",
           len(x))
    with of_shape(f"{name}: x", x):
        white = self.whitening.apply(self.codes(x[:2]))
    last = last_layer(getattr(self.top, "generator", None) or getattr(self.top, "decoder", None))
    expect(last not in BOUNDED, f"{name}: top", "one whose last layer has no bounds, as codes have "
           "none", f"one that ends in a {last}")
    if self.any_length:
        return self.top.expect_its_kind(white)
    made = self.top.sample(2, Generator(0))
    expect(made.shape[1:] == white.shape[1:], f"{name}: top",
           f"a GAN on whitened codes {white.shape[1:]}", f"one on {made.shape[1:]}")


def has_z(name, levels, passes=0, **others):
    """Every level has a code z, through which samples pass."""
    for level in levels if passes else ():
        model = level.model
        expect(hasattr(model, "_codes") and "z" in model._codes(), f"{name}: passes",
               f"0, for a level's {type(model).__name__} has no code z", passes)


def refiner_fits(name, refiner, whitening, top, **others):
    """A refiner is for what the top of an LDF makes, or for windows of that."""
    if refiner is not None:
        checks.having("a Denoiser", "refine", "shape")(f"{name}: refiner", refiner)
        of = next(iter(getattr(top, "whitenings", [whitening])))
        expect(refiner.shape == of.shape, f"{name}: refiner",
               f"one of whitened codes {of.shape}", f"one of {refiner.shape}")


def shares_fit(name, self, bottom_share, refiner_share, schedule, **others):
    """Something of the budget is left for the top of an LDF."""
    if self.refiner and schedule == "bottom-first":
        expect(bottom_share + refiner_share < 1, f"{name}: bottom_share, refiner_share",
               "parts that leave some of the budget for the top",
               f"{bottom_share:g} and {refiner_share:g}")


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


def ends_fit(name, a, b, **others):
    """Objects of one shape, from which to which a walk leads."""
    for argument, x in (("a", a), ("b", b)):
        real_array(least=1)(f"{name}: {argument}", x)
    same_shape("a", "b")(name, a=a, b=b)


def patches_divide(name, images, patch, **others):
    """The images divide into patches."""
    for side in images.shape[2:4]:
        multiple(patch)(f"{name}: images: rows or columns", side)


def low_below_high(name, low, high, **others):
    """A range of widths."""
    integer(low)(f"{name}: high", high)


def clips_fit(name, images, frames, size=32, channels=3, **others):
    """The images are clips of the networks' size."""
    shape = frames, size, size, channels
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
    expect(logits.size == math.prod(logits.shape[:1]), f"{name}: logits",
           "one a sample, (n,) or (n, 1)", logits)
    expect(dtype.kind == "b" and shape in ((), (logits.size,)), f"{name}: real",
           f"one boolean, or one a sample {(logits.size,)}", f"{dtype} of shape {shape}")


def ranks_fit(name, model, steps, top_steps, rounds, top_ranks, **others):
    """An asynchronous training has whole rounds, and ranks for each level and for the top."""
    levels, ranks = len(model.levels), world().size
    expect(model.refiner is None, f"{name}: model", "an LDF without a refiner (train that "
           "afterwards, refiner.fit(model.encode(x), ...))", "one with a refiner")
    expect(ranks > levels, f"{name}: processes", f"one for each of the {levels + 1} parts, levels "
           f"and top (mpirun -n {levels + 1})", ranks)
    each = list(steps) if isinstance(steps, (list, tuple)) else [steps] * levels
    expect(len(each) == levels, f"{name}: steps", f"a number for each of the {levels} levels, or "
           "one for all", steps)
    for argument, value in (*(("steps", some) for some in each), ("top_steps", top_steps)):
        checks.multiple(rounds)(f"{name}: {argument}", value)
    integer(1, ranks - levels)(f"{name}: top_ranks", top_ranks)     # one is left for each level


# Sentences about what a function has found: each raises ValueError where it is not so.

def depends_on_all(name, unused, why):
    """A loss depends on all parameters, so that none is unused; ``why``: why it does not, or ""."""
    expect(not unused, name, "a loss that depends on all parameters",
           f"one that does not on {', '.join(unused)}{f' ({why})' if why else ''}: ldf_np.grad("
           "loss, parameters, allow_unused=True) gives None for those")


def same_arrays(name, own, given):
    """A dict of arrays has the names and shapes of another, and real numbers."""
    if own.keys() != given.keys():
        raise KeyError(f"{name}: missing {sorted(own.keys() - given.keys()) or 'nothing'}, "
                       f"unexpected {sorted(given.keys() - own.keys()) or 'nothing'}")
    for key, array in own.items():
        new = np.asarray(given[key])
        expect(new.dtype.kind in "fiub" and new.shape == array.shape, f"{name}: {key}",
               f"real numbers of shape {array.shape}", f"{new.dtype} of shape {new.shape}")
        with np.errstate(invalid="ignore"):
            expect(array.dtype.kind == "f" or np.array_equal(new.astype(array.dtype), new),
                   f"{name}: {key}", f"numbers that {array.dtype} has", str(new.dtype))
        expect(getattr(array.flags, "writeable", True), f"{name}: {key}",
               "an array to write into", "a read-only one")


def one_dtype(name, named):
    """The parameters of a network, (name, Parameter), have one dtype."""
    (first, one), *rest = named
    other = next(((key, p) for key, p in rest if p.dtype != one.dtype), None)
    expect(other is None, f"{name}: parameters", f"one dtype, {one.dtype} as that of {first}",
           other and f"{other[1].dtype} for {other[0]}")


def names_differ(name, named):
    """No two of [(name, thing), ...] have one name."""
    twice = [key for key, times in Counter(key for key, _ in named).items() if times > 1]
    expect(not twice, name, "names that differ", f"{twice} more than once")


def in_order(name, held, kind):
    """There is nothing of the kind in a set."""
    expect(not any(isinstance(value, kind) for value in held), name,
           "a list, tuple or dict of parameters, buffers or modules", "a set, which has no order")


def one_logit_each(logits, n, batches):
    """A discriminator has judged each sample of so many batches."""
    of_both = " of both batches" * (batches - 1)
    expect(TENSOR("logits", logits).size == n * batches, "discriminator",
           f"a logit a sample{of_both}, ({n * batches}, 1)", logits)


def differentiable(logits, gradients, why):
    """Logits depend on inputs with a batch as theirs; ``why``: a function that says why not."""
    batches = [g.shape[:1] for g in gradients]
    expect(logits.shape and {*batches} == {logits.shape[:1]}, "inputs",
           f"at least one, each with a batch as in logits {logits.shape}", batches)
    if not any(g.node or g.cut or g.data.any() for g in gradients):
        raise ValueError("logits: expected something that depends on at least one of the inputs, "
                         f"got logits that do not ({why()})".removesuffix(" ()"))


def as_it_was(shapes, had):
    """A network's parameters and buffers have the shapes that they had when its average was
    begun."""
    for k, (before, now) in enumerate(zip_longest(had, shapes, fillvalue="none")):
        expect(before == now, "EMA: network", "the parameters and buffers that it had when this "
               f"was made, as number {k} shape {before}", str(now))


def within_a_tenth(found, parameters, width):
    """A network has about so many parameters."""
    expect(abs(found / parameters - 1) <= 0.1, "parameters", "a number that these networks come "
           "within 10% of", f"{parameters:,}; the nearest is {found:,}, with a width of {width}")


def still_kept(number, first):
    """The codes of this round, or of a later one, are kept from the first on."""
    expect(first <= number, "checkpoints", f"the side above to go on from round {first} or later",
           f"{number}: those of the sides are not of one training; remove their folders to begin "
           "anew")


# Sentences about checkpoints; ``where``: the file.

ANEW = "remove the folder, or use another, to begin anew"


def has_state(name, thing, parts):
    """There is something to keep in a thing that belongs to a training, or it is an empty list."""
    if not parts and not (isinstance(thing, (list, tuple, dict)) and not thing):
        raise TypeError(f"{name}: expected something with a state (a property of its class), a "
                        "model, or a list or dict of such, got nothing that has one")


def names_of_its_own(name, also, own):
    """What belongs to a training besides has other names than what the training keeps itself."""
    wrong = [key for key in also if key in own or "/" in key]
    expect(not wrong, name, f"names without a slash, none of {', '.join(own)}", ", ".join(wrong))


def all_kept(where, kept, needed):
    """A checkpoint has the state of everything that goes on from it."""
    missing = sorted(needed - kept)
    expect(not missing, f"{where}: a checkpoint of another training", "the state of "
           f"{', '.join(missing)}", f"none; {ANEW}")


def unaltered(where, checksum, wanted):
    """A file has the text that was written."""
    expect(checksum == wanted, where, "the text that was written",
           "another: it is damaged or was altered")


def not_all_damaged(folder, damaged):
    """No checkpoint is damaged, [(step, error), ...]: for where none is whole."""
    if damaged:
        raise ValueError(f"{folder}: none of its checkpoints can be used: {damaged[0][1]}; remove "
                         "the folder to begin anew")


def of_format(where, found, wanted):
    """A checkpoint has this version's format."""
    expect(found == wanted, where, f"format {wanted}",
           f"{found!r}: another version of ldf_np wrote it")


def nothing_above(folder, step, names):
    """No other training stands on this one, which would go on from a step."""
    expect(not names, folder, "the steps, minutes and shares that it was trained with, or another "
           "folder", f"a budget by which it would go on from step {step}: what stands on it as it "
           f"is would be lost ({', '.join(names)})")


def same_run(where, what, old, new):
    """What a checkpoint says of its training, or of its model, is so now."""
    for key in [*new, *old]:
        a, b = old.get(key, "none"), new.get(key, "none")
        same = a == b or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)     # NaN
        expect(same, f"{where}: a checkpoint of another {what}: {key}", b, f"{a}; {ANEW}")


def same_data(where, old, new):
    """The sample of a checkpoint's data is that of the training that goes on. Codes, made anew, may
    differ in their last bits."""
    same = not new or old["data"] == new["data"] and np.allclose(
        old["rows"], new["rows"], rtol=0, atol=1e-4 * np.abs(old["rows"]).max())
    expect(same, f"{where}: the data of a training that goes on", "those it began with",
           f"others ({new and new['data']}); {ANEW}")
