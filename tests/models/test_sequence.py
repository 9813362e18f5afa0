"""Sequences of any length: each step is made of the noise near it, chunks change no bit, the memory
is flat, and what is learned from short windows holds along long ones."""

import tracemalloc

import numpy as np
import pytest
from helpers import ctrl_c, tiny_ali, weights

import ldf_np as ldf
from ldf_np.autodiff.engine import Tensor
from ldf_np.models import sequence
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.nets import map_denoiser, mlp_gan
from ldf_np.models.sequence_nets import joint_text_gan, sequence_gan, sequence_ldf, text_ali
from ldf_np.nn import evaluation
from ldf_np.training.checkpoint import Checkpoints


def small(shape=(2,), windows=(4,), p=1, seed=0, **settings):
    return sequence_gan(shape, windows, p, seed=seed, **{
        "latent_size": 3, "noise": 4, "width": 12, "hidden": 12} | settings)


def moving_average(n=4000, t=5, seed=0):
    """x_t = (a_t + a_{t+1}) / sqrt(2), a ~ N(0, I): neighbours have a correlation of 1/2, others
    none."""
    a = np.random.default_rng(seed).standard_normal((n, t + 1, 2)).astype(np.float32)
    return (a[:, :-1] + a[:, 1:]) / np.float32(np.sqrt(2))


def correlations(x, most=3):
    """The correlation of steps 1 ... ``most`` apart."""
    x = x - x.mean()
    return [float((x[:, k:] * x[:, :-k]).mean() / (x * x).mean()) for k in range(1, most + 1)]


# -------------------------------------------------------------------------------- what makes a step

@pytest.mark.parametrize("p", [0, 1, 3])
@pytest.mark.parametrize("shape", [(2,), (4, 4, 3), (4, 1, 3), (3, 3, 2)])
def test_a_step_is_made_of_the_noise_near_it(p, shape):
    """P(z_{i+1,j} | z_i) = P(z_{i+1,j} | z_{i,j-p:j+p}) (paper, Section 3)."""
    g, steps = small(shape, p=p).generator, 9
    z = np.random.default_rng(1).standard_normal((2, g.size(steps))).astype(np.float32)
    with evaluation(g), ldf.no_grad():
        before = g(Tensor(z)).data
        assert before.shape == (2, steps, *shape)
        for position in range(steps + 2 * p):       # noise of position k is that of step k - p
            other, start = z.copy(), g.latent_size + position * g.noise_size
            other[:, start:start + g.noise_size] += 1
            changed = (g(Tensor(other)).data != before).any(axis=(0, *range(2, before.ndim)))
            near = np.abs(np.arange(steps) - (position - p)) <= p
            np.testing.assert_array_equal(changed, near)
        z[:, :g.latent_size] += 1                   # the draw for the whole sequence
        assert (g(Tensor(z)).data != before).any(axis=(0, *range(2, before.ndim))).all()



def test_the_noise_is_local_in_space():
    """Where codes are maps, noise of one corner changes no code of the opposite one."""
    g = small((16, 16, 2), p=0).generator
    z = np.random.default_rng(1).standard_normal((1, g.size(1))).astype(np.float32)
    other = z.copy()
    other[:, g.latent_size:g.latent_size + 4] += 1      # the channels of the first place
    with evaluation(g), ldf.no_grad():
        changed = (g(Tensor(z)).data != g(Tensor(other)).data)[0, 0].any(axis=-1)
    assert changed[0, 0] and not changed[-4:].any() and not changed[:, -4:].any()


def test_chunks_change_no_bit(monkeypatch):
    model = small((4, 4, 2), p=3)
    whole = model.sample(3, ldf.Generator(1), steps=37)
    assert whole.shape == (3, 37, 4, 4, 2)
    for steps in (1, 5, 8, 20):
        np.testing.assert_array_equal(model.sample(3, ldf.Generator(1), steps=steps),
                                      whole[:, :steps])
    parts = [*model.stream(3, 37, ldf.Generator(1))]
    assert [part.shape[1] for part in parts] == [8, 8, 8, 8, 5]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert not np.array_equal(model.sample(3, ldf.Generator(2), steps=37), whole)   # control
    # the noise of a position is the same, whichever block asks for it
    first, second = (model._noise(5, 2, start).reshape(2, -1, model.generator.noise_size)
                     for start in (0, 8))
    np.testing.assert_array_equal(first[:, 8:], second[:, :6])


