"""ALI alone on its authors' toy, 25 Gaussians on a grid: how many modes do 10,000 samples hit?
(Theirs: 13.4 +- 5.8.)

    python demos/gaussians25.py                     three seeds, some seconds each
    python demos/gaussians25.py --penalty none      without Roth's regularizer
    python demos/gaussians25.py --latent-weight 0   without the reconstruction, as its authors' ALI

A mode is hit when at least 20 of the samples lie within three standard deviations of it; its fair
share is 400. Ctrl-C ends it; the same command goes on.
"""

import os
from functools import partial

import numpy as np

import ldf_np as ldf
from ldf_np.data.gaussians import MEANS, make_gaussians, modes_hit
from ldf_np.experiments import cli, plots
from ldf_np.experiments.report import conclude
from ldf_np.experiments.runs import cached_runs, finished
from ldf_np.experiments.statistics import POSITIVE, SHARE, over_seeds
from ldf_np.models import nets
from ldf_np.nn.penalty import KINDS

COUNT = len(MEANS)      # of modes


def draw(path, panels):
    """A picture with a panel for each {title: points (n, 2)}."""
    figure, shown = plots.subplots(1, len(panels), (9, 3.6), sharex=True, sharey=True)
    for axes, (title, points) in zip(shown, panels.items()):
        axes.plot(*points.T, ".", markersize=1, alpha=0.5, color=plots.COLOURS[0])
        axes.plot(*MEANS.T, "+", markersize=5, color=plots.COLOURS[1])
        axes.set(title=title, aspect="equal")
    plots.save_figure(path, figure)


def train(options, seed, checkpoints):
    """Train with one seed: the modes that samples hit, and the points of the picture."""
    model = nets.mlp_ali(seed=seed, penalty=options.penalty, latent_weight=options.latent_weight)
    finished(model.fit(make_gaussians(100_000, seed), steps=options.steps, batch_size=128,
                       progress=True, checkpoints=checkpoints))
    samples, test = model.sample(10_000, ldf.Generator(seed)), make_gaussians(10_000, seed + 1000)
    again = model.reconstruct(test, "z")
    hit, near = modes_hit(samples)
    return {"scores": [hit, near, float(np.mean((test - again) ** 2))],
            "data": test, "samples": samples, "again": again}


def run(options):
    ldf.use(options.device)
    cached = cached_runs(options, cli.settings(options), len(options.seeds))
    found = cached.each({f"seed {seed}": partial(train, options, seed) for seed in options.seeds})
    runs = dict(zip(options.seeds, found.values()))
    cached.close()
    first = runs[options.seeds[0]]
    draw(os.path.join(options.out, "modes.png"), {
        "data": first["data"], "samples G(z)": first["samples"],
        "reconstructions G(E(x))": first["again"]})
    rows = {f"seed {seed}": found["scores"] for seed, found in runs.items()}
    limits = (0, COUNT), SHARE, POSITIVE
    rows["mean"] = [over_seeds(values, within=within)
                    for values, within in zip(zip(*rows.values()), limits)]
    rows["ALI's authors"] = ["13.4 +- 5.8", None, None]
    conclude(options, title="ALI on 25 Gaussians", claims=[], seconds=cached.seconds,
             device=ldf.device(), tables={"25 Gaussians": {"rows": rows, "columns": [
                 f"modes hit, of {COUNT}", "samples near a mode", "squared error through z"]}},
             figures=[("modes.png", "Points of the first seed, and the 25 means (crosses): samples "
                       "should lie on all of them and nowhere else, reconstructions where the data "
                       "do.", "Three clouds of points: data, samples and reconstructions")])


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/gaussians25")
    parser.add_argument("--steps", type=cli.integer_from(1), default=1200,
                        help="of training (default 1200)")
    parser.add_argument("--penalty", choices=KINDS, default="roth")
    parser.add_argument("--latent-weight", type=cli.non_negative_float, default=1.0,
                        help="of the reconstruction through z (default 1)")
    cli.add_checkpoints(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    cli.main(run, parse())
