"""Text (Section 1): windows of eight characters are the local factors, and the top joins them.

    python demos/paper/text.py                    4 minutes for each model, then 20 samples
    python demos/paper/text.py --quick            in two minutes, to see that it runs
    python demos/paper/text.py --data FOLDER      your own .txt files in place of Python's help
    python demos/paper/text.py --length 400       longer texts

The bottom is one ALI for all windows, over one-hot characters: its decoder gives probabilities, and
its discriminator sees those and the one-hots of real text, as in the language model of WGAN-GP
(Gulrajani et al. 2017). The top is the one of any length (``ldf.SequenceGAN``, p = 2): it sees the
codes of four windows, 32 characters, and makes texts of any length.

Everything is scored on as many characters, beside held-out text: the Jensen-Shannon divergence of
the frequencies of 1- to 4-grams of characters (bits, biased upwards: see that of other real text),
that of the 4-grams across the seams of windows alone, and the share of words that the held-out text
has. Beside LDF: its windows drawn independently, a joint GAN on 32 characters of as many
parameters and with as much time, Markov chains of order 1 to 4 on the training text, and real text.
"""

import os

import numpy as np

import ldf_np as ldf
from ldf_np.data.text import load_text, one_hot, to_strings
from ldf_np.experiments import cli, plots, report
from ldf_np.experiments.runs import by_level, cached_runs, count_parameters, finished
from ldf_np.experiments.statistics import limits, over_seeds
from ldf_np.experiments.text_scores import MarkovChain, known_words, ngram_divergence
from ldf_np.models import baselines, sequence_nets

WINDOW, SEEN = 8, 4         # characters of a window; windows that the top's discriminator sees
SPAN = WINDOW * SEEN
BOTTOM_SHARE = 0.4
PRINTED = 20
GRAMS = (1, 2, 3, 4)
SCORES = [*(f"JSD {n}-grams" for n in GRAMS), "JSD across seams", "known words"]
OWN, INDEPENDENT, JOINT, REAL = "LDF", "independent windows", "joint GAN", "training text"
ANY_LENGTH = "Applicable to variable-length objects, such as videos and text. (Section 1)"


def parse(arguments=None):
    parser = cli.parser(__doc__, out="out/text", minutes=4, seeds=(0,),
                        steps=f"steps of each model, in place of --minutes; {BOTTOM_SHARE:g} of "
                              "LDF's are its bottom's")
    parser.add_argument("--data", metavar="FOLDER", help="a folder of .txt files (default: the "
                        "prose of Python's own help pages)")
    parser.add_argument("--length", type=cli.integer_from(2 * SPAN), default=320,
                        help="characters of LDF's long texts (default 320)")
    parser.add_argument("--samples", type=cli.integer_from(PRINTED), default=1200,
                        help="texts of 32 characters that are scored (default 1200)")
    parser.add_argument("--quick", action="store_true", help="at most 300 steps")
    cli.add_checkpoints(parser)
    options = parser.parse_args(arguments)
    if options.quick:
        options.steps = min(300, options.steps or 300)
    if options.steps is not None:
        options.minutes = None
    if options.length % WINDOW:
        parser.error(f"--length: expected a multiple of {WINDOW}, the characters of a window, got "
                     f"{options.length}")
    return options


# ---------------------------------------------------------------------------------------- measures


