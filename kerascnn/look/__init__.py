"""The questions that one asks of a trained network: each gives records, and what figures need.

Filters count from 1 in what these functions take and give: it is here that people's numbers become
indices.
"""

from collections.abc import Sequence

import numpy as np

from kerascnn.errors import ImageError, SelectionError
from kerascnn.look import explanation
from kerascnn.look.images import none_readable
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
# A figure of predictions shows so many pictures at most.
MOST_DRAWN = 50


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
        rows, values = survey.top(filter_index, k, score)
        chosen = survey.image_indices(rows)
        ranked = tuple(
            RankedImage(rank=rank, activation=value, **_describe_image(subject, index))
            for rank, (index, value) in enumerate(zip(chosen.tolist(), values, strict=True), 1)
        )
        images = _to_color(subject.shown.images.take(chosen))
        kernel = survey.kernel(filter_index)
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
    images, shown = subject.shown.images, subject.shown
    properties = explanation.image_properties(images, survey.indices)
    labels = survey.labels_of(shown.labels)
    record = explanation.explain(survey, index, properties, labels, shown.class_names)
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
    found: list[int] = []
    for name in sorted(shown.class_names, key=lambda name: name not in STUDY_CLASSES):
        index = subject.first_right(name) if len(found) < 3 else None
        found += [] if index is None else [index]
    return found or subject.first_readable(3)


def describe_maps(
    subject: Subject, chosen: list[int], maps: np.ndarray, numbers: Sequence[int]
) -> list[MapPictures]:
    """What some filters answer to some images.

    Args:
        chosen: indices of images, from 0.
        maps: of these images, see `Subject.maps`.
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
        probability = subject.describe_prediction(index)[1]
        described = _describe_image(subject, index)
        record = ImageMaps(probability=probability, filters=filters, **described)
        image = _to_color(subject.shown.images.take([index]))[0]
        found.append(MapPictures(record, image, shown))
    return found


def predict_files(subject: Subject, most: int = MOST_DRAWN) -> list[ProbabilityPicture]:
    """Probabilities of the classes, or labels, of pictures; the first `most` with their pixels.

    Raises:
        ModelError: if the model is no classifier.
        ImageError: if no picture can be read.
    """
    found: list[ProbabilityPicture] = []
    for indices, images, values in subject.predictions():
        for index, image, row in zip(indices, _to_color(images), values, strict=True):
            ranked = {subject.class_names[i]: row[i] for i in highest(row, len(row))}
            record = Probabilities(
                image=subject.shown.names[index],
                prediction=next(iter(ranked)) if subject.is_exclusive else None,
                probabilities=ranked,
            )
            found.append(ProbabilityPicture(record, image if len(found) < most else None))
    if not found:
        raise ImageError(none_readable(subject.problems, len(subject.shown.names)))
    return found


def _describe_filter(subject: Subject, survey: Survey, index: int) -> FilterRow:
    means, classes = survey.scores["mean"][:, index], []
    labels = survey.labels_of(subject.shown.labels)
    # A dead filter ranks all images alike, so that no class says anything about it.
    if labels is not None and not survey.is_dead(index):
        top = explanation.top_images(means)
        classes = explanation.over_represented(labels, top, subject.shown.class_names)
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
    shown = subject.shown
    return {
        "index": index,
        "image": shown.names[index],
        "label": None if shown.labels is None else shown.class_names[shown.labels[index]],
        "prediction": subject.describe_prediction(index)[0],
    }


def _first_right(subject: Subject, name: str) -> int:
    known = subject.shown.class_names
    if name not in known:
        names = ", ".join(known)
        raise SelectionError(f"There is no class '{name}'; the classes are {names}.")
    right = subject.first_right(name)
    if right is None:
        raise SelectionError(
            f"The model gets no image of class '{name}' right; name one with --image."
        )
    return right
