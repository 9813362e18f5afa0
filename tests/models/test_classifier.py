"""The classifier: its loss against SciPy and central differences, and that it learns what there is
to learn, and only that."""

import numpy as np
import pytest
from devices import DEVICES, Device
from helpers import values, weights
from scipy import special

import ldf_np as ldf
from ldf_np import nn
from ldf_np.autodiff.engine import Tensor, operation
from ldf_np.experiments.metrics import inception_score
from ldf_np.models.classifier import (
    Classifier,
    cross_entropy,
    log_softmax,
    small_classifier,
    softmax_cross_entropy,
)

LABELS = np.array([2, 0, 1, 2, 2])


# ---------------------------------------------------------------------------------------- the loss


def test_log_softmax_is_scipys():
    logits = 5 * values(6, 4)
    np.testing.assert_allclose(log_softmax(Tensor(logits)).data,
                               special.log_softmax(logits, axis=1), rtol=1e-12)


def test_the_loss_is_scipys():
    logits = values(5, 3)
    expected = -np.mean([special.log_softmax(row)[label] for row,
                         label in zip(logits, LABELS, strict=True)])
    loss = softmax_cross_entropy(Tensor(logits), LABELS)
    assert loss.shape == () and loss.dtype == np.float64
    np.testing.assert_allclose(loss.data, expected, rtol=1e-12)
    assert softmax_cross_entropy(Tensor(logits.astype(np.float32)),
                                 LABELS.astype(np.uint8)).dtype == np.float32


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_the_loss_of_huge_logits(size):
    logits = Tensor(np.array([[size, 0, -size], [0, size, -size]], np.float32))
    with np.errstate(all="raise", under="ignore"):
        loss = softmax_cross_entropy(logits, np.array([0, 2]))
        (gradient,) = ldf.grad(loss, [logits])
    np.testing.assert_allclose(loss.data, size, rtol=1e-6)
    np.testing.assert_allclose(gradient.data, [[0, 0, 0], [0, 0.5, -0.5]], atol=1e-6)


def test_its_gradient_is_softmax_less_target():
    logits = Tensor(values(5, 3))
    (gradient,) = ldf.grad(softmax_cross_entropy(logits, LABELS), [logits])
    np.testing.assert_allclose(gradient.data,
                               (special.softmax(logits.data, axis=1) - np.eye(3)[LABELS]) / 5,
                               atol=1e-12)


def test_gradients_of_the_loss():
    ldf.check_grads(lambda x: softmax_cross_entropy(x, LABELS), [values(5, 3)], order=2)
    ldf.check_grads(log_softmax, [values(5, 3)], order=2)
    ldf.check_grads(cross_entropy, [values(5, 3), special.softmax(values(5, 3, seed=1), axis=1)],
                    order=2)


@operation
def planted(logits):
    return -np.mean(special.log_softmax(logits, axis=1)[np.arange(5), LABELS])


WRONG = {
    # The target forgotten: wrong at once. The probabilities as constants: right at order one, wrong
    # at order two.
    1: lambda g, y, x: g * (ldf.exp(log_softmax(x)) / 5),
    2: lambda g, y, x: g * ((special.softmax(x.data, axis=1) - np.eye(3)[LABELS]) / 5),
}


@pytest.mark.parametrize("order", WRONG)
def test_a_planted_wrong_rule_is_noticed(order):
    planted.defvjp(WRONG[order])
    if order == 2:
        ldf.check_grads(planted, [values(5, 3)], order=1)
    with pytest.raises(AssertionError, match=f"order {order}"):
        ldf.check_grads(planted, [values(5, 3)], order=2)


@pytest.mark.parametrize("labels, complaint", [
    (LABELS[:4], r"expected 5 integers, one for each image, got int64 of shape \(4,\)"),
    (LABELS[:, None], r"got int64 of shape \(5, 1\)"),
    (LABELS.astype(float), "got float64"),
    (LABELS > 1, "got bool"),
    (LABELS + 1, "expected integers from 0 to 2, got 1 to 3"),
    (LABELS - 1, "expected integers from 0 to 2, got -1 to 1"),
])
def test_wrong_labels(labels, complaint):
    with pytest.raises(ValueError, match=f"labels: .*{complaint}"):
        softmax_cross_entropy(Tensor(values(5, 3)), labels)
    model = tiny()
    with pytest.raises(ValueError, match=f"labels: .*{complaint}"):
        model.fit(stripes(5)[0], labels, steps=1)
    with pytest.raises(ValueError, match=f"labels: .*{complaint}"):
        model.accuracy(stripes(5)[0], labels)


def test_wrong_logits_and_networks():
    with pytest.raises(ValueError, match=r"logits: expected \(n, classes\), got shape \(3,\)"):
        softmax_cross_entropy(Tensor(values(3)), LABELS)
    with pytest.raises(ValueError, match="size: expected a multiple of 8, got 20"):
        small_classifier(3, size=20)
    with pytest.raises(ValueError, match="classes: expected at least 2, got 1"):
        small_classifier(1)
    with pytest.raises(ValueError, match="steps, minutes: expected at least one"):
        tiny().fit(*stripes(6), batch_size=4)


