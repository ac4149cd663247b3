"""Arrays to a matplotlib `Figure`: no model, no path, nothing shown.

Every function returns a `matplotlib.figure.Figure` that pyplot does not know of; store it with
`figure.savefig(path)`. A user's own matplotlib settings neither change these figures nor are
changed by them. Colors are Okabe and Ito's, and nothing is told by color alone. Text from outside
(titles, class names) is drawn as it stands: `$` and `_` mean nothing special.
"""

import textwrap

import matplotlib.style
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation

FONT = "DejaVu Sans"  # comes with matplotlib
# Also set on each numeric axis: matplotlib would look it up when drawing, in the user's settings.
TICK_SIZE = 9

BLACK = "#222222"
GRAY = "#6b6b6b"
LIGHT_GRAY = "#dddddd"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"

HISTORY_KEYS = ("epoch", "loss", "val_loss", "accuracy", "val_accuracy")
REPORTED_KEYS = ("best_val_loss", "best_epoch", "train_loss", "accuracy")
EXAMPLE_COLUMNS = 5
# Names are held to a number of characters and to a width in ems, as 20 "W" are twice 20 "e".
NAME_LENGTH = 20
NAME_WIDTH = 13
TILE_NAME_WIDTH = 10
TITLE_LINES = 3
# A loss beyond this many times the upper quartile would flatten the rest of its curve.
CLIP_FACTOR = 5
# What some lines are, for who has the Figure: their `gid`.
BEST = "best epoch"
UNSEEN = "out of view"

STYLE = {
    "axes.edgecolor": GRAY,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": BLACK,
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "figure.dpi": 120,
    # By name, because "sans-serif" would be looked up only when drawn, in the user's settings.
    "font.family": [FONT],
    "font.size": 9.5,
    "grid.color": LIGHT_GRAY,
    "grid.linewidth": 0.7,
    "legend.borderaxespad": 0.0,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "text.color": BLACK,
    "text.parse_math": False,
    "xtick.color": GRAY,
    "xtick.labelcolor": BLACK,
    "xtick.labelsize": TICK_SIZE,
    "ytick.color": GRAY,
    "ytick.labelcolor": BLACK,
    "ytick.labelsize": TICK_SIZE,
}


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


