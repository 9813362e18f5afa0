"""Checkpoints: a training that goes on gives the same bits, damage is noticed, other trainings are
refused, writes may fail."""

import errno
import json
import os
import shutil
import signal
import threading
import time

import numpy as np
import pytest
from devices import DEVICES, Device
from helpers import tiny_ali, weights

import ldf_np as ldf
from ldf_np import nn
from ldf_np.experiments import plots
from ldf_np.models import baselines, nets
from ldf_np.models.classifier import Classifier
from ldf_np.models.factors import Frames
from ldf_np.models.gan import GAN
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.vae import GaussianTop
from ldf_np.models.whitening import Whitening
from ldf_np.runtime import files
from ldf_np.training import checkpoint
from ldf_np.training import log as records
from ldf_np.training.best_weights import BestWeights
from ldf_np.training.checkpoint import Checkpoints
from ldf_np.training.log import read_records
from ldf_np.training.loop import History, train

TWO = [f"step-0000000{n}.{end}" for n in (19, 20) for end in ("json", "safetensors")]
STEPS = {"bottom-first": 24, "together": 9}


def data(n=64, size=4):
    return np.random.default_rng(0).standard_normal((n, size)).astype(np.float32)


def clips(n=40):
    return np.random.default_rng(0).standard_normal((n, 4, 6)).astype(np.float32)


def small_ldf(seed=0):
    bottom = tiny_ali(6, hidden=5, stochastic=True, final_lr=0.1, seed=seed)
    top = nets.mlp_gan(7, latent_size=3, hidden=8, seed=seed + 10)
    return LDF([Level(bottom, Frames(4))], top, Whitening((4, 5), 7), seed=seed)


def fit(folder=None, model=None, callback=None, steps=20, every=0.0, **settings):
    """A tiny ALI trained for some steps, with checkpoints in a folder: the model and its
    History."""
    model = model or tiny_ali()
    kept = folder and Checkpoints(folder, every=every, **settings)
    return model, model.fit(data(), steps=steps, batch_size=8, callback=callback, checkpoints=kept)


class Stop(Exception):
    pass


def at(step, error=Stop):
    """A callback that ends the training there."""
    def callback(history):
        if history.steps == step:
            raise error
    return callback


def stopped(folder, step=13, **more):
    """The folder of a training that was ended after a step, whose own checkpoint was not written
    any more."""
    with pytest.raises(Stop):
        fit(folder, callback=at(step), **more)
    return folder


def everything(model, history):
    """All that must be equal, {name: array}: the state of the model and its optimisers, and the
    losses."""
    parts, _ = checkpoint._parts({"model": model})
    found = {f"{name}/{key}": np.asarray(value) for name, part in parts.items() for key,
             value in part.state.items()
             if not isinstance(value, dict)}
    return found | {f"loss {k}": np.array(v) for k, v in history.losses.items()}


def check_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# ------------------------------------------------------------------------------------- bit for bit

def test_a_training_goes_on_bit_for_bit(tmp_path):
    stopped(tmp_path)
    # whatever weights it begins with
    check_same(everything(*fit(tmp_path, tiny_ali(seed=9))), everything(*fit()))


@pytest.mark.parametrize("schedule", STEPS)
@pytest.mark.parametrize("step", [1, 5, 9])
def test_a_hierarchy_goes_on_bit_for_bit(tmp_path, schedule, step):
    def run(callback=None, folder=None, model=None):
        model = model or small_ldf()
        kept = folder and Checkpoints(folder, every=0)
        histories = model.fit(clips(), factors=clips(60).reshape(-1, 6), schedule=schedule,
                              steps=STEPS[schedule], batch_size=16, bottom_share=0.5,
                              callback=callback, checkpoints=kept)
        return everything(model, list(histories.values())[-1])

    passed = []

    def end(history):
        passed.append(1)
        if len(passed) == (step if schedule == "together" else 2 * step):
            raise Stop

    with pytest.raises(Stop):
        run(end, tmp_path)
    check_same(run(folder=tmp_path), run())


