"""Many images as batches of one shape, made ahead of use, in memory that does not grow."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from kerascnn.data.pictures import decode, quiet, resize_images
from kerascnn.errors import ImageError

# So many batches are ready or being made while one is used.
AHEAD = 2
# So many images are one piece of work for a thread.
PIECE = 8
# Threads are enough: most of the time Pillow computes, and lets other threads run meanwhile.
MOST_THREADS = 8

# Fills an array with some images by their indices; gives why not for each that cannot be read.
Fill = Callable[[np.ndarray, np.ndarray], dict[int, str]]


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
        return _make_ahead(self._fill, self.shape, size, start)

    def _fill(self, images: np.ndarray, indices: np.ndarray) -> dict[int, str]:
        images[:] = self.take(indices)
        return {}


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
        with quiet():
            problems = self._fill(images, np.asarray(indices, "int64"))
        for problem in problems.values():
            raise ImageError(problem)
        return images

    def batches(self, size: int, start: int = 0) -> Iterator[Batch]:
        """Batches of `size` files from the file `start` on, decoded ahead in the background.

        A batch has fewer images where files cannot be read, and may have none.
        """
        return _make_ahead(self._fill, self.shape, size, start)

    def _fill(self, images: np.ndarray, indices: np.ndarray) -> dict[int, str]:
        problems = {}
        for place, index in zip(images, indices.tolist(), strict=True):
            try:
                place[:] = decode(self.paths[index], self.image_shape)
            except ImageError as error:
                problems[index] = str(error)
        return problems


Images = ImageArray | Pictures


def load_images(paths: list[str], image_shape: tuple[int, int, int]) -> Batch:
    """All of some files in memory, passing over those that cannot be read."""
    empty = Batch(np.empty(0, "int64"), np.empty((0, *image_shape), "uint8"))
    return next(Pictures(paths, image_shape).batches(len(paths)), empty) if paths else empty


def _make_ahead(fill: Fill, shape: tuple[int, ...], size: int, start: int) -> Iterator[Batch]:
    """Batches in order, of which a few are made by threads while one is used."""
    num_threads = min(MOST_THREADS, os.cpu_count() or 1)
    waiting: deque[Callable[[], Batch]] = deque()
    # All threads have the same filters of warnings, so that none may change them.
    with quiet():
        pool = ThreadPoolExecutor(num_threads, thread_name_prefix="images")
        try:
            for first in range(start, shape[0], size):
                indices = np.arange(first, min(first + size, shape[0]))
                images = np.empty((len(indices), *shape[1:]), "uint8")
                pieces = [
                    pool.submit(fill, images[place : place + PIECE], indices[place : place + PIECE])
                    for place in range(0, len(indices), PIECE)
                ]
                waiting.append(partial(_join, indices, images, pieces))
                if len(waiting) > AHEAD:
                    yield waiting.popleft()()
            while waiting:
                yield waiting.popleft()()
        finally:
            pool.shutdown(cancel_futures=True)


def _join(indices: np.ndarray, images: np.ndarray, pieces: list[Future[dict[int, str]]]) -> Batch:
    problems = {index: why for piece in pieces for index, why in piece.result().items()}
    if not problems:
        return Batch(indices, images)
    is_read = ~np.isin(indices, list(problems))
    return Batch(indices[is_read], images[is_read], problems)
