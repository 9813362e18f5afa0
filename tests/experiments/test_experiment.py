"""What experiments share: finished runs are kept and made once, intervals and verdicts are right,
the best weights come back."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock
from helpers import ctrl_c, values, weights
from PIL import Image

import ldf_np as ldf
from ldf_np.experiments import cli as experiment
from ldf_np.experiments import report, runs, statistics
from ldf_np.experiments.runs import CachedRuns, finished
from ldf_np.experiments.statistics import limits, over_seeds, verdict
from ldf_np.models import nets
from ldf_np.training.best_weights import BestWeights
from ldf_np.training.loop import History


def test_a_run_is_made_once(tmp_path):
    made = []

    def make(checkpoints):
        made.append(checkpoints)
        return {"score": 1.5, "name": "a", "clips": np.arange(6, dtype=np.uint8).reshape(2, 3)}

    first = CachedRuns(tmp_path, {"minutes": 1})
    one, again = first(
        "model seed 0", make), CachedRuns(tmp_path, {"minutes": 1})("model seed 0", make)
    assert made == [None] and one["score"] == again["score"] == 1.5
    np.testing.assert_array_equal(again["clips"], np.arange(6).reshape(2, 3))
    assert again["clips"].dtype == np.uint8 and first.seconds > 0
    CachedRuns(tmp_path, {"minutes": 1})("model seed 1", make)      # another name
    assert len(made) == 2


def test_a_run_of_other_settings_is_moved_and_made_anew(tmp_path):
    """With all that has its name: nothing of it is lost, and nothing of it is taken for the new."""
    def cached(minutes, x):
        return CachedRuns(tmp_path, {"minutes": minutes, "clips": 8})(
            "a", lambda _: {"minutes": minutes, "x": np.full(2, x)})

    cached(1, 1)
    (tmp_path / "a.safetensors").write_text("weights")
    (tmp_path / "ab.json").write_text("another's")
    before = {path.name: path.read_bytes() for path in tmp_path.glob("a.*")}
    with pytest.warns(UserWarning, match="a run with minutes = 1 is kept in"):
        assert cached(2, 2)["x"].tolist() == [2, 2]
    aside, = tmp_path.glob("of other settings *")
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == before
    assert len(before) == 3 and not (tmp_path / "a.safetensors").exists()
    assert cached(2, 3)["x"].tolist() == [2, 2] and (tmp_path / "ab.json").exists()


@pytest.mark.parametrize("lost", [".json", ".npz"])
def test_numbers_and_arrays_are_of_one_run(tmp_path, monkeypatch, lost):
    """Also where the program is killed between the two, in place of a damaged or another one."""
    def cached(settings, x):
        return CachedRuns(tmp_path, settings)("a", lambda _: {"number": x, "x": np.full(2, x)})

    cached({}, 1)
    (tmp_path / f"a{lost}").write_text("damaged")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), \
            pytest.warns(UserWarning, match="made anew"):
        patch.setattr(runs, "save_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        cached({}, 2)
    assert cached({}, 3) | {"x": None} == {"number": 3, "x": None}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), \
            pytest.warns(UserWarning, match="made anew"):
        patch.setattr(runs, "save_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        cached({"a": 1}, 4)
    assert cached({}, 5)["x"].tolist() == [5, 5]


@pytest.mark.parametrize("first, second", [("abc", "abd"), (np.zeros(3), np.ones(3))])
def test_files_that_were_changed_are_other_data(tmp_path, first, second):
    def cached(train, name="folder"):
        options = SimpleNamespace(out=tmp_path, on_nan="stop", resume=None, data=name)
        return runs.cached_runs(options, {}, 1, SimpleNamespace(train=train, test=train)).settings

    assert cached(first) == cached(first) != cached(second)
    assert cached(first, "ale") == cached(second, None) == {}       # no files


def test_what_was_interrupted_is_not_kept(tmp_path):
    def interrupted(_):
        raise KeyboardInterrupt

    cached = CachedRuns(tmp_path, {})
    with pytest.raises(KeyboardInterrupt):
        cached("a", interrupted)
    assert cached("b", lambda _: {"interrupted": True, "steps": 3}) == {
        "interrupted": True, "steps": 3}
    assert {path.suffix for path in tmp_path.iterdir()} == {".lock"}


def less(path, key):
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != key}))


@pytest.mark.parametrize("damage", [lambda p: p.with_suffix(".json").write_text("{"),
                                    lambda p: p.with_suffix(".json").write_text("null"),
                                    lambda p: less(p, "seconds"), lambda p: less(p, "numbers"),
                                    lambda p: p.with_suffix(".npz").write_bytes(b""),
                                    lambda p: p.with_suffix(".npz").write_bytes(b"PK"),
                                    lambda p: p.with_suffix(".npz").unlink()])
def test_a_damaged_run_is_made_anew(tmp_path, damage):
    CachedRuns(tmp_path, {})("a", lambda _: {"x": np.zeros(3)})
    damage(tmp_path / "a.json")
    with pytest.warns(UserWarning, match="made anew"):
        again = CachedRuns(tmp_path, {})("a", lambda _: {"x": np.ones(3)})
    assert again["x"].tolist() == [1, 1, 1]


def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    seen = []

    def make(checkpoints=None):
        gan = nets.mlp_gan(4, latent_size=3, hidden=8)
        finished(gan.fit(values(40, 4, dtype=np.float32), steps=12, batch_size=8,
                         checkpoints=checkpoints,
                         callback=lambda history: seen.append(history.steps)))
        return {"weights": weights(gan)}

    def cached(resume=None):
        options = SimpleNamespace(out=tmp_path, on_nan="stop", resume=resume)
        return runs.cached_runs(options, {"a": 1}, 1)

    whole, kept = make()["weights"], tmp_path / "checkpoints" / "it"
    for resume, step in ((None, 5), (None, 3), (False, 2)):         # the last begins anew
        with pytest.raises(KeyboardInterrupt), ctrl_c(step):
            cached(resume)("it", make)
    assert seen[12:] == [*range(1, 9), 1, 2] and (kept / "step-000000002.json").exists()
    made = cached()("it", make)
    np.testing.assert_array_equal(made["weights"], whole)
    assert seen[22:] == [*range(3, 13)] and [p.name for p in kept.iterdir()] == ["metrics.jsonl"]
    (kept
     / "step-000000007.json").write_text(
         "left by a program that was killed just after the run was kept")
    cached()("it", None)
    assert [p.name for p in kept.iterdir()] == ["metrics.jsonl"]


SHARING = """
import sys, time
from ldf_np.experiments.runs import CachedRuns

