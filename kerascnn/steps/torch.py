"""The fast step on torch: the model's layers as native torch calls over the very same parameters.

Images stay as Keras has them, NHWC, and are seen as channels_last NCHW without a copy. Batch
normalization is one call instead of seven; pooling comes before the ReLU that it follows, which is
the same function of a quarter of the numbers; the update is one fused call on the optimizer's own
variables. A known layer with an unusual setting is called as Keras calls it; a model, an optimizer
or a batch that could come out differently here is left to Keras altogether.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import torch
from keras import layers
from torch.nn import functional

Lowered = Callable[[torch.Tensor, bool], torch.Tensor]


def chain_of_calls(model: keras.Model) -> list[keras.layers.Layer] | None:
    """The layers in the order of their calls, if each takes the output of the one before alone."""
    # A subclass may do anything in its steps or its call.
    stock = type(model).__module__.startswith("keras.")
    if not stock or not isinstance(model, keras.Model) or not model.built:
        return None
    if len(getattr(model, "outputs", None) or ()) != 1 or len(model.inputs) != 1:
        return None
    calls: list[keras.layers.Layer] = []
    tensor = model.outputs[0]
    while True:
        operation, node, _ = tensor._keras_history
        if isinstance(operation, layers.InputLayer):
            return calls[::-1]
        arguments = operation._inbound_nodes[node].arguments
        # Keras, too, replaces the `training` of a layer by that of the step.
        given = {name for name, value in arguments.kwargs.items() if value is not None}
        if type(operation) not in _KNOWN or len(arguments.args) != 1 or given - {"training"}:
            return None
        calls.append(operation)
        tensor = arguments.args[0]


class TorchStep:
    """Training and validation steps of one compiled model.

    Args:
        model: compiled, with cross-entropy on integer labels and logits, and accuracy.
        calls: as `chain_of_calls` gives them.
    """

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer]):
        self.model = model
        self.lowered = [_lower(layer) for layer in _pool_before_relu(calls)]
        self.update = _update_of(model.optimizer)

    @staticmethod
    def fits(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
        """Whether the step computes what the model, its loss and its metrics say."""
        return _fits_compilation(model) and _fits_layers(model, calls)

    def train(self, iterator_data: list) -> dict[str, torch.Tensor]:
        """One training step on `[(images, labels)]`, as `Model.train_function` is called."""
        parameters = self.model.trainable_variables
        if not parameters or not self._fits_batch(iterator_data[0]):
            return self.model.train_step(iterator_data[0])
        images, labels = _unpack(iterator_data)
        logits = self.forward(images, training=True)
        loss = _cross_entropy(logits, labels)
        for parameter in parameters:
            parameter.value.grad = None
        self.model.optimizer.scale_loss(loss).backward()
        with torch.no_grad():
            self.update(parameters)
        return self._count(logits.detach(), labels, loss.detach())

    def test(self, iterator_data: list) -> dict[str, torch.Tensor]:
        """One validation step, as `Model.test_function` is called."""
        with torch.no_grad():
            if not self._fits_batch(iterator_data[0]):
                return self.model.test_step(iterator_data[0])
            images, labels = _unpack(iterator_data)
            logits = self.forward(images, training=False)
            return self._count(logits, labels, _cross_entropy(logits, labels))

    def forward(self, images: torch.Tensor, training: bool) -> torch.Tensor:
        """Logits of images (num_images, height, width, channels)."""
        x = images
        for call in self.lowered:
            x = call(x, training)
        return x

    def _count(self, logits, labels, loss) -> dict[str, torch.Tensor]:
        """Add to the sums of Keras's own metrics, and give their means."""
        count = len(labels)
        correct = (logits.argmax(1) == labels).sum()
        tracker, accuracy = self.model._loss_tracker, self._accuracy()
        _add(tracker, loss * count, count)
        _add(accuracy, correct, count)
        return {
            "accuracy": accuracy.total.value / accuracy.count.value,
            "loss": tracker.total.value / tracker.count.value,
        }

    def _fits_batch(self, batch: tuple) -> bool:
        """Whether a batch is images and one label each, without weights."""
        if not isinstance(batch, tuple | list) or any(part is not None for part in batch[2:]):
            return False
        images, labels = batch[:2] if len(batch) > 1 else (None, None)
        rank = len(self.model.inputs[0].shape)
        return len(getattr(images, "shape", ())) == rank and len(getattr(labels, "shape", ())) == 1

    def _accuracy(self) -> keras.metrics.Metric:
        return self.model._compile_metrics.metrics[0]


