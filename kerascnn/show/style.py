"""How all figures look: colors, letters, titles, and how names are fitted into them.

A user's own matplotlib settings neither change these figures nor are changed by them. Colors are
Okabe and Ito's, and nothing is told by color alone. Text from outside (titles, class names) is
drawn as it stands: `$` and `_` mean nothing special.
"""

import textwrap
from contextlib import AbstractContextManager

import matplotlib.style
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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
# Names are held to a number of characters and to a width in ems, as 20 "W" are twice 20 "e".
NAME_LENGTH = 20
NAME_WIDTH = 13
TITLE_LINES = 3
LETTERS_PER_INCH = 8.6  # of a title
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


def style(changes: dict[str, object] | None = None) -> AbstractContextManager:
    """Draw within this, so that no setting of the user's matters; `changes` are further ones."""
    return matplotlib.style.context(["default", STYLE, changes or {}])


def build_figure(width: float, height: float, title: str, layout: str = "constrained") -> Figure:
    """A Figure of that many inches under its title, wrapped to the width.

    With the layout "none" the title's upper end is a tenth of an inch from the figure's.
    """
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    place = {"x": 0.1 / width}
    if layout == "none":
        place["y"] = 1 - 0.1 / height
    else:
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    lines = "\n".join(wrap_title(title, width))
    figure.suptitle(lines, **place, ha="left", size=12, weight="bold", linespacing=1.25)
    return figure


def wrap_title(title: str, width: float) -> list[str]:
    """The lines of a title over a figure `width` inches wide."""
    letters = int(width * LETTERS_PER_INCH)
    return textwrap.wrap(printable(title), letters, max_lines=TITLE_LINES, placeholder=" …")


def shorten(name: str, width: float = NAME_WIDTH, length: int = NAME_LENGTH) -> str:
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


def text_width(text: str) -> float:
    """The width of one line in ems, that is in multiples of the font size."""
    font = _font()
    font.set_size(100, 72)
    font.set_text(text)
    return font.get_width_height()[0] / 64 / 100


def _font():
    return font_manager.get_font(font_manager.findfont(FONT))


def printable(text: object) -> str:
    """The text in one line, with `�` for what the font cannot draw."""
    font = _font()
    text = " ".join(str(text).split())
    return "".join(
        character if character.isprintable() and font.get_char_index(ord(character)) else "�"
        for character in text
    )


def draw_top_label(axes: Axes, x: float, text: str) -> None:
    """Write above the upper edge at `x`, where no curve can lie, leaning into the axes."""
    left, right = axes.get_xlim()
    place = (x - left) / (right - left)
    side = "left" if place < 0.3 else "right" if place > 0.7 else "center"
    upper = axes.get_xaxis_transform()
    axes.text(x, 1.01, text, transform=upper, ha=side, va="bottom", fontsize=8.5, color=GRAY)


def put_legend_below(axes: Axes, columns: int) -> None:
    """Put the legend half an inch below the axes, where their labels end."""
    place = axes.transAxes + ScaledTranslation(0, -0.5, axes.figure.dpi_scale_trans)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=place, ncols=columns)
