"""Einstein summation: diagonals, sums and matrix products of what has a rule already.

Two operands at a time, from left to right, become matrices: what both have and the rest still needs
numbers the matrices of a batch, what both have and nobody else needs is summed by the product.
"""

import math
import string

from ..runtime.checks import expect
from .products import matmul
from .shapes import getitem, reshape, shape_of, sum, transpose

__all__ = ["einsum"]


def einsum(subscripts, *operands):
    """The sum of products that ``subscripts`` says, as in NumPy: einsum("ij,jk->ik", a, b).

    A letter that comes twice in one operand takes its diagonal, and one that is not in the result
    is summed. Without "->" the result has the letters that come once, in alphabetical order, after
    the axes of "...". An axis of length 1 is repeated where others of its letter are longer. Raises
    ValueError for subscripts that the operands do not fit.
    """
    expect(isinstance(subscripts, str), "einsum: subscripts", 'a text like "ij,jk->ik"', subscripts)
    shapes = [shape_of("einsum", x) for x in operands]
    terms, output, sizes = _parsed(subscripts, shapes)
    x, have = None, ""
    for k, (operand, letters) in enumerate(zip(operands, terms)):
        operand, letters = _diagonal(operand, letters, sizes)
        needed = set(output).union(*terms[k + 1:])
        x, have = (operand, letters) if x is None else _product(x, have, operand, letters, needed,
                                                                sizes)
    x, have = _summed(x, have, output)
    return transpose(x, tuple(have.index(letter) for letter in output))


def _parsed(subscripts, shapes):
    """(the letters of each operand, those of the result, {letter: length}); the axes of "..." are
    digits, counted from the last."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    expect(len(terms) == len(shapes), "einsum: subscripts", f"one term for each of {len(shapes)} "
           "operands", repr(subscripts))
    for part in (*terms, output):
        valid = set(part.replace("...", "", 1)) <= set(string.ascii_letters)
        expect(valid, "einsum: subscripts", "letters, at most one ... in a term, commas and ->",
               repr(subscripts))
    rest = [len(shape) - len(t.replace("...", "")) for t, shape in zip(terms, shapes)]
    most = max([n for n, t in zip(rest, terms) if "..." in t], default=0)
    sizes = {}
    for k, (term, shape, n) in enumerate(zip(terms, shapes, rest)):
        expect(n >= 0 if "..." in term else n == 0, f"einsum: operand {k}",
               f"axes as {term!r} says", f"shape {tuple(shape)}")
        terms[k], own = term.replace("...", _dots(n)), {}
        for letter, length in zip(terms[k], shape):
            known, again = own.get(letter, sizes.get(letter, 1)), letter in own
            expect(known == length or not again and 1 in (known, length), f"einsum: operand {k}",
                   f"length {known} for {letter!r} in {subscripts!r}", f"shape {tuple(shape)}")
            if not again:
                own[letter], sizes[letter] = length, length if known == 1 else known
    if not arrow:
        letters = "".join(terms)
        output = "..." + "".join(sorted(a for a in set(letters) - set(_dots(most))
                                        if letters.count(a) == 1))
    output = output.replace("...", _dots(most))
    expect(len(set(output)) == len(output) and set(output) <= set(sizes), "einsum: subscripts",
           "a result with letters of the operands, each once", repr(subscripts))
    return terms, output, sizes


def _dots(n):
    return "9876543210"[-n:] if n else ""


def _diagonal(x, letters, sizes):
    """``x`` with each of its letters once, and none whose axis of length 1 is to be repeated."""
    keep = tuple(0 if n != sizes[a] else slice(None) for n, a in zip(x.shape, letters))
    x = getitem(x, index=keep)
    letters = "".join(a for a, k in zip(letters, keep) if k != 0)
    for a in dict.fromkeys(letters):
        while letters.count(a) > 1:
            i, j = letters.index(a), letters.rindex(a)
            rest = [k for k in range(len(letters)) if k not in (i, j)]
            n, x = x.shape[i], transpose(x, (i, j, *rest))
            x = getitem(reshape(x, (n * n, *x.shape[2:])), index=slice(None, None, n + 1))
            letters = a + "".join(letters[k] for k in rest)
    return x, letters


def _summed(x, letters, needed):
    axes = tuple(k for k, a in enumerate(letters) if a not in needed)
    return (sum(x, axes) if axes else x), "".join(a for a in letters if a in needed)


def _product(x, have, y, letters, needed, sizes):
    """The product of two operands, summed over the letters that nobody else needs."""
    x, have = _summed(x, have, needed.union(letters))
    y, letters = _summed(y, letters, needed.union(have))
    both = [a for a in have if a in letters]
    batch, inner = [a for a in both if a in needed], [a for a in both if a not in needed]
    rows, columns = ([a for a in some if a not in both] for some in (have, letters))

    def matrices(z, of, *groups):
        z = transpose(z, tuple(of.index(a) for group in groups for a in group))
        return reshape(z, tuple(math.prod(sizes[a] for a in group) for group in groups))

    product = matmul(matrices(x, have, batch, rows, inner),
                     matrices(y, letters, batch, inner, columns))
    result = batch + rows + columns
    return reshape(product, tuple(sizes[a] for a in result)), "".join(result)
