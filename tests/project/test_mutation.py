"""The mutation check itself: the alterations of a small source, and one fatal mutant that the real
suite notices."""

import re
import tempfile
from collections import Counter
from multiprocessing.util import get_temp_dir

import pytest
from mutants import FILES, Mutant, mutants_of, python_mutants
from mutation import EXPLAINED, ROOT, TESTS, Copy

get_temp_dir()      # made here, it outlives the folders of the test run

RULES = '''"""A docstring with 1 + 1."""
import ops
def _shift(c, k):
    """Of 2 - 2."""
    if k < 0:
        raise ValueError("k: expected 0 or more")
    expect(k + 1 < len(c), "k", "a place before the last", k)
    return c[k + 1]

def untouched(x):
    return x + 1

divide.defvjp(lambda g, y, a, b: g / b, None)
product.defvjp(lambda g, y, a: matmul(g, swapaxes(a, -1, -2)))
shift.defvjp(lambda g, y, x: _shift(g, 3))

@operation(vjp=(lambda g, y, a, b: g * b, None))
def multiply(a, b):
    return a * b

def _parts_vjp(k, c, y, *parts):
    return c - k

def _enough(name, parts, **_):
    return len(parts) - 1

@operation(vjp_all=_parts_vjp)
@checked(_enough)
def join(*parts):
    return parts[0] + 1

class Scale:
    def by(self, c):
        return c * 2

class Shift:
    def by(self, c):
        if c:
            return [c
                    - 2]    # wrapped
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
        (15, "operands swapped", "_shift(3, g)"), (15, "constant", "4"),
        (17, "sign flipped", "-(g * b)"), (17, "operator", "((g) / (b))"),
        (17, "cotangent dropped", "(g * 0 + 1)"), (22, "sign flipped", "-(c - k)"),
        (22, "operator", "((c) + (k))"), (22, "operands swapped", "((k) - (c))"),
        (22, "cotangent dropped", "(c * 0 + 1)")}


def test_the_alterations_of_a_kernel():
    assert altered("kernel.cu", KERNEL) == {
        (3, "index", ".y"), (3, "operator", " - "), (3, "constant", "3"), (4, "operator", " <= "),
        (5, "sign flipped", "")}


def test_every_function_is_altered_where_all_are_asked_for():
    """Two methods of one name, too."""
    mutants = python_mutants("rules.py", RULES, ["*"])
    assert {m.function for m in mutants} == {
        "_shift", "untouched", "divide", "product", "shift", "multiply", "_parts_vjp", "_enough",
        "join", "Scale.by", "Shift.by"}
    # what a decorator declares is a check, and altered by name alone
    mutants = python_mutants("rules.py", RULES, ["join"])
    assert {"join", "_parts_vjp"} <= {m.function for m in mutants} and not {
        m for m in mutants if m.function == "_enough"}


def places(file, text, *names):
    """What names the mutants of a text."""
    found = python_mutants(file, text, names) if names else mutants_of(file, text)
    return Counter(m.place(text) for m in found)


def test_the_name_of_a_mutant_survives_what_moves_and_is_wrapped():
    assert ("rules.py", "_shift", "return c[k - 1]") in places("rules.py", RULES)
    assert ("rules.py", "product", "lambda g, y, a: matmul(g, a)") in places("rules.py", RULES)
    assert ("rules.py", "multiply", "lambda g, y, a, b: g / b") in places("rules.py", RULES)
    assert ("rules.py", "Shift.by", "return [c + 2]") in places("rules.py", RULES, "*")
    moved = RULES.replace("class Scale", "# a line\n\nclass Scale").replace(
        "return c * 2", "return (c  # two\n                * 2)").replace(
        "lambda g, y, a, b: g * b", "\n    lambda g, y, a, b:\n    g * b")
    assert moved != RULES and places("rules.py", moved, "*") == places("rules.py", RULES, "*")
    # negative control
    assert places("rules.py", RULES.replace("* 2", "* 3"), "*") != places("rules.py", RULES, "*")


def test_the_name_of_a_mutant_of_a_kernel():
    expected = {("kernel.cu", "kernel", name) for name in (
        "int i = blockIdx.y + 2", "int i = blockIdx.x - 2", "int i = blockIdx.x + 3",
        "if (i <= size) out[i] = -x[i]", "if (i < size) out[i] = x[i]")}
    assert set(places("kernel.cu", KERNEL)) == expected
    wrapped = KERNEL.replace("blockIdx.x + 2", "blockIdx.x        // the block\n        + 2")
    assert set(places("kernel.cu", wrapped)) == expected


def test_every_file_is_altered_and_has_tests():
    for file in FILES:
        assert mutants_of(file, (ROOT / file).read_text()), file
        for name in TESTS[file]:
            module, _, test = name.partition("::")
            assert f"def {test}(" in (ROOT / "tests" / f"{module}.py").read_text() or not test, name
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "ldf_np").rglob("*.py")
               if re.search(r"^@operation|\.defvjp\(", p.read_text(), re.MULTILINE)}
    sources |= {f"kernels/{p.name}" for p in (ROOT / "kernels").glob("*.cu")}
    assert len(sources) > 10 and sources <= set(FILES), "rules or kernels that are not altered"


def test_what_is_explained_is_there():
    found = Counter()
    for file in {file for file, *_ in EXPLAINED}:
        found += places(file, (ROOT / file).read_text())
    # Each reason is for one mutant: two of one name would both be taken as explained.
    assert {place: found[place] for place in EXPLAINED} == dict.fromkeys(EXPLAINED, 1)


@pytest.fixture(scope="module")
def copy():
    with tempfile.TemporaryDirectory() as folder:
        yield Copy(folder)


def find(file, before, after, what):
    """The mutant of a file that turns ``before`` into ``after``."""
    return next(m for m in mutants_of(file, (ROOT / file).read_text())
                if (m.before, m.after, m.what) == (before, after, what))


def test_a_fatal_mutant_is_noticed_and_none_is_not(copy):
    mutant = find("ldf_np/nn/losses.py", "-softplus_mean(fake)", "(softplus_mean(fake))",
                  "sign flipped")
    assert copy.notices(mutant, 300)
    # negative control: unaltered again
    assert copy.passes(mutant.file, 300)


def test_the_copys_own_kernels_run(copy):
    """And not the checkout's, to which an editable install maps them."""
    assert copy.notices(find("kernels/penalty.py", "before + sums", "((before) - (sums))",
                             "operator"), 300)


def test_a_hang_is_noticed(copy):
    start = (ROOT / "ldf_np/nn/losses.py").read_text().index("@operation")
    assert copy.notices(Mutant("ldf_np/nn/losses.py", 1, "hang", "", "while True: pass\n", start,
                               start), 3)