def test_the_memory_does_not_depend_on_the_length():
    model, peaks = small(), []
    ldf.set_num_threads(1)      # with two, how far their work overlaps varies
    for steps in (16, 16, 320):
        tracemalloc.start()
        for _ in model.stream(200, steps, ldf.Generator(0)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    ldf.set_num_threads(2)
    assert peaks[2] < 1.2 * peaks[1]


# --------------------------------------------------------------------------------- what it learns

def test_it_learns_a_moving_average_and_goes_on_with_it():
    """Trained on windows of four, the correlations are those of the data all along 40 steps; with
    p = 0 they cannot fall with the distance (the negative control)."""
    def fall(model):
        model.fit(moving_average(), steps=500, batch_size=64)
        made = model.sample(500, ldf.Generator(1), steps=40)
        first, last = correlations(made[:, :5]), correlations(made[:, -5:])
        return first[0] - first[2], last[0] - last[2], made.std()

    settings = {"lr": 4e-3, "discriminator_lr": 4e-3, "gamma": 1.0}
    begun, ended, deviation = fall(small(**settings))
    assert begun > 0.25 and ended > 0.25 and abs(begun - ended) < 0.15
    assert abs(deviation - 1) < 0.35
    assert max(map(abs, fall(small(p=0, **settings))[:2])) < 0.15


def test_a_wider_window_has_a_discriminator_of_its_own():
    model = small(windows=(3, 6))
    history = model.fit(moving_average(100, 9), steps=3, batch_size=16)
    assert set(history.losses) == {"D", "G", "D 6", "G 6"}
    assert [w.code_shape for w in model.whitenings] == [(3, 2), (6, 2)]
    assert model.sample(2).shape == (2, 6, 2)


def test_windows_lie_anywhere_in_a_sequence():
    data = np.arange(20, dtype=np.float32).reshape(1, 20, 1).repeat(8, axis=0)
    batches = sequence.Windows(data, 4, 8, ldf.Generator(0))
    seen = np.concatenate([next(batches)[..., 0] for _ in range(60)])
    np.testing.assert_array_equal(np.unique(seen[:, 0]), np.arange(17))
    np.testing.assert_array_equal(seen - seen[:, :1], np.tile(np.arange(4), (480, 1)))


def test_rows_lie_one_after_the_other():
    """In the layout of texts a window of k codes (h, w, c) is a map (k * h, w, c)."""
    model = small((4, 1, 3), layout="rows")
    codes = np.random.default_rng(0).standard_normal((200, 4, 4, 1, 3)).astype(np.float32)
    model.adapt(codes)
    seen, = model._real(codes)
    white = model.whitenings[0].forward(codes.reshape(-1, 3)).reshape(200, 16, 1, 3)
    np.testing.assert_array_equal(seen, white)
    assert model.fit(codes, steps=2, batch_size=8).steps == 2


def test_the_discriminators_whitening_is_that_of_the_window():
    model, x = small(), moving_average(500)
    model.adapt(x)
    array, = model._real(x[:, :4])
    tensor, = model._made(Tensor(x[:, :4]))
    np.testing.assert_allclose(array, model.whitenings[0].apply(x[:, :4]), rtol=1e-5)
    np.testing.assert_allclose(tensor.data, array, rtol=1e-4, atol=1e-5)


# ------------------------------------------------------------------------------- kept and continued

def test_saved_and_loaded_it_samples_the_same(tmp_path):
    model, other = small(), small(seed=7)
    model.fit(moving_average(100), steps=3, batch_size=16)
    model.save(tmp_path / "top.safetensors")
    other.load(tmp_path / "top.safetensors")
    np.testing.assert_array_equal(model.sample(3, ldf.Generator(3), steps=11),
                                  other.sample(3, ldf.Generator(3), steps=11))
    assert other.whitenings[0].fitted


def test_an_interrupted_training_goes_on_to_the_same_bits(tmp_path):
    def fit(model):
        return model.fit(moving_average(100, 9), steps=6, batch_size=16,
                         checkpoints=Checkpoints(tmp_path / "kept", every=0))

    whole = small(windows=(3, 6))
    whole.fit(moving_average(100, 9), steps=6, batch_size=16)
    with ctrl_c(3):
        assert fit(small(windows=(3, 6))).interrupted
    again = small(windows=(3, 6))
    fit(again)
    np.testing.assert_array_equal(weights(again), weights(whole))


# -------------------------------------------------------------------------------- in a hierarchy

def clips(n=60, t=5):
    return np.random.default_rng(0).standard_normal((n, t, 4)).astype(np.float32)


def small_ldf(**settings):
    return sequence_ldf(tiny_ali(4, hidden=6), (6,), latent_size=3, noise=2, width=8, hidden=8,
                        **settings)


@pytest.mark.parametrize("schedule", ["bottom-first", "together"])
def test_ldf_makes_objects_of_any_length(schedule):
    model = small_ldf()
    model.fit(clips(), steps=8, batch_size=16, schedule=schedule)
    assert model.top.whitenings[0].fitted
    assert model.sample(3).shape == (3, 5, 4)
    film = model.sample(3, ldf.Generator(1), frames=20)
    assert film.shape == (3, 20, 4) and np.isfinite(film).all()
    np.testing.assert_allclose(model.sample(3, ldf.Generator(1), frames=7), film[:, :7], atol=1e-6)
    assert [part.shape[1] for part in model.stream(2, 20)] == [8, 8, 4]
    assert model.reconstruct(clips(2, 11)).shape == (2, 11, 4)
    np.testing.assert_allclose(model.whitening.invert(model.encode(clips(2, 9))),
                               model.codes(clips(2, 9)), atol=1e-4)


@pytest.mark.parametrize("sizes", [[1] * 11, [8, 3], [2, 9]])
@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_each_step_is_refined_in_the_middle_of_its_window(k, sizes):
    """The first steps in the first window, the last (k - 1) // 2 not at all; and each with the same
    noise."""
    model, x = small(windows=(k,)), moving_average(50, 11)
    model.adapt(x)
    whitening = model.whitenings[0]

    class Numbered:
        """Adds to each step where in its window it is."""
        def without_noise(self, white):
            return whitening.apply(whitening.invert(white) + np.float32(np.arange(k))[:, None])

    def refined(noise):
        ends = np.cumsum(sizes)
        blocks = (x[:, end - size:end] for size, end in zip(sizes, ends))
        return np.concatenate([*model.refined(blocks, Numbered(), noise)], axis=1)

    noise = np.zeros((50, *whitening.shape), np.float32)
    places = refined(noise) - x[:, :11 - (k - 1) // 2]
    np.testing.assert_allclose(places, np.minimum(np.arange(places.shape[1]), k // 2)[:, None] +
                               0 * places, atol=1e-5)
    noise = np.random.default_rng(0).standard_normal(noise.shape).astype(np.float32)
    added = (refined(noise) - x[:, :11 - (k - 1) // 2])[:, k // 2:]
    assert np.abs(added - k // 2).max() > 0.5
    np.testing.assert_allclose(added, added[:, :1] + 0 * added, atol=1e-4)


@pytest.mark.parametrize("k, rounds", [(1, 1), (2, 3), (5, 1), (5, 2), (4, 4)])
def test_enough_steps_are_drawn_to_be_refined(k, rounds):
    model = small(windows=(k,))
    for steps in range(1, 9):
        drawn = left = model.before_refined(steps, rounds)
        for _ in range(rounds):
            left = left - (k - 1) // 2 if left >= k else 0
        assert left >= steps and drawn <= max(steps, k) + rounds * (k // 2)


def tiny_denoiser(shape, seed):
    return map_denoiser(shape, width=4, hidden=4, seed=seed)


@pytest.mark.parametrize("schedule", ["bottom-first", "together"])
@pytest.mark.parametrize("passes", [0, 2])
def test_films_are_refined_and_pass_through_z(passes, schedule, tmp_path):
    model = small_ldf(passes=passes, refiner=tiny_denoiser)
    assert model.refiner.shape == model.top.whitenings[0].shape == (1, 1, 30)
    model.fit(clips(t=11), steps=16, batch_size=16, schedule=schedule)
    assert model.refiner.ready
    film = model.sample(3, ldf.Generator(1), frames=20)
    assert film.shape == (3, 20, 4)
    for frames in (1, 4, 5, 19):        # the beginning, though windows reach beyond it
        np.testing.assert_allclose(model.sample(3, ldf.Generator(1), frames=frames),
                                   film[:, :frames], atol=1e-6)
    assert np.concatenate([*model.stream(2, 20)], axis=1).shape == (2, 20, 4)
    model.save(tmp_path / "m.safetensors")
    loaded = ldf.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.sample(3, ldf.Generator(1), frames=20), film)

    def change(part, value):
        before, part.data[...] = part.data.copy(), value
        other = model.sample(3, ldf.Generator(1), frames=20)
        part.data[...] = before
        return np.abs(other - film).max()

    assert change(model.refiner.trained, 0) > 1e-4      # without it
    model.passes = 1 - min(passes, 1)                   # the other way
    assert change(model.refiner.trained, 1) > 1e-4


def test_films_pass_through_z_without_a_refiner():
    model = small_ldf(passes=1)
    model.fit(clips(), steps=8, batch_size=16)
    white = model.top.sample(3, ldf.Generator(1), steps=9)
    with model.models[0].common_statistics():
        again = model.levels[0].decode(model.whitening.invert(white))
        again = model.levels[0].decode(model.levels[0].encode(again, "z"), "z")
        white = model.encode(again)
    np.testing.assert_allclose(model.sample(3, ldf.Generator(1), frames=9), model.decode(white),
                               atol=1e-6)


def test_a_refined_film_does_not_remember_its_beginning():
    model = small_ldf(refiner=tiny_denoiser)
    model.fit(clips(), steps=16, batch_size=16)
    peaks = []
    ldf.set_num_threads(1)
    for frames in (16, 16, 160):
        tracemalloc.start()
        for _ in model.stream(50, frames, ldf.Generator(0)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    ldf.set_num_threads(2)
    assert peaks[2] < 1.2 * peaks[1]


def test_clips_that_are_too_short_are_refused_before_anything_is_trained():
    model = small_ldf(windows=(3, 6))
    before = weights(model)
    with pytest.raises(ValueError, match="x: expected sequences of at least 6 steps, the widest"):
        model.fit(clips(), steps=4, batch_size=4)
    np.testing.assert_array_equal(weights(model), before)


def test_a_file_is_enough_to_make_the_model_of(tmp_path):
    model = small_ldf(windows=(3, 4))
    model.fit(clips(), steps=4, batch_size=16)
    model.save(tmp_path / "clips.safetensors")
    again = ldf.load(tmp_path / "clips.safetensors")
    np.testing.assert_array_equal(again.sample(2, ldf.Generator(1), frames=12),
                                  model.sample(2, ldf.Generator(1), frames=12))


def test_text_in_segments():
    split = ldf.Segments(3)
    x = np.arange(24).reshape(2, 12, 1)
    parts = split.split(x)
    np.testing.assert_array_equal(parts[0, 1, :, 0], [3, 4, 5])
    np.testing.assert_array_equal(split.merge(parts), x)


# -------------------------------------------------------------------------------------------- text

def one_hots(n=40, length=8, characters=5):
    return np.eye(characters, dtype=np.float32)[
        np.random.default_rng(0).integers(0, characters, (n, length))]


def test_ali_of_text_makes_probabilities():
    model, x = text_ali(5, latent_size=3, width=6, hidden=8), one_hots()
    history = model.fit(x, steps=3, batch_size=8)
    assert set(history.losses) == {"D", "GE", "rec_h", "rec_z"}
    assert model.encode(x).shape == (40, 4, 1, 16) and model.encode(x, "z").shape == (40, 3)
    for made in (model.sample(6), model.reconstruct(x), model.reconstruct(x, "z")):
        assert made.shape[1:] == (8, 5) and made.min() >= 0
        np.testing.assert_allclose(made.sum(axis=-1), 1, atol=1e-5)


def test_ali_of_text_learns_to_read_and_write():
    def wrong(model):
        return (model.reconstruct(x).argmax(-1) != x.argmax(-1)).mean()

    model, x = text_ali(5, latent_size=3, width=16, hidden=16), one_hots(400)
    assert wrong(model) > 0.5           # control: untrained
    model.fit(x, steps=90, batch_size=32)
    assert wrong(model) < 0.25


def test_the_joint_gan_of_text():
    model = joint_text_gan(5, 16, latent_size=3, width=6, hidden=8)
    assert set(model.fit(one_hots(40, 16), steps=2, batch_size=8).losses) == {"D", "G"}
    made = model.sample(3)
    assert made.shape == (3, 16, 5)
    np.testing.assert_allclose(made.sum(axis=-1), 1, atol=1e-5)


def test_ldf_of_text():
    bottom = text_ali(5, latent_size=3, width=6, hidden=8)
    model = sequence_ldf(bottom, (4, 1, 16), ldf.Segments(8), windows=(2,), layout="rows",
                         latent_size=3, noise=2, width=8, hidden=8)
    model.fit(one_hots(40, 16), steps=6, batch_size=8)
    assert model.sample(3).shape == (3, 16, 5) and model.sample(3, frames=5).shape == (3, 40, 5)
    with pytest.raises(ValueError, match="a multiple of 8, got 12"):
        model.encode(one_hots(4, 12))
    model = sequence_ldf(bottom, (4, 1, 16), ldf.Segments(8), windows=(2,), layout="rows",
                         latent_size=3, noise=2, width=8, hidden=8, passes=1,
                         refiner=tiny_denoiser)
    model.fit(one_hots(40, 16), steps=8, batch_size=8)
    assert model.refiner.shape == (8, 1, 16) and model.sample(3, frames=5).shape == (3, 40, 5)


top, level = small(), Level(tiny_ali(4, hidden=6), ldf.Frames(5))
of_five = LDF([level], mlp_gan(30, 3, 8), ldf.Whitening((5, 6), 30))


@pytest.mark.parametrize("call, message", [
    (lambda: top.fit(moving_average(20, 3), steps=1, batch_size=4),
     "x: expected sequences of at least 4 steps, the widest of windows, got shape (20, 3, 2)"),
    (lambda: top.fit(moving_average(20)[..., :1], steps=1, batch_size=4),
     "x: expected sequences of codes (n, t, 2), got shape (20, 5, 1)"),
    (lambda: top.sample(2, steps=0), "SequenceGAN.sample: steps: expected at least 1, got 0"),
    (lambda: [*top.stream(2, 1.5)], "stream: steps: expected a whole number, got 1.5"),
    (lambda: top.sample(0), "n: expected at least 1, got 0"),
    (lambda: small(windows=()), "windows: expected a list of at least one whole number, got ()"),
    (lambda: small(windows=(0,)), "windows[0]: expected at least 1, got 0"),
    (lambda: small(p=-1), "p: expected at least 0, got -1"),
    (lambda: small(layout="side"), 'layout: expected "channels" or "rows", got \'side\''),
    (lambda: small((2, 2)), "shape: expected (h, w, c), or (c,) for codes without places, got"),
    (lambda: ldf.SequenceGAN(top.generator, [top.discriminator], (3, 4), (2,)),
     "windows: expected one for each of 1 discriminators, got (3, 4)"),
    (lambda: of_five.sample(2, frames=20), "frames: expected None, for the top is a GAN, which "
     "makes codes of one shape (a SequenceGAN makes sequences of any length), got 20"),
    (lambda: small_ldf(refiner=lambda shape, seed: tiny_denoiser((1, 1, 6), seed)),
     "LDF: refiner: expected one of whitened codes (1, 1, 30), got one of (1, 1, 6)"),
    (lambda: small_ldf(passes=-1), "LDF: passes: expected at least 0, got -1"),
    (lambda: small_ldf(refiner="near"), "sequence_ldf: refiner: expected \"local\""),
    (lambda: small_ldf().sample(2, frames=0), "frames: expected at least 1, got 0"),
    (lambda: small_ldf().fit(clips(20, 3), steps=2, batch_size=4),
     "x: expected sequences of at least 5 steps"),
    (lambda: text_ali(5, 6), "length: expected a multiple of 4, got 6"),
    (lambda: text_ali(1), "characters: expected at least 2, got 1"),
    (lambda: joint_text_gan(5, 30), "length: expected a multiple of 4, got 30"),
    (lambda: text_ali(5, latent_size=3, width=6, hidden=8).fit(one_hots(8, 8, 4), steps=1,
                                                              batch_size=4),
     "cannot reshape array of size 128 into shape (4,8,1,5)"),
    (lambda: ldf.Segments(3).split(np.zeros((2, 7, 1))), "a multiple of 3, got 7"),
    (lambda: ldf.ChannelWhitening(ldf.Frames(), (5, 2)),
     "split: expected one of a certain number of factors, got any number"),
    (lambda: ldf.SequenceWhitening((6,)).apply(np.zeros((2, 5, 3))),
     "codes: expected (n, t, 6), got shape (2, 5, 3)")])
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    assert message in str(caught.value)
