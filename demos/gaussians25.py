"""ALI alone on its authors' toy, 25 Gaussians on a grid: how many modes do 10,000 samples hit?
(Theirs: 13.4 +- 5.8.)

    python demos/gaussians25.py                     three seeds, about 20 seconds each
    python demos/gaussians25.py --penalty none      without Roth's regularizer
    python demos/gaussians25.py --latent-weight 0   without the reconstruction, as its authors' ALI

A mode is hit when at least 20 of the samples lie within three standard deviations of it; its fair
share is 400. Writes a picture of the last seed's samples.
"""

import argparse
import time

import numpy as np

import ldf_np as ldf
from ldf_np.data.gaussians import MEANS, make_gaussians, modes_hit
from ldf_np.experiments.plots import save_figure
from ldf_np.models import nets
from ldf_np.nn.penalty import KINDS


def draw(path, panels):
    """A picture with a panel for each {title: points (n, 2)}."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.2))
    for axes, (title, points) in zip(figure.subplots(1, 3, sharex=True, sharey=True),
                                     panels.items(), strict=True):
        axes.plot(*points.T, ".", markersize=1, alpha=0.5)
        axes.plot(*MEANS.T, "k+", markersize=4)
        axes.set(title=title, aspect="equal")
    figure.tight_layout()
    save_figure(path, figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--penalty", choices=KINDS, default="roth")
    parser.add_argument("--latent-weight", type=float, default=1.0,
                        help="of the reconstruction through z (default 1)")
    parser.add_argument("--out", default="out/gaussians25.png",
                        help="the picture (default out/gaussians25.png)")
    options = parser.parse_args(arguments)

    hits = []
    for seed in options.seeds:
        start = time.perf_counter()
        model = nets.mlp_ali(seed=seed, penalty=options.penalty,
                             latent_weight=options.latent_weight)
        model.fit(make_gaussians(100_000, seed), steps=options.steps, batch_size=128, progress=True)
        samples = model.sample(10_000, ldf.Generator(seed))
        test = make_gaussians(10_000, seed + 1000)
        reconstructions = model.reconstruct(test, "z")
        hit, near = modes_hit(samples)
        hits.append(hit)
        print(f"seed {seed}: {hit} of 25 modes hit, {near:.0%} of the samples within three "
              "standard deviations of one, reconstruction error "
              f"{np.mean((test - reconstructions) ** 2):.4f}, {time.perf_counter() - start:.0f} s")
    print(f"{len(hits)} seeds: {np.mean(hits):.1f} +- {np.std(hits):.1f} modes (ALI's authors: "
          "13.4 +- 5.8)")
    draw(options.out, {"data": test, "samples G(z)": samples,
                       "reconstructions G(E(x))": reconstructions})
    print(f"samples of seed {seed}: {options.out}")


if __name__ == "__main__":
    main()
