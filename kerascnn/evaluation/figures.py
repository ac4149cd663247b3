"""The figures of an evaluated run, drawn from what is stored."""

from pathlib import Path

import numpy as np

from kerascnn.data import Dataset, load_dataset
from kerascnn.run import Run
from kerascnn.seeds import random_stream
from kerascnn.show.curves import plot_history
from kerascnn.show.image_figures import plot_examples
from kerascnn.show.run_figures import plot_confusion, plot_per_class

# The figure of examples: so many that are right and so many that are wrong.
NUM_RIGHT, NUM_WRONG = 10, 5


def write_figures(
    run: Run, data_dir: str | Path | None = None, dataset: Dataset | None = None
) -> list[Path]:
    """Draw loss curves, examples, the confusion matrix and accuracy per class into a run.

    Args:
        run: evaluated.
        data_dir, dataset: as for `evaluate`.

    Returns:
        Paths of the PNG files.

    Raises:
        RunError: if the run was not evaluated, or a file cannot be written.
        DatasetError: if the data set cannot be loaded.
    """
    evaluation, probabilities = run.read_metrics(), run.read_predictions()["probabilities"]
    dataset = dataset or load_dataset(evaluation.dataset, data_dir)
    title = f"{evaluation.recipe} on {evaluation.dataset}, seed {evaluation.seed}"
    chosen = choose_examples(dataset.test_labels, probabilities, evaluation.seed)
    figures = {
        "examples": plot_examples(
            dataset.test_images[chosen],
            dataset.test_labels[chosen],
            probabilities[chosen].argmax(axis=1),
            probabilities[chosen],
            evaluation.class_names,
            f"{title}: right and wrong test images, drawn at random",
        ),
        "confusion": plot_confusion(
            np.array(evaluation.test.confusion), evaluation.class_names, title
        ),
        "per_class": plot_per_class(
            evaluation.test.per_class, title, overall=evaluation.test.accuracy
        ),
    }
    if evaluation.epochs:
        figures["history"] = plot_history(run.read_history(), title, evaluation.reported)
    return [run.write_figure(name, figure) for name, figure in figures.items()]


def choose_examples(labels: np.ndarray, probabilities: np.ndarray, seed: int) -> np.ndarray:
    """Indices of test images, the right ones first, drawn from the seed."""
    order = random_stream(seed, "examples").permutation(len(labels))
    is_right = probabilities[order].argmax(axis=1) == labels[order]
    return np.concatenate([order[is_right][:NUM_RIGHT], order[~is_right][:NUM_WRONG]])
