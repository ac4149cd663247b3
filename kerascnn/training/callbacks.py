"""What happens beside the steps: a check of the loss, and the files of the run."""

import math
import time

import keras

from kerascnn.errors import TrainingError
from kerascnn.records.run import Checkpoint, Epoch, History
from kerascnn.run import Run
from kerascnn.training.checkpoint import capture


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

    `checkpoint` is the run's last one at first, and then the latest.
    """

    def __init__(self, run: Run, checkpoint: Checkpoint):
        super().__init__()
        self.run, self.checkpoint = run, checkpoint

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        numbers = {n: float(logs[n]) for n in ("loss", "accuracy", "val_loss", "val_accuracy")}
        seconds = round(time.monotonic() - self.start, 2)
        row, best = Epoch(epoch=epoch + 1, seconds=seconds, **numbers), self.checkpoint.best
        if History.of((*self.checkpoint.history, row)).best_epoch == row.epoch:
            best = self.run.stage_best(self.model.save)
        self.checkpoint = self.checkpoint.after(row, best)
        self.run.write_checkpoint(self.checkpoint, capture(self.model))
