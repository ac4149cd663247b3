"""What happens beside the steps: a check of the loss, and the files of the run."""

import math
import time

import keras

from kerascnn.errors import TrainingError
from kerascnn.records.run import Checkpoint, Epoch, History
from kerascnn.run import Run
from kerascnn.training.checkpoint import capture

# Reading a loss waits for the device, so those of some steps are read together.
STEPS_READ_TOGETHER = 25


class FiniteLoss(keras.callbacks.Callback):
    """Stops training with a TrainingError where the loss is not finite, at most 25 steps later."""

    def __init__(self, run: Run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.unread = epoch + 1, {}

    def on_train_batch_end(self, batch, logs=None):
        self.unread[batch + 1] = (logs or {}).get("loss", 0.0)
        if len(self.unread) == STEPS_READ_TOGETHER:
            self._read()

    def on_test_begin(self, logs=None):
        self._read()

    def on_epoch_end(self, epoch, logs=None):
        self._read()
        self._check((logs or {}).get("val_loss", 0.0), f"validation after epoch {self.epoch}")

    def _read(self) -> None:
        losses, self.unread = self.unread, {}
        if losses:
            values = keras.ops.convert_to_numpy(keras.ops.stack(list(losses.values())))
            for step, value in zip(losses, values, strict=True):
                self._check(value, f"epoch {self.epoch}, step {step}")

    def _check(self, value: float, place: str) -> None:
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
