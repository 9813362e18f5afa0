"""Levels trained asynchronously: some ranks train one level while others train the next, and only
codes pass between.

No gradient of LDF crosses a level, so neighbours need to meet only now and then. In rounds:

    level 0    train 1    train 2    train 3    ...
    codes             \\          \\          \\
    level 1            train 1    train 2    train 3    ...
    codes                     \\          \\          \\
    top                        train 1    train 2    ...

In each round a level has the newest codes of the one below, which it has encoded with its newest
weights before it hands them up; and the whitening is fitted to them again.

Each side keeps checkpoints of its own, and after a kill each goes on from its newest. So that they
need not be of one moment, a side asks the one below for the codes of a round by its number. That
gives them, or says "not yet" where it is behind; where it is ahead it waits, and has kept those of
as many rounds as the other may have gone back.
"""

import sys

import numpy as np

from ..runtime.distributed import over_ranks, within, world
from ..runtime.relations import ranks_fit, still_kept
from ..runtime.rules import checked, one_or_several
from ..training.batches import Batches
from ..training.checkpoint import KEPT
from ..training.loop import train

FINISHED, INTERRUPTED = "finished", "interrupted"


@checked(ranks_fit, steps=one_or_several)
def fit_async(model, x, *, steps, top_steps, rounds=8, codes=2048, batch_size=32, top_ranks=1,
              progress=False, callback=None, checkpoints=None):
    """Train an LDF on several ranks, each of which ends with the whole model.

    Parameters
    ----------
    model : LDF of any number of levels, the same on all ranks
    x : array (N, ...), float32 or uint8
        Whole objects, which only the bottom's ranks look at.
    steps, top_steps : the budget of each level below the top, and the top's
        Multiples of ``rounds``. ``steps`` may be a list, a number for each level, bottom first.
    codes : int
        How many objects, drawn anew in each round, are encoded for the level above.
    top_ranks : int
        How many of the ranks train the top. The others train the levels below, each as many, the
        lowest one more where they do not divide; within a side each rank takes its shard of every
        batch.
    callback : callable, optional
        ``callback(history)`` after each step of each side, on the side's ranks.
    checkpoints : checkpoint.Checkpoints, optional
        In a folder for each side, with one at the end of each round besides. A training that goes
        on may have other numbers of ranks; with the same it gives the same bits as one that was
        never ended.

    Returns
    -------
    dict
        {"level 0": History, ..., "top": History}. The bottom is, to the last bit where one rank
        trains it, that of ``model.fit`` bottom first with as many steps; the levels above see more
        codes of encoders that are not finished. Ctrl-C ends the side that gets it after its step,
        and the others with their rounds if not before; a sentence on stderr says how far they were.

    Raises
    ------
    ValueError
        For fewer ranks than the levels and the top, or for numbers that do not fit.
    """
    ranks, levels = world(), len(model.levels)
    steps = list(steps) if isinstance(steps, (list, tuple)) else [steps] * levels
    names = [*(f"level {k}" for k in range(levels)), "top"]
    budgets = dict(zip(names, [*steps, top_steps]))
    sizes = [len(part) for part in np.array_split(range(ranks.size - top_ranks), levels)]
    firsts = np.cumsum([0, *sizes])                     # the first rank of each side
    side = int(np.searchsorted(firsts, ranks.rank, side="right")) - 1
    name, own = names[side], budgets[names[side]]
    kept = checkpoints and checkpoints.inside(name, each=own // rounds,
                                              steps=steps if levels > 1 else steps[0],
                                              top_steps=top_steps, rounds=rounds, codes=codes)
    below, above = _links(ranks, side, levels)
    with within(ranks.split(side)):
        few = min(codes, len(x))
        source = _Objects(model, x, few) if side == 0 else _Codes(model, side, few, below)
        history = _train(model, side, source, above, rounds, own // rounds, batch_size,
                         {"steps": own, "progress": progress, "checkpoints": kept, "label": name}
                         | ({"callback": callback} if callback else {}))
    last = ranks.size - 1
    for part, root in (*zip(model.models, firsts.tolist()), (model.whitening, last),
                       (model.top, last)):
        part.load_state_dict(ranks.from_rank(root, part.state_dict, "weights"))
        part.restore_counts(ranks.from_rank(root, part.all_counts, "counts"))
    roots = [*firsts[:-1].tolist(), last]
    histories = {name: ranks.from_rank(root, lambda: history, "histories")
                 for name, root in zip(names, roots)}
    if any(h.interrupted for h in histories.values()) and ranks.rank == 0:
        _say_how_far(histories, budgets, rounds, checkpoints)
    return histories


