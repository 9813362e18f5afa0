"""Every claim of the paper on one page: run all experiments at a budget and write the report
(``make figures``).

    python demos/paper/report.py                        all in about half an hour on two cores
    python demos/paper/report.py --budget hours         models of up to three minutes, five hours
    python demos/paper/report.py --budget full          at budgets that decide: days, told first
    python demos/paper/report.py --budget full --jobs 2 a model on each of two cores: half as long
    python demos/paper/report.py --only memory gibbs    these; the page holds whatever is there
    python demos/paper/report.py --budget hours --publish       write docs/results.md of its results

Each experiment is a program of its own (``demos/paper/``) and keeps its finished runs and the
checkpoints of the one in progress, so that a report that was ended goes on where it was. Where it
is started several times with one folder, its processes share the runs out: so does --jobs, each on
its part of the cores. The page, out/report/index.html, is one file that needs no network.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from PIL import Image

from ldf_np.experiments.cli import integer_from, main, positive_float
from ldf_np.experiments.page import counted, embedded, write_report
from ldf_np.experiments.report import DESCRIBED, cell, save_json
from ldf_np.runtime.progress import progress_bar

HERE = Path(__file__).resolve().parent
# {program: its options}; {minutes}: of training for each model
SHORT = {
    "gaussian_blocks": "--quick",
    "moving_shapes": "--minutes {minutes} --seeds 3 4 5",
    "images": "--minutes {minutes} --seeds 0 1 2 --images 3000 --classifier-minutes 0.3",
    "equal_time": "--minutes {minutes} --seeds 0 1 2 --train-clips 2000",
    "limited_data": "--minutes {minutes} --seeds 0 1 2 --joint-clips 256",
    "memory": "--frames 5 20 80 320 --steps 1 --seeds 0 1 2",
    "gibbs": "--minutes {minutes} --seeds 0 1 2 --starts 60 --steps 30",
    "ablation": "--minutes {minutes} --seeds 0 1 2",
    "inference": "--minutes {minutes} --seeds 0 1 2",
    "three_levels": "--minutes {minutes} --seeds 0 1 2 --clips 640",
    "long_video": "--minutes {minutes} --seeds 0 1 2 --frames 40 --films 60 --clips 1000",
    "text": "--minutes {minutes} --seeds 0 1 2",
}
FULL = {
    "gaussian_blocks": "",
    "moving_shapes": "--minutes {minutes} --seeds 3 4 5",
    "images": "--minutes {minutes} --seeds 0 1 2",
    "equal_time": "--minutes {minutes} --seeds 0 1 2",
    "limited_data": "--minutes {minutes} --seeds 0 1 2",
    "memory": "--seeds 0 1 2",
    "gibbs": "--minutes {minutes} --seeds 0 1 2",
    "ablation": "--minutes {minutes} --seeds 0 1 2",
    "inference": "--minutes {minutes} --seeds 0 1 2",
    "three_levels": "--minutes {minutes} --seeds 0 1 2 --clips 10000",
    "long_video": "--minutes {minutes} --seeds 0 1 2",
    "text": "--minutes {minutes} --seeds 0 1 2",
}
BEYOND = "inference", "three_levels", "long_video", "text"      # what the paper never showed
HOURS = FULL | {"limited_data": SHORT["limited_data"], "text": SHORT["text"]}
# {budget: (options, minutes of each model)}; "short" demonstrates, "full" is to decide
BUDGETS = {
    "short": (SHORT, {"moving_shapes": 0.25, "images": 0.15, "equal_time": 0.45,
                      "limited_data": 0.12, "gibbs": 0.12, "ablation": 0.1,
                      "inference": 0.3, "three_levels": 0.15, "long_video": 0.2, "text": 0.2}),
    "hours": (HOURS, {"moving_shapes": 2.5, "images": 0.8, "equal_time": 3, "limited_data": 0.6,
                      "gibbs": 0.5, "ablation": 0.4, "inference": 2, "three_levels": 2,
                      "long_video": 1.5, "text": 2}),
    "full": (FULL, {"moving_shapes": 25, "images": 15, "equal_time": 25, "limited_data": 25,
                    "gibbs": 15, "ablation": 15, "inference": 15, "three_levels": 25,
                    "long_video": 15, "text": 15}),
}
SEEDS = 3
# trainings with each seed, so that a budget can be told beforehand
TRAININGS = {"moving_shapes": 2, "images": 5, "equal_time": 2, "gibbs": 7, "ablation": 11,
             "inference": 1, "three_levels": 3, "long_video": 3, "text": 2,
             "limited_data": {"short": 8, "hours": 8, "full": 23.8}}    # bottoms are shared


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", choices=BUDGETS, default="short",
                        help='"short": half an hour, to demonstrate (default); "hours": models of '
                             'up to three minutes; "full": days, to decide; both say beforehand '
                             'how long')
    parser.add_argument("--times", type=positive_float, default=1.0, metavar="X",
                        help="so many times the minutes of the budget (default 1)")
    parser.add_argument("--only", nargs="+", choices=SHORT, default=list(SHORT), metavar="NAME",
                        help=f"of {', '.join(SHORT)}")
    parser.add_argument("--jobs", type=integer_from(1), default=1, metavar="N",
                        help="train so many models at a time, each on its part of the cores "
                             "(default 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", help="folder for what it writes (default out/report, or with "
                                      "another budget out/report-BUDGET)")
    parser.add_argument("--publish", action="store_true",
                        help="run nothing: write docs/results.md, its numbers and pictures, of "
                             "what is in OUT, and leave the other experiments there as they are")
    options = parser.parse_args(arguments)
    if options.out is None:
        options.out = "out/report" + ("" if options.budget == "short" else f"-{options.budget}")
    return options


def estimate(options):
    """{experiment: minutes of training of one model after another}, of those asked for that
    train."""
    minutes = BUDGETS[options.budget][1]
    return {name: SEEDS * minutes[name] * options.times * (
        count if isinstance(count := TRAININGS[name], int) else count[options.budget])
        for name in options.only if name in minutes}


def duration(minutes):
    """A text: "40 minutes", "7.5 hours"."""
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"


def program(name):
    """The path of an experiment's program: here, or with the demos."""
    return next(path for folder in (HERE, HERE.parent)
                if (path := folder / f"{name}.py").exists())