def make(name, seed, checkpoints):
    with open(sys.argv[1], "a") as file:
        file.write(f"{name} {seed}\\n")
    time.sleep(0.2)
    return {"who": sys.argv[1], "seed": seed}

found = CachedRuns("shared", {}).by_seed(["a", "b"], [0, 1, 2], make)
assert [run["seed"] for run in found["b"]] == [0, 1, 2]
print([run["who"] for name in "ab" for run in found[name]])
"""


def test_processes_share_the_runs_out():
    """Each run is made by one of two processes, and both get all."""
    both = [subprocess.Popen([sys.executable, "-c", SHARING, who], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for who in ("first", "second")]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert ended[0][0] == ended[1][0]
    made = [line for who in ("first", "second") if Path(who).exists()
            for line in Path(who).read_text().splitlines()]
    assert sorted(made) == ["a 0", "a 1", "a 2", "b 0", "b 1", "b 2"]
    assert Path("shared", "a seed 0.json").exists()


def test_what_another_process_makes_is_waited_for(tmp_path):
    """It comes last; where that process ends without having kept it, it is made here."""
    order, others = [], FileLock(tmp_path / ".a seed 0.lock")

    def make(name, seed, checkpoints):
        order.append(name)
        if name == "c":         # the other process ends
            others.release()
        return {}

    others.acquire()
    CachedRuns(tmp_path, {}).by_seed("abc", [0], make)
    assert order == ["b", "c", "a"]


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def acquire(self, timeout):
        raise NotImplementedError("no flock")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    assert CachedRuns(tmp_path, {})("a", lambda _: {"x": 1}) == {"x": 1}


def test_an_interrupted_run_ends_all(tmp_path):
    def make(name, seed, checkpoints):
        return {"interrupted": name == "b" and seed == 1}

    found = CachedRuns(tmp_path, {}).by_seed("ab", [0, 1, 2], make)
    assert {name: len(some) for name, some in found.items()} == {"a": 2, "b": 2}
    assert found["b"][1] == {"interrupted": True}


def test_all_options_but_a_few_are_settings():
    options = experiment.parser("doc", out="out", minutes=1)
    experiment.add_checkpoints(options)
    options = options.parse_args(["--minutes", "3", "--resume"])
    assert experiment.settings(options) == {"minutes": 3.0, "device": "auto"}
    assert experiment.settings(options, "minutes") == {"device": "auto"}


def test_finished_passes_only_whole_trainings():
    whole, cut = History(), History()
    cut.interrupted = True
    assert finished(whole) is whole and finished({"a": whole}) == {"a": whole}
    for histories in (cut, {"a": whole, "b": cut}):
        with pytest.raises(KeyboardInterrupt):
            finished(histories)


def test_the_interval_of_a_mean():
    middle, low, high = over_seeds([1.0, 2.0, 3.0])
    assert middle == 2 and high - 2 == pytest.approx(4.302653 / np.sqrt(3),
                                                     rel=1e-6) and low == pytest.approx(4 - high)
    assert over_seeds([5]) == [5, None, None]
    with pytest.raises(ValueError, match="values: expected at least one number"):
        over_seeds([])


def test_intervals_of_shares_are_shares():
    """And of what else has bounds; they hold the mean of shares as often as others do."""
    assert over_seeds([0.8, 0.9, 0.97])[2] > 1
    assert over_seeds([0.8, 0.9, 0.97], within=(0, 1))[1:] == [over_seeds([0.8, 0.9, 0.97])[1], 1]
    assert over_seeds([0.01, 0.2], within=(0, 1))[1:] == [0, 1]
    assert over_seeds([0.5], within=(0, 1)) == [0.5, None, None]
    assert limits("precision frames") == limits("shape accuracy") == (0, 1)
    assert limits("Inception Score")[0] == 1 and limits("motion W1")[0] == 0
    assert limits("KID clips") == (-np.inf, np.inf)
    rng = np.random.default_rng(0)
    shares = rng.beta(8, 1, (2000, 3))
    inside = {within: np.mean([low <= 8 / 9 <= high for _, low, high in (
        over_seeds(some, within=within) for some in shares)]) for within in ((0, 1), (-9, 9))}
    assert inside[0, 1] == inside[-9, 9] > 0.85
    assert over_seeds([0.5, 1.5], within=(0, 1)) == [1.0, 0.0, 1.5]     # it is never off its values


def test_values_that_are_all_the_same_have_a_verdict():
    """As the docstring says; it is not for the interval to find out that nothing varies."""
    same = over_seeds([2.5, 2.5, 2.5])
    assert same == [2.5, 2.5, 2.5]
    assert [verdict(same, "above", than) for than in (2, 2.5, 3)] == ["held", "undecided", "failed"]


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    inside = [low <= 7 <= high for _, low, high in (over_seeds(7 + rng.standard_normal(3))
                                                    for _ in range(2000))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("interval, expected, than, said", [
    ([-2, -3, -1], "below", 0, "held"), ([-2, -3, -1], "above", 0, "failed"),
    ([0, -1, 1], "below", 0, "undecided"), ([5, 4, 6], "above", 3, "held"),
    ([5, 4, 6], "below", 3, "failed"), ([5, None, None], "above", 3, "one seed"),
    ([None, None, None], "above", 3, "undecided"),
    ([1, 1, 1], "above", 1, "undecided")])
def test_verdicts(interval, expected, than, said):
    assert verdict(interval, expected, than) == said


@pytest.mark.parametrize("interval, margin, said", [
    ([0, -1, 1], 1.5, "equal"), ([0, -1, 1], 1, "undecided"), ([0.5, 0.2, 0.8], 1, "equal"),
    ([-0.5, -0.8, -0.2], 0.7, "held"), ([0.5, 0.2, 0.8], 0.7, "failed"),
    ([0, None, None], 1, "one seed")])
def test_no_difference_is_a_verdict_too(interval, margin, said):
    assert verdict(interval, "below", 0, margin) == said
    shifted = [None if x is None else x + 5 for x in interval]
    assert verdict(shifted, "below", 5, margin) == said


def test_a_verdict_of_nothing_known_is_refused():
    with pytest.raises(ValueError, match='expected: "below" or "above", got .less.'):
        verdict([1, 0, 2], "less")


def test_the_best_weights_come_back():
    gan = nets.mlp_gan(4, latent_size=3, hidden=8)
    scores = iter([3.0, 1.0, 2.0])
    seen = []

    def score(model):
        seen.append(np.array(model.generator.flat()))
        return next(scores)

    best = BestWeights(gan, score, [0.5, 2.5])
    history = History()
    for seconds in (1.0, 2.0, 3.0, 4.0):
        gan.step(ldf.Generator(1).standard_normal((8, 4)))
        history.append({}, seconds)
        best(history)
    history.append({}, 5.0)
    curve = best.finish(history)
    assert curve == [[1.0, 3.0], [3.0, 1.0], [5.0, 2.0]] and best.best == 1.0
    np.testing.assert_array_equal(gan.generator.flat(), seen[1])
    assert not np.array_equal(seen[1], seen[2])        # control: there was something to bring back


def test_a_later_training_is_not_given_up_for_an_earlier_score():
    """Not even where it has none but NaN."""
    gan, scores = nets.mlp_gan(4, latent_size=3, hidden=8), iter([1.0, np.nan, np.nan])
    best, history = BestWeights(gan, lambda model: next(scores), [1, 2], "steps"), History()
    for before in (0, 1):
        gan.step(ldf.Generator(before).standard_normal((8, 4)))
        history = History()
        history.before = {"seconds": 0.0, "steps": before}
        history.append({}, 1.0)
        best(history)
    last = weights(gan)
    best.finish(history)
    np.testing.assert_array_equal(weights(gan), last)


@pytest.mark.parametrize("score", [lambda model: None, lambda model: "a", lambda model: ()])
def test_a_score_is_a_number(score):
    history = History()
    history.append({}, 1.0)
    with pytest.raises(TypeError, match="score: expected to return a number, or several, got"):
        BestWeights(SimpleNamespace(), score, [0.5])(history)


def test_the_curve_holds_what_else_the_score_tells():
    model = SimpleNamespace(state_dict=dict, load_state_dict=lambda weights: None)
    scores = iter([(3.0, 10), (1.0, 20)])
    best = BestWeights(model, lambda m: next(scores), [0.5])
    history = History()
    history.append({}, 1.0)
    best(history)
    assert best.finish(history) == [[1.0, 3.0, 10.0], [1.0, 1.0, 20.0]] and best.best == 1.0


def test_best_weights_wait_until_a_hierarchy_is_ready():
    model = SimpleNamespace(ready=False, state_dict=dict, load_state_dict=lambda weights: None)
    best = BestWeights(model, lambda m: 1.0, [0.1])
    history = History()
    history.append({}, 1.0)
    best(history)
    assert best.curve == []
    model.ready, history.before = True, {"seconds": 10.0, "steps": 7}
    best(history)
    assert best.curve == [[11.0, 1.0]]


def test_best_weights_look_by_steps_whatever_the_clock_says():
    model = SimpleNamespace(state_dict=dict, load_state_dict=lambda weights: None)
    best, history = BestWeights(model, lambda m: 1.0, [2, 9, 10], "steps"), History()
    history.before["steps"] = 7
    for seconds in (0.0, 1e6, 2e6):
        history.append({}, seconds)
        best(history)
    assert best.finish(history) == [[8, 1.0], [9, 1.0], [10, 1.0], [10, 1.0]]


def test_results_hold_what_the_report_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["demos/some demo.py", "--minutes", "1"])
    claim = report.claim("A beats B", "p", "q", [1.0, 0.5, 1.5], "above")
    options = SimpleNamespace(out=str(tmp_path), minutes=1)
    report.save_results(options, title="T", claims=[claim], tables={},
                        figures=[("a.png", "caption", "alt")], seconds=2.0, n=3)
    results = json.loads((tmp_path / "results.json").read_text())
    (entry,) = results["claims"]
    assert entry == {"claim": "A beats B", "paper": "p", "quantity": "q", "value": 1.0, "low": 0.5,
                     "high": 1.5, "interval": [1.0, 0.5, 1.5], "verdict": "held",
                     "expected": "above", "than": 0.0, "margin": None,
                     "command": "python 'demos/some demo.py' --minutes 1", "seconds": 2.0}
    assert results["figures"] == [{"file": "a.png", "caption": "caption", "alt": "alt"}]
    assert results["n"] == 3
    assert results["options"]["minutes"] == 1 and results["versions"]["numpy"] == np.__version__


WIDE = {"columns": [f"score {k}" for k in range(14)], "rows": {
    name: [[k, k - 0.5, k + 0.5] for k in range(14)] for name in ("LDF", "joint GAN")}}


def test_tables_fit_a_terminal():
    said = report.text_table(WIDE, "A long title " * 20)
    assert max(map(len, said.splitlines())) <= 100
    # nothing is lost
    assert said.count("LDF") == said.count("joint GAN") > 1 == said.count("score 13")
    assert all(said.count(f"{k} ({k - 0.5:.3g} to {k + 0.5:.3g})") == 2 for k in range(14))
    narrow = {"columns": ["a", "b"], "rows": {"x": [1, None], "yy": ["text", [2.0, 1.0, 3.0]]}}
    assert report.text_table(narrow, "T") == "T\n    a     b\nx   1     -\nyy  text  2 (1 to 3)"


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_run_ends_with_what_to_open_and_a_page(seeds, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demos/pacman.py", "--minutes", "1"])
    for k, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(np.full((9, 9, 3), 40 * k, np.uint8)).save(tmp_path / name)
    interval = [1.0, 0.5, 1.5] if seeds > 1 else [1.0, None, None]
    report.conclude(SimpleNamespace(out=str(tmp_path), minutes=1), title="A <title>", claims=[
        report.claim("A beats B", "sentence", "quantity", interval, "above")], seconds=90.0,
        tables={"Scores": WIDE}, figures=[(f"{n}.png", f"Look at {n}.", f"alt {n}") for n in "abc"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 100
    opened = said[said.index("Open in"):]
    assert [name in opened for name in ("index.html", "a.png", "b.png", "c.png")] == [1, 1, 1, 0]
    assert "Look at a." in opened and "UNDECIDED" not in said
    page = (tmp_path / "index.html").read_text()
    assert '<a href="c.png"><img src="c.png" alt="alt c"></a>' in page
    assert "A &lt;title&gt;" in page and "13 (12.5 to 13.5)" in page
    assert "<p class=\"verdict\">Undecided" not in page
    for text in (said, page):
        assert ("a verdict needs more" in text) == (seeds == 1)
    assert ("HELD: A beats B" in said) == ("Held: A beats B" in page) == (seeds > 1)


def test_results_are_json_whatever_is_measured(tmp_path, monkeypatch):
    """NumPy's numbers, NaN, infinity, and a file whose name is no address."""
    monkeypatch.setattr(sys, "argv", ["demos/pacman.py"])
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a#b c.png")
    report.conclude(
        SimpleNamespace(out=str(tmp_path), steps=np.int64(3)), title="A", claims=[], seconds=1.0,
        tables={"T": {"columns": ["a", "b", "c"], "rows": {
            "x": [np.int64(5), np.float32(1.5), float("nan")]}}},
        figures=[("a#b c.png", "caption", "alt")], more={"y": [float("inf")]})

    def refuse(text):
        raise AssertionError(text)

    found = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert found["tables"]["T"]["rows"]["x"] == [5, 1.5, "nan"] and found["more"] == {"y": ["inf"]}
    page = (tmp_path / "index.html").read_text()
    assert '<a href="a%23b%20c.png"><img src="a%23b%20c.png"' in page
    entries = [report.described("twice", "q", [1.0, None, None])] * 2
    with pytest.raises(ValueError, match="claims: expected described entries of different texts"):
        report.sort_out(entries, {})


