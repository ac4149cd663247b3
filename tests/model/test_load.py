"""A `.keras` file made to do harm does none: it is refused in one line before it is built."""

import json
import os
import pickle
import stat
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from made import malice
from made.malice import layer, save_good, with_config, with_layer, with_weights, write_archive

from kerascnn.errors import ModelError, RunError
from kerascnn.evaluation import load_best_model
from kerascnn.model import load
from kerascnn.model.load import load_model
from kerascnn.model.trusted import check_classes
from kerascnn.recipe import load_recipe
from kerascnn.run.find import create_run


@pytest.fixture(autouse=True)
def no_trace():
    """Whatever a test does: no code of a model ran, here or beside here."""
    yield
    malice.check_no_trace()


def refused(path, words):
    """Loading the file as a model is an error of one line, and so it is as a run's best model."""
    with pytest.raises(ModelError) as caught:
        load_model(Path(path))
    message = str(caught.value)
    assert message.startswith(f"'{path}' cannot be loaded: ")
    assert words in message
    assert message.isprintable()
    assert len(message) < 420
    assert "safe_mode=False" not in message
    run = create_run(load_recipe("sgd-lr0.01"))
    run.best_path.write_bytes(Path(path).read_bytes())
    with pytest.raises(RunError, match=r"^best.keras of run '.*' cannot be loaded: "):
        load_best_model(run)


# Models that are what they should be.


def test_a_healthy_model_is_loaded_and_computes():
    model = load_model(save_good())
    assert model.predict_on_batch(np.zeros((1, 8, 8, 3), "uint8")).shape == (1, 3)


def build_everything():
    """A model with what people's models of pictures are made of."""
    image = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.RandomFlip()(x)
    x = layers.RandomRotation(0.1)(x)
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", activation=keras.ops.relu)(x)
    x = layers.SeparableConv2D(4, 3, depthwise_constraint=keras.constraints.MaxNorm())(x)
    x = layers.Activation(keras.activations.gelu)(layers.GroupNormalization(2)(x))
    x = keras.ops.sqrt(keras.ops.abs(x) + 1.0)
    x = layers.SpatialDropout2D(0.1)(layers.PReLU()(x))
    inner = keras.Sequential([layers.Conv2D(4, 1), layers.BatchNormalization()], name="inner")
    x = inner(x)
    x = layers.TimeDistributed(layers.Dense(3))(x)
    x = layers.Bidirectional(layers.LSTM(3))(layers.Reshape((-1, 3))(x))
    return keras.Model(image, layers.Dense(2, activation="softmax", dtype="float32")(x))


def test_a_model_of_many_of_keras_own_layers_is_loaded_with_its_values():
    model = build_everything()
    model.save("many.keras")
    loaded = load_model(Path("many.keras"))
    images = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(
        loaded.predict_on_batch(images), model.predict_on_batch(images), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("build", ["MobileNetV3Small", "ConvNeXtTiny"])
def test_keras_applications_pass(build):
    model = getattr(keras.applications, build)(weights=None, input_shape=(32, 32, 3), classes=5)
    config = json.loads(model.to_json())
    check_classes(config)
    load._check_size(config, model.count_params())


def test_a_loss_of_ones_own_does_not_matter():
    def own_loss(a, b):
        return keras.ops.mean(a - b)

    model = load_model(save_good())
    model.compile("adam", loss=own_loss)
    model.save("own_loss.keras")
    assert load_model(Path("own_loss.keras")).count_params() == model.count_params()


def test_layers_that_this_process_registered_are_loaded():
    from kerascnn.training.augment import RandomHorizontalFlip

    keras.Sequential([keras.Input((8, 8, 3)), RandomHorizontalFlip()]).save("own.keras")
    assert isinstance(load_model(Path("own.keras")).layers[0], RandomHorizontalFlip)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_every_precision_are_loaded(dtype):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3, dtype=dtype)])
    model.save("model.keras")
    assert load_model(Path("model.keras")).layers[0].kernel.dtype == dtype


