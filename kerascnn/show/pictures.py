"""Numbers as pictures: the weights of a kernel, and the colors that stand for activations."""

import numpy as np
from matplotlib import colormaps

COLOR_MAP = "viridis"  # of activations


def kernel_to_picture(kernel: np.ndarray) -> np.ndarray:
    """A kernel as a picture, from 0 to 1: mid-gray is no weight, the largest one sets the scale.

    Three channels are red, green and blue; any other number is drawn in gray, as the mean of all.
    """
    kernel = np.asarray(kernel, dtype=float)
    if kernel.shape[2] != 3:
        kernel = np.repeat(kernel.mean(axis=2, keepdims=True), 3, axis=2)
    return 0.5 + 0.5 * kernel / (np.abs(kernel).max() or 1)


def color_levels(count: int) -> np.ndarray:
    """Colors of activations, from the lowest to the highest: uint8 (count, 3)."""
    colors = colormaps[COLOR_MAP](np.linspace(0, 1, count))[:, :3]
    return (255 * colors).round().astype("uint8")


def describe_size(kernel: np.ndarray) -> list[str]:
    """What one must know to read a kernel's picture: its size, and if channels are averaged."""
    height, width, channels = kernel.shape
    lines = [f"kernel {height}×{width}"]
    return lines if channels == 3 else [*lines, f"mean of {channels} channels"]
