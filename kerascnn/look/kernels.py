"""What a kernel answers to most: a color, and edges of an orientation."""

import colorsys

import numpy as np

from kerascnn.records.filters import KernelDescription

# Weights of red, green and blue in gray (ITU-R BT.601).
GRAY = np.array([0.299, 0.587, 0.114])
# Below this share of a kernel's absolute weights, their sum says nothing.
CANCELLED = 0.02


def describe_kernel(kernel: np.ndarray) -> KernelDescription:
    """Preferred color and orientation of one kernel.

    Color: the sum of the kernel's weights over its pixels says which color excites it where the
    image is plain. Orientation: that of the sinusoidal grating, in gray, which it answers most
    strongly; its selectivity is (best - worst) / (best + worst) over orientations (1: answers one
    only, 0: all alike).

    Args:
        kernel: (height, width, channels).
    """
    if kernel.shape[2] != 3:
        orientation, selectivity = _preferred_orientation(kernel.sum(axis=2))
        return KernelDescription(orientation=orientation, selectivity=selectivity)
    weights = kernel.sum(axis=(0, 1))
    # What is left of weights that cancel out, as in a kernel of an edge, is no preference.
    is_plain = np.abs(weights).max() > CANCELLED * np.abs(kernel).sum(axis=(0, 1)).max()
    chromatic = kernel - kernel.mean(axis=2, keepdims=True)
    orientation, selectivity = _preferred_orientation(kernel @ GRAY)
    return KernelDescription(
        orientation=orientation,
        selectivity=selectivity,
        color=name_color(weights) if is_plain else "none",
        color_weights=tuple(weights),
        color_share=(chromatic**2).sum() / max((kernel**2).sum(), 1e-12),
    )


def name_color(weights: np.ndarray) -> str:
    """The color that a plain image must have to excite most: a hue's name, or bright or dark."""
    chroma = weights - weights.mean()
    if np.abs(chroma).max() < 0.25 * np.abs(weights).max():
        return "bright" if weights.mean() > 0 else "dark"
    shifted = chroma - chroma.min()
    hue = colorsys.rgb_to_hsv(*(shifted / shifted.max()))[0] * 360
    names = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "magenta")
    centres = np.array([0, 30, 60, 120, 180, 240, 275, 310])
    distance = np.abs((hue - centres + 180) % 360 - 180)
    return names[int(distance.argmin())]


def _preferred_orientation(gray_kernel: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(gray_kernel.shape)
    angles = np.arange(0, 180, 5)
    answers = np.zeros(len(angles))
    for frequency in (1 / 8, 1 / 6, 1 / 4, 1 / 3):
        for index, angle in enumerate(np.radians(angles)):
            # The wave runs across the edge; rows count downwards.
            along = -rows * np.cos(angle) - columns * np.sin(angle)
            wave = np.exp(2j * np.pi * frequency * along)
            answers[index] = max(answers[index], abs((gray_kernel * wave).sum()))
    best, worst = answers.max(), answers.min()
    selectivity = float((best - worst) / (best + worst)) if best + worst else 0.0
    return float(angles[answers.argmax()]), selectivity
