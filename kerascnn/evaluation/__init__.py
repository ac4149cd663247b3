"""Measure a run's best model on the test images, and store predictions, metrics and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.backend import keep_freed_memory, require_backend
from kerascnn.data import Dataset, load_dataset
from kerascnn.errors import ModelError, RunError
from kerascnn.evaluation import metrics
from kerascnn.model import load as archive
from kerascnn.recipe import Recipe
from kerascnn.run import Run
from kerascnn.seeds import random_stream
from kerascnn.show import run_figures as plots
from kerascnn.show.image_figures import plot_examples

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 500
# The figure of examples: so many that are right and so many that are wrong.
NUM_RIGHT, NUM_WRONG = 10, 5


def evaluate(
    run: Run, data_dir: str | Path | None = None, dataset: Dataset | None = None
) -> dict[str, object]:
    """Predict the test images with the epoch of lowest validation loss.

    Writes `predictions.npz`, `metrics.json` and `figures/` into the run. Nothing is augmented and
    nothing trained.

    Args:
        run: with at least one whole epoch.
        data_dir: directory of prepared TFDS data sets, see `load_dataset`.
        dataset: images and labels to use instead of loading the recipe's data set.

    Returns:
        The content of `metrics.json`; `kerascnn run --json` prints it. Accuracies are fractions.
        `run`, `recipe`, `dataset`, `seed`, `backend`, `epochs`, `best_epoch` (from 1),
        `best_val_loss`, `train_loss` (of the last epoch), `test` with `accuracy`, `low`, `high`
        (95 % Wilson interval), `loss`, `num_images`, `per_class` (list of `name`, `accuracy`,
        `low`, `high`, `count`, `reported`) and `confusion` (rows are true classes), `reported`
        (what the study gave for the recipe), `diagnosis` (see `metrics.diagnose`), `wall_seconds`
        and `model_sha256` (of the best.keras that was measured). Of converted weights `epochs` is
        0, and what only training knows is None.

    Raises:
        RunError: if the run has no model, or one that cannot be loaded or is of other images.
        DatasetError: if the data set cannot be loaded.
    """
    require_backend()
    recipe = run.recipe
    dataset = dataset or load_dataset(recipe.data.dataset, data_dir)
    model = load_best_model(run)
    _check_fit(run, model, dataset)
    probabilities = predict(model, dataset.test_images)
    predictions = probabilities.argmax(axis=1).astype("int32")
    labels = np.asarray(dataset.test_labels)
    run.write_predictions(probabilities=probabilities, predictions=predictions, labels=labels)
    measured = summarize(run, recipe, dataset.class_names, labels, probabilities)
    run.write_metrics(measured)
    write_figures(run, measured, dataset, probabilities)
    return measured


def load_best_model(run: Run) -> keras.Model:
    """The run's model at the lowest validation loss, see `archive.load_model`.

    Raises:
        RunError: if there is none yet, or it cannot be loaded.
    """
    path = run.verified_best()
    try:
        return archive.load_model(path, f"best.keras of run '{run.name}'")
    except ModelError as error:
        raise RunError(str(error)) from None


def predict(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Class probabilities, float32 (num_images, num_classes), from a model that gives logits."""
    keep_freed_memory()
    logits = model.predict(images, batch_size=BATCH_SIZE, verbose=0)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponents / exponents.sum(axis=1, keepdims=True)


def summarize(
    run: Run,
    recipe: Recipe,
    class_names: tuple[str, ...],
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> dict[str, object]:
    """The content of `metrics.json`, see `evaluate`."""
    history, environment = run.read_history(), run.read_environment()
    confusion = metrics.confusion_matrix(labels, probabilities.argmax(axis=1), len(class_names))
    best = metrics.best_epoch(history["val_loss"]) if history["val_loss"] else None
    return {
        "run": str(run.path),
        "recipe": recipe.name,
        "dataset": recipe.data.dataset,
        "seed": recipe.train.seed,
        "backend": environment.get("backend"),
        "epochs": len(history["epoch"]),
        "best_epoch": best,
        "best_val_loss": history["val_loss"][best - 1] if best else None,
        "train_loss": history["loss"][-1] if best else None,
        "test": _summarize_test(recipe, class_names, confusion, labels, probabilities),
        "reported": _reported_for(recipe),
        "diagnosis": metrics.diagnose(history, confusion, list(class_names)),
        "wall_seconds": environment.get("wall_seconds"),
        "model_sha256": run.best_digest(),
    }


def write_figures(
    run: Run, measured: dict, dataset: Dataset, probabilities: np.ndarray
) -> list[Path]:
    """Draw loss curves, examples, the confusion matrix and accuracy per class into the run."""
    title = f"{measured['recipe']} on {measured['dataset']}, seed {measured['seed']}"
    reported, test, names = measured["reported"], measured["test"], list(dataset.class_names)
    chosen = _choose_examples(dataset.test_labels, probabilities, measured["seed"])
    rows = test["per_class"]
    columns = {
        key: np.array([row[key] for row in rows], "float64") for key in ("accuracy", "low", "high")
    }
    figures = {
        "examples": plot_examples(
            dataset.test_images[chosen],
            dataset.test_labels[chosen],
            probabilities[chosen].argmax(axis=1),
            probabilities[chosen],
            names,
            f"{title}: right and wrong test images, drawn at random",
        ),
        "confusion": plots.plot_confusion(np.array(test["confusion"]), names, title),
        "per_class": plots.plot_per_class(
            **columns,
            class_names=names,
            title=title,
            reported={row["name"]: row["reported"] for row in rows if row["reported"] is not None},
            overall=test["accuracy"],
        ),
    }
    if measured["epochs"]:
        figures["history"] = plots.plot_history(run.read_history(), title, reported)
    return [run.write_figure(name, figure) for name, figure in figures.items()]


def _check_fit(run: Run, model: keras.Model, dataset: Dataset) -> None:
    takes, gives = tuple(model.input_shape[1:]), model.output_shape[-1]
    if (takes, gives) != (tuple(dataset.image_shape), dataset.num_classes):
        raise RunError(
            f"The model of run '{run.name}' takes images of {_size(takes)} and tells apart {gives} "
            f"classes; data set '{dataset.name}' has {_size(dataset.image_shape)} and "
            f"{dataset.num_classes} classes."
        )


def _size(image_shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, image_shape))


def _summarize_test(recipe, class_names, confusion, labels, probabilities) -> dict[str, object]:
    right, total = int(np.trace(confusion)), int(confusion.sum())
    low, high = metrics.wilson_interval(right, total)
    figures = recipe.comparable.per_class
    return {
        "accuracy": right / total,
        "low": low,
        "high": high,
        "loss": metrics.cross_entropy(labels, probabilities),
        "num_images": total,
        "per_class": [
            {"name": name, **row, "reported": figures[name].value if name in figures else None}
            for name, row in zip(class_names, metrics.per_class(confusion), strict=True)
        ],
        "confusion": confusion.tolist(),
    }


def _reported_for(recipe: Recipe) -> dict[str, float]:
    reported = recipe.comparable.model_dump(exclude={"per_class", "note"}, exclude_none=True)
    return {name: figure["value"] for name, figure in reported.items()}


def _choose_examples(labels: np.ndarray, probabilities: np.ndarray, seed: int) -> np.ndarray:
    """Indices of test images, the right ones first, drawn from the seed."""
    order = random_stream(seed, "examples").permutation(len(labels))
    is_right = probabilities[order].argmax(axis=1) == labels[order]
    return np.concatenate([order[is_right][:NUM_RIGHT], order[~is_right][:NUM_WRONG]])
