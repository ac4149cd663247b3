"""A model that fails when it is built on or called is an error of one line, in Keras's words."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from made.failing import FAILING, function, with_activation
from made.malice import save_good
from PIL import Image

from kerascnn.errors import ModelError, SelectionError
from kerascnn.evaluation import predict
from kerascnn.look.activations import feature_maps, filter_scores
from kerascnn.look.scores import SCORES
from kerascnn.model.calls import call, calling, in_one_line, is_out_of_memory
from kerascnn.model.graph import describe_layers
from kerascnn.model.load import load_model

IMAGES = np.full((3, 8, 8, 3), 9, "uint8")


def every_use(path):
    """Each thing that is done with a model of others, for each of its layers."""
    try:
        model = load_model(path)
        uses = describe_layers(model)
    except ModelError as error:
        yield lambda error=error: (_ for _ in ()).throw(error)
        return
    yield lambda: call(model, [IMAGES])
    yield lambda: predict(model, IMAGES)
    for name, _ in uses:
        yield lambda name=name: feature_maps(model, IMAGES, name)
        yield lambda name=name: list(filter_scores(model, IMAGES, name, SCORES))


@pytest.mark.parametrize("kind", FAILING)
def test_a_model_that_fails_is_an_error_of_one_line(kind, capfd):
    failed, path = 0, FAILING[kind]()
    with warnings.catch_warnings(record=True) as warned:
        for use in every_use(path):
            try:
                use()
            except ModelError as error:
                failed += 1
                message = str(error)
                assert message.isprintable()
                assert "Arguments received" not in message
                assert len(message) < 500
    # JAX and TensorFlow compute some of them.
    assert failed or (keras.backend.backend() != "torch" and kind.startswith(("int", "bool")))
    assert not [each for each in warned if each.category is UserWarning]
    out, err = capfd.readouterr()
    assert out == ""
    assert "Warning" not in err


def test_commands_say_why_a_model_fails(invoke):
    with_activation("add")
    Path("pictures").mkdir()
    Image.new("RGB", (8, 8)).save("pictures/0.png")
    for command in (
        ["predict", "pictures"],
        ["filters", "--images", "pictures"],
        ["feature-maps", "--images", "pictures"],
    ):
        status, _, err = invoke(*command, "--model", "failing.keras")
        assert (status, len(err.splitlines())) == (1, 1)
        assert "fails when it is called: " in err
        assert "add() missing 1 required positional argument: 'x2'" in err


def test_what_a_model_gives_is_one_array_an_output():
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(image)
    model = keras.Model(image, {"b": layers.Dense(2)(x), "a": [layers.Dense(1)(x), x]})
    assert [array.shape for array in call(model, [IMAGES])] == [(3, 1), (3, 192), (3, 2)]
    assert [output.shape[1] for output in model.outputs] == [1, 192, 2]


def test_a_model_that_gives_other_shapes_than_it_says_is_refused():
    model = load_model(with_activation("max", -1))
    with pytest.raises(
        ModelError, match=r"^It gives an output of shape \(\), but says \(3, 3\)\.$"
    ):
        call(model, [IMAGES], "It")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
        ValueError("Exception encountered.\n\nOOM when allocating tensor with shape[9]"),
    ],
)
def test_running_out_of_memory_is_raised_as_it_is(error):
    assert is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, calling():
        raise error
    assert caught.value is error


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="others reserve more than is there")
def test_torch_says_so_where_it_has_no_memory():
    save_good("big.keras")
    model = load_model(Path("big.keras"))
    big = keras.Model(model.inputs, layers.UpSampling2D(2**17)(model.inputs[0]))
    with pytest.raises(RuntimeError) as caught:
        call(big, [IMAGES])
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SelectionError("x")])
def test_interrupts_and_own_errors_are_raised_as_they_are(error):
    with pytest.raises(type(error)) as caught, calling():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[1mred\x1b[0m\n\nArguments received by Add.call():\n  x=1", "red."),
        ("Exception encountered when calling Dense.call().\n\nBad", "Dense.call(): Bad."),
        ("Could not.\n\nconfig={'a': 1}.\n\nException encountered: Bad\tshape", "Bad shape."),
        (
            "Graph execution error:\n\nDetected at node a/b defined at (most recent call last):\n"
            '  File "a.py", line 1, in <module>\n\n  File "b.py", line 2, in f\n\nToo big.\n'
            "\t [[{{node a/b}}]] [Op:f]",
            "Graph execution error: Too big.",
        ),
        ("no class. Full object config: {}", "no class."),
        ("x" * 400, "x" * 297 + "..."),
        ("", "ValueError."),
        ("a\x07\u202eb", "a b."),
    ],
)
def test_what_an_error_says_is_one_line_that_commands_no_terminal(text, line):
    assert in_one_line(ValueError(text)) == line
    assert in_one_line(KeyError("x")) == "KeyError: 'x'."


def test_functions_are_named_as_keras_takes_them():
    assert keras.saving.deserialize_keras_object(function("image.resize")) is keras.ops.image.resize