@pytest.mark.parametrize("left_out", ["model", "model.rng", "model.discriminator_optimizer",
                                      "model.generator_optimizer", "batches", "history"])
def test_a_part_that_is_left_out_is_noticed(tmp_path, monkeypatch, left_out):
    """Negative control of the comparison: no part of the state may be missing."""
    parts = checkpoint._parts

    def fewer(state):
        found, models = parts(state)
        assert left_out in found
        return {name: part for name, part in found.items() if name != left_out}, models

    whole = everything(*fit())
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_parts", fewer)
        stopped(tmp_path)
        again = fit(tmp_path, tiny_ali(seed=9))
    with pytest.raises(AssertionError):
        check_same(everything(*again), whole)


@pytest.mark.parametrize("left_out", [None, "model.ema"])
def test_the_moving_average_is_kept(tmp_path, monkeypatch, left_out):
    """Of GANs there is the average besides, its count of updates being no part of the weights."""
    parts, x = checkpoint._parts, data(64, 3)
    monkeypatch.setattr(checkpoint, "_parts", lambda state: (
        {name: part for name, part in parts(state)[0].items() if name != left_out},
        parts(state)[1]))

    def run(folder=None, callback=None):
        model = nets.mlp_gan(3, latent_size=3, hidden=8)
        model.fit(x, steps=12, batch_size=8, callback=callback,
                  checkpoints=folder and Checkpoints(folder, every=0))
        return model.state_dict()

    with pytest.raises(Stop):
        run(tmp_path, at(5))
    again, whole = run(tmp_path), run()
    assert all(np.array_equal(again[name], whole[name]) for name in whole) == (left_out is None)


def test_every_generator_of_a_network_is_kept():
    model = nets.cifar_ali()
    parts, _ = checkpoint._parts({"model": model})
    kept = [id(part) for part in parts.values() if isinstance(part, ldf.Generator)]
    wanted = {id(g) for g in model.compiled_step()._generators}
    # its own and that of its Dropouts, once each
    assert wanted == set(kept) and len(kept) == len(wanted) == 2


def framed():
    """A joint GAN with a second discriminator, on clips (n, 2, 8, 8, 1) and on frames."""
    x = np.tanh(data(40, 128)).reshape(40, 2, 8, 8, 1)
    return baselines.framed_joint_gan(2, 8, 1, hidden=4), (x, x[:, 0])


def vae():
    return baselines.mlp_vae(4, latent_size=2, hidden=6), (data(),)


def gaussian_top():
    bottom = tiny_ali(6, hidden=5)
    return LDF([Level(bottom, Frames(4))], GaussianTop(7), Whitening((4, 5), 7)), (clips(),)


@pytest.mark.parametrize("make", [framed, vae, gaussian_top])
def test_other_models_go_on_bit_for_bit(tmp_path, make):
    def run(folder=None, callback=None):
        model, x = make()
        model.fit(*x, steps=8, batch_size=8, callback=callback,
                  checkpoints=folder and Checkpoints(folder, every=0))
        return model.state_dict()

    with pytest.raises(Stop):
        run(tmp_path, at(3))
    again, whole = run(tmp_path), run()
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name], err_msg=name)


@pytest.mark.parametrize("name", DEVICES)
def test_a_recorded_step_goes_on_bit_for_bit(tmp_path, name):
    """On a device a step is recorded after three: what is restored is what the recording then
    reads."""
    def run(folder=None, callback=None):
        model = nets.mlp_gan(3, latent_size=3, hidden=8)
        model.fit(data(64, 3), steps=12, batch_size=8, callback=callback,
                  checkpoints=folder and Checkpoints(folder, every=0))
        return model.state_dict()

    with Device(name).active():
        with pytest.raises(Stop):
            run(tmp_path, at(6))
        again, whole = run(tmp_path), run()
    assert all(np.array_equal(again[key], whole[key]) for key in whole)