def test_large_numbers_are_short():
    assert report.cell([2.5e30, -1e10, 1234567.0]) == "2.5e+30 (-1e+10 to 1,234,567)"


@pytest.mark.parametrize("program, told", [
    ("/somewhere/demos/paper/memory.py", "demos/paper/memory.py"),
    ("/demos/old/demos/pacman.py", "demos/pacman.py"),
    ("/somewhere/benchmarks/gpu.py", "benchmarks/gpu.py"), ("/gpu.py", "//gpu.py")])
def test_a_command_is_told_as_one_would_type_it(program, told, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "--only", "a b"])
    assert report.command() == f"python {told} --only 'a b'"


def test_a_command_from_within_its_folder(tmp_path, monkeypatch):
    (tmp_path / "demos" / "paper").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "demos" / "paper")
    monkeypatch.setattr(sys, "argv", ["memory.py"])
    assert report.command() == "python demos/paper/memory.py"


def test_what_tables_and_claims_are_made_of():
    a, b = {"x": {"steps": 3}, "clips": np.zeros(2)}, {"x": {"steps": 4, "clips": np.ones(2)}}
    assert runs.without_arrays({"LDF": {0: a, 1: b}}) == {
        "LDF": {0: {"x": {"steps": 3}}, 1: {"x": {"steps": 4}}}}
    assert runs.scores_of({"LDF": {0: {"scores": {"k": 1}}, 5: {"scores": {"k": 2}}}}, "k") == {
        "LDF": [1, 2]}
    assert report.steps_text([{"level 0": 7, "top": 3}, {"level 0": 8, "top": 3}]) == (
        "level 0 7/8, top 3/3")
    assert report.steps_text([{"level 0": 7, "top": 3}, {"level 0": 2}]) == "level 0 7/2, top 3/0"
    claim = report.claim("A beats B", "p", "q", [1.0, 0.5, 1.5], "below")
    assert claim["verdict"] == "failed"
    entries = [claim, report.described("C beside B", "q", [2.0, None, None])]
    claims, tables = report.sort_out(entries, {"T": {}})
    assert claims == [claim] and tables == {"T": {}, report.DESCRIBED: {
        "columns": ["quantity", "measured"], "rows": {"C beside B": ["q", [2.0, None, None]]}}}
    assert report.sort_out([claim], {}) == ([claim], {})
    one, two = History(), History()
    assert runs.by_level(one, "GAN") == {"GAN": one}
    assert runs.by_level({"level 0": one, "top": two}) == {"level 0": one, "top": two}


