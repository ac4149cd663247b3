"""A model, or the part of it up to a layer, applied to images within the memory that there is."""

import contextlib
import math

import keras
import numpy as np

from kerascnn.backend import keep_freed_memory
from kerascnn.errors import ModelError
from kerascnn.model.calls import call, calling, is_out_of_memory
from kerascnn.model.graph import call_of, describe_layers, graph_of, uses_of
from kerascnn.model.inputs import DEFAULT_SIDE
from kerascnn.regular_files import RECIPE_BYTES, read_regular

# The most images that go through a model at a time, and the most bytes of its layers' outputs. What
# is freed of larger batches comes to lie so scattered that memory grows by half within a minute.
MOST_IMAGES = 64
MOST_BYTES = 2**30
# Of the memory that is free, no more than this share is used for them.
FREE_SHARE = 0.25


class Forward:
    """Applies a model to batches of any size, as many images at a time as fit the memory.

    Args:
        model: functional or Sequential, built.
        batch_size: images at a time; where None chosen by the size of what the layers give. Where
            the memory does not suffice, it is halved.
        name: what to call the model in an error.
    """

    def __init__(self, model: keras.Model, batch_size: int | None = None, name: str = "The model"):
        keep_freed_memory()
        self.model, self.name = model, name
        self.batch_size = batch_size or choose_batch_size(model)

    def __call__(self, inputs: list[np.ndarray]) -> list[np.ndarray]:
        """What each output of the model is for a batch, float32 (num_images, ...).

        Args:
            inputs: for each input of the model (num_images, ...).

        Raises:
            ModelError: if the memory does not suffice for a single image.
        """
        num_images = len(inputs[0])
        parts, start = [], 0
        while start < num_images or not parts:
            chunk = [each[start : start + self.batch_size] for each in inputs]
            if (answer := self._try(chunk)) is None:
                self._halve(len(chunk[0]))
                continue
            parts.append(answer)
            start += self.batch_size
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _try(self, chunk: list[np.ndarray]) -> list[np.ndarray] | None:
        """The outputs for a part of a batch; None where the memory does not suffice."""
        try:
            return [each.astype("float32") for each in call(self.model, chunk, self.name)]
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _halve(self, num_images: int) -> None:
        if num_images == 1:
            raise ModelError(
                f"{self.name} needs more memory for a single image than there is; close other "
                "programs, or look at an earlier layer."
            )
        self.batch_size = num_images // 2


def choose_batch_size(model: keras.Model) -> int:
    """How many images may go through a model at a time.

    Keras on torch keeps what every layer gave until the last one has been computed; so much may
    take `MOST_BYTES`, or a quarter of the memory that is free. What layers need while they compute
    takes up to as much again. The compilers of the other backends need less. At most `MOST_IMAGES`.
    """
    of_one = 4 * _values_of_one(model)
    most_bytes = min(MOST_BYTES, FREE_SHARE * _free_bytes())
    return max(1, min(MOST_IMAGES, int(most_bytes / max(of_one, 1))))


def _values_of_one(model: keras.Model) -> int:
    """How many numbers all layers give for an image; of any size: one of `DEFAULT_SIDE`."""
    shapes = [shape for _, shape in describe_layers(model)]
    if any(None in shape[1:] for shape in shapes):
        with contextlib.suppress(ModelError), calling():
            return _count_values(model, [_closed(each.shape) for each in model.inputs])
    return sum(math.prod(_closed(shape)) for shape in shapes)


def _count_values(model: keras.Model, input_shapes: list[tuple[int, ...]]) -> int:
    """Of one image of some size, through the layers of a model and of those nested in it."""
    tensors = [use.place.tensor for use in uses_of(model) if not use.place.within]
    given = input_shapes[0] if len(input_shapes) == 1 else input_shapes
    shapes = keras.Model(model.inputs, tensors).compute_output_shape(given)
    by_tensor = {id(tensor): shape for tensor, shape in zip(tensors, shapes, strict=True)}
    total = sum(math.prod(_closed(shape)) for shape in shapes)
    for tensor in tensors:
        call = call_of(tensor)
        if inner := graph_of(call.operation):
            total += _count_values(inner, [by_tensor[id(each)] for each in call.inputs])
    return total


def _closed(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The shape of one image's numbers."""
    return 1, *(DEFAULT_SIDE if size is None else size for size in shape[1:])


def _free_bytes() -> float:
    """The memory that programs can still get; without bound where the system does not say."""
    with contextlib.suppress(OSError, StopIteration):
        lines = read_regular("/proc/meminfo", RECIPE_BYTES).decode().splitlines()
        available = next(line for line in lines if line.startswith("MemAvailable:"))
        return 1024 * float(available.split()[1])
    return math.inf
