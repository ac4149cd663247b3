"""What filters look for and what they answer, as figures: arrays to a matplotlib `Figure`.

The rules of `plots` hold here too. Filters are numbered from 1, in arguments and in words. The
figures of many small pictures are laid out on a canvas: one Axes over the whole figure, measured
in inches, on which every picture and every line of words has its place. That stays quick with
hundreds of pictures, and no text can push a picture aside.
"""

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kerascnn.show.canvas import (
    LINE,
    MARGIN,
    SIDE,
    WORD_SIZE,
    add_axes,
    build_canvas,
    cross_out,
    put_picture,
    wrap,
    write,
    write_heading,
    write_lines,
)
from kerascnn.show.style import (
    BLACK,
    BLUE,
    GRAY,
    LIGHT_GRAY,
    TICK_SIZE,
    VERMILLION,
    build_figure,
    require,
    shorten,
    style,
    text_width,
)

COLUMNS = 8
BAR_HEIGHT = 0.7
NUM_CORRELATIONS = 12
NUM_CLASSES = 8
# What some artists are, for who has the Figure: their `gid`.
KERNEL = "kernel"
MAP = "feature map"
BASE_RATE = "base rate"

ABOUT_KERNELS = "bright is positive weight, dark is negative, mid-gray is none"


def plot_top_activations(rows, class_names, title):
    """Draw the images that excite filters most, a row a filter, its kernel first.

    Args:
        rows: a dict a filter: `filter` (from 1), `kernel` (see `kernel_to_picture`) or None,
            `images` uint8 (k, height, width, 3), the best first, `labels` int (k,) or None,
            `predictions` int (k,) or None, and `values` float (k,), the activations.
        class_names: name of each label.
        title: what is seen.

    Returns:
        A Figure; under each image its rank, the true class, the activation and, where it is
        another, the predicted class. Where there are no labels, the prediction stands first.
    """
    _require_rows(rows)
    for row in rows:
        _require_pictures(row["images"])
        for key in ("labels", "predictions", "values"):
            num_images = len(row["images"])
            given = num_images if row[key] is None else len(row[key])
            require(
                given == num_images,
                f"filter {row['filter']} has {num_images} images; "
                f"expected as many {key}, not {given}.",
            )
    pitch, gap = SIDE + 0.15, 0.2
    kernel_width = pitch + gap if any(row["kernel"] is not None for row in rows) else 0
    num_lines = 3 if any(_misses(row).any() for row in rows) else 2
    row_height = 0.25 + SIDE + 0.06 + num_lines * LINE + 0.2
    width = kernel_width + pitch * max(len(row["images"]) for row in rows) + 2 * MARGIN
    caption = "Under each image: its rank and class, and the filter's activation."
    if kernel_width:
        caption += f" Kernels: {ABOUT_KERNELS}."
    with style():
        figure, canvas = build_canvas(width, row_height * len(rows), title, caption)
        for i, row in enumerate(rows):
            top = i * row_height
            write_heading(canvas, MARGIN, top, f"filter {row['filter']}", width)
            if row["kernel"] is not None:
                box = (MARGIN, top + 0.25, SIDE)
                put_picture(canvas, kernel_to_picture(row["kernel"]), box, gid=KERNEL)
                write_lines(canvas, box, _describe_size(row["kernel"]), color=GRAY)
            for rank, lines in enumerate(_describe_top_images(row, class_names)):
                box = (MARGIN + kernel_width + rank * pitch, top + 0.25, SIDE)
                put_picture(canvas, row["images"][rank], box)
                write_lines(canvas, box, lines[:2])
                write_lines(canvas, box, lines[2:], above=2, color=VERMILLION)
    return figure


