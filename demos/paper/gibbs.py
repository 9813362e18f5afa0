"""Does a chain between data and codes forget where it began? Section 4's answer to Zhao et al.
(2017), measured on Ms. Pac-Man.

    python demos/paper/gibbs.py             seven models, three seeds each, 2 minutes a training
    python demos/paper/gibbs.py --minutes 8 --steps 200
    python demos/paper/gibbs.py --pretrained --models local-top local-top-stochastic

Zhao et al. hold upper levels to be idle, for blocked Gibbs sampling between x and the lowest z
already samples the data. The paper replies that a deterministic E and G make that chain
non-ergodic. Here chains x -> E -> z -> G -> x run from held-out clips, at both pairs of levels: x
are frames; or x are the whitened codes of whole clips, decoded to look at them, and z the topmost
latent variable, of a dense top over their principal components ("clips") and of the local top over
the map of all of them ("maps"). They differ in their kind:

    h            through the shortcut: E.body and G.body
    z            through z, all deterministic
    noisy G      noise of --noise added to what G makes
    mean of E    of a stochastic model, without its draws
    drawn E      z drawn from E's normal distribution, whose deviation is a second output of E
    pure ALI     trained without any reconstruction error
    independent  a sample of the model each time, whatever x was: the control, for this chain has
                 mixed after one step

States are cut to the range of the data (of colours; of each component of the codes). Every chain is
run twice from each start, with other noise. Measured are, in features of fixed random convolutions,

    retention    part of the chains whose nearest starting point is their own (1/n where it is
                 forgotten)
    explained    1 - D^2(same start) / D^2(another start) of the states: the part of their variance
                 that the start explains. It is 1 - 1/R^2 for the R-hat of Gelman and Rubin, so that
                 their limit of 1.1 lies at 0.174. A deterministic chain has 1 by definition, as
                 long as not all chains fall onto one point
    halves       leave-one-out accuracy of telling, from its nearest other state, in which half of
                 the starts (cut along their first principal component) a chain began: 0.5 where it
                 is forgotten
    moved        D^2 of a state to its own start, over D^2 of two different starts
    spread       D^2 of two states over the same
    KID          x 1000 of the states to other held-out clips: a chain that leaves the data does not
                 sample it either
"""

import os
from functools import partial, reduce

import numpy as np

import ldf_np as ldf
from ldf_np.data import load_pacman, to_float, to_uint8
from ldf_np.experiments import cli, clip_scores, metrics, plots, report
from ldf_np.experiments.clip_experiment import whole_clips
from ldf_np.experiments.runs import cached_runs, count_parameters, finished
from ldf_np.experiments.statistics import limits, over_seeds
from ldf_np.models import nets
from ldf_np.nn.losses import colour_metric
from ldf_np.nn.module import evaluation
from ldf_np.runtime.device import to_numpy
from ldf_np.training.batches import apply_batched

BOTTOMS = {"bottom": {}, "bottom-stochastic": {"stochastic": True},
           "bottom-pure": {"stochastic": True, "shortcut_weight": 0.0, "latent_weight": 0.0}}
TOPS = {"top": {}, "top-stochastic": {"stochastic": True},
        "local-top": {}, "local-top-stochastic": {"stochastic": True, "hidden": 224}}   # as large
MODELS, BELOW = (*BOTTOMS, *TOPS), "bottom"
LEVELS = "frames", "clips", "maps"      # the kinds of chains begin with these
LIMIT = 1 - 1 / 1.1 ** 2            # "explained" where R-hat is 1.1
MARGIN = 0.05       # of retention: less counts as no difference
SCORES = ("retention", "explained", "halves", "moved", "spread", "KID")
SHOWN = 2                           # chains of each kind in the pictures
CRITIQUE = ('"the Markov chain that is sampled on the lower levels is ergodic, which is generally '
            'the case when the noise injected in the lower levels of the hierarchy is Gaussian" '
            '(Section 4, of Zhao et al. 2017)')
REPLY = '"non-ergodic by making q(zi|xi) and p(xi|zi) deterministic" (Section 4)'
IDENTITY = ('"the chain would not mix (i.e. running a sampling chain between 256x256 and 512x512 '
            'resolution images of a face will never significantly change the identity of the '
            'face)" (Section 4)')

# ------------------------------------------------------------------------------------------ chains


