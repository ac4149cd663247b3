"""Finished runs whose figures are given, not trained."""

import numpy as np

from kerascnn.evaluation import summarize
from kerascnn.recipe import load_recipe
from kerascnn.records.run import Checkpoint, Environment
from kerascnn.run import Run
from kerascnn.run.find import create_run
from made.records import make_history

NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
IMAGES_PER_CLASS = 1000


def make_run(
    runs_dir, recipe="sgd-lr0.01", seed=0, val_loss=None, loss=None, accuracies=None, values=None
) -> Run:
    """A finished run of 10,000 test images.

    `val_loss` and `loss` are an epoch each; `accuracies` are by class, 0.8 where nothing is given.
    Errors fall on the next class.
    """
    resolved = load_recipe(recipe).with_values({"train.seed": seed, **(values or {})})
    run = create_run(resolved, runs_dir)
    epochs = resolved.train.epochs
    val_loss = list(val_loss or np.linspace(1.5, 0.6, epochs))
    loss = list(loss or np.linspace(1.8, 0.5, epochs))
    run.write_history(make_history(val_loss, loss))
    run.write_environment(Environment(backend="torch", wall_seconds=float(epochs)))
    labels, predictions = predict(accuracies or {})
    probabilities = np.eye(10, dtype="float32")[predictions]
    run.write_predictions(probabilities=probabilities, predictions=predictions, labels=labels)
    run.write_metrics(summarize(run, NAMES, labels, probabilities))
    return run


def begin_run(runs_dir, recipe="sgd-lr0.01", seed=0) -> Run:
    """A run that has begun and can go on."""
    resolved = load_recipe(recipe).with_values({"train.seed": seed})
    run = create_run(resolved, runs_dir)
    run.write_checkpoint(Checkpoint(recipe=resolved.to_toml()))
    return run


def predict(accuracies) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat(np.arange(10), IMAGES_PER_CLASS).astype("int32")
    rank = np.tile(np.arange(IMAGES_PER_CLASS), 10)
    share = np.array([accuracies.get(name, 0.8) for name in NAMES])[labels]
    return labels, np.where(rank < share * IMAGES_PER_CLASS, labels, (labels + 1) % 10)


def one_class(name) -> dict[str, np.ndarray]:
    """Predictions that call everything one class, for `Run.write_predictions`."""
    labels, _ = predict({})
    predictions = np.full(len(labels), NAMES.index(name), "int32")
    return {
        "probabilities": np.eye(10, dtype="float32")[predictions],
        "predictions": predictions,
        "labels": labels,
    }


def collapse(run: Run, name="airplane") -> Run:
    """Make a run one that calls everything one class."""
    arrays = one_class(name)
    run.write_predictions(**arrays)
    run.write_metrics(summarize(run, NAMES, arrays["labels"], arrays["probabilities"]))
    return run
