"""Images as figures: examples with what a model calls them, and draws of augmentation."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from kerascnn.show.style import BLACK, GRAY, GREEN, VERMILLION, build_figure, shorten, style

EXAMPLE_COLUMNS = 5
TILE_NAME_WIDTH = 10


def plot_examples(
    images: np.ndarray,
    labels: np.ndarray,
    predictions: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    title: str,
) -> Figure:
    """Draw test images with their true class, the predicted class, and its probability.

    There are five tiles to a row. A right one has a solid frame and a check mark, a wrong one a
    dashed frame and a cross.

    Args:
        images: uint8 (num_images, height, width, 3), 1 to about 20 of them.
        labels: int (num_images,), from 0.
        predictions: int (num_images,), from 0.
        probabilities: float (num_images, num_classes), fractions.
        class_names: name of each class.
        title: what is seen.
    """
    num_images = len(images)
    # At least three columns, so that the title has room and few images stand at the left.
    columns = min(EXAMPLE_COLUMNS, max(3, num_images))
    rows = -(-num_images // columns)
    row_height = 1.9 * images.shape[1] / images.shape[2] + 0.95
    with style({"axes.grid": False}):
        figure = build_figure(2.1 * columns, row_height * rows + 0.8, title, "compressed")
        figure.get_layout_engine().set(hspace=0.12)
        all_axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in all_axes[num_images:]:
            axes.remove()
        for i, axes in enumerate(all_axes[:num_images]):
            _draw_picture(axes, images[i])
            names = [shorten(class_names[of[i]], TILE_NAME_WIDTH) for of in (labels, predictions)]
            is_right = labels[i] == predictions[i]
            _draw_verdict(axes, *names, probabilities[i, predictions[i]], is_right)
        num_right = (labels == predictions).sum()
        text = f"{num_right} of {num_images} right. Solid frame: right; dashed frame: wrong."
        x = 0.1 / figure.get_figwidth()
        figure.supxlabel(text, x=x, ha="left", fontsize=9, color=GRAY)
    return figure


def plot_augmentations(originals: np.ndarray, draws: np.ndarray, title: str) -> Figure:
    """Draw images, framed and set apart, and what augmentation makes of them, a row an image.

    Args:
        originals: uint8, or float in 0..255, (num_images, height, width, 3).
        draws: uint8, or float in 0..255, (num_images, num_draws, height, width, 3).
        title: what is seen.
    """
    num_images, num_draws, height, width = draws.shape[:4]
    size = max(4.5, 1.25 * (num_draws + 1.6)), 1.25 * height / width * num_images + 1
    with style({"axes.grid": False}):
        figure = build_figure(*size, title, "compressed")
        # The narrow second column stays empty: it sets the originals apart.
        widths = [1, 0.2] + [1] * num_draws
        grid = figure.add_gridspec(num_images, num_draws + 2, width_ratios=widths)
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


def _draw_picture(axes, image):
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _frame(axes, color, linestyle):
    axes.spines[:].set(visible=True, color=color, linestyle=linestyle, linewidth=2.2)


def _draw_verdict(axes, true_name, predicted_name, probability, is_right):
    color, said = (GREEN, "✓ right") if is_right else (VERMILLION, "✗ wrong")
    _frame(axes, color, "solid" if is_right else (0, (4, 3.5)))
    axes.set_title(said, loc="left", color=color, fontsize=9.5, fontweight="bold")
    lines = f"true: {true_name}\npredicted: {predicted_name}\nprobability: {probability:.0%}"
    axes.set_xlabel(lines, loc="left", fontsize=8.5, linespacing=1.3)


def _to_uint8(image):
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
