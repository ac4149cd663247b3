"""What happens beside the steps: epochs of data, a check of the loss, the files of the run."""

from __future__ import annotations

import math
import time

import keras

from kerascnn.errors import TrainingError
from kerascnn.run import Run
from kerascnn.training.batches import TrainingBatches
from kerascnn.training.checkpoint import capture


class EpochOfBatches(keras.callbacks.Callback):
    """Tells the batches which epoch begins."""

    def __init__(self, batches: TrainingBatches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.epoch = epoch


class FiniteLoss(keras.callbacks.Callback):
    """Stops training with a TrainingError where the loss is not finite."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        self._check("loss", logs, f"epoch {self.epoch}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self._check("val_loss", logs, f"validation after epoch {self.epoch}")

    def _check(self, name: str, logs: dict, place: str) -> None:
        value = float((logs or {}).get(name, 0.0))
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss became {value} in {place}. '{self.run.path}' keeps the epochs before; "
                "try a lower rate, for instance --set train.learning_rate=0.001."
            )


class KeepRun(keras.callbacks.Callback):
    """Stores each epoch in the run: its row, a checkpoint, and the model of lowest validation loss.

    Args:
        run: where to.
        record: of the run's last checkpoint; it is kept up to date.
    """

    def __init__(self, run: Run, record: dict[str, object]):
        super().__init__()
        self.run, self.record = run, record

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        numbers = {n: float(logs[n]) for n in ("loss", "accuracy", "val_loss", "val_accuracy")}
        seconds = round(time.monotonic() - self.start, 2)
        history, best = self.record["history"], self.record["best"]
        self.record["best_before"] = best
        if all(numbers["val_loss"] < row["val_loss"] for row in history):
            self.record["best"] = self.run.stage_best(self.model.save)
        self.record["history"] = [*history, {"epoch": epoch + 1, **numbers, "seconds": seconds}]
        self.run.write_checkpoint(self.record, capture(self.model))
