"""The fast step on torch: the model's layers as native torch calls over the very same parameters.

Images stay as Keras has them, NHWC, and are seen as channels_last NCHW without a copy. Batch
normalization is one call instead of seven; pooling comes before the ReLU that it follows, which is
the same function of a quarter of the numbers; the update is one fused call on the optimizer's own
variables. A known layer with an unusual setting is called as Keras calls it; a model, an optimizer
or a batch that could come out differently here is left to Keras altogether.
"""

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import torch
from keras import layers
from torch.nn import functional

from kerascnn.model.compilation import adam_state, means_of
from kerascnn.training.steps.chain import (
    FastStep,
    Lowered,
    Rules,
    fits_batch,
    is_affine,
    is_relu,
    kind_of_update,
)

POLICIES = "float32", "mixed_bfloat16", "mixed_float16"


class TorchStep(FastStep):
    """See `FastStep`.

    In mixed precision, weights are cast once a step, images once a layer, as by Keras.
    """

    def __init__(self, model: keras.Model, calls: list[keras.layers.Layer]):
        super().__init__(model, calls, _RULES)
        self.update = _update_of(model.optimizer)
        # Keras assigns to these tensors in place.
        self.weights = [(weight, weight.value) for weight in model.weights]

    @staticmethod
    def fits(model: keras.Model, calls: list[keras.layers.Layer]) -> bool:
        return FastStep.fits(model, calls, POLICIES)

    def train(self, iterator_data: list) -> dict[str, torch.Tensor]:
        """One training step on `[(images, labels)]`, as `Model.train_function` is called."""
        trained = [pair for pair in self.weights if pair[0].trainable]
        if not trained or not fits_batch(self.model, iterator_data[0]):
            return self.model.train_step(iterator_data[0])
        images, labels = _unpack(iterator_data)
        logits = self.forward(images, training=True)
        loss = _cross_entropy(logits, labels)
        weights, values = zip(*trained, strict=True)
        gradients = torch.autograd.grad(self.model.optimizer.scale_loss(loss), values)
        with torch.no_grad():
            self.update(gradients, weights)
            return self._count(logits, labels, loss)

    def test(self, iterator_data: list) -> dict[str, torch.Tensor]:
        """One validation step, as `Model.test_function` is called."""
        with torch.no_grad():
            if not fits_batch(self.model, iterator_data[0]):
                return self.model.test_step(iterator_data[0])
            images, labels = _unpack(iterator_data)
            logits = self.forward(images, training=False)
            return self._count(logits, labels, _cross_entropy(logits, labels))

    def _count(self, logits, labels, loss) -> dict[str, torch.Tensor]:
        """Add to the sums of Keras's own metrics, and give their means."""
        count = len(labels)
        (total, images), (correct, labelled) = self._sums
        total.add_(loss, alpha=count)
        images.add_(count)
        correct.add_((logits.argmax(1) == labels).sum())
        labelled.add_(count)
        return {"accuracy": correct / labelled, "loss": total / images}

    @functools.cached_property
    def _sums(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Sum and count of the loss and of the accuracy; Keras makes them with the first batch."""
        return [(mean.total.value, mean.count.value) for mean in means_of(self.model)]


def _unpack(iterator_data: list) -> tuple[torch.Tensor, torch.Tensor]:
    # To the device and the type that Keras would give them.
    images, labels = iterator_data[0][:2]
    convert = keras.ops.convert_to_tensor
    return convert(images, "float32"), convert(labels, "int64")


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    # The mean over all labels, as in Keras; torch's own leaves out those that it ignores, -100.
    return functional.cross_entropy(logits, labels, reduction="none").mean()


def _rescaling(layer: layers.Rescaling) -> Lowered | None:
    scale, offset = layer.scale, layer.offset
    if not isinstance(scale, float | int) or not isinstance(offset, float | int):
        return None
    dtype = _dtype(layer)
    return lambda x, training: x.to(dtype) * scale + offset


def _convolution(layer: layers.Conv2D) -> Lowered | None:
    odd = all(size % 2 for size in layer.kernel_size)
    centred = layer.padding == "valid" or (odd and layer.strides == (1, 1))
    if not centred or layer.data_format != "channels_last" or not is_affine(layer):
        return None
    same = layer.padding == "same"
    padding = tuple(
        rate * (size // 2) if same else 0
        for size, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)
    )
    settings = (layer.strides, padding, layer.dilation_rate, layer.groups)
    weights = [layer.kernel.value, *([layer.bias.value] if layer.use_bias else [])]
    dtype = _dtype(layer)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        x, kernel, *bias = _as_operands(dtype, x, *weights)
        weight = kernel.permute(3, 2, 0, 1)
        return _nhwc(functional.conv2d(_nchw(x), weight, *(bias or [None]), *settings)).to(dtype)

    return call


def _batch_normalization(layer: layers.BatchNormalization) -> Lowered | None:
    last_axis = layer.input_spec.ndim - 1
    if layer.axis not in (-1, last_axis) or not layer.center or not layer.scale or layer.renorm:
        return None
    gamma, beta = layer.gamma.value, layer.beta.value
    mean, variance = layer.moving_mean.value, layer.moving_variance.value
    batch_mean, batch_variance = torch.zeros_like(mean), torch.zeros_like(variance)
    dtype = _dtype(layer)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        size = x.numel() // x.shape[-1]
        if training and size == 1:  # of one number, torch has no variance
            return layer(x, training=True)
        x = x.to(dtype).movedim(-1, 1)
        if not (training and layer.trainable):
            x = functional.batch_norm(x, mean, variance, gamma, beta, False, 0.0, layer.epsilon)
            return x.movedim(1, -1)
        x = functional.batch_norm(
            x, batch_mean, batch_variance, gamma, beta, True, 1.0, layer.epsilon
        )
        # torch gives the unbiased variance; Keras's moving variance is of the biased one.
        mean.lerp_(batch_mean, 1 - layer.momentum)
        variance.lerp_(batch_variance * ((size - 1) / size), 1 - layer.momentum)
        return x.movedim(1, -1)

    return call


def _max_pooling(layer: layers.MaxPooling2D) -> Lowered | None:
    if layer.padding != "valid" or layer.data_format != "channels_last":
        return None
    size, strides = layer.pool_size, layer.strides
    return lambda x, training: _nhwc(functional.max_pool2d(_nchw(x), size, strides))


def _relu(layer: layers.ReLU) -> Lowered | None:
    return (lambda x, training: functional.relu(x)) if is_relu(layer) else None


def _flatten(layer: layers.Flatten) -> Lowered | None:
    if layer.data_format != "channels_last":
        return None
    return lambda x, training: x.reshape(len(x), -1)


def _dense(layer: layers.Dense) -> Lowered | None:
    if not layer.use_bias or not is_affine(layer):
        return None
    weights, dtype = (layer.kernel.value, layer.bias.value), _dtype(layer)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        x, kernel, bias = _as_operands(dtype, x, *weights)
        if x.ndim != 2:
            return functional.linear(x, kernel.T, bias).to(dtype)
        # The gradient of the kernel then lies as the kernel does.
        return torch.addmm(bias, x, kernel).to(dtype)

    return call


def _dropout(layer: layers.Dropout) -> Lowered | None:
    if layer.noise_shape is not None or not 0 < layer.rate < 1:
        return None
    # Of 16 random bits, the share that keeps a number.
    keep = round((1 - layer.rate) * 2**16)
    scale = 2**16 / keep
    state = layer.seed_generator.state

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        if not training:
            return x
        random = np.random.Philox(key=[n % 2**64 for n in state.value.tolist()])
        bits = random.random_raw(-(-x.numel() // 4))
        state.value[1] += 1
        kept = (bits.view(np.uint16)[: x.numel()] < keep).reshape(x.shape)
        return x * torch.from_numpy(kept).to(x).mul_(scale)

    return call


_RULES: Rules = {
    layers.Rescaling: _rescaling,
    layers.Conv2D: _convolution,
    layers.BatchNormalization: _batch_normalization,
    layers.MaxPooling2D: _max_pooling,
    layers.ReLU: _relu,
    layers.Flatten: _flatten,
    layers.Dense: _dense,
    layers.Dropout: _dropout,
}


def _dtype(layer: keras.layers.Layer) -> torch.dtype:
    """Of the numbers that a layer computes with; in mixed precision not that of its weights."""
    return getattr(torch, layer.compute_dtype)


def _as_operands(dtype: torch.dtype, *tensors: torch.Tensor) -> list[torch.Tensor]:
    """What is multiplied, rounded to a type of numbers.

    Processors have no products of float16 that were fast: there it is multiplied in float32, which
    holds the rounded numbers exactly, and the products are rounded.
    """
    rounded = [tensor.to(dtype) for tensor in tensors]
    if dtype is torch.float16 and rounded[0].device.type == "cpu":
        return [tensor.float() for tensor in rounded]
    return rounded


def _nchw(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def _update_of(optimizer: keras.Optimizer) -> Callable[[Sequence, Sequence], object]:
    is_adam = kind_of_update(optimizer) is keras.optimizers.Adam
    return _FusedAdam(optimizer) if is_adam else optimizer.apply


class _FusedAdam:
    """Keras's Adam by torch's fused kernel, on Keras's own variables.

    Keras divides by (sqrt(v) + epsilon) before the bias correction sqrt(1 - beta_2 ** t), torch
    after it; the epsilon given here makes the two equal.
    """

    def __init__(self, optimizer: keras.optimizers.Adam):
        self.optimizer = optimizer

    def __call__(self, gradients: Sequence[torch.Tensor], weights: Sequence[keras.Variable]):
        optimizer = self.optimizer
        values, momentums, velocities = zip(*(self._state[id(w)] for w in weights), strict=True)
        step = int(optimizer.iterations.value) + 1
        torch._fused_adam_(
            values,
            # The kernel takes all tensors to lie alike.
            [gradient.contiguous() for gradient in gradients],
            momentums,
            velocities,
            [],
            [torch.tensor(float(step), device=values[0].device)] * len(values),
            lr=float(optimizer.learning_rate),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            weight_decay=0.0,
            eps=optimizer.epsilon / (1 - optimizer.beta_2**step) ** 0.5,
            amsgrad=False,
            maximize=False,
        )
        optimizer.iterations.value.add_(1)

    @functools.cached_property
    def _state(self) -> dict[int, list[torch.Tensor]]:
        # Asking Keras for them in each step would take a tenth of a small step.
        return {
            id(variables[0]): [variable.value for variable in variables]
            for variables in adam_state(self.optimizer)
        }
