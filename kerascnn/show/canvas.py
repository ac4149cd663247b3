"""A canvas for figures of many small pictures: one Axes over the whole figure, measured in inches.

Every picture and every line of words has its place on it. That stays quick with hundreds of
pictures, and no text can push a picture aside.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from kerascnn.show.style import (
    BLACK,
    GRAY,
    LIGHT_GRAY,
    build_figure,
    printable,
    shorten,
    text_width,
    wrap_title,
)

# In inches: the border of a canvas, the side of a picture, and between two lines of words.
MARGIN = 0.1
SIDE = 1.15
LINE = 0.165
WORD_SIZE = 8.5
HEADING_LENGTH = 150
# A larger picture is smoothed as it is made smaller; smaller ones show their pixels.
LARGE = 96
MIN_WIDTH = 5.0
# What some artists are, for who has the Figure: their `gid`.
PICTURE = "picture"
KERNEL = "kernel"
MAP = "feature map"
DEAD = "dead"

# Left, top and side of a square of the canvas.
Box = tuple[float, float, float]


def build_canvas(width: float, height: float, title: str, caption: str) -> tuple[Figure, Axes]:
    """A Figure with `height` inches between its title and its caption, and its canvas.

    The canvas counts inches, from the left and downwards from where the title's room ends.
    """
    width = max(width, MIN_WIDTH)
    caption_size = 8.5
    lines = wrap(caption, (width - 2 * MARGIN) * 72 / caption_size)
    above = 0.27 + 0.22 * len(wrap_title(title, width))
    below = LINE * len(lines) + MARGIN
    figure = build_figure(width, above + height + below, title, layout="none")
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set(xlim=(0, width), ylim=(height + below, -above))
    canvas.set_axis_off()
    for i, line in enumerate(lines):
        write(canvas, MARGIN, height + i * LINE, line, fontsize=caption_size, color=GRAY)
    return figure, canvas


def add_axes(canvas: Axes, x: float, y: float, width: float, height: float) -> Axes:
    """Axes in a rectangle of the canvas whose upper left corner is given."""
    full_width, full_height = canvas.figure.get_size_inches()
    top = -canvas.get_ylim()[1]
    bottom = 1 - (top + y + height) / full_height
    size = width / full_width, height / full_height
    return canvas.figure.add_axes((x / full_width, bottom, *size))


def put_picture(
    canvas: Axes, picture: np.ndarray, box: Box, gid: str = PICTURE, **options: object
) -> AxesImage:
    """Draw a picture, as large as fits, in a square of the canvas."""
    left, top, side = box
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    interpolation = "nearest" if max(height, width) <= LARGE else "auto"
    width, height = width * scale, height * scale
    top += (side - height) / 2
    extent = (left, left + width, top + height, top)
    frame = Rectangle((left, top), width, height, fill=False, color=LIGHT_GRAY, linewidth=0.6)
    canvas.add_patch(frame)
    options = {"aspect": "auto", "interpolation": interpolation, "gid": gid, **options}
    return canvas.imshow(picture, extent=extent, **options)


def write(canvas: Axes, x: float, y: float, text: str, **options: object) -> None:
    """Write one line whose upper left corner is given."""
    canvas.text(x, y, text, va="top", **{"fontsize": WORD_SIZE, **options})


def write_heading(canvas: Axes, x: float, y: float, text: str, width: float) -> None:
    """Write one line in bold, shortened to `width` inches."""
    size = 10
    # Bold letters are up to a quarter wider.
    text = shorten(text, width * 72 / size / 1.25, length=HEADING_LENGTH)
    write(canvas, x, y, text, fontsize=size, fontweight="bold")


def write_lines(
    canvas: Axes, box: Box, lines: Sequence[str], above: int = 0, **options: object
) -> None:
    """Write lines under a picture's square, leaving room for `above` of them before."""
    left, top, side = box
    for i, line in enumerate(lines, start=above):
        write(canvas, left, top + side + 0.06 + i * LINE, line, **options)


def cross_out(canvas: Axes, box: Box) -> None:
    """Draw a cross over a square."""
    left, top, side = box
    for ends in ((top, top + side), (top + side, top)):
        # White beside black is seen on every kernel.
        for color, linewidth in (("white", 4), (BLACK, 1.8)):
            canvas.plot([left, left + side], ends, color=color, linewidth=linewidth, gid=DEAD)


def wrap(text: str, width: float) -> list[str]:
    """The text in lines of at most `width` ems."""
    text = printable(text)
    for characters in range(int(2.5 * width), 1, -1):
        lines = textwrap.wrap(text, characters, break_on_hyphens=False)
        if max(map(text_width, lines), default=0) <= width:
            break
    return lines
