"""ldf.load: a model from one file, to the same bits; and hostile files, each of which gets a
sentence that names it."""

import json
import re

import numpy as np
import pytest
from bad_input import f, refused
from helpers import tiny_ali

import ldf_np as ldf
from ldf_np import nn
from ldf_np.models import baselines, image_nets, nets
from ldf_np.models.classifier import small_classifier
from ldf_np.models.factors import Groups, Split
from ldf_np.models.ldf import LDF, Level
from ldf_np.models.vae import Autoencoder, GaussianTop
from ldf_np.nn.module import Module
from ldf_np.runtime.files import load_tensors, save_tensors

CLIPS = np.random.default_rng(0).integers(0, 256, (16, 2, 8, 8, 3), dtype=np.uint8)
VECTORS = np.random.default_rng(1).standard_normal((16, 4)).astype(np.float32)


def clip_ldf(**settings):
    return nets.clip_ldf(CLIPS, 2, size=8, latent_size=4, **settings)


def two_levels():
    """An LDF of two levels of vectors, under principal components."""
    lower, upper = tiny_ali(2, 4), tiny_ali(8, 4)
    levels = [Level(lower, ldf.Frames(4)), Level(upper, Groups(2, 4, (4,)), "z")]
    return LDF(levels, nets.mlp_gan(3, 4, 8), ldf.Whitening((2, 2), 3))


def over_an_autoencoder():
    base = nets.place_ali(8, latent_size=4)
    bottom = Autoencoder(base.encoder.body, base.decoder.body)
    return nets.frames_ldf(bottom, CLIPS, "h", 0, GaussianTop, 4)


# {name: (a function that makes it, what it is trained on)}; all settings travel with it
MODELS = {
    "ALI": (lambda: tiny_ali(4, stochastic=True, shortcut_weight=0.5, betas=(0.1, 0.9)), [VECTORS]),
    "ALI with a metric": (lambda: nets.small_ali(8, latent_size=4, colour_metric=np.eye(3) * 0.7),
                          [CLIPS[:, 0]]),
    "ALI of points": (lambda: nets.mlp_ali(4, 2, 8), [VECTORS]),
    "GAN": (lambda: nets.mlp_gan((2, 2), 4, 8), [VECTORS.reshape(-1, 2, 2)]),
    "joint GAN": (lambda: baselines.joint_gan(2, 8, hidden=8, whitened=True), [CLIPS]),
    "joint GAN, frames": (lambda: baselines.framed_joint_gan(2, 8, hidden=8), [CLIPS]),
    "LDF": (clip_ldf, [CLIPS]),
    "LDF, components": (lambda: clip_ldf(bottom="small", top="mlp", components=4), [CLIPS]),
    "LDF, refined": (lambda: clip_ldf(refiner="local", passes=1), [CLIPS]),
    "LDF, two levels": (two_levels, [VECTORS.repeat(2, axis=1).reshape(16, 4, 2)]),
    "LDF of others": (over_an_autoencoder, [CLIPS]),
    "VAE": (lambda: baselines.mlp_vae(4, 2, 8, noisy=True), [VECTORS]),
    "classifier": (lambda: small_classifier(3, 8, width=2),
                   [CLIPS[:, 0], np.arange(16) % 3]),
    "quadrants": (lambda: nn.Sequential(image_nets.PatchCritic(
        nn.Sequential(nn.Flatten(), nn.Linear(48, 1, rng=ldf.Generator(0)), nn.Dropout(
            rng=ldf.Generator(4))), 4, 4)), None),
}


def said(model):
    """What a model says of its data and of noise, also with its own Generator: arrays."""
    found = [model.sample(3)] if hasattr(model, "sample") else []
    found += [model.sample(3, ldf.Generator(5))] if found else []
    if hasattr(model, "reconstruct"):
        found.append(model.reconstruct(model.data[:3]))
    if hasattr(model, "predict"):
        found.append(model.predict(model.data[:3]))
    if hasattr(model, "refine"):
        found.append(model.refine(model.data[:3]))
    return found or [model(ldf.Tensor(ldf.asarray(np.ones((4, 8, 8, 3), np.float32)))).numpy()]


