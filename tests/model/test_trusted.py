"""What may be loaded is known by what it is, not by what it is called."""

import inspect
import sys
from types import FunctionType

import keras
import pytest
from keras import layers
from made.malice import layer

from kerascnn.model.trusted import (
    REFUSED,
    REFUSED_FUNCTIONS,
    REFUSED_OPERATIONS,
    TRUSTED,
    check_classes,
    find_object,
)


def written(name, module, registered_name=None):
    """A function as Keras writes it into a file."""
    return {
        "module": module,
        "class_name": "function",
        "config": name,
        "registered_name": registered_name or name,
    }


@pytest.mark.parametrize("refused", sorted(REFUSED, key=lambda each: each.__name__))
def test_what_is_refused_is_refused_under_each_of_its_names(refused):
    for module in ("keras.layers", refused.__module__):
        assert find_object(module, refused.__name__) is refused
        for value in (layer(refused.__name__, module), written(refused.__name__, module)):
            with pytest.raises(ValueError, match=r"which can (do more than compute|run any code);"):
                check_classes({"deep": [{"down": value}]})


@pytest.mark.parametrize("name", REFUSED_OPERATIONS)
def test_loops_are_refused(name):
    module = "keras.src.ops.linalg" if name == "JVP" else "keras.src.ops.core"
    with pytest.raises(ValueError, match="do more than compute"):
        check_classes(layer(name, module))


@pytest.mark.parametrize("function", sorted(REFUSED_FUNCTIONS, key=lambda each: each.__name__))
def test_functions_that_loop_are_refused(function):
    with pytest.raises(ValueError, match="do more than compute"):
        check_classes(written(function.__name__, function.__module__))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("VGG16", "keras.applications"),  # would download weights
        ("decode_predictions", "keras.applications.vgg16"),
        ("get_file", "keras.utils"),
        ("set_dtype_policy", "keras.config"),
        ("deserialize", "keras.layers"),
        ("get", "keras.initializers"),
        ("load_model", "keras.models"),
        ("model_from_json", "keras.models"),
    ],
)
def test_functions_that_do_more_than_compute_are_refused(name, module):
    for value in (layer(name, module), written(name, module)):
        with pytest.raises(ValueError, match="do more than compute"):
            check_classes(value)


def test_every_name_that_passes_is_one_that_keras_takes_for_the_same_object():
    passed = set()
    for module in [name for name in sys.modules if name.split(".")[0] == "keras"]:
        for name in list(vars(sys.modules[module])):
            found = find_object(module, name)
            if found not in TRUSTED:
                continue
            passed.add(found)
            try:
                taken = keras.saving.deserialize_keras_object(written(name, module))
            except (TypeError, ValueError):
                continue  # a name that Keras does not follow
            assert taken is found, f"{module}.{name}"
    assert passed == TRUSTED


def test_no_layer_that_passes_takes_code_or_files():
    known = [each for each in TRUSTED if isinstance(each, type) and issubclass(each, layers.Layer)]
    assert len(known) > 130
    for each in known:
        taken = set(inspect.signature(each.__init__).parameters)
        assert not taken & {"function", "fn", "module", "filepath", "file", "path", "vocabulary"}


def test_the_functions_of_keras_that_pass_are_those_it_exports_to_compute_with():
    functions = {each for each in TRUSTED if isinstance(each, FunctionType)}
    assert {keras.ops.relu, keras.activations.gelu, keras.losses.mean_squared_error} <= functions
    assert not [each for each in functions if each.__name__.startswith("_")]
    assert not [each for each in functions if "saving" in each.__module__]


def test_operations_that_keras_saves_but_does_not_export_pass():
    image = keras.Input((8, 8, 3))
    x = keras.ops.sqrt(image)[:, 1:] * 2.0
    x = keras.activations.relu(x, negative_slope=0.1)
    x = layers.SpectralNormalization(layers.Conv2D(2, 1))(x)
    config = keras.saving.serialize_keras_object(keras.Model(image, x))
    saved = {row["class_name"] for row in config["config"]["layers"]}
    assert {"Sqrt", "GetItem", "Multiply", "ReLU", "SpectralNormalization"} <= saved
    check_classes(config)


def test_a_registered_name_does_not_let_another_function_pass():
    def own(x):
        return x

    with keras.saving.CustomObjectScope({"tests>own": own}):
        check_classes(written("tests>own", "builtins"))
        check_classes(layer("own", None, "tests>own"))
        # Keras looks for the name, and finds what is not trusted.
        with pytest.raises(ValueError, match="do more than compute"):
            check_classes(written("get_file", "keras.utils", "tests>own"))
