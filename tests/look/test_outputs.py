"""What a model's outputs mean, told by its graph and its numbers, on models of every kind."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from kerascnn.errors import ModelError
from kerascnn.look.outputs import interpret_outputs, to_probabilities
from kerascnn.look.subject import ModelUse, Subject

SHARES = np.array([[0.2, 0.7], [0.9, 0.95]])
SUMS = np.array([[0.2, 0.8], [0.9, 0.1]])
LOGITS = np.array([[-3.0, 2.0], [0.5, 0.1]])


@pytest.mark.parametrize(
    ("values", "activation", "meaning", "certain"),
    [
        (SUMS, "softmax", "probabilities", True),
        (SHARES, "sigmoid", "sigmoid", True),
        (SHARES[:, :1], "sigmoid", "probabilities", True),
        (LOGITS, "linear", "logits", False),
        (LOGITS[:, :1], "linear", "logits", False),
        (SHARES[:, :1], "linear", "logits", False),
        (LOGITS, "relu", "none", False),
        (SUMS, None, "probabilities", False),
        (SHARES, None, "sigmoid", False),
        (SHARES[:, :1], None, "probabilities", False),
        (LOGITS, None, "logits", False),
        (LOGITS, "softmax", "logits", False),
    ],
)
def test_meaning_follows_from_the_graph_and_the_numbers(values, activation, meaning, certain):
    found = interpret_outputs(values, activation)
    assert (found.meaning, found.assumption == "") == (meaning, certain)
    if not certain:
        assert "Give --outputs to say otherwise" in found.assumption


def test_half_precision_probabilities_are_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 1000))
    half = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype("float16")
    assert interpret_outputs(half.astype("float32"), "softmax").meaning == "probabilities"


def test_outputs_that_cannot_be_what_they_are_said_to_be_are_refused():
    with pytest.raises(ModelError, match="one is -3, which is not between 0 and 1"):
        to_probabilities(LOGITS, "probabilities")
    with pytest.raises(ModelError, match=r"sum to 1\.85, not to 1"):
        to_probabilities(SHARES, "probabilities")


def sigmoid_of(value):
    return 1 / (1 + np.exp(-value))


def pixel_mean(scale=0.0):
    """A Dense on pooled pixels: its answer is the same for all images where `scale` is 0."""
    return keras.Sequential([layers.Rescaling(scale), layers.GlobalAveragePooling2D()])


def nested_sigmoid():
    image = keras.Input((8, 8, 3))
    bias = keras.initializers.Constant(-2.0)
    head = layers.Dense(1, activation="sigmoid", bias_initializer=bias)
    core = keras.Model(image, head(layers.GlobalAveragePooling2D()(layers.Rescaling(0.0)(image))))
    flipped = keras.Input((8, 8, 3))
    return keras.Model(flipped, core(layers.RandomFlip("horizontal")(flipped)))


def operation_sigmoid():
    image = keras.Input((8, 8, 3))
    dense = layers.Dense(1, bias_initializer=keras.initializers.Constant(-2.0))
    pooled = layers.GlobalAveragePooling2D()(layers.Rescaling(0.0)(image))
    return keras.Model(image, ops.sigmoid(dense(pooled)))


def multi_label():
    image = keras.Input((8, 8, 3))
    bias = keras.initializers.Constant(3.0)
    head = layers.Dense(
        3, "sigmoid", bias_initializer=bias, kernel_initializer="zeros", name="labels"
    )
    return keras.Model(image, head(layers.GlobalAveragePooling2D()(image)))


@pytest.fixture
def predicted(tmp_path, monkeypatch, invoke):
    """Save a model and call `predict` on a picture; gives its records and what else is said."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((8, 8, 3), 90, "uint8")).save("a.png")

    def ask(model, *options):
        model.save("m.keras")
        status, out, err = invoke("predict", "a.png", "--model", "m.keras", "--json", *options)
        assert status == 0, err
        return json.loads(out)[0], err

    return ask


@pytest.mark.parametrize("build", [nested_sigmoid, operation_sigmoid])
def test_no_sigmoid_is_applied_twice(predicted, build):
    found, err = predicted(build())
    expected = sigmoid_of(-2.0)
    assert found["probabilities"] == pytest.approx({"0": 1 - expected, "1": expected}, abs=1e-6)
    assert found["prediction"] == "0"
    assert "taken for" not in err


def test_each_label_keeps_its_own_probability_and_there_is_no_predicted_class(predicted):
    found, _ = predicted(multi_label())
    assert found["prediction"] is None
    assert list(found["probabilities"].values()) == pytest.approx([sigmoid_of(3.0)] * 3, abs=1e-6)


