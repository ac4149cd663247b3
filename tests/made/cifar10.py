"""A tiny CIFAR-10 to prepare, read and damage, and what the tests about it share."""

import hashlib
import io
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kerascnn.data import cifar10_preparation as preparation
from kerascnn.errors import DatasetError

NUM_PER_BATCH = 3
BATCHES = [name for names in preparation.BATCH_FILES.values() for name in names]
WAYS_ON = ("--data-dir", "TFDS_DATA_DIR", "kerascnn data prepare --archive", "--dataset shapes")


def make_records(num_batches: int = len(BATCHES)) -> np.ndarray:
    """(num_batches, NUM_PER_BATCH, 3073) records as in the official batch files."""
    shape = (num_batches, NUM_PER_BATCH, 3073)
    records = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    records[..., 0] %= 10
    return records


def write_archive(path: Path, contents: dict[str, bytes]) -> Path:
    """Write a tar.gz with these members."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def official_contents() -> dict[str, bytes]:
    """Members of a tiny archive with the official layout."""
    records = make_records()
    return {
        f"cifar-10-batches-bin/{name}": batch.tobytes()
        for name, batch in zip(BATCHES, records, strict=True)
    }


def prepare_tiny(directory: Path) -> Path:
    """A prepared tiny CIFAR-10 under `directory`; its data directory."""
    path = write_archive(directory / "archive.tar.gz", official_contents())
    with pytest.MonkeyPatch.context() as monkeypatch:
        accept(monkeypatch, path)
        return preparation.prepare(directory / "data", path)


def accept(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Take this archive's checksum for the official one."""
    monkeypatch.setattr(preparation, "ARCHIVE_MD5", hashlib.md5(path.read_bytes()).hexdigest())


def dataset_directory(data_dir: Path) -> Path:
    """Where CIFAR-10 lies in a TFDS data directory."""
    return data_dir / "cifar10" / "3.0.2"


def shard(data_dir: Path, split: str = "train") -> Path:
    """The one shard of a split."""
    return dataset_directory(data_dir) / f"cifar10-{split}.array_record-00000-of-00001"


def refusal(call, *arguments) -> str:
    """The one line with which a call is refused."""
    with pytest.raises(DatasetError) as caught:
        call(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def run_python(code: str, **options) -> subprocess.CompletedProcess:
    """Run code in another process, for instance one to kill."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, **options
    )