def arguments(name, options):
    """The options of an experiment's program."""
    programs, minutes = BUDGETS[options.budget]
    given = programs[name].format(minutes=f"{minutes.get(name, 0) * options.times:.3g}").split()
    return given + ([] if name == "gaussian_blocks" else ["--device", options.device])


@contextmanager
def on_cores(k, jobs):
    """A context in which programs are started with the k-th part of the cores, where the system
    can tell them so and there are as many."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < jobs:
        yield
        return
    os.sched_setaffinity(0, cores[k::jobs])
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def run_experiment(name, options):
    """Run one; what went wrong, or None. All that its processes say is in log.txt, log-2.txt and so
    on, but the first one's progress is on the terminal where there is one."""
    folder, terminal = Path(options.out, name), sys.stderr.isatty()
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(program(name)), *arguments(name, options), "--out", str(folder)]
    jobs = options.jobs if name in TRAININGS else 1     # what is measured is measured alone
    with ExitStack() as stack:
        running = []
        try:
            for k in range(jobs):
                log = stack.enter_context(open(folder / f"log{f'-{k + 1}' if k else ''}.txt", "w+",
                                               encoding="utf-8"))
                # lines of both in their order; a session, so that Ctrl-C comes from here alone
                with on_cores(k, jobs):
                    process = subprocess.Popen(
                        command, stdout=log, stderr=None if terminal and k == 0 else log,
                        start_new_session=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
                stack.callback(process.wait)
                running.append((process, log))
            for process, log in running:
                if process.wait():
                    log.seek(0)
                    last = log.read().strip().splitlines()[-1:]
                    return last[0] if last and not terminal else f"see {log.name}"
        except KeyboardInterrupt:       # each writes a checkpoint of what it trains
            for process, _ in running:
                process.terminate()
            raise
    return None


def run_experiments(options):
    """Run those asked for, one after another; {name: what went wrong} of those that ended with an
    error."""
    wrong, bar = {}, progress_bar(len(options.only), "finished", "experiment")
    for name in options.only:
        bar.set_postfix_str(name)
        if problem := run_experiment(name, options):
            wrong[name] = problem
            bar.write(f"{name} ended with an error: {problem}")
        bar.update()
    bar.close()
    return wrong


def collect(folder, wrong):
    """The results.json of each experiment that is there, by name, with its figures as data
    addresses. ``wrong`` {name: sentence} gets those that cannot be read."""
    found = {}
    for name in SHORT:
        path = Path(folder, name, "results.json")
        if not path.exists():
            continue
        try:
            results = json.loads(path.read_text(encoding="utf-8"))
            for figure in results["figures"]:
                figure |= embedded(path.parent / figure["file"]) | {
                    "link": f"{name}/{figure['file']}"}
            markdown(summary({name: results}))
            found[name] = results
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            wrong[name] = f"{path}: these results cannot be used: {error}"
    return found


def summary(found):
    """What docs/results.json and the report's own results.json hold: one entry for each claim, and
    where it came from; what was only described; the first picture that does not move."""
    about = ("title", "command", "seconds", "options", "machine", "versions")
    experiments = {}
    for name, results in found.items():
        more = results["tables"].get(DESCRIBED, {"rows": {}})["rows"]
        still = next((f for f in results["figures"] if not f["moves"]), None)
        experiments[name] = {key: results[key] for key in about} | {
            "described": more, "picture": still and {key: still[key] for key in (
                "link", "caption", "alt")}}
    return {"claims": [{"experiment": name} | claim
                       for name, results in found.items() for claim in results["claims"]],
            "experiments": experiments}


def markdown(results):
    """docs/results.md: two tables of all claims, the paper's and those beyond it, and then a
    section for each experiment."""
    lines = [
        "# What the paper claims, and what held", "",
        f"Of {len(results['claims'])} claims: {counted(results['claims'])}. A claim *held* where",
        "the whole 95% interval over seeds lies on its side, *failed* where it lies on the other,",
        "is *equal* where it lies within the margin that makes no difference, and *undecided*",
        "otherwise. Quantities and margins stand in the programs, chosen before they ran; where a",
        "margin or a seed came later, [what-held.md](what-held.md) says so. Minutes are those of",
        "one training; verdicts speak of that budget only.", "",
        "Made by `python demos/paper/report.py --budget hours --publish` from the results of the",
        "commands below; [results.json](results.json) has the same numbers."]
    if missing := [name for name in SHORT if name not in results["experiments"]]:
        lines += ["", f"Not among them: {', '.join(missing)}."]
    for title, names in (("The paper's claims", [n for n in SHORT if n not in BEYOND]),
                         ("Beyond the paper", BEYOND)):
        rows = [c for c in results["claims"] if c["experiment"] in names]
        lines += ["", f"## {title}", "", "| claim | verdict | measured (95% interval) | seeds | "
                  "minutes |", "|---|---|---|---|---|"] + [
            f"| {c['claim']} | **{c['verdict']}** | {interval(c)} | "
            + " | ".join(seeds_and_minutes(c["experiment"], results["experiments"]))
            + " |" for c in rows]
    for name, run in results["experiments"].items():
        lines += section(name, run, [c for c in results["claims"] if c["experiment"] == name])
    return "\n".join(lines) + "\n"


def interval(claim):
    """What was measured, and on which side of what it should lie where that is not 0 and not said
    already."""
    told = not claim.get("than") or "expected" in claim["quantity"]
    side = "" if told else f"; expected {claim['expected']} {claim['than']:g}"
    return cell([claim["value"], claim["low"], claim["high"]]) + side


def seeds_and_minutes(name, experiments):
    """Of one experiment; those of ``memory`` are no training's."""
    options = experiments[name]["options"]
    seeds, minutes = options.get("seeds"), options.get("minutes")
    return (str(len(seeds)) if seeds else "-",
            f"{minutes:.3g}" if minutes and name in BUDGETS["full"][1] else "-")


def section(name, run, claims):
    """The lines of one experiment: its command, claims and picture."""
    machine, versions = run["machine"], run["versions"]
    lines = ["", f"## {run['title']}", "", "```", run["command"], "```", "",
             f"{run['seconds'] / 60:.1f} minutes on {machine['cpus']} x {machine['processor']}, "
             f"Python {versions['python']}, NumPy {versions['numpy']}"
             + f"{', ' * ('blas' in machine)}{machine.get('blas', '')}.", ""]
    for c in claims:
        said = c["paper"] if c["paper"].startswith('"') else f'"{c["paper"]}"'
        lines += [f"- **{c['verdict'].capitalize()}**: {c['claim']}. *{c['quantity']}*: "
                  f"{interval(c)}. The paper: {said}"]
    if run["described"]:
        lines += ["", "Also measured, without a verdict:", ""]
        lines += [f"- {text}. *{quantity}*: {cell(value)}"
                  for text, (quantity, value) in run["described"].items()]
    if run["picture"]:
        lines += ["", f"![{run['picture']['alt']}](results/{name}.webp)", "",
                  f"*{run['picture']['caption']}*"]
    return lines


def beside(old, new):
    """Two ``summary``s as one; of an experiment that both have, the new."""
    runs, order = old["experiments"] | new["experiments"], list(SHORT)
    kept = [c for c in old["claims"] if c["experiment"] not in new["experiments"]]
    return {"claims": sorted(kept + new["claims"], key=lambda c: order.index(c["experiment"])),
            "experiments": {name: runs[name] for name in order if name in runs}}


def publish(results, folder, docs):
    """Write results.json, results.md and results/NAME.webp into ``docs``, of the report in
    ``folder`` and, of experiments that it lacks, what ``docs`` has already."""
    (docs / "results").mkdir(parents=True, exist_ok=True)
    new, path = results["experiments"], docs / "results.json"
    if path.exists():
        results = beside(json.loads(path.read_text(encoding="utf-8")), results)
    for name, run in new.items():
        if run["picture"]:
            with Image.open(Path(folder, run["picture"]["link"])) as image:
                image.thumbnail((1000, 1400))
                image.convert("RGB").save(docs / "results" / f"{name}.webp", quality=75)
    save_json(path, results)
    (docs / "results.md").write_text(markdown(results), encoding="utf-8")


def run(options):
    if options.publish:
        found = collect(options.out, wrong := {})
        if wrong or not found:
            raise ValueError("; ".join(wrong.values()) or "--out: expected the folder of a report, "
                             f"got {options.out}, where no experiment has results")
        publish(summary(found), options.out, HERE.parents[1] / "docs")
        return
    start, planned = time.perf_counter(), estimate(options)
    if options.budget != "short":
        each = ", ".join(f"{name} {duration(m)}" for name, m in planned.items())
        at_a_time = f", {options.jobs} models at a time" if options.jobs > 1 else ""
        print(f"{duration(sum(planned.values()) / options.jobs)} of training{at_a_time}; one model "
              f"after another: {each}. Ctrl-C ends it, and the same command goes on.", flush=True)
    try:
        wrong = run_experiments(options)
    except KeyboardInterrupt:
        sys.exit("report.py: interrupted; what is finished is kept, and the same command goes on")
    found = collect(options.out, wrong)
    taken = (time.perf_counter() - start) / 60
    save_json(os.path.join(options.out, "results.json"), summary(found))
    page = os.path.join(options.out, "index.html")
    claims = summary(found)["claims"]
    write_report(page, found, claims, wrong,
                 sum(results["seconds"] for results in found.values()) / 60, options.budget)
    for c in claims:
        print(f"{c['verdict']:10} {c['claim']}: {interval(c)}")
    print(f"{taken:.1f} minutes; the report is {page}")
    if wrong:
        sys.exit(f"report.py: without results: {', '.join(wrong)}")


if __name__ == "__main__":
    main(run, parse())
