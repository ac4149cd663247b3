"""Which activation the numbers of a model have passed last."""

import keras
import pytest
from keras import layers, ops

from kerascnn.model.activation import final_activation


def model_of(*steps, shape=(4, 4, 3)):
    image = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    return keras.Model(image, x)


def nested(*steps, shape=(4, 4, 3)):
    return lambda x: model_of(*steps, shape=shape)(x)


def flat(units=3, activation=None):
    return lambda x: layers.Dense(units, activation)(layers.Flatten()(x))


def both(one, other, join):
    return lambda x: join([one(x), other(x)])


class Own(layers.Layer):
    def call(self, inputs):
        return inputs * 3


class OwnDense(layers.Dense):
    pass


class OwnCall(layers.Dense):
    def call(self, inputs, training=None):
        return super().call(inputs) * 3


CASES = {
    "argument": ([flat(3, "softmax")], "softmax"),
    "function": ([flat(1, keras.activations.sigmoid)], "sigmoid"),
    "function of ops": ([flat(1, ops.sigmoid)], "sigmoid"),
    "none": ([flat()], "linear"),
    "layer": ([flat(), layers.Softmax()], "softmax"),
    "layer by name": ([flat(1), layers.Activation("sigmoid")], "sigmoid"),
    "layer in a layer": ([flat(1), layers.Activation(layers.Softmax())], "softmax"),
    "operation": ([flat(1), ops.sigmoid], "sigmoid"),
    "softmax operation": ([flat(), ops.softmax], "softmax"),
    "activation called": ([flat(1), keras.activations.sigmoid], "sigmoid"),
    "softmax called": ([flat(), keras.activations.softmax], "softmax"),
    "nothing after": (
        [flat(4, "sigmoid"), layers.Dropout(0.1), layers.Identity(), layers.Activation("linear")],
        "sigmoid",
    ),
    "cast": ([flat(4, "softmax"), lambda x: ops.cast(x, "float16")], "softmax"),
    "reshaped": ([flat(4, "sigmoid"), layers.Reshape((2, 2)), layers.Flatten()], "sigmoid"),
    "sides": ([flat(4, "softmax"), lambda x: ops.squeeze(ops.expand_dims(x, 1), 1)], "softmax"),
    "one column": ([flat(4, "sigmoid"), lambda x: x[:, :1]], "sigmoid"),
    "part of a softmax": ([flat(4, "softmax"), lambda x: x[:, :2]], None),
    "softmax folded": ([flat(4, "softmax"), layers.Reshape((2, 2))], None),
    "softmax along rows": ([layers.Softmax(axis=1)], None),
    "softmax along rows, moved": ([ops.relu, layers.Softmax(axis=1), layers.Permute((2, 3, 1))],
                                  "softmax"),
    "map of classes": ([layers.Conv2D(5, 1, activation="softmax")], "softmax"),
    "mean of a map": (
        [layers.Conv2D(5, 1, activation="softmax"), layers.GlobalAveragePooling2D()], "softmax",
    ),
    "mean of a linear map": ([layers.Conv2D(5, 1), layers.GlobalAveragePooling2D()], "linear"),
    "most of a softmax map": (
        [layers.Conv2D(5, 1, activation="softmax"), layers.GlobalMaxPooling2D()], None,
    ),
    "nested": ([layers.Rescaling(2.0), nested(flat(1, "sigmoid"))], "sigmoid"),
    "nested before": ([nested(flat(3)), layers.Softmax()], "softmax"),
    "nested around": ([nested(nested(flat(3), ops.softmax), layers.Identity())], "softmax"),
    "through": ([flat(1, "sigmoid"), nested(layers.Identity(), shape=(1,))], "sigmoid"),
    "joined": ([both(flat(1, "sigmoid"), flat(2, "sigmoid"), layers.Concatenate())], "sigmoid"),
    "joined otherwise": ([both(flat(1, "sigmoid"), flat(2), layers.Concatenate())], None),
    "two softmaxes": ([both(flat(2, "softmax"), flat(2, "softmax"), layers.Concatenate())], None),
    "mean of models": ([both(flat(2, "softmax"), flat(2, "softmax"), layers.Average())], "softmax"),
    "sum of models": ([both(flat(2, "softmax"), flat(2, "softmax"), layers.Add())], None),
    "sum of logits": ([both(flat(2), flat(2), layers.Add())], "linear"),
    "product of logits": ([both(flat(2), flat(2), layers.Multiply())], None),
    "temperature": ([flat(2), lambda x: x / 2.0], "linear"),
    "percent": ([flat(2, "sigmoid"), lambda x: x * 100.0], None),
    "normalized": ([flat(2, "sigmoid"), layers.BatchNormalization()], "linear"),
    "another": ([flat(2, "tanh")], "tanh"),
    "relu": ([flat(2), layers.ReLU()], "relu"),
    "log": ([flat(2), ops.log_softmax], "log_softmax"),
    "matrix": ([flat(2), lambda x: ops.matmul(x, ops.ones((2, 3)))], "linear"),
    "layer of one's own": ([flat(1, "sigmoid"), Own()], None),
    "function of one's own": ([flat(1, lambda x: x * 2)], None),
    "subclass": ([layers.Flatten(), OwnDense(1, "sigmoid")], "sigmoid"),
    "subclass with a call": ([layers.Flatten(), OwnCall(1, "sigmoid")], None),
    "lambda": ([flat(1, "sigmoid"), layers.Lambda(lambda x: x * 2, output_shape=(1,))], None),
    "unknown operation": ([flat(2, "softmax"), ops.log], None),
    "nothing": ([layers.Flatten()], None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_activation_is_told_as_layer_argument_or_operation(case):
    steps, expected = CASES[case]
    model = model_of(*steps)
    assert final_activation(model) == expected


def test_each_output_has_its_own():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, [flat(1, "sigmoid")(image), flat(3, "softmax")(image)])
    assert final_activation(model) == "sigmoid"
    assert final_activation(model, model.outputs[1]) == "softmax"


def test_of_a_model_that_has_no_graph_it_cannot_be_told():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    assert final_activation(Own()) is None


def test_it_is_the_same_once_the_model_is_saved_and_loaded(tmp_path):
    for case in ("function of ops", "activation called", "nested around", "softmax operation"):
        steps, expected = CASES[case]
        model_of(*steps).save(tmp_path / "model.keras")
        assert final_activation(keras.saving.load_model(tmp_path / "model.keras")) == expected
