"""How fast a training step would be if it were arithmetic alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

# Rows, columns and depth of the matrix product that measures how fast the processor can be.
MATRIX = 1024


def training_mflop(model: keras.Model) -> float:
    """Multiplications and additions, in millions, of one image's training step.

    Counted are convolutions and fully connected layers, 2 a weight and output pixel, three times:
    forward, and backward to the inputs and to the weights. The first convolution has no inputs to
    go back to.
    """
    from keras import layers

    total, first = 0, True
    for layer in model.layers:
        if not isinstance(layer, layers.Conv2D | layers.Dense):
            continue
        pixels = np.prod(layer.output.shape[1:-1], dtype=int)
        total += (2 if first else 3) * 2 * int(np.prod(layer.kernel.shape)) * pixels
        first = False
    return total / 1e6


def measure_arithmetic() -> float:
    """float32 matrix product by torch, in 10**9 multiplications and additions a second."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.rand(MATRIX, MATRIX, device=device) for _ in range(2))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(5):
            product = a @ b
        product[0, 0].item()  # waits for a device
        seconds.append((time.perf_counter() - start) / 5)
    return 2 * MATRIX**3 / min(seconds) / 1e9
