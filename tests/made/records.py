"""Records with given numbers, for what reads, shows or stores them."""

import numpy as np

from kerascnn.evaluation.metrics import wilson_interval
from kerascnn.records.run import (
    ClassAccuracy,
    Epoch,
    Evaluation,
    History,
    ReportedNumbers,
    SplitMeasures,
)


def make_epoch(number, val_loss=1.0, loss=0.5):
    return Epoch(
        epoch=number, loss=loss, accuracy=0.5, val_loss=val_loss, val_accuracy=0.7, seconds=1.0
    )


def make_history(val_loss, loss=None):
    """A history of these validation losses; training losses are 0.5 where none are given."""
    losses = [0.5] * len(val_loss) if loss is None else loss
    pairs = zip(val_loss, losses, strict=True)
    return History.of(make_epoch(number, *pair) for number, pair in enumerate(pairs, 1))


def make_classes(accuracies, names=None, reported=None, count=10):
    names = names or [f"class {index}" for index in range(len(accuracies))]
    return tuple(
        ClassAccuracy(
            name=name,
            accuracy=accuracy,
            low=0.123,
            high=0.987,
            count=0 if accuracy is None else count,
            reported=(reported or {}).get(name),
        )
        for name, accuracy in zip(names, accuracies, strict=True)
    )


def make_evaluation(accuracy=0.65, classes=(), reported=None, **values):
    """An evaluation; `values` are fields of `Evaluation` that are to be others than these."""
    low, high = wilson_interval(round(accuracy * 100), 100)
    test = SplitMeasures(
        accuracy=accuracy,
        low=low,
        high=high,
        loss=0.98765,
        num_images=10_000,
        per_class=classes,
        confusion=np.eye(len(classes), dtype=int).tolist(),
    )
    given = {
        "run": "runs/sgd-lr0.01-seed0-20261123-101500",
        "recipe": "sgd-lr0.01",
        "dataset": "cifar10",
        "seed": 0,
        "backend": "torch",
        "epochs": 25,
        "best_epoch": 9,
        "best_val_loss": 0.70044,
        "train_loss": 0.25,
        "diagnosis": (),
        "wall_seconds": 25.0,
    }
    return Evaluation(test=test, reported=ReportedNumbers(**(reported or {})), **given | values)