def test_a_finished_training_is_not_trained_again(tmp_path):
    first = everything(*fit(tmp_path))
    model, history = fit(tmp_path, tiny_ali(seed=9), callback=at(1))       # which would be Stop
    check_same(everything(model, history), first)
    assert history.steps == 20 and not history.interrupted


def test_time_spent_counts(tmp_path):
    seen = []

    def slow(history):
        seen[:] = history.seconds
        if history.spent > 0.2:
            raise Stop

    with pytest.raises(Stop):
        tiny_ali().fit(data(), minutes=1, batch_size=8, callback=slow,
                       checkpoints=Checkpoints(tmp_path, every=0))
    history = tiny_ali().fit(data(), minutes=0.3 / 60, batch_size=8,
                             checkpoints=Checkpoints(tmp_path, every=0))
    kept = seen[:-1]        # of the last step there was no checkpoint yet
    assert history.seconds[:len(kept)] == kept and history.seconds == sorted(history.seconds)
    assert history.seconds[-1] >= 0.3 and all(seconds < 0.3 for seconds in history.seconds[:-1])
    assert tiny_ali().fit(data(), minutes=0.3 / 60, batch_size=8,
                          checkpoints=Checkpoints(tmp_path)).seconds == history.seconds


def test_the_best_weights_so_far_are_kept(tmp_path):
    """A BestWeights belongs to the training, too: its curve and the best weights go on."""
    def run(folder, scores, end=None):
        model, scores = tiny_ali(), iter(scores)
        tracker = BestWeights(model, lambda m: next(scores), [5, 10, 15], "steps")

        def callback(history):
            tracker(history)
            if history.steps == end:
                raise Stop

        kept = folder and Checkpoints(folder, every=0, also={"tracker": tracker})
        history = model.fit(data(), steps=20, batch_size=8, callback=callback, checkpoints=kept)
        return tracker.finish(history), weights(model)

    with pytest.raises(Stop):
        run(tmp_path, [3.0, 1.0], 12)
    (curve, best), (whole_curve, whole_best) = run(
        tmp_path, [2.0, 4.0]), run(None, [3.0, 1.0, 2.0, 4.0])
    assert curve == whole_curve == [[5, 3.0], [10, 1.0], [15, 2.0], [20, 4.0]]
    np.testing.assert_array_equal(best, whole_best)


# ------------------------------------------------------------------------------------------- files

def listed(folder):
    return sorted(os.listdir(folder))


def test_two_checkpoints_stay_and_nothing_else(tmp_path):
    (tmp_path / ".step-000000007.json-x3.json").write_text("left by one that was killed")
    fit(tmp_path)
    assert listed(tmp_path) == ["metrics.jsonl", *TWO]