def infer(model, x, rng=None):
    """z of x, NumPy (n, ...) -> (n, latent): drawn where the encoder is stochastic and ``rng`` is
    given, else its mean."""
    with evaluation(model.encoder):
        z = apply_batched(model.encoder, x)
    if not model.encoder.stochastic:
        return z
    mean, log_variance = np.split(z, 2, axis=1)
    if rng is None:
        return mean
    return mean + np.exp(log_variance / 2) * to_numpy(rng.standard_normal(mean.shape))


def mover(model, rng=None, noise=0.0, noise_rng=None, low=-np.inf, high=np.inf):
    """One step of the chain through z, a function of x (n, ...): z is drawn with ``rng``; noise of
    deviation ``noise`` is added to what G makes, and that is cut to [low, high], the range of the
    data."""
    def move(x):
        x = model.decode(infer(model, x, rng), "z")
        if noise:
            x = x + np.float32(noise) * to_numpy(noise_rng.standard_normal(x.shape))
        return np.clip(x, low, high)

    return move


def recorded(steps):
    """The steps at which chains are scored: 0, 1, 2, 5, 10, 20, 50, ..., and the last."""
    return [k for k in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500) if k < steps] + [steps]


class Scorer:
    """What states of chains are beside their starting points. ``starts`` (n, ...) and other
    ``real`` ones, as images."""

    def __init__(self, starts, real):
        self.starts, self.real = (metrics.features(a).astype(np.float64) for a in (starts, real))
        self.apart = between(self.starts)
        centred = self.starts - self.starts.mean(0)
        along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
        self.half = along > np.median(along)

    def __call__(self, states):
        """{score: number} of images (copies * n, ...), copy by copy in the order of the starts; two
        copies or one."""
        copies = metrics.features(states).astype(np.float64).reshape(-1, *self.starts.shape)
        first, second = copies[0], copies[-1]
        to_starts = squared(first, self.starts)
        across = squared(first, second)
        same, other = np.diag(across).mean(), off_diagonal(across)
        return {"retention": float((to_starts.argmin(1) == np.arange(len(first))).mean()),
                "explained": float(1 - same / other) if other > 1e-6 * self.apart else 0.0,
                "halves": float(np.mean(metrics.nearest_neighbour_two_sample(
                    first[self.half], first[~self.half]))),
                "moved": float(np.diag(to_starts).mean() / self.apart),
                "spread": float(between(first) / self.apart),
                "KID": 1000 * metrics.kid(first, self.real)}


def squared(x, y):
    """|x_i - y_j|^2, summed difference by difference so that equal rows are at exactly 0: (n,
    m)."""
    return np.stack([np.square(row - y).sum(1) for row in x])


def off_diagonal(square):
    """The mean of all but the diagonal."""
    n = len(square)
    return float((square.sum() - np.trace(square)) / (n * (n - 1)))


def between(x):
    """The mean squared distance of two different rows."""
    return off_diagonal(squared(x, x))


