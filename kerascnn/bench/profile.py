"""Where the time of kerascnn's training step goes on torch, by kind of work.

Each layer, the augmentation and the optimizer are given a name in torch's profile; what the way
back computes is known by its own names there.
"""

import time
from collections.abc import Callable, Iterable

import keras
import torch
from keras import layers
from torch.profiler import ProfilerActivity, profile, record_function

from kerascnn.bench.clock import Clock, step_ms
from kerascnn.bench.images import Images
from kerascnn.bench.keras_fit import Waiting
from kerascnn.bench.order import Order
from kerascnn.bench.whole_run import Kerascnn
from kerascnn.model.chain import Lowered
from kerascnn.model.native import RULES
from kerascnn.records.bench import KINDS
from kerascnn.training.batches import TrainingBatches

PROFILED_STEPS = 100
CONVOLUTIONS, NORMALIZATION, POOLING, DENSE, DROPOUT, AUGMENTATION, OPTIMIZER = KINDS
KIND_OF_LAYER = {
    layers.Conv2D: CONVOLUTIONS,
    layers.BatchNormalization: NORMALIZATION,
    layers.MaxPooling2D: POOLING,
    layers.ReLU: POOLING,
    layers.Dense: DENSE,
    layers.Dropout: DROPOUT,
}
# By what a node of the way back has in its name.
KIND_OF_GRADIENT = {
    "ConvolutionBackward": CONVOLUTIONS,
    "BatchNormBackward": NORMALIZATION,
    "MaxPool2DWithIndicesBackward": POOLING,
    "MaxPool2DBackward": POOLING,
    "ReluBackward": POOLING,
    "AddmmBackward": DENSE,
    "MulBackward": DROPOUT,
}
# These also compute by numpy, which torch's profile knows as the time between its own calls.
WITH_NUMPY = {AUGMENTATION, DROPOUT}


class Profiled(Kerascnn):
    """A run of kerascnn of which some steps are profiled."""

    def __init__(self, order: Order, images: Images):
        super().__init__(order, images)
        # After those by which the clock estimates, where training waits.
        self.first = min(2 * PROFILED_STEPS, order.steps // 2)
        self.count = min(PROFILED_STEPS, order.steps - self.first)

    def train(self, clock: Clock) -> None:
        """Train up to the end of the profile; the clock is told of an epoch."""
        for layer, kind in KIND_OF_LAYER.items():
            RULES[layer] = _name_calls(RULES[layer], kind)
        TrainingBatches.__getitem__ = _named(AUGMENTATION, TrainingBatches.__getitem__)
        super().train(clock)

    def wait_by(self, clock: Clock) -> Waiting:
        """The callback of the run."""
        return Profiling(clock, self.first, self.count)

    def tell_profile(self) -> dict[str, object]:
        """Steps, `step_ms` and milliseconds a step by kind of work, see `Profile.of`."""
        microseconds = by_kind(self.waiting.profile.events())
        ms = {kind: total / 1000 / self.count for kind, total in microseconds.items()}
        return {"steps": self.count, "step_ms": self.waiting.step_ms, "ms": ms}


class Profiling(Waiting):
    """Profiles some steps, and ends training after them."""

    def __init__(self, clock: Clock, first: int, count: int):
        super().__init__(clock)
        self.first, self.last = first, first + count
        activities = {ProfilerActivity.CPU}
        if torch.cuda.is_available():
            activities.add(ProfilerActivity.CUDA)
        self.profile = profile(activities=activities)
        self.ends: list[float] = []

    def on_train_begin(self, logs=None):
        step = self.model.train_function.__self__
        step.update = _named(OPTIMIZER, step.update)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.ends.append(time.perf_counter())
        if batch + 1 == self.first:
            # Of the steps just before: a step that is profiled takes longer.
            self.step_ms = step_ms(self.ends[self.first // 2 - 1 :])
            self.profile.start()
        elif batch + 1 == self.last:
            self.profile.stop()
            self.model.stop_training = True


def by_kind(events: Iterable) -> dict[str, float]:
    """Microseconds of each kind of work.

    Args:
        events: of a profile of torch, in which calls are named by their kind.
    """
    total = dict.fromkeys(KINDS, 0.0)

    def add(event, kind: str | None) -> None:
        named = event.name in total
        kind = kind or _kind_of(event.name)
        if kind and torch.cuda.is_available():
            total[kind] += event.self_device_time_total
        elif kind and (not named or kind in WITH_NUMPY):
            total[kind] += event.self_cpu_time_total
        for child in event.cpu_children:
            add(child, kind)

    for event in events:
        if event.cpu_parent is None and event.device_type == torch.autograd.DeviceType.CPU:
            add(event, None)
    return total


def _kind_of(name: str) -> str | None:
    if name in KINDS:
        return name
    return next((kind for part, kind in KIND_OF_GRADIENT.items() if part in name), None)


def _name_calls(rule: Callable, kind: str) -> Callable[[keras.layers.Layer], Lowered | None]:
    def named_rule(layer: keras.layers.Layer) -> Lowered | None:
        lowered = rule(layer)
        return lowered and _named(kind, lowered)

    return named_rule


def _named(kind: str, call: Callable) -> Callable:
    def named(*arguments, **settings):
        with record_function(kind):
            return call(*arguments, **settings)

    return named
