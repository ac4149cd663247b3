"""Many images as batches of one shape, decoded ahead of use, in memory that does not grow."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from kerascnn.data.pictures import load_image, resize_images
from kerascnn.errors import ImageError

# So many batches are ready or being made while one is used.
AHEAD = 2
# So many images are one piece of work for a thread.
PIECE = 16


@dataclass(frozen=True)
class Batch:
    """Some images, in order.

    Attributes:
        indices: int64 (num_images,), the images' own numbers; of what could not be read, none.
        images: uint8 (num_images, height, width, channels).
        problems: a message for each file that could not be read, by its number.
    """

    indices: np.ndarray
    images: np.ndarray
    problems: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageArray:
    """Images of an array, which may be memory-mapped, fitted to a shape as they are taken.

    Attributes:
        array: uint8 (num_images, height, width, 3).
        image_shape: height, width and channels (1, 3 or 4) to fit; None takes them as they are.
    """

    array: np.ndarray
    image_shape: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        return len(self.array)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of images, height, width and channels."""
        return len(self), *(self.image_shape or self.array.shape[1:])

    def take(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Some images, uint8 (len(indices), height, width, channels)."""
        chosen = self.array[np.asarray(indices, "int64")]
        if self.image_shape in (None, self.array.shape[1:]):
            return chosen
        return resize_images(chosen, self.image_shape)

    def batches(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of `size` images from the image `start` on, made ahead in the background."""
        return _ahead(self.shape, size, start, lambda indices: Batch(indices, self.take(indices)))


@dataclass(frozen=True)
class Pictures:
    """Images of picture files, decoded as they are taken, see `pictures.load_image`.

    Attributes:
        paths: a file for each image.
        image_shape: height, width and channels (1, 3 or 4) to fit.
    """

    paths: list[str]
    image_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Number of images, height, width and channels."""
        return len(self), *self.image_shape

    def take(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Some images, uint8 (len(indices), height, width, channels).

        Raises:
            ImageError: if one of them cannot be read.
        """
        images = np.empty((len(indices), *self.image_shape), "uint8")
        for place, index in zip(images, indices, strict=True):
            place[:] = load_image(self.paths[index], self.image_shape)
        return images

    def batches(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of `size` files from the file `start` on, decoded ahead in the background.

        A batch has fewer images where files cannot be read, and may have none.
        """
        return _ahead(self.shape, size, start, self._read)

    def _read(self, indices: np.ndarray) -> Batch:
        images = np.empty((len(indices), *self.image_shape), "uint8")
        read, problems = [], {}
        for index in indices.tolist():
            try:
                images[len(read)] = load_image(self.paths[index], self.image_shape)
                read.append(index)
            except ImageError as error:
                problems[index] = str(error)
        return Batch(np.array(read, "int64"), images[: len(read)], problems)


Images = ImageArray | Pictures


def load_images(paths: list[str], image_shape: tuple[int, int, int]) -> Batch:
    """All of some files in memory, passing over those that cannot be read."""
    empty = Batch(np.empty(0, "int64"), np.empty((0, *image_shape), "uint8"))
    return next(Pictures(paths, image_shape).batches(len(paths)), empty) if paths else empty


def _ahead(
    shape: tuple[int, ...], size: int, start: int, make: Callable[[np.ndarray], Batch]
) -> Iterator[Batch]:
    """Batches in order, of which a few are made by threads while one is used."""
    pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="pictures")
    waiting: deque[list[Future[Batch]]] = deque()
    try:
        for first in range(start, shape[0], size):
            indices = np.arange(first, min(first + size, shape[0]))
            pieces = np.split(indices, range(PIECE, len(indices), PIECE))
            waiting.append([pool.submit(make, piece) for piece in pieces])
            if len(waiting) > AHEAD:
                yield _join(waiting.popleft(), shape)
        while waiting:
            yield _join(waiting.popleft(), shape)
    finally:
        pool.shutdown(cancel_futures=True)


def _join(pieces: list[Future[Batch]], shape: tuple[int, ...]) -> Batch:
    made = [piece.result() for piece in pieces]
    return Batch(
        np.concatenate([each.indices for each in made]),
        np.concatenate([each.images for each in made]),
        dict(item for each in made for item in each.problems.items()),
    )
