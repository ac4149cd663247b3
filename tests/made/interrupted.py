"""A run that is interrupted at a chosen moment, and what two runs that are the same have alike."""

import hashlib

import keras
import numpy as np
import pytest

from kerascnn.errors import TrainingInterrupted
from kerascnn.evaluation import evaluate, load_best_model
from kerascnn.recipe import load_recipe
from kerascnn.training import train
from made.colors import draw_colors

RECIPE = load_recipe("adam-lr0.001").with_values(
    {"data.dataset": "shapes", "model.filters": [4, 6, 8], "model.units": 16, "train.epochs": 4}
)
NUMBERS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy")


DATASET = draw_colors(100, 30)


class Interrupt(keras.callbacks.Callback):
    """Presses Ctrl-C in an epoch, counted from 1, at one of its steps or as it ends."""

    def __init__(self, epoch, step=1):
        super().__init__()
        self.at = epoch, step

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        if (self.epoch, "end") == self.at:
            raise KeyboardInterrupt


def interrupted(*at, values=None, runs_dir="interrupted"):
    with pytest.raises(TrainingInterrupted) as caught:
        train(
            RECIPE.with_values(values or {}),
            runs_dir,
            dataset=DATASET,
            callbacks=(Interrupt(*at),),
        )
    return caught.value.run


def sha256_of_weights(run):
    digest = hashlib.sha256()
    for weight in load_best_model(run).get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def assert_same_run(one, other):
    mine, theirs = one.read_history(), other.read_history()
    assert [mine[column] for column in NUMBERS] == [theirs[column] for column in NUMBERS]
    assert sha256_of_weights(one) == sha256_of_weights(other)
    for run in (one, other):
        evaluate(run, dataset=DATASET)
    mine, theirs = one.read_predictions(), other.read_predictions()
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])
    assert one.read_metrics().best_epoch == other.read_metrics().best_epoch
