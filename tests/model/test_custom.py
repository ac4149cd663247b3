"""Layers of one's own come from a file that the person names, and from nowhere else."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from made import malice
from PIL import Image

from kerascnn.errors import ModelError
from kerascnn.model.custom import load_custom
from kerascnn.model.load import load_model

CODE = '''
import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("mine")
class Scaled(layers.Layer):
    def __init__(self, rate=2.0, activation=None, **settings):
        super().__init__(**settings)
        self.rate, self.activation = rate, keras.activations.get(activation)

    def build(self, shape):
        self.weight = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return self.activation(x * self.weight * self.rate)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        activation = keras.activations.serialize(self.activation)
        return super().get_config() | {"rate": self.rate, "activation": activation}


class Plain(layers.Conv2D):
    pass


@keras.saving.register_keras_serializable("mine")
def bent(x):
    return ops.relu(x) * 0.5


def squeezed(x):
    return ops.tanh(x)


class Twos(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return ops.full(shape, 2.0, dtype)


@keras.saving.register_keras_serializable("mine")
class OwnMetric(keras.metrics.Mean):
    pass


def own_loss(a, b):
    return ops.mean(a - b)


class OwnModel(keras.Model):
    pass


@keras.saving.register_keras_serializable("mine")
class Wrapped(keras.Model):
    """A model of its own constructor, which makes a functional one."""

    def __init__(self, units=3, **settings):
        image = keras.Input((8, 8, 3))
        x = layers.Conv2D(2, 3, name="first")(image)
        super().__init__(image, layers.Dense(units)(layers.Flatten()(x)), **settings)
        self.units = units

    def get_config(self):
        return {"units": self.units, "name": self.name}
'''


@pytest.fixture
def own():
    """The objects of a file `mine.py` that lies here."""
    Path("mine.py").write_text(CODE)
    return load_custom([Path("mine.py")])


def small(*inner, of=keras.Model):
    image = x = keras.Input((8, 8, 3))
    for each in (*inner, layers.Flatten(), layers.Dense(3)):
        x = each(x)
    return of(image, x)


MODELS = {
    "a registered layer": lambda own: small(own["Scaled"](3.0)),
    "a layer given by its name": lambda own: small(own["Plain"](2, 3)),
    "a layer with an activation of one's own": lambda own: small(own["Scaled"](1.0, own["bent"])),
    "a registered activation": lambda own: small(layers.Conv2D(2, 3, activation=own["bent"])),
    "an activation given by its name": lambda own: small(layers.Activation(own["squeezed"])),
    "an initializer": lambda own: small(layers.Conv2D(2, 3, kernel_initializer=own["Twos"]())),
    "a Lambda of a function": lambda own: small(layers.Lambda(own["squeezed"])),
    "a functional model of one's own": lambda own: small(layers.Conv2D(2, 3), of=own["OwnModel"]),
    "a model that makes itself": lambda own: own["Wrapped"](4),
    "an inner model": lambda own: small(own["OwnModel"](*two_tensors(own))),
    "wrapped in Keras's": lambda own: small(layers.TimeDistributed(own["Scaled"](2.0))),
    "in a Sequential": lambda own: keras.Sequential(
        [keras.Input((8, 8, 3)), own["Scaled"](2.0), layers.Flatten(), layers.Dense(3)]
    ),
}


def two_tensors(own):
    image = keras.Input((8, 8, 3))
    return image, own["Scaled"](2.0)(image)


@pytest.mark.parametrize("kind", MODELS)
def test_what_keras_saves_of_ones_own_is_loaded_with_the_file_and_refused_without(own, kind):
    model = MODELS[kind](own)
    model.save("model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
    loaded = load_model(Path("model.keras"), custom_objects=load_custom([Path("mine.py")]))
    answer = keras.ops.convert_to_numpy(loaded(images))
    np.testing.assert_allclose(answer, keras.ops.convert_to_numpy(model(images)), rtol=1e-5)
    with pytest.raises(ModelError, match=r"--custom FILE\.py \(in Python, by custom_objects=\)\.$"):
        load_model(Path("model.keras"))


def test_losses_and_metrics_of_ones_own_are_not_needed(own):
    model = small()
    model.compile("adam", loss=own["own_loss"], metrics=[own["OwnMetric"]()])
    model.save("model.keras")
    assert load_model(Path("model.keras")).count_params() == model.count_params()


def test_nothing_of_the_file_stays_registered():
    before = dict(keras.saving.get_custom_objects())
    Path("mine.py").write_text(CODE + "keras.saving.get_custom_objects()['Dense'] = Plain\n")
    path = list(sys.path)
    found = load_custom([Path("mine.py")])
    assert keras.saving.get_custom_objects() == before
    assert sys.path == path
    assert {"mine>Scaled", "Scaled", "mine>bent", "squeezed", "OwnModel", "Dense"} <= set(found)
    assert not {"keras", "layers", "ops", "CODE"} & set(found)


def test_a_file_may_take_layers_from_another_beside_it_and_again():
    Path("own").mkdir()
    Path("own/beside.py").write_text(CODE)
    code = "from beside import Scaled, squeezed\nfrom keras.layers import *"
    Path("own/mine.py").write_text(code)
    for _ in range(2):
        found = load_custom([Path("own/mine.py")])
        assert {"mine>Scaled", "Scaled", "squeezed"} <= set(found)
        assert "Conv2D" not in found


def test_code_in_the_file_of_the_model_is_refused_also_with_a_file_of_ones_own(own):
    for written in (malice.lambda_code(), malice.lambda_code()["config"]["function"]):
        path = malice.with_layer(malice.save_good("bad.keras"), written)
        with pytest.raises(ModelError, match="it holds Python code, a function without a name"):
            load_model(path, custom_objects=own)
    malice.check_no_trace()


@pytest.mark.parametrize("kind", ["__lambda__", "__typespec__", "StringLookup"])
def test_a_registered_name_lets_nothing_else_pass(own, kind):
    written = malice.layer(kind, registered_name="mine>Scaled", vocabulary="/etc/passwd")
    del written["module"]
    path = malice.with_layer(malice.save_good("bad.keras"), written)
    with pytest.raises(ModelError, match="it holds "):
        load_model(path, custom_objects=own)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file 'bad.py'; --custom takes a Python file."),
        ("x = (", "'bad.py' cannot be used: line 1: SyntaxError: '(' was never closed."),
        ("\ndef f():\n    1 / 0\nf()\n", "'bad.py' cannot be used: line 3: ZeroDivisionError: div"),
        ("import no_such", "'bad.py' cannot be used: line 1: ModuleNotFoundError: No module named"),
        ("raise SystemExit", "'bad.py' cannot be used: line 1: SystemExit."),
        ("import broken_beside", "'bad.py' cannot be used: line 1: SyntaxError: invalid syntax."),
        ("raise ValueError('a\\nb')", "'bad.py' cannot be used: line 1: ValueError: a b."),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_of_one_line(content, words):
    Path("broken_beside.py").write_text("\n\nx = 1 1\n")
    if content is not None:
        Path("bad.py").write_text(content)
    before = dict(keras.saving.get_custom_objects())
    with pytest.raises(ModelError) as caught:
        load_custom([Path("bad.py")])
    assert str(caught.value).startswith(words)
    assert str(caught.value).isprintable()
    assert keras.saving.get_custom_objects() == before


def test_a_file_of_another_kind_is_refused():
    Path("mine.txt").write_text(CODE)
    with pytest.raises(ModelError, match=r"^'mine.txt' is no Python file; --custom takes one that"):
        load_custom([Path("mine.txt")])


def test_commands_take_the_file(own, invoke):
    small(own["Scaled"](3.0, name="scaled")).save("model.keras")
    Path("mine.py").write_text(CODE + "print('hello')\n")
    Path("pictures").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 9, 9)).save(f"pictures/{number}.png")
    shown = ["--model", "model.keras", "--custom", "mine.py", "--json"]
    status, out, err = invoke("predict", "pictures", *shown)
    assert (status, out[:1]) == (0, "["), err
    status, out, err = invoke("filters", "--images", "pictures", "--layer", "scaled", *shown)
    assert (status, out[:1]) == (0, "["), err
    status, _, err = invoke("filters", "--images", "pictures", "--model", "model.keras")
    assert (status, len(err.splitlines())) == (1, 1)
    assert "'Scaled', which is not Keras's own; where it is yours, give its code by --cus" in err
    status, _, err = invoke("filters", "--custom", "mine.py")
    assert status == 2
    assert "--custom goes with --model" in " ".join(err.split())
