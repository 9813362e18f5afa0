"""Where a training went wrong: the first layer whose output, gradient or parameters are not finite.

The step that failed is taken again, watched layer by layer, so nothing of this costs anything until it is needed.
"""

import numpy as np

from ..nn.module import watching
from ..nn.optim import Optimizer
from ..runtime.device import array_module
from ..runtime.threads import in_turn


class _Found(Exception):
    """The search is over."""


def first_not_finite(model, advance, x, share):
    """What is not finite first, in words: "output of decoder.body.layers.3 (BatchNorm)", say.

    Parameters
    ----------
    model : Module or None
        It gives the layers their names; without it only their classes are known.
    advance : callable
        ``advance(x, share)`` takes the step, with its generators where they were before it. No parameter is changed.
    x : array, the batch

    A gradient that is not finite makes those of all layers before it so: the layer named is the last one of its network, where
    it began. On a CUDA device the update has run by the time the loss is known, so that often "parameters" is all there is
    left to say.
    """
    if not _finite(x):
        return "the batch itself"
    modules = {} if model is None else {id(m): name for name, m in model.named_modules()}
    parameters = {} if model is None else {id(p): name for name, p in model.named_parameters()}
    for name, p in () if model is None else model.named_parameters():
        if not _finite(p.data):
            return f"parameters {name}"

    def look(source, result):
        if isinstance(source, Optimizer):
            bad = [p for p, g in zip(source.network.parameters(), result) if not _finite(g.data)]
            if bad:
                raise _Found(f"gradient of {parameters.get(id(bad[-1]), 'a parameter')}")
            return True
        if not _finite(result.data):
            raise _Found(f"output of {modules.get(id(source), 'a layer')} ({type(source).__name__})")
        return False

    try:
        with in_turn(), watching(look), np.errstate(all="ignore"):
            advance(x, share)
    except _Found as found:
        return str(found)
    return "no layer: it is the loss itself, or does not happen again"


def _finite(array):
    return bool(array_module(array).isfinite(array).all())
