"""demos/paper/pretrained.py: the card says what the run was, and what is no such run is refused."""

import json

import pytest
from helpers import load_program

program = load_program("demos/paper/pretrained.py")

CHOSEN = {"steps": 6, "minutes": None, "clips": 1024, "train_clips": None, "data": "ale",
          "batch_size": 32, "top": "local", "passes": 0, "bottom_share": 0.25, "refiner": None}
RESULTS = {"options": CHOSEN, "models": {"LDF": {"0": {"scores": {}, "training": {}}}}}


@pytest.mark.parametrize("results, options, said", [
    ({}, [], "expected a run of demos/pacman.py with LDF, seed 0, got one without"),
    ([], [], "results.json: expected what demos/pacman.py wrote"),
    ({"models": 3}, [], "results.json: expected what demos/pacman.py wrote"),
    ({"models": RESULTS["models"]}, [], "got one without"),
    (RESULTS, ["--seeds", "7"], "with LDF, seed 7, got one without"),
    (RESULTS, ["--model", "joint"], "with joint GAN, seed 0, got one without"),
    (RESULTS | {"interrupted": True}, [], "a run that came to its end, got one that was interr"),
    (RESULTS | {"options": CHOSEN | {"data": "clips"}}, [], "all clips of the game, got --data c"),
    (RESULTS | {"options": CHOSEN | {"train_clips": 500}}, [], "--train-clips 500")])
def test_what_the_card_would_be_wrong_about_is_refused(tmp_path, results, options, said):
    (tmp_path / "results.json").write_text(json.dumps(results))
    chosen = program.parse([str(tmp_path), "--machine", "one", *options])
    with pytest.raises(ValueError, match="results|expected") as refused:
        program.finished_run(chosen, chosen.seeds[0])
    assert said in str(refused.value)


def test_what_is_no_json_is_named(tmp_path):
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(ValueError, match="results.json: expected what demos/pacman.py wrote"):
        program.finished_run(program.parse([str(tmp_path), "--machine", "one"]), 0)


def test_a_run_that_serves(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    options = program.parse([str(tmp_path), "--machine", "one"])
    assert program.finished_run(options, 0) == (RESULTS["models"]["LDF"]["0"], CHOSEN)


def test_one_model_at_a_time(capsys):
    with pytest.raises(SystemExit):
        program.parse(["there", "--machine", "one", "--seeds", "0", "1"])
    assert "--seeds: expected one, that of the model" in capsys.readouterr().err
