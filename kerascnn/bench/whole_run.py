"""The peer that this package is: a whole run, as `kerascnn run` makes it."""

import time
from pathlib import Path

import keras
import numpy as np

from kerascnn.backend import describe_backend
from kerascnn.bench.arithmetic import training_mflop
from kerascnn.bench.clock import Clock
from kerascnn.bench.images import Images
from kerascnn.bench.keras_fit import Waiting, first_moments
from kerascnn.bench.order import Order
from kerascnn.evaluation import BATCH_SIZE, load_best_model, predict
from kerascnn.run import Run
from kerascnn.training import train


class Kerascnn:
    """This package's `train`, as a peer of the bench."""

    def __init__(self, order: Order, images: Images):
        values = {"data.validation_fraction": order.sizes.fraction, "train.epochs": order.epochs}
        self.recipe = order.recipe.with_values(values)
        self.runs_dir = Path(order.directory)
        self.images = images

    @property
    def what(self) -> str:
        """What is measured, in a line."""
        fast = self.run.read_environment().fast_step
        return f"kerascnn, {'its own training step' if fast else 'the stock training step'}"

    def train(self, clock: Clock) -> None:
        """Train until the clock says that it is enough."""
        self.waiting = self.wait_by(clock)
        train(
            self.recipe,
            self.runs_dir,
            callbacks=(self.waiting,),
            dataset=self.images.dataset,
            started=self._start,
        )

    def wait_by(self, clock: Clock) -> Waiting:
        """The callback of the run."""
        return Waiting(clock)

    def moments(self) -> list[np.ndarray]:
        """Adam's first moments; none of another optimizer."""
        return first_moments(self.waiting.model)

    def describe_network(self) -> dict[str, object]:
        """On what the network trains, and with how much arithmetic."""
        described = describe_backend()
        return {
            "backend": described["backend"],
            "device": described["device"],
            "mflop_image": training_mflop(self.waiting.model),
        }

    def time_prediction(self) -> dict[str, float]:
        """Seconds for the test images, as `evaluate` predicts them and by the bare network."""
        model, images = load_best_model(self.run), self.images.dataset.test_images
        bare = _bare_forward(model, images)
        seconds = {}
        for _ in range(2):  # the second time counts: by then all is compiled
            for name, call in (("seconds", lambda: predict(model, images)), ("bare_seconds", bare)):
                start = time.perf_counter()
                call()
                seconds[name] = time.perf_counter() - start
        return seconds

    def _start(self, run: Run) -> None:
        self.run = run


def _bare_forward(model: keras.Model, images: np.ndarray):
    """A function that puts images through a network and does nothing else with them."""
    batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
    if keras.config.backend() != "torch":
        return lambda: [model.predict_on_batch(batch) for batch in batches]
    import torch

    from kerascnn.model.native import native_forward

    forward = native_forward(model)
    tensors = [keras.ops.convert_to_tensor(batch, "float32") for batch in batches]

    def call() -> None:
        with torch.no_grad():
            answers = [forward(tensor, False) for tensor in tensors]
        answers[-1].sum().item()  # waits for a device

    return call
