"""What pictures are taken for, as a figure: each beside its most probable classes."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kerascnn.records.filters import ProbabilityPicture
from kerascnn.show.bars import draw_bars, write_beside
from kerascnn.show.canvas import MARGIN, add_axes, build_canvas, put_picture, write_heading
from kerascnn.show.style import BLUE, GRAY, TICK_SIZE, shorten, style


def plot_probabilities(pictures: Sequence[ProbabilityPicture], title: str, top: int = 5) -> Figure:
    """Draw pictures, of any sizes, beside the classes that the model finds most probable.

    Args:
        pictures: what is drawn.
        title: what is seen.
        top: classes to show of each, the most probable first.
    """
    side, bar_width, block_width = 1.5, 1.5, 5.4
    label_width = block_width - side - bar_width - 0.8
    block_height = 0.28 + side + 0.3
    columns = min(2, len(pictures))
    size = columns * block_width + MARGIN, -(-len(pictures) // columns) * block_height
    by_itself = any(each.record.prediction is None for each in pictures)
    caption = "Bars: the model's probability of its most probable classes."
    if by_itself:
        caption = "Bars: the model's probability of each label by itself, the highest first."
    with style({"axes.grid": False}):
        figure, canvas = build_canvas(*size, title, caption)
        for i, each in enumerate(pictures):
            x, y = MARGIN + i % columns * block_width, i // columns * block_height
            write_heading(canvas, x, y, each.record.image, block_width - 0.3)
            y += 0.28
            put_picture(canvas, each.image, (x, y, side))
            axes = add_axes(canvas, x + side + label_width + 0.15, y, bar_width, side)
            shown = dict(list(each.record.probabilities.items())[:top])
            names = [shorten(name, label_width * 72 / TICK_SIZE - 1) for name in shown]
            _draw_probabilities(axes, names, list(shown.values()), by_itself)
    return figure


def _draw_probabilities(
    axes: Axes, names: Sequence[str], probabilities: Sequence[float], by_itself: bool
) -> None:
    # The predicted class stands out by its place; its color only adds to that.
    others = BLUE if by_itself else GRAY
    draw_bars(axes, names, probabilities, [BLUE] + [others] * (len(names) - 1), least=5)
    axes.axvline(0, color=GRAY, linewidth=1)
    axes.set(xlim=(0, 1), xticks=[])
    axes.spines["bottom"].set_visible(False)
    for row, probability in enumerate(probabilities):
        text = f"{probability:.1%}" if not 0 < probability < 0.0005 else "<0.1%"
        write_beside(axes, row, probability, text, size=TICK_SIZE)
