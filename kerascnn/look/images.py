"""The images that are shown to a network: a data set's, or pictures in files and folders."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from os.path import isdir
from pathlib import Path

import numpy as np

from kerascnn.data import DATASETS, is_dataset, load_dataset
from kerascnn.data.batches import ImageArray, Images, Pictures
from kerascnn.data.folder import find_pictures, has_loose_pictures
from kerascnn.data.pictures import READING, check_file, check_picture, find_images
from kerascnn.errors import ImageError

# At most so many files are opened before the work starts.
TRIED_FILES = 1000


@dataclass(frozen=True)
class Shown:
    """Images that are shown to a model.

    Attributes:
        source: names them; the same name means the same images.
        images: gives them a few at a time, uint8 (num_images, height, width, channels).
        names: what to call each image: its index in a data set, or its file.
        labels: int (num_images,), or None where no classes are known.
        class_names: name of each label; empty where no classes are known.
        problems: a message for each file that could not be read, and what else to know of them.
    """

    source: str
    images: Images
    names: list[str]
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def load_shown(
    given: tuple[str | Path, ...],
    image_shape: tuple[int, int, int] | None,
    data_dir: Path | None = None,
    split: str | None = None,
) -> Shown:
    """Images by the name of a data set, by a folder, or by files; pictures are not decoded yet.

    A folder in which all pictures lie in sub-folders has a class for each of them, and may have
    train/ and test/ of such; it is shown whole, unless a split is asked for. What is no file, or
    plainly no picture, is left out; what turns out to be none later is named by `images.batches`.

    Args:
        given: one data set or folder by its name, a string; or any number of folders and files, of
            which those that are a Path are never taken for a data set, nor for one of classes.
        image_shape: to fit pictures to, see `load_image`; None takes a data set as it is, a folder
            of classes as it is read for training.
        data_dir: see `load_dataset`.
        split: `train` or `test`; None is the test split of a data set by its name, all pictures
            of a folder.

    Raises:
        ImageError: if none can be read, or files that are of no split are asked for one.
        DatasetError: if the data set cannot be loaded.
    """
    name = given[0] if len(given) == 1 and isinstance(given[0], str) else None
    if name and (image_shape is None or name in DATASETS):
        return _of_dataset(name, image_shape, data_dir, split or "test")
    unknown: tuple[str, ...] = ()
    if name and is_dataset(name):
        class_names, files = find_pictures(Path(name), split)
        if class_names and not has_loose_pictures(Path(name)):
            labels = np.array([label for _, label in files], "int32")
            return _of_files([path for path, _ in files], image_shape, given, labels, class_names)
        unknown = (f"the classes of '{name}', as some of its pictures lie in no sub-folder.",)
    if split:
        raise ImageError(
            f"'{given[0]}' is no data set, so it has no {split} split; expected a data set's name, "
            "or a folder with a sub-folder for each class."
        )
    paths = map(os.fspath, given)
    files = [file for path in paths for file in (find_images(path) if isdir(path) else [path])]
    shown = _of_files(files, image_shape, given)
    return replace(shown, problems=(*unknown, *shown.problems))


def none_readable(problems: Sequence[str], num_files: int) -> str:
    """The message where of some files none is a picture."""
    if num_files == 1:
        return problems[0]
    which = "" if num_files <= TRIED_FILES else "those tried of "
    first = f"The first: {problems[0]}"
    return f"None of {which}{num_files:,} files can be read as a picture. {first}"


def _of_dataset(
    name: str, image_shape: tuple[int, int, int] | None, data_dir: Path | None, split: str
) -> Shown:
    dataset = load_dataset(name, data_dir)
    array, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
    source = dataset.fingerprint or dataset.name
    if split != "test":
        source += f" {split}"
    if image_shape not in (None, dataset.image_shape):
        source += f" {image_shape} {READING}"
    names = list(map(str, range(len(array))))
    images = ImageArray(array, image_shape)
    return Shown(source, images, names, labels, dataset.class_names, dataset.problems)


def _of_files(
    paths: list[str],
    image_shape: tuple[int, int, int],
    given: tuple[str | Path, ...],
    labels: np.ndarray | None = None,
    class_names: tuple[str, ...] = (),
) -> Shown:
    kept, problems, num_read = [], [], 0
    source = _Digest(READING, image_shape)
    folder_of = cache(os.path.realpath)
    step = -(-len(paths) // TRIED_FILES)
    for index, path in enumerate(paths):
        try:
            status = check_file(path)
            if index % step == 0:
                check_picture(path)
                num_read += 1
        except ImageError as error:
            problems.append(str(error))
            continue
        kept.append(index)
        folder, name = os.path.split(path)
        # When it was changed and how large it is stands for what is in it.
        source.add(folder_of(folder), name, status.st_size, status.st_mtime_ns)
    if not num_read:
        raise ImageError(_why_none(given, problems, len(paths)))
    names = paths if len(kept) == len(paths) else [paths[index] for index in kept]
    if labels is not None:
        labels = labels[kept]
    images = Pictures(names, image_shape)
    return Shown(source.name, images, names, labels, class_names, tuple(problems))


class _Digest:
    """A short name for any number of things, of which each changes it."""

    def __init__(self, *things: object):
        self._sha256 = hashlib.sha256()
        self.add(*things)

    def add(self, *things: object) -> None:
        self._sha256.update(f"{things}".encode("utf-8", "surrogateescape"))

    @property
    def name(self) -> str:
        return self._sha256.hexdigest()[:16]


def _why_none(given: tuple[str | Path, ...], problems: list[str], num_files: int) -> str:
    if not num_files:
        return f"There is no picture in '{given[0]}'."
    return none_readable(problems, num_files)