def test_they_are_written_as_often_as_asked(tmp_path, monkeypatch):
    written = []
    write = checkpoint.CheckpointWriter._write
    monkeypatch.setattr(checkpoint.CheckpointWriter, "_write",
                        lambda self: (written.append(self._step), write(self)))
    fit(tmp_path, every=1e6)
    assert written == [0, 20]       # at the start and at the end
    fit(tmp_path / "each", every=1e6, each=8)
    assert written == [0, 20, 0, 8, 16, 20]
    with pytest.raises(ValueError, match="each: expected"):
        Checkpoints(tmp_path, each=0)
    with pytest.raises(ValueError,
                       match="every: expected a finite number of at least 0, got -1"):
        Checkpoints(tmp_path, every=-1)
    with pytest.raises(ValueError, match='on_nan: expected "stop" or "back-off", got .ignore.'):
        Checkpoints(tmp_path, on_nan="ignore")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    """Another last digit or letter in the file."""
    text = bytearray(path.read_bytes())
    place = next(k for k in range(len(text) // 2, len(text)) if chr(text[k]).isdigit()
                 or path.suffix != ".json")
    text[place] ^= 1
    path.write_bytes(bytes(text))


@pytest.mark.parametrize("damage", [cut, flip, lambda p: p.write_bytes(b""),
                                    lambda p: p.write_bytes(b"[]"), os.unlink])
@pytest.mark.parametrize("end", ["json", "safetensors"])
def test_where_one_is_damaged_the_previous_serves(tmp_path, damage, end):
    stopped(tmp_path)
    damage(tmp_path / f"step-000000012.{end}")
    whole = everything(*fit())
    if damage is os.unlink and end == "json":       # then that checkpoint never was
        check_same(everything(*fit(tmp_path)), whole)
        return
    with pytest.warns(RuntimeWarning,
                      match="goes on from step 11, and 1 steps are lost, for the checkpoint of "
                            "step 12 cannot"):
        again = fit(tmp_path)
    check_same(everything(*again), whole)
    assert "step-000000012.json" not in listed(tmp_path)


def test_where_none_is_whole_it_is_an_error(tmp_path):
    stopped(tmp_path)
    for path in tmp_path.glob("*.safetensors"):
        cut(path)
    model = tiny_ali()
    before = weights(model)
    with pytest.raises(ValueError,
                       match=f"{tmp_path.name}: none of its checkpoints can be used: "
                             ".*12.safetensors: its "
                                         "bytes are not those that were written"):
        fit(tmp_path, model)
    np.testing.assert_array_equal(weights(model), before)


def other_format(folder):
    for path in folder.glob("*.json"):
        found = json.loads(path.read_text())
        del found["checksum"]
        found["format"] = 3
        path.write_text(json.dumps(found | {"checksum": checkpoint._signature(found)}))
    return {}


@pytest.mark.parametrize("other, message", [
    (lambda d: {"model": tiny_ali(hidden=7)},
     r"of another model: model/encoder.body.layers.0.weight: expected float32 \[4, 7\], got "
     r"float32 \[4, 6\]"),
    (lambda d: {"model": nets.mlp_ali(4, hidden=6)},
     "of another model: model.encoder.body.layers.1: expected Tanh, got BatchNorm"),
    (lambda d: {"settings": {"minutes": 4}},
     "of another training: minutes: expected 4, got none; remove the folder, or use "
     "another, to begin anew"),
    (other_format,
     "step-000000012.json: expected format 2, got 3: another version of ldf_np wrote it"),
    (lambda d: {"size": 5},
     "of another training: batches: expected 5 of 64 samples, got 8 of 64 samples")])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, other, message):
    stopped(tmp_path)
    given, before = other(tmp_path), {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    model, size = given.get("model") or tiny_ali(), given.get("size", 8)
    own = weights(model)
    with pytest.raises(ValueError, match=message):
        model.fit(data(), steps=20, batch_size=size,
                  checkpoints=Checkpoints(tmp_path, settings=given.get("settings")))
    np.testing.assert_array_equal(weights(model), own)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name in before} == before


# name: other data of as many samples
OTHER = {
    "other numbers": lambda x: np.random.default_rng(1).standard_normal(x.shape).astype(np.float32),
    "another order": lambda x: x[::-1],
    "other columns": lambda x: x[:, ::-1],
    "another scale": lambda x: x * np.float32(1.01),
    "another dtype": lambda x: (x * 10).astype(np.uint8),
}


