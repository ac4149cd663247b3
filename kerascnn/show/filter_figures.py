"""What filters look for and what they answer, as figures: records and arrays to a `Figure`.

Filters count from 1, in records and in words. All these figures are laid out on a canvas, see
`show.canvas`.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from kerascnn.records.filters import (
    FilterPicture,
    FilterRow,
    ImageMaps,
    MapPictures,
    RankedImage,
    TopPictures,
)
from kerascnn.show.canvas import (
    KERNEL,
    LINE,
    MAP,
    MARGIN,
    SIDE,
    WORD_SIZE,
    add_axes,
    build_canvas,
    cross_out,
    put_picture,
    write,
    write_heading,
    write_lines,
)
from kerascnn.show.pictures import COLOR_MAP, describe_size, kernel_to_picture
from kerascnn.show.style import GRAY, VERMILLION, shorten, style, text_width
from kerascnn.show.words import short_percent

COLUMNS = 8
ABOUT_KERNELS = "bright is positive weight, dark is negative, mid-gray is none"


def plot_top_activations(rows: Sequence[TopPictures], title: str) -> Figure:
    """Draw the images that excite filters most, a row a filter, its kernel first.

    Under each image stand its rank, the true class, the activation and, where it is another, the
    predicted class. Where there are no labels, the prediction stands first.
    """
    pitch, gap = SIDE + 0.15, 0.2
    kernel_width = pitch + gap if any(row.kernel is not None for row in rows) else 0
    num_lines = 3 if any(_is_miss(image) for row in rows for image in row.record.top) else 2
    row_height = 0.25 + SIDE + 0.06 + num_lines * LINE + 0.2
    width = kernel_width + pitch * max(len(row.images) for row in rows) + 2 * MARGIN
    caption = "Under each image: its rank and class, and the filter's activation."
    if kernel_width:
        caption += f" Kernels: {ABOUT_KERNELS}."
    with style():
        figure, canvas = build_canvas(width, row_height * len(rows), title, caption)
        for i, row in enumerate(rows):
            top = i * row_height
            write_heading(canvas, MARGIN, top, f"filter {row.record.filter}", width)
            if row.kernel is not None:
                box = (MARGIN, top + 0.25, SIDE)
                put_picture(canvas, kernel_to_picture(row.kernel), box, gid=KERNEL)
                write_lines(canvas, box, describe_size(row.kernel), color=GRAY)
            for place, (ranked, image) in enumerate(zip(row.record.top, row.images, strict=True)):
                box = (MARGIN + kernel_width + place * pitch, top + 0.25, SIDE)
                put_picture(canvas, image, box)
                lines = _describe_ranked(ranked)
                write_lines(canvas, box, lines[:2])
                write_lines(canvas, box, lines[2:], above=2, color=VERMILLION)
    return figure


def plot_feature_maps(rows: Sequence[MapPictures], title: str) -> Figure:
    """Draw images, each beside the feature maps that a layer gives for it, eight maps to a line.

    All maps of an image share one color scale.
    """
    side, label, gap = 0.95, 0.19, 0.1
    line_height = label + side + gap
    columns = min(COLUMNS, max(len(row.maps) for row in rows))
    line_counts = [-(-len(row.maps) // columns) for row in rows]
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
            write_heading(canvas, MARGIN, top, _describe_image(row.record), width - 2 * MARGIN)
            top += 0.27
            put_picture(canvas, row.image, (MARGIN, top + label, image_side))
            scale = _color_scale(row.maps)
            for j, found in enumerate(row.record.filters):
                x = left + j % columns * (side + gap)
                y = top + j // columns * line_height
                write(canvas, x, y, f"filter {found.filter}", fontsize=8, color=GRAY)
                box = (x, y + label, side)
                shown = put_picture(canvas, row.maps[j], box, gid=MAP, cmap=COLOR_MAP, norm=scale)
            scale_height = min(line_counts[i], 4) * line_height - label - gap
            bar_axes = add_axes(canvas, right + 0.06, top + label, 0.12, scale_height)
            _draw_color_scale(figure, bar_axes, shown)
    return figure


def plot_filters(rows: Sequence[FilterPicture], title: str) -> Figure:
    """Draw the kernels of a layer, eight to a line, each with what its filter did on the images.

    Dead filters are crossed out and called dead.
    """
    side, pitch = 1.0, 1.3
    lines = [_describe_filter(row.record) for row in rows]
    row_height = 0.22 + side + 0.06 + max(map(len, lines)) * LINE + 0.22
    columns = min(COLUMNS, len(rows))
    num_dead = sum(row.record.is_dead for row in rows)
    caption = f"{num_dead} of {len(rows)} filters are dead{' (crossed out)' if num_dead else ''}."
    if any(row.record.classes for row in rows):
        caption += " Classes: over-represented among a filter's top images."
    caption += f" {', '.join(describe_size(rows[0].kernel)).capitalize()}: {ABOUT_KERNELS}."
    width, height = columns * pitch + 2 * MARGIN, -(-len(rows) // columns) * row_height
    with style():
        figure, canvas = build_canvas(width, height, title, caption)
        for i, row in enumerate(rows):
            x, top = MARGIN + i % columns * pitch, i // columns * row_height
            box = (x, top + 0.22, side)
            write(canvas, x, top, f"filter {row.record.filter}", fontweight="bold")
            put_picture(canvas, kernel_to_picture(row.kernel), box, gid=KERNEL)
            if row.record.is_dead:
                cross_out(canvas, box)
                write_lines(canvas, box, lines[i][:1], color=VERMILLION, fontweight="bold")
                write_lines(canvas, box, lines[i][1:], above=1)
            else:
                write_lines(canvas, box, lines[i])
    return figure


def _describe_ranked(image: RankedImage) -> list[str]:
    first = f"{image.rank}. "
    if image.label is not None:
        first = _fit(first, image.label)
    elif image.prediction is not None:
        first = _fit(f"{first}called ", image.prediction)
    lines = [first.rstrip(), _number(image.activation)]
    return [*lines, _fit("called ", image.prediction)] if _is_miss(image) else lines


def _is_miss(image: RankedImage) -> bool:
    """Whether the predicted class is known to be wrong."""
    return None not in (image.label, image.prediction) and image.label != image.prediction


def _fit(words: str, name: str) -> str:
    return words + shorten(name, SIDE * 72 / WORD_SIZE - text_width(words))


def _describe_image(record: ImageMaps) -> str:
    name = record.label or record.image
    if record.prediction is None:
        return name
    return f"{name}, called {record.prediction} {record.probability:.0%}"


def _describe_filter(row: FilterRow) -> list[str]:
    mean = f"mean {_number(row.mean)}"
    if row.is_dead:
        return ["dead", mean]
    widest = 1.2 * 72 / WORD_SIZE
    names = [shorten(each.name, widest) for each in row.classes[:2]]
    return [f"active {short_percent(row.active_share)}", mean, *names]


def _number(value: float) -> str:
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1e5 else f"{value:.2e}"


def _color_scale(maps: np.ndarray) -> Normalize:
    """From the lowest to the highest value of an image's maps, as far as they are finite."""
    finite = maps[np.isfinite(maps)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return Normalize(low, high if high > low else low + 1)


def _draw_color_scale(figure: Figure, axes: Axes, shown: AxesImage) -> None:
    low, high = shown.get_clim()
    scale = figure.colorbar(shown, cax=axes)
    ticks = np.linspace(low, high, 3)
    scale.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    axes.tick_params(labelsize=8, length=2)
    axes.grid(False)
    scale.outline.set_visible(False)
