"""Which test images a page shows of a run: some that are right, some wrong, some of each cell."""

import numpy as np

from kerascnn.page.measured import MOST_CLASSES, Measured
from kerascnn.page.pictures import Atlas
from kerascnn.seeds import random_stream

# Examples to page through, of either kind.
NUM_EXAMPLES = 30
# Images that a cell of the confusion matrix opens, and most images in all cells of a run.
MOST_IN_CELL, MOST_IN_CELLS = 6, 600


def draw_order(num_images: int) -> np.ndarray:
    """Indices in one order for all runs: where they can, they show the same images."""
    return random_stream(0, "examples").permutation(num_images)


def choose_examples(measured: Measured, atlas: Atlas) -> dict[str, list[dict[str, object]]]:
    """Images that are `wrong` and that are `right`, drawn at random, see `describe_image`."""
    order = draw_order(len(measured.labels))
    is_right = measured.labels[order] == measured.predictions[order]
    return {
        name: [describe_image(measured, atlas, index) for index in order[chosen][:NUM_EXAMPLES]]
        for name, chosen in (("wrong", ~is_right), ("right", is_right))
    }


def choose_cells(measured: Measured, atlas: Atlas, num_runs: int) -> dict[str, list[list[int]]]:
    """For each cell of the confusion matrix, `ROW-COLUMN`, some of its images.

    An image is its column and row in the atlas, and the probability of its prediction in percent.
    """
    cells: dict[str, list[int]] = {}
    for index in draw_order(len(measured.labels)):
        cell = f"{measured.labels[index]}-{measured.predictions[index]}"
        cells.setdefault(cell, []).append(int(index))
    # The frequent cells first, as far as there is room.
    frequent = sorted(cells, key=lambda cell: -len(cells[cell]))[: MOST_CLASSES**2]
    most = min(MOST_IN_CELL, max(1, MOST_IN_CELLS // max(1, num_runs // 2) // len(frequent)))
    return {
        cell: [_short(describe_image(measured, atlas, index)) for index in cells[cell][:most]]
        for cell in frequent
    }


def describe_image(measured: Measured, atlas: Atlas, index: int) -> dict[str, object]:
    """An image's place in the atlas, `label`, `prediction`, its `probability` and `is_right`."""
    label, prediction = int(measured.labels[index]), int(measured.predictions[index])
    return atlas.place(index) | {
        "label": measured.class_names[label],
        "prediction": measured.class_names[prediction],
        "probability": float(measured.probabilities[index, prediction]),
        "is_right": label == prediction,
    }


def _short(image: dict[str, object]) -> list[int]:
    return [image["x"], image["y"], round(100 * image["probability"])]
