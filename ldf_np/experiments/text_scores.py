"""Scores of generated texts beside a held-out one, and the Markov chains between which they are
read."""

import re
from collections import Counter

import numpy as np

from ..runtime.checks import checked, expect, instance, integer, several

TEXTS = several(instance(str), what="text")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


def ngrams(texts, n, places=None):
    """Counter of the n-grams of characters inside each text; ``places``: of those that begin
    there."""
    found = Counter()
    for text in texts:
        whole = range(len(text) - n + 1)
        begin = whole if places is None else [k for k in places if k in whole]
        found.update(text[k:k + n] for k in begin)
    return found


@checked(texts=TEXTS, held_out=TEXTS, n=integer())
def ngram_divergence(texts, held_out, n, places=None):
    """The Jensen-Shannon divergence, in bits, of the n-grams of characters of two lists of texts:

        JSD(P, Q) = H((P + Q) / 2) - (H(P) + H(Q)) / 2          (Lin 1991)

    0 for equal frequencies, 1 where they share no n-gram. It is biased upwards, the more the fewer
    characters there are, so compare at equal amounts. ``places``: only n-grams of ``texts`` that
    begin at these places, beside all of ``held_out``.
    """
    from scipy.spatial.distance import jensenshannon

    p, q = ngrams(texts, n, places), ngrams(held_out, n)
    for name, grams in (("texts", p), ("held_out", q)):
        expect(grams, name, f"texts of at least {n} characters", "shorter ones")
    union = sorted(p.keys() | q.keys())
    return float(jensenshannon([p[g] for g in union], [q[g] for g in union], base=2) ** 2)


@checked(texts=TEXTS, held_out=TEXTS)
def known_words(texts, held_out):
    """The share of the words in ``texts`` that the held-out texts have, too. The words at the ends
    of a text, which may be cut, do not count. 0 where there are none."""
    known = {word for text in held_out for word in WORD.findall(text)}
    inner = [word for text in texts for word in WORD.findall(" ".join(text.split(" ")[1:-1]))]
    return sum(word in known for word in inner) / max(1, len(inner))


class MarkovChain:
    """A Markov chain of characters: the next one depends on the ``order`` before it (Shannon
    1948), by their counts in a ``text``. It never leaves the contexts of the text, but at its very
    end, from where it begins anew."""

    @checked(text=instance(str), order=integer())
    def __init__(self, text, order):
        expect(len(text) > order, "text", f"more than {order} characters", len(text))
        self.text, self.order = text, order
        self._next = {}
        for k in range(len(text) - order):
            self._next.setdefault(text[k:k + order], []).append(text[k + order])

    @checked(n=integer(), length=integer(), seed=integer(0))
    def sample(self, n, length, seed=0):
        """n texts of ``length`` characters, each begun with a context drawn from the text."""
        rng = np.random.Generator(np.random.Philox(seed))
        return [self._one(rng, length) for _ in range(n)]

    def _one(self, rng, length):
        made = self._context(rng)
        while len(made) < length:
            after = self._next.get(made[-self.order:])
            made += self._context(rng) if after is None else after[rng.integers(len(after))]
        return made[:length]

    def _context(self, rng):
        start = rng.integers(len(self.text) - self.order)
        return self.text[start:start + self.order]
