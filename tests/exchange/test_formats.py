"""Networks of runs and of others, written for other software and run by that software."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from made.pytorch import draw_images

from kerascnn.errors import ExchangeError, RunError
from kerascnn.evaluation import load_best_model
from kerascnn.exchange import export, save
from kerascnn.exchange.interface import describe
from kerascnn.exchange.tensorflow import METADATA
from kerascnn.model.build import build_model
from kerascnn.recipe import load_recipe
from kerascnn.run.find import create_run

RECIPE = load_recipe("adam-lr0.001").with_values(
    {"data.dataset": "shapes", "model.filters": [4, 6, 8], "model.units": 16}
)
BACKEND = keras.config.backend()
of_torch = pytest.mark.skipif(BACKEND != "torch", reason="written by the backend torch")
of_tensorflow = pytest.mark.skipif(
    BACKEND != "tensorflow", reason="written by the backend tensorflow"
)


def run_onnx(path, inputs):
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    sizes = {size for each in session.get_inputs() for size in each.shape}
    assert {size for size in sizes if isinstance(size, str)} <= {"num_images", "height", "width"}
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


def run_program(path, inputs):
    import torch

    program = torch.export.load(path)
    given = program.module()(*map(torch.from_numpy, inputs.values()))
    return {str(place): each.detach().numpy() for place, each in enumerate(given)}


def run_saved_model(path, inputs):
    tf = pytest.importorskip("tensorflow")
    given = tf.saved_model.load(str(path)).signatures["serving_default"](
        **{name: tf.constant(values) for name, values in inputs.items()}
    )
    return {name: values.numpy() for name, values in given.items()}


def run_litert(path, inputs):
    runtime = pytest.importorskip("ai_edge_litert.interpreter")
    return runtime.Interpreter(str(path)).get_signature_runner()(**inputs)


FORMATS = {
    "onnx": ("net.onnx", run_onnx),
    "pt2": ("net.pt2", run_program),
    "tf_saved_model": ("net", run_saved_model),
    "litert": ("net.tflite", run_litert),
}
each_format = pytest.mark.parametrize(
    "kind",
    [
        pytest.param("onnx", marks=of_torch),
        pytest.param("pt2", marks=[of_torch, pytest.mark.slow]),
        pytest.param("tf_saved_model", marks=of_tensorflow),
        pytest.param("litert", marks=of_tensorflow),
    ],
)


def require(kind):
    if kind == "onnx":
        pytest.importorskip("onnxscript")
    if kind == "litert":
        pytest.importorskip("ai_edge_litert")


def head(x, outputs, activation=None):
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(x))
    return layers.Dense(outputs, activation)(layers.GlobalAveragePooling2D()(x))


def augmenting():
    image = keras.Input((16, 20, 3), name="my picture")
    x = layers.RandomRotation(0.2)(layers.RandomFlip("horizontal")(image))
    return keras.Model(image, head(layers.Rescaling(1 / 255)(x), 4, "softmax"))


def nested():
    core = augmenting()
    image = keras.Input((16, 20, 3))
    return keras.Model(image, layers.Dense(2)(layers.Dropout(0.5)(core(image))))


def channels_first():
    image = keras.Input((3, 16, 20))
    return keras.Model(image, head(layers.Permute((2, 3, 1))(image), 1, "sigmoid"))


def two_in_two_out():
    a, b = keras.Input((16, 20, 3), name="a"), keras.Input((16, 20, 1), name="b")
    x = layers.Concatenate()([a, b])
    return keras.Model([a, b], [head(x, 3, "softmax"), head(x, 2)])


def by_name():
    pixels, number = keras.Input((16, 20, 3), name="z"), keras.Input((2,), name="a")
    x = layers.Concatenate()([layers.Flatten()(pixels), number])
    return keras.Model({"z": pixels, "a": number}, {"answer": layers.Dense(2, name="answer")(x)})


def any_size():
    image = keras.Input((None, None, 3), dtype="uint8")
    return keras.Model(image, head(layers.Rescaling(1 / 10)(image), 3))


MODELS = [augmenting, nested, channels_first, two_in_two_out, by_name, any_size]


def draw(tensor, count):
    shape = [
        size if isinstance(size, int) else count if place == 0 else 40
        for place, size in enumerate(tensor.shape)
    ]
    return np.random.default_rng(0).integers(0, 256, shape).astype(tensor.dtype)


def answers(model, interface, inputs):
    """What Keras itself predicts."""
    values = list(inputs.values())
    given = model.predict(
        dict(inputs) if isinstance(model.input, dict) else values if len(values) > 1 else values[0],
        verbose=0,
        batch_size=100,
    )
    return keras.tree.flatten(given)


@each_format
@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_model_of_others_gives_the_same_in_the_runtime(kind, make):
    require(kind)
    keras.utils.set_random_seed(1)
    make().save("mine.keras")
    name, run = FORMATS[kind]
    interface = save("mine.keras", name, kind)
    model = keras.saving.load_model("mine.keras")
    for count in (100, 1):
        inputs = {each.name: draw(each, count) for each in interface.inputs}
        given, expected = run(name, inputs), answers(model, interface, inputs)
        if kind != "pt2":  # which has no names
            given = [given[each.name] for each in interface.outputs]
        for one, other in zip(
            list(given.values() if kind == "pt2" else given), expected, strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@each_format
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_run_in_mixed_precision_is_written_in_float32(kind, precision):
    require(kind)
    recipe = RECIPE.with_values({"train.precision": precision})
    run, model = create_run(recipe), build_model(recipe)
    run.write_best(model.save)
    name, in_runtime = FORMATS[kind]
    interface = save(run, name, kind)
    inputs = {each.name: draw(each, 100) for each in interface.inputs}
    (given,) = in_runtime(name, inputs).values()
    exact = build_model(RECIPE)
    exact.set_weights(model.get_weights())
    (expected,) = answers(exact, interface, inputs)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def run():
    run, model = create_run(RECIPE), build_model(RECIPE)
    run.write_best(model.save)
    return run


@each_format
def test_run_gives_the_same_logits_in_the_runtime_and_says_what_it_takes(kind, run):
    require(kind)
    name, runtime = FORMATS[kind]
    interface = save(run, name, kind)
    assert [str(line) for line in interface.lines()] == [
        "Takes image: float32 (num_images, 32, 32, 3), channels last, pixel values from 0 to 255.",
        "Gives logits: float32 (num_images, 10), logits.",
        "Types are not converted: pixels of uint8 must be cast first.",
    ]
    images = draw_images(100)[0].astype("float32")
    (given,) = runtime(name, {"image": images}).values()
    expected = load_best_model(run).predict(images, verbose=0)
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-5)


def stored(kind, name):
    """What the file itself says."""
    if kind == "onnx":
        runtime = pytest.importorskip("onnxruntime")
        session = runtime.InferenceSession(name, providers=["CPUExecutionProvider"])
        return session.get_modelmeta().custom_metadata_map["kerascnn"]
    if kind == "pt2":
        import torch

        extra = {"kerascnn": ""}
        torch.export.load(name, extra_files=extra)
        return extra["kerascnn"]
    if kind == "tf_saved_model":
        return Path(name, "assets.extra", METADATA).read_text()
    from tensorflow.lite.tools import flatbuffer_utils

    return flatbuffer_utils.read_model(name).description


@each_format
def test_file_says_itself_what_it_takes_and_gives(kind, run):
    require(kind)
    name = FORMATS[kind][0]
    interface = save(run, name, kind)
    assert json.loads(stored(kind, name)) == interface.model_dump(mode="json")


def test_outputs_are_called_what_they_are_seen_to_be():
    keras.utils.set_random_seed(1)
    kinds = {}
    for make in (augmenting, channels_first, any_size):
        make().save("mine.keras")
        (output,) = save("mine.keras", "plain.keras", "keras", overwrite=True).outputs
        kinds[make] = output.meaning
    assert kinds == {
        augmenting: "probabilities: they sum to 1 for random inputs",
        channels_first: "from 0 to 1 for random inputs, as a sigmoid gives",
        any_size: "any numbers, such as logits",
    }


@each_format
def test_model_that_a_format_has_no_operations_for_is_refused_in_one_line(kind):
    require(kind)
    policy = "mixed_bfloat16" if kind in ("onnx", "litert") else None
    if not policy:
        pytest.skip("has operations for all that Keras has")
    keras.config.set_dtype_policy(policy)
    try:
        any_size().save("mine.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ExchangeError, match=r"computes in bfloat16, .*policy float32"):
        export("mine.keras", FORMATS[kind][0], kind)
    assert not Path(FORMATS[kind][0]).exists()


@of_tensorflow
def test_operation_that_litert_lacks_is_named(capfd):
    tokens = keras.Input((8,), dtype="int32")
    x = layers.LSTM(4)(layers.Embedding(20, 4)(tokens))
    keras.Model(tokens, layers.Dense(2)(x)).save("mine.keras")
    with pytest.raises(ExchangeError, match=r"LiteRT has no operation .*: TensorListReserve; "):
        export("mine.keras", "net.tflite", "litert")
    assert "loc(" not in capfd.readouterr().err


@of_tensorflow
def test_saved_model_replaces_a_saved_model_and_nothing_else(run):
    Path("work").mkdir()
    Path("work", "thesis.txt").write_text("mine")
    with pytest.raises(ExchangeError, match="'work' is not a SavedModel"):
        export(run, "work", "tf_saved_model", overwrite=True)
    export(run, "net", "tf_saved_model")
    with pytest.raises(ExchangeError, match="exists already"):
        export(run, "net", "tf_saved_model")
    export(run, "net", "tf_saved_model", overwrite=True)
    Path("net", "notes.txt").write_text("mine")
    with pytest.raises(ExchangeError, match="'net' is not a SavedModel"):
        export(run, "net", "tf_saved_model", overwrite=True)
    with pytest.raises(RunError, match="'no/net' cannot be written: No such file"):
        export(run, "no/net", "tf_saved_model")
    assert Path("work", "thesis.txt").read_text() == "mine"
    assert {path.name for path in Path().iterdir()} == {"work", "net", "runs"}


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("tf_saved_model", "net", "needs TensorFlow: `pip install 'kerascnn[tensorflow]'`"),
        ("litert", "net.tflite", "needs TensorFlow: `pip install 'kerascnn[tensorflow]'`"),
        ("litert", "net.lite", "'net.lite' must end in .tflite"),
        ("pt2", "net.pt", "'net.pt' must end in .pt2"),
    ],
)
def test_what_cannot_be_written_here_says_what_to_do(run, monkeypatch, kind, name, words):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name: None if name == "tensorflow" and BACKEND == "torch" else found(name),
    )
    if BACKEND != "torch" and "pip" in words:
        pytest.skip("TensorFlow is the backend")
    with pytest.raises(ExchangeError) as caught:
        export(run, name, kind)
    assert words in str(caught.value)


@of_torch
@pytest.mark.parametrize("kind", ["tf_saved_model", "litert"])
def test_other_backend_is_named_where_it_is_needed(run, monkeypatch, kind):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    with pytest.raises(
        ExchangeError, match=r"this is torch\. Use `KERAS_BACKEND=tensorflow kerasc"
    ):
        export(run, FORMATS[kind][0], kind)


def test_model_that_fails_when_it_is_called_is_one_line():
    number = keras.Input((4,), dtype="int32")
    text = keras.layers.Dense(2, activation="mish")(number)
    model = keras.Model(number, text)
    model.layers[1].activation = lambda x: keras.ops.reshape(x, (7, 11))
    with pytest.raises(ExchangeError, match="The model fails when it is called: ") as caught:
        describe(model, is_run=False)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Exception encountered" not in str(caught.value)


def test_weights_alone_of_a_model_of_others_are_refused():
    augmenting().save("mine.keras")
    with pytest.raises(ExchangeError, match=r"of a \.keras file use 'pt2'"):
        export("mine.keras", "net.pt", "torch")


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="no TensorFlow to be silent")
def test_tensorflow_says_nothing_beside_torch(run):
    done = subprocess.run(
        [sys.executable, "-m", "kerascnn", *f"export {run.path} --format keras -o n.keras".split()],
        capture_output=True,
        text=True,
        env=os.environ
        | {"KERAS_BACKEND": "torch", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0
    first, *lines = done.stderr.splitlines()
    assert first == "Wrote n.keras."
    assert {line.split()[0] for line in lines} == {"Takes", "Gives", "Types"}
