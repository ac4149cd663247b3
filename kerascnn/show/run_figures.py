"""Runs as figures: curves, confusion, accuracy per class.

Every function returns a `matplotlib.figure.Figure` that pyplot does not know of; store it with
`figure.savefig(path)`.
"""

import numpy as np
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

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

HISTORY_KEYS = ("epoch", "loss", "val_loss", "accuracy", "val_accuracy")
REPORTED_KEYS = ("best_val_loss", "best_epoch", "train_loss", "accuracy")
# A loss beyond this many times the upper quartile would flatten the rest of its curve.
CLIP_FACTOR = 5
# What some lines are, for who has the Figure: their `gid`.
BEST = "best epoch"
UNSEEN = "out of view"


def plot_history(history, title, reported=None):
    """Draw the losses and the accuracies of a run, epoch by epoch, with the best epoch marked.

    The best epoch has the lowest validation loss, the first of them on ties. Losses so large that
    they would flatten the rest are left out of the view; a triangle at the upper edge marks each
    and the legend says so. A loss that is not finite is marked with a cross there.

    Args:
        history: dict of sequences of equal length: `epoch` (from 1), `loss`, `val_loss`,
            `accuracy` and `val_accuracy` (fractions).
        title: what is seen, for instance the run's name.
        reported: dict with any of `best_val_loss`, `best_epoch` (from 1), `train_loss` and
            `accuracy` (test accuracy, a fraction), as the study gave them; None is skipped.

    Returns:
        A Figure with two panels.
    """
    history = _checked_history(history)
    reported = _checked_reported(reported)
    with style():
        figure = build_figure(10, 4.6, title)
        loss_axes, accuracy_axes = figure.subplots(1, 2)
        _draw_losses(loss_axes, history, reported)
        _draw_accuracies(accuracy_axes, history, reported)
        best = _best_index(history["val_loss"])
        for axes, key, label in (
            (loss_axes, "val_loss", "best epoch {:g}: {:.3f}"),
            (accuracy_axes, "val_accuracy", "at best epoch {:g}: {:.1%}"),
        ):
            _finish_history_axes(axes, history["epoch"])
            if best is not None:
                _mark_best_epoch(axes, history["epoch"], history[key], best, label)
        _put_history_legends(figure, loss_axes, accuracy_axes)
    return figure


def plot_confusion(confusion, class_names, title):
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


def plot_per_class(accuracy, low, high, class_names, title, reported=None, overall=None):
    """Draw the accuracy of each class with its 95 % interval, the best class on top.

    Args:
        accuracy: float (num_classes,), fractions; NaN where a class has no images.
        low: float (num_classes,), the lower ends of the intervals, fractions.
        high: float (num_classes,), the upper ends.
        class_names: num_classes strings; longer than 20 characters, they are shortened.
        title: what is seen.
        reported: dict from some of the class names to the study's fractions.
        overall: the accuracy over all classes, a fraction, drawn as a line.

    Returns:
        A Figure with a line a class.
    """
    num_classes = len(class_names)
    arrays = {"accuracy": accuracy, "low": low, "high": high}
    for name, values in arrays.items():
        arrays[name] = np.asarray(values, dtype=float)
        require_shape(name, arrays[name], (num_classes,))
    reported = dict(reported or {})
    unknown = sorted(set(reported) - set(class_names))
    require(not unknown, f"reported names classes {unknown}; expected some of {list(class_names)}.")
    # NaN sorts last, and the stable sort keeps equal classes in their own order.
    order = np.argsort(-arrays["accuracy"], kind="stable")
    accuracy, low, high = (values[order] for values in arrays.values())
    names = [class_names[i] for i in order]

    with style({"axes.grid.axis": "x"}):
        figure = build_figure(7.4, 0.34 * num_classes + 2.1, title)
        axes = figure.add_subplot()
        _draw_intervals(axes, accuracy, low, high)
        _draw_reported_classes(axes, names, reported)
        if overall is not None:
            axes.axvline(overall, color=GRAY, linewidth=1.2, zorder=1)
            _draw_top_label(axes, overall, f"overall {overall:.1%}")
        axes.set_yticks(range(num_classes), [shorten(name) for name in names])
        axes.set(xlim=(-0.01, 1.01), ylim=(num_classes - 0.4, -0.6))
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