def test_labels_by_themselves_are_shown_as_such(tmp_path, predicted, invoke):
    predicted(multi_label())
    _, out, _ = invoke("predict", "a.png", "--model", "m.keras")
    assert "Probability of each label by itself" in out
    _, out, err = invoke("top-activations", "--model", "m.keras", "--images", "a.png", "-k", 1,
                       "--layer", "labels", "-f", 1)  # fmt: skip
    assert out.count("│ –  ") == 2, err


def logits_model(units=2):
    image = keras.Input((8, 8, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))
    dense = layers.Dense(units, bias_initializer=keras.initializers.Constant(0.2))
    return keras.Model(image, dense(pooled))


def test_what_was_assumed_is_said_and_can_be_said_otherwise(predicted, invoke):
    model = logits_model()
    _, err = predicted(model)
    assert "The model's outputs have no activation; they are taken for logits." in err
    values = keras.ops.convert_to_numpy(model(np.full((1, 8, 8, 3), 90, "uint8")))[0]
    softmax = np.exp(values) / np.exp(values).sum()
    found, err = predicted(model, "--outputs", "logits")
    assert sorted(found["probabilities"].values()) == pytest.approx(sorted(softmax), abs=1e-6)
    assert "taken for" not in err
    status, _, err = invoke("predict", "a.png", "--model", "m.keras", "--outputs", "none")
    assert status == 1
    assert "that are not taken for classes; --outputs says what they mean." in err
    status, _, err = invoke("predict", "a.png", "--model", "m.keras", "--outputs", "probabilities")
    assert status == 1
    assert "The outputs cannot be probabilities of classes" in err


def several_outputs():
    image = keras.Input((8, 8, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))
    kind = layers.Dense(2, "softmax", name="kind")(pooled)
    color = layers.Dense(3, "softmax", name="color")(pooled)
    return keras.Model(image, [kind, color, layers.Conv2D(1, 3, name="maps")(image)])


def test_of_several_outputs_one_is_named(predicted, invoke):
    model = several_outputs()
    found, _ = predicted(model, "--output-name", "color")
    expected = keras.ops.convert_to_numpy(model(np.full((1, 8, 8, 3), 90, "uint8"))[1])[0]
    values = [found["probabilities"][str(index)] for index in range(3)]
    assert values == pytest.approx(expected.tolist(), abs=1e-6)
    status, _, err = invoke("predict", "a.png", "--model", "m.keras")
    assert status == 1
    assert "--output-name" in err
    status, _, err = invoke("predict", "a.png", "--model", "m.keras", "--output-name", "size")
    assert status == 1
    assert "The model has no output 'size'; it has kind (None, 2), color (None, 3), maps" in err


def two_inputs():
    image, scale = keras.Input((8, 8, 3), name="image"), keras.Input((1,), name="scale")
    pooled = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))
    return keras.Model([scale, image], layers.Multiply()([layers.Dense(2)(pooled), scale]))


def test_other_inputs_are_filled_with_constants(predicted, invoke):
    model = two_inputs()
    images = np.full((1, 8, 8, 3), 90, "uint8")
    found, _ = predicted(model, "--constant", "scale=2", "--outputs", "logits")
    values = keras.ops.convert_to_numpy(model([np.full((1, 1), 2.0), images]))[0]
    softmax = np.exp(values) / np.exp(values).sum()
    assert [found["probabilities"][str(i)] for i in (0, 1)] == pytest.approx(softmax, abs=1e-6)
    for given, words in [
        ([], "The model has 2 inputs, scale (None, 1), image (None, 8, 8, 3); pictures go into"),
        (["--constant", "size=1"], "The model has no input 'size'; it has scale, image."),
        (["--constant", "image=1"], "takes inputs of shape (None, 1)"),
    ]:
        status, _, err = invoke("predict", "a.png", "--model", "m.keras", *given)
        assert status == 1
        assert words in err
    assert invoke("predict", "a.png", "--model", "m.keras", "--constant", "scale")[0] == 2


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_alpha_come_as_the_input_asks(tmp_path, monkeypatch, channels):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 4), "uint8")
    Image.fromarray(pixels).save("a.png")
    image = keras.Input((8, 8, channels))
    keras.Model(image, layers.Conv2D(2, 3, name="conv")(image)).save("m.keras")
    subject = Subject(model_path=Path("m.keras"), images=("a.png",), use=ModelUse())
    assert subject.shown.images.shape == (1, 8, 8, channels)
    assert subject.maps([0], "conv").shape == (1, 6, 6, 2)
    if channels == 4:
        np.testing.assert_array_equal(subject.shown.images.take([0])[0], pixels)
