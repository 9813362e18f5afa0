"""demos/paper/text.py at a tiny size: what is scored, what is said of Markov chains, bad
options."""

import json

import pytest
from helpers import load_program

program = load_program("demos/paper/text.py")
SENTENCES = ("the cat sat on the mat and looked at the dog. ", "a dog ran to the cat, and away. ")


@pytest.fixture
def folder(tmp_path):
    for k in range(6):
        text = SENTENCES[k % 2] * (60 + 10 * k)
        (tmp_path / f"{k}.txt").write_text(text)
    return tmp_path


def test_the_program(folder, capsys):
    out = folder / "out"
    program.run(program.parse(["--steps", "4", "--data", str(folder), "--samples", "40",
                               "--length", "64", "--device", "cpu", "--out", str(out)]))
    results = json.loads((out / "results.json").read_text())
    rows = results["tables"]["text"]["rows"]
    assert list(rows) == ["LDF", "independent windows", "joint GAN",
                          *(f"Markov chain of order {m}" for m in (1, 2, 3, 4)), "training text"]
    jsd = {name: row[3][0] for name, row in rows.items()}
    assert jsd["training text"] < jsd["Markov chain of order 1"] < jsd["LDF"] <= 1
    assert len(results["samples"]) == 20 and {len(line) for line in results["samples"]} == {64}
    printed = capsys.readouterr().out
    assert results["samples"][3] in printed
    assert "known words: LDF (" in printed and "loses to the Markov chains of order 1" in printed
    assert {c["verdict"] for c in results["claims"]} == {"one seed"}
    assert (out / "text.png").stat().st_size > 3000 and (out / "ldf_seed0.safetensors").exists()


def test_scores_of_seams():
    """Real text has no seams; windows of it that do not belong together have."""
    text = SENTENCES[0] * 200
    real = program.in_windows(text, 60)
    other = program.in_windows(text[5:], 60)
    mixed = ["".join(([a, b] * 2)[k][8 * k:8 * k + 8] for k in range(4))
             for a, b in zip(real, reversed(other))]
    own, seams = program.scores(real, other), program.scores(mixed, other)
    assert seams["JSD across seams"] > own["JSD across seams"] + 0.2
    assert own["known words"] == 1


def test_it_says_where_it_loses():
    def found(own):
        return {name: [{"JSD 4-grams": jsd, "known words": words}] for name, jsd, words in (
            ("LDF", *own), *((f"Markov chain of order {m}", 0.9 - 0.1 * m, 0.1 * m)
                             for m in (1, 2, 3, 4)))}

    four, words = program.plainly(found((0.65, 0.25)))
    assert four == ("JSD 4-grams: LDF (0.65) loses to the Markov chains of order 3 (0.6), 4 (0.5)")
    assert words == ("known words: LDF (0.25) loses to the Markov chains of order 3 (0.3), 4 (0.4)")
    assert program.plainly(found((0.1, 0.9)))[0].endswith("no Markov chain of order 1 to 4")


@pytest.mark.parametrize("words, message", [
    (["--length", "100"],
     "--length: expected a multiple of 8, the characters of a window, got 100"),
    (["--length", "32"], "--length: expected an integer of at least 64, got 32"),
    (["--samples", "3"], "--samples: expected an integer of at least 20")])
def test_bad_options(capsys, words, message):
    with pytest.raises(SystemExit):
        program.parse(words)
    assert message in capsys.readouterr().err


def test_bad_text_is_named_before_anything_is_trained(folder):
    (folder / "bad.txt").write_text("na\u00efve " * 300, encoding="utf-8")
    with pytest.raises(ValueError, match="bad.txt: expected characters of printable ASCII, got"):
        program.run(program.parse(["--data", str(folder), "--out", str(folder / "out")]))
    assert not (folder / "out").exists()
