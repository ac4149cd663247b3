"""Which models a fast step can train, and their layers in order, whatever the backend."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
from keras import layers

from kerascnn.model.compilation import is_plain_classification
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


class FastStep:
    """Training and validation steps of one compiled model.

    A backend's own adds `train` and `test`, which are called as `Model.train_function` and
    `Model.test_function` are.

    Args:
        model: compiled, with cross-entropy on integer labels and logits, and accuracy.
        calls: as `chain_of_calls` gives them.
        rules: how layers are executed.
    """

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer], rules: Rules):
        self.model = model
        self.lowered = [lower(layer, rules) for layer in _pool_before_relu(calls)]

    @staticmethod
    def fits(
        model: keras.Model,
        calls: list[keras.layers.Layer],
        policies: Collection[str] = frozenset({"float32"}),
    ) -> bool:
        """Whether the step computes what the model, its loss and its metrics say.

        Args:
            model, calls: as for the step.
            policies: the dtype policies of layers that it knows.
        """
        executed_singly = model.compiled and model.steps_per_execution == 1
        known = {layer.dtype_policy.name for layer in calls} <= set(policies)
        plain = executed_singly and is_plain_classification(model)
        return plain and known and _fits_layers(model, calls)

    def forward(self, images: Any, training: bool) -> Any:
        """Logits of images (num_images, height, width, channels)."""
        x = images
        for call in self.lowered:
            x = call(x, training)
        return x


def fits_batch(model: keras.Model, batch: tuple) -> bool:
    """Whether a batch is images and one label each, without weights."""
    if not isinstance(batch, tuple | list) or any(part is not None for part in batch[2:]):
        return False
    ranks = [len(getattr(part, "shape", ())) for part in batch[:2]]
    return ranks == [len(model.inputs[0].shape), 1]


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


def kind_of_update(optimizer: keras.Optimizer) -> type | None:
    """`Adam` or `SGD` of Keras if the optimizer is one, and does nothing beside its update."""
    beside = (
        optimizer.weight_decay
        or optimizer.clipnorm
        or optimizer.clipvalue
        or optimizer.global_clipnorm
        or optimizer.use_ema
        or optimizer.loss_scale_factor
        or optimizer.gradient_accumulation_steps
        or getattr(optimizer, "amsgrad", False)
    )
    # On torch, Keras makes its optimizers ones of subclasses of the same names.
    if beside or not type(optimizer).__module__.startswith("keras."):
        return None
    kinds = (keras.optimizers.Adam, keras.optimizers.SGD)
    name = type(optimizer).__name__
    return next((k for k in kinds if name == k.__name__ and isinstance(optimizer, k)), None)


def _fits_layers(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
    logits, weights = model.outputs[0], model.weights
    return (
        len(logits.shape) == 2
        and logits.shape[1] > 1  # of one column, Keras's "accuracy" is a binary one
        and model.inputs[0].dtype == "float32"
        and all(layer.activity_regularizer is None for layer in calls)
        and all(weight.regularizer is None and weight.constraint is None for weight in weights)
    )


def _pool_before_relu(calls: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    calls = list(calls)
    for index in range(len(calls) - 1):
        if is_relu(calls[index]) and type(calls[index + 1]) is layers.MaxPooling2D:
            calls[index], calls[index + 1] = calls[index + 1], calls[index]
    return calls
