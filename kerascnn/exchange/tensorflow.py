"""A network as TensorFlow's SavedModel, or as a LiteRT file."""

import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import keras

from kerascnn.errors import ExchangeError
from kerascnn.exchange.interface import Network, half_precision
from kerascnn.exchange.onnx import quiet
from kerascnn.model.calls import in_one_line
from kerascnn.run.files import not_writable

# What a SavedModel consists of; the last is for what others add.
PARTS = {"saved_model.pb", "fingerprint.pb", "variables", "assets", "assets.extra"}
METADATA = "kerascnn.json"


def require_tensorflow(kind: str) -> None:
    """Refuse with what to do where TensorFlow is not the backend."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ExchangeError(
            f"{kind} needs TensorFlow: `pip install 'kerascnn[tensorflow]'` installs it."
        )
    backend = keras.config.backend()
    if backend != "tensorflow":
        raise ExchangeError(
            f"{kind} can be written on the backend tensorflow, which need not be the one that "
            f"trained; this is {backend}. Use `KERAS_BACKEND=tensorflow kerascnn export ...`."
        )


def save_saved_model(network: Network, path: Path) -> None:
    """Write a network as a SavedModel: a directory with one function, `serve`.

    What it takes and gives is in `assets.extra/kerascnn.json`, too.
    """
    import tensorflow as tf

    interface = network.interface
    names = [each.name for each in interface.outputs]
    specs = [
        tf.TensorSpec(
            [size if isinstance(size, int) else None for size in each.shape], each.dtype, each.name
        )
        for each in interface.inputs
    ]

    def serve(*inputs):
        return dict(zip(names, network.call(*inputs), strict=True))

    with _quiet_compiler():
        archive = keras.export.ExportArchive()
        archive.track(network.model)
        archive.add_endpoint("serve", serve, input_signature=specs)
        archive.write_out(str(path), verbose=False)
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / METADATA).write_text(interface.model_dump_json(indent=2), "utf-8")


def save_litert(network: Network, path: Path) -> None:
    """Write a network as a LiteRT file, whose description says what it takes and gives."""
    import tensorflow as tf
    from tensorflow.lite.tools import flatbuffer_utils

    if found := half_precision(network.model):
        raise ExchangeError(
            f"The model computes in {found}, LiteRT in float32: build it with the policy float32, "
            "give it these weights, and save that."
        )
    with tempfile.TemporaryDirectory() as temporary, _quiet_compiler():
        saved = Path(temporary) / "saved_model"
        save_saved_model(network, saved)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        try:
            content = converter.convert()
        except Exception as error:  # TensorFlow raises pages, which name operations
            named = set(re.findall(r'fused\["(\w+):"', str(error))) - {"StatefulPartitionedCall"}
            missing = sorted(named) or [in_one_line(error)]
            raise ExchangeError(
                f"LiteRT has no operation for a part of the model: {', '.join(missing[:3])}; "
                "a SavedModel or ONNX may have."
            ) from None
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    model.description = network.interface.model_dump_json()
    path.write_bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def write_directory(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a SavedModel so that under its name is either all of it or what was before.

    Raises:
        ExchangeError: if something else than a SavedModel is there.
        RunError: if it cannot be written.
    """
    if path.exists() and not is_saved_model(path):
        raise ExchangeError(f"'{path}' is not a SavedModel; no other file or folder is replaced.")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".writing-") as temporary:
            written = Path(temporary) / path.name
            write(written)
            if path.exists():
                os.replace(path, Path(temporary) / f"{path.name}.before")
            os.replace(written, path)
    except OSError as error:
        raise not_writable(path, error) from None
    return path


def is_saved_model(path: Path) -> bool:
    """Whether a directory is a SavedModel and holds nothing else."""
    if not path.is_dir() or path.is_symlink():
        return False
    names = {each.name for each in path.iterdir()}
    return "saved_model.pb" in names and names <= PARTS


@contextmanager
def _quiet_compiler() -> Iterator[None]:
    """As `quiet`, also of what TensorFlow's compiler writes past Python; errors still raise."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        with quiet():
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
