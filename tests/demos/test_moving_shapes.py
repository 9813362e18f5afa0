"""Moving shapes: clips from known factors and back, and demos/paper/moving_shapes.py: its measures
on cases whose answer is known."""

import json
import re

import numpy as np
import pytest
from helpers import ctrl_c, load_program, verdicts

from ldf_np.data import moving_shapes as S
from ldf_np.data.moving_shapes import (
    BOX,
    SHAPES,
    TOLERANCE,
    allowed_steps,
    make_shapes,
    read_shapes,
    render,
)

demo = load_program("demos/paper/moving_shapes.py")


@pytest.fixture(scope="module")
def data():
    return make_shapes(300, seed=1)


# -------------------------------------------------------------------------------------------- data


def test_clips_obey_the_rule(data):
    """One shape, allowed steps, inside the picture; every shape and every step occurs, and one seed
    gives one set."""
    assert data.clips.shape == (300, 5, 32, 32,
                                3) and data.clips.dtype == np.uint8 and set(np.unique(
                                    data.clips)) == {0, 255}
    assert data.positions.min() >= 0 and data.positions.max() <= 32 - BOX
    steps = np.diff(data.positions, axis=1).reshape(-1, 2)
    assert {tuple(s) for s in steps} == {tuple(s)
                                         for s in S.STEPS} and allowed_steps(data.positions).all()
    assert set(data.shape) == set(range(len(SHAPES)))
    np.testing.assert_array_equal(make_shapes(300, seed=1).clips, data.clips)
    assert (make_shapes(300, seed=2).clips != data.clips).any()
    np.testing.assert_array_equal(data.clips, render(data.shape[:, None], data.positions))


def test_a_rendering_drawn_by_hand():
    """A square is 255 in its box and 0 elsewhere, in all three colours; its corner is the
    position."""
    expected = np.zeros((32, 32, 3), np.uint8)
    expected[3:3 + BOX, 7:7 + BOX] = 255
    np.testing.assert_array_equal(render(SHAPES.index("square"), np.array([3, 7])), expected)


def test_tolerance_leaves_no_doubt():
    """Any two renderings are at least twice sqrt(TOLERANCE) apart, and some are no more: so every
    shape differs from each."""
    shape, row, column = (a.reshape(-1) for a in np.indices((len(SHAPES), 33 - BOX, 33 - BOX)))
    pictures = (render(shape, np.stack([row, column], axis=-1))[..., 0] > 0).reshape(
        len(shape), -1).astype(np.float32)
    size = pictures.sum(axis=1)
    apart = size[:, None] + size - 2 * pictures @ pictures.T
    np.fill_diagonal(apart, np.inf)
    assert apart.min() == 4 * TOLERANCE


def test_reading_inverts_rendering(data):
    """Exactly from clean frames; through noise; and an error of known size."""
    shape, positions, error = read_shapes(data.clips, batch=77)
    np.testing.assert_array_equal(shape, np.repeat(data.shape[:, None], 5, axis=1))
    np.testing.assert_array_equal(positions, data.positions)
    assert (error == 0).all()
    noise = np.random.default_rng(0).normal(0, 16, data.clips.shape)
    shape, positions, error = read_shapes(np.clip(np.rint(data.clips + noise), 0,
                                                  255).astype(np.uint8))
    assert (shape == data.shape[:, None]).all() and (positions == data.positions).all()
    # half is clipped
    assert (error < TOLERANCE).all() and error.mean() == pytest.approx(
        1024 * (16 / 255) ** 2 / 2, rel=0.05)
    one_pixel = data.clips[:1].copy()
    one_pixel[0, 2, 0, 0] = 255 - one_pixel[0, 2, 0, 0]
    np.testing.assert_allclose(read_shapes(one_pixel)[2], [[0, 0, 1, 0, 0]])


@pytest.mark.parametrize("call, message", [
    (lambda: make_shapes(0), "count, frames: expected at least 1 of each, got 0 and 5"),
    (lambda: make_shapes(3, size=BOX), f"size: expected at least {BOX + 2}"),
    (lambda: render(4, np.array([0, 0])), "shape: expected 0 to 3, got 4"),
    (lambda: render(0, np.array([0, 33 - BOX])),
     f"position: expected 0 to {32 - BOX}, got 0 to {33 - BOX}"),
    (lambda: render(0, np.zeros(3, int)), r"position: expected rows and columns \(..., 2\)"),
    (lambda: read_shapes(np.zeros((1, 5, 32, 32, 3))), "clips: expected uint8 .* got float64"),
    (lambda: read_shapes(np.zeros((1, 1, 8, 8, 3), np.uint8)),
     "clips: expected pictures of at least")])
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---------------------------------------------------------------------------------------- measures


