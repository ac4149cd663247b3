"""Horizontal bars with a name each, as several figures have them."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from kerascnn.show.style import TICK_SIZE


def draw_bars(
    axes: Axes, names: Sequence[str], values: Sequence[float], colors: str | list[str], least: int
) -> None:
    """Draw bars from the top down, no thicker than `least` of them would be."""
    rows = np.arange(len(values))
    axes.barh(rows, values, height=0.7, color=colors)
    axes.set_yticks(rows, names)
    axes.set_ylim(max(len(values), least) - 0.4, -0.6)
    axes.tick_params(labelsize=TICK_SIZE)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def write_beside(
    axes: Axes, row: int, value: float, text: str, offset: float = 4, size: float = 8.5
) -> None:
    """Write beside the end of a bar; at its left where the offset, in points, is negative."""
    place = {"xy": (value, row), "xytext": (offset, 0), "textcoords": "offset points"}
    side = "left" if offset > 0 else "right"
    axes.annotate(text, **place, annotation_clip=False, ha=side, va="center", fontsize=size)
