"""Random numbers that depend on integers alone, such as (seed, epoch, position).

They come from a counter-based generator, written in `keras.ops` on int32, because the backends' own
generators differ; so they are the same on every Keras backend, and none waits for the device.
"""

from typing import Any

import numpy as np
from keras import ops

# What the backend computes with.
Tensor = Any


def image_keys(seed: int, epoch: Tensor, positions: Tensor) -> Tensor:
    """Keys of images, int32 like `positions`: no two of one (seed, epoch) are equal."""
    return mix(mix(mix(ops.zeros_like(positions), seed), epoch), positions)


def mix(key: Tensor, value: Tensor) -> Tensor:
    """Fold an integer into int32 keys.

    A bijection of `value` for each key, and of the key for each value. The finalizer is `lowbias32`
    of C. Wellons' hash-prospector (bias 0.17): xor-shifts and products modulo 2**32, which int32
    gives on every backend.
    """
    x = key ^ (ops.cast(value, "int32") * _int32(0x9E3779B9))
    x = (x ^ _shift_right(x, 16)) * _int32(0x7FEB352D)
    x = (x ^ _shift_right(x, 15)) * _int32(0x846CA68B)
    return x ^ _shift_right(x, 16)


def uniform(keys: Tensor, index: int) -> Tensor:
    """The `index`-th uniform draw of each key: float32 in [0, 1), multiples of 2**-24."""
    return ops.cast(_shift_right(mix(keys, index + 1), 8), "float32") * np.float32(2**-24)


def integer(keys: Tensor, index: int, stop: int) -> Tensor:
    """The `index`-th uniform draw of each key from 0, ..., stop - 1, int32."""
    return ops.cast(ops.floor(uniform(keys, index) * stop), "int32")


def _shift_right(x, bits: int):
    # int32 shifts carry the sign; the mask makes the shift a logical one.
    return ops.bitwise_and(ops.bitwise_right_shift(x, bits), _int32((1 << (32 - bits)) - 1))


def _int32(value: int):
    return np.uint32(value).astype("int32")
