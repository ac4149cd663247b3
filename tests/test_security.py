"""Files and names that were made to do harm: none does, and each is refused in one line."""

import ast
import io
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
from made.records import make_evaluation
from PIL import Image

import kerascnn as package
from kerascnn.data.pictures import find_images, load_image
from kerascnn.errors import ImageError, KerascnnError, ModelError, RecipeError, RunError
from kerascnn.evaluation import load_best_model
from kerascnn.model import load
from kerascnn.model.load import load_model
from kerascnn.model.trusted import check_classes
from kerascnn.recipe import load_recipe
from kerascnn.run import Run
from kerascnn.run.find import create_run, find_run, list_runs

ROOT = Path(package.__file__).parent


@pytest.fixture(autouse=True)
def no_trace():
    """Whatever a test does: no code of a model ran, here or beside here."""
    yield
    assert not list(Path().rglob(malice.TRACE))
    assert not (Path("..") / malice.TRACE).exists()


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
    assert load_model(Path("own.keras")).layers[0].name == "random_horizontal_flip"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_every_precision_are_loaded(dtype):
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3, dtype=dtype)])
    model.save("model.keras")
    assert load_model(Path("model.keras")).layers[0].kernel.dtype == dtype


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
    refused(path, "it holds a Lambda layer, which can run any code; build it of other layers.")


def test_a_lambda_under_the_name_of_its_real_module_is_refused():
    written = malice.lambda_code() | {"module": "keras.src.layers.core.lambda_layer"}
    refused(with_layer(save_good("bad.keras"), written), "it holds a Lambda layer")


@pytest.mark.parametrize("key", ["activation", "kernel_initializer", "kernel_regularizer"])
def test_code_in_place_of_a_function_is_refused(key):
    code = malice.lambda_code()["config"]["function"]
    assert code["class_name"] == "__lambda__"

    def change(config):
        config["config"]["layers"][1]["config"][key] = code

    refused(with_config(save_good("bad.keras"), change), "'__lambda__', which is not Keras's own")


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
    refused(with_layer(save_good("bad.keras"), FOREIGN[kind]), "which is not Keras's own; build")


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


def test_a_fifo_is_refused_and_not_waited_for():
    os.mkfifo("pipe.keras")
    with pytest.raises(ModelError, match="it is not a file"):
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


# What numpy reads.


def test_pickled_arrays_in_a_run_are_refused():
    class Evil:
        def __reduce__(self):
            return Path.write_text, (Path("trace").absolute(), "unpickled")

    run = create_run(load_recipe("sgd-lr0.01"))
    evil = np.array([Evil()], dtype=object)
    run.best_path.touch()
    (run.path / "activations").mkdir()
    for name in ("predictions.npz", "activations/any.npz"):
        np.savez(run.path / name, probabilities=evil, predictions=evil, labels=evil, model=evil)
    with pytest.raises(RunError, match="is damaged"):
        run.read_predictions()
    with pytest.raises(RunError, match="is damaged"):
        run.read_activations("any")


def test_arrays_in_a_run_that_unfold_a_thousandfold_are_refused():
    run = create_run(load_recipe("sgd-lr0.01"))
    run.best_path.touch()
    (run.path / "activations").mkdir()
    for name in ("predictions.npz", "activations/any.npz"):
        malice.zeros_npz(run.path / name, "probabilities", 50 * 2**20)
    for read in (run.read_predictions, lambda: run.read_activations("any")):
        with pytest.raises(RunError, match="would unfold from"):
            read()


def test_a_pickled_array_in_the_cache_is_read_anew(monkeypatch, tmp_path):
    from kerascnn.data import cache

    class Evil:
        def __reduce__(self):
            return Path.write_text, (Path("trace").absolute(), "unpickled")

    monkeypatch.setenv("KERASCNN_CACHE_DIR", str(tmp_path / "cache"))
    cache.load("x", "1", lambda: {"a": np.arange(3)})
    (entry,) = (tmp_path / "cache").iterdir()
    np.save(entry / "a.npy", np.array([Evil()], dtype=object))
    assert cache.load("x", "1", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]


# The source itself.