def plot_examples(images, labels, predictions, probabilities, class_names, title):
    """Draw test images with their true class, the predicted class, and its probability.

    A right tile has a solid frame, a check mark and the word "right"; a wrong one has a dashed
    frame, a cross and the word "wrong".

    Args:
        images: uint8 (num_images, height, width, 3), 1 to about 20 of them.
        labels: int (num_images,), from 0.
        predictions: int (num_images,), from 0.
        probabilities: float (num_images, num_classes), fractions.
        class_names: num_classes strings.
        title: what is seen.

    Returns:
        A Figure with a tile an image, five to a row.
    """
    images, probabilities = np.asarray(images), np.asarray(probabilities)
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    num_images, num_classes = len(images), len(class_names)
    require(
        images.ndim == 4 and images.shape[-1] == 3 and images.dtype == np.uint8 and num_images > 0,
        f"images has shape {images.shape} and dtype {images.dtype}; "
        "expected uint8 (num_images, height, width, 3) with at least one image.",
    )
    require_shape("labels", labels, (num_images,))
    require_shape("predictions", predictions, (num_images,))
    require_shape("probabilities", probabilities, (num_images, num_classes))

    # At least three columns, so that the title has room and few images stand at the left.
    columns = min(EXAMPLE_COLUMNS, max(3, num_images))
    rows = -(-num_images // columns)
    picture_height = 1.9 * images.shape[1] / images.shape[2]
    with style({"axes.grid": False}):
        figure = build_figure(
            2.1 * columns, (picture_height + 0.95) * rows + 0.8, title, "compressed"
        )
        figure.get_layout_engine().set(hspace=0.12)
        all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in all_axes[num_images:]:
            axes.remove()
        for i, axes in enumerate(all_axes[:num_images]):
            _draw_picture(axes, images[i])
            _draw_verdict(
                axes,
                class_names[labels[i]],
                class_names[predictions[i]],
                probabilities[i, predictions[i]],
                right=bool(labels[i] == predictions[i]),
            )
        num_right = int((labels == predictions).sum())
        _draw_caption(
            figure, f"{num_right} of {num_images} right. Solid frame: right; dashed frame: wrong."
        )
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


def plot_augmentations(originals, draws, title):
    """Draw images and what augmentation makes of them, a row an image.

    Args:
        originals: uint8, or float in 0..255, (num_images, height, width, 3).
        draws: uint8, or float in 0..255, (num_images, num_draws, height, width, 3).
        title: what is seen.

    Returns:
        A Figure whose first column, framed and set apart, holds the originals.
    """
    originals, draws = np.asarray(originals), np.asarray(draws)
    require(
        originals.ndim == 4 and originals.shape[-1] == 3 and len(originals) > 0,
        f"originals has shape {originals.shape}; expected (num_images, height, width, 3).",
    )
    require(
        draws.ndim == 5
        and draws.shape[1] > 0
        and draws.shape[:1] + draws.shape[2:] == originals.shape,
        f"draws has shape {draws.shape}; expected (num_images, num_draws, height, width, 3) "
        f"beside originals of shape {originals.shape}.",
    )
    num_images, num_draws, height, width = draws.shape[:4]
    picture_height = 1.25 * height / width
    with style({"axes.grid": False}):
        figure = build_figure(
            max(4.5, 1.25 * (num_draws + 1.6)),
            picture_height * num_images + 1.0,
            title,
            "compressed",
        )
        # The narrow second column stays empty: it sets the originals apart.
        grid = figure.add_gridspec(
            num_images, num_draws + 2, width_ratios=[1, 0.2] + [1] * num_draws
        )
        for i in range(num_images):
            original_axes = figure.add_subplot(grid[i, 0])
            _draw_picture(original_axes, _to_uint8(originals[i]))
            _frame(original_axes, BLACK, "solid")
            draw_axes = [figure.add_subplot(grid[i, 2 + j]) for j in range(num_draws)]
            for j, axes in enumerate(draw_axes):
                _draw_picture(axes, _to_uint8(draws[i, j]))
                axes.spines[:].set_visible(False)
            if i == 0:
                original_axes.set_title("original", loc="center", fontsize=9)
                for j, axes in enumerate(draw_axes):
                    axes.set_title(f"draw {j + 1}", loc="center", fontsize=9, color=GRAY)
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


def style(changes=None):
    return matplotlib.style.context(["default", STYLE, changes or {}])


def build_figure(width, height, title, layout="constrained"):
    """A Figure of that many inches under its title, wrapped to the width.

    With the layout "none" the title's upper end is a tenth of an inch from the figure's.
    """
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    place = {"x": 0.1 / width}
    if layout == "none":
        place["y"] = 1 - 0.1 / height
    else:
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    figure.suptitle(
        "\n".join(wrap_title(title, width)),
        **place,
        ha="left",
        fontsize=12,
        fontweight="bold",
        linespacing=1.25,
    )
    return figure


def wrap_title(title, width):
    """The lines of a title over a figure `width` inches wide."""
    characters_per_inch = 8.6
    return textwrap.wrap(
        printable(title),
        width=int(width * characters_per_inch),
        max_lines=TITLE_LINES,
        placeholder=" …",
    )


def _draw_caption(figure, text):
    figure.supxlabel(text, x=0.1 / figure.get_figwidth(), ha="left", fontsize=9, color=GRAY)


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


def _draw_picture(axes, image):
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _frame(axes, color, linestyle):
    axes.spines[:].set(visible=True, color=color, linestyle=linestyle, linewidth=2.2)


def _draw_verdict(axes, true_name, predicted_name, probability, right):
    color = GREEN if right else VERMILLION
    _frame(axes, color, "solid" if right else (0, (4, 3.5)))
    axes.set_title(
        "✓ right" if right else "✗ wrong", loc="left", color=color, fontsize=9.5, fontweight="bold"
    )
    axes.set_xlabel(
        f"true: {shorten(true_name, TILE_NAME_WIDTH)}\n"
        f"predicted: {shorten(predicted_name, TILE_NAME_WIDTH)}\n"
        f"probability: {probability:.0%}",
        loc="left",
        fontsize=8.5,
        linespacing=1.3,
    )


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


def _to_uint8(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def shorten(name, width=NAME_WIDTH, length=NAME_LENGTH):
    """The name in at most `length` characters and `width` ems, with its end: names differ there."""
    name = printable(name)
    if len(name) <= length and text_width(name) <= width:
        return name
    for kept in range(min(length, len(name)), 2, -1):
        tail = kept // 3
        shortened = f"{name[: kept - tail - 1].rstrip()}…{name[-tail:].lstrip()}"
        if text_width(shortened) <= width:
            break
    return shortened


def text_width(text):
    """The width of one line in ems, that is in multiples of the font size."""
    font = _font()
    font.set_size(100, 72)
    font.set_text(text)
    return font.get_width_height()[0] / 64 / 100


def _font():
    return font_manager.get_font(font_manager.findfont(FONT))


def printable(text):
    """The text in one line, with `�` for what the font cannot draw."""
    font = _font()
    text = " ".join(str(text).split())
    return "".join(
        character if character.isprintable() and font.get_char_index(ord(character)) else "�"
        for character in text
    )


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


def require_shape(name, array, shape):
    require(array.shape == shape, f"{name} has shape {array.shape}; expected {shape}.")


def require(condition, message):
    if not condition:
        raise ValueError(message)