def _unpack(iterator_data: list) -> tuple[torch.Tensor, torch.Tensor]:
    # To the device and the type that Keras would give them.
    images, labels = iterator_data[0][:2]
    return (
        keras.ops.convert_to_tensor(images, "float32"),
        keras.ops.convert_to_tensor(labels, "int64"),
    )


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # The mean over all labels, as in Keras; torch's own leaves out those that it ignores, -100.
    return functional.cross_entropy(logits, labels, reduction="none").mean()


def _fits_compilation(model: keras.Model) -> bool:
    if not model.compiled or model.steps_per_execution != 1:
        return False
    loss, metrics = model.loss, model._compile_metrics
    if type(loss) is not keras.losses.SparseCategoricalCrossentropy or metrics is None:
        return False
    return (
        loss._fn_kwargs == {"from_logits": True, "ignore_class": None, "axis": -1}
        and loss.reduction in ("sum_over_batch_size", "mean")
        and loss.dtype == "float32"
        and model._compile_loss._user_loss_weights is None
        and metrics._user_metrics == ["accuracy"]
        and not metrics._user_weighted_metrics
    )


def _fits_layers(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
    logits, weights = model.outputs[0], model.weights
    return (
        len(logits.shape) == 2
        and logits.shape[1] > 1  # of one column, Keras's "accuracy" is a binary one
        and model.inputs[0].dtype == "float32"
        and all(layer.dtype_policy.name == "float32" for layer in calls)
        and all(layer.activity_regularizer is None for layer in calls)
        and all(weight.regularizer is None and weight.constraint is None for weight in weights)
    )


def _add(mean: keras.metrics.Metric, total: torch.Tensor, count: int) -> None:
    mean.total.value.add_(total)
    mean.count.value.add_(count)


def _pool_before_relu(calls: list[keras.layers.Layer]) -> list[keras.layers.Layer]:
    calls = list(calls)
    for index in range(len(calls) - 1):
        is_relu, is_pool = _is_relu(calls[index]), type(calls[index + 1]) is layers.MaxPooling2D
        if is_relu and is_pool:
            calls[index], calls[index + 1] = calls[index + 1], calls[index]
    return calls


def _is_relu(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is layers.ReLU
        and layer.max_value is None
        and layer.negative_slope == 0
        and layer.threshold == 0
    )


def _lower(layer: keras.layers.Layer) -> Lowered:
    rule = _RULES.get(type(layer))
    return (rule(layer) if rule else None) or _keras_call(layer)


def _keras_call(layer: keras.layers.Layer) -> Lowered:
    if layer._call_has_training_arg:
        return lambda x, training: layer(x, training=training)
    return lambda x, training: layer(x)


def _rescaling(layer: layers.Rescaling) -> Lowered | None:
    scale, offset = layer.scale, layer.offset
    if not isinstance(scale, float | int) or not isinstance(offset, float | int):
        return None
    return lambda x, training: x * scale + offset


def _convolution(layer: layers.Conv2D) -> Lowered | None:
    odd = all(size % 2 for size in layer.kernel_size)
    centred = layer.padding == "valid" or (odd and layer.strides == (1, 1))
    if not centred or layer.data_format != "channels_last" or _is_unusual(layer):
        return None
    same = layer.padding == "same"
    padding = tuple(
        rate * (size // 2) if same else 0
        for size, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)
    )

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        kernel = layer.kernel.value.permute(3, 2, 0, 1)
        bias = layer.bias.value if layer.use_bias else None
        x = functional.conv2d(
            _nchw(x), kernel, bias, layer.strides, padding, layer.dilation_rate, layer.groups
        )
        return _nhwc(x)

    return call


def _batch_normalization(layer: layers.BatchNormalization) -> Lowered | None:
    last_axis = layer.input_spec.ndim - 1
    if layer.axis not in (-1, last_axis) or not layer.center or not layer.scale or layer.renorm:
        return None
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    batch_mean, batch_variance = torch.zeros_like(mean), torch.zeros_like(variance)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        size = x.numel() // x.shape[-1]
        if training and size == 1:  # of one number, torch has no variance
            return layer(x, training=True)
        gamma, beta = layer.gamma.value, layer.beta.value
        x = x.movedim(-1, 1)
        if not (training and layer.trainable):
            moving = (layer.moving_mean.value, layer.moving_variance.value)
            x = functional.batch_norm(x, *moving, gamma, beta, False, 0.0, layer.epsilon)
            return x.movedim(1, -1)
        x = functional.batch_norm(
            x, batch_mean, batch_variance, gamma, beta, True, 1.0, layer.epsilon
        )
        # torch gives the unbiased variance; Keras's moving variance is of the biased one.
        layer.moving_mean.value.lerp_(batch_mean, 1 - layer.momentum)
        layer.moving_variance.value.lerp_(batch_variance * ((size - 1) / size), 1 - layer.momentum)
        return x.movedim(1, -1)

    return call


def _max_pooling(layer: layers.MaxPooling2D) -> Lowered | None:
    if layer.padding != "valid" or layer.data_format != "channels_last":
        return None
    size, strides = layer.pool_size, layer.strides
    return lambda x, training: _nhwc(functional.max_pool2d(_nchw(x), size, strides))


def _relu(layer: layers.ReLU) -> Lowered | None:
    return (lambda x, training: functional.relu(x)) if _is_relu(layer) else None


def _flatten(layer: layers.Flatten) -> Lowered | None:
    if layer.data_format != "channels_last":
        return None
    return lambda x, training: x.reshape(len(x), -1)


def _dense(layer: layers.Dense) -> Lowered | None:
    if not layer.use_bias or _is_unusual(layer):
        return None
    return lambda x, training: functional.linear(x, layer.kernel.value.T, layer.bias.value)


_RULES: dict[type, Callable[[keras.layers.Layer], Lowered | None]] = {
    layers.Rescaling: _rescaling,
    layers.Conv2D: _convolution,
    layers.BatchNormalization: _batch_normalization,
    layers.MaxPooling2D: _max_pooling,
    layers.ReLU: _relu,
    layers.Flatten: _flatten,
    layers.Dense: _dense,
}
# Of layers of other types it is not known here whether they have losses or masks of their own.
_KNOWN = {
    *_RULES,
    layers.Activation,
    layers.AveragePooling2D,
    layers.Dropout,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.SpatialDropout2D,
    layers.ZeroPadding2D,
}


def _is_unusual(layer: layers.Conv2D | layers.Dense) -> bool:
    is_activated = layer.activation is not keras.activations.linear
    return is_activated or layer.lora_enabled


def _nchw(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def _update_of(optimizer: keras.Optimizer) -> Callable[[list[keras.Variable]], None]:
    plain = not (
        optimizer.weight_decay
        or optimizer.clipnorm
        or optimizer.clipvalue
        or optimizer.global_clipnorm
        or optimizer.use_ema
        or optimizer.loss_scale_factor
        or optimizer.gradient_accumulation_steps
    )
    # On torch, Keras makes its Adam one of a subclass of the same name.
    is_adam = isinstance(optimizer, keras.optimizers.Adam) and type(optimizer).__name__ == "Adam"
    stock = type(optimizer).__module__.startswith("keras.")
    if plain and stock and is_adam and not optimizer.amsgrad:
        return lambda parameters: _fused_adam(optimizer, parameters)

    def apply(parameters: list[keras.Variable]) -> None:
        optimizer.apply([parameter.value.grad for parameter in parameters], parameters)

    return apply


def _fused_adam(optimizer: keras.optimizers.Adam, parameters: list[keras.Variable]) -> None:
    """One step of Keras's Adam by torch's fused kernel, on Keras's own variables.

    Keras divides by (sqrt(v) + epsilon) before the bias correction sqrt(1 - beta_2 ** t), torch
    after it; the epsilon given here makes the two equal.
    """
    step = int(optimizer.iterations.value) + 1
    values = [parameter.value for parameter in parameters]
    steps = [torch.tensor(float(step), device=values[0].device)] * len(values)
    indices = [optimizer._get_variable_index(parameter) for parameter in parameters]
    torch._fused_adam_(
        values,
        [value.grad for value in values],
        [optimizer._momentums[index].value for index in indices],
        [optimizer._velocities[index].value for index in indices],
        [],
        steps,
        lr=float(optimizer.learning_rate),
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        weight_decay=0.0,
        eps=optimizer.epsilon / (1 - optimizer.beta_2**step) ** 0.5,
        amsgrad=False,
        maximize=False,
    )
    optimizer.iterations.value.add_(1)