@pytest.mark.parametrize("how", OTHER)
def test_a_training_does_not_go_on_with_other_data(tmp_path, how):
    stopped(tmp_path)
    model, before = tiny_ali(), {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    own = weights(model)
    with pytest.raises(ValueError, match="batches: the data of a training that goes on: expected "
                                         "those it began with, got others"):
        model.fit(np.ascontiguousarray(OTHER[how](data())), steps=20, batch_size=8,
                  checkpoints=Checkpoints(tmp_path))
    np.testing.assert_array_equal(weights(model), own)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("same", [np.asfortranarray, lambda x: x.copy(),
                                  lambda x: x + np.float32(1e-6)])
def test_a_training_goes_on_with_the_same_data(tmp_path, same):
    """Or with codes that were made anew on another machine, whose last bits are others."""
    stopped(tmp_path)
    history = tiny_ali().fit(same(data()), steps=20, batch_size=8,
                             checkpoints=Checkpoints(tmp_path))
    assert history.steps == 20


def test_other_labels_are_other_data(tmp_path):
    def go_on(labels, steps):
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, rng=ldf.Generator(0)))
        images = data().reshape(64, 2, 2, 1).clip(-1, 1)
        return Classifier(network, 2).fit(images, labels, steps=steps, batch_size=8,
                                          checkpoints=Checkpoints(tmp_path))

    labels = np.arange(64) % 2
    go_on(labels, 3)
    assert go_on(labels, 5).steps == 5
    with pytest.raises(ValueError, match="expected those it began with"):
        go_on(1 - labels, 7)


@pytest.mark.parametrize("value", [np.nan, [1.0, {"deep": np.nan}], np.float32(0.1), np.int64(3),
                                   np.bool_(True), np.arange(3), (1, 2), None])
def test_settings_are_the_same_as_themselves(tmp_path, value):
    stopped(tmp_path, settings={"c": value})
    assert fit(tmp_path, settings={"c": value})[1].steps == 20
    with pytest.raises(ValueError, match="another training: c"):
        fit(tmp_path, settings={"c": "else"})


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, {(1, 2): 3}, [ldf.Generator(0)]])
def test_settings_that_are_not_plain(tmp_path, value):
    with pytest.raises(TypeError, match="Checkpoints: settings: c: expected plain values"):
        Checkpoints(tmp_path, settings={"c": value})
    with pytest.raises(TypeError, match="Checkpoints: settings: expected"):
        Checkpoints(tmp_path, settings=[value])


def test_digits_of_other_scripts_are_no_steps(tmp_path):
    stopped(tmp_path)
    (tmp_path / "step-\u0660\u0660\u0660\u0660\u0660\u0660\u0660\u0669\u0669.json").write_text("{}")
    assert fit(tmp_path)[1].steps == 20


def test_an_upper_level_holds_only_on_the_levels_it_was_trained_on(tmp_path):
    fit_one = {"steps": 24, "batch_size": 16, "bottom_share": 0.5}
    small_ldf().fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)
    shutil.rmtree(tmp_path / "level 0")
    with pytest.raises(ValueError, match="level 0: .*what stands on it as it is would be lost"):
        small_ldf(seed=1).fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)
    # a level that was trained elsewhere
    small_ldf(seed=1).fit(clips(), checkpoints=Checkpoints(tmp_path / "other"), **fit_one)
    shutil.rmtree(tmp_path / "level 0")
    shutil.copytree(tmp_path / "other" / "level 0", tmp_path / "level 0")
    with pytest.raises(ValueError,
                       match="whitening.*of another training: level 0 below it: expected"):
        small_ldf(seed=1).fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)
    Checkpoints(tmp_path).discard()
    small_ldf(seed=1).fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)


