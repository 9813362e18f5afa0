"""demos/paper/report.py: one page that needs no network, reads well without eyes or mouse, and
tells of what is missing."""

import copy
import json
import os
import re
import signal
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers import CHECKOUT, load_program
from PIL import Image

from ldf_np.experiments.report import environment, save_json

report = load_program("demos/paper/report.py")

RESULTS = {
    "title": "Memory", "command": "python demos/paper/memory.py --steps 1",
    "options": {"seeds": [0, 1, 2]}, "seconds": 90.0,
    "claims": [{"claim": "less <memory>", "paper": "Vastly reduced memory", "quantity": "ratio",
                "value": 12.0, "low": 11.0, "high": 13.0, "verdict": "held",
                "command": "python demos/paper/memory.py --steps 1", "seconds": 90.0}],
    "tables": {"MB": {"columns": ["5 frames"], "rows": {
        "joint": [[1.0, 0.5, 1.5]], "one seed": [[2.0, None, None]]}}},
    "figures": [{"file": "a.png", "caption": "Memory.", "alt": "a plot"},
                {"file": "a.gif", "caption": "Clips.", "alt": "clips"}]}


@pytest.fixture
def folder(tmp_path):
    """A report folder in which one experiment has run."""
    (tmp_path / "memory").mkdir()
    picture = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
    picture.save(tmp_path / "memory" / "a.png")
    picture.save(tmp_path / "memory" / "a.gif", save_all=True,
                 append_images=[Image.new("RGB", (8, 8), "red")])
    save_json(tmp_path / "memory" / "results.json", RESULTS | environment())
    return tmp_path


def write(folder, wrong, budget="short"):
    found = report.collect(folder, {})
    report.write_report(folder / "index.html", found, report.summary(found)["claims"], wrong, 30,
                        budget)