@pytest.mark.parametrize("make, data", MODELS.values(), ids=MODELS)
def test_a_model_says_the_same_and_goes_on(make, data, tmp_path):
    model, path = make(), tmp_path / "model.safetensors"
    if data:
        model.fit(*data, steps=4, batch_size=8)
        model.data = data[0]
    model.save(path)
    loaded = ldf.load(path)
    assert type(loaded) is type(model)
    loaded.data = getattr(model, "data", None)
    for one, other in zip(said(model), said(loaded), strict=True):
        np.testing.assert_array_equal(one, other)
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    model.save(path)
    assert again.read_bytes() == path.read_bytes()
    if data:
        before = loaded.state_dict()
        loaded.fit(*data, steps=2, batch_size=8)
        assert any((before[name] != array).any() for name, array in loaded.state_dict().items())


def test_settings_travel_and_old_ways_of_reading_stay(tmp_path):
    model = tiny_ali(gamma=0.25, final_lr=0.5, loss="bgan", betas=(0.1, 0.9), lr=0.01)
    model.save("model.safetensors")
    loaded = ldf.load("model.safetensors")
    assert (loaded.gamma, loaded.final_lr, loaded.loss) == (0.25, 0.5, "bgan")
    assert loaded.generator_optimizer.betas == (0.1, 0.9)
    assert loaded.generator_optimizer.lr == 0.01
    other = tiny_ali(seed=3).load("model.safetensors")      # as before
    np.testing.assert_array_equal(other.state_dict()["encoder.body.layers.0.weight"],
                                  model.state_dict()["encoder.body.layers.0.weight"])
    save_tensors("old.safetensors", model.state_dict(), {"model": "ALI"})
    tiny_ali().load("old.safetensors")
    with pytest.raises(ValueError, match="^old.safetensors: .* got weights alone; make the model"):
        ldf.load("old.safetensors")


@pytest.mark.parametrize("beside", [{}, {"gama": 0.1}])     # negative control: no such setting
@pytest.mark.parametrize("make", [tiny_ali, lambda **settings: nets.mlp_gan(3, 2, 4, **settings)])
def test_a_file_from_when_a_class_named_each_of_its_settings(make, beside):
    """As files of ALI and GAN did before their settings were those of ``Game``."""
    model = make(gamma=0.25, betas=(0.1, 0.9), lr=0.01)
    model.save("now.safetensors")
    state, metadata = load_tensors("now.safetensors")
    made = json.loads(metadata["architecture"])
    arguments = made["objects"][-1]["arguments"]
    arguments |= arguments.pop("settings")["dict"] | beside
    save_tensors("old.safetensors", state, {"architecture": json.dumps(made)})
    if beside:
        with pytest.raises(ValueError, match="old.safetensors: .*unexpected keyword argument 'g"):
            ldf.load("old.safetensors")
        return
    loaded = ldf.load("old.safetensors")
    assert (loaded.gamma, loaded.generator_optimizer.lr) == (0.25, 0.01)
    assert loaded.generator_optimizer.betas == (0.1, 0.9)
    np.testing.assert_array_equal(loaded.sample(3), model.sample(3))


class Net(Module):
    """Of a user's own, out of the layers of the library."""

    def __init__(self, width, activation=None, *, init, **more):
        self.first = nn.Linear(3, width, init=init, rng=ldf.Generator(0))
        self.drop = nn.Dropout(0.5, rng=ldf.Generator(1))
        self.twice = [self.drop, nn.Sequential(self.drop)]
        self.activation, self.more = activation or nn.Tanh(), more

    def forward(self, x):
        return self.twice[1](self.activation(self.first(x)))


class Encoder(Module):
    """A class of a user with the name of one of the library's."""

    def __init__(self, net):
        self.net = net

    def forward(self, x):
        return self.net(x)


class Halves(Split):
    """A split of a user's own."""

    def __init__(self, count=2):
        self.count = count

    def split(self, x):
        return x.reshape(len(x), self.count, -1)

    def merge(self, factors):
        return factors.reshape(len(factors), -1)


def test_classes_of_ones_own_are_handed_in():
    net = Encoder(Net(5, init=nn.normal(0.2), names=["a", {"b": (1, None)}], rate=np.float32(0.1)))
    x = ldf.Tensor(f(4, 3))
    net(x)
    net.net.drop.eval()
    net.save("net.safetensors")
    loaded = ldf.load("net.safetensors", classes=[Net, Encoder])
    assert type(loaded) is Encoder and loaded.net.more == net.net.more
    assert loaded.net.drop is loaded.net.twice[1].layers[0] and not loaded.net.drop.training
    np.testing.assert_array_equal(loaded(x).numpy(), net(x).numpy())
    net.train(), loaded.train()
    np.testing.assert_array_equal(loaded(x).numpy(), net(x).numpy())    # the noise goes on, too
    with pytest.raises(ValueError, match=r"net.safetensors: .* load\(path, classes=.*, got Net"):
        ldf.load("net.safetensors")
    level = LDF([Level(tiny_ali(2), Halves())], nets.mlp_gan(12, 4, 8), ldf.Whitening((2, 6), 12))
    level.save("ldf.safetensors")
    assert type(ldf.load("ldf.safetensors", classes=[Halves]).levels[0].split) is Halves
    with pytest.raises(TypeError, match=r"classes\[0\]: expected a subclass of Module"):
        ldf.load("net.safetensors", classes=[dict])


