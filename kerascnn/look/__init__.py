"""The questions that one asks of a trained network: each gives records, and what figures need.

Filters count from 1 in what these functions take and give: it is here that people's numbers become
indices.
"""

from collections.abc import Sequence

import numpy as np

from kerascnn.errors import ModelError, SelectionError
from kerascnn.look import explanation
from kerascnn.look.scores import Survey, highest
from kerascnn.look.subject import Subject
from kerascnn.records.filters import (
    ExplanationPicture,
    FilterMap,
    FilterPicture,
    FilterRow,
    ImageMaps,
    MapPictures,
    Probabilities,
    ProbabilityPicture,
    RankedImage,
    TopImages,
    TopPictures,
)

# The filters and the classes of the study's figures.
STUDY_FILTERS = (1, 8, 16)
STUDY_CLASSES = ("automobile", "frog", "ship")


def top_images(
    subject: Subject,
    numbers: Sequence[int] | None = None,
    k: int = 5,
    score: str = "mean",
    layer: str = "relu1",
) -> list[TopPictures]:
    """The k images that excite each filter most.

    Args:
        numbers: filters, from 1; where None the study's three, as far as the layer has them.
        k: images for each.
        score: `mean`, `max` or `l2` of the feature map.

    Raises:
        SelectionError: if there is no such filter, or there are fewer than k images.
    """
    survey = subject.survey(layer)
    numbers = numbers or [number for number in STUDY_FILTERS if number <= survey.num_filters]
    indices = _check_filters(numbers, survey.num_filters)
    most = survey.num_images
    if not 1 <= k <= most:
        raise SelectionError(f"k = {k}: must be from 1 to the number of images, {most}.")
    found = []
    for number, filter_index in zip(numbers, indices, strict=True):
        chosen, values = survey.top(filter_index, k, score)
        ranked = tuple(
            RankedImage(rank=rank, activation=value, **_describe_image(subject, index))
            for rank, (index, value) in enumerate(zip(chosen.tolist(), values, strict=True), 1)
        )
        images, kernel = _to_color(subject.shown.images.take(chosen)), survey.kernel(filter_index)
        found.append(TopPictures(TopImages(filter=number, top=ranked), images, kernel))
    return found


def all_filters(subject: Subject, layer: str = "relu1") -> list[FilterPicture]:
    """Every filter of a layer: alive or dead, how often active, and whose images excite it."""
    survey = subject.survey(layer)
    return [
        FilterPicture(_describe_filter(subject, survey, index), survey.kernel(index))
        for index in range(survey.num_filters)
    ]


def explain(subject: Subject, number: int, layer: str = "relu1") -> ExplanationPicture:
    """What one filter's activation follows over the images shown, see `explanation.explain`.

    Raises:
        SelectionError: if there is no such filter, or there are too few images to tell.
    """
    survey = subject.survey(layer)
    index = _check_filters([number], survey.num_filters)[0]
    shown = subject.shown
    properties = explanation.image_properties(shown.images.take(range(len(shown.images))))
    record = explanation.explain(survey, index, properties, shown.labels, shown.class_names)
    return ExplanationPicture(record, survey.kernel(index))


def choose_images(
    subject: Subject, classes: list[str] | None = None, indices: list[int] | None = None
) -> list[int]:
    """Indices of images to look at: those given, or one of each class that the model gets right.

    Args:
        classes: names of classes; where None, the study's three, then the others in their order,
            until there are three of which the model gets an image right.
        indices: images, from 0; they win over classes.

    Returns:
        Where classes are not known, or the model gets nothing right, the first three images.

    Raises:
        SelectionError: if a class or an image is not there, or no image of a class given is right.
    """
    shown = subject.shown
    if indices:
        if beyond := [index for index in indices if not 0 <= index < len(shown.images)]:
            raise SelectionError(
                f"Image {beyond[0]} is not there; images go from 0 to {len(shown.images) - 1}."
            )
        return indices
    if classes and shown.labels is None:
        raise SelectionError(
            f"The classes of these images are not known, so none is '{classes[0]}'; name images "
            "with --image."
        )
    if classes:
        return [_first_right(subject, name) for name in classes]
    names = sorted(shown.class_names, key=lambda name: name not in STUDY_CLASSES)
    found = [_right_images(subject, name)[:1] for name in names]
    first_right = [int(index) for indices in found for index in indices]
    return first_right[:3] or list(range(min(3, len(shown.images))))