FORBIDDEN_MODULES = {"pickle", "cPickle", "shelve", "marshal", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load"}


def dotted(node):
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_no_module_unpickles_or_runs_text(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & FORBIDDEN_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FORBIDDEN_MODULES
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        settings = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert name not in FORBIDDEN_CALLS, f"{path}:{node.lineno}"
        assert settings.get("shell", "False") == "False", f"{path}:{node.lineno}"
        if name in ("np.load", "numpy.load"):
            assert settings.get("allow_pickle") == "False", f"{path}:{node.lineno}"
        if name == "torch.load":
            assert settings.get("weights_only") == "True", f"{path}:{node.lineno}"
        if name.endswith(("saving.load_model", "models.load_model")):
            assert path == ROOT / "model" / "load.py", f"{path}:{node.lineno}"
            assert settings == {"compile": "False", "safe_mode": "True"}
        assert not name.endswith(("load_weights", "enable_unsafe_deserialization"))
        assert not name.endswith(("extract", "extractall", "unpack_archive")), path


# Names.

NAMES = [
    "../out", "../../out", "/out", "a/../../out", "..", ".", "~", "-o", "--help", "CON", "a\0b",
    "a\nb", "a\x1b[31mb", "[red]x[/]", "[/]", "<script>", "x" * 256, "x" * 5000, "日本",
    "\u202etxt",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_recipe_has_a_name_that_is_a_path(name):
    recipe = load_recipe("sgd-lr0.01")
    if name == "CON":
        return
    with pytest.raises(RecipeError, match="name = "):
        recipe.with_values({"name": name})


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_run_finds_a_run_or_none(name):
    create_run(load_recipe("sgd-lr0.01"))
    try:
        assert find_run(name).name.startswith("sgd-lr0.01-seed0-")
    except RunError as error:
        message = str(error)
        assert "No run in 'runs' has" in message


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_stays_in_its_run(name):
    from matplotlib.figure import Figure

    run = create_run(load_recipe("sgd-lr0.01"), "in/runs")
    path = run.write_figure(name, Figure(figsize=(1, 1)))
    assert path.parent == run.figures_path
    assert path.is_file()
    assert path.name.isprintable()
    assert len(path.name.encode()) < 250
    assert {each.name for each in Path().iterdir()} == {"in"}


def test_figures_that_differ_by_what_is_not_kept_do_not_overwrite_each_other():
    from matplotlib.figure import Figure

    run = create_run(load_recipe("sgd-lr0.01"))
    names = ["a" * 300, "a" * 301, "a/b", "a\nb", "a\0b"]
    assert len({run.write_figure(name, Figure(figsize=(1, 1))) for name in names}) == len(names)


def test_a_run_whose_figures_lie_elsewhere_is_not_drawn_into():
    from matplotlib.figure import Figure

    run = create_run(load_recipe("sgd-lr0.01"))
    Path("elsewhere").mkdir()
    run.figures_path.symlink_to(Path("elsewhere").absolute())
    with pytest.raises(RunError, match=r"figures' leads out of the run"):
        run.write_figure("history", Figure(figsize=(1, 1)))
    assert not list(Path("elsewhere").iterdir())


def test_a_file_of_a_run_that_is_a_link_is_replaced_not_followed():
    run = create_run(load_recipe("sgd-lr0.01"))
    Path("precious").write_text("mine")
    run.metrics_path.symlink_to(Path("precious").absolute())
    run.write_metrics(make_evaluation())
    assert Path("precious").read_text() == "mine"


def test_links_that_lead_nowhere_or_in_circles_are_no_runs(invoke):
    run = create_run(load_recipe("sgd-lr0.01"))
    Path("runs/ring").symlink_to("ring")
    Path("runs/nowhere").symlink_to("/no/such/place")
    Path("runs/broken").mkdir()
    Path("runs/broken/recipe.toml").symlink_to("/no/such/file")
    assert [each.name for each in list_runs()] == [run.name]
    assert invoke("runs")[0] == 0


def test_a_recipe_file_without_end_is_refused():
    Path("endless.toml").symlink_to("/dev/zero")
    with pytest.raises(RecipeError, match="more than"):
        load_recipe("endless.toml")


# Pictures.


@pytest.mark.parametrize("size", [(20_000, 20_000), (2**31 - 1, 2**31 - 1), (10**6, 1000)])
def test_a_picture_that_would_fill_memory_is_refused(size):
    Path("bomb.png").write_bytes(malice.png_of(*size))
    with pytest.raises(ImageError, match=r"^'bomb.png' ") as caught:
        load_image("bomb.png", (8, 8, 3))
    assert "\n" not in str(caught.value)


def test_every_kind_of_picture_may_end_too_early_or_be_wrong():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (12, 9, 3)).astype("uint8")
    kinds = {
        "a.png": Image.fromarray(pixels),
        "a.jpg": Image.fromarray(pixels),
        "cmyk.jpg": Image.fromarray(pixels).convert("CMYK"),
        "a.gif": Image.fromarray(pixels).convert("P"),
        "a.tif": Image.fromarray(pixels[..., 0].astype("uint16") * 257),
        "a.bmp": Image.fromarray(pixels),
        "a.ppm": Image.fromarray(pixels),
        "a.webp": Image.fromarray(pixels),
    }
    for name, picture in kinds.items():
        file = io.BytesIO()
        picture.save(file, {"jpg": "jpeg", "tif": "tiff"}.get(name[-3:], name.split(".")[1]))
        whole = file.getvalue()
        for _ in range(60):
            content = bytearray(whole[: generator.integers(0, len(whole) + 1)])
            for place in generator.integers(0, max(1, len(content)), 3):
                if content:
                    content[place] = generator.integers(0, 256)
            Path(name).write_bytes(content)
            try:
                assert load_image(name, (8, 8, 3)).shape == (8, 8, 3)
            except ImageError as error:
                message = str(error)
                assert message.startswith(f"'{name}' ")
                assert "\n" not in message


def test_folders_that_end_in_themselves_or_vanish_are_passed_over(monkeypatch):
    Path("a/b").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save("a/b/1.png")
    Path("a/ring").symlink_to("..", target_is_directory=True)
    Path("a/nowhere").symlink_to("gone")
    real = os.scandir

    def vanish(path):
        if str(path).endswith("c"):
            raise FileNotFoundError(2, "gone")
        return real(path)

    Path("a/c").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", vanish)
        assert find_images(Path("a")) == [Path("a/b/1.png")]


def test_a_fifo_is_no_picture_and_is_not_waited_for():
    os.mkfifo("pipe.png")
    with pytest.raises(ImageError, match=r"^'pipe.png' is not a file"):
        load_image("pipe.png")


# What is shown.

MALICIOUS = (
    "\x1b[31mred\x1b[0m",
    "[red]b[blue]",
    "[bold",
    "<b>&",
    "$\\frac{",
    "a\nb",
    "\u202etxt",
    "\x9b1m",
)


@pytest.fixture
def folder():
    """A data set whose classes have names that a terminal or rich would obey."""
    generator = np.random.default_rng(0)
    for name in MALICIOUS:
        Path("pictures", name).mkdir(parents=True)
        for number in range(4):
            pixels = generator.integers(0, 255, (8, 8, 3)).astype("uint8")
            Image.fromarray(pixels).save(Path("pictures", name, f"{number}.png"))
    for number, name in enumerate((os.fsdecode(b"\xff.png"), "\x1b]0;owned\x07[].png")):
        Image.fromarray(pixels).save(Path("pictures", MALICIOUS[number], name))
    Path("pictures", MALICIOUS[0], "\x1b[2Jbad.png").write_text("no")
    return Path("pictures")


COMMANDS_OF_A_RUN = [
    ["runs"],
    ["evaluate"],
    ["compare", "seed0", "seed0"],
    ["data", "info", "pictures"],
    ["top-activations"],
    ["feature-maps"],
    ["filters"],
    ["explain-filter", "1"],
    ["predict", "pictures"],
    ["report"],
    ["augmentations", "--dataset", "pictures"],
]


def test_names_of_folders_and_files_are_shown_and_not_obeyed(folder, invoke):
    settings = ["--epochs", "1", "--set", "data.validation_fraction=0.4", "--set", "model.units=4"]
    status, out, err = invoke("run", "sgd-lr0.01", "--dataset", folder, *settings)
    assert status == 0, err
    shown = [out, err]
    for command in COMMANDS_OF_A_RUN:
        status, out, err = invoke(*command)
        assert status in (0, 1), err
        assert "Traceback" not in err
        shown += [out, err]
    text = "".join(shown)
    assert not set(text) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert not [each for each in text if "\ud800" <= each <= "\udfff"]
    assert "�[31mred�[0m" in text
    assert "[red]b[blue]" in text
    (page,) = (path.read_text("utf-8") for path in Path("runs").glob("*/page.html"))
    assert not set(page) & {"\x1b", "\x07", "\x9b", "\u202e"}
    for command in COMMANDS_OF_A_RUN[:-1]:
        status, out, _ = invoke(*command, "--json")
        assert status or json.loads(out)


def test_a_terminal_is_told_colors_but_no_commands_of_others():
    from rich.table import Table
    from rich.text import Text

    from kerascnn.cli.output import SafeConsole

    file = io.StringIO()
    console = SafeConsole(file=file, force_terminal=True, color_system="standard", width=60)
    table = Table(title="\x1b[2J")
    table.add_column("\x1b]0;owned\x07")
    table.add_row(Text("\x1b[31m\u202eabc", style="bold"))
    console.print(table)
    console.print("\x9b31m", "a\tb")
    text = file.getvalue()
    assert "\x1b[1m" in text  # rich's own
    for command in ("\x1b[2J", "\x1b]0", "\x07", "\x1b[31m", "\u202e", "\x9b"):
        assert command not in text


def test_an_argument_in_an_error_of_usage_is_not_obeyed(invoke):
    for arguments in (
        ["--\x1b[31mx"],
        ["\x1b[2J"],
        ["predict", "x", "--\u202ey"],
        ["runs", "\x07"],
    ):
        status, out, err = invoke(*arguments)
        assert status == 2
        assert not set(out + err) & {"\x1b", "\x07", "\u202e"}


def test_output_that_the_encoding_of_the_terminal_lacks_is_shown_all_the_same():
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "kerascnn", "recipes"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"sgd-lr0.01" in done.stdout


# Runs that somebody else gave.


@pytest.fixture(scope="module")
def given_run(tmp_path_factory):
    """A whole run of three classes, to damage."""
    from kerascnn.data import load_dataset
    from kerascnn.evaluation import evaluate
    from kerascnn.training import train

    root = tmp_path_factory.mktemp("given")
    generator = np.random.default_rng(0)
    for name in "abc":
        (root / "pictures" / name).mkdir(parents=True)
        for number in range(6):
            pixels = generator.integers(0, 255, (8, 8, 3)).astype("uint8")
            Image.fromarray(pixels).save(root / "pictures" / name / f"{number}.png")
    recipe = load_recipe("sgd-lr0.01").with_values(
        {"data.dataset": str(root / "pictures"), "train.epochs": 1, "model.units": 4}
    )
    run = train(recipe, root / "runs", dataset=load_dataset(str(root / "pictures")))
    evaluate(run)
    return run


ODD_VALUES = [None, True, -1, 10**30, 0.5, float("nan"), "x\x1b[31m[/]", [], {}, [None], {"a": 1}]


def damaged(content, generator):
    """The content of a JSON file with one value, anywhere, replaced or taken out."""
    places = []

    def walk(value):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, each in list(items):
            places.append((value, key))
            if isinstance(each, dict | list):
                walk(each)

    walk(content)
    table, key = places[generator.integers(len(places))]
    if generator.random() < 0.2:
        del table[key]
    else:
        table[key] = ODD_VALUES[generator.integers(len(ODD_VALUES))]
    return content


@pytest.mark.parametrize("name", ["metrics.json", "environment.json"])
@pytest.mark.parametrize("part", range(2))
def test_a_damaged_run_is_shown_or_refused_in_one_line(given_run, invoke, name, part):
    generator = np.random.default_rng(part)
    path = given_run.path / name
    good = path.read_text()
    try:
        for _ in range(12):
            path.write_text(json.dumps(damaged(json.loads(good), generator)))
            for command in (["runs"], ["compare", "seed0", "seed0"]):
                for flag in ([], ["--json"]):
                    arguments = [*command, "--runs-dir", given_run.path.parent, *flag]
                    status, out, err = invoke(*arguments)
                    assert status in (0, 1)
                    assert len(err.splitlines()) == status, err
                    if flag and not status:
                        json.loads(out)
                    assert not set(out + err) & {"\x1b"}
    finally:
        path.write_text(good)


def test_an_environment_without_a_backend_is_named(given_run, invoke):
    path = given_run.path / "environment.json"
    good = path.read_text()
    path.write_text("{}")
    status, _, err = invoke("evaluate", given_run.path)
    path.write_text(good)
    assert status in (0, 1)
    assert len(err.splitlines()) == status


@pytest.mark.parametrize(
    "command", [["top-activations"], ["filters"], ["predict"], ["feature-maps"]]
)
@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_model_that_gives_no_numbers_is_refused_in_one_line(command, flag, invoke):
    save_good()

    def spoil(weights):
        kernel = weights["layers/conv2d/vars/0"]
        kernel[...] = np.nan

    with_weights("good.keras", spoil)
    Path("pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 9, 9)).save(f"pictures/{number}.png")
    place = ["pictures"] if command == ["predict"] else ["--images", "pictures"]
    status, out, err = invoke(*command, *place, "--model", "good.keras", *flag)
    assert status == 1
    assert out == ""
    assert "not finite" in err
    assert len(err.splitlines()) == 1


def test_every_error_that_is_raised_on_purpose_has_one_base():
    assert issubclass(ModelError, KerascnnError)
    assert Run("x").path == Path("x")
