"""The layers of a chain as native torch calls over the very same parameters.

Images stay as Keras has them, NHWC, and are seen as channels_last NCHW without a copy. Batch
normalization is one call instead of seven. A layer with an unusual setting is called as Keras calls
it.
"""

import keras
import numpy as np
import torch
from keras import layers
from torch.nn import functional

from kerascnn.model.chain import Lowered, Rules, chain_of_calls, forward, is_affine, is_relu
from kerascnn.model.draws import mix

# The dtype policies of layers that the calls below follow.
POLICIES = frozenset({"float32", "mixed_bfloat16", "mixed_float16"})


def native_forward(model: keras.Model) -> Lowered | None:
    """A model as a function of images on its device, NHWC, and of whether it trains.

    None where it is not a chain of layers that are known here, see `chain_of_calls`.
    """
    calls = chain_of_calls(model)
    if calls is None or not {layer.dtype_policy.name for layer in calls} <= POLICIES:
        return None
    return forward(calls, RULES) if model.inputs[0].dtype == "float32" else None


def predict_natively(model: keras.Model, images: np.ndarray, batch_size: int) -> np.ndarray | None:
    """What a model gives for images, float32 (num_images, ...); None where it is no such chain."""
    forward = native_forward(model)
    if forward is None or not len(images) or images.shape[1:] != model.inputs[0].shape[1:]:
        return None
    answers = []
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            part = keras.ops.convert_to_tensor(images[start : start + batch_size], "float32")
            answers.append(keras.ops.convert_to_numpy(forward(part, False)))
    return np.concatenate(answers)


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
    moving = layer.moving_mean.value, layer.moving_variance.value
    dtype = _dtype(layer)

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        return normalize(layer, x.to(dtype), gamma, beta, moving, training)

    return call


def normalize(
    layer: layers.BatchNormalization,
    x: torch.Tensor,
    gamma: torch.Tensor,
    beta: torch.Tensor,
    moving: tuple[torch.Tensor, torch.Tensor],
    training: bool,
) -> torch.Tensor:
    """Batch normalization as a layer says, with other numbers than its own.

    Args:
        x: (num_images, ..., channels).
        gamma, beta: (channels,).
        moving: mean and variance, (channels,); in training they move.
    """
    x, (mean, variance) = x.movedim(-1, 1), moving
    if not (training and layer.trainable):
        x = functional.batch_norm(x, mean, variance, gamma, beta, False, 0.0, layer.epsilon)
        return x.movedim(1, -1)
    of_batch = torch.zeros_like(mean), torch.zeros_like(variance)
    size = x.numel() // x.shape[1]
    if size == 1:  # of one number, torch has no variance
        of_batch[0].copy_(x.detach().flatten())
        x = torch.zeros_like(x) * x * gamma.view(x.shape) + beta.view(x.shape)
    else:
        x = functional.batch_norm(x, *of_batch, gamma, beta, True, 1.0, layer.epsilon)
    # torch gives the unbiased variance; Keras's moving variance is of the biased one.
    mean.lerp_(of_batch[0], 1 - layer.momentum)
    variance.lerp_(of_batch[1] * ((size - 1) / size), 1 - layer.momentum)
    return x.movedim(1, -1)


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
    keep, scale = share_kept(layer)
    state = layer.seed_generator.state

    def call(x: torch.Tensor, training: bool) -> torch.Tensor:
        if not training:
            return x
        return x * draw_kept(state, x.numel(), keep).reshape(x.shape).to(x).mul_(scale)

    return call


def share_kept(layer: layers.Dropout) -> tuple[int, float]:
    """Of 2**16 numbers, how many a dropout keeps, and the factor that makes up for the others."""
    keep = round((1 - layer.rate) * 2**16)
    return keep, 2**16 / keep


def draw_kept(state: keras.Variable, count: int, keep: int) -> torch.Tensor:
    """Which of so many numbers a dropout keeps, bool (count,); the next draws are others.

    Args:
        state: of the dropout's seed generator.
        keep: as `share_kept` gives it.
    """
    draw = _draw_on_processor if state.value.device.type == "cpu" else _draw_on_device
    kept = draw(state.value, count, keep)
    state.value[1] += 1
    return kept


def _draw_on_processor(state: torch.Tensor, count: int, keep: int) -> torch.Tensor:
    """Which numbers are kept, bool (count,), by numpy: on a processor it is faster than torch."""
    random = np.random.Philox(key=[n % 2**64 for n in state.tolist()])
    bits = random.random_raw(-(-count // 4))
    return torch.from_numpy(bits.view(np.uint16)[:count] < keep)


def _draw_on_device(state: torch.Tensor, count: int, keep: int) -> torch.Tensor:
    """The same where the state is, without reading it, for that would wait for the device."""
    none = torch.zeros((), dtype=torch.int32, device=state.device)
    key = mix(mix(none, state[0]), state[1])
    places = torch.arange(count, dtype=torch.int32, device=state.device)
    return (mix(key, places) & 0xFFFF) < keep


RULES: Rules = {
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
