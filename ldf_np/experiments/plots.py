"""Pictures of clips, scores and losses. Nothing here is needed for training; matplotlib is loaded
on first use."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..runtime.checks import channels_last_array, check_size, checked, instance, integer
from ..runtime.files import replacing
from ..training.log import NAME, read_records
from .metrics import CLIPS
from .statistics import over_seeds

# ------------------------------------------------------------------------------------------- clips


@checked(clips=channels_last_array(CLIPS), columns=integer(), scale=integer(), gap=integer(0))
def clip_sheet(clips, columns=1, scale=3, gap=1):
    """Clips (n, t, h, w, 3) uint8 as one picture: a row is a clip, its frames from left to right;
    ``columns`` clips beside each other. A NumPy array (height, width, 3) uint8."""
    n, t, h, w, c = clips.shape
    if clips.dtype != np.uint8:
        raise ValueError(f"clips: expected uint8, got {clips.dtype}")
    rows = -(-n // columns)
    shape = rows * (h + gap) + gap, columns * (t * (w + gap) + 3 * gap) - 2 * gap, c
    check_size("columns, scale, gap", (scale * shape[0], scale * shape[1], c), 1)
    sheet = np.full(shape, 255, np.uint8)
    for k, clip in enumerate(clips):
        top = gap + (k // columns) * (h + gap)
        for f, frame in enumerate(clip):
            left = gap + (k % columns) * (t * (w + gap) + 3 * gap) + f * (w + gap)
            sheet[top:top + h, left:left + w] = frame
    return sheet.repeat(scale, axis=0).repeat(scale, axis=1)


def titled(pictures, size=16):
    """{title: picture (h, w, 3) uint8} side by side, each under its title, as one such picture."""
    font = ImageFont.load_default(size)
    blocks = []
    for title, picture in pictures.items():
        strip = Image.new("RGB", (picture.shape[1] + size, 2 * size), "white")
        ImageDraw.Draw(strip).text((2, size // 3), title, "black", font)
        block = np.full((max(p.shape[0] for p in pictures.values()), strip.width, 3), 255, np.uint8)
        block[:picture.shape[0], :picture.shape[1]] = picture
        blocks.append(np.concatenate([np.asarray(strip), block]))
    return np.concatenate(blocks, axis=1)


def _sheet(clips, columns, scale):
    """A ``clip_sheet``, or of {title: clips} those of all, ``titled``."""
    if not isinstance(clips, dict):
        return clip_sheet(clips, columns, scale)
    return titled({title: clip_sheet(some, columns, scale) for title, some in clips.items()})


def save_clips(path, clips, columns=1, scale=3):
    """Write a ``clip_sheet`` as a PNG; of {title: clips} one beside the other under their
    titles."""
    sheet = _sheet(clips, columns, scale)
    with replacing(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG", optimize=True)


@checked(frame_ms=integer())
def save_animation(path, clips, columns=8, scale=3, frame_ms=200):
    """Write clips (n, t, h, w, 3) uint8 as a GIF of a grid in which all of them play and repeat; of
    {title: clips} one grid beside the other under their titles."""
    groups = clips if isinstance(clips, dict) else {"": clips}
    for some in groups.values():
        channels_last_array(CLIPS)("save_animation: clips", some)
    frames = [{title: some[:, t:t + 1] for title, some in groups.items()}
              for t in range(min(some.shape[1] for some in groups.values()))]
    sheets = [Image.fromarray(_sheet(now if isinstance(clips, dict) else now[""], columns, scale))
              for now in frames]
    with replacing(path) as temporary:
        sheets[0].save(temporary, format="GIF", save_all=True, append_images=sheets[1:],
                       duration=frame_ms, loop=0)


def save_sheets(path, groups, shape, size, columns=2, scale=2):
    """Write a PNG of {title: clips}: the ``clip_sheet`` of each under its title, in a grid of
    ``shape`` (rows, columns) and ``size`` inches."""
    figure, panels = subplots(*shape, size)
    for axes, (title, clips) in zip(panels, groups.items(), strict=True):
        axes.imshow(clip_sheet(clips, columns, scale))
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    save_figure(path, figure)


def save_rows(path, rows, labels=None):
    """Write a PNG of {name: clips (n, t, h, w, 3)}, as many of each: a row for each name, which
    stands on its left, with its clips beside each other; ``labels`` stand below the t frames of
    every clip."""
    clips = np.concatenate(list(rows.values()))
    n, t, h, w = len(clips) // len(rows), *clips.shape[1:4]
    sheet = clip_sheet(clips, columns=n, scale=2)
    figure, (axes,) = subplots(size=(0.5 + 0.1 * max(map(len, rows)) + 0.008 * sheet.shape[1],
                                     0.5 + 0.008 * sheet.shape[0]))
    axes.imshow(sheet)
    axes.set_yticks(2 * (h + 1) * (0.5 + np.arange(len(rows))), rows, fontsize=9)
    places = np.add.outer(2 * (t * (w + 1) + 3) * np.arange(n), 2 * (w + 1) * (0.5 + np.arange(t)))
    axes.set_xticks(places.ravel() if labels else [], [str(k) for k in labels or []] * n,
                    fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    save_figure(path, figure)


# ----------------------------------------------------------------------------------------- figures


def subplots(rows=1, columns=1, size=(6.5, 4), **settings):
    """(figure, its axes row by row, as a list): a matplotlib Figure of ``size`` inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **settings).flat)


