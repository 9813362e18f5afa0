"""Levels and factors apart: some ranks train the level of the factors while others train the top, and only codes pass between.

No gradient of LDF crosses a level, so the two need to meet only now and then. In rounds:

    bottom's ranks      train 1    train 2    train 3    ...
    codes                      \\          \\          \\
    top's ranks                    train 1    train 2    ...      on the newest codes, the whitening fitted to them again
"""

from contextlib import contextmanager

from .parallel import enter, over_ranks, world
from .training import Batches, train


def fit_apart(model, x, *, steps, top_steps, rounds=8, codes=2048, batch_size=64, top_ranks=1, progress=False):
    """Train an LDF of one level and a top on several ranks, each of which ends with the whole model.

    Parameters
    ----------
    model : LDF, the same on all ranks
    x : array (N, ...), float32 or uint8
        Whole objects, which only the bottom's ranks look at.
    steps, top_steps : the bottom's budget and the top's; both are multiples of ``rounds``
    codes : int
        How many objects, drawn anew in each round, are encoded for the top.
    top_ranks : int
        How many of the ranks train the top; within either group each rank takes its share of every batch.

    Returns
    -------
    {"level 0": History, "top": History}. The bottom is, to the last bit where one rank trains it, that of ``model.fit`` bottom
    first with as many steps; the top sees more codes of encoders that are not finished. There are no checkpoints: Ctrl-C ends
    all. Raises ValueError for one process only, for more levels, or for numbers that do not fit.
    """
    ranks = world()
    if not 1 <= top_ranks < ranks.size:
        raise ValueError(f"top_ranks: expected at least 1, and fewer than the {ranks.size} there are, got {top_ranks}")
    if len(model.levels) != 1:
        raise ValueError(f"model: expected an LDF of one level and a top, got {len(model.levels)} levels")
    for name, value in (("steps", steps), ("top_steps", top_steps)):
        if value < rounds or value % rounds:
            raise ValueError(f"{name}: expected a multiple of {rounds} (rounds), got {value}")
    last = ranks.size - 1
    below = ranks.rank < ranks.size - top_ranks
    with _within(ranks.split(below)):
        if below:
            own = _bottom(model, x, ranks, steps, steps // rounds, codes, batch_size, progress)
        else:
            own = _top(model, ranks, top_steps, top_steps // rounds, min(codes, len(x)), batch_size, progress)
    if own.interrupted:
        ranks.abort("interrupted")
    for part, root in ((model.levels[0].model, 0), (model.whitening, last), (model.top, last)):
        part.load_state_dict(ranks.from_rank(root, part.state_dict, "weights"))
    return {name: ranks.from_rank(root, lambda: own, "histories") for name, root in (("level 0", 0), ("top", last))}


@contextmanager
def _within(group):
    before = enter(group)
    try:
        yield
    finally:
        enter(before)


def _bottom(model, x, ranks, steps, every, codes, batch_size, progress):
    level, = model.levels
    batches, step = Batches(level.factors(x), batch_size, level.model.rng), level.model.stepper()

    def advance(share):
        losses = step(next(batches), share)
        if batches.taken % every == 0:
            made = over_ranks(level.encode, x[model.rng.permutation(len(x))[:codes]])
            ranks.from_rank(0, lambda: made, "codes")
        return losses

    return train(advance, steps=steps, progress=progress, label="bottom")


def _top(model, ranks, steps, every, codes, batch_size, progress):
    step, batches = model.top.stepper(), None

    def advance(share):
        nonlocal batches
        if batches is None or batches.taken == every:
            received = ranks.from_rank(0, None, "codes")
            model.whiten(received)
            batches = Batches(model.whitening.apply(received), min(batch_size, codes), model.top.rng)
        return step(next(batches), share)

    return train(advance, steps=steps, progress=progress, label="top")