def run_chain(move, start, steps, score, show=lambda x: x, copies=2):
    """Scores along ``copies`` chains from each of ``start`` (n, ...): {score: [numbers at
    ``recorded(steps)``]}, and a film, uint8 (SHOWN, steps + 1, h, w, c), of the first. ``show``:
    from states to images (n, ..., h, w, c); of clips the middle frame is filmed."""
    state, scores, film = np.concatenate([start] * copies), {name: [] for name in SCORES}, []
    for k in range(steps + 1):
        if k:
            state = move(state)
        seen = show(state[:SHOWN])
        film.append(to_uint8(seen if seen.ndim == 4 else seen[:, seen.shape[1] // 2]))
        if k in recorded(steps):
            images = show(state)
            images = images if images.ndim == 4 else clip_scores.as_channels(images)
            for name, value in score(images).items():
                scores[name].append(value)
    return scores, np.stack(film, axis=1)


# -------------------------------------------------------------------------------------------- runs


def held_out(data, options, seed):
    """Held-out clips, drawn by the seed: the starting points, and others."""
    order = ldf.Generator(seed + 50).permutation(len(data.test))
    return data.test[order[:options.starts]], data.test[order[options.starts:][:1000]]


def measure(model, kinds, start, options, score, show=lambda x: x):
    """A run's numbers and arrays for {kind: (a function that takes one step, whether it draws)}."""
    made = {"chains": {}, "parameters": count_parameters(model)}
    for kind, (move, draws) in kinds.items():
        made["chains"][kind], made[f"film {kind}"] = run_chain(
            move, start, options.steps, score, show, 2 if draws else 1)
    if model.encoder.stochastic:
        with evaluation(model.encoder):
            spread = np.exp(np.split(apply_batched(model.encoder, start), 2, axis=1)[1] / 2)
        made["deviation"] = float(np.sqrt(np.square(spread).mean()))
    return made


def stochastic_kinds(model, name, noise, seed, **limits):
    """The chains of a stochastic model."""
    draws, more, pixels = ldf.Generator(seed + 60).spawn(3)
    return {f"{name}: mean of E": (mover(model, **limits), False),
            f"{name}: drawn E": (mover(model, draws, **limits), True),
            f"{name}: drawn E, noisy G": (mover(model, more, noise, pixels, **limits), True)}


def deterministic_kinds(model, name, noise, seed, **limits):
    """The chains through z of a deterministic model, and samples of G that forget at once."""
    pixels, prior = ldf.Generator(seed + 60).spawn(2)
    return {f"{name}: z": (mover(model, **limits), False),
            f"{name}: z, noisy G": (mover(model, None, noise, pixels, **limits), True),
            f"{name}: independent": (lambda x: model.sample(len(x), prior), True)}


def frames_ali(data, seed, **settings):
    """The bottom level: ALI on single frames, with a mapping network, so that G makes frames of
    the z along a chain."""
    return nets.place_ali(seed=seed, colour_metric=colour_metric(data.train[:200]), **settings)


def bottom(data, options, name, seed, checkpoints):
    """Train one bottom level and run its chains between frames and codes."""
    model = frames_ali(data, seed, **BOTTOMS[name])
    frames = data.train.reshape(-1, *data.train.shape[2:])
    history = finished(model.fit(frames, minutes=options.minutes, progress=True,
                                 checkpoints=checkpoints))
    clips, others = held_out(data, options, seed)
    start = to_float(clip_scores.one_frame(clips, seed))
    noise, limits = options.noise * float(start.std()), {"low": -1.0, "high": 1.0}
    if name == "bottom":
        kinds = {"frames: h": (lambda x: model.reconstruct(x, "h"), False)} | deterministic_kinds(
            model, "frames", noise, seed, **limits)
    else:
        kinds = stochastic_kinds(model, "frames" if name == "bottom-stochastic"
                                 else "frames, pure ALI", noise, seed, **limits)
    made = measure(model, kinds, start, options, Scorer(start, clip_scores.one_frame(others, seed)))
    return made | (weights(model) if name == "bottom" else {}) | {"steps": history.steps}


def weights(model):
    """Of a bottom, as a run keeps them."""
    return {f"weights {k}": a for k, a in model.state_dict().items()}


def top(data, options, bottoms, name, seed, checkpoints):
    """Train one top level, an ALI over the whitened codes of clips, and run its chains.
    ``bottoms``: {seed: the run of the bottom}."""
    model = frames_ali(data, seed)
    model.load_state_dict({k.removeprefix("weights "): a for k, a in bottoms[seed].items()
                           if k.startswith("weights ")})
    level = ldf.Level(model, ldf.Frames(data.train.shape[1]))
    codes = level.encode(data.train[:whole_clips(options.minutes)])
    local = name.startswith("local")
    whitening = (ldf.ChannelWhitening(level.split, codes.shape[1:]) if local else
                 ldf.Whitening(codes.shape[1:], min(160, len(codes) // 4))).fit(codes)
    white = whitening.apply(codes)
    limits = {"low": white.min(0), "high": white.max(0)}    # without them chains run away
    make = nets.local_ali_top if local else partial(nets.mlp_ali_top, final_gamma=0.01)
    ali = make(whitening.shape, seed=seed + 10, **TOPS[name])
    history = finished(ali.fit(white, minutes=options.minutes, progress=True,
                               checkpoints=checkpoints))
    clips, others = held_out(data, options, seed)
    start = whitening.apply(level.encode(clips))
    # whitened codes have a mean square of one
    kinds = (stochastic_kinds if TOPS[name] else deterministic_kinds)(
        ali, "maps" if local else "clips", options.noise, seed, **limits)
    score = Scorer(clip_scores.as_channels(clips), clip_scores.as_channels(others))
    made = measure(ali, kinds, start, options, score,
                   lambda white: level.decode(whitening.invert(white)))
    return made | {"steps": history.steps}


# ----------------------------------------------------------------------------------------- results


def last(chains, kind, score, at=-1):
    """One score of one kind of chain at its last step (or another of the recorded): a number for
    each seed."""
    return [seed[kind][score][at] for seed in chains]


def over(chains, kind, score, at=-1):
    """``last`` with its interval."""
    return over_seeds(last(chains, kind, score, at), within=limits(score))


def claims(chains, starts):
    """Of [{kind: scores}, ...] over seeds: claims about chains between frames and z (what the paper
    says, and what its authors reply), the other chains described. Each tells the KID of its
    chains' states, for what mixes or stays outside the data says nothing about sampling it."""
    chance, made = 1 / starts, []

    def add(text, paper, quantity, score, expected, than, *kinds, margin=None):
        """The claim about a score of one kind of chain, or of one minus another; none where their
        models were not trained."""
        if not set(kinds) <= set(chains[0]):
            return
        values = reduce(np.subtract, [last(chains, kind, score) for kind in kinds])
        within = limits(quantity) if len(kinds) == 1 else (-1, 1)       # all are shares
        left = " and ".join(f"{np.mean(last(chains, kind, 'KID')):.3g}" for kind in kinds)
        quantity += (f" at the last step, where the KID of the states is {left}; "
                     f"expected {expected} {than:.3g}")
        found = over_seeds(values, within=within)
        made.append(report.described(text, quantity, found) if margin is None else
                    report.claim(text, paper, quantity, found, expected, than, margin))

    add("A deterministic chain between frames and h keeps the identity of its start", IDENTITY,
        "retention", "retention", "above", chance, "frames: h")
    for level in LEVELS:
        z, mean, noisy = (f"{level}: {kind}" for kind in ("z", "mean of E", "drawn E, noisy G"))
        margin = MARGIN if level == "frames" else None
        add(f"A deterministic chain between {level} and z keeps the identity of its start",
            IDENTITY, "retention", "retention", "above", chance, z, margin=margin)
        add(f"A deterministic chain between {level} and z does not mix: where it began can be "
            "told", IDENTITY, "accuracy of telling the halves", "halves", "above", 0.5, z)
        add(f"It is determinism that keeps the identity ({level})", REPLY,
            "retention, deterministic minus drawn E and noisy G", "retention", "above", 0.0, z,
            noisy, margin=margin)
        add(f"It is determinism that keeps the identity ({level}, both chains with the "
            "stochastic model's weights)", REPLY,
            "retention, mean of E minus drawn E and noisy G", "retention", "above", 0.0, mean,
            noisy)
        add(f"With Gaussian noise in E and G the chain between {level} and z mixes", CRITIQUE,
            f"explained by the start ({LIMIT:.3g} is an R-hat of 1.1), drawn E and noisy G,",
            "explained", "below", LIMIT, noisy)
    return made


def tables(chains, runs, steps):
    """What the report shows: the scores at the last step, and the models."""
    columns = ["retention, step 1", *(f"{name}, step {steps}" for name in SCORES), "KID, step 1"]
    rows = {kind: [over(chains, kind, "retention", 1),
                   *(over(chains, kind, name) for name in SCORES),
                   over(chains, kind, "KID", 1)] for kind in chains[0]}
    models = {name: [found[0]["parameters"], over_seeds([run["steps"] for run in found]),
                     over_seeds([run["deviation"] for run in found])
                     if "deviation" in found[0] else None]
              for name, found in runs.items()}
    return {"chains": {"columns": columns, "rows": rows},
            "models": {"columns": ["parameters", "training steps", "deviation of E's draws"],
                       "rows": models}}


def pictures(out, chains, films, steps, starts):
    """Write the pictures; returns what the report needs to know of them."""
    at = recorded(steps)
    curves(os.path.join(out, "curves.png"), chains, at, 1 / starts)
    plots.save_rows(os.path.join(out, "chains.png"),
                    {kind: film[:, at] for kind, film in films.items()}, at)
    plots.save_animation(os.path.join(out, "chains.gif"), np.concatenate(list(films.values())),
                         columns=SHOWN)
    return [("chains.png",
             "Frames along chains, with the number of steps below; a row for each kind of chain. "
             "Where a chain does not mix, the last frame still looks like the first.",
             "Ms. Pac-Man frames from step 0 to the last step of several Markov chains"),
            ("curves.png",
             f"Retention (chance is 1/{starts}), what the start explains, and KID, by steps: a "
             "chain that forgets its start falls to the dotted lines.",
             "Curves over the steps of the chains for each level, with intervals over seeds"),
            ("chains.gif", f"Chains that run: rows as in chains.png, {SHOWN} starts each",
             "A grid of changing Ms. Pac-Man frames")]


def curves(path, chains, at, chance):
    """Retention, explained part and KID against steps, a row of panels for each level; bands are
    intervals over seeds."""
    wanted = (("retention", chance, "chance"), ("explained", LIMIT, "R-hat 1.1"), ("KID", None, ""))
    levels = [level for level in LEVELS if any(kind.startswith(level) for kind in chains[0])]
    figure, panels = plots.subplots(len(wanted), len(levels), (14 * len(levels) / 3, 11))
    for k, axes in enumerate(panels):
        level, (score, line, name) = levels[k % len(levels)], wanted[k // len(levels)]
        for j, kind in enumerate(kind for kind in chains[0] if kind.startswith(level)):
            found = np.array([over(chains, kind, score, step) for step in range(1, len(at))],
                             np.float64)
            axes.plot(at[1:], found[:, 0], **plots.style(j), markersize=4, label=kind)
            axes.fill_between(at[1:], found[:, 1], found[:, 2], color=plots.style(j)["color"],
                              alpha=0.12, linewidth=0)
        axes.set(title=f"{level}: {score}", xscale="log", xlabel="steps of the chain")
        if line is not None:
            axes.axhline(line, color="black", linestyle=":", label=name)
            axes.set_ylim(-0.04, 1.04)
        else:
            axes.set_yscale("symlog", linthresh=1)
            axes.set_ylim(bottom=-1)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
        axes.grid(alpha=0.3)
    plots.save_figure(path, figure)


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/gibbs", minutes=2.0)
    parser.add_argument("--steps", type=cli.integer_from(2), default=50,
                        help="steps of each chain (default 50)")
    parser.add_argument("--starts", type=cli.integer_from(8), default=100,
                        help="starting points (default 100)")
    parser.add_argument("--noise", type=cli.positive_float, default=0.3,
                        help="deviation of G's noise over that of the data, pixels or whitened "
                             "codes (default 0.3)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS),
                        metavar="NAME", help=f"of {', '.join(MODELS)} (default all); the tops "
                                             "stand on the bottom")
    cli.add_checkpoints(parser)
    parser.add_argument("--pretrained", action="store_true",
                        help="the tops stand on the bottom of the package's model")
    options = parser.parse_args(arguments)
    if BELOW not in options.models and not options.pretrained:
        parser.error(f"--models: expected {BELOW}, on which the others stand or beside which they "
                     f"are seen, got {', '.join(options.models)}")
    return options


def run(options):
    ldf.use(options.device)
    # the package's bottom has seen clips of seed 0, those held out of 20,000 among them
    data = load_pacman(20000, seed=1 if options.pretrained else 0, progress=True)
    if options.starts + 8 > len(data.test):
        raise ValueError(f"--starts: expected at most {len(data.test) - 8} (of {len(data.test)} "
                         f"held-out clips), got {options.starts}")
    cached = cached_runs(options, cli.settings(options, "models"),
                         len(options.seeds) * len(options.models))
    bottoms, tops = ([name for name in some if name in options.models] for some in (BOTTOMS, TOPS))
    runs = cached.by_seed(bottoms, options.seeds, partial(bottom, data, options))
    below = dict(zip(options.seeds, runs.get(BELOW, ())))
    if options.pretrained:
        packaged = ldf.load_pretrained("pacman-ldf").levels[0].model
        below = dict.fromkeys(options.seeds, weights(packaged))
    runs |= cached.by_seed(tops, options.seeds, partial(top, data, options, below))
    cached.close()

    chains = [{kind: scores for found in runs.values()
               for kind, scores in found[k]["chains"].items()} for k in range(len(options.seeds))]
    films = {kind: found[0][f"film {kind}"] for found in runs.values()
             for kind in found[0]["chains"]}
    report.conclude(options, title="Chains between data and codes: do they mix? (Section 4)",
                    claims=claims(chains, options.starts),
                    tables=tables(chains, runs, options.steps),
                    figures=pictures(options.out, chains, films, options.steps, options.starts),
                    seconds=cached.seconds, chance=1 / options.starts,
                    recorded=recorded(options.steps), chains=chains)


if __name__ == "__main__":
    cli.main(run, parse())
