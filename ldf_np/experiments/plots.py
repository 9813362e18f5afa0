"""Pictures of images, clips, scores and losses. Nothing here is needed for training; matplotlib is
loaded on first use."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..runtime.checks import (
    channels_last_array,
    check_size,
    checked,
    expect,
    finite_array,
    instance,
    integer,
    real,
    several,
)
from ..runtime.files import replacing
from ..training.log import NAME, in_words, read_records
from .metrics import CLIPS
from .statistics import limits, over_seeds

# Of lines and points, told apart by the colour-blind (Okabe and Ito 2008) and, by their markers,
# without colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
MARKERS = "osD^vPX*"
LINES = "-", "--", ":", "-."
FONT = 11       # points; at the width of a page pictures are about two thirds of their size


def style(k):
    """{"color", "marker", "linestyle"} of the k-th line of a plot."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)],
            "linestyle": LINES[k // len(COLOURS) % len(LINES)]}


# ------------------------------------------------------------------------------------------- clips


@checked(clips=channels_last_array(CLIPS), columns=integer(), scale=integer(), gap=integer(0))
def clip_sheet(clips, columns=1, scale=3, gap=1):
    """Clips (n, t, h, w, 3), or grey (n, t, h, w, 1), uint8, as one picture: a row is a clip, its
    frames from left to right; ``columns`` clips beside each other. A NumPy array (height, width, 3)
    uint8."""
    n, t, h, w, c = clips.shape
    if clips.dtype != np.uint8:
        raise ValueError(f"clips: expected uint8, got {clips.dtype}")
    expect(c in (1, 3), "clips", "one channel, grey, or three", clips)
    clips, c = np.broadcast_to(clips, (*clips.shape[:4], 3)), 3
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


@checked(images=finite_array(least=1), values=several(real(), 2, "numbers, black and white"))
def as_colours(images, values=(-1, 1)):
    """Images (n, h, w), (n, h, w, 1) or (n, h, w, 3) as (n, h, w, 3) uint8. ``values``: those of
    black and of white; uint8 is taken as it is.

    Raises ValueError for images of another shape, or with other values.
    """
    shape, (black, white) = images.shape, values
    grey = images[..., None] if len(shape) == 3 else images
    expect(grey.ndim == 4 and grey.shape[-1] in (1, 3), "images",
           "grey (n, h, w) or (n, h, w, 1), or colours (n, h, w, 3)", images)
    if images.dtype != np.uint8:
        expect(black < white, "values", "two growing numbers", values)
        least, most, slack = float(grey.min()), float(grey.max()), 0.01 * (white - black)
        expect(black - slack <= least and most <= white + slack, "images",
               f"values from {black:g} (black) to {white:g} (white), as the argument values says",
               f"{least:g} to {most:g}")
        grey = np.rint((np.clip(grey, black, white) - black) * (255 / (white - black)))
    return np.broadcast_to(grey, (*grey.shape[:3], 3)).astype(np.uint8)


def _some(name, groups):
    """Images or clips, or {title: these} of one at least."""
    expect(not isinstance(groups, dict) or groups, name, "at least one title", "none")


@checked(images=_some, columns=integer(), scale=integer())
def save_images(path, images, columns=8, scale=3, values=(-1, 1)):
    """Write images as a PNG, ``columns`` in a row; of {title: images} one sheet beside the other
    under their titles.

    images : array (n, h, w), (n, h, w, 1) or (n, h, w, 3), or {title: array}
        uint8, or numbers of which ``values`` says what is black and what white: (-1, 1) as models
        make them, or (0, 1), say.
    """
    def rows(some):
        """Images as clips of ``columns`` frames, the last filled up with white."""
        some = as_colours(some, values)
        blank = np.full((-len(some) % columns, *some.shape[1:]), 255, np.uint8)
        return np.concatenate([some, blank]).reshape(-1, columns, *some.shape[1:])

    save_clips(path, {title: rows(some) for title, some in images.items()}
               if isinstance(images, dict) else rows(images), scale=scale)


def titled(pictures, size=16):
    """{title: picture (h, w, 3) uint8} side by side, each under its title, as one such picture."""
    font = ImageFont.load_default(size)
    blocks = []
    for title, picture in pictures.items():
        wide = max(picture.shape[1], math.ceil(font.getlength(title)))
        strip = Image.new("RGB", (wide + size, 2 * size), "white")
        ImageDraw.Draw(strip).text((2, size // 3), title, "black", font)
        block = np.full((max(p.shape[0] for p in pictures.values()), strip.width, 3), 255, np.uint8)
        block[:picture.shape[0], :picture.shape[1]] = picture
        blocks.append(np.concatenate([np.asarray(strip), block]))
    return np.concatenate(blocks, axis=1)


def _sheet(clips, columns, scale):
    """A ``clip_sheet``, or of {title: clips} those of all, ``titled``."""
    if not isinstance(clips, dict):
        return clip_sheet(clips, columns, scale)
    sheets = {title: clip_sheet(some, columns, scale) for title, some in clips.items()}
    # titles that can still be read where a page shows a wide picture smaller
    return titled(sheets, max(16, sum(sheet.shape[1] for sheet in sheets.values()) // 60))


@checked(clips=_some)
def save_clips(path, clips, columns=1, scale=3):
    """Write a ``clip_sheet`` as a PNG; of {title: clips} one beside the other under their
    titles."""
    sheet = _sheet(clips, columns, scale)
    with replacing(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG", optimize=True)


@checked(clips=_some, frame_ms=integer())
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


@checked(groups=_some, across=integer())
def save_sheets(path, groups, size, across=1, columns=2, scale=2):
    """Write a PNG of {title: clips}: the ``clip_sheet`` of each under its title, of ``size``
    (width, height) inches each, ``across`` in a row."""
    rows = -(-len(groups) // across)
    figure, panels = subplots(rows, across, (across * size[0], rows * size[1]))
    for axes, (title, clips) in zip(panels, groups.items()):
        axes.imshow(clip_sheet(clips, columns, scale))
        axes.set_title(title, fontsize=10)
    for axes in panels:
        axes.axis("off")
    save_figure(path, figure)


def save_rows(path, rows, labels=None):
    """Write a PNG of {name: clips (n, t, h, w, 3)}, as many of each: a row for each name, which
    stands on its left, with its clips beside each other; ``labels`` stand below the t frames of
    every clip."""
    shapes = {some.shape for some in rows.values()}
    expect(len(shapes) == 1, "rows", "clips of one shape, as many of each", shapes or "none")
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
    """(figure, its axes row by row, as a list): a matplotlib Figure of ``size`` inches, whose texts
    can be read at the width of a page."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"font.size": FONT, "axes.titlesize": FONT, "legend.fontsize": FONT - 1}):
        figure = Figure(figsize=size, layout="constrained")
        return figure, list(figure.subplots(rows, columns, squeeze=False, **settings).flat)


def save_figure(path, figure, dpi=110):
    """Write a matplotlib Figure as a PNG. Its texts are plain, also where matplotlib's settings say
    that LaTeX is to set them, and a $ is a $: they are not written for it, and it may not be there.
    The numbers along an axis, which matplotlib writes itself, stay its own."""
    from matplotlib import rc_context
    from matplotlib.axis import Axis
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    numbers = {text for axis in figure.findobj(Axis)
               if not isinstance(axis.get_major_formatter(), FixedFormatter)
               for ticks in (axis.majorTicks, axis.minorTicks) for tick in ticks
               for text in tick.findobj(Text)}
    for text in figure.findobj(Text):
        text.set_usetex(False)
        text.set_parse_math(text in numbers)
    with rc_context({"text.usetex": False}), replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format="png")


@checked(panels=instance(dict))
def save_intervals(path, panels, marks=None, better="lower is better"):
    """Write a PNG with a panel for each metric and a row for each model: with several seeds a dot
    for each, a tick for their mean and a bar for its interval; with one seed a bar up to its value.

    panels : {metric: {model: values over seeds}}
    marks : {metric: {name: value}}, dotted lines: real clips, say
    """
    expect(panels, "panels", "at least one metric", "none")
    names, marks = list(next(iter(panels.values()))), marks or {}
    looks = {name: (COLOURS[(k + 1) % len(COLOURS)], (":", "--", "-.")[k % 3]) for k, name in
             enumerate(dict.fromkeys(name for some in marks.values() for name in some))}
    for metric, models in panels.items():
        expect({*models} == {*names}, f"panels: {metric}", f"the models {', '.join(names)}",
               ", ".join(models))
    single = all(len(values) == 1 for models in panels.values() for values in models.values())
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, shown = subplots(rows, columns, (9, 0.6 + rows * (1.1 + 0.34 * len(names))),
                             sharey=True)
    for axes in shown[len(panels):]:
        axes.set_axis_off()
    for axes, (metric, models) in zip(shown, panels.items()):
        for row, values in enumerate(models[name] for name in names):
            middle, low, high = over_seeds(values, within=limits(metric))
            if single:
                bar = axes.barh(row, middle, 0.6, color=COLOURS[0], alpha=0.6)
                axes.bar_label(bar, [f"{middle:.3g}"], padding=3)
                axes.margins(x=0.2)
                continue
            if low is not None:
                axes.plot([low, high], [row, row], color=COLOURS[0], linewidth=6, alpha=0.3,
                          solid_capstyle="butt")
            axes.plot(values, [row] * len(values), "o", color=COLOURS[0], markersize=4)
            axes.plot([middle], [row], "|", color="black", markersize=14, markeredgewidth=2)
        for name, value in marks.get(metric, {}).items():
            colour, dots = looks[name]
            axes.axvline(value, color=colour, linestyle=dots, label=name)
        axes.set(title=metric, yticks=range(len(names)), yticklabels=names,
                 ylim=(len(names) - 0.5, -0.5))
        axes.grid(axis="x", alpha=0.3)
    legend = {label: handle for axes in shown
              for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if legend:
        figure.legend(legend.values(), legend, loc="outside upper center", ncols=len(legend),
                      frameon=False)
    figure.supxlabel(better + ("; one seed, so no intervals" if single else
                               "; dots: seeds, ticks: means, bars: 95% intervals of the means"),
                     fontsize=FONT)
    save_figure(path, figure)


@checked(curves=instance(dict))
def save_lines(path, curves, x, y):
    """Write a PNG of {name: curves over seeds}, a curve being points (x, y): a thin line for each
    seed, labelled axes."""
    figure, (axes,) = subplots()
    for k, (name, lines) in enumerate(curves.items()):
        for j, line in enumerate(lines):
            points = np.array(line, np.float64)
            expect(points.ndim == 2 and points.shape[1] == 2 or not points.size,
                   f"curves: {name}", "points (x, y)", f"an array of shape {points.shape}")
            axes.plot(*points.reshape(-1, 2).T, **style(k), linewidth=1.2,
                      markersize=4, label=None if j else name)
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(path, figure)


def save_curves(path, histories):
    """Write the losses of {title: History, or what ``read_records`` gives} as a PNG: a panel each,
    one below the other, over minutes, a thin line for every value and a thick one for the mean of a
    fiftieth of the run."""
    histories = {title: history for title, history in histories.items() if history.steps}
    count = max(1, len(histories))
    figure, panels = subplots(count, 1, (8, 3.4 * count))
    for axes, (title, history) in zip(panels, histories.items()):
        minutes = np.array(history.seconds) / 60
        window = max(1, len(minutes) // 50)
        for k, (name, values) in enumerate(history.losses.items()):
            colour = COLOURS[k % len(COLOURS)]
            axes.plot(minutes, values, linewidth=0.3, alpha=0.4, color=colour)
            smooth = np.convolve(values, np.ones(window) / window, mode="valid")
            axes.plot(minutes[window - 1:], smooth, color=colour, label=in_words(name))
        axes.set(title=f"{title}: {history.steps:,} steps", xlabel="minutes", ylabel="loss",
                 yscale="log")
        axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
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
