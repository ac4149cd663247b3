"""CIFAR-10 through TensorFlow Datasets (TFDS), without TensorFlow: checking and reading.

Reading goes through `tfds.data_source`; `cifar10_preparation` makes what is read here.

A prepared CIFAR-10 is `<data_dir>/cifar10/3.0.2`: dataset_info.json, features.json,
label.labels.txt, and the images in shards, for instance cifar10-test.array_record-00000-of-00001.
"""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from kerascnn.errors import DatasetError
from kerascnn.regular_files import RECORD_BYTES, read_regular

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
VERSION = "3.0.2"
SPLITS = ("train", "test")

# Called with what is being done, how much of it is done, and how much there is in all.
Progress = Callable[[str, int, int], None]

# TFDS's own prefix for what is not finished.
LEFTOVER_PREFIX = "incomplete."
# The end of a message that no CIFAR-10 can be had: what else can be done.
WAYS_ON = (
    "Give a prepared directory with --data-dir or TFDS_DATA_DIR, or prepare one with"
    " `kerascnn data prepare --archive cifar-10-binary.tar.gz`, or go without: `--dataset shapes`."
)

IMAGE_SHAPE = (32, 32, 3)
_READ_RECORDS = 1000


class _Split(BaseModel):
    name: str
    shard_lengths: list[int] = Field(alias="shardLengths")


class _Information(BaseModel):
    """What of a dataset_info.json is needed to read the data set."""

    file_format: str = Field("tfrecord", alias="fileFormat")  # TFDS leaves its default out
    splits: list[_Split] = []


def resolve_data_dir(data_dir: str | Path | None = None) -> Path:
    """The TFDS data directory: `data_dir`, else $TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    chosen = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(chosen).expanduser()


def is_prepared(data_dir: str | Path | None = None) -> bool:
    """Whether a complete CIFAR-10 that `read_split` can read lies in `data_dir`."""
    try:
        check_prepared(data_dir)
    except DatasetError:
        return False
    return True


def check_prepared(data_dir: str | Path | None = None) -> None:
    """Refuse a CIFAR-10 that `read_split` could not read; takes milliseconds, reads no image.

    Raises:
        DatasetError: CIFAR-10 is not there, half-prepared, in another file format than
            array_record, or damaged.
    """
    for path, expected in _shards(resolve_data_dir(data_dir)).items():
        found = _count_records(path)
        if found != expected:
            problem = f"damaged: {path.name} has {found} records, expected {expected}"
            raise _unusable(path.parent, problem)


def source_fingerprint(data_dir: str | Path | None = None) -> str:
    """A string that changes when the prepared files change: a cache key.

    It covers names, sizes and times of change of the files, not their contents.

    Raises:
        DatasetError: CIFAR-10 is not there or half-prepared.
    """
    directory = resolve_data_dir(data_dir)
    paths = [dataset_directory(directory) / "dataset_info.json", *_shards(directory)]
    stats = [(path.name, path.stat()) for path in paths]
    lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def read_split(
    split: str, data_dir: str | Path | None = None, progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Read and decode one split, in the order of its TFDS data source.

    Returns:
        Images, uint8 (num_images, 32, 32, 3), and labels, int64 (num_images,), which are indices
        into `CLASS_NAMES`.

    Raises:
        DatasetError: as in `check_prepared`, or a record is damaged.
    """
    data_dir = resolve_data_dir(data_dir)
    check_prepared(data_dir)
    source = _open_source(split, data_dir)
    total = len(source)
    images = np.empty((total, *IMAGE_SHAPE), np.uint8)
    labels = np.empty(total, np.int64)
    for start in range(0, total, _READ_RECORDS):
        stop = min(start + _READ_RECORDS, total)
        try:
            decoded = [_decode(record) for record in source.__getitems__(range(start, stop))]
        except MemoryError:
            raise
        except Exception as error:  # ArrayRecord, protobuf and Pillow each raise their own
            place = f"{split}[{start}:{stop}]"
            problem = f"damaged: a record of {place} cannot be decoded ({reason(error)})"
            raise _unusable(dataset_directory(data_dir), problem) from error
        images[start:stop], labels[start:stop] = zip(*decoded, strict=True)
        if progress:
            progress(f"decode {split}", stop, total)
    return images, labels


def dataset_directory(data_dir: Path) -> Path:
    """Where CIFAR-10 lies in a TFDS data directory, or will."""
    return data_dir / "cifar10" / VERSION


