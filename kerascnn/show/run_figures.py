"""Runs as figures: curves, confusion, accuracy per class.

Every function returns a `matplotlib.figure.Figure` that pyplot does not know of; store it with
`figure.savefig(path)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

from kerascnn.records.run import ClassAccuracy, History, ReportedNumbers
from kerascnn.show.style import (
    BLACK,
    BLUE,
    GRAY,
    TICK_SIZE,
    VERMILLION,
    build_figure,
    require,
    require_shape,
    shorten,
    style,
    text_width,
)

# A loss beyond this many times the upper quartile would flatten the rest of its curve.
CLIP_FACTOR = 5
# What some lines are, for who has the Figure: their `gid`.
BEST = "best epoch"
UNSEEN = "out of view"


def plot_history(history: History, title: str, reported: ReportedNumbers | None = None) -> Figure:
    """Draw the losses and the accuracies of a run, epoch by epoch, with the best epoch marked.

    Losses so large that they would flatten the rest are left out of the view; a triangle at the
    upper edge marks each and the legend says so.

    Args:
        history: of at least one epoch.
        title: what is seen, for instance the run's name.
        reported: what the study gave, drawn beside it.

    Returns:
        A Figure with two panels.

    Raises:
        ValueError: if the history is empty.
    """
    require(len(history) > 0, "The history is empty; expected at least one epoch.")
    reported = reported or ReportedNumbers()
    with style():
        figure = build_figure(10, 4.6, title)
        loss_axes, accuracy_axes = figure.subplots(1, 2)
        _draw_losses(loss_axes, history, reported)
        _draw_accuracies(accuracy_axes, history, reported)
        for axes, values, label in (
            (loss_axes, history.val_loss, "best epoch {:g}: {:.3f}"),
            (accuracy_axes, history.val_accuracy, "at best epoch {:g}: {:.1%}"),
        ):
            _finish_history_axes(axes, history.epoch)
            best = history.best_epoch
            _mark_best_epoch(axes, best, values[history.epoch.index(best)], label)
        _put_history_legends(figure, loss_axes, accuracy_axes)
    return figure


def plot_confusion(confusion: np.ndarray, class_names: Sequence[str], title: str) -> Figure:
    """Draw how often each true class was predicted as each class.

    The shade is the share of the true class, so that classes of different size compare; the
    number in a cell is its count.

    Args:
        confusion: int (num_classes, num_classes), true classes in rows, predicted in columns.
        class_names: num_classes strings; longer than 20 characters, they are shortened.
        title: what is seen.

    Returns:
        A Figure with one matrix and the scale of its shades.
    """
    confusion = np.asarray(confusion)
    num_classes = len(class_names)
    require_shape("confusion", confusion, (num_classes, num_classes))
    require(
        np.issubdtype(confusion.dtype, np.integer) and num_classes > 0,
        f"confusion has dtype {confusion.dtype} and {num_classes} classes; expected counts.",
    )
    totals = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(confusion, totals, out=np.zeros(confusion.shape), where=totals > 0)

    cell = 0.85 if num_classes <= 5 else 0.52
    digits = max(3, len(str(confusion.max())))
    with style({"axes.grid": False}):
        side = cell * num_classes
        figure = build_figure(max(5.0, side + 2.9), max(2.0, side) + 2.2, title, "compressed")
        axes = figure.add_subplot()
        shades = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(*confusion.shape):
            axes.text(
                column,
                row,
                str(confusion[row, column]),
                ha="center",
                va="center",
                color=_readable_on(shades.cmap(shares[row, column]), confusion[row, column]),
                fontsize=min(10.0, 72 * cell * 0.85 / (0.64 * digits)),
            )
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

    Returns:
        A Figure with a line a class; names longer than 20 characters are shortened.
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
            _draw_top_label(axes, overall, f"overall {overall:.1%}")
        axes.set_yticks(range(len(rows)), [shorten(row.name) for row in rows])
        axes.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.4, -0.6))
        axes.tick_params(labelsize=TICK_SIZE)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xlabel("accuracy, by true class")
        _put_legend_below(axes, columns=4)
    return figure


def _draw_top_label(axes, x, text):
    """Write above the upper edge at `x`, where no curve can lie, leaning into the axes."""
    left, right = axes.get_xlim()
    place = (x - left) / (right - left)
    side = "left" if place < 0.3 else "right" if place > 0.7 else "center"
    axes.text(
        x,
        1.01,
        text,
        transform=axes.get_xaxis_transform(),
        ha=side,
        va="bottom",
        fontsize=8.5,
        color=GRAY,
    )


def _put_legend_below(axes, columns, points=36):
    below = ScaledTranslation(0, -points / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + below,
        ncols=columns,
    )


def _draw_losses(axes: Axes, history: History, reported: ReportedNumbers) -> None:
    epochs = history.epoch
    study = [loss for loss in (reported.best_val_loss, reported.train_loss) if loss is not None]
    top = _view_top(np.array([*history.loss, *history.val_loss]), study)
    _draw_curves(axes, epochs, history.loss, history.val_loss)
    # As with the curves, the wide marks lie below.
    for values, color, name, size in (
        (history.loss, BLUE, "training", 9),
        (history.val_loss, VERMILLION, "validation", 5),
    ):
        _mark_unseen(axes, np.array(epochs), np.array(values), top, color, name, size)
    _draw_reported_losses(axes, epochs, reported)
    axes.set_ylim(0, top)
    axes.set_title("Loss", pad=17)


def _draw_accuracies(axes: Axes, history: History, reported: ReportedNumbers) -> None:
    _draw_curves(axes, history.epoch, history.accuracy, history.val_accuracy)
    if reported.accuracy is not None:
        text = f"study: test accuracy {reported.accuracy:.0%}"
        _draw_reported_line(axes, reported.accuracy, BLACK, text)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_title("Accuracy", pad=17)


def _draw_curves(axes, epochs, training, validation):
    # Markers tell the curves apart without color, and show a curve of a single epoch. The wide
    # line and the wide markers lie below, so that equal curves are both seen.
    every = max(1, len(epochs) // 12)
    axes.plot(
        epochs,
        training,
        color=BLUE,
        linewidth=2.2,
        marker="s",
        markersize=5,
        markerfacecolor="white",
        markevery=every,
        label="training",
    )
    axes.plot(
        epochs,
        validation,
        color=VERMILLION,
        linewidth=1.3,
        marker="o",
        markersize=3.5,
        markevery=every,
        label="validation",
    )


def _mark_unseen(axes, epochs, values, top, color, name, size):
    """Mark at the upper edge the epochs whose value lies above the view."""
    above = values > top
    if not above.any():
        return
    count = _count(int(above.sum()), "epoch")
    axes.plot(
        epochs[above],
        np.full(above.sum(), 0.975),
        transform=axes.get_xaxis_transform(),
        linestyle="none",
        marker="^",
        markersize=size,
        color=color,
        label=f"{name} above the view: {count}, up to {values.max():.3g}",
        gid=UNSEEN,
    )


def _draw_reported_losses(axes: Axes, epochs: Sequence[int], reported: ReportedNumbers) -> None:
    best_loss, best_epoch = reported.best_val_loss, reported.best_epoch
    if best_loss is not None:
        text = f"study: best validation {best_loss:.3f}"
        if best_epoch is not None:
            text += f" at epoch {best_epoch:g}"
        _draw_reported_line(axes, best_loss, VERMILLION, text)
        if best_epoch is not None and epochs[0] <= best_epoch <= epochs[-1]:
            axes.plot(
                [best_epoch],
                [best_loss],
                linestyle="none",
                marker="D",
                markersize=6,
                color=VERMILLION,
                markerfacecolor="white",
                zorder=4,
            )
    elif best_epoch is not None:
        axes.axvline(
            best_epoch,
            color=VERMILLION,
            linestyle="--",
            linewidth=1,
            label=f"study: best epoch {best_epoch:g}",
        )
    if reported.train_loss is not None:
        text = f"study: training {reported.train_loss:.3f}"
        _draw_reported_line(axes, reported.train_loss, BLUE, text)


def _draw_reported_line(axes, value, color, label):
    axes.axhline(
        value, color=color, linestyle="--", linewidth=1, alpha=0.8, zorder=1.5, label=label
    )


def _finish_history_axes(axes, epochs):
    margin = max(0.5, 0.02 * (epochs[-1] - epochs[0]))
    axes.set_xlim(epochs[0] - margin, epochs[-1] + margin)
    axes.tick_params(labelsize=TICK_SIZE)
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    axes.set_xlabel("epoch")


def _put_history_legends(figure, loss_axes, accuracy_axes):
    # The sentences about what is out of view are too long to stand side by side.
    num_entries = len(loss_axes.get_legend_handles_labels()[1])
    has_marks = any(line.get_gid() == UNSEEN for line in loss_axes.lines)
    columns = 1 if has_marks else 2
    num_rows = -(-num_entries // columns)
    _put_legend_below(loss_axes, columns)
    _put_legend_below(accuracy_axes, columns)
    figure.set_figheight(figure.get_figheight() + 0.18 * max(0, num_rows - 2))


def _mark_best_epoch(axes, epoch, value, label):
    axes.axvline(epoch, color=GRAY, linewidth=1, zorder=1, gid=BEST)
    axes.plot(
        [epoch],
        [value],
        linestyle="none",
        marker="*",
        markersize=13,
        markerfacecolor=VERMILLION,
        markeredgecolor="white",
        zorder=5,
        gid=BEST,
    )
    _draw_top_label(axes, epoch, label.format(epoch, value))


def _view_top(values, reported):
    """The upper end of a loss axis that starts at 0: above all but the outliers."""
    if len(values) > 4:
        typical = np.percentile(values, 75, method="lower")
        values = values[values <= max(CLIP_FACTOR * typical, values.min())]
    return 1.1 * max([*values, *reported]) or 1.0


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
    axes.plot(
        [row.accuracy for _, row in shown],
        places,
        linestyle="none",
        marker="o",
        markersize=7,
        color=BLUE,
        clip_on=False,
        label="this run",
    )
    ends = [[row.low for _, row in shown], [row.high for _, row in shown]]
    axes.hlines(places, *ends, color=BLUE, linewidth=2, label="95% interval")
    for place, row in enumerate(rows):
        axes.text(
            1.02,
            place,
            "no images" if row.accuracy is None else f"{row.accuracy:.1%}",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
        )


def _draw_reported_classes(axes: Axes, rows: Sequence[ClassAccuracy]) -> None:
    known = {place: row.reported for place, row in enumerate(rows) if row.reported is not None}
    if known:
        axes.plot(
            list(known.values()),
            list(known),
            linestyle="none",
            marker="D",
            markersize=8,
            color=VERMILLION,
            markerfacecolor="none",
            markeredgewidth=1.4,
            clip_on=False,
            label="study",
        )


def _readable_on(shade, count):
    """Black or white, whichever stands out more on an RGB shade in 0..1; gray for a count of 0."""
    if count == 0:
        return GRAY
    shade = np.asarray(shade[:3])
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    # Here the contrasts with black and with white, as WCAG defines them, are equal.
    return "black" if luminance > 0.179 else "white"


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
