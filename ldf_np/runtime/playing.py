"""Calls of functions of arrays that are made again and again, in memory that is used again.

A call is (function, arguments, settings). What the calls make lies in memories, numbers that are
given places in one block here: two lie at one place only where the one is done with before the
other begins. Such arrays are in the calls as a ``Place``, all others as they are.
"""

from collections import namedtuple
from functools import partial

import numpy as np

LINE = 64       # bytes of the cache

# An array: in which memory it lies, how many bytes from its beginning, and how
Place = namedtuple("Place", "memory offset shape dtype strides")


class Branch(list):
    """The calls of one of two that are played side by side: arguments of ``side_by_side``."""


def address(array):
    """Where an array begins."""
    return array.__array_interface__["data"][0]


def memories(value):
    """The numbers of the memories in which ``value`` lies."""
    if type(value) is Place:
        yield value.memory
    elif isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from memories(part)


def player(calls, results, sizes):
    """(play, results): a function that makes all ``calls``, and the arrays in ``results`` as they
    will lie. ``sizes``: the bytes of each memory."""
    offsets, length = lay_out(lives(calls, results), sizes)
    block = np.empty(length + LINE, np.uint8)
    block = block[-address(block) % LINE:]
    return _ready(calls, offsets, block), _arrays(results, offsets, block)


def lives(calls, kept):
    """{memory: [its first call, its last call, its branch]}: calls by their place in the order in
    which one thread makes them, and branches by numbers that differ in the last bit for the two of
    one fork. What is seen outside of its branch, too, has none (0), but lives as long as the fork.
    What is ``kept`` lives to the end."""
    found, forks, now = {}, [None], 0

    def see(call, branch):
        for number in memories(call):
            life = found.setdefault(number, [now, now, branch])
            life[1] = max(life[1], now)
            if life[2] != branch:
                for start, end in (forks[b // 2] for b in (life[2], branch) if b):
                    life[0], life[1] = min(life[0], start), max(life[1], end)
                life[2] = 0

    for call in calls:
        branches = [part for part in call[1] if type(part) is Branch]
        if not branches:
            see(call, 0)
            now += 1
            continue
        forks.append((now, now + sum(map(len, branches))))
        for k, branch in enumerate(branches):
            for inner in branch:
                see(inner, 2 * (len(forks) - 1) + k)
                now += 1
    see(kept, 0)
    return found


def lay_out(found, sizes):
    """({memory: where it begins}, the length of all): the largest first, each as far down as
    nothing lies that lives while it does, or in the other branch."""
    numbers = sorted(found, key=lambda number: -sizes[number])
    first, last, branch = np.array([found[number] for number in numbers]).reshape(-1, 3).T
    starts, ends = [], []
    for k, number in enumerate(numbers):
        size = -(-sizes[number] // LINE) * LINE
        clash = (first[:k] <= last[k]) & (last[:k] >= first[k]) | (branch[:k] ^ branch[k] == 1)
        place = 0
        for start, end in sorted((starts[j], ends[j]) for j in np.flatnonzero(clash)):
            if start - place >= size:
                break
            place = max(place, end)
        starts.append(place)
        ends.append(place + size)
    return dict(zip(numbers, starts)), max(ends, default=0)


def _arrays(value, offsets, block):
    """``value`` with arrays in place of their places, and a function in place of a branch."""
    if type(value) is Place:
        return np.ndarray(value.shape, value.dtype, block, offsets[value.memory] + value.offset,
                          value.strides)
    if type(value) is Branch:
        return _ready(value, offsets, block)
    if type(value) in (tuple, list):
        return type(value)([_arrays(part, offsets, block) for part in value])
    return ({k: _arrays(v, offsets, block) for k, v in value.items()} if type(value) is dict
            else value)


def _ready(calls, offsets, block):
    ready = [partial(function, *_arrays(inputs, offsets, block),
                     **_arrays(settings, offsets, block)) for function, inputs, settings in calls]

    def play():
        for call in ready:
            call()

    return play