def _say_how_far(histories, steps, rounds, checkpoints):
    there = " and ".join(f"{name} after step {h.steps} of {steps[name]}, in round "
                         f"{min(h.steps * rounds // steps[name] + 1, rounds)} of {rounds}"
                         for name, h in histories.items())
    then = ("without checkpoints nothing goes on from there" if checkpoints is None else
            f"the same call goes on from the checkpoints in {checkpoints.folder}")
    print(f"interrupted: {there}; {then}", file=sys.stderr, flush=True)


def _links(ranks, side, levels):
    """The links of a side to those below and above it, None where there is none. Neighbours have a
    World of their own, so that the others need not wait: those of sides 0 and 1, 2 and 3, ..., and
    those of 1 and 2, 3 and 4, ..."""
    if levels == 1:
        pairs = [ranks, None]
    else:
        pairs = [ranks.split(side // 2), ranks.split((side + 1) // 2)]
        for pair in pairs:
            pair.log = ranks.log                        # what passes is counted once for all
    with_next, with_last = pairs if side % 2 == 0 else pairs[::-1]
    return (_Link(with_last) if side > 0 else None), (_Link(with_next) if side < levels else None)


class _Link:
    """What two neighbouring sides have to say to one another, ``open`` until one of them has no
    more to say. The first of their ranks is of the lower side, the last of the upper."""

    def __init__(self, ranks):
        self._ranks, self._upper, self.open, self.interrupted = ranks, ranks.size - 1, True, False

    def ask(self, number):
        """The upper side's: the codes of this round, or None where the lower was interrupted."""
        codes = None
        while codes is None:        # not yet
            self._ranks.from_rank(self._upper, lambda: number)
            codes = self._ranks.from_rank(0, None, "codes")
        self.open = not isinstance(codes, str)
        return codes if self.open else None

    def leave(self, how):
        """The upper side's: ask no more, for it is FINISHED or INTERRUPTED."""
        if self.open:
            self._ranks.from_rank(self._upper, lambda: how)
        self.open = False

    def answer(self, find):
        """The lower side's: give the upper ``find(number)``, the codes that it asks for, None where
        they are not there yet, or INTERRUPTED. Returns the number."""
        asked = self._ranks.from_rank(self._upper, None)
        if isinstance(asked, str):
            self.open, self.interrupted = False, asked == INTERRUPTED
        else:
            found = find(asked)
            self._ranks.from_rank(0, lambda: found, "codes")
            self.open = found is not INTERRUPTED
        return asked


class _Made:
    """The codes of the last rounds, the newest of which is ``round``. The side above may go back as
    many as it has checkpoints."""

    def __init__(self):
        self.round, self._codes = 0, {}

    def add(self, codes):
        self.round += 1
        self._codes[self.round] = codes
        self._codes.pop(self.round - KEPT - 1, None)

    def find(self, number):
        """The codes of a round, None where they are not there yet."""
        still_kept(number, first=min(self._codes, default=number))
        return self._codes.get(number)

    @property
    def state(self):
        return {"round": self.round} | {str(number): codes for number, codes in self._codes.items()}

    @state.setter
    def state(self, state):
        self.round = state["round"]
        self._codes = {int(number): a for number, a in state.items() if number != "round"}


class _Received(Batches):
    """Batches of the codes of one ``round`` after the other. They belong to the state, for nothing
    else has them any more."""

    def __init__(self, count, size, rng):
        super().__init__(np.zeros((count, 1), np.float32), size, rng)
        self.round = 0          # none yet

    def sample(self):
        """Nothing: these data are made by the training."""

    def renew(self, data):
        self.data, self.order = data, self.rng.permutation(len(data))
        self.at, self.round = 0, self.round + 1

    @property
    def state(self):
        return super().state | {"round": self.round, "data": self.data}

    @state.setter
    def state(self, state):
        Batches.state.fset(self, state)
        self.round, self.data = state["round"], state["data"]


class _Objects:
    """What the bottom learns from: the factors of whole objects, the same in all rounds."""

    def __init__(self, model, x, codes):
        self.model, self.x, self.codes, self.level = model, x, codes, model.levels[0]
        self.state = {"order": model.rng}

    def batches(self, size):
        return Batches(self.level.factors(self.x), size, self.level.model.rng)

    def renew(self, batches, every):
        """Nothing to wait for."""
        return True

    def leave(self, how):
        """There is nobody below."""

    def encoded(self, batches):
        """Codes of objects that are drawn anew."""
        some = self.x[self.model.rng.permutation(len(self.x))[:self.codes]]
        return over_ranks(self.level.encode, some)


class _Codes:
    """What a higher side learns from: codes that it asks for, round by round. A level has their
    factors, the top what the whitening, fitted to them, makes of them."""

    def __init__(self, model, side, codes, link):
        self.model, self.link = model, link
        self.level = model.levels[side] if side < len(model.levels) else None
        self.count = codes * (self.level.split.count if self.level else 1)
        self.state = {} if self.level else {"whitening": model.whitening}

    def batches(self, size):
        rng = (self.level.model if self.level else self.model.top).rng
        return _Received(self.count, min(size, self.count), rng)

    def renew(self, batches, every):
        """The codes of the next round, where ``every`` step of this one is taken. False where the
        side below was interrupted."""
        if batches.taken < every * batches.round:
            return True
        received = self.link.ask(batches.round + 1)
        if received is None:
            return False
        if self.level is None:
            self.model.whitening.fit_once_for_all(received)
            batches.renew(self.model.whitening.apply(received))
            self.model.top.adapt(batches.data)
        else:
            batches.renew(self.level.factors(received))
        return True

    def leave(self, how):
        self.link.leave(how)

    def encoded(self, batches):
        """Codes of the objects of this round."""
        factors = batches.data.reshape(-1, self.level.split.count, *batches.data.shape[1:])
        return over_ranks(self.level.encode, self.level.split.merge(factors))


def _train(model, side, source, above, rounds, every, batch_size, budget):
    """One side's training: ``every`` steps a round, and after each the codes for the side above."""
    part = model.models[side] if side < len(model.levels) else model.top
    batches, step, made = source.batches(batch_size), part.compiled_step(), _Made()

    def encode():
        made.add(source.encoded(batches))

    def advance(progress):
        if above and batches.taken == every * (made.round + 1):
            encode()
            asked = 0
            while above.open and asked < made.round:    # the side above had to go back: wait for it
                asked = above.answer(made.find)
            if above.interrupted:
                return None
        if not source.renew(batches, every):
            return None
        return step(next(batches), progress)

    state = {"model": part, "batches": batches} | source.state | ({"codes": made} if above else {})
    history = train(advance, **budget, state=state)
    part.finish()
    source.leave(INTERRUPTED if history.interrupted else FINISHED)
    if above and not history.interrupted and made.round < rounds:
        encode()
    while above and above.open:
        above.answer((lambda number: INTERRUPTED) if history.interrupted else made.find)
    return history