@pytest.mark.parametrize("argument, what", [
    (lambda x: x, "a function (<lambda>)"), (ldf.Tensor(f(2)), "a Tensor"), ({1: 2}, "a dict"),
    (f(200, 100), "a ndarray"), (object(), "a object"), ([1, {"a": (lambda: 0,)}], "a function")],
    ids=range(6))
def test_what_no_file_can_hold_is_told_when_it_is_read(argument, what):
    net = Net(5, init=nn.he(), extra=argument)
    with pytest.warns(RuntimeWarning, match="net.safetensors has the weights, but not how the "
                                            "model is made: Net: more: expected what a file can"):
        net.save("net.safetensors")
    with pytest.raises(ValueError, match=r"net.safetensors: .*Net: more: expected what a file can "
                                         r"hold") as error:
        ldf.load("net.safetensors", classes=[Net])
    assert what in str(error.value)
    other = Net(5, init=nn.he())
    other.first.weight.data[...] = 7
    other.load("net.safetensors")       # its weights are there
    np.testing.assert_array_equal(other.first.weight.data, net.first.weight.data)


def changed_gan():
    model = nets.mlp_gan(2, 4, 8)
    model.gamma, model.generator.layers[1].momentum = 7.0, 0.3
    model.generator.layers.insert(2, nn.Tanh())
    return model


