"""Archives, pictures and names made to do harm, for the tests of what refuses them."""

import io
import json
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np
from keras import layers

# A Lambda layer of this function would leave this file.
TRACE = "trace"


def leave_trace(x):
    import pathlib

    pathlib.Path("trace").write_text("code of the model ran")
    return x


def check_no_trace():
    """No such function ran, here or beside here."""
    assert not list(Path().rglob(TRACE))
    assert not (Path("..") / TRACE).exists()


def save_good(path="good.keras"):
    """A small healthy classifier of 8x8 pictures, on disk."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    model.save(path)
    return Path(path)


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {member.filename: archive.read(member) for member in archive.infolist()}


def write_archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return Path(path)


def with_config(path, change):
    """The archive with its configuration changed in place by a function."""
    members = members_of(path)
    config = json.loads(members["config.json"])
    change(config)
    return write_archive(path, members | {"config.json": json.dumps(config).encode()})


def with_layer(path, layer, place=1):
    """The archive with another layer put into its Sequential."""
    return with_config(path, lambda config: config["config"]["layers"].insert(place, layer))


def with_weights(path, change):
    """The archive with its HDF5 file changed by a function."""
    members = members_of(path)
    file = io.BytesIO(members["model.weights.h5"])
    with h5py.File(file, "r+") as weights:
        change(weights)
    return write_archive(path, members | {"model.weights.h5": file.getvalue()})


def layer(class_name, module="keras.layers", registered_name=None, **config):
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": class_name.lower(), **config},
        "registered_name": registered_name,
    }


def lambda_code():
    """What Keras itself writes for a Lambda layer whose code leaves a trace."""
    written = keras.saving.serialize_keras_object(
        layers.Lambda(lambda x: __import__("pathlib").Path("trace").write_text("ran") and x)
    )
    return written


def png_of(width, height):
    """A PNG file that says it has so many pixels, and has none."""

    def chunk(kind, content):
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    rows = zlib.compress(b"\0" * 1000)
    header = chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zeros_npz(path, name, num_bytes):
    """An .npz file of zeros that is a thousandth of what it unfolds to."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        file = io.BytesIO()
        np.save(file, np.zeros(num_bytes, "uint8"))
        archive.writestr(f"{name}.npy", file.getvalue())
