"""The one way to load a model: a `.keras` file that is looked through before anything is built.

Only what `kerascnn.model.trusted` knows passes, and nothing that would fill memory or disk is
unpacked.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import stat
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kerascnn.backend import keep_tensorflow_out
from kerascnn.errors import ModelError
from kerascnn.model.calls import in_one_line
from kerascnn.model.limits import check_config, check_tensors, in_time
from kerascnn.regular_files import ARRAY_BYTES, open_regular
from kerascnn.zips import check_sizes, is_plain, most_bytes, quote

if TYPE_CHECKING:
    import h5py
    import keras

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
ASSETS = "assets/"
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
MEMBERS = (METADATA, CONFIG, WEIGHTS)
# Members of an archive, and their bytes in all but the weights; Keras's largest has 2 MiB. So many
# may unfold from next to nothing, and no archive may have more than the last.
MOST_MEMBERS = 1000
HARMLESS_BYTES = 4 * 2**20
MOST_BYTES = 32 * 2**20
# So many weights a model may have beside those that are stored: some layers store none.
HARMLESS_WEIGHTS = 2**20
# Groups and arrays of the weights.
MOST_OBJECTS = 100_000
# Deflate, shuffle, checksum and LZF: what HDF5 and h5py have built in. Others are loaded as code.
HDF5_FILTERS = (1, 2, 3, 32000)


def load_model(
    path: Path,
    called: str | None = None,
    custom_objects: Mapping[str, object] | None = None,
) -> keras.Model:
    """The model of a `.keras` file, checked and in Keras's safe mode, without its optimizer.

    Args:
        path: of the file.
        called: what to call it in an error; else its path.
        custom_objects: layers, activations and models of one's own, by their names in the file;
            `kerascnn.model.custom.load_custom` takes them from a Python file.

    Raises:
        ModelError: if there is no such file, it is of another kind, damaged, or not safe to load.
    """
    if path.suffix != ".keras":
        raise ModelError(
            f"'{path}' is not a .keras file; other formats can run code and are not loaded. "
            "Save the model with `model.save('model.keras')`."
        )
    if not path.exists():
        raise ModelError(f"There is no file '{path}'.")
    from kerascnn.model.trusted import check_classes

    try:
        config, num_stored = _check(path)
        check_config(config, num_stored)
        check_classes(config, custom_objects)
        keep_tensorflow_out()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote names of the file
            _check_size(config, num_stored, custom_objects)
            import keras

            return keras.saving.load_model(
                path, custom_objects=custom_objects, compile=False, safe_mode=True
            )
    except Exception as error:  # Keras, h5py and zipfile raise many kinds
        called = called or f"'{path}'"
        raise ModelError(f"{called} cannot be loaded: {_why_not(error)}") from None


def _check(path: Path) -> tuple[dict, int]:
    """The configuration of a model and the number of values that its weights hold."""
    with open_regular(path, ARRAY_BYTES) as file:
        _check_kind(file)
        num_bytes = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            return _check_archive(archive, num_bytes)


def _check_archive(archive: zipfile.ZipFile, num_bytes: int) -> tuple[dict, int]:
    members = archive.infolist()
    _check_members(members, num_bytes)
    config = json.loads(archive.read(CONFIG))
    if not isinstance(config, dict):
        raise ValueError(f"its {CONFIG} holds no JSON object")
    num_stored = _check_weights(archive.read(WEIGHTS), archive.getinfo(WEIGHTS).compress_size)
    # That of the whole model is not used: it may name a loss of one's own.
    return {key: value for key, value in config.items() if key != "compile_config"}, num_stored


def _check_kind(file: BinaryIO) -> None:
    start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        raise ValueError(
            "it is in Keras's old HDF5 format, which can run code; where you trust it, load it "
            "with Keras and save it as .keras"
        )
    if not zipfile.is_zipfile(file):
        raise ValueError("it is damaged, or not what `model.save` writes")


def _check_members(members: list[zipfile.ZipInfo], archive_bytes: int) -> None:
    if len(members) > MOST_MEMBERS:
        raise ValueError(f"it holds {len(members):,} files; expected {len(MEMBERS)} and assets")
    names = [member.filename for member in members]
    for member in members:
        name = quote(member.filename)
        if not is_plain(member.filename):
            raise ValueError(f"it would write outside its directory, to {name}")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"its {name} is a link to another file")
        if member.filename not in MEMBERS and not member.filename.startswith(ASSETS):
            raise ValueError(f"it holds {name}, which `model.save` does not write")
        if member.flag_bits & 1 or member.compress_type not in COMPRESSIONS:
            raise ValueError(f"its {name} is encrypted or compressed in an unusual way")
    if len(set(names)) < len(names):
        raise ValueError("it holds two files of the same name")
    missing = [name for name in MEMBERS if name not in names]
    if missing:
        raise ValueError(f"it is damaged: {missing[0]} is missing")
    check_sizes(members)
    others = sum(member.file_size for member in members if member.filename != WEIGHTS)
    if others > min(MOST_BYTES, HARMLESS_BYTES + archive_bytes):
        raise ValueError(f"its {CONFIG}, {METADATA} and assets have {others:,} bytes")
    if sum(member.compress_size for member in members) > archive_bytes:
        raise ValueError("its files overlap")


# The weights.


def _check_weights(content: bytes, num_bytes: int) -> int:
    """The number of values in the weights, which are plain arrays of this file.

    Args:
        content: of the HDF5 file.
        num_bytes: in which the archive stores it.
    """
    import h5py

    total, declared = 0, 0
    with h5py.File(io.BytesIO(content), "r") as file:
        for name, dataset in _walk(file):
            _check_dataset(quote(name), dataset)
            total += math.prod(dataset.shape)
            declared += math.prod(dataset.shape) * dataset.dtype.itemsize
    if declared > most_bytes(num_bytes):
        raise ValueError(f"its weights claim {declared:,} bytes, but {num_bytes:,} are stored")
    return total


def _walk(file: h5py.File) -> Iterator[tuple[str, object]]:
    """Names and arrays of a file, without following a link out of it, each once."""
    import h5py

    groups, seen = [("", file)], set()
    while groups:
        place, group = groups.pop()
        for key in group:
            name = f"{place}/{key}"
            if group.get(key, getclass=True, getlink=True) is not h5py.HardLink:
                raise ValueError(f"its weights {quote(name)} are a link")
            child = group[key]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MOST_OBJECTS:
                raise ValueError(f"its weights have more than {MOST_OBJECTS:,} parts")
            if isinstance(child, h5py.Group):
                groups.append((name, child))
            else:
                yield name, child


def _check_dataset(name: str, dataset: object) -> None:
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"its weights {name} are no array")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"its weights {name} lie in another file")
    # Keras keeps bfloat16 as two bytes of no kind.
    is_number = dataset.dtype.kind in "biuf" or str(dataset.dtype) == "|V2"
    if not is_number or dataset.shape is None:
        raise ValueError(f"its weights {name} are no numbers")
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(index)[0] for index in range(settings.get_nfilters())]
    if set(filters) - set(HDF5_FILTERS):
        raise ValueError(f"its weights {name} are compressed in an unusual way")
    stored = dataset.id.get_storage_size()
    claimed = math.prod(dataset.shape) * dataset.dtype.itemsize
    if claimed > most_bytes(stored):
        raise ValueError(f"its weights {name} claim {claimed:,} bytes, but {stored:,} are stored")


# The memory it takes.


def _check_size(
    config: dict, num_stored: int, custom_objects: Mapping[str, object] | None = None
) -> None:
    """Refuse a model that would take far more memory than its weights fill."""
    # In a thread of its own, because Keras keeps for each thread what it has yet to give values.
    model, wanted = in_time(lambda: _build_empty(config, custom_objects), num_stored)
    if wanted > HARMLESS_WEIGHTS + 4 * num_stored:
        raise ValueError(f"it has {wanted:,} weights, but {num_stored:,} are stored")
    check_tensors(model)


def _build_empty(
    config: dict, custom_objects: Mapping[str, object] | None
) -> tuple[keras.Model, int]:
    """A model without values, since Keras makes none in this scope, and how many it would have."""
    import keras
    from keras.src.backend.common import global_state

    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(config, custom_objects, safe_mode=True)
        # All that were made, also those that do not belong to a layer.
        made = global_state.get_global_attribute("uninitialized_variables", [])
    if not isinstance(model, keras.Model):
        raise ValueError("it holds no model")
    return model, sum(math.prod(variable.shape) for variable in made)


def _why_not(error: Exception) -> str:
    """The reason in one line, without Keras's advice to load what is not safe."""
    text = in_one_line(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}."
    if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError) and error.args:
        text = f"it is damaged: {text}"
    if isinstance(error, RecursionError):
        return "it has more layers in a row, or in one another, than can be followed."
    if "safe_mode" in text:
        return "it holds a layer which can run any code; build it of other layers."
    missing = re.search(r"Could not locate \w+ '[^']+'", text)
    if missing:
        return f"{missing[0]}; give its code by --custom FILE.py (in Python, by custom_objects=)."
    return text
