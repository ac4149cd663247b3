"""A chain of layers, and how each is executed: by a rule of its backend, or as Keras calls it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers

from kerascnn.model.graph import call_of

# A layer as a function of (images or maps, training).
Lowered = Callable[[Any, bool], Any]
# By the type of a layer, what gives its function, or None to have it called as Keras calls it.
Rules = Mapping[type, Callable[[keras.layers.Layer], Lowered | None]]
# Of layers of other types it is not known here whether they have losses or masks of their own.
KNOWN = {
    layers.Activation,
    layers.AveragePooling2D,
    layers.BatchNormalization,
    layers.Conv2D,
    layers.Dense,
    layers.Dropout,
    layers.Flatten,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.Rescaling,
    layers.SpatialDropout2D,
    layers.ZeroPadding2D,
}


def chain_of_calls(model: keras.Model) -> list[keras.layers.Layer] | None:
    """The layers in the order of their calls, if each takes the output of the one before alone."""
    # A subclass may do anything in its steps or its call.
    stock = type(model).__module__.startswith("keras.")
    if not stock or not isinstance(model, keras.Model) or not model.built:
        return None
    if len(getattr(model, "outputs", None) or ()) != 1 or len(model.inputs) != 1:
        return None
    calls: list[keras.layers.Layer] = []
    call = call_of(model.outputs[0])
    while not isinstance(call.operation, layers.InputLayer):
        # Keras, too, replaces the `training` of a layer by that of the step.
        given = {name for name, value in call.kwargs.items() if value is not None}
        if type(call.operation) not in KNOWN or len(call.args) != 1 or given - {"training"}:
            return None
        calls.append(call.operation)
        call = call_of(call.args[0])
    return calls[::-1]


def forward(calls: Sequence[keras.layers.Layer], rules: Rules) -> Lowered:
    """A chain as one function.

    Args:
        calls: as `chain_of_calls` gives them.
        rules: how layers are executed.
    """
    lowered = [lower(layer, rules) for layer in _pool_before_relu(calls)]

    def call(x: Any, training: bool) -> Any:
        for each in lowered:
            x = each(x, training)
        return x

    return call


def lower(layer: keras.layers.Layer, rules: Rules) -> Lowered:
    """A layer by its rule, or as Keras calls it."""
    rule = rules.get(type(layer))
    if lowered := rule and rule(layer):
        return lowered
    if "training" in layer.call_signature_parameters:
        return lambda x, training: layer(x, training=training)
    return lambda x, training: layer(x)


def is_relu(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a plain rectifier."""
    return (
        type(layer) is layers.ReLU
        and layer.max_value is None
        and layer.negative_slope == 0
        and layer.threshold == 0
    )


def is_affine(layer: layers.Conv2D | layers.Dense) -> bool:
    """Whether a layer has kernel and bias alone, no activation and no adapter."""
    return layer.activation is keras.activations.linear and not layer.lora_enabled


def _pool_before_relu(calls: Sequence[keras.layers.Layer]) -> list[keras.layers.Layer]:
    calls = list(calls)
    for index in range(len(calls) - 1):
        if is_relu(calls[index]) and type(calls[index + 1]) is layers.MaxPooling2D:
            calls[index], calls[index + 1] = calls[index + 1], calls[index]
    return calls