# ---------------------------------------------------------------------------------- the classifier


def stripes(n, seed=0):
    """Images (n, 16, 16, 3) of stripes that go one of three ways, in random colours, at random
    places, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    along = np.array([[1, 0], [0, 1], [0.7, 0.7]])[labels]                                   # n 2
    place = np.einsum("na,aij->nij", along, np.mgrid[:16, :16]) + rng.uniform(0, 4, (n, 1, 1))
    # n h w c
    wave = (place % 4 < 2)[..., None] * rng.uniform(80, 180, (n, 1, 1, 3))
    return np.clip(wave + 40 + 15 * rng.standard_normal(wave.shape), 0,
                   255).astype(np.uint8), labels


def tiny(seed=0):
    return small_classifier(3, size=16, width=8, seed=seed)


@pytest.fixture(scope="module")
def learned():
    model = tiny()
    history = model.fit(*stripes(300), steps=50, batch_size=32)
    return model, history


def test_it_learns(learned):
    model, history = learned
    assert tiny().accuracy(*stripes(150, seed=1)) < 0.7             # negative control: untrained
    assert model.accuracy(*stripes(150, seed=1)) > 0.95
    assert history.steps == 50 and set(history.losses) == {"loss"}
    assert abs(history.losses["loss"][0]
               - np.log(3)) < 1 and np.mean(history.losses["loss"][-5:]) < 0.2


def test_of_shuffled_labels_it_learns_nothing():
    x, labels = stripes(300)
    model = tiny()
    model.fit(x, np.random.default_rng(0).permutation(labels), steps=50, batch_size=32)
    assert abs(model.accuracy(*stripes(150, seed=1)) - 1 / 3) < 0.2


def test_probabilities_and_features(learned):
    model, _ = learned
    x, labels = stripes(30, seed=2)
    before = weights(model)
    p, features = model.predict(x), model.features(x)
    assert p.shape == (30,
                       3) and p.dtype == features.dtype == np.float32 and features.shape == (
                           30, 128)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    last = model.network[-1]
    np.testing.assert_allclose(special.softmax(features @ last.weight.data + last.bias.data,
                                               axis=1), p, atol=1e-5)
    assert model.accuracy(x, labels) == np.mean([row.argmax() == label for row,
                                                 label in zip(p, labels, strict=True)])
    # In evaluation mode: an image's answer does not depend on those beside it, and nothing moves.
    np.testing.assert_allclose(model.predict(x[:1]), p[:1], atol=1e-5)
    np.testing.assert_array_equal(weights(model), before)
    assert model.network.training
    np.testing.assert_allclose(model.predict(x.astype(np.float32) / 127.5 - 1), p, atol=1e-5)


def test_it_serves_the_inception_score(learned):
    model, _ = learned
    x, labels = stripes(150, seed=3)
    many, one = (inception_score(model.predict, images, splits=1)[0]
                 for images in (x, x[labels == 0]))
    assert many > 2.5 and one < 1.3         # three sure classes; one class alone


def test_one_seed_one_run_and_its_file(tmp_path, learned):
    model, history = learned
    again = tiny()
    assert again.fit(*stripes(300), steps=50, batch_size=32).losses == history.losses
    np.testing.assert_array_equal(weights(again), weights(model))
    model.save(tmp_path / "classifier.safetensors")
    other = tiny(seed=1)
    assert not np.array_equal(weights(other), weights(model))
    np.testing.assert_array_equal(other.load(tmp_path
                                             / "classifier.safetensors").predict(stripes(4)[0]),
                                  model.predict(stripes(4)[0]))


def test_vectors_are_classified_too():
    rng = ldf.Generator(0)
    model = Classifier(nn.Sequential(nn.Linear(2, 16, rng=rng), nn.LeakyReLU(0.1),
                                     nn.Linear(16, 2, rng=rng)), 2, lr=1e-2)
    x = values(200, 2, dtype=np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    model.fit(x[:100], labels[:100], steps=100, batch_size=20)
    assert model.accuracy(x[100:], labels[100:]) > 0.9


@pytest.mark.parametrize("name", DEVICES)
def test_the_same_training_on_a_device(name):
    x, labels = stripes(60)
    here, device = tiny(), Device(name)
    losses = here.fit(x, labels, steps=6, batch_size=16).losses["loss"]
    with device.active():
        # the first three steps without the graph, the others as one
        there = tiny()
        np.testing.assert_allclose(there.fit(x, labels, steps=6, batch_size=16).losses["loss"],
                                   losses, rtol=1e-3, atol=1e-4)
        p, features = there.predict(x), there.features(x)
    assert type(p) is type(features) is np.ndarray
    np.testing.assert_allclose(p, here.predict(x), atol=1e-2)
