"""A folder of pictures as a data set: a sub-folder for each class.

    path/train/cat/1.png, path/train/dog/..., path/test/cat/..., path/test/dog/...
or without train/ and test/, where a fifth of each class's pictures, drawn at random, are for
testing:
    path/cat/1.png, path/dog/...
"""

from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from kerascnn.data.pictures import find_images, image_size, load_images
from kerascnn.errors import DatasetError, ImageError
from kerascnn.seeds import random_stream

# A folder is refused if more than this share of its files cannot be read.
UNREADABLE_SHARE = 0.1
TEST_SHARE = 0.2
# Larger pictures are reduced so that the longer side has this many pixels.
LARGEST_SIDE = 128
# At most so many files are opened to find the size that most pictures have.
SIZED_FILES = 1000
# Part of the fingerprint: another value where pictures are read in another way.
LAYOUT = "1"

Files = list[tuple[Path, int]]


def find_files(root: Path) -> tuple[tuple[str, ...], dict[str, Files]]:
    """Class names, in alphabetical order, and the files of each split with their labels.

    Raises:
        DatasetError: if there are fewer than two classes, if test/ has a class that train/ has
            not, or if only one of the two is there.
    """
    there = [split for split in ("train", "test") if sub_folders(root / split)]
    if len(there) == 1:
        other = "test" if there == ["train"] else "train"
        raise DatasetError(
            f"'{root}' has {there[0]}/ but no classes in {other}/; expected both, or a sub-folder "
            "of pictures for each class."
        )
    if there:
        class_names = _check_classes(root / "train")
        extra = sorted(set(_class_names(root / "test")) - set(class_names))
        if extra:
            raise DatasetError(
                f"'{root / 'test'}' has the class '{extra[0]}', but '{root / 'train'}' does not."
            )
        return class_names, {split: _files_of(root / split, class_names) for split in there}
    class_names = _check_classes(root)
    return class_names, _divide(_files_of(root, class_names))


def sub_folders(directory: Path) -> list[Path]:
    """The folders directly in a directory, less hidden ones; none where there is no directory."""
    if not directory.is_dir():
        return []
    return [path for path in directory.iterdir() if path.is_dir() and path.name[0] != "."]


def fingerprint(splits: dict[str, Files]) -> str:
    """A string that changes when a file is added, removed or changed."""
    lines = [LAYOUT]
    for split, files in splits.items():
        for path, label in files:
            stat = path.stat()
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
        labels = dict(files)
        images, read, unread = load_images(labels, image_shape)
        if not read:
            why = f"The first: {unread[0]}" if unread else "A class needs at least two."
            raise DatasetError(f"There are no pictures for the {split} split. {why}")
        arrays[f"{split}_images"] = images
        arrays[f"{split}_labels"] = np.array([labels[path] for path in read], "int32")
        problems += unread
    total = sum(len(files) for files in splits.values())
    if len(problems) > UNREADABLE_SHARE * total:
        raise DatasetError(
            f"{len(problems)} of {total} files cannot be read, more than "
            f"{100 * UNREADABLE_SHARE:.0f} %. The first: {problems[0]}"
        )
    return arrays, problems


def choose_shape(paths: list[Path]) -> tuple[int, int, int]:
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


def _class_names(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in sub_folders(directory) if find_images(path)))


def _check_classes(directory: Path) -> tuple[str, ...]:
    names = _class_names(directory)
    if len(names) < 2:
        count = "1 sub-folder" if names else "no sub-folders"
        raise DatasetError(
            f"'{directory}' has {count} with pictures; expected at least two, one for each class, "
            "such as cat/ and dog/."
        )
    return names


def _files_of(directory: Path, class_names: tuple[str, ...]) -> Files:
    return [
        (path, label)
        for label, name in enumerate(class_names)
        if (directory / name).is_dir()
        for path in find_images(directory / name)
    ]


def _divide(files: Files) -> dict[str, Files]:
    test: set[Path] = set()
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
