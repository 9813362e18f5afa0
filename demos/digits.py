"""ALI on handwritten digits in half a minute: samples, digits through their code and back, and a
walk through the latent space.

    python demos/digits.py                  half a minute of training; the picture is in out/digits
    python demos/digits.py --minutes 3      sharper

The data are scikit-learn's 1,797 digits of 8 x 8 pixels (the extra "demos" installs it).
"""

import os

import numpy as np
from sklearn.datasets import load_digits

import ldf_np as ldf
from ldf_np.experiments import cli, plots
from ldf_np.experiments.metrics import PrincipalFeatures, kid
from ldf_np.experiments.report import conclude
from ldf_np.experiments.runs import finished
from ldf_np.models import nets

ROWS, COLUMNS = 10, 8       # of digits in each part of the picture


def new_model(seed):
    """ALI whose encoder and decoder are held together by the latent code alone."""
    return nets.place_ali(8, channels=1, latent_size=16, shortcut_weight=0.0, latent_weight=10.0,
                          gamma=2.0, final_gamma=0.1, discriminator_lr=1e-3, mapping_hidden=None,
                          seed=seed)


def walk(model, x):
    """From the code of each digit to that of the next, in equal steps: (n, COLUMNS, 8, 8, 1)."""
    z = model.encode(x, "z")
    there, t = np.roll(z, -1, axis=0), np.linspace(0, 1, COLUMNS)[:, None, None]
    path = ((1 - t) * z + t * there).astype(np.float32)         # (COLUMNS, n, 16)
    return np.stack([model.decode(some, "z") for some in path], axis=1)


def run(options):
    ldf.use(options.device)
    digits = load_digits()
    x = (digits.images / 8 - 1).astype(np.float32)[..., None]       # 0 to 16 -> -1 to 1
    features, rows, seconds = PrincipalFeatures(x, 30), {}, 0.0
    for seed in options.seeds:
        model = new_model(seed)
        history = finished(model.fit(x, minutes=options.minutes, progress=True))
        seconds += history.spent
        made, again = model.sample(len(x), ldf.Generator(seed)), model.reconstruct(x, "z")
        rows[f"seed {seed}"] = [history.steps, float(np.mean((again - x) ** 2)),
                                1000 * kid(features(made), features(x))]
        if seed == options.seeds[0]:
            few = ROWS * COLUMNS
            plots.save_images(os.path.join(options.out, "digits.png"), {
                "real": x[:few], "through z": again[:few], "samples G(z)": made[:few],
                "walks": walk(model, x[:ROWS]).reshape(few, 8, 8, 1)}, COLUMNS, scale=4)
    conclude(options, title="ALI on handwritten digits", claims=[], seconds=seconds,
             device=ldf.device(), tables={"Digits": {"rows": rows, "columns": [
                 "steps", "squared error through z", "KID of samples x 1000, 30 components"]}},
             figures=[("digits.png", "Digits, what comes back of them through z, samples, and "
                       "walks from one digit's code to the next one's. Samples should be digits "
                       "that one can read, and walks should pass from one digit to another by "
                       "shapes that are nearly digits.", "Four sheets of digits")])


if __name__ == "__main__":
    cli.main(run, cli.parser(__doc__, out="out/digits", minutes=0.5, seeds=(0,)).parse_args())