@pytest.mark.filterwarnings("ignore::UserWarning")  # input layers have nothing to quantize
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_quantized_model_is_loaded(mode):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Dense(8)(layers.Dense(16)(layers.Flatten()(image))))
    model.quantize(mode)
    model.save("quantized.keras")
    images = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)).astype("float32")
    answer = load_model(Path("quantized.keras")).predict_on_batch(images)
    np.testing.assert_array_equal(answer, model.predict_on_batch(images))


# Code in a model.


def wrap(inner, kind):
    if kind == "alone":
        return inner
    if kind == "in a Sequential":
        return layer("Sequential", "keras", layers=[inner])
    if kind == "in TimeDistributed":
        return layer("TimeDistributed", layer=inner)
    return layer("Bidirectional", layer=layer("RNN", cell=inner))


@pytest.mark.parametrize("kind", ["alone", "in a Sequential", "in TimeDistributed", "in an RNN"])
def test_a_lambda_is_refused_wherever_it_hides(kind):
    path = with_layer(save_good("bad.keras"), wrap(malice.lambda_code(), kind))
    refused(path, "it holds a Lambda layer, which can run any code; build it of other layers, or")


def test_a_lambda_under_the_name_of_its_real_module_is_refused():
    written = malice.lambda_code() | {"module": "keras.src.layers.core.lambda_layer"}
    refused(with_layer(save_good("bad.keras"), written), "it holds a Lambda layer")


@pytest.mark.parametrize("key", ["activation", "kernel_initializer", "kernel_regularizer"])
def test_code_in_place_of_a_function_is_refused(key):
    code = malice.lambda_code()["config"]["function"]
    assert code["class_name"] == "__lambda__"

    def change(config):
        config["config"]["layers"][1]["config"][key] = code

    refused(with_config(save_good("bad.keras"), change), "it holds Python code, a function without")


