"""A folder of pictures as a data set: a sub-folder for each class.

    path/train/cat/1.png, path/train/dog/..., path/test/cat/..., path/test/dog/...
or without train/ and test/, where a fifth of each class's pictures, drawn at random, are for
testing:
    path/cat/1.png, path/dog/...
"""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from kerascnn.data.batches import load_images
from kerascnn.data.pictures import READING, find_images, image_size, is_picture_name
from kerascnn.errors import DatasetError, ImageError
from kerascnn.seeds import random_stream

# A folder is refused if more than this share of its files cannot be read.
UNREADABLE_SHARE = 0.1
TEST_SHARE = 0.2
# Larger pictures are reduced so that the longer side has this many pixels.
LARGEST_SIDE = 128
# At most so many files are opened to find the size that most pictures have.
SIZED_FILES = 1000

Files = list[tuple[str, int]]


def find_files(root: Path) -> tuple[tuple[str, ...], dict[str, Files]]:
    """Class names, in alphabetical order, and the files of each split with their labels.

    Raises:
        DatasetError: if there are fewer than two classes, if test/ has a class that train/ has
            not, or if only one of the two is there.
    """
    if not (splits := _splits_of(root)):
        classes = _check_classes(root)
        return tuple(classes), _divide(_with_labels(classes, tuple(classes)))
    train, test = _check_classes(root / splits[0]), _classes_in(root / splits[1])
    if extra := sorted(set(test) - set(train)):
        raise DatasetError(
            f"'{root / 'test'}' has the class '{extra[0]}', but '{root / 'train'}' does not."
        )
    names = tuple(train)
    return names, {"train": _with_labels(train, names), "test": _with_labels(test, names)}


def find_pictures(root: Path, split: str | None = None) -> tuple[tuple[str, ...], Files]:
    """Class names and the files of all classes, however few, with their labels: to look at.

    Args:
        split: those of `train` or `test` alone, which are those of training.

    Raises:
        DatasetError: if only one of train/ and test/ is there.
    """
    classes = {part: _classes_in(root / part) for part in _splits_of(root)}
    if classes:
        names = tuple(sorted(set().union(*classes.values())))
        splits = {part: _with_labels(of_part, names) for part, of_part in classes.items()}
    else:
        of_root = _classes_in(root)
        names, files = tuple(of_root), _with_labels(of_root, tuple(of_root))
        splits = _divide(files) if split else {"": files}
    return names, [
        pair for part, files in splits.items() if split in (None, part) for pair in files
    ]


def has_loose_pictures(root: Path) -> bool:
    """Whether pictures lie in a folder itself, beside its sub-folders."""
    return any(is_picture_name(path.name) and path.is_file() for path in root.iterdir())


def sub_folders(directory: Path) -> list[Path]:
    """The folders directly in a directory, less hidden ones; none where there is no directory."""
    if not directory.is_dir():
        return []
    return [path for path in directory.iterdir() if path.is_dir() and path.name[0] != "."]


def fingerprint(splits: dict[str, Files]) -> str:
    """A string that changes when a file is added, removed or changed."""
    lines = [READING]
    for split, files in splits.items():
        for path, label in files:
            stat = os.stat(path)
            lines.append(f"{split} {label} {path} {stat.st_size} {stat.st_mtime_ns}")
    return "\n".join(lines)


def read_files(splits: dict[str, Files]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Read all pictures at the size that most of them have.

    Returns:
        `train_images`, `train_labels`, `test_images`, `test_labels`, and a message for each
        file that could not be read.

    Raises:
        DatasetError: if too many cannot be read, or a split is empty.
    """
    image_shape = choose_shape([path for files in splits.values() for path, _ in files])
    arrays, problems = {}, []
    for split, files in splits.items():
        read = load_images([path for path, _ in files], image_shape)
        if not len(read.images):
            why = (
                f"The first: {next(iter(read.problems.values()))}"
                if files
                else "A class needs at least two."
            )
            raise DatasetError(f"There are no pictures for the {split} split. {why}")
        arrays[f"{split}_images"] = read.images
        arrays[f"{split}_labels"] = np.array([label for _, label in files], "int32")[read.indices]
        problems += read.problems.values()
    total = sum(len(files) for files in splits.values())
    if len(problems) > UNREADABLE_SHARE * total:
        raise DatasetError(
            f"{len(problems)} of {total} files cannot be read, more than "
            f"{100 * UNREADABLE_SHARE:.0f} %. The first: {problems[0]}"
        )
    return arrays, problems


def choose_shape(paths: list[str]) -> tuple[int, int, int]:
    """Height, width and channels that most of the pictures have, reduced where they are large."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths[:: max(1, len(paths) // SIZED_FILES)]:
        with suppress(ImageError):  # reported when it is read
            sizes[image_size(path)] += 1
    if not sizes:
        raise DatasetError(
            f"None of the {len(paths)} files can be read as a picture; the first is '{paths[0]}'."
        )
    height, width = max(sizes, key=lambda size: (sizes[size], size))
    scale = min(1.0, LARGEST_SIDE / max(width, height))
    return max(1, round(height * scale)), max(1, round(width * scale)), 3


def _splits_of(root: Path) -> list[str]:
    """`train` and `test`, or nothing where there are only classes."""
    there = [split for split in ("train", "test") if sub_folders(root / split)]
    if len(there) == 1:
        other = "test" if there == ["train"] else "train"
        raise DatasetError(
            f"'{root}' has {there[0]}/ but no classes in {other}/; expected both, or a sub-folder "
            "of pictures for each class."
        )
    return there


def _classes_in(directory: Path) -> dict[str, list[str]]:
    """The files of each class, in alphabetical order of the classes' names."""
    found = {path.name: find_images(path) for path in sorted(sub_folders(directory))}
    return {name: files for name, files in found.items() if files}


def _check_classes(directory: Path) -> dict[str, list[str]]:
    classes = _classes_in(directory)
    if len(classes) < 2:
        count = "1 sub-folder" if classes else "no sub-folders"
        raise DatasetError(
            f"'{directory}' has {count} with pictures; expected at least two, one for each class, "
            "such as cat/ and dog/."
        )
    return classes


def _with_labels(classes: dict[str, list[str]], names: tuple[str, ...]) -> Files:
    labels = {name: label for label, name in enumerate(names)}
    return [(path, labels[name]) for name, files in classes.items() for path in files]


def _divide(files: Files) -> dict[str, Files]:
    test: set[str] = set()
    for label in sorted({label for _, label in files}):
        own = [path for path, other in files if other == label]
        order = random_stream(0, "split", label).permutation(len(own))
        # One picture at least, if that leaves one to train.
        count = min(max(1, round(len(own) * TEST_SHARE)), len(own) - 1)
        test |= {own[index] for index in order[:count]}
    return {
        "train": [pair for pair in files if pair[0] not in test],
        "test": [pair for pair in files if pair[0] in test],
    }
