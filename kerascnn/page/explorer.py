"""The filters of a run's first layer: kernels, the images that excite them, maps, explanations."""

import numpy as np

from kerascnn.errors import SelectionError
from kerascnn.look.explanation import explain, image_properties, top_images
from kerascnn.look.scores import Survey, highest
from kerascnn.look.subject import RUN_LAYERS, Subject
from kerascnn.page.examples import describe_image, draw_order
from kerascnn.page.measured import Measured
from kerascnn.page.pictures import Album, Atlas, color_kernels, color_maps, place_in

LAYER = RUN_LAYERS["relu"]
# With several runs on a page, and with one.
MOST_FILTERS, MOST_FILTERS_OF_ONE = 32, 64
NUM_TOP = 5
MOST_SAMPLES = 10
# Longest side of a map on the page, in pixels.
MOST_MAP_SIDE = 32


def explore(
    measured: Measured, subject: Subject, album: Album, atlas: Atlas, most_filters: int
) -> dict[str, object]:
    """All that the page says about the filters of a run; of too many, about the first ones.

    Kernels and maps go into the album, images into the atlas; what is given has their places.
    """
    survey, properties = subject.survey(LAYER), image_properties(subject.shown.images)
    count = min(survey.num_filters, most_filters)
    samples = choose_samples(measured)
    maps = album.add(_color_by_filter(subject.maps(samples, LAYER)[..., :count]))
    kernels = None
    if survey.kernels is not None:
        kernels = album.add(color_kernels(survey.kernels[..., :count]))
    found = [
        _describe_filter(measured, survey, index, atlas, properties)
        | {
            "kernel": kernels and place_in(kernels, index),
            "maps": [place_in(maps, index * len(samples) + at) for at in range(len(samples))],
        }
        for index in range(count)
    ]
    return {
        "layer": LAYER,
        "num_filters": survey.num_filters,
        "samples": [describe_image(measured, atlas, index) for index in samples],
        "filters": found,
    }


def choose_samples(measured: Measured) -> list[int]:
    """An image of each class, one that the model gets right where there is one; at most ten."""
    order = draw_order(len(measured.labels))
    labels, predictions = measured.labels[order], measured.predictions[order]
    chosen = []
    for label in range(len(measured.class_names)):
        own = order[labels == label]
        right = order[(labels == label) & (predictions == label)]
        chosen += [int(index) for index in (right if len(right) else own)[:1]]
    return chosen[:MOST_SAMPLES]


def _color_by_filter(maps: np.ndarray) -> np.ndarray:
    """Maps as pictures, filter by filter, each filter with one scale."""
    step = max(1, -(-max(maps.shape[1:3]) // MOST_MAP_SIDE))
    return np.concatenate([color_maps(maps[:, ::step, ::step, i]) for i in range(maps.shape[-1])])


def _describe_filter(
    measured: Measured, survey: Survey, index: int, atlas: Atlas, properties: dict[str, np.ndarray]
) -> dict[str, object]:
    is_dead = survey.is_dead(index)
    chosen, values = survey.top(index, NUM_TOP)
    top = [
        describe_image(measured, atlas, image) | {"activation": float(value)}
        for image, value in zip(chosen, values, strict=True)
    ]
    return {
        "number": index + 1,
        "address": f"{measured.identity}-filter-{index + 1}",
        "is_dead": is_dead,
        "active_share": survey.active_share(index),
        "top": [] if is_dead else top,
        "mix": [] if is_dead else _class_mix(measured, survey.scores["mean"][:, index]),
        "sentence": _explain(measured, survey, index, properties),
    }


def _class_mix(measured: Measured, scores: np.ndarray) -> list[tuple[str, int, int]]:
    """Classes of the images that excite a filter most: name, how many, percent of them."""
    top, names = top_images(scores), measured.class_names
    counts = np.bincount(measured.labels[top], minlength=len(names))
    ranked = ((names[label], int(counts[label])) for label in highest(counts, len(names)))
    return [(name, count, round(100 * count / len(top))) for name, count in ranked if count]


def _explain(
    measured: Measured, survey: Survey, index: int, properties: dict[str, np.ndarray]
) -> str:
    try:
        return explain(survey, index, properties, measured.labels, measured.class_names).sentence
    except SelectionError as error:
        return str(error)