@pytest.mark.parametrize("given, complaint", [
    (["--minutes", "0"], "--minutes: expected a positive number, got 0"),
    (["--minutes", "inf"], "got inf"), (["--minutes", "soon"],
                                        "--minutes: expected a positive number, got soon"),
    (["--seeds", "-1"], "--seeds: expected a non-negative integer, got -1")])
def test_bad_options(given, complaint, capsys):
    with pytest.raises(SystemExit):
        experiment.parser("doc", out="out", minutes=1).parse_args(given)
    assert complaint in capsys.readouterr().err


PROGRAM = """
import sys
from types import SimpleNamespace
from ldf_np import experiment
def run(options):
    {}
experiment.main(run, SimpleNamespace(out="there", seeds={}))
"""


@pytest.mark.parametrize("body, seeds, said", [
    ("raise ValueError('clips: expected more')", [0], "clips: expected more"),
    ("import os, signal; os.makedirs('there/pieces'); os.kill(os.getpid(), signal.SIGTERM)", [0],
     "is kept in there, and the same command goes on"),
    ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", [0],
     "interrupted; what was not finished begins anew"),
    ("pass", [1, 1], "--seeds: expected different seeds, got 1 1")])
def test_programs_end_with_a_sentence(body, seeds, said):
    ended = subprocess.run([sys.executable, "-c", PROGRAM.format(body, seeds)],
                           capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1 and said in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("out, said", [
    ("file", "--out: expected the path of a folder, got 'file', and"),
    ("file/below", "file is a file"), ("", "--out: expected the path of a folder, got ''")])
def test_a_folder_that_cannot_be_is_named_before_anything_runs(out, said, capsys):
    Path("file").touch()
    with pytest.raises(SystemExit) as ended:
        experiment.main(lambda options: print("ran"), SimpleNamespace(out=out))
    assert said in str(ended.value) and not capsys.readouterr().out
    experiment.main(lambda options: print("ran"), SimpleNamespace(out="new/folder"))    # control
    assert capsys.readouterr().out == "ran\n" and not Path("new").exists()


def test_a_folder_that_cannot_be_written_into_is_named(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)         # root may write everywhere
    with pytest.raises(ValueError, match="--out: .new.: nothing can be written into .*: Perm"):
        experiment.expect_folder("--out", "new")


@pytest.mark.parametrize("values, said", [
    ([np.nan, None, None], "interval: expected a finite number"), ([np.nan, 0.0, 1.0], "interval")])
def test_a_verdict_on_what_is_no_number_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        statistics.verdict(values, "below")
    assert statistics.verdict([None, None, None], "below") == "undecided"       # control


def test_a_half_without_a_score_is_refused():
    sample = np.arange(8.0)
    with pytest.raises(ValueError, match="the score of a half: expected a finite number"):
        statistics.interval(lambda x: np.nan if len(x) < 8 else 1.0, sample)


def test_cells_at_the_edge_of_their_format():
    assert report.cell(999.4) == "999" and report.cell(999.7) == "1,000" == report.cell(1000)
    with pytest.raises(TypeError, match="value: expected a number"):
        report.cell([1, 1, None])


@pytest.mark.parametrize("score, values", [
    ("JSD 4-grams", [0.9, 0.99, 0.7]), ("known words", [0.02, 0.4, 0.1]),
    ("own is nearest", [0.99, 0.995, 1.0])])
def test_intervals_of_scores_of_texts_and_inference_are_what_those_can_be(score, values):
    _, low, high = statistics.over_seeds(values, within=statistics.limits(score))
    _, least, most = statistics.over_seeds(values)
    assert 0 <= low and high <= 1 and (least < 0 or most > 1)       # control: without limits
    assert statistics.limits("log motion") == (-np.inf, 1.0)


def test_what_a_run_finds_is_kept_or_named(tmp_path):
    kept = CachedRuns(tmp_path, {}, anew=True)
    found = kept("a", lambda _: {"score": np.float32(1.5), "many": [np.int64(2)], "x": np.ones(2)})
    assert found["score"] == 1.5 and found["many"] == [2] and found["x"].tolist() == [1, 1]
    for wrong in ({"deep": {"x": np.ones(2)}}, {"x": [np.ones(2)]}, {"thing": object()}):
        with pytest.raises(TypeError, match=f"run b: {[*wrong][0]}: expected numbers, texts"):
            kept("b", lambda _, wrong=wrong: wrong)
    for wrong in ({"file": np.ones(2)}, {"x": np.array([{}])}):
        with pytest.raises(ValueError, match="run b: expected arrays of numbers, none of them"):
            kept("b", lambda _, wrong=wrong: wrong)
    assert not (tmp_path / "b.json").exists()


def test_an_interval_over_halves_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = [low <= 0 <= high for _, low, high in (statistics.interval(
        lambda x: x.mean(), rng.standard_normal(200), seed=k) for k in range(400))]
    assert 0.925 < np.mean(covered) < 0.98