def test_legality_of_planted_faults(data):
    """Real clips are legal; a clip with any one fault is not, and its fault is named."""
    good = demo.legality(data.clips)
    assert all(good[part] == 1
               for part in demo.PARTS) and good["legal at"] == [1.0] * len(demo.TOLERANCES)
    frozen = demo.legality(np.repeat(data.clips[:, :1], 5, axis=1))
    assert (frozen["one shape"], frozen["all steps allowed"], frozen["legal"]) == (1, 0, 0)
    other = data.clips.copy()
    other[:, 3] = render((data.shape + 1) % len(SHAPES), data.positions[:, 3])
    changed = demo.legality(other)
    assert (changed["one shape"], changed["all steps allowed"], changed["legal"]) == (0, 1, 0)
    faded = demo.legality(data.clips // 2)
    assert (faded["frames recognisable"], faded["legal"]) == (0, 0)
    mixed = demo.legality(demo.permuted(data.clips, 0))
    assert mixed["frames recognisable"] == 1 and mixed["one shape"] < 0.05 and mixed["legal"] == 0


def test_probe_finds_what_is_linear_and_nothing_else():
    rng = np.random.default_rng(0)
    codes, held = rng.standard_normal((600, 20)), rng.standard_normal((400, 20))
    weights = rng.standard_normal((20, 2))
    assert demo.r_squared(demo.probe(codes, codes @ weights + 3, held), held @ weights + 3) > 0.999
    # not linear
    assert demo.r_squared(demo.probe(codes, (codes @ weights) ** 2, held),
                          (held @ weights) ** 2) < 0.2
    assert demo.r_squared(demo.probe(codes, rng.standard_normal((600, 2)), held),
                          rng.standard_normal((400, 2))) < 0


def test_probes_of_codes_that_are_the_factors(data):
    """Codes that hold shape and position apart: everything is found, but no shape in the change.
    Noise holds nothing."""
    held = make_shapes(200, seed=7)

    def factors(d):
        return np.concatenate([np.repeat(np.eye(len(SHAPES))[d.shape][:, None], 5, axis=1),
                               d.positions / 10], axis=-1)

    found = demo.probes(factors(data), data, factors(held), held)
    assert found["shape accuracy"] > 0.98 and found["position R2"] > 0.98 and found[
        "step R2"] > 0.98
    assert found["shape from change"] < 0.4
    rng = np.random.default_rng(0)
    nothing = demo.probes(rng.standard_normal((300, 5, 8)), data, rng.standard_normal((200, 5, 8)),
                          held)
    assert nothing["shape accuracy"] < 0.4 and nothing["position R2"] < 0.05 and nothing[
        "step R2"] < 0.05


def test_mutual_information_of_normal_variables():
    """-1/2 log(1 - rho^2) for each pair of correlation rho; independent: its bias, about a b / 2n;
    a square is not seen."""
    rng, rho = np.random.default_rng(0), np.array([0.9, 0.5, 0.0])
    x = rng.standard_normal((4000, 3))
    y = rho * x + np.sqrt(1 - rho ** 2) * rng.standard_normal((4000, 3))
    # information does not change under invertible maps
    mixed = y @ rng.standard_normal((3, 3)) + 5
    estimate, bias = demo.mutual_information(x, mixed)
    assert estimate - bias == pytest.approx(-0.5 * np.log(1 - rho ** 2).sum(), abs=0.05)
    independent, bias = demo.mutual_information(x[:500], rng.standard_normal((500, 3)))
    assert bias == pytest.approx(9 / 1000, rel=0.5) and abs(independent - bias) < 0.01
    assert abs(np.subtract(*demo.mutual_information(x, x ** 2))) < 0.02


def test_principal_components_span_the_leading_directions():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4, 5)) * 0.01
    x[:, 0, :2] += 5 * rng.standard_normal((200, 2))
    found = demo.principal(x, 2)
    np.testing.assert_allclose(found.T @ found, np.eye(2), atol=1e-9)
    centred = x[:, 0, :2] - x[:, 0, :2].mean(axis=0)
    np.testing.assert_allclose(found @ (found.T @ centred), centred, atol=0.1)


# ------------------------------------------------------------------------------------- the program


def test_the_program(tmp_path, capsys):
    """At a tiny size: claims, tables, pictures and pieces are written."""
    options = demo.parse(["--minutes", "0.001", "--seeds", "0", "--clips", "256", "--samples",
                          "64", "--device", "cpu",
                          "--out", str(tmp_path)])
    with pytest.raises(KeyboardInterrupt), ctrl_c(1):
        demo.run(options)
    assert (tmp_path / "checkpoints" / "LDF seed 0" / "level 0" / "step-000000001.json").exists()
    demo.run(options)
    assert not list((tmp_path / "checkpoints").rglob("step-*"))
    results = json.loads((tmp_path / "results.json").read_text())
    assert len(results["claims"]) == 2 and {
        c["verdict"] for c in results["claims"]} == {"one seed"}
    rows = results["tables"]["Generated clips"]["rows"]
    assert [cell[0]
            for cell in rows["real clips"][:5]] == [1.0] * 5 and rows["real, frames permuted"][4][
                0] == 0
    sizes = [row[0] for row in results["tables"]["Models"]["rows"].values()]
    assert abs(sizes[1] / sizes[0] - 1) < 0.1
    for figure in results["figures"]:
        assert (tmp_path / figure["file"]).stat().st_size > 3000
    # one seed has no interval
    assert re.search("^In equal time.*a verdict needs more", capsys.readouterr().out, re.S | re.M)
    assert sorted(path.name for path in (tmp_path / "pieces").glob("*.json")) == [
        "LDF seed 0.json", "joint GAN seed 0.json"]


def test_claims_follow_the_numbers():
    """Verdicts are computed: better numbers of LDF in all seeds are held, worse ones failed."""
    def pieces(own, joint):
        judged = {name: dict.fromkeys(demo.PARTS, value)
                  for name, value in ((demo.OWN, own), (demo.PERMUTED, 0.1))}
        found = {name: dict.fromkeys(demo.PROBES, own if name == "z" else 0.5)
                 for name in demo.CODES}
        return ({"legality": judged, "probes": found},
                {"legality": {demo.JOINT: dict.fromkeys(demo.PARTS, joint)}})

    good = demo.claims_of({seed: pieces(0.9 + 0.01 * seed, 0.2) for seed in range(3)})
    bad = demo.claims_of({seed: pieces(0.05 + 0.01 * seed, 0.3) for seed in range(3)})
    assert verdicts(good) == ["held"] * 2 and verdicts(bad) == ["failed"] * 2
    assert len(good) == 5
    assert good[0]["interval"][0] == pytest.approx(0.71)
