"""What a filter responds to, in numbers: its kernel, its images, and what its answer follows.

Arrays in, numbers out. `kernels` are float (height, width, channels, filters); `scores` float
(num_images, filters), the mean activation of each image and filter; filters count from 0 here.
"""

from __future__ import annotations

import colorsys
import math

import numpy as np

# Weights of red, green and blue in gray (ITU-R BT.601).
GRAY = np.array([0.299, 0.587, 0.114])
# The border is this share of the shorter side, on each side; the centre is what it leaves.
BORDER_SHARE = 0.25
# Below this share of a kernel's absolute weights, their sum says nothing.
CANCELLED = 0.02
# The images whose classes characterize a filter.
NUM_TOP = 100
SIGNIFICANCE = 0.05
# Below this rank correlation a filter is not said to follow a property.
FOLLOWS = 0.3
# A class counts as scoring higher, other things equal, from this probability of superiority on,
# and as scoring no higher where the interval of that probability ends below the second.
SUPERIOR = 0.55
NO_HIGHER = 0.6
NUM_STRATA = 50
# With fewer images nothing is said about what a filter follows.
MIN_IMAGES = 20


def image_properties(images: np.ndarray) -> dict[str, np.ndarray]:
    """Simple properties of images, each of the whole image, its border and its centre.

    `brightness` (mean gray), `contrast` (standard deviation of gray), `redness`, `greenness`,
    `blueness` (mean of that channel less the mean of the other two) and the edge energy of four
    orientations (mean of the squared derivative across the edge, of differences of neighbours).

    Args:
        images: uint8 (num_images, height, width, channels), of 3 channels, or of 1, which has no
            colors.

    Returns:
        `"blueness in the border"` and so on to float32 (num_images,); values are fractions of 255.
    """
    parts = [_properties_of(images[start : start + 500]) for start in range(0, len(images), 500)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def describe_kernel(kernel: np.ndarray) -> dict[str, object]:
    """Preferred color and orientation of one kernel.

    Color: the sum of the kernel's weights over its pixels says which color excites it where the
    image is plain. Orientation: that of the sinusoidal grating, in gray, which it answers most
    strongly; its selectivity is (best - worst) / (best + worst) over orientations (1: answers one
    only, 0: all alike).

    Args:
        kernel: (height, width, channels).

    Returns:
        `color` (a name; `none` where the weights cancel out; None where channels are not three),
        `color_weights`, `color_share` (share of the kernel's energy that is not gray, 0 to 1),
        `orientation` (degrees from 0 up to 180, along the edge, counter-clockwise from horizontal)
        and `selectivity`.
    """
    if kernel.shape[2] != 3:
        return _describe_orientation(kernel.sum(axis=2)) | {
            "color": None,
            "color_weights": None,
            "color_share": None,
        }
    weights = kernel.sum(axis=(0, 1))
    # What is left of weights that cancel out, as in a kernel of an edge, is no preference.
    is_plain = np.abs(weights).max() > CANCELLED * np.abs(kernel).sum(axis=(0, 1)).max()
    chromatic = kernel - kernel.mean(axis=2, keepdims=True)
    share = float((chromatic**2).sum() / max((kernel**2).sum(), 1e-12))
    return _describe_orientation(kernel @ GRAY) | {
        "color": name_color(weights) if is_plain else "none",
        "color_weights": [float(weight) for weight in weights],
        "color_share": share,
    }


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


def top_images(scores: np.ndarray) -> np.ndarray:
    """Indices of the images whose classes characterize a filter, the highest score first.

    The 100 highest, or a tenth of the images where they are fewer than 1000. Where the last of
    them scores the same as the next one, as the many images do that a sparse filter leaves at zero,
    all images of that score are left out: which of them come first says nothing.

    Args:
        scores: (num_images,).
    """
    order = np.lexsort((np.arange(len(scores)), -scores))
    count = min(NUM_TOP, max(1, len(scores) // 10))
    top, rest = order[:count], order[count:]
    return top[scores[top] > scores[rest[0]]] if len(rest) else top


def over_represented(
    labels: np.ndarray, top: np.ndarray, num_classes: int
) -> list[dict[str, object]]:
    """Classes that the top images hold more often than chance, the least probable first.

    Args:
        labels: int (num_images,) of all images.
        top: indices of the top images.
        num_classes: number of classes.

    Returns:
        `label`, `count`, `share`, `base_rate` and `p_value`: the upper tail of the hypergeometric
        distribution (drawing as many images at random), times the number of classes (Bonferroni).
    """
    from scipy.stats import hypergeom

    if not len(top):
        return []
    base = np.bincount(labels, minlength=num_classes)
    counts = np.bincount(labels[top], minlength=num_classes)
    tails = hypergeom.sf(counts - 1, len(labels), base, len(top))
    p_values = np.minimum(tails * num_classes, 1.0)
    rows = [
        {
            "label": int(label),
            "count": int(counts[label]),
            "share": float(counts[label] / len(top)),
            "base_rate": float(base[label] / len(labels)),
            "p_value": float(p_values[label]),
        }
        for label in np.lexsort((-counts, tails))
    ]
    return [row for row in rows if row["p_value"] < SIGNIFICANCE]


def rank_correlations(scores: np.ndarray, properties: dict[str, np.ndarray]) -> dict[str, float]:
    """Spearman's rank correlation of one filter's scores with each property, strongest first.

    Args:
        scores: (num_images,).
        properties: name to (num_images,).

    Returns:
        Name to rho; a property or filter that does not vary has rho 0.
    """
    from scipy.stats import rankdata

    ranks = _standardized(rankdata(scores))
    rhos = {
        name: float(np.mean(ranks * _standardized(rankdata(values))))
        for name, values in properties.items()
    }
    return dict(sorted(rhos.items(), key=lambda item: -abs(item[1])))


def superiority(scores: np.ndarray, is_class: np.ndarray, control: np.ndarray) -> dict[str, float]:
    """Whether a class scores higher among images that are alike in a control property.

    Images are divided into strata of equal size by the control. Within each, the probability that
    an image of the class scores higher than one that is not (ties count one half) is the
    Mann-Whitney statistic; strata are weighted as by van Elteren (1960).

    Returns:
        `probability` (0.5: no difference), its 95 % interval `low` to `high`, and `p_value`,
        two-sided, by the normal approximation for no difference.
    """
    from scipy.stats import norm, rankdata

    numerator = expected = variance = weight_sum = 0.0
    for rows in np.array_split(np.argsort(control, kind="stable"), NUM_STRATA):
        ours = is_class[rows]
        n, m = int(ours.sum()), int((~ours).sum())
        if not n or not m:
            continue
        u = rankdata(scores[rows])[ours].sum() - n * (n + 1) / 2
        weight = 1 / (n + m + 1)
        numerator += weight * u
        expected += weight * n * m / 2
        variance += weight**2 * n * m * (n + m + 1) / 12
        weight_sum += weight * n * m
    if not variance:
        return {"probability": 0.5, "low": 0.0, "high": 1.0, "p_value": 1.0}
    z = (numerator - expected) / math.sqrt(variance)
    probability = float(numerator / weight_sum)
    margin = float(norm.isf(SIGNIFICANCE / 2) * math.sqrt(variance) / weight_sum)
    return {
        "probability": probability,
        "low": max(0.0, probability - margin),
        "high": min(1.0, probability + margin),
        "p_value": float(2 * norm.sf(abs(z))),
    }


def explain(
    scores: np.ndarray,
    properties: dict[str, np.ndarray],
    labels: np.ndarray | None,
    class_names: list[str],
    kernel: np.ndarray | None,
) -> dict[str, object]:
    """What one filter's answer follows, as numbers and one sentence that says no more than they do.

    Args:
        scores: (num_images,), the filter's mean activation.
        properties: as `image_properties` gives them.
        labels: int (num_images,), or None where no classes are known.
        class_names: name of each label.
        kernel: (height, width, channels), or None where the layer has none.

    Returns:
        `kernel` (see `describe_kernel`), `correlations` (see `rank_correlations`), `classes` (see
        `over_represented`, with `name`, and `given_property`, see `superiority`, controlled for the
        property that the filter follows most) and `sentence`.
    """
    correlations = rank_correlations(scores, properties)
    followed = next(iter(correlations))
    top = top_images(scores)
    classes = [] if labels is None else over_represented(labels, top, len(class_names))
    for row in classes:
        row["name"] = class_names[row["label"]]
        row["given_property"] = superiority(scores, labels == row["label"], properties[followed])
    return {
        "kernel": None if kernel is None else describe_kernel(kernel),
        "correlations": correlations,
        "num_top": len(top),
        "classes": classes,
        "sentence": _sentence(scores, correlations, classes, labels is not None),
    }


def _properties_of(images: np.ndarray) -> dict[str, np.ndarray]:
    pixels = images.astype("float32") / 255
    is_gray = pixels.shape[-1] == 1
    gray = pixels[..., 0] if is_gray else pixels @ GRAY.astype("float32")
    maps = {"brightness": gray, **({} if is_gray else _colors(pixels)), **_edge_energies(gray)}
    properties = {}
    for region, mask in _regions(gray.shape[1:]).items():
        for name, values in maps.items():
            properties[f"{name} {region}"] = values[:, mask].mean(axis=1)
        properties[f"contrast {region}"] = gray[:, mask].std(axis=1)
    return properties


def _colors(pixels: np.ndarray) -> dict[str, np.ndarray]:
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return {
        "redness": red - (green + blue) / 2,
        "greenness": green - (red + blue) / 2,
        "blueness": blue - (red + green) / 2,
    }


def _edge_energies(gray: np.ndarray) -> dict[str, np.ndarray]:
    # Squared differences across an edge; the last row and column repeat, so sizes stay.
    padded = np.pad(gray, ((0, 0), (0, 1), (0, 1)), mode="edge")
    here, right = padded[:, :-1, :-1], padded[:, :-1, 1:]
    below, below_right = padded[:, 1:, :-1], padded[:, 1:, 1:]
    return {
        "horizontal edges": (below - here) ** 2,
        "vertical edges": (right - here) ** 2,
        "rising edges": (below_right - here) ** 2 / 2,
        "falling edges": (below - right) ** 2 / 2,
    }


def _regions(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    margin = max(1, round(min(shape) * BORDER_SHARE))
    centre = np.zeros(shape, bool)
    centre[margin:-margin, margin:-margin] = True
    regions = {
        "of the image": np.ones(shape, bool),
        "in the border": ~centre,
        "in the centre": centre,
    }
    return {name: mask for name, mask in regions.items() if mask.any()}


def _describe_orientation(gray_kernel: np.ndarray) -> dict[str, float]:
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
    return {"orientation": float(angles[answers.argmax()]), "selectivity": selectivity}


def _standardized(ranks: np.ndarray) -> np.ndarray:
    spread = ranks.std()
    return (ranks - ranks.mean()) / spread if spread else np.zeros_like(ranks)


def _sentence(
    scores: np.ndarray, correlations: dict[str, float], classes: list[dict], has_labels: bool
) -> str:
    if scores.max() == scores.min():
        return "answers every image alike: dead"
    followed, rho = next(iter(correlations.items()))
    if abs(rho) < max(FOLLOWS, _chance_rho(len(scores), len(correlations))):
        text = f"follows none of the simple properties (strongest: {followed}, rho = {rho:.2f})"
    else:
        text = f"follows {'' if rho > 0 else 'the lack of '}{followed}, rho = {rho:.2f}"
    if not has_labels:
        return text
    if not classes:
        return text + "; no class is over-represented among its top images"
    return text + "; " + _class_clause(classes[0], followed)


def _chance_rho(num_images: int, num_properties: int) -> float:
    """The rank correlation that the strongest of so many properties rarely has by chance."""
    from scipy.stats import norm

    return float(norm.isf(SIGNIFICANCE / 2 / num_properties)) / math.sqrt(max(num_images - 1, 1))


def _class_clause(row: dict, followed: str) -> str:
    name, given = row["name"], row["given_property"]
    alike = f"among images alike in {followed},"
    shares = f"{100 * given['low']:.0f} – {100 * given['high']:.0f} %"
    probability = f"{100 * given['probability']:.0f} % probability of superiority, 95 %: {shares}"
    is_told = given["p_value"] < SIGNIFICANCE
    if is_told and given["probability"] >= SUPERIOR:
        return f"{name} also as such: {alike} {name} scores higher ({probability})"
    if is_told and given["probability"] <= 1 - SUPERIOR:
        return f"not {name} as such: {alike} {name} scores lower ({probability})"
    if given["high"] < NO_HIGHER:
        hardly = "hardly" if is_told and given["probability"] > 0.5 else "no"
        return f"not {name} as such: {alike} {name} scores {hardly} higher ({probability})"
    return (
        f"{name} is frequent among its top images, but whether as such cannot be told: {alike} too "
        f"few can be compared ({probability})"
    )