def _shards(data_dir: Path) -> dict[Path, int]:
    """The path of every shard, and the number of records it should have; all paths exist."""
    directory = dataset_directory(data_dir)
    try:
        _check_present(directory)
    except OSError as error:
        raise DatasetError(f"{directory} cannot be read: {reason(error)}. {WAYS_ON}") from error
    shards = _expected_shards(directory)
    for path in shards:
        if not path.is_file():
            raise _unusable(directory, f"half-prepared: {path.name} is missing")
    return shards


def _check_present(directory: Path) -> None:
    if (directory / "dataset_info.json").is_file():
        return
    if is_occupied(directory):
        raise _unusable(directory, "half-prepared: dataset_info.json is missing")
    if find_leftovers(directory.parent):
        raise DatasetError(
            f"CIFAR-10 in {directory.parent} is half-prepared: an interrupted preparation left"
            f" {find_leftovers(directory.parent)[0].name}. `kerascnn data prepare` starts afresh."
        )
    raise DatasetError(f"CIFAR-10 is not there: expected {directory}. {WAYS_ON}")


def is_occupied(directory: Path) -> bool:
    """Whether something lies under this name that a preparation must not replace."""
    try:
        return directory.is_file() or (directory.is_dir() and any(directory.iterdir()))
    except OSError:  # what may not be looked at is not ours to replace
        return True


def _expected_shards(directory: Path) -> dict[Path, int]:
    try:
        text = read_regular(directory / "dataset_info.json", RECORD_BYTES)
        information = _Information.model_validate_json(text)
    except (OSError, ValueError) as error:
        problem = "damaged: dataset_info.json is not what TFDS writes there"
        raise _unusable(directory, problem) from error
    if information.file_format != "array_record":
        raise DatasetError(
            f"CIFAR-10 in {directory} is in the format '{information.file_format}', expected"
            " 'array_record', which is read without TensorFlow. Prepare it in another directory:"
            " `kerascnn data prepare --data-dir DIRECTORY`."
        )
    lengths = {split.name: split.shard_lengths for split in information.splits}
    if not lengths.keys() >= set(SPLITS):
        raise _unusable(directory, "damaged: dataset_info.json does not list both splits")
    return {
        directory / f"cifar10-{split}.array_record-{index:05d}-of-{len(lengths[split]):05d}": n
        for split in SPLITS
        for index, n in enumerate(lengths[split])
    }


def _count_records(path: Path) -> int:
    try:
        from array_record.python.array_record_module import ArrayRecordReader
    except ImportError as error:
        raise DatasetError(
            "CIFAR-10 cannot be read: ArrayRecord is not available on this platform or not"
            " installed. Use Linux and `pip install array-record`, or `--dataset shapes`."
        ) from error
    reader = ArrayRecordReader(str(path))
    found = reader.num_records()
    try:
        reader.close()  # only here does the reader say that the file is damaged
    except RuntimeError as error:
        problem = f"damaged: {path.name} is truncated or altered ({reason(error)})"
        raise _unusable(path.parent, problem) from error
    return found


def find_leftovers(dataset: Path) -> list[Path]:
    """Directories that unfinished preparations left, or are using, in `<data_dir>/cifar10`."""
    return sorted(path for path in dataset.glob(LEFTOVER_PREFIX + "*") if path.is_dir())


def _unusable(directory: Path, problem: str) -> DatasetError:
    return DatasetError(
        f"CIFAR-10 in {directory} is {problem}. Remove that directory, then run"
        " `kerascnn data prepare`."
    )


def reason(error: BaseException) -> str:
    """The first sentence of an error, in one line."""
    text = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
    return text.split(";")[0].strip().replace("\n", " ") or type(error).__name__


def _open_source(split: str, data_dir: Path) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.data_source(
            f"cifar10:{VERSION}",
            split=split,
            data_dir=data_dir,
            download=False,
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
        )
    except Exception as error:  # whatever TFDS makes of damaged metadata
        problem = f"damaged: it cannot be opened ({error})"
        raise _unusable(dataset_directory(data_dir), problem) from error


def _decode(record: bytes) -> tuple[np.ndarray, int]:
    # TFDS's own decoding of an example takes three times as long.
    from PIL import Image
    from tensorflow_datasets.proto import tf_example_pb2

    features = tf_example_pb2.Example.FromString(record).features.feature
    file = io.BytesIO(features["image"].bytes_list.value[0])
    with Image.open(file, formats=["PNG"]) as picture:
        image = np.asarray(picture)
    label = features["label"].int64_list.value[0]
    if image.shape != IMAGE_SHAPE or image.dtype != np.uint8 or not 0 <= label < len(CLASS_NAMES):
        raise ValueError(f"image {image.dtype} {image.shape} with label {label}")
    return image, label
