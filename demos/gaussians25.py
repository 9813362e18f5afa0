"""ALI alone on its authors' toy, 25 Gaussians on a grid: how many modes do 10,000 samples hit?
(Theirs: 13.4 +- 5.8.)

    python demos/gaussians25.py                     three seeds, about 20 seconds each
    python demos/gaussians25.py --penalty none      without Roth's regularizer
    python demos/gaussians25.py --latent-weight 0   without the reconstruction: ALI as its authors
    trained it

A mode is hit when at least 20 of the samples lie within three standard deviations of it; its fair
share is 400. Writes a picture of the last seed's samples.
"""

import argparse
import os
import time

import numpy as np

import ldf_np as ldf
from ldf_np.data.gaussians import MEANS, make_gaussians, modes_hit
from ldf_np.models import nets
from ldf_np.nn.penalty import KINDS
from ldf_np.runtime.files import replacing


def run(seed, steps, **settings):
    """Train on 100,000 points; returns the samples, a held-out test set and its reconstructions."""
    model = nets.mlp_ali(seed=seed, **settings)
    model.fit(make_gaussians(100_000, seed), steps=steps, batch_size=128, progress=True)
    test = make_gaussians(10_000, seed + 1000)
    return model.sample(10_000, ldf.Generator(seed)), test, model.reconstruct(test, "z")


def picture(path, samples, test, reconstructions):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 4.2), sharex=True, sharey=True)
    panels = (test, "data"), (samples, "samples G(z)"), (reconstructions, "reconstructions G(E(x))")
    for axis, (points, title) in zip(axes, panels, strict=True):
        axis.plot(*points.T, ".", markersize=1, alpha=0.5)
        axis.plot(*MEANS.T, "k+", markersize=4)
        axis.set(title=title, aspect="equal")
    figure.tight_layout()
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--penalty", choices=KINDS, default="roth")
    parser.add_argument("--latent-weight", type=float, default=1.0,
                        help="of the reconstruction through z (default 1)")
    parser.add_argument("--out", default="out/gaussians25.png",
                        help="the picture (default out/gaussians25.png)")
    options = parser.parse_args()
    hits = []
    for seed in options.seeds:
        start = time.perf_counter()
        samples, test, back = run(seed, options.steps, penalty=options.penalty,
                                  latent_weight=options.latent_weight)
        hit, near = modes_hit(samples)
        hits.append(hit)
        print(
            f"seed {seed}: {hit} of 25 modes hit, {near:.0%} of the samples within three standard "
            "deviations of one, "
              f"reconstruction error {np.mean((test - back) ** 2):.4f}, "
              f"{time.perf_counter() - start:.0f} s")
    print(
        f"{len(hits)} seeds: {np.mean(hits):.1f} +- {np.std(hits):.1f} modes (ALI's authors: 13.4 "
        "+- 5.8)")
    picture(options.out, samples, test, back)
    print(f"samples of seed {seed}: {options.out}")


if __name__ == "__main__":
    main()