def save_figure(path, figure, dpi=110):
    """Write a matplotlib Figure as a PNG. Its texts are plain, also where matplotlib's settings say
    that LaTeX is to set them: they are not written for it, and it may not be there."""
    from matplotlib import rc_context
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_usetex(False)
    with rc_context({"text.usetex": False}), replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


@checked(panels=instance(dict))
def save_intervals(path, panels, marks=None, better="lower is better"):
    """Write a PNG with a panel for each metric: a row for each model, a dot for each seed, a bar
    for the mean's interval.

    panels : {metric: {model: values over seeds}}
    marks : {metric: {name: value}}, dotted lines: real clips, say
    """
    if not panels:
        raise ValueError("panels: expected at least one metric, got none")
    names, marks = list(next(iter(panels.values()))), marks or {}
    figure, shown = subplots(1, len(panels), (1.6 + 3 * len(panels), 1.4 + 0.34 * len(names)),
                             sharey=True)
    for axes, (metric, models) in zip(shown, panels.items()):
        for row, values in enumerate(models.values()):
            middle, low, high = over_seeds(values)
            if low is not None:
                axes.plot([low, high], [row, row], color="C0", linewidth=5, alpha=0.25,
                          solid_capstyle="butt")
            axes.plot([middle], [row], "|", color="C0", markersize=14, markeredgewidth=2)
            if low is not None:
                axes.plot(values, [row] * len(values), "o", color="C0", markersize=4)
        for colour, (name, value) in zip(("C2", "C3", "C1"), marks.get(metric, {}).items()):
            axes.axvline(value, color=colour, linestyle=":", label=name)
        axes.set(title=metric, yticks=range(len(names)), yticklabels=names,
                 ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="x", alpha=0.3)
        if marks.get(metric):
            axes.legend(fontsize=7)
    single = all(len(values) == 1 for models in panels.values() for values in models.values())
    figure.supxlabel(better + ("; one seed, so no intervals" if single else
                               "; dots: seeds, ticks: means, bars: 95% intervals of the means"),
                     fontsize=8)
    save_figure(path, figure)


@checked(curves=instance(dict))
def save_lines(path, curves, x, y):
    """Write a PNG of {name: curves over seeds}, a curve being points (x, y): a thin line for each
    seed, labelled axes."""
    figure, (axes,) = subplots()
    for k, (name, lines) in enumerate(curves.items()):
        for j, line in enumerate(lines):
            axes.plot(*np.array(line, np.float64).reshape(-1, 2).T, "o-", color=f"C{k}",
                      linewidth=1, markersize=3, label=None if j else name)
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(path, figure)


LOSSES = {"D": "discriminator (1.39: it cannot tell)", "G": "generator",
          "GE": "generator and encoder", "rec_h": "squared error through h",
          "rec_z": "squared error through z"}


def in_words(loss):
    """What a loss is called in a picture: "level 0 D" is "level 0 discriminator ..."."""
    *where, name = loss.split()
    return " ".join([*where, LOSSES.get(name, name)])


def save_curves(path, histories):
    """Write the losses of {title: History, or what ``read_records`` gives} as a PNG: a panel each,
    over minutes, a thin line for every value and a thick one for the mean of a fiftieth of the
    run."""
    histories = {title: history for title, history in histories.items() if history.steps}
    count = max(1, len(histories))
    figure, panels = subplots(1, count, (5 * count, 3.5))
    for axes, (title, history) in zip(panels, histories.items()):
        minutes = np.array(history.seconds) / 60
        window = max(1, len(minutes) // 50)
        for name, values in history.losses.items():
            line, = axes.plot(minutes, values, linewidth=0.3, alpha=0.4)
            smooth = np.convolve(values, np.ones(window) / window, mode="valid")
            axes.plot(minutes[window - 1:], smooth, color=line.get_color(),
                      label=in_words(name))
        axes.set(title=f"{title}: {history.steps:,} steps", xlabel="minutes", ylabel="loss",
                 yscale="log")
        axes.legend(frameon=False)
    save_figure(path, figure, dpi=120)


def save_metrics(path, folder):
    """``save_curves`` of every log of losses in and below a folder of checkpoints, while their
    trainings go on or afterwards.

    Raises ValueError where there is none.
    """
    logs = sorted(Path(folder).rglob(NAME), key=lambda log: log.stat().st_mtime)
    if not logs:
        raise ValueError(f"{folder}: expected a folder with logs of losses, {NAME}, and found none")
    save_curves(path, {str(log.parent.relative_to(Path(folder).parent)): read_records(log)
                       for log in logs})
