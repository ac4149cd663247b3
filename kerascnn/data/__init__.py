"""Labelled images by the name of their data set.

Images are decoded once and stored in the cache. What a process has loaded it keeps, so that the
checksums of a stored data set are compared once a process.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kerascnn.data import cache, cifar10, folder, shapes
from kerascnn.errors import DatasetError
from kerascnn.recipe import Recipe
from kerascnn.records.data import DatasetSummary, SplitSummary
from kerascnn.seeds import random_stream

DATASETS = ("cifar10", "shapes")
# The shapes data set: sizes of its two splits, and the seeds that draw them.
SHAPES_SPLITS = {"train": (5000, 1), "test": (1000, 2)}
# So many data sets are kept; one that the cache could not store takes memory.
MOST_KEPT = 4


@dataclass(frozen=True)
class Dataset:
    """Images and labels of the training and the test split.

    Attributes:
        name: one of `DATASETS`, or the path of a folder.
        class_names: name of each label.
        train_images, test_images: uint8 (num_images, height, width, 3), read-only.
        train_labels, test_labels: int32 (num_images,).
        fingerprint: of a folder; it changes when a file changes.
        problems: a message for each file of a folder that could not be read.
    """

    name: str
    class_names: tuple[str, ...]
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    fingerprint: str = ""
    problems: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        return self.train_images.shape[1:]

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def training_digest(self) -> str:
        """sha256 of the training images and labels and of the class names."""
        digest = hashlib.sha256(repr((self.train_images.shape, self.class_names)).encode())
        for array in (self.train_images, self.train_labels):
            digest.update(np.ascontiguousarray(array).view(np.uint8))
        return digest.hexdigest()


# By the cache's directory, name and fingerprint: another source, or another cache, is loaded anew.
_kept: dict[tuple[Path, str, str], cache.Arrays] = {}


def load_dataset(
    name: str, data_dir: str | Path | None = None, progress: cifar10.Progress | None = None
) -> Dataset:
    """Load a data set, from the cache if it was decoded before.

    What this process has loaded before is not read again, unless its files have changed.

    Args:
        name: `cifar10`, `shapes`, or a folder of pictures, see `kerascnn.data.folder`.
        data_dir: directory of prepared TFDS data sets; else `TFDS_DATA_DIR`, else TFDS's default.
        progress: called while images are decoded, see `cifar10.Progress`.

    Raises:
        DatasetError: if the data set is unknown, not prepared, or damaged.
    """
    if name == "cifar10":
        cifar10.check_prepared(data_dir)
        source = cifar10.source_fingerprint(data_dir)
        read = partial(cifar10.read_split, data_dir=data_dir, progress=progress)
        return Dataset(name, cifar10.CLASS_NAMES, **_load_splits(name, source, read))
    if name == "shapes":
        source = f"{SHAPES_SPLITS} {Path(shapes.__file__).read_text('utf-8')}"
        arrays = _load_splits(name, source, lambda split: shapes.draw(*SHAPES_SPLITS[split]))
        return Dataset(name, shapes.CLASS_NAMES, **arrays)
    if is_dataset(name):
        return _load_folder(Path(name).resolve())
    raise DatasetError(
        f"Data set '{name}' is not known; expected {', '.join(DATASETS)}, or a folder with a "
        "sub-folder of pictures for each class."
    )


def shape_of_dataset(name: str) -> tuple[tuple[int, int, int], int]:
    """Image shape and number of classes; only a folder must be there and be read for it.

    Raises:
        DatasetError: if the data set is unknown, or a folder that cannot be read.
    """
    if name == "cifar10":
        return cifar10.IMAGE_SHAPE, len(cifar10.CLASS_NAMES)
    if name == "shapes":
        return (shapes.SIZE, shapes.SIZE, 3), len(shapes.CLASS_NAMES)
    dataset = load_dataset(name)
    return dataset.image_shape, dataset.num_classes


def is_dataset(name: str) -> bool:
    """Whether a name is that of a data set: a known one, or of a folder with sub-folders."""
    try:
        return name in DATASETS or bool(folder.sub_folders(Path(name)))
    except OSError:
        return False


def with_absolute_folder(recipe: Recipe) -> Recipe:
    """The recipe for any current directory: where its data set is a folder, the path is whole."""
    name = recipe.data.dataset
    if name in DATASETS or not Path(name).is_dir():
        return recipe
    return recipe.with_values({"data.dataset": str(Path(name).resolve())})


def split_validation(num_images: int, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide the training images into those to train on and those for validation.

    Args:
        fraction: share for validation, rounded to whole images, at least one.
        seed: the recipe's; the same seed divides alike on every backend.

    Returns:
        Indices to train on and indices for validation, int64, each ascending.

    Raises:
        DatasetError: if no image would be left to train.
    """
    count = max(1, round(num_images * fraction))
    if count >= num_images:
        raise DatasetError(
            f"Of {num_images} training images, {count} would be for validation and none would be "
            "left to train; set data.validation_fraction lower."
        )
    order = random_stream(seed, "split").permutation(num_images)
    return np.sort(order[count:]), np.sort(order[:count])


def describe_dataset(dataset: Dataset) -> DatasetSummary:
    """What is in a data set."""

    def describe(images: np.ndarray, labels: np.ndarray) -> SplitSummary:
        return SplitSummary(
            num_images=len(images),
            per_class=np.bincount(labels, minlength=dataset.num_classes).tolist(),
            channel_means=(images.mean(axis=(0, 1, 2), dtype="float64") / 255).tolist(),
        )

    return DatasetSummary(
        name=dataset.name,
        class_names=dataset.class_names,
        image_shape=dataset.image_shape,
        splits={
            "train": describe(dataset.train_images, dataset.train_labels),
            "test": describe(dataset.test_images, dataset.test_labels),
        },
    )


def _load_arrays(name: str, fingerprint: str, build: Callable[[], cache.Arrays]) -> cache.Arrays:
    """As `cache.load`, but what this process has loaded is not read and checked again."""
    key = (cache.cache_directory().absolute(), name, fingerprint)
    if key not in _kept:
        arrays = cache.load(name, fingerprint, build)
        while len(_kept) >= MOST_KEPT:
            del _kept[next(iter(_kept))]  # the oldest
        _kept[key] = arrays
    return dict(_kept[key])


def _load_folder(root: Path) -> Dataset:
    class_names, splits = folder.find_files(root)
    fingerprint = folder.fingerprint(splits)

    def read() -> cache.Arrays:
        arrays, problems = folder.read_files(splits)
        # As an array, so that the cache keeps them too.
        return arrays | {"problems": np.frombuffer(json.dumps(problems).encode(), "uint8")}

    arrays = _load_arrays("folder", fingerprint, read)
    problems = json.loads(arrays.pop("problems").tobytes())
    digest = hashlib.sha256(fingerprint.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return Dataset(str(root), class_names, **arrays, fingerprint=digest, problems=tuple(problems))


def _load_splits(
    name: str, fingerprint: str, read: Callable[[str], tuple[np.ndarray, np.ndarray]]
) -> cache.Arrays:
    def build() -> cache.Arrays:
        arrays = {}
        for split in ("train", "test"):
            images, labels = read(split)
            arrays |= {f"{split}_images": images, f"{split}_labels": labels.astype("int32")}
        return arrays

    return _load_arrays(name, fingerprint, build)