CHANGED = {     # a model, and what changes it
    "a layer in another's place": (lambda: nn.Sequential(nn.Linear(2, 2, rng=ldf.Generator(0)),
                                                         nn.LeakyReLU(0.1)),
                                   lambda m: m.layers.__setitem__(1, nn.Tanh())),
    "one more": (lambda: nn.Sequential(nn.Linear(2, 2, rng=ldf.Generator(0))),
                 lambda m: m.layers.append(nn.Linear(2, 3, rng=ldf.Generator(1)))),
    "a slope": (lambda: nn.Sequential(nn.Linear(2, 2, rng=ldf.Generator(0)), nn.LeakyReLU(0.1)),
                lambda m: setattr(m.layers[1], "slope", 0.7)),
    "a stride": (lambda: nn.Sequential(nn.Conv2d(1, 2, 2, rng=ldf.Generator(0)), nn.Flatten()),
                 lambda m: setattr(m.layers[0], "stride", (1, 2))),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_was_assigned_is_in_the_file(name):
    make, change = CHANGED[name]
    model, shape = make(), (3, 4, 4, 1) if name == "a stride" else (3, 2)
    x = ldf.Tensor(np.random.default_rng(0).standard_normal(shape))
    before = model(x).numpy()
    change(model)
    model.save("m.safetensors")
    np.testing.assert_array_equal(ldf.load("m.safetensors")(x).numpy(), model(x).numpy())
    assert not np.array_equal(model(x).numpy(), before)         # else this could not fail


def test_what_was_assigned_to_a_gan_is_in_the_file():
    model = changed_gan()
    model.save("gan.safetensors")
    loaded = ldf.load("gan.safetensors")
    assert loaded.gamma == 7.0 != nets.mlp_gan(2, 4, 8).gamma
    assert loaded.generator.layers[1].momentum == 0.3
    assert type(loaded.generator.layers[2]) is nn.Tanh


def _tied():
    model = nn.Sequential(nn.Linear(4, 4, rng=ldf.Generator(0)), nn.Linear(4, 4,
                                                                           rng=ldf.Generator(1)))
    model.layers[1].weight = model.layers[0].weight
    return model


def _without_bias():
    model = nn.Linear(4, 4, rng=ldf.Generator(0))
    model.bias = None
    return model


@pytest.mark.parametrize("make, what", [(_tied, "layers.1.weight is absent"),
                                        (_without_bias, "bias is absent, and shape (4,) where")])
def test_a_model_that_no_file_makes_is_told_when_it_is_saved(make, what):
    model = make()
    with pytest.warns(RuntimeWarning, match=re.escape(f"m.safetensors has the weights, but not how "
                                                      f"the model is made: {what}")):
        model.save("m.safetensors")
    with pytest.raises(ValueError, match=re.escape(what)):
        ldf.load("m.safetensors")
    other = make()
    other.parameters()[0].data[...] = 7
    other.load("m.safetensors")
    np.testing.assert_array_equal(other.parameters()[0].data, model.parameters()[0].data)


def test_float64_weights_stay_what_they_are():
    model = nn.Sequential(nn.Linear(4, 4, rng=ldf.Generator(0)), nn.BatchNorm(4))
    for p in model.parameters():
        p.data = p.data.astype(np.float64) + 1 / 3
    model.save("m.safetensors")
    for one, other in zip(model.parameters(), ldf.load("m.safetensors").parameters()):
        np.testing.assert_array_equal(one.data, other.data)
        assert other.dtype == np.float64


def test_settings_of_a_file_are_used():
    with_settings({"layers.1": {"slope": 0.25}})
    assert ldf.load("m.safetensors").layers[1].slope == 0.25


@pytest.mark.parametrize("settings", [
    {"layers.1": {"forward": 1}}, {"layers.1": {"_made_with": 1}}, {"layers.1": {"slope": {}}},
    {"layers.2": {"slope": 1}}, {"layers.1": 3}, 3])
def test_settings_of_a_file_are_not_trusted(settings):
    with_settings(settings)
    with pytest.raises(ValueError, match="m.safetensors: no model can be made of this file"):
        ldf.load("m.safetensors")


def with_settings(settings):
    nn.Sequential(nn.Linear(1, 1, rng=ldf.Generator(0)), nn.LeakyReLU(0.1)).save("m.safetensors")
    state, metadata = load_tensors("m.safetensors")
    made = json.loads(metadata["architecture"]) | {"settings": settings}
    save_tensors("m.safetensors", state, {"architecture": json.dumps(made)})


def test_samples_before_fit_are_refused():
    for model in (clip_ldf(), baselines.joint_gan(2, 8, hidden=8, whitened=True)):
        with pytest.raises(ValueError, match="a model that was trained, for its whitening is"):
            model.sample(2)
    with pytest.raises(ValueError, match="call fit, or load its weights"):
        clip_ldf().encode(CLIPS)
    with pytest.raises(ValueError, match="call fit, or load its weights"):
        clip_ldf().decode(f(2, 2, 2, 16))


# ------------------------------------------------------------------------------------ hostile files


def linear(**arguments):
    return {"class": "Linear", "arguments": {"n_in": 2, "n_out": 2, "rng": {"generator": 0}}
            | arguments}


def norm(channels):
    return {"class": "BatchNorm", "arguments": {"channels": channels}}


def chain(n, **more):
    """An object of n in one another."""
    return [{"class": "Tanh", "arguments": {}}] + [
        {"class": "Sequential", "arguments": {"layers": {"tuple": [{"object": k}]}}}
        for k in range(n)]


def nested(n):
    value = 1
    for _ in range(n):
        value = [value]
    return value


def written(objects, **more):
    return json.dumps({"objects": objects, "generators": {}, "evaluating": []} | more)


# {name: (objects, or a whole text, a part of the sentence)}
HOSTILE = {
    "no JSON": ("{", "Expecting property name"),
    "deep": ("[" * 100_000, "recursion"),
    "not a dict": ("[1]", "list indices"),
    "nothing": ("{}", "no model can be made of this file: objects"),
    "no objects": ([], "a list of 1 to 10,000 objects"),
    "many objects": ([linear()] * 10_001, "a list of 1 to 10,000 objects"),
    "a text": ("7", "subscriptable"),
    "not objects": ([3], "subscriptable"),
    "no class": ([{}], "class"),
    "unknown class": ([{"class": "os.system", "arguments": {"x": "ls"}}], "got os.system"),
    "a private name": ([{"class": "__import__", "arguments": {}}], "got __import__"),
    "no name": ([{"class": ["Linear"], "arguments": {}}], "class: expected one of ldf_np"),
    "arguments are a list": ([{"class": "Tanh", "arguments": [1]}], "sequence"),
    "unknown argument": ([linear(evil=1)], "Linear: arguments: expected some of n_in, n_out"),
    "argument missing": ([{"class": "Linear", "arguments": {"n_in": 2}}], "n_out"),
    "a text as a number": ([linear(n_in="2")], "n_in: expected a whole number"),
    "true": ([linear(n_in=True)], "n_in: expected a whole number"),
    "negative": ([linear(n_in=-1)], "n_in: expected at least 1"),
    "huge": ([linear(n_in=10**30)], "n_in: expected at most the 6 numbers of the file"),
    "large": ([norm(2**30)], "channels: expected at most the 6 numbers of the file"),
    "many": ([norm(6)], "as many parameters as the file has numbers"),
    "a kernel": ([{"class": "Conv2d", "arguments": {
        "c_in": 1, "c_out": 1, "kernel_size": 10**9, "rng": {"generator": 0}}}], "bytes"),
    "a table": ([{"class": "GaussianTop", "arguments": {"size": 10**5}}], "at most the 6 numbers"),
    "codes": ([{"class": "Frames", "arguments": {"count": 5}}, {
        "class": "ChannelWhitening", "arguments": {
            "split": {"object": 0}, "code_shape": [5, 10**9, 10**6, 10]}}], "bytes"),
    "itself": ([linear(rng={"object": 0})], "Linear: rng"),
    "a later one": ([linear(rng={"object": 1}), linear()], "Linear: rng"),
    "not a module": ([{"class": "Frames", "arguments": {"count": 3}}], "a Module, got Frames"),
    "a level of numbers": ([linear(), {"class": "LDF", "arguments": {
        "levels": [1], "top": {"object": 0}, "whitening": {"object": 0}}}], "levels[0]: expected"),
    "a list of nothing": ([linear(rng=nested(100))], "Linear: rng: expected a Generator"),
    "deep values": (written([linear(rng="DEEP")]).replace('"DEEP"', 100_000 * "[" + 100_000 * "]"),
                    "recursion"),
    "no kind of value": ([linear(rng={"call": "print"})], "expected a value"),
    "an object array": ([linear(bias={"array": [1], "dtype": "object"})], "numbers"),
    "a chain": (chain(1500), "recursion"),
    "other weights": ([norm(1)], "state: missing ['running_mean', 'running_var']"),
    "no parts": ([{"class": "Module", "arguments": {}}], "unexpected ['bias', 'weight']"),
}


def hostile(objects, state=None, **more):
    """Write a file with this architecture and six numbers."""
    text = objects if isinstance(objects, str) else written(objects, **more)
    state = {"weight": f(2, 2), "bias": f(2)} if state is None else state
    save_tensors("hostile.safetensors", state, {"architecture": text})
    return lambda: ldf.load("hostile.safetensors")


@pytest.mark.parametrize("objects, sentence", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gets_a_sentence(objects, sentence):
    call = hostile(objects)
    assert refused(call, ValueError, "hostile.safetensors: no model can be made of this file: ") \
        is True
    with pytest.raises(ValueError) as error:
        call()
    assert sentence in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("more, sentence", [
    ({"state": {"weight": f(3, 2)}}, "missing ['bias']"),
    ({"state": {"weight": f(2, 2), "bias": f(2), "evil": f(1)}}, "unexpected ['evil']"),
    ({"state": {"weight": f(2, 3), "bias": f(2)}}, "of shape (2, 2)"),
    ({"generators": {"rng": {}}}, "generators: expected [], got ['rng']"),
    ({"generators": 3}, "keys"), ({"evaluating": 3}, "iterable")], ids=range(6))
def test_weights_and_noise_have_to_fit(more, sentence):
    with pytest.raises(ValueError, match="^hostile.safetensors: no model can be made") as error:
        hostile([linear()], **more)()
    assert sentence in str(error.value)


def test_control_the_same_file_is_read_where_nothing_is_wrong():
    loaded = hostile([linear()])()
    assert type(loaded) is nn.Linear and (loaded.weight.data == 1).all()


def test_a_missing_and_a_damaged_file_are_named():
    with pytest.raises(FileNotFoundError, match="nothing.safetensors"):
        ldf.load("nothing.safetensors")
    with open("text.safetensors", "w") as file:
        file.write("no tensors")
    with pytest.raises(ValueError, match="text.safetensors: expected a safetensors file"):
        ldf.load("text.safetensors")


def test_the_file_says_what_it_holds():
    nn.Linear(2, 3, rng=ldf.Generator(0)).save("linear.safetensors")
    _, metadata = load_tensors("linear.safetensors")
    assert json.loads(metadata["architecture"]) == {
        "objects": [{"class": "Linear", "arguments": {
            "n_in": 2, "n_out": 3, "rng": {"generator": 0}}}],
        "settings": {}, "generators": {}, "counts": {}, "evaluating": []}
