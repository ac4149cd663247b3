"""Losses and accuracies of a run over its epochs, as a figure."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kerascnn.records.run import History, ReportedNumbers
from kerascnn.show.style import (
    BLACK,
    BLUE,
    GRAY,
    TICK_SIZE,
    VERMILLION,
    build_figure,
    draw_top_label,
    put_legend_below,
    style,
)
from kerascnn.show.words import counted

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
    """
    reported = reported or ReportedNumbers()
    with style():
        figure = build_figure(10, 4.6, title)
        loss_axes, accuracy_axes = figure.subplots(1, 2)
        _draw_losses(loss_axes, history, reported)
        _draw_accuracies(accuracy_axes, history, reported)
        best = history.best_epoch
        place = history.epoch.index(best)
        for axes, values, label in (
            (loss_axes, history.val_loss, "best epoch {:g}: {:.3f}"),
            (accuracy_axes, history.val_accuracy, "at best epoch {:g}: {:.1%}"),
        ):
            _finish_axes(axes, history.epoch)
            _mark_best_epoch(axes, best, values[place], label)
        _put_legends(figure, loss_axes, accuracy_axes)
    return figure


def _draw_losses(axes: Axes, history: History, reported: ReportedNumbers) -> None:
    epochs = history.epoch
    study = [loss for loss in (reported.best_val_loss, reported.train_loss) if loss is not None]
    top = _view_top(np.array([*history.loss, *history.val_loss]), study)
    _draw_curves(axes, epochs, history.loss, history.val_loss)
    # As with the curves, the wide marks lie below.
    _mark_unseen(axes, epochs, history.loss, top, color=BLUE, name="training", size=9)
    _mark_unseen(axes, epochs, history.val_loss, top, color=VERMILLION, name="validation", size=5)
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
    wide = {"color": BLUE, "linewidth": 2.2, "markersize": 5, "markerfacecolor": "white"}
    narrow = {"color": VERMILLION, "linewidth": 1.3, "markersize": 3.5}
    axes.plot(epochs, training, "s-", **wide, markevery=every, label="training")
    axes.plot(epochs, validation, "o-", **narrow, markevery=every, label="validation")


def _mark_unseen(axes, epochs, values, top, color, name, size):
    above = [epoch for epoch, value in zip(epochs, values, strict=True) if value > top]
    if not above:
        return
    label = f"{name} above the view: {counted(len(above), 'epoch')}, up to {max(values):.3g}"
    edge = {"transform": axes.get_xaxis_transform(), "gid": UNSEEN}
    axes.plot(above, [0.975] * len(above), "^", color=color, markersize=size, label=label, **edge)


def _draw_reported_losses(axes: Axes, epochs: Sequence[int], reported: ReportedNumbers) -> None:
    best_loss, best_epoch = reported.best_val_loss, reported.best_epoch
    if best_loss is not None:
        text = f"study: best validation {best_loss:.3f}"
        if best_epoch is not None:
            text += f" at epoch {best_epoch:g}"
        _draw_reported_line(axes, best_loss, VERMILLION, text)
        if best_epoch is not None and epochs[0] <= best_epoch <= epochs[-1]:
            diamond = {"color": VERMILLION, "markersize": 6, "markerfacecolor": "white"}
            axes.plot(best_epoch, best_loss, "D", **diamond, zorder=4)
    elif best_epoch is not None:
        text = f"study: best epoch {best_epoch:g}"
        axes.axvline(best_epoch, color=VERMILLION, linestyle="--", linewidth=1, label=text)
    if reported.train_loss is not None:
        text = f"study: training {reported.train_loss:.3f}"
        _draw_reported_line(axes, reported.train_loss, BLUE, text)


def _draw_reported_line(axes, value, color, label):
    line = {"linestyle": "--", "linewidth": 1, "alpha": 0.8, "zorder": 1.5}
    axes.axhline(value, color=color, label=label, **line)


def _finish_axes(axes: Axes, epochs: Sequence[int]) -> None:
    margin = max(0.5, 0.02 * (epochs[-1] - epochs[0]))
    axes.set_xlim(epochs[0] - margin, epochs[-1] + margin)
    axes.tick_params(labelsize=TICK_SIZE)
    ticks = MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    axes.xaxis.set_major_locator(ticks)
    axes.set_xlabel("epoch")


def _put_legends(figure: Figure, loss_axes: Axes, accuracy_axes: Axes) -> None:
    # The sentences about what is out of view are too long to stand side by side.
    columns = 1 if any(line.get_gid() == UNSEEN for line in loss_axes.lines) else 2
    num_rows = -(-len(loss_axes.get_legend_handles_labels()[1]) // columns)
    put_legend_below(loss_axes, columns)
    put_legend_below(accuracy_axes, columns)
    figure.set_figheight(figure.get_figheight() + 0.18 * max(0, num_rows - 2))


def _mark_best_epoch(axes, epoch, value, label):
    axes.axvline(epoch, color=GRAY, linewidth=1, zorder=1, gid=BEST)
    star = {"markersize": 13, "markerfacecolor": VERMILLION, "markeredgecolor": "white"}
    axes.plot(epoch, value, "*", **star, zorder=5, gid=BEST)
    draw_top_label(axes, epoch, label.format(epoch, value))


def _view_top(values, reported):
    """The upper end of a loss axis that starts at 0: above all but the outliers."""
    if len(values) > 4:
        typical = np.percentile(values, 75, method="lower")
        values = values[values <= max(CLIP_FACTOR * typical, values.min())]
    return 1.1 * max([*values, *reported]) or 1.0
