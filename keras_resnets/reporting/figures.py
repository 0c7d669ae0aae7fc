"""The figures of a report. No pyplot and no global state: a figure is drawn where there is no display too."""

import functools
import io
import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..measures import BINS, Calibration

WIDTH = 7.2  # inches, at 100 pixels each on the screen
SHARPNESS = 2  # pixels of the file for one of the screen
CELLS = 20  # classes at most: a cell has room for its count
LONGEST = 20  # letters of a name beside an axis

# The first that are installed; the others fill in letters that it lacks.
FONTS = (
    "Helvetica Neue",
    "Segoe UI",
    "Arial",
    "Liberation Sans",
    "DejaVu Sans",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
)


class Ink(NamedTuple):
    """Colours that those who are colour-blind can tell apart too.

    Source: Tol, Colour Schemes, SRON/EPS/TN/09-002, the bright, muted, light and medium-contrast schemes.
    """

    paper: str
    text: str
    line: str
    grey: str
    blue: str
    red: str


LIGHT = Ink("#ffffff", "#333333", "#dddddd", "#999999", "#4477aa", "#cc6677")
DARK = Ink("#16181b", "#cccccc", "#3a3d42", "#8a8d92", "#77aadd", "#ee99aa")


def png(figure) -> bytes:
    """The file of a figure."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that no font has is a box
        figure.savefig(file, format="png", dpi=100 * SHARPNESS)
    return file.getvalue()


def learning(history: Sequence[dict], kept: float | None, ink: Ink):
    """Loss and accuracy, epoch after epoch.

    Args:
        history: One dictionary an epoch: epoch, loss, accuracy, val_loss, val_accuracy.
        kept: The epoch whose weights are kept, or None where that is not known.
    """
    figure = _figure(2.9, ink)
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        _style(axes, ink, xlabel="epoch", ylabel=name)
        axes.grid(axis="y", color=ink.line, linewidth=0.6)
        for key, title, colour in ((name, "training", ink.grey), (f"val_{name}", "validation", ink.blue)):
            values = [row.get(key, math.nan) for row in history]
            marker = "o" if len(history) == 1 else None  # one point makes no line
            axes.plot(epochs, values, color=colour, linewidth=1.6, label=title, marker=marker, markersize=4)
        for row in history:
            if row["epoch"] == kept:
                axes.axvline(kept, color=ink.red, linewidth=0.8, zorder=1)
                title = f"kept: epoch {kept:.0f}"
                value = row.get(f"val_{name}", math.nan)
                dot = {"markersize": 5, "zorder": 5, "clip_on": False}
                axes.plot(kept, value, "o", color=ink.red, label=title, **dot)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name == "loss" and _wide(line.get_ydata() for line in axes.lines[:2]):
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        if len(history) == 1:
            axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.yaxis.set_major_formatter(_percent)
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.009))  # where all is right no tick is above 100 %
    _legend(figure, axes, ink)
    return figure


def confusion(matrix: np.ndarray, names: Sequence[str], shown: np.ndarray, ink: Ink):
    """Which classes are taken for which: a row the true class, its shares as shades, its counts in cells.

    Args:
        matrix: Pictures by true class and answer, int (classes, classes).
        names: Of the classes.
        shown: Numbers of those that are drawn, `CELLS` at most.
        ink: Its colours.
    """
    from matplotlib.colors import LinearSegmentedColormap

    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    counts, shares = matrix[np.ix_(shown, shown)], shares[np.ix_(shown, shown)]
    side = min(5.4, 0.7 + 0.45 * len(shown))
    figure = _figure(side + 1.0, ink, min(WIDTH, side + 2.2))  # beside the cells names and the shades
    axes = figure.subplots()
    _style(axes, ink, xlabel="answer", ylabel="true class")
    shades = LinearSegmentedColormap.from_list("", [ink.paper, ink.blue])
    image = axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
    titles, places = [_short(names[number]) for number in shown], range(len(shown))
    axes.set_yticks(places, titles, **_letters(ink))
    axes.set_xticks(places, titles, rotation=45, ha="right", rotation_mode="anchor", **_letters(ink))
    axes.set_xticks([place - 0.5 for place in range(1, len(shown))], minor=True)
    axes.set_yticks([place - 0.5 for place in range(1, len(shown))], minor=True)
    axes.grid(which="minor", color=ink.line, linewidth=0.6)
    axes.spines[:].set_visible(True)
    axes.tick_params(which="both", length=0)
    digits = len(f"{counts.max():,}")
    size = min(8, 72 * side / len(shown) / (0.7 * digits))  # a number is as wide as its cell at most
    for row, column in np.argwhere(counts):
        letters = _letters(ink, size, ink.paper if shares[row, column] > 0.55 else ink.text)
        axes.text(column, row, f"{counts[row, column]:,}", **letters, ha="center", va="center")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, aspect=24, pad=0.02, format=_percent)
    bar.set_label("share of the true class", **_letters(ink))
    bar.outline.set_edgecolor(ink.line)
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=ink.text)
    return figure


def reliability(measured: Calibration, ink: Ink):
    """How often answers are right, by their score; and how many answers have which score.

    Source: Guo et al., arXiv:1706.04599, figure 1.
    """
    figure = _figure(3.3, ink)
    left, right = figure.subplots(1, 2)
    middles = (np.arange(BINS) + 0.5) / BINS
    _style(left, ink, xlabel="score of the answer", ylabel="share that is right")
    _style(right, ink, xlabel="score of the answer", ylabel="pictures")
    left.plot((0, 1), (0, 1), color=ink.grey, linewidth=0.8, linestyle=(0, (4, 3)), label="as it should be")
    left.bar(middles, measured.accuracy, 0.9 / BINS, color=ink.blue, label="share that is right")
    ends = middles - 0.45 / BINS, middles + 0.45 / BINS
    left.hlines(measured.score, *ends, color=ink.red, linewidth=2, label="mean score")
    right.bar(middles, measured.pictures, 0.9 / BINS, color=ink.grey)
    for axes in (left, right):
        axes.set_xlim(0, 1)
        axes.set_xticks((0, 0.2, 0.4, 0.6, 0.8, 1))
    left.set_ylim(0, 1)
    left.yaxis.set_major_formatter(_percent)
    right.yaxis.get_major_locator().set_params(integer=True)
    _legend(figure, left, ink)
    return figure


def mistakes(rows: Sequence[dict], ink: Ink):
    """Pictures with a wrong answer, beside each the heat over it.

    Args:
        rows: One dictionary a picture, at least one: the names true and answer, the score, and picture and
            heat, uint8 (H, W, 3), of one size in all rows.
        ink: Its colours.
    """
    height, width, _ = rows[0]["picture"].shape
    lines = math.ceil(len(rows) / 2)
    figure = _figure(lines * (0.24 * WIDTH * height / width + 0.45), ink)
    grid = figure.subplots(lines, 2, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, row in zip(grid, rows, strict=False):  # the last place may stay empty
        for left, pixels in ((0, row["picture"]), (1.03 * width, row["heat"])):
            axes.imshow(pixels, interpolation="bilinear", extent=(left, left + width, 0, height))
        axes.set_xlim(0, 2.03 * width)
        title = f"true class: {_short(row['true'])}\nanswer: {_short(row['answer'])}, {row['score']:.2f}"
        axes.set_title(title, loc="left", **_letters(ink, 8))
    return figure


def _wide(curves) -> bool:
    """Whether one early epoch would press all others flat."""
    values = np.concatenate([np.asarray(curve, float) for curve in curves])
    values = values[np.isfinite(values)]
    return len(values) > 0 and values.min() > 0 and values.max() > 20 * values.min()


def _percent(value: float, place=None) -> str:
    return f"{100 * value:g} %"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _figure(height: float, ink: Ink, width: float = WIDTH):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor=ink.paper, layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    return figure


def _letters(ink: Ink, size: float = 9, colour: str | None = None) -> dict:
    """How text is set. A name is never taken for a formula: users' names have dollars and underscores."""
    return {"fontfamily": _families(), "fontsize": size, "color": colour or ink.text, "parse_math": False}


@functools.cache
def _families() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [name for name in FONTS if name in installed]


def _style(axes, ink: Ink, xlabel: str, ylabel: str) -> None:
    axes.set_facecolor(ink.paper)
    axes.spines[:].set_color(ink.line)
    axes.spines[["top", "right"]].set_visible(False)
    ticks = {"color": ink.line, "labelcolor": ink.text, "labelsize": 8, "labelfontfamily": _families()}
    axes.tick_params(which="both", **ticks)
    axes.set_axisbelow(True)
    axes.set_xlabel(xlabel, **_letters(ink))
    axes.set_ylabel(ylabel, **_letters(ink))


def _legend(figure, axes, ink: Ink) -> None:
    """One line above all axes."""
    handles, titles = axes.get_legend_handles_labels()
    legend = figure.legend(handles, titles, loc="outside upper left", ncols=len(titles), frameon=False)
    for text in legend.get_texts():
        text.set(**_letters(ink))
