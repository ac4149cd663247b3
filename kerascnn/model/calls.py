"""Calling a model of others: whatever Keras or its backend raises is an error of one line."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.denormals import flush_denormals
from kerascnn.errors import KerascnnError, ModelError

if TYPE_CHECKING:
    import keras

MOST_CHARACTERS = 300
# Colors of a terminal, with which Keras sets off its messages.
COLORS = re.compile(r"\x1b\[[0-9;]*m")
# What TensorFlow says before the reason: where in the code of Keras it arose.
PLACE_IN_CODE = re.compile(r"Detected at node \S+ defined at \(.*?\):\n(?:\s*File \"[^\n]*\n)*")
# What Keras says before it: in which layer it arose, of which the name is worth a word.
IN_LAYER = re.compile(r"Exception encountered when calling (\S+)\.\s")
# What Keras and TensorFlow say after it: arguments, a whole configuration, a node of a graph.
AFTERWARDS = re.compile(r"\s*\bArguments received by|\bFull object config: |\s*\[\[\{\{node ")
# What the backends say where there is no memory: torch on a processor, its oneDNN, torch on a GPU,
# JAX and TensorFlow. Keras gives an error its own text, but keeps these words.
OUT_OF_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "can't start new thread",
    "bad_alloc",
    "could not create a primitive",
    "could not execute a primitive",
    "could not create a memory",
    "out of memory",
    "resource_exhausted",
    "oom when alloc",
)


@contextmanager
def calling(name: str = "The model") -> Iterator[None]:
    """Within it, a model is built upon, cut or called.

    Args:
        name: what to call the model in an error.

    Raises:
        ModelError: instead of what Keras, torch, JAX or TensorFlow raise, in their words; but
            running out of memory is raised as it is, see `is_out_of_memory`.
    """
    try:
        with warnings.catch_warnings():
            # They quote names of the file, and are no use to the user.
            warnings.simplefilter("ignore")
            yield
    except KerascnnError:
        raise
    except Exception as error:  # a model of others can fail in any way
        if is_out_of_memory(error):
            raise
        raise ModelError(f"{name} fails when it is called: {in_one_line(error)}") from None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of any backend says that there is not enough memory."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY)


def call(model: keras.Model, inputs: list[np.ndarray], name: str = "The model") -> list[np.ndarray]:
    """What a model gives for a batch of images, one array for each of `model.outputs`.

    Args:
        model: functional, or a built Sequential.
        inputs: for each of its inputs (num_images, ...).
        name: as for `calling`.

    Raises:
        ModelError: if it fails, or gives other shapes than it says, or no real numbers.
    """
    with calling(name), flush_denormals():
        answers = model.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
    return check_answers(model, answers, len(inputs[0]), name)


def predict(
    model: keras.Model, images: np.ndarray, batch_size: int, name: str = "The model"
) -> list[np.ndarray]:
    """What a model gives for all images, as `call` does for a batch.

    A chain of layers that torch has calls for is executed by these, in half the time.

    Args:
        images: (num_images, ...).
        batch_size: images at a time.
        model, name: as for `call`.
    """
    import keras

    with calling(name), flush_denormals():
        answers = None
        if keras.config.backend() == "torch":
            from kerascnn.model.native import predict_natively

            answers = predict_natively(model, images, batch_size)
        if answers is None:
            answers = model.predict(images, batch_size=batch_size, verbose=0)
    return check_answers(model, answers, len(images), name)


def check_answers(
    model: keras.Model, answers: object, num_images: int, name: str = "The model"
) -> list[np.ndarray]:
    """What a model gave, one array for each of `model.outputs`, if it is what the model says.

    Args:
        model, name: as for `call`.
        answers: what its `predict` gave: an array, or some in a list or dictionary.
        num_images: that it was shown.

    Raises:
        ModelError: if it gave other shapes than it says, or no real numbers.
    """
    import keras

    with calling(name):
        arrays = [np.asarray(answer) for answer in keras.tree.flatten(answers)]
        expected = [tuple(output.shape) for output in model.outputs]
    if len(arrays) != len(expected):
        raise ModelError(f"{name} gives {len(arrays)} outputs, but says it has {len(expected)}.")
    for array, shape in zip(arrays, expected, strict=True):
        _check_array(name, array, (num_images, *shape[1:]))
    return arrays


def in_one_line(error: BaseException) -> str:
    """What an error says, in one line: without colors, and without what Keras lists after it."""
    text = COLORS.sub("", str(error)).strip()
    if not text or isinstance(error, KeyError):  # which says no more than a key
        text = f"{type(error).__name__}: {text}".rstrip(": ")
    text = text.rpartition("\nException encountered: ")[2]  # after the whole config of a model
    text = IN_LAYER.sub(r"\1: ", PLACE_IN_CODE.sub("", text))
    text = AFTERWARDS.split(text)[0]
    line = "".join(each if each.isprintable() else " " for each in text)
    line = " ".join(line.split())
    line = line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 3]}..."
    return line if line.endswith(".") else f"{line}."


def _check_array(name: str, array: np.ndarray, expected: tuple[int | None, ...]) -> None:
    sizes = zip(array.shape, expected, strict=False)
    if array.ndim != len(expected) or any(size not in (given, None) for given, size in sizes):
        says = ", ".join("any" if size is None else str(size) for size in expected)
        raise ModelError(f"{name} gives an output of shape {array.shape}, but says ({says}).")
    if array.dtype.kind not in "biufV":  # V: bfloat16
        raise ModelError(f"{name} gives outputs of type {array.dtype}; expected real numbers.")
