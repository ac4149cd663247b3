"""How good a run's best model is on the test images.

metrics   accuracy, intervals, confusion, tests, diagnosis: arrays in, numbers out
compare   two runs on the same images
figures   what was measured, drawn
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.backend import keep_freed_memory, require_backend
from kerascnn.data import Dataset, load_dataset
from kerascnn.errors import ModelError, RunError
from kerascnn.evaluation import metrics
from kerascnn.model import calls
from kerascnn.model.calls import calling
from kerascnn.model.load import load_model
from kerascnn.recipe import Reported
from kerascnn.records.run import Evaluation, ReportedNumbers, SplitMeasures
from kerascnn.run import Run

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 500


def evaluate(
    run: Run, data_dir: str | Path | None = None, dataset: Dataset | None = None
) -> Evaluation:
    """Predict the test images with the epoch of lowest validation loss.

    Writes `predictions.npz` and `metrics.json` into the run; `figures.write_figures` then draws.
    Nothing is augmented and nothing trained.

    Args:
        run: with at least one whole epoch.
        data_dir: directory of prepared TFDS data sets, see `load_dataset`.
        dataset: images and labels to use instead of loading the recipe's data set.

    Returns:
        The content of `metrics.json`, which `kerascnn run --json` prints.

    Raises:
        RunError: if the run has no model, or one that cannot be loaded or is of other images.
        DatasetError: if the data set cannot be loaded.
    """
    require_backend()
    dataset = dataset or load_dataset(run.recipe.data.dataset, data_dir)
    model = load_best_model(run)
    _check_fit(run, model, dataset)
    probabilities = predict(model, dataset.test_images)
    predictions = probabilities.argmax(axis=1).astype("int32")
    labels = np.asarray(dataset.test_labels)
    run.write_predictions(probabilities=probabilities, predictions=predictions, labels=labels)
    evaluation = summarize(run, dataset.class_names, labels, probabilities)
    run.write_metrics(evaluation)
    return evaluation


def load_best_model(run: Run) -> keras.Model:
    """The run's model at the lowest validation loss, see `load_model`.

    Raises:
        RunError: if there is none yet, or it cannot be loaded.
    """
    path = run.verified_best()
    try:
        return load_model(path, f"best.keras of run '{run.name}'")
    except ModelError as error:
        raise RunError(str(error)) from None


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities, float32 (num_images, num_classes), from a model that gives logits.

    Raises:
        ModelError: if the model fails, or gives something else.
    """
    from scipy.special import softmax

    keep_freed_memory()
    answers = calls.predict(model, images, BATCH_SIZE)
    shapes = [answer.shape[1:] for answer in answers]
    if len(shapes) != 1 or len(shapes[0]) != 1 or not shapes[0][0]:
        raise ModelError(f"The model gives {shapes} an image; expected a number for each class.")
    return softmax(answers[0], axis=1)


def summarize(
    run: Run, class_names: tuple[str, ...], labels: np.ndarray, probabilities: np.ndarray
) -> Evaluation:
    """The evaluation of a run from what its best model gives for the test images.

    Args:
        run: its recipe, history and environment are read.
        class_names: name of each label.
        labels: int (num_images,).
        probabilities: float (num_images, num_classes).
    """
    recipe, history, environment = run.recipe, run.read_history(), run.read_environment()
    reported = recipe.comparable
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    return Evaluation(
        run=str(run.path),
        recipe=recipe.name,
        dataset=recipe.data.dataset,
        seed=recipe.train.seed,
        backend=environment.backend,
        epochs=len(history),
        best_epoch=history.best_epoch,
        best_val_loss=history.best_val_loss,
        train_loss=history.train_loss,
        test=_summarize_test(reported, class_names, confusion, labels, probabilities),
        reported=_numbers_of(reported),
        diagnosis=metrics.diagnose(history, confusion, class_names),
        wall_seconds=environment.wall_seconds,
        model_sha256=run.best_digest(),
    )


def _check_fit(run: Run, model: keras.Model, dataset: Dataset) -> None:
    with calling(f"The model of run '{run.name}'"):
        takes, gives = tuple(model.input_shape[1:]), model.output_shape[-1]
    if (takes, gives) != (tuple(dataset.image_shape), dataset.num_classes):
        taken, given = ("x".join(map(str, shape)) for shape in (takes, dataset.image_shape))
        raise RunError(
            f"The model of run '{run.name}' takes images of {taken} and tells apart {gives} "
            f"classes; data set '{dataset.name}' has {given} and {dataset.num_classes} classes."
        )


def _summarize_test(
    reported: Reported,
    class_names: tuple[str, ...],
    confusion: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> SplitMeasures:
    right, total = int(np.trace(confusion)), int(confusion.sum())
    low, high = metrics.wilson_interval(right, total)
    of_classes = {name: figure.value for name, figure in reported.per_class.items()}
    return SplitMeasures(
        accuracy=right / total,
        low=low,
        high=high,
        loss=metrics.cross_entropy(labels, probabilities),
        num_images=total,
        per_class=metrics.per_class(confusion, class_names, of_classes),
        confusion=confusion.tolist(),
    )


def _numbers_of(reported: Reported) -> ReportedNumbers:
    figures = {name: getattr(reported, name) for name in ReportedNumbers.model_fields}
    return ReportedNumbers(**{name: figure.value for name, figure in figures.items() if figure})
