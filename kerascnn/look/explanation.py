"""What a filter's answer follows: properties of images, and classes beside them.

Scores are float (num_images,), a filter's mean activation for each image.
"""

import math
import zlib
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import scipy

from kerascnn.data.batches import ImageArray, Images
from kerascnn.errors import SelectionError
from kerascnn.look.kernels import GRAY, describe_kernel
from kerascnn.look.scores import Survey, highest
from kerascnn.records.filters import ClassShare, ExplainedClass, Explanation, Superiority

# The border is this share of the shorter side, on each side; the centre is what it leaves.
BORDER_SHARE = 0.25
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

BATCH_SIZE = 250

# The properties last measured, by shape and checksum of the images.
_kept: dict[tuple[tuple[int, ...], int], dict[str, np.ndarray]] = {}


def image_properties(images: Images, indices: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Simple properties of images, each of the whole image, its border and its centre.

    `brightness` (mean gray), `contrast` (standard deviation of gray), `redness`, `greenness`,
    `blueness` (mean of that channel less the mean of the other two) and the edge energy of four
    orientations (mean of the squared derivative across the edge, of differences of neighbours).
    The last result for an array is kept, as many networks see the same images.

    Args:
        images: of 3 channels, of 4, of which alpha does not count, or of 1, which has no colors.
        indices: of the images to measure; None for all.

    Returns:
        `"blueness in the border"` and so on to float32 (num_images,); values are fractions of 255.

    Raises:
        ImageError: if one of the images cannot be read.
    """
    if not isinstance(images, ImageArray):
        return _measure_properties(images, indices)
    key = images.shape, zlib.crc32(np.ascontiguousarray(images.array))
    if key not in _kept:
        _kept.clear()
        _kept[key] = _measure_properties(images, None)
    return _kept[key]


def _measure_properties(images: Images, indices: np.ndarray | None) -> dict[str, np.ndarray]:
    parts = []
    with closing(images.batches(BATCH_SIZE)) as batches:
        for batch in batches:
            measured = np.ones(len(batch.indices), bool)
            if indices is not None:
                measured = np.isin(batch.indices, indices)
            if measured.any():
                parts.append(_properties_of(batch.images[measured]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def top_images(scores: np.ndarray) -> np.ndarray:
    """Indices of the images whose classes characterize a filter, the highest score first.

    The 100 highest, or a tenth of the images where they are fewer than 1000. Where the last of
    them scores the same as the next one, as the many images do that a sparse filter leaves at zero,
    all images of that score are left out: which of them come first says nothing.
    """
    count = min(NUM_TOP, max(1, len(scores) // 10))
    top, rest = np.split(highest(scores, count + 1), [count])
    return top[scores[top] > scores[rest[0]]] if len(rest) else top


def over_represented(
    labels: np.ndarray, top: np.ndarray, class_names: Sequence[str]
) -> list[ClassShare]:
    """Classes that the top images hold more often than by chance, the least probable first.

    The p-value is the upper tail of the hypergeometric distribution (drawing as many images at
    random), times the number of classes (Bonferroni).

    Args:
        labels: of all images, int (num_images,).
        top: indices of the top images.
    """
    if not len(top):
        return []
    base = np.bincount(labels, minlength=len(class_names))
    counts = np.bincount(labels[top], minlength=len(class_names))
    tails = scipy.stats.hypergeom.sf(counts - 1, len(labels), base, len(top))
    p_values = np.minimum(tails * len(class_names), 1.0)
    return [
        ClassShare(
            label=label,
            name=class_names[label],
            count=counts[label],
            share=counts[label] / len(top),
            base_rate=base[label] / len(labels),
            p_value=p_values[label],
        )
        for label in np.lexsort((-counts, tails)).tolist()
        if p_values[label] < SIGNIFICANCE
    ]


def rank_correlations(scores: np.ndarray, properties: dict[str, np.ndarray]) -> dict[str, float]:
    """Spearman's rank correlation of one filter's scores with each property, strongest first.

    A property or filter that does not vary has rho 0.
    """
    rank = scipy.stats.rankdata
    ranks = _standardized(rank(scores))
    rhos = {
        name: float(np.mean(ranks * _standardized(rank(values))))
        for name, values in properties.items()
    }
    return dict(sorted(rhos.items(), key=lambda item: -abs(item[1])))


def superiority(scores: np.ndarray, is_class: np.ndarray, control: np.ndarray) -> Superiority:
    """Whether a class scores higher among images that are alike in a control property.

    Images are divided into strata of equal size by the control. Within each, the probability that
    an image of the class scores higher than one that is not (ties count one half) is the
    Mann-Whitney statistic; strata are weighted as by van Elteren (1960). The p-value is that of the
    normal approximation.

    Args:
        is_class: bool (num_images,), whether an image is of the class.
        control: (num_images,), the property.
    """
    numerator = expected = variance = weight_sum = 0.0
    for rows in np.array_split(np.argsort(control, kind="stable"), NUM_STRATA):
        ours = is_class[rows]
        n, m = int(ours.sum()), int((~ours).sum())
        if not n or not m:
            continue
        u = scipy.stats.rankdata(scores[rows])[ours].sum() - n * (n + 1) / 2
        weight = 1 / (n + m + 1)
        numerator += weight * u
        expected += weight * n * m / 2
        variance += weight**2 * n * m * (n + m + 1) / 12
        weight_sum += weight * n * m
    if not variance:
        return Superiority(probability=0.5, low=0.0, high=1.0, p_value=1.0)
    z = (numerator - expected) / math.sqrt(variance)
    probability = float(numerator / weight_sum)
    margin = float(scipy.stats.norm.isf(SIGNIFICANCE / 2) * math.sqrt(variance) / weight_sum)
    return Superiority(
        probability=probability,
        low=max(0.0, probability - margin),
        high=min(1.0, probability + margin),
        p_value=2 * scipy.stats.norm.sf(abs(z)),
    )


def explain(
    survey: Survey,
    filter_index: int,
    properties: dict[str, np.ndarray],
    labels: np.ndarray | None,
    class_names: Sequence[str],
) -> Explanation:
    """What one filter's answer follows, as numbers, and as sentences that say no more than they do.

    Args:
        filter_index: from 0.
        properties: of the images, as `image_properties` gives them.
        labels: int (num_images,), or None where no classes are known.

    Raises:
        SelectionError: if there are too few images to tell.
    """
    if survey.num_images < MIN_IMAGES:
        raise SelectionError(
            f"{survey.num_images} images are too few to tell what a filter follows; at least "
            f"{MIN_IMAGES} are needed."
        )
    scores, kernel = survey.scores["mean"][:, filter_index], survey.kernel(filter_index)
    correlations, top = rank_correlations(scores, properties), top_images(scores)
    control = properties[next(iter(correlations))]
    found = [] if labels is None else over_represented(labels, top, class_names)
    classes = tuple(
        ExplainedClass(
            label=each.label,
            given_property=superiority(scores, labels == each.label, control),
            **each.model_dump(),
        )
        for each in found
    )
    name = f"Filter {filter_index + 1} of {survey.layer}"
    return Explanation(
        filter=filter_index + 1,
        layer=survey.layer,
        kernel=None if kernel is None else describe_kernel(kernel),
        correlations=correlations,
        num_top=len(top),
        classes=classes,
        sentence=_in_words(name, scores, correlations, None if labels is None else classes),
    )


def _properties_of(images: np.ndarray) -> dict[str, np.ndarray]:
    pixels = images[..., :3].astype("float32") / 255
    is_gray = pixels.shape[-1] == 1
    gray = pixels[..., 0] if is_gray else pixels @ GRAY.astype("float32")
    maps = {"brightness": gray} | ({} if is_gray else _colors(pixels)) | _edge_energies(gray)
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
    whole = np.ones(shape, bool)
    regions = {"of the image": whole, "in the border": ~centre, "in the centre": centre}
    return {name: mask for name, mask in regions.items() if mask.any()}


def _standardized(ranks: np.ndarray) -> np.ndarray:
    spread = ranks.std()
    return (ranks - ranks.mean()) / spread if spread else np.zeros_like(ranks)


def _in_words(
    name: str,
    scores: np.ndarray,
    correlations: dict[str, float],
    classes: Sequence[ExplainedClass] | None,
) -> str:
    if scores.max() == scores.min():
        return f"{name} answers every image alike: it is dead."
    followed, rho = next(iter(correlations.items()))
    if abs(rho) < max(FOLLOWS, _chance_rho(len(scores), len(correlations))):
        text = (
            f"{name} follows none of the simple properties of images; its strongest rank "
            f"correlation is rho = {rho:.2f}, with {followed}."
        )
    else:
        lack = "" if rho > 0 else "the lack of "
        text = f"{name} follows {lack}{followed} (rank correlation rho = {rho:.2f})."
    if classes is None:
        return text
    if not classes:
        return f"{text} No class is over-represented among its top images."
    return f"{text} {_class_in_words(classes[0], followed)}"


def _chance_rho(num_images: int, num_properties: int) -> float:
    """The rank correlation that the strongest of so many properties rarely has by chance."""
    bound = scipy.stats.norm.isf(SIGNIFICANCE / 2 / num_properties)
    return float(bound) / math.sqrt(max(num_images - 1, 1))


def _class_in_words(found: ExplainedClass, followed: str) -> str:
    given = found.given_property
    one = f"{'an' if found.name.lower().startswith(tuple('aeiou')) else 'a'} {found.name}"
    alike = f"images with about the same {followed.removesuffix(' of the image')}"
    often = (
        f"{100 * given.probability:.0f} times in 100 "
        f"(95 %: {100 * given.low:.0f} to {100 * given.high:.0f})"
    )
    is_told = given.p_value < SIGNIFICANCE
    if is_told and given.probability >= SUPERIOR:
        said = f"Also among {alike}, {one} scores higher than another image {often}."
    elif is_told and given.probability <= 1 - SUPERIOR:
        said = f"But among {alike}, {one} scores lower than another image: it is higher {often}."
    elif given.high < NO_HIGHER:
        how = "hardly" if is_told and given.probability > 0.5 else "no"
        said = (
            f"But among {alike}, {one} scores {how} higher than another image: it is higher "
            f"{often}."
        )
    else:
        said = (
            f"Among {alike}, {one} scores higher than another image {often}, but too few images "
            "can be compared to be sure."
        )
    return f"Class {found.name} is over-represented among its top images. {said}"
