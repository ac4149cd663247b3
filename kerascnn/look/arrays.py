"""Whatever people hold images in, as batches of arrays: arrays, tensors, lists, data sets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from kerascnn.errors import ModelError

# Images of one large array are shown so many at a time.
BATCH_SIZE = 250
# Keys under which TensorFlow Datasets and others keep images.
KEYS = ("image", "images")
Batch = list[np.ndarray]


def batches_of(images: Any, model: keras.Model) -> Iterator[Batch]:
    """Batches for a model, each a list with an array for every input of the model.

    Args:
        images: (num_images, height, width, channels), or channels first, as the model takes them,
            of numpy, torch, JAX or TensorFlow; a list of single images of one shape; or an iterable
            of such batches, alone or with labels behind them as (images, labels): a
            `tf.data.Dataset`, a `DataLoader`, a `PyDataset`, a generator. A batch may be a
            dictionary, by the names of the model's inputs or with the key `image`.

    Raises:
        ModelError: if it is none of these, or of a shape that the model does not take.
    """
    seen = False
    for batch in _pieces(images):
        arrays = _to_inputs(batch, model)
        for start in range(0, len(arrays[0]), BATCH_SIZE):
            seen = True
            yield [array[start : start + BATCH_SIZE] for array in arrays]
    if not seen:
        raise ModelError("There are no images.")


def _pieces(images: Any) -> Iterator[Any]:
    if _is_array(images) or isinstance(images, dict):
        yield images
    elif isinstance(images, keras.utils.PyDataset):
        yield from (images[index] for index in range(len(images)))
    elif isinstance(images, list | tuple):
        yield from _pieces_of_list(images)
    elif isinstance(images, Iterable) and not isinstance(images, str | bytes):
        yield from images
    else:
        raise ModelError(
            f"Images cannot be taken from a {type(images).__name__}; expected an array "
            "(num_images, height, width, channels), or an iterable of such batches."
        )


def _pieces_of_list(images: list | tuple) -> Iterator[Any]:
    ranks = [np.ndim(each) if _is_array(each) else None for each in images]
    if ranks and ranks[0] == 4 and isinstance(images, tuple) and ranks[1:2] in ([1], [2]):
        yield images  # (images, labels)
    elif ranks and all(rank == 3 for rank in ranks):
        shapes = sorted({tuple(each.shape) for each in images})
        if len(shapes) > 1:
            raise ModelError(
                f"Images of a list must be of one shape; these are of {shapes[0]} and {shapes[1]}."
            )
        yield np.stack([_to_numpy(each) for each in images])
    elif None in ranks and images and not isinstance(images[0], list | tuple | dict):
        raise ModelError(
            f"Images cannot be taken from a list of {type(images[0]).__name__}; expected arrays "
            "(height, width, channels) of one shape."
        )
    elif images and isinstance(images[0], list) and not _holds_arrays(images[0]):
        yield _from_numbers(images)
    else:
        yield from images


def _to_inputs(batch: Any, model: keras.Model) -> Batch:
    names = [each.name for each in model.inputs]
    if isinstance(batch, dict) and set(names) <= set(batch):
        arrays = [_to_numpy(batch[name]) for name in names]
    elif len(names) > 1:
        raise ModelError(
            f"The model has {len(names)} inputs; give each batch as a dictionary with the keys "
            f"{', '.join(names)}."
        )
    else:
        arrays = [_to_numpy(_images_in(batch))]
    for array, taken in zip(arrays, model.inputs, strict=True):
        _check(array, tuple(taken.shape))
    return arrays


def _images_in(batch: Any) -> Any:
    """The images of a batch that may have labels."""
    if isinstance(batch, tuple | list) and _holds_arrays(batch):
        return batch[0]
    if isinstance(batch, dict):
        found = [batch[key] for key in KEYS if key in batch]
        if not found:
            raise ModelError(
                f"A batch has the keys {', '.join(map(str, batch))}; expected 'image', or the "
                "names of the model's inputs."
            )
        return found[0]
    return batch


def _check(array: np.ndarray, taken: tuple[int | None, ...]) -> None:
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise ModelError(f"Images must be real numbers; these are of type {array.dtype}.")
    if array.ndim == len(taken) - 1:
        raise ModelError(
            f"A batch has the shape {array.shape}, as a single image has; the model takes {taken}. "
            "Put images into batches, such as `images[None]` or `dataset.batch(32)`."
        )
    fits = array.ndim == len(taken) and all(
        size in (None, own) for size, own in zip(taken[1:], array.shape[1:], strict=True)
    )
    if not fits:
        raise ModelError(f"The model takes images of shape {taken}; these are {array.shape}.")


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _holds_arrays(values: list | tuple) -> bool:
    return bool(values) and _is_array(values[0])


def _to_numpy(value: Any) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):  # of torch, whatever the backend
        return value.detach().cpu().numpy()
    if isinstance(value, list | tuple):
        return _from_numbers(value)
    try:
        return np.asarray(value)
    except Exception as error:  # what an array of another library raises
        raise ModelError(
            f"Images cannot be taken from a {type(value).__name__}: {error}."
        ) from None


def _from_numbers(values: list | tuple) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        raise ModelError(
            "Images cannot be taken from a list of lists of different lengths; expected "
            "(num_images, height, width, channels)."
        ) from None
