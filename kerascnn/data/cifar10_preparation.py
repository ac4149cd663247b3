"""Preparing CIFAR-10 for TensorFlow Datasets (TFDS), without TensorFlow.

It uses the real TFDS builder, its writer, shuffling and metadata; only the source of the examples
is replaced, because TFDS's own needs TensorFlow to unpack the archive and to encode PNG.
"""

import contextlib
import hashlib
import http.client
import io
import itertools
import os
import shutil
import tarfile
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from kerascnn.data.cifar10 import (
    CLASS_NAMES,
    LEFTOVER_PREFIX,
    VERSION,
    WAYS_ON,
    Progress,
    check_prepared,
    dataset_directory,
    find_leftovers,
    is_occupied,
    reason,
    resolve_data_dir,
)
from kerascnn.errors import DatasetError
from kerascnn.regular_files import open_regular

ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
ARCHIVE_BYTES = 170_052_171
BATCH_FILES = {
    "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    "test": ("test_batch.bin",),
}

_RECORD_BYTES = 1 + 32 * 32 * 3  # one label, then the red, green and blue planes
_REPORT_IMAGES = 1000
_DOWNLOAD_BYTES = 1 << 18
_CONNECT_SECONDS = 8
_STALL_SECONDS = 30


def prepare(
    data_dir: str | Path | None = None,
    archive: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Prepare CIFAR-10 3.0.2 in `data_dir` as TFDS would, but without TensorFlow.

    Returns at once if it is prepared already. What lies under the final name is complete and
    checked: it is made in a directory named `incomplete.*`, which is removed on failure and on
    interruption; what a killed process left behind is removed by the next call.

    Args:
        data_dir: where TFDS data sets lie; see `resolve_data_dir`.
        archive: a local cifar-10-binary.tar.gz; None downloads it from `ARCHIVE_URL`.
        progress: called with "download", in bytes, if there is one, and "write images", in images.

    Returns:
        The resolved `data_dir`.

    Raises:
        DatasetError: the archive cannot be downloaded or is not the official one, the directory
            cannot be written, another process is preparing there, or something lies there that
            is not a complete CIFAR-10 (it is left alone).
    """
    data_dir = resolve_data_dir(data_dir)
    try:
        check_prepared(data_dir)
        return data_dir
    except DatasetError:
        if is_occupied(dataset_directory(data_dir)):
            raise  # nobody's files are overwritten
    with _staging_directory(data_dir) as staging:
        _write_dataset(_load_batches(archive, staging, progress), staging, progress)
        check_prepared(staging)
        dataset_directory(staging).rename(dataset_directory(data_dir))
    return data_dir


@contextlib.contextmanager
def _staging_directory(data_dir: Path) -> Iterator[Path]:
    """A temporary data directory beside the final place, on the same disk, always removed."""
    dataset = data_dir / "cifar10"
    missing = [path for path in (dataset, *dataset.parents) if not os.path.exists(path)]
    try:
        dataset.mkdir(parents=True, exist_ok=True)
        with _locked(dataset):
            for leftover in find_leftovers(dataset):
                shutil.rmtree(leftover)
            with tempfile.TemporaryDirectory(prefix=LEFTOVER_PREFIX, dir=dataset) as staging:
                yield Path(staging)
    except OSError as error:
        raise _unwritable(data_dir, error) from error
    finally:
        for directory in missing:  # those that are still empty
            with contextlib.suppress(OSError):
                directory.rmdir()


@contextlib.contextmanager
def _locked(dataset: Path) -> Iterator[None]:
    """A lock on the directory itself: no file stays, and the system frees it in any case."""
    import fcntl

    descriptor = os.open(dataset, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DatasetError(
                f"Another process is preparing CIFAR-10 in {dataset}. Wait until it has finished."
            ) from error
        except OSError:
            pass  # some network file systems cannot lock a directory; one process needs no lock
        yield
    finally:
        os.close(descriptor)


def _unwritable(data_dir: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"CIFAR-10 cannot be prepared in {data_dir}: {reason(error)}. Expected a directory that"
        " can be written, with 400 MB free. Choose another with --data-dir or TFDS_DATA_DIR."
    )


def _load_batches(
    archive: str | Path | None, staging: Path, progress: Progress | None
) -> dict[str, np.ndarray]:
    """The records of each split, uint8 (num_images, 3073), checked."""
    if archive is not None:
        with _open_archive(Path(archive).expanduser()) as file:
            return _read_archive(file, str(archive))
    # A file without a name: nothing of it stays, however the process ends.
    with tempfile.TemporaryFile(dir=staging) as file:
        _download(file, progress)
        return _read_archive(file, ARCHIVE_URL)


def _open_archive(path: Path) -> BinaryIO:
    expected = f"Expected a local cifar-10-binary.tar.gz, as at {ARCHIVE_URL}."
    try:
        return open_regular(path, None)
    except OSError as error:
        raise DatasetError(f"Archive {path} cannot be read: {reason(error)}. {expected}") from error


def _download(file: BinaryIO, progress: Progress | None) -> None:
    with _connect() as response:
        total = response.length or 0  # unknown to some proxies
        while piece := _receive(response):
            file.write(piece)
            if progress:
                progress("download", file.tell(), max(file.tell(), total))


def _receive(response: Any) -> bytes:
    try:
        return response.read(_DOWNLOAD_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise _not_downloaded(reason(error)) from error


def _connect() -> Any:
    """Open `ARCHIVE_URL` within `_CONNECT_SECONDS`.

    In a thread, because no timeout of the standard library covers looking up the name, nor a host
    with several addresses as a whole.
    """
    outcome: list[Any] = []

    def connect() -> None:
        try:
            outcome.append(urllib.request.urlopen(ARCHIVE_URL, timeout=_STALL_SECONDS))
        except Exception as error:
            outcome.append(error)
            if isinstance(error, urllib.error.HTTPError):
                error.close()

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    if not outcome:
        raise _not_downloaded(f"no answer within {_CONNECT_SECONDS} seconds")
    if isinstance(outcome[0], Exception):
        raise _not_downloaded(reason(outcome[0])) from outcome[0]
    return outcome[0]


def _not_downloaded(problem: str) -> DatasetError:
    return DatasetError(f"CIFAR-10 cannot be downloaded from {ARCHIVE_URL}: {problem}. {WAYS_ON}")


def _read_archive(file: BinaryIO, name: str) -> dict[str, np.ndarray]:
    """The records in the official archive; no other is unpacked, and nothing of it to disk."""
    file.seek(0)
    md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if md5 != ARCHIVE_MD5:
        raise DatasetError(
            f"Archive {name} is not the official one, or is damaged: found {file.tell():,} bytes"
            f" with md5 {md5}, expected cifar-10-binary.tar.gz, {ARCHIVE_BYTES:,} bytes with md5"
            f" {ARCHIVE_MD5}. Get it again from {ARCHIVE_URL}."
        )
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:gz") as archive:
        contents = {
            PurePosixPath(member.name).name: archive.extractfile(member).read()
            for member in archive
            if member.isfile()
        }
    return {
        split: np.frombuffer(b"".join(contents[batch] for batch in batches), np.uint8).reshape(
            -1, _RECORD_BYTES
        )
        for split, batches in BATCH_FILES.items()
    }


def _write_dataset(
    batches: dict[str, np.ndarray], data_dir: Path, progress: Progress | None
) -> None:
    """Let TFDS's own Cifar10 builder write the records under `data_dir`."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    builder = tfds.builder(f"cifar10:{VERSION}", data_dir=data_dir, file_format="array_record")
    builder.info.features["label"].names = list(CLASS_NAMES)
    builder._split_generators = lambda dl_manager: _example_generators(batches, progress)
    # What TFDS prints there would mix with the caller's progress.
    builder._log_download_bytes = builder._log_download_done = lambda: None
    try:
        builder.download_and_prepare()
    except RuntimeError as error:  # ArrayRecord's writer, for instance when the disk is full
        raise _unwritable(data_dir.parent.parent, error) from error


def _example_generators(
    batches: dict[str, np.ndarray], progress: Progress | None
) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
    """What TFDS's `_generate_examples` yields for each split, with the images as PNG."""
    total = sum(len(records) for records in batches.values())
    counts = itertools.count(1)

    def examples(split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, record in enumerate(batches[split]):
            png = _encode_png(record[1:].reshape(3, 32, 32).transpose(1, 2, 0))
            yield index, {"id": f"{split}_{index:05d}", "image": png, "label": int(record[0])}
            done = next(counts)
            if progress and (done % _REPORT_IMAGES == 0 or done == total):
                progress("write images", done, total)

    return {split: examples(split) for split in batches}


def _encode_png(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()