def in_windows(text, count):
    """Pieces of 32 characters from all over a text, at most ``count``."""
    every = max(SPAN, len(text) // count)
    return [text[k:k + SPAN] for k in range(0, len(text) - SPAN + 1, every)][:count]


def scores(texts, held_out):
    """{one of SCORES: number} of texts of 32 characters beside held-out ones, as many."""
    seams = [k * WINDOW - j for k in range(1, SEEN) for j in range(1, 4)]
    found = [ngram_divergence(texts, held_out, n) for n in GRAMS]
    return dict(zip(SCORES, [*found, ngram_divergence(texts, held_out, 4, seams),
                             known_words(texts, held_out)]))


# -------------------------------------------------------------------------------------------- runs


def new_ldf(characters, seed):
    """LDF over windows of eight characters."""
    bottom = sequence_nets.text_ali(characters, WINDOW, seed=seed)
    return sequence_nets.sequence_ldf(
        bottom, (WINDOW // 2, 1, 16), ldf.Segments(WINDOW), seed=seed, windows=(SEEN,), p=2,
        layout="rows", gamma=15.0)


def train_ldf(options, text, seed, checkpoints):
    """LDF's texts, as probabilities' likeliest characters, and those of its bottom alone."""
    model = new_ldf(len(text.alphabet), seed)
    pieces = one_hot(text.train, text.alphabet, SPAN, 3)
    windows = one_hot(text.train, text.alphabet, WINDOW, 2)
    histories = finished(model.fit(pieces, factors=windows, **cli.budget(options), progress=True,
                                   bottom_share=BOTTOM_SHARE, checkpoints=checkpoints))
    model.save(os.path.join(options.out, f"ldf_seed{seed}.safetensors"))
    rng = ldf.Generator(seed + 100)

    def strings(x):
        return to_strings(x, text.alphabet)

    singles = strings(model.models[0].sample(SEEN * options.samples, rng))
    held = one_hot(text.test, text.alphabet, WINDOW, WINDOW)
    return {"texts": strings(model.sample(options.samples, rng, frames=SEEN)),
            "independent": ["".join(singles[k::options.samples]) for k in range(options.samples)],
            "long": strings(model.sample(options.samples, rng, frames=options.length // WINDOW)),
            "wrong": {code: float((model.models[0].reconstruct(held, code).argmax(-1)
                                   != held.argmax(-1)).mean()) for code in "hz"},
            "parameters": count_parameters(model),
            "steps": {level: h.steps for level, h in histories.items()}}


def train_joint(options, text, seed, checkpoints):
    """The texts of the joint GAN, which has as many parameters as LDF."""
    characters = len(text.alphabet)
    model = baselines.matched(
        lambda hidden: sequence_nets.joint_text_gan(characters, SPAN, hidden=hidden, seed=seed),
        count_parameters(new_ldf(characters, seed)))
    history = finished(model.fit(one_hot(text.train, text.alphabet, SPAN, 3),
                                 **cli.budget(options), progress=True, checkpoints=checkpoints))
    made = to_strings(model.sample(options.samples, ldf.Generator(seed + 100)), text.alphabet)
    return {"texts": made, "parameters": count_parameters(model),
            "steps": {level: h.steps for level, h in by_level(history).items()}}


# ----------------------------------------------------------------------------------------- results


def all_texts(runs, text, samples):
    """{name: a list of texts for each seed} of all that is scored."""
    seeds = range(len(runs[OWN]))
    chains = {f"Markov chain of order {m}": [MarkovChain(text.train, m).sample(samples, SPAN, k)
                                             for k in seeds] for m in GRAMS}
    return {OWN: [run["texts"] for run in runs[OWN]],
            INDEPENDENT: [run["independent"] for run in runs[OWN]],
            JOINT: [run["texts"] for run in runs[JOINT]], **chains,
            REAL: [in_windows(text.train, samples)]}


def along(runs, held_out, length):
    """{where: the 4-grams' divergence in 32 characters of the long texts, for each seed}."""
    places = {"beginning": 0, "middle": (length - SPAN) // 2, "end": length - SPAN}
    return {where: [ngram_divergence([t[k:k + SPAN] for t in run["long"]], held_out, 4)
                    for run in runs[OWN]] for where, k in places.items()}


def claims(found, places):
    def less(key, other):
        return over_seeds(np.subtract(*([s[key] for s in found[name]] for name in (OWN, other))))

    across, four = SCORES[4], SCORES[3]
    rise = over_seeds(np.subtract(places["end"], places["beginning"]))
    made = [report.claim("The top joins windows: across their seams its text is nearer to English "
                         "than that of independent windows", ANY_LENGTH,
                         f"{across}, LDF minus {INDEPENDENT}", less(across, INDEPENDENT), "below"),
            report.claim("In equal time LDF's text is nearer to English than the joint GAN's",
                         "using ldf trains faster than a joint training baseline (Section 5.3)",
                         f"{four}, LDF minus {JOINT}", less(four, JOINT), "below"),
            report.claim("The end of a long text is as good as its beginning", ANY_LENGTH,
                         f"{four}, end minus beginning", rise, "below", 0.02)]
    return made + [report.described(
        f"LDF beside a Markov chain of order {m}: above 0 it loses",
        f"{four}, LDF minus the chain", less(four, f"Markov chain of order {m}")) for m in GRAMS]


def plainly(found):
    """Where LDF loses to a Markov chain, in a sentence."""
    def mean(name, key):
        return float(np.mean([s[key] for s in found[name]]))

    lines = []
    for key in (SCORES[3], SCORES[5]):
        sign = -1 if key == SCORES[5] else 1
        worse = [m for m in GRAMS if sign * mean(OWN, key) > sign * mean(
            f"Markov chain of order {m}", key)]
        lines.append(f"{key}: LDF ({mean(OWN, key):.3g}) " + (
            "loses to the Markov chains of order " + ", ".join(
                f"{m} ({mean(f'Markov chain of order {m}', key):.3g})" for m in worse)
            if worse else "loses to no Markov chain of order 1 to 4"))
    return lines


def run(options):
    ldf.use(options.device)
    text = load_text(options.data)
    if len(text.test) < 10 * SPAN:
        raise ValueError(f"--data: expected at least {10 * SPAN} characters to hold out, got "
                         f"{len(text.test)}")
    held_out = in_windows(text.test, options.samples)
    options.samples = min(options.samples, len(held_out))
    print(f"{len(text.train):,} characters of {text.source} to train on, {len(text.test):,} of "
          f"other documents held out, {len(text.alphabet)} different ones")
    cached = cached_runs(options, cli.settings(options, "quick"), 2 * len(options.seeds), text)
    train = {OWN: train_ldf, JOINT: train_joint}
    runs = cached.by_seed(train, options.seeds,
                          lambda name, *more: train[name](options, text, *more))
    cached.close()

    texts = all_texts(runs, text, options.samples)
    found = {name: [scores(some, held_out) for some in seeds] for name, seeds in texts.items()}
    places = along(runs, held_out, options.length)
    print(f"\n{PRINTED} texts of {options.length} characters:")
    for line in runs[OWN][0]["long"][:PRINTED]:
        print(f"  {line}")
    print(f"\nand {PRINTED // 4} of the joint GAN, of {SPAN}:")
    for line in runs[JOINT][0]["texts"][:PRINTED // 4]:
        print(f"  {line}")
    print()
    said = plainly(found)
    for line in said:
        print(line)
    plots.save_intervals(os.path.join(options.out, "text.png"), {
        key: {name: [s[key] for s in some] for name, some in found.items()}
        for key in (SCORES[1], SCORES[3], SCORES[4])})
    models = {name: [some[0]["parameters"], report.steps_text([run["steps"] for run in some])]
              for name, some in runs.items()}
    tables = {
        "text": {"columns": SCORES, "rows": {
            name: [over_seeds([s[key] for s in some], within=limits(key)) for key in SCORES]
            for name, some in found.items()}},
        f"LDF, {options.length} characters": {"columns": list(places), "rows": {
            SCORES[3]: [over_seeds(values, within=limits(SCORES[3]))
                        for values in places.values()]}},
        "models": {"columns": ["parameters", "steps"], "rows": models}}
    report.conclude(
        options, title="Text of any length (Section 1)", claims=claims(found, places),
        tables=tables,
        figures=[("text.png", "Divergence from held-out text of n-grams of characters",
                  "Panels of intervals for LDF, independent windows, the joint GAN, Markov chains "
                  "and real text")],
        seconds=cached.seconds, wrong={str(k): run["wrong"] for k, run in enumerate(runs[OWN])},
        samples=runs[OWN][0]["long"][:PRINTED], plainly=said)


if __name__ == "__main__":
    cli.main(run, parse())