FOREIGN = {
    "os.system": layer("system", "os"),
    "a function of the standard library": {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "system",
    },
    "a class that would be imported": layer("Layer", "keras_hub.layers"),
    "a module of this directory": layer("Layer", "evil"),
    "a layer of one's own": layer("Own", "builtins", "mine>Own"),
    "no module": {"class_name": "Dense", "config": {"units": 1}},
    "a legacy Lambda without module": {
        "class_name": "Lambda",
        "config": {"function": ["4wAAAAAAAAAA", None, None], "function_type": "lambda"},
    },
    "a type of TensorFlow": layer("__typespec__", "tensorflow", spec_name="TensorSpec"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_keras_own_is_refused(kind, monkeypatch):
    for name in ("evil.py", "keras_hub/layers.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("import pathlib; pathlib.Path('trace').write_text('imported')")
    Path("keras_hub/__init__.py").touch()
    monkeypatch.syspath_prepend(".")
    path = with_layer(save_good("bad.keras"), FOREIGN[kind])
    refused(path, "which is not Keras's own; where it is")


DANGEROUS = {
    "get_file": {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "get_file",
    },
    "TFSMLayer": layer("TFSMLayer", filepath="saved"),
    "TorchModuleWrapper": layer("TorchModuleWrapper"),
    "FlaxLayer": layer("FlaxLayer"),
    "JaxLayer": layer("JaxLayer"),
    "StringLookup": layer("StringLookup", vocabulary="/etc/passwd"),
    "IntegerLookup": layer("IntegerLookup", vocabulary="/etc/passwd"),
    "TextVectorization": layer("TextVectorization", vocabulary="/etc/passwd"),
    "FeatureSpace": layer("FeatureSpace", "keras.utils"),
    "ModelCheckpoint": layer("ModelCheckpoint", "keras.callbacks", filepath="trace"),
    "load_model": layer("load_model", "keras.saving", filepath="other.h5"),
    "enable_unsafe_deserialization": layer("enable_unsafe_deserialization", "keras.config"),
    "TorchModuleWrapper under its real name": layer(
        "TorchModuleWrapper", "keras.src.utils.torch_utils"
    ),
}


@pytest.mark.parametrize("kind", DANGEROUS)
def test_what_keras_has_beside_pictures_is_refused(kind):
    path = with_layer(save_good("bad.keras"), DANGEROUS[kind])
    try:
        refused(path, "which can do more than compute; build it of other layers.")
    except AssertionError:  # what is not exported under the name is nowhere
        refused(path, "which is not Keras's own")


def test_a_pickled_torch_module_is_not_unpickled():
    class Evil:
        def __reduce__(self):
            return Path.write_text, (Path("trace").absolute(), "unpickled")

    text = pickle.dumps(Evil()).decode("latin-1")
    written = layer("TorchModuleWrapper")
    written["config"]["module"] = text
    refused(with_layer(save_good("bad.keras"), written), "'TorchModuleWrapper', which can do more")


def test_code_in_the_loss_of_an_inner_model_is_refused():
    inner = layer("Sequential", "keras", layers=[])
    inner["compile_config"] = {"optimizer": "adam", "loss": malice.lambda_code()}
    refused(with_layer(save_good("bad.keras"), inner), "it holds a Lambda layer")


def test_code_in_the_loss_of_the_model_is_not_looked_at():
    def change(config):
        config["compile_config"] = {"optimizer": "adam", "loss": malice.lambda_code()}

    load_model(with_config(save_good(), change))


# Archives.


def test_the_old_format_is_refused_with_the_way_out(invoke):
    with h5py.File("old.keras", "w") as file:
        file["x"] = 1
    refused("old.keras", "old HDF5 format, which can run code; where you trust it, load it with")
    Path("old.keras").rename("old.h5")
    _, _, err = invoke("filters", "--model", "old.h5", "--images", "shapes")
    assert "other formats can run code and are not loaded. Save the model with `model.sav" in err


@pytest.mark.parametrize(
    "name",
    [
        "../trace", "a/../../trace", "/trace", "assets/../../trace", "assets//trace", "./trace",
        "assets\\..\\..\\trace", "C:trace", "assets/C:/trace", "assets/\x1b[31m", "assets/a\nb",
    ],
)  # fmt: skip
def test_a_member_that_would_write_outside_is_refused(name):
    members = malice.members_of(save_good("bad.keras"))
    refused(write_archive("bad.keras", members | {name: b"out"}), "it would write outside")


@pytest.mark.parametrize("name", ["extra.txt", "model.weights.npz", "sub/config.json", "x.pkl"])
def test_a_member_that_keras_does_not_write_is_refused(name):
    members = malice.members_of(save_good("bad.keras"))
    refused(write_archive("bad.keras", members | {name: b""}), "`model.save` does not write")


def test_a_link_in_the_archive_is_refused():
    members = malice.members_of(save_good("bad.keras"))
    with zipfile.ZipFile("bad.keras", "w") as written:
        for name, content in members.items():
            written.writestr(name, content)
        link = zipfile.ZipInfo("assets/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        written.writestr(link, "/etc")
    refused("bad.keras", "its 'assets/link' is a link to another file")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_a_name_are_refused():
    save_good("bad.keras")
    with zipfile.ZipFile("bad.keras", "a") as written:
        written.writestr("config.json", "{}")
    refused("bad.keras", "two files of the same name")


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5", "assets/a"])
def test_a_member_that_unfolds_a_thousandfold_is_refused_before_it_is_read(name, monkeypatch):
    members = malice.members_of(save_good("bad.keras")) | {name: bytes(50 * 2**20)}
    write_archive("bad.keras", members, zipfile.ZIP_DEFLATED)
    assert Path("bad.keras").stat().st_size < 2**17
    monkeypatch.setattr(zipfile.ZipFile, "open", None)
    refused("bad.keras", f"its '{name}' would unfold from ")


def test_a_size_that_is_declared_but_not_there_is_refused():
    save_good("bad.keras")
    content = bytearray(Path("bad.keras").read_bytes())
    place = content.rindex(b"PK\x01\x02")  # the entry of the weights
    content[place + 24 : place + 28] = (2**31).to_bytes(4, "little")
    Path("bad.keras").write_bytes(content)
    refused("bad.keras", "would unfold from")


def test_a_configuration_of_a_hundred_megabytes_is_refused():
    members = malice.members_of(save_good("bad.keras"))
    members["config.json"] += b" " * (40 * 2**20)
    refused(write_archive("bad.keras", members), "its config.json, metadata.json and assets have")


@pytest.mark.parametrize(
    "config",
    [b"[]", b"", b"{", b"\xff", b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b"{}", b"null"],
)
def test_a_configuration_that_is_none_is_refused(config):
    members = malice.members_of(save_good("bad.keras"))
    refused(write_archive("bad.keras", members | {"config.json": config}), "")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression_is_refused(compression):
    members = malice.members_of(save_good("bad.keras"))
    refused(write_archive("bad.keras", members, compression), "compressed in an unusual way")


def test_an_archive_of_many_members_is_refused():
    members = malice.members_of(save_good("bad.keras"))
    members |= {f"assets/{index}": b"" for index in range(1001)}
    refused(write_archive("bad.keras", members), "it holds 1,004 files")


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ModelError, match=r"^There is no file 'none.keras'\.$"):
        load_model(Path("none.keras"))


def test_a_fifo_is_refused_and_not_waited_for():
    os.mkfifo("pipe.keras")
    with pytest.raises(ModelError, match=r"it is a (named pipe|directory|device), not a file"):
        load_model(Path("pipe.keras"))


# Weights.

KERNEL = "layers/conv2d/vars/0"


def replaced(change):
    def whole(weights):
        place = next(name for name in (KERNEL, "layers/conv/vars/0") if name in weights)
        del weights[place]
        change(weights, place)

    return whole


def link_outside(weights, place):
    weights[place] = h5py.ExternalLink("secret.h5", "/x")


def soft_link(weights, place):
    weights[place] = h5py.SoftLink("/layers")


def virtual(weights, place):
    layout = h5py.VirtualLayout((3, 3, 3, 4), "float32")
    layout[:] = h5py.VirtualSource("secret.h5", "x", (3, 3, 3, 4))
    weights.create_virtual_dataset(place, layout)


def stored_outside(weights, place):
    weights.create_dataset(
        place, (3, 3, 3, 4), "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    )


def terabytes(weights, place):
    weights.create_dataset(place, (10**6, 10**6), "float32", chunks=(100, 100))


def unfolding(weights, place):
    weights.create_dataset(place, data=np.zeros(10**7), compression="gzip")


def objects(weights, place):
    weights.create_dataset(place, data=["a"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (link_outside, "are a link"),
        (soft_link, "are a link"),
        (virtual, "lie in another file"),
        (stored_outside, "lie in another file"),
        (terabytes, "claim 4,000,000,000,000 bytes, but 0 are stored"),
        (unfolding, "claim 80,000,000 bytes, but "),
        (objects, "are no numbers"),
    ],
)
def test_weights_that_are_not_plain_arrays_of_the_file_are_refused(change, words):
    with h5py.File("secret.h5", "w") as file:
        file["x"] = np.ones((3, 3, 3, 4), "float32")
    refused(with_weights(save_good("bad.keras"), replaced(change)), words)


def test_a_ring_of_groups_ends():
    def ring(weights):
        weights["layers/again"] = weights["/"]

    load_model(with_weights(save_good(), ring))


def test_a_model_of_terabytes_is_refused_before_it_is_built():
    def change(config):
        config["config"]["layers"][-1]["config"]["units"] = 10**9

    refused(with_config(save_good("bad.keras"), change), " weights, but ")
    # Nothing of it is left for Keras to give values to when the next scope ends.
    with keras.StatelessScope():
        pass


def test_damaged_weights_are_refused():
    members = malice.members_of(save_good("bad.keras"))
    for content in (b"", b"no", members["model.weights.h5"][:2000]):
        refused(write_archive("bad.keras", members | {"model.weights.h5": content}), "")


def test_every_byte_may_be_wrong():
    good = save_good().read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(150):
        content = np.frombuffer(good, "uint8").copy()
        places = generator.integers(0, len(good), 3)
        content[places] = generator.integers(0, 256, 3)
        Path("bad.keras").write_bytes(content.tobytes())
        try:
            load_model(Path("bad.keras"))
        except ModelError as error:
            message = str(error)
            assert message.isprintable()