def _draw_losses(axes, history, reported):
    epochs = history["epoch"]
    study_losses = [reported[key] for key in ("best_val_loss", "train_loss") if key in reported]
    top = _view_top(np.concatenate([history["loss"], history["val_loss"]]), study_losses)
    _draw_curves(axes, epochs, history["loss"], history["val_loss"])
    for values, color, name in (
        (history["loss"], BLUE, "training"),
        (history["val_loss"], VERMILLION, "validation"),
    ):
        # As with the curves, the wide marks lie below.
        size = 9 if name == "training" else 5
        _mark_unseen(axes, epochs, values, top, color, name, size)
    _draw_reported_losses(axes, epochs, reported)
    axes.set_ylim(0, top)
    axes.set_title("Loss", pad=17)


def _draw_accuracies(axes, history, reported):
    _draw_curves(axes, history["epoch"], history["accuracy"], history["val_accuracy"])
    if "accuracy" in reported:
        value = reported["accuracy"]
        _draw_reported_line(axes, value, BLACK, f"study: test accuracy {value:.0%}")
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
    """Mark at the upper edge the epochs whose value lies above the view or is not finite."""
    finite = np.isfinite(values)
    above = np.flatnonzero(finite & (values > top))
    marks = []
    if len(above):
        highest = values[above].max()
        text = f"{name} above the view: {_count(len(above), 'epoch')}, up to {highest:.3g}"
        marks.append((above, "^", text))
    if not finite.all():
        missing = np.flatnonzero(~finite)
        marks.append((missing, "x", f"{name} not finite: {_count(len(missing), 'epoch')}"))
    for where, marker, text in marks:
        axes.plot(
            epochs[where],
            np.full(len(where), 0.975),
            transform=axes.get_xaxis_transform(),
            linestyle="none",
            marker=marker,
            markersize=size,
            color=color,
            label=text,
            gid=UNSEEN,
        )


def _draw_reported_losses(axes, epochs, reported):
    best_loss, best_epoch = reported.get("best_val_loss"), reported.get("best_epoch")
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
    if "train_loss" in reported:
        value = reported["train_loss"]
        _draw_reported_line(axes, value, BLUE, f"study: training {value:.3f}")


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


def _mark_best_epoch(axes, epochs, values, best, label):
    epoch, value = epochs[best], values[best]
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


def _best_index(val_loss):
    """Where the validation loss is lowest, the first on ties; None where none is finite."""
    return int(np.nanargmin(val_loss)) if np.isfinite(val_loss).any() else None


def _view_top(values, reported):
    """The upper end of a loss axis that starts at 0: above all but the outliers."""
    finite = values[np.isfinite(values)]
    if len(finite) > 4:
        typical = np.percentile(finite, 75, method="lower")
        finite = finite[finite <= max(CLIP_FACTOR * typical, finite.min())]
    return 1.1 * max([*finite, *reported], default=0) or 1.0


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


def _draw_intervals(axes, accuracy, low, high):
    shown = np.isfinite(accuracy)
    rows = np.arange(len(accuracy))
    axes.plot(
        accuracy[shown],
        rows[shown],
        linestyle="none",
        marker="o",
        markersize=7,
        color=BLUE,
        clip_on=False,
        label="this run",
    )
    axes.hlines(rows[shown], low[shown], high[shown], color=BLUE, linewidth=2, label="95% interval")
    for row, value in enumerate(accuracy):
        axes.text(
            1.02,
            row,
            f"{value:.1%}" if np.isfinite(value) else "no images",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=9,
        )


def _draw_reported_classes(axes, names, reported):
    rows = [row for row, name in enumerate(names) if name in reported]
    if rows:
        axes.plot(
            [reported[names[row]] for row in rows],
            rows,
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


def _checked_history(history):
    missing = [key for key in HISTORY_KEYS if key not in history]
    require(not missing, f"history lacks {missing}; expected the keys {list(HISTORY_KEYS)}.")
    arrays = {key: np.asarray(history[key], dtype=float) for key in HISTORY_KEYS}
    lengths = {key: len(values) for key, values in arrays.items()}
    require(
        min(lengths.values()) == max(lengths.values()) > 0,
        f"history has lengths {lengths}; expected the same length of at least one epoch.",
    )
    return arrays


def _checked_reported(reported):
    reported = {key: value for key, value in (reported or {}).items() if value is not None}
    unknown = sorted(set(reported) - set(REPORTED_KEYS))
    require(not unknown, f"reported has {unknown}; expected any of {list(REPORTED_KEYS)}.")
    return reported