class Page(HTMLParser):
    """Collects what a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def complaints(folder, text):
    """What keeps a page of a folder from working offline, on a phone, or with a screen reader."""
    page, found = Page(text), []
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            at = attributes.get(name, "data:")
            if not at.startswith(("data:", "#")) and not (folder / at).is_file():
                found.append(f"{tag} needs {at}")
    found += [f"points nowhere: {a['href']}" for a in page.all("a")
              if a["href"][0] == "#" and a["href"][1:] not in page.ids]
    found += ["an image without a text"] * sum(not a.get("alt") for a in page.all("img"))
    found += ["no language"] * (not page.all("html")[0].get("lang"))
    found += ["no width for phones"] * (not any(m.get("name") == "viewport"
                                                for m in page.all("meta")))
    found += ["a wide table that a keyboard cannot scroll"] * sum(
        a.get("class") == "scroll" and a.get("tabindex") != "0" for a in page.all("div"))
    if re.search(r"url\(|@import|<script", text):
        found.append("loads something")
    return found


def test_the_page(folder):
    write(folder, {"images": "no space"})
    text = (folder / "index.html").read_text()
    assert complaints(folder, text) == [] and "decides little" in text
    write(folder, {}, "full")
    assert "decides little" not in (folder / "index.html").read_text()
    for expected in ("12 (11 to 13)", "Vastly reduced memory", "less &lt;memory&gt;",
                     "python demos/paper/memory.py --steps 1",
                     "1 held, 0 failed, 0 undecided",
                     "<strong>images ended with an error in this run:</strong> no space"):
        assert expected in text, expected
    # what moves, moves only when asked to
    assert text.count("<details>") == 1
    assert text.rindex("data:image/webp") > text.index("<details>") > text.index("data:image/webp")


@pytest.mark.parametrize("planted, complaint", [
    ('<img src="https://example.org/a.png" alt="x">', "img needs"),
    ('<img src="data:," alt="">', "without a text"),
    ('<a href="#nowhere">x</a>', "points nowhere"), ('<div class="scroll"></div>', "keyboard"),
    ("<script>1</script>", "loads something")])
def test_control_a_faulty_page_is_noticed(folder, planted, complaint):
    write(folder, {})
    text = (folder / "index.html").read_text().replace("</main>", planted + "</main>")
    assert len(complaints(folder, text)) == 1 and complaint in complaints(folder, text)[0]


@pytest.mark.parametrize("than, quantity, end", [
    (0.1, "drift", "; expected below 0.1"), (0.0, "drift", "3)"),
    (0.1, "drift; expected below 0.1", "3)")])
def test_on_which_side_it_should_lie(than, quantity, end):
    claim = {"value": 2, "low": 1, "high": 3, "expected": "below", "than": than,
             "quantity": quantity}
    assert report.interval(claim) == "2 (1 to 3)" + end.removeprefix("3)")


def test_the_numbers(folder):
    found = report.summary(report.collect(folder, {}))
    (entry,) = found["claims"]
    assert {"claim", "value", "low", "high", "verdict", "command",
            "seconds"} <= set(entry) and entry["experiment"] == "memory"
    assert found["experiments"]["memory"]["machine"] == environment()["machine"]
    report.publish(found, folder, folder / "docs")
    page = (folder / "docs" / "results.md").read_text()
    assert "| less <memory> | **held** | 12 (11 to 13) |" in page
    assert "python demos/paper/memory.py --steps 1\n" in page and "1.5 minutes" in page
    assert environment()["versions"]["numpy"] in page and environment()["machine"]["blas"] in page
    assert json.loads((folder / "docs" / "results.json").read_text()) == found
    (link,) = re.findall(r"\]\((results/.*)\)", page)
    with Image.open(folder / "docs" / link) as image:
        assert image.format == "WEBP" and image.size == (8, 8)

    # what is published of other experiments stays, that of the same one is replaced
    others = json.loads(json.dumps(found).replace('"memory"', '"images"'))
    (folder / "docs" / "results.json").write_text(json.dumps(others))
    newer = json.loads(json.dumps(found).replace("less <memory>", "even less"))
    for some in (found, newer):
        report.publish(some, folder, folder / "docs")
    both = json.loads((folder / "docs" / "results.json").read_text())
    assert both["claims"] == others["claims"] + newer["claims"]
    assert list(both["experiments"]) == ["images", "memory"]
    page = (folder / "docs" / "results.md").read_text()
    assert "even less" in page and page.count("less <memory>") == 2      # that of images


def test_budgets_scale():
    options = report.parse(["--times", "2", "--device", "cpu"])
    given = report.arguments("equal_time", options)
    assert float(given[given.index("--minutes") + 1]) == pytest.approx(
        2 * report.BUDGETS["short"][1]["equal_time"])
    assert given[given.index("--device") + 1] == "cpu"
    assert report.arguments("gaussian_blocks", options) == ["--quick"]


def test_every_experiment_is_there_and_takes_what_it_is_given():
    for name in report.SHORT:
        module = load_program(report.program(name).relative_to(CHECKOUT))
        for budget in report.BUDGETS:
            given = report.arguments(name, report.parse(["--budget", budget]))
            module.parse([*given, "--out", "x"])


def test_the_estimate_counts_the_trainings():
    """It is told beforehand; the programs say how many models they train."""
    images, gibbs, ablation, limited = (load_program(f"demos/paper/{name}.py") for name in (
        "images", "gibbs", "ablation", "limited_data"))
    assert report.TRAININGS["images"] == len(images.MODELS)
    assert report.TRAININGS["gibbs"] == len(gibbs.BOTTOMS) + len(gibbs.TOPS)
    assert report.TRAININGS["ablation"] == len(ablation.VARIANTS)
    for budget, counts in (("short", 1), ("hours", 1), ("full", 4)):     # numbers of whole clips
        parts = {kind: part for kind, (_, part) in limited.BOTTOMS.items()}
        tops = sum(1 - parts.get(limited.STANDS_ON.get(arm), 0) for arm in limited.TRAINED)
        assert report.TRAININGS["limited_data"][budget] == pytest.approx(
            sum(parts.values()) + tops * counts - (budget == "full"))
    options = report.parse(["--budget", "full", "--only", "gibbs", "memory", "--times", "2"])
    assert report.estimate(options) == {"gibbs": 3 * 15 * 2 * 7} and options.out == (
        "out/report-full")
    assert report.duration(40) == "40 minutes" and report.duration(450) == "7.5 hours"


def test_an_experiment_that_fails_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(report.SHORT, "memory", "--frames 5")
    options = report.parse(["--only", "memory", "--out", str(tmp_path)])
    assert "at least two growing numbers" in report.run_experiments(options)["memory"]
    assert "at least two growing numbers" in (tmp_path / "memory" / "log.txt").read_text()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="needs affinities")
@pytest.mark.parametrize("name, jobs", [("text", 2), ("memory", 1)])
def test_jobs_share_the_cores(tmp_path, monkeypatch, name, jobs):
    """What trains is started so often, each on cores of its own; what is measured, once."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("needs two cores")
    (tmp_path / f"{name}.py").write_text("import os\nprint(*os.sched_getaffinity(0))\n")
    monkeypatch.setattr(report, "HERE", tmp_path)
    options = report.parse(["--only", name, "--out", str(tmp_path), "--jobs", "2"])
    assert report.run_experiments(options) == {} and os.sched_getaffinity(0) == cores
    logs = sorted((tmp_path / name).glob("log*.txt"))
    assert [path.name for path in logs] == ["log-2.txt", "log.txt"][-jobs:]
    parts = [set(map(int, path.read_text().split())) for path in logs]
    assert set.union(*parts) == cores and sum(map(len, parts)) == len(cores)