@pytest.mark.parametrize("longer", [{"steps": 48}, {"bottom_share": 0.75}])
def test_a_level_goes_on_only_where_nothing_stands_on_it(tmp_path, longer):
    """A longer budget would train the bottom on, and what was learned of its codes would be lost:
    it is refused before a step is taken, and the training is as it was."""
    fit_one = {"steps": 24, "batch_size": 16, "bottom_share": 0.5}
    model = small_ldf()
    model.fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)

    def files():
        return {path: path.read_bytes() for path in tmp_path.rglob("step-*")}

    before = files()
    with pytest.raises(ValueError, match=r"level 0: expected the steps, minutes and shares .* go "
                       r"on from step 12: .* would be lost \(top, whitening\)"):
        small_ldf().fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one | longer)
    assert files() == before
    again = small_ldf()
    again.fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)
    assert weights(again).tobytes() == weights(model).tobytes()
    # a damaged checkpoint's steps are taken again, for they give the same bits
    newest = max((tmp_path / "level 0").glob("step-*.json"))
    newest.write_text("damaged")
    again = small_ldf()
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        again.fit(clips(), checkpoints=Checkpoints(tmp_path), **fit_one)
    assert weights(again).tobytes() == weights(model).tobytes()


def test_a_top_goes_on_over_the_same_bottom(tmp_path):
    first = {"steps": 24, "batch_size": 16, "bottom_share": 0.5}
    small_ldf().fit(clips(), checkpoints=Checkpoints(tmp_path), **first)
    found = small_ldf().fit(clips(), checkpoints=Checkpoints(tmp_path),
                            **first | {"steps": 48, "bottom_share": 0.25})
    assert {name: h.steps for name, h in found.items()} == {"level 0": 12, "top": 36}


def test_what_is_discarded_is_gone_but_for_the_logs(tmp_path):
    small_ldf().fit(clips(), steps=24, batch_size=16, checkpoints=Checkpoints(tmp_path / "it"))
    Checkpoints(tmp_path / "it").discard()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["it", "level 0", "metrics.jsonl",
                                                           "metrics.jsonl", "top"]
    Checkpoints(tmp_path / "nothing").discard()


# ---------------------------------------------------------------------- where it cannot be written

def full(when):
    """os.fsync on a disk that is full while ``when()``: half of the file is there."""
    fsync = os.fsync

    def write(handle):
        if when():
            os.ftruncate(handle, os.fstat(handle).st_size // 2)
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    return write


def test_a_full_disk_at_the_start_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "fsync", full(lambda: True))
    with pytest.raises(OSError,
                       match=f"^{tmp_path}/there: checkpoints cannot be written there: No space "
                             "left on device$"):
        fit(tmp_path / "there", callback=at(1))
    assert listed(tmp_path / "there") == []


