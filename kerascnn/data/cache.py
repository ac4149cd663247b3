"""Arrays decoded once, kept in a per-user cache directory and memory-mapped from there.

What is mapped is read from its file when it is used, also by other processes. So a file is never
written anew in place: an entry that is damaged is moved aside as it is, and another takes its name.
Whoever else shortens a file of the cache, which is why they are made read-only, ends the processes
that have it mapped with a bus error.
"""

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kerascnn.regular_files import RECORD_BYTES, open_regular, read_regular

# Part of every key: raise it when the layout of an entry changes.
LAYOUT = 2
CHECKSUMS = "checksums.json"

Arrays = dict[str, np.ndarray]


def cache_directory() -> Path:
    """`KERASCNN_CACHE_DIR`, else the user's cache directory as the platform has it."""
    if chosen := os.environ.get("KERASCNN_CACHE_DIR"):
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("kerascnn")


def load(name: str, fingerprint: str, build: Callable[[], Arrays]) -> Arrays:
    """The arrays of an entry; built and stored where it is missing, damaged, or of another source.

    Two processes may ask at once: each builds, and the first to finish is kept. Where the cache
    cannot be written, the arrays are returned from memory.

    Args:
        fingerprint: of its source; another fingerprint is another entry.

    Returns:
        Name to array, read-only, and memory-mapped where they are stored.
    """
    source = f"{LAYOUT} {fingerprint}".encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(source).hexdigest()[:16]
    entry = cache_directory() / f"{name}-{digest}"
    arrays = _read(entry) or _store(entry, build())
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def _read(entry: Path) -> Arrays | None:
    try:
        checksums = json.loads(read_regular(entry / CHECKSUMS, RECORD_BYTES))
        arrays = {key: _map(entry / f"{key}.npy") for key in checksums}
        intact = all(_checksum(array) == checksums[key] for key, array in arrays.items())
    except Exception:  # a damaged header makes numpy raise whatever its parser does
        return None
    return arrays if arrays and intact else None


def _map(path: Path) -> np.memmap:
    """The array of an `.npy` file, as `np.load` maps it from a path."""
    with open_regular(path, None) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is not what np.save writes of numbers")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject:
            raise ValueError("it holds objects")
        order = "F" if is_fortran else "C"
        return np.memmap(file, dtype, "r", offset=file.tell(), shape=shape, order=order)


def _store(entry: Path, arrays: Arrays) -> Arrays:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=entry.parent, prefix=f"{entry.name}.") as temporary:
            made = Path(temporary) / "entry"
            made.mkdir()
            for key, array in arrays.items():
                np.save(made / f"{key}.npy", array)
            checksums = {key: _checksum(array) for key, array in arrays.items()}
            (made / CHECKSUMS).write_text(json.dumps(checksums))
            for path in made.iterdir():
                path.chmod(0o444)
            _put(made, entry)
    except OSError:
        return arrays
    return _read(entry) or arrays


def _put(made: Path, entry: Path) -> None:
    try:
        made.rename(entry)
    except OSError:
        # Another process was first, or what is there is damaged.
        if _read(entry) is None and entry.is_dir():
            entry.rename(made.with_name("damaged"))
            made.rename(entry)


def _checksum(array: np.ndarray) -> int:
    layout = zlib.crc32(f"{array.dtype.str} {array.shape}".encode())
    return zlib.crc32(np.ascontiguousarray(array).view(np.uint8).reshape(-1), layout)