def test_a_job_that_fails_is_told(tmp_path, monkeypatch):
    (tmp_path / "text.py").write_text("import sys\ntry:\n    open('begun', 'x')\n"
                                      "except FileExistsError:\n    sys.exit('no space')\n")
    monkeypatch.setattr(report, "HERE", tmp_path)
    options = report.parse(["--only", "text", "--out", str(tmp_path), "--jobs", "2"])
    assert report.run_experiments(options) == {"text": "no space"}


def test_ctrl_c_lets_an_experiment_end_in_its_own_way(tmp_path, monkeypatch):
    """It comes to the report alone, from a terminal too, and the report passes it on."""
    (tmp_path / "memory.py").write_text(
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "try:\n    os.kill(os.getppid(), signal.SIGINT); time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(1); open('ended', 'w')\n")
    monkeypatch.setattr(report, "HERE", tmp_path)
    monkeypatch.chdir(tmp_path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        report.run_experiments(report.parse(["--only", "memory", "--out", str(tmp_path)]))
    signal.signal(signal.SIGINT, before)
    assert (tmp_path / "ended").exists()


def test_the_page_of_results_shows_the_committed_ones():
    docs = CHECKOUT / "docs"
    page = (docs / "results.md").read_text(encoding="utf-8")
    results = json.loads((docs / "results.json").read_text(encoding="utf-8"))
    assert report.markdown(results) == page
    altered = copy.deepcopy(results)        # negative control
    altered["claims"][0]["value"] += 1
    assert report.markdown(altered) != page


def test_results_that_cannot_be_used_cost_only_themselves(folder):
    (folder / "images").mkdir()
    (folder / "images" / "results.json").write_text("{")
    (folder / "memory" / "a.gif").unlink()
    for name, less in (("text", {}), ("gibbs", RESULTS | {"claims": 0})):
        (folder / name).mkdir()
        save_json(folder / name / "results.json", less | {"figures": []})
    found = report.collect(folder, wrong := {})
    assert not found and set(wrong) == {"images", "memory", "text", "gibbs"}
    assert all("these results cannot be used" in said for said in wrong.values())
    report.write_report(folder / "index.html", found, [], wrong, 0)
    page = (folder / "index.html").read_text()
    assert "images ended with an error" in page and not complaints(folder, page)


@pytest.mark.parametrize("plant", [lambda out: None, lambda out: out.mkdir()])
def test_nothing_is_published_of_nothing(tmp_path, monkeypatch, plant):
    plant(tmp_path / "out")
    monkeypatch.setattr(report, "HERE", tmp_path / "demos" / "paper")
    with pytest.raises(ValueError, match="--out: expected the folder of a report"):
        report.run(report.parse(["--publish", "--out", str(tmp_path / "out")]))
    assert not (tmp_path / "docs").exists()


def test_what_was_interrupted_and_what_trains_nothing_is_said(folder):
    path = folder / "memory" / "results.json"
    results = json.loads(path.read_text())
    results["options"]["minutes"] = 30
    for more, expected in (({}, "<td>30</td>"), ({"trains": False}, "<td>-</td>")):
        path.write_text(json.dumps(results | more | {"interrupted": bool(more)}))
        write(folder, {})
        page = (folder / "index.html").read_text()
        assert expected in page and ("interrupted." in page) == bool(more)
        assert not complaints(folder, page)
