"""Runs as figures: curves, confusion, accuracy per class.

Every function returns a `matplotlib.figure.Figure` that pyplot does not know of; store it with
`figure.savefig(path)`.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from kerascnn.records.run import ClassAccuracy
from kerascnn.show.style import (
    BLUE,
    GRAY,
    TICK_SIZE,
    VERMILLION,
    build_figure,
    draw_top_label,
    put_legend_below,
    shorten,
    style,
    text_width,
)


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str], title: str) -> Figure:
    """Draw how often each true class was predicted as each class.

    The shade is the share of the true class, so that classes of different size compare; the
    number in a cell is its count.

    Args:
        confusion: int (num_classes, num_classes), true classes in rows, predicted in columns.
        class_names: name of each class; longer than 20 characters, it is shortened.
        title: what is seen.
    """
    num_classes = len(class_names)
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)

    cell = 0.85 if num_classes <= 5 else 0.52
    digits = max(3, len(str(confusion.max())))
    with style({"axes.grid": False}):
        side = cell * num_classes
        figure = build_figure(max(5.0, side + 2.9), max(2.0, side) + 2.2, title, "compressed")
        axes = figure.add_subplot()
        shades = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        middle = {"ha": "center", "va": "center"}
        size = min(10.0, 72 * cell * 0.85 / (0.64 * digits))
        for (row, column), count in np.ndenumerate(confusion):
            color = _readable_on(shades.cmap(shares[row, column])) if count else GRAY
            axes.text(column, row, str(count), **middle, color=color, fontsize=size)
        _name_classes(axes, class_names, cell)
        axes.set_title(f"{np.trace(confusion)} of {confusion.sum()} right, on the diagonal")
        scale = figure.colorbar(shades, ax=axes, shrink=0.8, aspect=24, pad=0.03)
        scale.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        scale.ax.tick_params(labelsize=TICK_SIZE)
        scale.set_label("share of the true class")
        scale.outline.set_visible(False)
    return figure


def plot_per_class(
    rows: Sequence[ClassAccuracy], title: str, overall: float | None = None
) -> Figure:
    """Draw the accuracy of each class with its 95 % interval, the best class on top.

    Args:
        rows: a class each, with what the study reported; a class without images comes last.
        title: what is seen.
        overall: the accuracy over all classes, a fraction, drawn as a line.
    """
    # The sort is stable, so equal classes keep their own order.
    rows = sorted(rows, key=lambda row: math.inf if row.accuracy is None else -row.accuracy)
    with style({"axes.grid.axis": "x"}):
        figure = build_figure(7.4, 0.34 * len(rows) + 2.1, title)
        axes = figure.add_subplot()
        _draw_intervals(axes, rows)
        _draw_reported_classes(axes, rows)
        if overall is not None:
            axes.axvline(overall, color=GRAY, linewidth=1.2, zorder=1)
            draw_top_label(axes, overall, f"overall {overall:.1%}")
        axes.set_yticks(range(len(rows)), [shorten(row.name) for row in rows])
        axes.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.4, -0.6))
        axes.tick_params(labelsize=TICK_SIZE)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xlabel("accuracy, by true class")
        put_legend_below(axes, columns=4)
    return figure


def _name_classes(axes, class_names, cell):
    names = [shorten(name) for name in class_names]
    places = range(len(names))
    axes.set_yticks(places, names)
    if max(text_width(name) for name in names) * TICK_SIZE < 0.9 * cell * 72:
        axes.set_xticks(places, names)
    else:
        axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="predicted class", ylabel="true class")


def _draw_intervals(axes: Axes, rows: Sequence[ClassAccuracy]) -> None:
    shown = [(place, row) for place, row in enumerate(rows) if row.accuracy is not None]
    places = [place for place, _ in shown]
    accuracies = [row.accuracy for _, row in shown]
    dots = {"color": BLUE, "markersize": 7, "clip_on": False}
    axes.plot(accuracies, places, "o", **dots, label="this run")
    ends = [[row.low for _, row in shown], [row.high for _, row in shown]]
    axes.hlines(places, *ends, color=BLUE, linewidth=2, label="95% interval")
    beside = {"transform": axes.get_yaxis_transform(), "va": "center"}
    for place, row in enumerate(rows):
        text = "no images" if row.accuracy is None else f"{row.accuracy:.1%}"
        axes.text(1.02, place, text, **beside, fontsize=9)


def _draw_reported_classes(axes: Axes, rows: Sequence[ClassAccuracy]) -> None:
    known = {place: row.reported for place, row in enumerate(rows) if row.reported is not None}
    if known:
        diamonds = {"color": VERMILLION, "markersize": 8, "markeredgewidth": 1.4, "clip_on": False}
        hollow = {"markerfacecolor": "none"}
        axes.plot(list(known.values()), list(known), "D", **diamonds, **hollow, label="study")


def _readable_on(shade):
    """Black or white, whichever stands out more on an RGB shade in 0..1."""
    shade = np.asarray(shade[:3])
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    # Here the contrasts with black and with white, as WCAG defines them, are equal.
    return "black" if luminance > 0.179 else "white"