def test_a_folder_that_cannot_be_written_is_an_error_before_any_step(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file: checkpoints cannot be written there: File exists"):
        fit(tmp_path / "file", callback=at(1))
    stopped(tmp_path / "there")

    def read_only(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    # tests may run as root, whom no permission stops
    monkeypatch.setattr(files.tempfile, "mkstemp", read_only)
    with pytest.raises(OSError,
                       match="there: checkpoints cannot be written there: Permission denied"):
        fit(tmp_path / "there", callback=at(13))


def test_a_disk_that_fills_up_later_costs_only_the_checkpoints(tmp_path, monkeypatch):
    at_step = 0

    def callback(history):
        nonlocal at_step
        at_step = history.steps

    monkeypatch.setattr(files.os, "fsync", full(lambda: 10 <= at_step < 15))
    with pytest.warns(RuntimeWarning) as told:
        model, history = fit(tmp_path, callback=callback)
    assert [
        f"checkpoint of step {n} cannot be written: No space left on device; the training goes on, "
        "and that of step 9 stays"
            in str(w.message) for n, w in zip(range(10, 15), told, strict=True)] == [True] * 5
    check_same(everything(model, history), everything(*fit()))
    assert listed(tmp_path)[1:] == TWO


def test_a_log_that_cannot_be_written_ends(tmp_path, monkeypatch):
    history = History()
    log = records.Records(tmp_path / "log", history)
    os.unlink(tmp_path / "log")
    (tmp_path / "log").mkdir()
    history.seconds = [0.1] * 10
    with pytest.warns(RuntimeWarning, match="log: the log of the losses ends here: Is a directory"):
        log.after_step()
    log.after_step()


# --------------------------------------------------------------------------------------- calm ends

@pytest.fixture
def heeding():
    """SIGINT and SIGTERM raise KeyboardInterrupt, as in a program that ``experiment.main`` runs."""
    before = {s: signal.signal(s, signal.default_int_handler)
              for s in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_finish_and_writes_a_checkpoint(tmp_path, heeding, number):
    model = tiny_ali()
    advance, calls = model._step, []

    def interrupted(x, share):
        calls.append(1)
        if len(calls) == 7:
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        return advance(x, share)

    model._step = interrupted
    _, history = fit(tmp_path, model, every=1e6)
    assert history.interrupted and history.steps == 7 and "step-000000007.json" in listed(tmp_path)
    assert signal.getsignal(number) is signal.default_int_handler
    _, history = again = fit(tmp_path)
    assert not history.interrupted
    check_same(everything(*again), everything(*fit()))


def test_a_second_signal_ends_it_at_once(tmp_path, heeding):
    def callback(history):
        if history.steps == 7:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.01)
            raise AssertionError("it went on")

    _, history = fit(tmp_path, callback=callback, every=1e6)
    assert history.interrupted and listed(tmp_path)[1] == "step-000000000.json"


def test_other_handlers_stay_and_other_threads_set_none(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fit(tmp_path, callback=lambda h: os.kill(os.getpid(), signal.SIGINT) if h.steps == 3
            else None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    results = []
    thread = threading.Thread(target=lambda: results.append(fit(tmp_path / "other")))
    thread.start()
    thread.join()
    assert results[0][1].steps == 20


# ----------------------------------------------------------------------------------------- the log

def without_seconds(path):
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in path.read_text().splitlines()]


def test_the_log_of_a_training_that_goes_on_has_each_record_once(tmp_path):
    # goes on from its start: what was logged is done again
    stopped(tmp_path / "a", step=34, steps=50, every=1e6)
    stopped(tmp_path / "b", step=34, steps=50)
    for name in "abc":
        _, history = fit(tmp_path / name, steps=50)
    logs = [without_seconds(tmp_path / name / "metrics.jsonl") for name in "abc"]
    assert logs[0] == logs[
        1] == logs[2] and [record["step"] for record in logs[0]] == [10, 20, 30, 40, 50]
    assert logs[0][1]["losses"]["D"] == np.mean(history.losses["D"][10:20])


def test_plots_read_the_log_while_it_is_written(tmp_path):
    seen = []

    def callback(history):
        if history.steps == 35:
            seen.append(read_records(tmp_path / "run" / "metrics.jsonl").step)

    fit(tmp_path / "run", steps=40, callback=callback)
    assert seen == [[10, 20, 30]]
    path = tmp_path / "run" / "metrics.jsonl"
    with open(path, "a") as file:
        file.write('{"step": 50, "seco')        # still being written
    found = read_records(path)
    assert found.steps == 40 and len(found.losses["D"]) == len(found.seconds) == 4
    plots.save_metrics(tmp_path / "curves.png", tmp_path / "run")
    assert (tmp_path / "curves.png").stat().st_size > 5000
    path.write_text('{"step": 10, "seconds": 1, "losses": {}}\nnonsense\n')
    with pytest.raises(ValueError,
                       match="metrics.jsonl: line 2: expected a record of losses, got 'nonsense'"):
        read_records(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: expected a folder with logs of losses"):
        plots.save_metrics(tmp_path / "curves.png", tmp_path / "empty")


# ----------------------------------------------------------------------- what is kept, and what not

class Blocks(nn.Module):
    """A discriminator whose layers lie in a dict."""

    def __init__(self):
        rng = ldf.Generator(3)
        self.blocks = {"a": nn.Linear(4, 8, rng=rng), "drop": nn.Dropout(0.5, rng=rng),
                       "b": nn.Linear(8, 1, rng=rng)}

    def forward(self, x):
        return self.blocks["b"](self.blocks["drop"](self.blocks["a"](x)))


def test_what_lies_in_a_dict_is_kept(tmp_path):
    def with_blocks():
        whole = nets.mlp_gan(4, latent_size=2, hidden=8)
        return GAN(whole.generator, Blocks(), 2)

    def stop(history):
        if history.steps == 10:
            raise Stop

    whole = everything(*fit(model=with_blocks()))
    with pytest.raises(Stop):
        fit(tmp_path, with_blocks(), stop)
    check_same(everything(*fit(tmp_path, with_blocks())), whole)


class Count:
    """A callback with a state of plain numbers."""

    def __init__(self, least=0):
        self.state = {"seen": np.int64(least)}

    state = property(lambda self: self._state, lambda self, state: setattr(self, "_state", state))

    def __call__(self, history):
        self.state = {"seen": self.state["seen"] + 1}


def test_numpy_s_numbers_are_kept_and_those_in_a_dict(tmp_path):
    count = Count()
    fit(tmp_path, callback=count, also={"of": {"inner": count}})
    again = Count(100)
    fit(tmp_path, callback=again, also={"of": {"inner": again}})
    assert again.state == {"seen": 20}


def test_a_checkpoint_that_lacks_something_is_refused_before_anything_changes(tmp_path):
    fit(tmp_path)
    other, count = tiny_ali(seed=7), Count(5)
    before = weights(other).copy()
    with pytest.raises(ValueError, match="a checkpoint of another training: expected the state of "
                                         "count, got none; remove the folder"):
        fit(tmp_path, other, also={"count": count})
    assert (weights(other) == before).all() and count.state == {"seen": 5}
    check_same(everything(*fit(tmp_path, other)), everything(*fit()))


def test_files_of_others_stay(tmp_path):
    others = ["step-notes.txt", "step-000000005-keep.json", "step-5.json", ".step-x", "a/step.md"]
    for name in [*others, "below/mine/x"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / "step-old").mkdir()
    (tmp_path / "empty").mkdir()
    left = tmp_path / ".step-000000003.json-abc.json"
    left.write_text("half")
    kept = Checkpoints(tmp_path, each=5)
    tiny_ali().fit(data(), steps=20, batch_size=8, checkpoints=kept)
    assert not left.exists()
    kept.discard()
    assert all((tmp_path / name).read_text() == "mine" for name in [*others, "below/mine/x"])
    assert (tmp_path / "step-old").is_dir() and (tmp_path / "empty").is_dir()
    assert not [*tmp_path.glob("step-0000000*.safetensors")]


def test_a_checkpoint_of_nothing_is_damaged(tmp_path):
    fit(tmp_path)
    (tmp_path / "step-000000020.json").write_text("null")
    with pytest.warns(RuntimeWarning, match="goes on from step 19"):
        fit(tmp_path)


def test_an_average_is_kept_wherever_it_stands_among_the_parts(tmp_path):
    class Held(nn.Module):
        def __init__(self):
            self.net = nn.Sequential(nn.Linear(2, 2, rng=ldf.Generator(0)))
            self.ema = nn.EMA(self.net)

    def trained(folder, steps):
        held = Held()

        def step(progress):
            held.net.flat()[...] += 0.1
            held.ema.update()
            return {"loss": 1.0}

        train(step, steps=steps, checkpoints=Checkpoints(folder), state={"ema": held.ema,
                                                                         "model": held})
        return held.ema

    whole = trained(tmp_path / "whole", 10)
    trained(tmp_path / "cut", 5)
    again = trained(tmp_path / "cut", 10)
    assert again.steps[0] == whole.steps[0] == 10
    np.testing.assert_array_equal(again.average.data, whole.average.data)


def test_an_empty_list_belongs_to_any_training(tmp_path):
    fit(tmp_path, also={"callbacks": []})
