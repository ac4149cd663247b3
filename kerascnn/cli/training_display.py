"""What a person sees while a network trains: a live display, or plain lines without a terminal."""

import time

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kerascnn.show.words import time_left

# The display reads the running losses this often, in seconds: each reading waits for the device.
REFRESH_SECONDS = 0.25


class TrainingDisplay(keras.callbacks.Callback):
    """Shows epoch, step, losses, accuracy, images per second and time left."""

    def __init__(self, console: Console, batch_size: int):
        super().__init__()
        self.console, self.batch_size = console, batch_size
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[shown]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def on_train_begin(self, logs=None):
        self.start, self.first_epoch = time.monotonic(), None
        self.steps, self.epochs = self.params["steps"], self.params["epochs"]
        self.refreshed = 0.0
        self.progress.start()
        total, description = self.steps * self.epochs, f"epoch 0/{self.epochs}"
        self.all_epochs = self.progress.add_task(description, total=total, shown="")

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.epoch_start = epoch, time.monotonic()
        if self.first_epoch is None:  # of a resumed run it is not the first
            self.first_epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if not self.progress.disable and now - self.refreshed > REFRESH_SECONDS:
            self.refreshed = now
            rate = (batch + 1) * self.batch_size / (now - self.epoch_start)
            shown = (
                f"step {batch + 1}/{self.steps}  loss {float(logs['loss']):.3f}  "
                f"accuracy {float(logs['accuracy']):.1%}  {rate:,.0f} images/s"
            )
            self.progress.update(
                self.all_epochs,
                completed=self.epoch * self.steps + batch + 1,
                shown=shown,
                description=f"epoch {self.epoch + 1}/{self.epochs}",
            )

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        done = epoch + 1 - self.first_epoch
        left = (now - self.start) / done * (self.epochs - epoch - 1)
        line = (
            f"epoch {epoch + 1}/{self.epochs}  loss {logs['loss']:.4f}  "
            f"accuracy {logs['accuracy']:.1%}  val_loss {logs['val_loss']:.4f}  "
            f"val_accuracy {logs['val_accuracy']:.1%}  {now - self.epoch_start:.1f} s"
        )
        if left:
            line += f"  {time_left(left, to_the_second=True)} left"
        self.console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Take the live display away; called also where training stops early."""
        self.progress.stop()