def plot_feature_maps(rows, title, color_map="viridis"):
    """Draw images, each beside the feature maps that a layer gives for it.

    Args:
        rows: a dict an image: `image` uint8 (height, width, 3), `caption`, `maps` float
            (num_shown, map height, map width) and `filters`, the number of each map, from 1.
        title: what is seen.
        color_map: a name that matplotlib knows.

    Returns:
        A Figure, eight maps to a line. All maps of an image share one color scale.
    """
    _require_rows(rows)
    for row in rows:
        _require_pictures([row["image"]])
        require(
            np.ndim(row["maps"]) == 3 and len(row["maps"]) == len(row["filters"]) > 0,
            f"maps has shape {np.shape(row['maps'])} and there are {len(row['filters'])} filter "
            "numbers; expected (num_shown, map height, map width) and a number a map.",
        )
    side, label, gap = 0.95, 0.19, 0.1
    line_height = label + side + gap
    columns = min(COLUMNS, max(len(row["maps"]) for row in rows))
    line_counts = [-(-len(row["maps"]) // columns) for row in rows]
    # An image beside more than one line of maps has room to be larger.
    image_side = side if max(line_counts) == 1 else side + line_height
    heights = [0.27 + max(image_side + label, n * line_height) + 0.2 for n in line_counts]
    left = MARGIN + image_side + 0.25
    right = left + columns * (side + gap)
    width = right + 0.75
    caption = "All maps of an image share the color scale at their right."
    with style():
        figure, canvas = build_canvas(width, sum(heights), title, caption)
        for i, row in enumerate(rows):
            top = sum(heights[:i])
            write_heading(canvas, MARGIN, top, row["caption"], width - 2 * MARGIN)
            top += 0.27
            put_picture(canvas, row["image"], (MARGIN, top + label, image_side))
            scale = _color_scale(row["maps"])
            for j, (number, feature_map) in enumerate(
                zip(row["filters"], row["maps"], strict=True)
            ):
                x = left + j % columns * (side + gap)
                y = top + j // columns * line_height
                write(canvas, x, y, f"filter {number}", fontsize=8, color=GRAY)
                shown = put_picture(
                    canvas, feature_map, (x, y + label, side), gid=MAP, cmap=color_map, norm=scale
                )
            scale_height = min(line_counts[i], 4) * line_height - label - gap
            bar_axes = add_axes(canvas, right + 0.06, top + label, 0.12, scale_height)
            _draw_color_scale(figure, bar_axes, shown)
    return figure


def plot_filters(kernels, rows, title):
    """Draw the kernels of a layer, each with what its filter did on the images.

    Args:
        kernels: float (height, width, channels, filters), see `kernel_to_picture`.
        rows: a dict a filter: `filter` (from 1), `is_dead`, `active_share` (a fraction), `mean`
            (activation) and `classes`, names that are over-represented among its top images, the
            strongest first.
        title: what is seen.

    Returns:
        A Figure, eight kernels to a line. Dead filters are crossed out and called dead.
    """
    _require_rows(rows)
    kernels = np.asarray(kernels)
    require(
        kernels.ndim == 4,
        f"kernels has shape {kernels.shape}; expected (height, width, channels, filters).",
    )
    num_filters = kernels.shape[-1]
    for row in rows:
        require(
            1 <= row["filter"] <= num_filters,
            f"filter is {row['filter']}; expected one of 1 to {num_filters}.",
        )
    side, pitch = 1.0, 1.3
    lines = [_describe_filter(row) for row in rows]
    row_height = 0.22 + side + 0.06 + max(map(len, lines)) * LINE + 0.22
    columns = min(COLUMNS, len(rows))
    num_dead = sum(bool(row["is_dead"]) for row in rows)
    caption = f"{num_dead} of {len(rows)} filters are dead{' (crossed out)' if num_dead else ''}."
    if any(row["classes"] for row in rows):
        caption += " Classes: over-represented among a filter's top images."
    with style():
        figure, canvas = build_canvas(
            columns * pitch + 2 * MARGIN,
            -(-len(rows) // columns) * row_height,
            title,
            f"{caption} {', '.join(_describe_size(kernels)).capitalize()}: {ABOUT_KERNELS}.",
        )
        for i, row in enumerate(rows):
            x, top = MARGIN + i % columns * pitch, i // columns * row_height
            box = (x, top + 0.22, side)
            write(canvas, x, top, f"filter {row['filter']}", fontweight="bold")
            kernel = kernels[..., row["filter"] - 1]
            put_picture(canvas, kernel_to_picture(kernel), box, gid=KERNEL)
            if row["is_dead"]:
                cross_out(canvas, box)
                write_lines(canvas, box, lines[i][:1], color=VERMILLION, fontweight="bold")
                write_lines(canvas, box, lines[i][1:], above=1)
            else:
                write_lines(canvas, box, lines[i])
    return figure


def plot_explanation(correlations, kernel, classes, title, sentence):
    """Draw what one filter's answer follows.

    Args:
        correlations: dict from the names of image properties to rank correlations; the twelve
            strongest are drawn.
        kernel: see `kernel_to_picture`; or None.
        classes: a dict a class that is over-represented among the filter's top images: `name`,
            `share` (of the top images) and `base_rate` (of all images), fractions. May be empty.
        title: what is seen.
        sentence: what it comes to, in words.

    Returns:
        A Figure with a panel of correlations, one of classes, and the kernel.
    """
    require(bool(correlations), "correlations is empty; expected at least one property.")
    correlations = sorted(correlations.items(), key=lambda item: -abs(item[1]))
    shown = correlations[:NUM_CORRELATIONS]
    width, sentence_size = 10, 10.5
    lines = wrap(sentence, (width - 0.4) * 72 / sentence_size)
    with style({"axes.grid.axis": "x"}):
        figure = build_figure(
            width, max(3.6, 0.27 * len(shown) + 1.3) + 0.2 * len(lines) + 0.3, title
        )
        figure.get_layout_engine().set(wspace=0.06, hspace=0.06)
        grid = figure.add_gridspec(2, 2, width_ratios=[1.35, 1], height_ratios=[1, 1.15])
        _draw_correlations(figure.add_subplot(grid[:, 0]), shown, len(correlations))
        if kernel is None:
            _draw_class_shares(figure.add_subplot(grid[:, 1]), classes)
        else:
            _draw_kernel(figure.add_subplot(grid[0, 1]), kernel)
            _draw_class_shares(figure.add_subplot(grid[1, 1]), classes)
        figure.supxlabel(
            "\n".join(lines), x=0.1 / width, ha="left", fontsize=sentence_size, linespacing=1.3
        )
    return figure


def plot_probabilities(images, names, probabilities, class_names, title, top=5):
    """Draw pictures beside the classes that the model finds most probable.

    Args:
        images: uint8 (num_images, height, width, 3), or a list of pictures of any size.
        names: what to call each picture, for instance its file name.
        probabilities: float (num_images, num_classes), fractions.
        class_names: num_classes strings.
        title: what is seen.
        top: classes to show of each.

    Returns:
        A Figure; the bars of a picture start with its most probable class.
    """
    _require_pictures(images)
    probabilities = np.asarray(probabilities)
    expected = (len(images), len(class_names))
    require(
        probabilities.shape == expected and len(names) == len(images) > 0,
        f"There are {len(images)} images, {len(names)} names and probabilities of shape "
        f"{probabilities.shape}; expected one name and {len(class_names)} probabilities an image.",
    )
    require(top >= 1, f"top is {top}; expected at least 1.")
    side, bar_width, block_width = 1.5, 1.5, 5.4
    label_width = block_width - side - bar_width - 0.8
    block_height = 0.28 + side + 0.3
    columns = min(2, len(images))
    with style({"axes.grid": False}):
        figure, canvas = build_canvas(
            columns * block_width + MARGIN,
            -(-len(images) // columns) * block_height,
            title,
            "Bars: the model's probability of its most probable classes.",
        )
        for i, image in enumerate(images):
            x, y = MARGIN + i % columns * block_width, i // columns * block_height
            write_heading(canvas, x, y, names[i], block_width - 0.3)
            y += 0.28
            put_picture(canvas, image, (x, y, side))
            axes = add_axes(canvas, x + side + label_width + 0.15, y, bar_width, side)
            # NaN sorts last, and the stable sort keeps equal classes in their own order.
            order = np.argsort(-probabilities[i], kind="stable")[:top]
            _draw_probabilities(
                axes,
                probabilities[i, order],
                [shorten(class_names[k], label_width * 72 / TICK_SIZE - 1) for k in order],
            )
    return figure


def kernel_to_picture(kernel):
    """A kernel as a picture: mid-gray is no weight, and the largest weight sets the scale.

    Args:
        kernel: float (height, width, channels). With three channels these are red, green and
            blue; any other number is drawn in gray, as the mean of all.

    Returns:
        float (height, width, 3) from 0 to 1.
    """
    kernel = np.asarray(kernel, dtype=float)
    require(
        kernel.ndim == 3, f"kernel has shape {kernel.shape}; expected (height, width, channels)."
    )
    if kernel.shape[2] != 3:
        kernel = np.repeat(kernel.mean(axis=2, keepdims=True), 3, axis=2)
    return 0.5 + 0.5 * kernel / (np.abs(kernel).max() or 1)


# The canvas


# Words


def _describe_top_images(row, class_names):
    """Lines for each image: rank and class, activation and, if it is wrong, the prediction."""
    described = []
    for rank, is_miss in enumerate(_misses(row)):
        first = f"{rank + 1}. "
        if row["labels"] is not None:
            first = _fit(first, class_names[row["labels"][rank]])
        elif row["predictions"] is not None:
            first = _fit(f"{first}called ", class_names[row["predictions"][rank]])
        lines = [first.rstrip(), _number(row["values"][rank])]
        if is_miss:
            lines.append(_fit("called ", class_names[row["predictions"][rank]]))
        described.append(lines)
    return described


def _misses(row):
    """Of each image whether the predicted class is known to be wrong."""
    if row["predictions"] is None or row["labels"] is None:
        return np.zeros(len(row["images"]), bool)
    return np.asarray(row["predictions"]) != np.asarray(row["labels"])


def _fit(words, name):
    """Words and a name after them, shortened to the width of a picture."""
    return words + shorten(name, SIDE * 72 / WORD_SIZE - text_width(words))


def _describe_filter(row):
    mean = f"mean {_number(row['mean'])}"
    if row["is_dead"]:
        # It ranks all images alike, so that no class says anything about it.
        return ["dead", mean]
    widest = 1.2 * 72 / WORD_SIZE
    names = [shorten(name, widest) for name in row["classes"][:2]]
    return [f"active {_percent(row['active_share'])}", mean, *names]


def _describe_size(kernel):
    height, width, channels = np.shape(kernel)[:3]
    lines = [f"kernel {height}×{width}"]
    return lines if channels == 3 else [*lines, f"mean of {channels} channels"]


def _number(value):
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1e5 else f"{value:.2e}"


def _percent(share):
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


# Panels


def _color_scale(maps):
    """From the lowest to the highest value of an image's maps, as far as they are finite."""
    finite = np.asarray(maps)[np.isfinite(maps)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Normalize(low, high if high > low else low + 1)


def _draw_color_scale(figure, axes, shown):
    low, high = shown.get_clim()
    scale = figure.colorbar(shown, cax=axes)
    ticks = np.linspace(low, high, 3)
    scale.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    axes.tick_params(labelsize=8, length=2)
    axes.grid(False)
    scale.outline.set_visible(False)


def _draw_bars(axes, names, values, colors, least):
    """Horizontal bars from the top down, no thicker than `least` of them would be."""
    rows = np.arange(len(values))
    axes.barh(rows, values, height=BAR_HEIGHT, color=colors)
    axes.set_yticks(rows, names)
    axes.set_ylim(max(len(values), least) - 0.4, -0.6)
    axes.tick_params(labelsize=TICK_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_correlations(axes, correlations, num_all):
    names = [shorten(name, 17, length=34) for name, _ in correlations]
    rhos = np.array([rho for _, rho in correlations], dtype=float)
    _draw_bars(axes, names, rhos, [BLUE if rho >= 0 else VERMILLION for rho in rhos], least=7)
    axes.axvline(0, color=GRAY, linewidth=1)
    for row, rho in enumerate(rhos):
        is_right = not rho < 0
        axes.annotate(
            f"{rho:+.2f}".replace("-", "−"),
            (np.nan_to_num(rho), row),
            xytext=(4 if is_right else -4, 0),
            textcoords="offset points",
            annotation_clip=False,
            ha="left" if is_right else "right",
            va="center",
            fontsize=8.5,
        )
    # Room for the number beside a bar that fills the axis.
    axes.set_xlim(-1.25, 1.25)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "0.5", "1"])
    axes.set_xlabel("rank correlation of the filter's answer (Spearman's rho)")
    which = f"{len(rhos)} strongest of {num_all}" if num_all > len(rhos) else f"all {num_all}"
    axes.set_title(f"Properties of the image, {which}")


def _draw_kernel(axes, kernel):
    picture = kernel_to_picture(kernel)
    axes.imshow(picture, interpolation="nearest", gid=KERNEL)
    axes.set(xticks=[], yticks=[], anchor="W")
    axes.grid(False)
    axes.spines[:].set(visible=True, color=LIGHT_GRAY, linewidth=0.6)
    first, *rest = _describe_size(kernel)
    axes.set_title(", ".join([first.capitalize(), *rest]) + " (mid-gray: no weight)")


def _draw_class_shares(axes, classes):
    axes.set_title("Over-represented classes")
    if not classes:
        axes.set_axis_off()
        axes.text(
            0, 0.95, "no class is over-represented", transform=axes.transAxes, va="top", color=GRAY
        )
        return
    shown = classes[:NUM_CLASSES]
    shares = np.array([row["share"] for row in shown])
    base_rates = np.array([row["base_rate"] for row in shown])
    _draw_bars(axes, [shorten(row["name"]) for row in shown], shares, BLUE, least=4)
    axes.vlines(
        base_rates,
        np.arange(len(shown)) - 0.45,
        np.arange(len(shown)) + 0.45,
        color=BLACK,
        linewidth=2.2,
        gid=BASE_RATE,
    )
    for row, (share, base_rate) in enumerate(zip(shares, base_rates, strict=True)):
        axes.annotate(
            _percent(share),
            (max(share, base_rate), row),
            xytext=(5, 0),
            textcoords="offset points",
            annotation_clip=False,
            va="center",
            fontsize=8.5,
        )
    axes.set_xlim(0, 1.2 * max(shares.max(), base_rates.max()))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    more = f"; {len(classes) - len(shown)} more not shown" if len(classes) > len(shown) else ""
    axes.set_xlabel(f"share of the filter's top images\n(black tick: share of all images{more})")


def _draw_probabilities(axes, probabilities, names):
    # The first bar stands out by its place; its color only adds to that.
    _draw_bars(axes, names, probabilities, [BLUE] + [GRAY] * (len(names) - 1), least=5)
    axes.axvline(0, color=GRAY, linewidth=1)
    axes.set(xlim=(0, 1), xticks=[])
    axes.spines["bottom"].set_visible(False)
    for row, probability in enumerate(probabilities):
        axes.annotate(
            f"{probability:.1%}" if not 0 < probability < 0.0005 else "<0.1%",
            (np.nan_to_num(probability), row),
            xytext=(4, 0),
            textcoords="offset points",
            annotation_clip=False,
            va="center",
            fontsize=TICK_SIZE,
        )


def _require_rows(rows):
    require(len(rows) > 0, "rows is empty; expected at least one.")


def _require_pictures(images):
    for image in images:
        require(
            image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8,
            f"An image has shape {image.shape} and dtype {image.dtype}; "
            "expected uint8 (height, width, 3).",
        )
