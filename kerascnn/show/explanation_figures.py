"""What a filter follows, as a figure: properties of images, its kernel, and classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from kerascnn.records.filters import ExplainedClass, ExplanationPicture
from kerascnn.show.bars import draw_bars, write_beside
from kerascnn.show.canvas import KERNEL, wrap
from kerascnn.show.pictures import describe_size, kernel_to_picture
from kerascnn.show.style import (
    BLACK,
    BLUE,
    GRAY,
    LIGHT_GRAY,
    VERMILLION,
    build_figure,
    shorten,
    style,
)
from kerascnn.show.words import short_percent

NUM_CORRELATIONS = 12
NUM_CLASSES = 8
# The `gid` of the ticks that say how frequent a class is among all images.
BASE_RATE = "base rate"


def plot_explanation(explained: ExplanationPicture, title: str) -> Figure:
    """Draw what one filter's answer follows.

    A panel has the twelve strongest correlations, one the classes that are over-represented, and
    one the kernel, if there is one; the sentence stands below.
    """
    correlations = list(explained.record.correlations.items())
    classes = explained.record.classes
    shown = correlations[:NUM_CORRELATIONS]
    width, sentence_size = 10, 10.5
    lines = wrap(explained.record.sentence, (width - 0.4) * 72 / sentence_size)
    with style({"axes.grid.axis": "x"}):
        height = max(3.6, 0.27 * len(shown) + 1.3) + 0.2 * len(lines) + 0.3
        figure = build_figure(width, height, title)
        figure.get_layout_engine().set(wspace=0.06, hspace=0.06)
        grid = figure.add_gridspec(2, 2, width_ratios=[1.35, 1], height_ratios=[1, 1.15])
        _draw_correlations(figure.add_subplot(grid[:, 0]), shown, len(correlations))
        if explained.kernel is None:
            _draw_class_shares(figure.add_subplot(grid[:, 1]), classes)
        else:
            _draw_kernel(figure.add_subplot(grid[0, 1]), explained.kernel)
            _draw_class_shares(figure.add_subplot(grid[1, 1]), classes)
        place = {"x": 0.1 / width, "ha": "left"}
        figure.supxlabel("\n".join(lines), **place, fontsize=sentence_size, linespacing=1.3)
    return figure


def _draw_correlations(axes: Axes, correlations: Sequence[tuple[str, float]], num_all: int) -> None:
    names = [shorten(name, 17, length=34) for name, _ in correlations]
    rhos = [rho for _, rho in correlations]
    draw_bars(axes, names, rhos, [BLUE if rho >= 0 else VERMILLION for rho in rhos], least=7)
    axes.axvline(0, color=GRAY, linewidth=1)
    for row, rho in enumerate(rhos):
        text = f"{rho:+.2f}".replace("-", "−")
        write_beside(axes, row, rho, text, offset=-4 if rho < 0 else 4)
    # Room for the number beside a bar that fills the axis.
    axes.set_xlim(-1.25, 1.25)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "−0.5", "0", "0.5", "1"])
    axes.set_xlabel("rank correlation of the filter's answer (Spearman's rho)")
    which = f"{len(rhos)} strongest of {num_all}" if num_all > len(rhos) else f"all {num_all}"
    axes.set_title(f"Properties of the image, {which}")


def _draw_kernel(axes: Axes, kernel: np.ndarray) -> None:
    axes.imshow(kernel_to_picture(kernel), interpolation="nearest", gid=KERNEL)
    axes.set(xticks=[], yticks=[], anchor="W")
    axes.grid(False)
    axes.spines[:].set(visible=True, color=LIGHT_GRAY, linewidth=0.6)
    first, *rest = describe_size(kernel)
    axes.set_title(", ".join([first.capitalize(), *rest]) + " (mid-gray: no weight)")


def _draw_class_shares(axes: Axes, classes: Sequence[ExplainedClass]) -> None:
    axes.set_title("Over-represented classes")
    if not classes:
        axes.set_axis_off()
        upper = {"transform": axes.transAxes, "va": "top"}
        axes.text(0, 0.95, "no class is over-represented", color=GRAY, **upper)
        return
    shown = classes[:NUM_CLASSES]
    shares, base_rates = [each.share for each in shown], [each.base_rate for each in shown]
    draw_bars(axes, [shorten(each.name) for each in shown], shares, BLUE, least=4)
    rows = np.arange(len(shown))
    axes.vlines(base_rates, rows - 0.45, rows + 0.45, color=BLACK, linewidth=2.2, gid=BASE_RATE)
    for row, (share, base_rate) in enumerate(zip(shares, base_rates, strict=True)):
        write_beside(axes, row, max(share, base_rate), short_percent(share), offset=5)
    axes.set_xlim(0, 1.2 * max(*shares, *base_rates))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    more = f"; {len(classes) - len(shown)} more not shown" if len(classes) > len(shown) else ""
    axes.set_xlabel(f"share of the filter's top images\n(black tick: share of all images{more})")
