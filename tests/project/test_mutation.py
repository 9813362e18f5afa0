"""The mutation check itself: the alterations of a small source, and one fatal mutant that the real
suite notices."""

import tempfile

import pytest
from mutants import FILES, Mutant, mutants_of
from mutation import EXPLAINED, ROOT, TESTS, Copy

RULES = '''"""A docstring with 1 + 1."""
import ops

def _shift(c, k):
    """Of 2 - 2."""
    if k < 0:
        raise ValueError("k: expected 0 or more")
    return c[k + 1]

def untouched(x):
    return x + 1

divide.defvjp(lambda g, y, a, b: g / b, None)
product.defvjp(lambda g, y, a: matmul(g, swapaxes(a, -1, -2)))
shift.defvjp(lambda g, y, x: _shift(g, 3))
'''

KERNEL = '''// out[i] = x[i] + 1
extern "C" __global__ void __launch_bounds__(256) kernel(const REAL* x, REAL* out, int size) {
    int i = blockIdx.x + 2;
    if (i < size)
        out[i] = -x[i];     // a - b
}
'''


def altered(file, text):
    """{(line, after)} of all mutants of the text; each of them differs from it in that line
    alone."""
    mutants = mutants_of(file, text)
    for mutant in mutants:
        old, new = text.splitlines(), mutant.applied(text).splitlines()
        assert [k + 1 for k in range(len(old)) if old[k] != new[k]] == [mutant.line]
        if file.endswith(".py"):
            compile("\n".join(new), file, "exec")
    return {(m.line, m.what, m.after) for m in mutants}


def test_the_alterations_of_rules():
    assert altered("rules.py", RULES) == {
        (8, "operator", "((k) - (1))"), (8, "constant", "2"),
        (8, "cotangent dropped", "(c * 0 + 1)"), (13, "sign flipped", "-(g / b)"),
        (13, "operator", "((g) * (b))"), (13, "operands swapped", "((b) / (g))"),
        (13, "cotangent dropped", "(g * 0 + 1)"),
        (14, "sign flipped", "-(matmul(g, swapaxes(a, -1, -2)))"),
        (14, "cotangent dropped", "(g * 0 + 1)"),
        (14, "operands swapped", "matmul(swapaxes(a, -1, -2), g)"),
        (14, "transposition left out", "a"), (14, "constant", "2"), (14, "constant", "3"),
        (15, "sign flipped", "-(_shift(g, 3))"), (15, "cotangent dropped", "(g * 0 + 1)"),
        (15, "operands swapped", "_shift(3, g)"), (15, "constant", "4")}


def test_the_alterations_of_a_kernel():
    assert altered("kernel.cu", KERNEL) == {
        (3, "index", ".y"), (3, "operator", " - "), (3, "constant", "3"), (4, "operator", " <= "),
        (5, "sign flipped", "")}


def test_every_file_is_altered_and_has_tests():
    for file in FILES:
        assert mutants_of(file, (ROOT / file).read_text()), file
        for name in TESTS[file]:
            module, _, test = name.partition("::")
            assert f"def {test}(" in (ROOT / "tests" / f"{module}.py").read_text() or not test, name
    sources = {f"ldf_np/{p.name}" for p in (ROOT / "ldf_np").glob("*.py")
               if ".defvjp" in p.read_text()}
    sources |= {f"kernels/{p.name}" for p in (ROOT / "kernels").glob("*.cu")}
    assert sources <= set(FILES), "rules or kernels that nobody alters"


def test_what_is_explained_is_there():
    places = set()
    for file in {file for file, _ in EXPLAINED}:
        text = (ROOT / file).read_text()
        places |= {(file, m.altered_line(text)) for m in mutants_of(file, text)}
    assert EXPLAINED.keys() <= places


@pytest.fixture(scope="module")
def copy():
    with tempfile.TemporaryDirectory() as folder:
        yield Copy(folder)


def find(file, before, after, what):
    """The mutant of a file that turns ``before`` into ``after``."""
    return next(m for m in mutants_of(file, (ROOT / file).read_text())
                if (m.before, m.after, m.what) == (before, after, what))


def test_a_fatal_mutant_is_noticed_and_none_is_not(copy):
    mutant = find("ldf_np/losses.py", "-softplus_mean(fake)", "(softplus_mean(fake))",
                  "sign flipped")
    assert copy.notices(mutant, 300)
    # negative control: unaltered again
    assert copy.passes(mutant.file, 300)


def test_the_copys_own_kernels_run(copy):
    """And not the checkout's, to which an editable install maps them."""
    assert copy.notices(find("kernels/penalty.py", "before + sums", "((before) - (sums))",
                             "operator"), 300)


def test_a_hang_is_noticed(copy):
    start = (ROOT / "ldf_np/losses.py").read_text().index("KINDS =")
    assert copy.notices(Mutant("ldf_np/losses.py", 1, "hang", "", "while True: pass\n", start,
                               start), 3)
