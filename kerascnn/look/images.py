"""The images that are shown to a network: a data set's, or pictures in files and folders."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerascnn.data import is_dataset, load_dataset
from kerascnn.data.pictures import find_images, load_images, resize_images
from kerascnn.errors import ImageError

BATCH_SIZE = 250


@dataclass(frozen=True)
class Shown:
    """Images that are shown to a model.

    Attributes:
        source: names them; the same name means the same images.
        images: uint8 (num_images, height, width, channels).
        names: what to call each image: its index in a data set, or its file.
        labels: int (num_images,), or None where no classes are known.
        class_names: name of each label; empty where no classes are known.
        problems: a message for each file that could not be read.
    """

    source: str
    images: np.ndarray
    names: list[str]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def load_shown(
    given: tuple[str | Path, ...],
    image_shape: tuple[int, int, int] | None,
    data_dir: Path | None = None,
) -> Shown:
    """Images by the name of a data set (its test split), by a folder, or by files.

    Args:
        given: one data set by its name, a string; or any number of folders and files, of which
            those that are a Path are never taken for a data set.
        image_shape: to fit pictures to; None takes a data set as it is.
        data_dir: see `load_dataset`.

    Raises:
        ImageError: if none can be read.
        DatasetError: if the data set cannot be loaded.
    """
    name = given[0] if len(given) == 1 and isinstance(given[0], str) else None
    if name and (image_shape is None or is_dataset(name)):
        dataset = load_dataset(name, data_dir)
        images = dataset.test_images
        if image_shape is not None and dataset.image_shape != image_shape:
            images = resize_images(images, image_shape)
        source, names = dataset.fingerprint or dataset.name, list(map(str, range(len(images))))
        labels, class_names = dataset.test_labels, dataset.class_names
        return Shown(source, images, names, labels, class_names, dataset.problems)
    paths = map(Path, given)
    files = [file for path in paths for file in (find_images(path) if path.is_dir() else [path])]
    images, read, problems = load_images(files, image_shape)
    if not read:
        raise ImageError(_why_none(given, problems))
    stats = "".join(f"{path.resolve()} {_changed_at(path)}" for path in read)
    source = hashlib.sha256(stats.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Shown(source, images, [str(path) for path in read], problems=tuple(problems))


def in_batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """The images in their order, some at a time."""
    for start in range(0, len(images), BATCH_SIZE):
        yield images[start : start + BATCH_SIZE]


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # gone since it was read
        return 0


def _why_none(given: tuple[str | Path, ...], problems: list[str]) -> str:
    if not problems:
        return f"There is no picture in '{given[0]}'."
    if len(problems) == 1:
        return problems[0]
    return f"None of {len(problems)} files can be read as a picture. The first: {problems[0]}"