def maps_of(subject: Subject, chosen: list[int], layer: str = "relu1") -> np.ndarray:
    """Feature maps of some images, by their indices: float32 (num_images, height, width, filters).

    Raises:
        ModelError: if there is no such layer, or it gives numbers that are not finite.
    """
    from kerascnn.look.activations import feature_maps

    maps = feature_maps(subject.model, subject.batches(chosen), layer)
    if not np.isfinite(maps).all():
        raise ModelError(f"Layer '{layer}' gives numbers that are not finite.")
    return maps


def describe_maps(
    subject: Subject, chosen: list[int], maps: np.ndarray, numbers: Sequence[int]
) -> list[MapPictures]:
    """What some filters answer to some images.

    Args:
        chosen: indices of images, from 0.
        maps: of these images, see `maps_of`.
        numbers: filters, from 1.

    Raises:
        SelectionError: if there is no such filter.
    """
    indices = _check_filters(numbers, maps.shape[-1])
    found = []
    for index, all_of_image in zip(chosen, maps, strict=True):
        shown = all_of_image[..., indices].transpose(2, 0, 1)
        filters = tuple(
            FilterMap(filter=number, mean=each.mean(), max=each.max())
            for number, each in zip(numbers, shown, strict=True)
        )
        values = subject.probabilities
        probability = None if values is None else values[index].max()
        described = _describe_image(subject, index)
        record = ImageMaps(probability=probability, filters=filters, **described)
        found.append(MapPictures(record, _to_color(subject.shown.images.take([index])[0]), shown))
    return found


def predict_files(subject: Subject) -> list[ProbabilityPicture]:
    """Class probabilities of pictures.

    Raises:
        ModelError: if the model is no classifier.
    """
    shown, probabilities = subject.shown, subject.probabilities
    if probabilities is None:
        shape = tuple(subject.model.outputs[0].shape)
        raise ModelError(
            f"{subject.name} gives outputs of shape {shape}; expected a number for each class, "
            "(num_images, num_classes)."
        )
    found = []
    images = _to_color(shown.images.take(range(len(shown.images))))
    for name, image, values in zip(shown.names, images, probabilities, strict=True):
        ranked = {subject.class_names[i]: values[i] for i in highest(values, len(values))}
        record = Probabilities(image=name, prediction=next(iter(ranked)), probabilities=ranked)
        found.append(ProbabilityPicture(record, image))
    return found


def _describe_filter(subject: Subject, survey: Survey, index: int) -> FilterRow:
    means, shown, classes = survey.scores["mean"][:, index], subject.shown, []
    # A dead filter ranks all images alike, so that no class says anything about it.
    if shown.labels is not None and not survey.is_dead(index):
        top = explanation.top_images(means)
        classes = explanation.over_represented(shown.labels, top, shown.class_names)
    return FilterRow(
        filter=index + 1,
        is_dead=survey.is_dead(index),
        active_share=survey.active_share(index),
        mean=means.mean(),
        classes=tuple(classes),
    )


def _check_filters(numbers: Sequence[int], count: int) -> list[int]:
    for number in numbers:
        if not 1 <= number <= count:
            raise SelectionError(
                f"There is no filter {number}; the layer has filters 1 to {count}."
            )
    return [number - 1 for number in numbers]


def _to_color(images: np.ndarray) -> np.ndarray:
    """Images of one channel as gray ones of three, as figures need them."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _describe_image(subject: Subject, index: int) -> dict[str, object]:
    shown, values = subject.shown, subject.probabilities
    return {
        "index": index,
        "image": shown.names[index],
        "label": None if shown.labels is None else shown.class_names[shown.labels[index]],
        "prediction": None if values is None else subject.class_names[values[index].argmax()],
    }


def _first_right(subject: Subject, name: str) -> int:
    shown = subject.shown
    if name not in shown.class_names:
        known = ", ".join(shown.class_names)
        raise SelectionError(f"There is no class '{name}'; the classes are {known}.")
    right = _right_images(subject, name)
    if not len(right):
        raise SelectionError(
            f"The model gets no image of class '{name}' right; name one with --image."
        )
    return int(right[0])


def _right_images(subject: Subject, name: str) -> np.ndarray:
    """Indices of the images of a class that the model gets right; none where it has no classes."""
    shown = subject.shown
    # The images may be of other classes than the model tells apart, in another order.
    if shown.labels is None or name not in subject.class_names:
        return np.array([], "int64")
    is_own = shown.labels == shown.class_names.index(name)
    return np.flatnonzero(is_own & (subject.predictions == subject.class_names.index(name)))
