"""Levels trained asynchronously: some ranks train the level of the factors while others train the
top, and only codes pass between.

No gradient of LDF crosses a level, so the two need to meet only now and then. In rounds:

    bottom's ranks    train 1    train 2    train 3    ...
    codes                    \\          \\          \\
    top's ranks                  train 1    train 2    ...

In each round the top has the newest codes, and the whitening is fitted to them again.

Each side keeps checkpoints of its own, and after a kill each goes on from its newest. So that they
need not be of one moment, the top asks for the codes of a round by its number. The bottom gives
them, or says "not yet" where it is behind; where it is ahead it waits, and has kept those of as
many rounds as the top may have gone back.
"""

import sys

import numpy as np

from ..runtime.checks import expect
from ..runtime.distributed import over_ranks, within, world
from ..runtime.rules import checked, ranks_fit
from ..training.batches import Batches
from ..training.checkpoint import KEPT
from ..training.loop import train

FINISHED, INTERRUPTED = "finished", "interrupted"


@checked(ranks_fit)
def fit_async(model, x, *, steps, top_steps, rounds=8, codes=2048, batch_size=64, top_ranks=1,
              progress=False, checkpoints=None):
    """Train an LDF of one level and a top on several ranks, each of which ends with the whole
    model.

    Parameters
    ----------
    model : LDF, the same on all ranks
    x : array (N, ...), float32 or uint8
        Whole objects, which only the bottom's ranks look at.
    steps, top_steps : the bottom's budget and the top's; both are multiples of ``rounds``
    codes : int
        How many objects, drawn anew in each round, are encoded for the top.
    top_ranks : int
        How many of the ranks train the top; within either group each rank takes its shard of every
        batch.
    checkpoints : checkpoint.Checkpoints, optional
        In a folder for either side, with one at the end of each round besides. A training that goes
        on may have other numbers of ranks; with the same it gives the same bits as one that was
        never ended.

    Returns
    -------
    dict
        {"level 0": History, "top": History}. The bottom is, to the last bit where one rank trains
        it, that of ``model.fit`` bottom first with as many steps; the top sees more codes of
        encoders that are not finished. Ctrl-C ends the side that gets it after its step, and the
        other with its round if not before; a sentence on stderr says how far they were.

    Raises
    ------
    ValueError
        For one process only, for more levels, or for numbers that do not fit.
    """
    ranks = world()
    last, below = ranks.size - 1, ranks.rank < ranks.size - top_ranks
    name, side, own = ("level 0", _bottom, steps) if below else ("top", _top, top_steps)
    kept = checkpoints and checkpoints.inside(name, each=own // rounds, steps=steps,
                                              top_steps=top_steps, rounds=rounds, codes=codes)
    with within(ranks.split(below)):
        history = side(model, x, _Link(ranks, last), rounds, own // rounds, min(codes, len(x)),
                       batch_size, {"steps": own, "progress": progress, "checkpoints": kept,
                                    "label": name})
    for part, root in ((model.levels[0].model, 0), (model.whitening, last), (model.top, last)):
        part.load_state_dict(ranks.from_rank(root, part.state_dict, "weights"))
    histories = {name: ranks.from_rank(root, lambda: history, "histories")
                 for name, root in (("level 0", 0), ("top", last))}
    if any(h.interrupted for h in histories.values()) and ranks.rank == 0:
        _say_how_far(histories, {"level 0": steps, "top": top_steps}, rounds, checkpoints)
    return histories


def _say_how_far(histories, steps, rounds, checkpoints):
    there = " and ".join(f"{name} after step {h.steps} of {steps[name]}, in round "
                         f"{min(h.steps * rounds // steps[name] + 1, rounds)} of {rounds}"
                         for name, h in histories.items())
    then = ("without checkpoints nothing goes on from there" if checkpoints is None else
            f"the same call goes on from the checkpoints in {checkpoints.folder}")
    print(f"interrupted: {there}; {then}", file=sys.stderr, flush=True)


class _Link:
    """What the sides have to say to one another, ``open`` until one of them has no more to say."""

    def __init__(self, ranks, top):
        self._ranks, self._top, self.open, self.interrupted = ranks, top, True, False

    def ask(self, number):
        """The top's: the codes of this round, or None where the bottom was interrupted."""
        codes = None
        while codes is None:        # not yet
            self._ranks.from_rank(self._top, lambda: number)
            codes = self._ranks.from_rank(0, None, "codes")
        self.open = not isinstance(codes, str)
        return codes if self.open else None

    def leave(self, how):
        """The top's: ask no more, for it is FINISHED or INTERRUPTED."""
        if self.open:
            self._ranks.from_rank(self._top, lambda: how)

    def answer(self, find):
        """The bottom's: give the top ``find(number)``, the codes that it asks for, None where they
        are not there yet, or INTERRUPTED. Returns the number."""
        asked = self._ranks.from_rank(self._top, None)
        if isinstance(asked, str):
            self.open, self.interrupted = False, asked == INTERRUPTED
        else:
            found = find(asked)
            self._ranks.from_rank(0, lambda: found, "codes")
            self.open = found is not INTERRUPTED
        return asked


class _Made:
    """The codes of the last rounds, the newest of which is ``round``. The top may go back as many
    as it has checkpoints."""

    def __init__(self):
        self.round, self._codes = 0, {}

    def add(self, codes):
        self.round += 1
        self._codes[self.round] = codes
        self._codes.pop(self.round - KEPT - 1, None)

    def find(self, number):
        """The codes of a round, None where they are not there yet."""
        first = min(self._codes, default=number)
        expect(first <= number, "checkpoints", f"the top to go on from round {first} or later",
               f"{number}: those of the two sides are not of one training; remove both folders to "
               "begin anew")
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

    def __init__(self, shape, size, rng):
        super().__init__(np.zeros(shape, np.float32), size, rng)
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


def _bottom(model, x, link, rounds, every, codes, batch_size, budget):
    level, = model.levels
    batches = Batches(level.factors(x), batch_size, level.model.rng)
    step, made = level.model.compiled_step(), _Made()

    def encode():
        made.add(over_ranks(level.encode, x[model.rng.permutation(len(x))[:codes]]))

    def advance(progress):
        if batches.taken == every * (made.round + 1):
            encode()
            asked = 0
            while link.open and asked < made.round:     # the top had to go back: wait for it
                asked = link.answer(made.find)
            if link.interrupted:
                return None
        return step(next(batches), progress)

    history = train(advance, **budget, state={"model": level.model, "batches": batches,
                                              "order": model.rng, "codes": made})
    if not history.interrupted and made.round < rounds:
        encode()
    while link.open:
        link.answer((lambda number: INTERRUPTED) if history.interrupted else made.find)
    return history


def _top(model, x, link, rounds, every, codes, batch_size, budget):
    batches = _Received((codes, *model.whitening.shape), min(batch_size, codes), model.top.rng)
    step = model.top.compiled_step()

    def advance(progress):
        if batches.taken == every * batches.round:
            received = link.ask(batches.round + 1)
            if received is None:
                return None
            model.whitening.fit_once_for_all(received)
            batches.renew(model.whitening.apply(received))
        return step(next(batches), progress)

    history = train(advance, **budget, state={"model": model.top, "batches": batches,
                                              "whitening": model.whitening})
    link.leave(INTERRUPTED if history.interrupted else FINISHED)
    return history
