"""The questions that one asks of a trained network, answered as plain rows and arrays to draw.

Filters count from 1 in what these functions take and give: it is here that people's numbers become
indices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kerascnn.errors import ModelError, SelectionError
from kerascnn.look import explanation as filter_numbers
from kerascnn.look.scores import Survey
from kerascnn.look.subject import Subject

# The filters and the classes of the study's figures.
STUDY_FILTERS = (1, 8, 16)
STUDY_CLASSES = ("automobile", "frog", "ship")


@dataclass(frozen=True)
class Answer:
    """What a question gave.

    Attributes:
        layer: the layer that was looked at.
        rows: plain values, as `--json` prints them.
        drawing: for each row, the arrays that its figure needs; labels and predictions in them
            index `Subject.all_class_names`.
    """

    layer: str
    rows: list[dict]
    drawing: list[dict]


def top_images(
    subject: Subject,
    numbers: list[int] | None = None,
    k: int = 5,
    score: str = "mean",
    layer: str = "relu1",
) -> Answer:
    """The k images that excite each filter most.

    Args:
        subject: model and images.
        numbers: filters, from 1; where None the study's three, as far as the layer has them.
        k: images for each.
        score: `mean`, `max` or `l2` of the feature map.
        layer: name of a layer.

    Returns:
        Rows of `filter` and `top`, a list of `rank`, `index`, `image`, `label`, `prediction` (class
        names, None where not known) and `activation`.

    Raises:
        SelectionError: if there is no such filter, or there are fewer than k images.
    """
    survey = subject.survey(layer)
    numbers = numbers or [number for number in STUDY_FILTERS if number <= survey.num_filters]
    indices = _check_filters(numbers, survey.num_filters)
    if not 1 <= k <= survey.num_images:
        raise SelectionError(
            f"k = {k}: must be from 1 to the number of images, {survey.num_images}."
        )
    rows, drawing = [], []
    for number, index in zip(numbers, indices, strict=True):
        chosen, values = survey.top(index, k, score)
        rows.append({"filter": number, "top": _top_rows(subject, chosen, values)})
        labels, predictions = subject.labels, subject.predictions
        drawing.append(
            {
                "filter": number,
                "kernel": _kernel(survey, index),
                "images": _to_color(subject.shown.images[chosen]),
                "labels": None if labels is None else labels[chosen],
                "predictions": None if predictions is None else predictions[chosen],
                "values": values,
            }
        )
    return Answer(layer, rows, drawing)


def all_filters(subject: Subject, layer: str = "relu1") -> Answer:
    """Every filter of a layer: alive or dead, how often active, and whose images excite it.

    A filter is dead where its mean is the same for every image shown, or its map nowhere above
    zero.

    Returns:
        Rows of `filter`, `is_dead`, `active_share` (of images with a pixel above zero), `mean` and
        `classes` (over-represented among its top images, see `filters.over_represented`).
    """
    survey = subject.survey(layer)
    labels, names = subject.shown.labels, subject.shown.class_names
    rows = []
    for index in range(survey.num_filters):
        mean, highest = survey.scores["mean"][:, index], survey.scores["max"][:, index]
        is_alike = len(mean) > 1 and np.ptp(mean) == 0
        is_dead = bool(highest.max() <= 0 or is_alike)
        classes = []
        if labels is not None and not is_dead:
            top = filter_numbers.top_images(mean)
            found = filter_numbers.over_represented(labels, top, len(names))
            classes = [{"name": names[row.pop("label")], **row} for row in found]
        rows.append(
            {
                "filter": index + 1,
                "is_dead": is_dead,
                "active_share": float(np.mean(highest > 0)),
                "mean": float(mean.mean()),
                "classes": classes,
            }
        )
    drawing = [{"kernels": survey.kernels}]
    return Answer(layer, rows, drawing)


def explain(subject: Subject, number: int, layer: str = "relu1") -> Answer:
    """What one filter's activation follows over the images shown, see `filters.explain`.

    Raises:
        SelectionError: if there is no such filter, or there are too few images to tell.
    """
    survey = subject.survey(layer)
    index = _check_filters([number], survey.num_filters)[0]
    if survey.num_images < filter_numbers.MIN_IMAGES:
        raise SelectionError(
            f"{survey.num_images} images are too few to tell what a filter follows; give at least "
            f"{filter_numbers.MIN_IMAGES}."
        )
    labels, names = subject.shown.labels, subject.shown.class_names
    kernel = _kernel(survey, index)
    explained = filter_numbers.explain(
        survey.scores["mean"][:, index],
        filter_numbers.image_properties(subject.shown.images),
        labels,
        list(names),
        kernel,
    )
    return Answer(layer, [{"filter": number, "layer": layer, **explained}], [{"kernel": kernel}])


def choose_images(
    subject: Subject, classes: list[str] | None = None, indices: list[int] | None = None
) -> list[int]:
    """Indices of images to look at: those given, or one of each class that the model gets right.

    Args:
        subject: model and images.
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
        beyond = [index for index in indices if not 0 <= index < len(shown.images)]
        if beyond:
            raise SelectionError(
                f"Image {beyond[0]} is not there; images go from 0 to {len(shown.images) - 1}."
            )
        return indices
    if classes and subject.labels is None:
        raise SelectionError(
            f"The classes of these images are not known, so none is '{classes[0]}'; name images "
            "with --image."
        )
    if classes:
        return [_first_right(subject, name) for name in classes]
    found = [_right_images(subject, name)[:1] for name in _usual_classes(shown.class_names)]
    first_right = [int(index) for indices in found for index in indices]
    return first_right[:3] or list(range(min(3, len(shown.images))))


def maps_of(
    subject: Subject, chosen: list[int], filters: str | None = None, layer: str = "relu1"
) -> Answer:
    """Feature maps of some images.

    Args:
        subject: model and images.
        chosen: indices of images, from 0.
        filters: see `parse_filters`; where None, the first eight, or all where there are fewer.
        layer: name of a layer.

    Returns:
        Rows of `index`, `image`, `label`, `prediction`, `probability` and `filters`, a list of
        `filter`, `mean` and `max`.
    """
    from kerascnn.look.activations import feature_maps

    maps = feature_maps(subject.model, subject.batches(chosen), layer)
    if not np.isfinite(maps).all():
        raise ModelError(f"Layer '{layer}' gives numbers that are not finite.")
    numbers = parse_filters(filters or str(min(8, maps.shape[-1])), maps.shape[-1])
    indices = _check_filters(numbers, maps.shape[-1])
    rows, drawing = [], []
    for place, index in enumerate(chosen):
        shown = maps[place][..., indices].transpose(2, 0, 1)
        row = _image_row(subject, index)
        values = [
            {"filter": number, "mean": float(each.mean()), "max": float(each.max())}
            for number, each in zip(numbers, shown, strict=True)
        ]
        rows.append({**row, "filters": values})
        drawing.append(
            {
                "image": _to_color(subject.shown.images[index]),
                "caption": _caption(row),
                "maps": shown,
                "filters": numbers,
            }
        )
    return Answer(layer, rows, drawing)


def predict_files(subject: Subject) -> Answer:
    """Class probabilities of pictures.

    Returns:
        Rows of `image`, `prediction` and `probabilities` (class name to fraction, highest first).
    """
    shown, probabilities = subject.shown, subject.probabilities
    if probabilities is None:
        shape = tuple(subject.model.outputs[0].shape)
        raise ModelError(
            f"{subject.name} gives outputs of shape {shape}; expected a number for each class, "
            "(num_images, num_classes)."
        )
    rows = []
    for name, values in zip(shown.names, probabilities, strict=True):
        order = np.argsort(-values, kind="stable")
        ranked = {subject.class_names[index]: float(values[index]) for index in order}
        rows.append({"image": name, "prediction": next(iter(ranked)), "probabilities": ranked})
    drawing = {
        "images": _to_color(shown.images),
        "names": shown.names,
        "probabilities": probabilities,
    }
    return Answer("", rows, [drawing])


def parse_filters(text: str, count: int) -> list[int]:
    """Numbers of filters, from 1, out of `8` (the first eight), `all`, or a list such as `1,8,16`.

    Raises:
        SelectionError: if the text is none of these.
    """
    if text == "all":
        return list(range(1, count + 1))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise SelectionError(
            f"'{text}' is not a number of filters, `all`, or a list such as 1,8,16."
        )
    numbers = [int(part) for part in parts]
    if len(numbers) > 1 or text.endswith(","):
        return numbers
    if not 1 <= numbers[0] <= count:
        raise SelectionError(f"{numbers[0]} filters cannot be shown; the layer has {count}.")
    return list(range(1, numbers[0] + 1))


def _check_filters(numbers: list[int], count: int) -> list[int]:
    for number in numbers:
        if not 1 <= number <= count:
            raise SelectionError(
                f"There is no filter {number}; the layer has filters 1 to {count}."
            )
    return [number - 1 for number in numbers]


def _kernel(survey: Survey, index: int) -> np.ndarray | None:
    return None if survey.kernels is None else survey.kernels[..., index]


def _to_color(images: np.ndarray) -> np.ndarray:
    """Images of one channel as gray ones of three, as figures need them."""
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _top_rows(subject: Subject, chosen: np.ndarray, values: np.ndarray) -> list[dict]:
    rows = []
    for rank, (index, value) in enumerate(zip(chosen, values, strict=True), start=1):
        row = _image_row(subject, int(index))
        row.pop("probability")
        rows.append({"rank": rank, **row, "activation": float(value)})
    return rows


def _image_row(subject: Subject, index: int) -> dict[str, object]:
    shown, probabilities = subject.shown, subject.probabilities
    label = None if shown.labels is None else shown.class_names[shown.labels[index]]
    row = {"index": index, "image": shown.names[index], "label": label}
    if probabilities is None:
        return row | {"prediction": None, "probability": None}
    prediction = int(probabilities[index].argmax())
    probability = float(probabilities[index, prediction])
    return row | {"prediction": subject.class_names[prediction], "probability": probability}


def _caption(row: dict) -> str:
    title = row["label"] or row["image"]
    if row["prediction"] is None:
        return title
    return f"{title}, called {row['prediction']} {row['probability']:.0%}"


def _usual_classes(class_names: tuple[str, ...]) -> list[str]:
    return sorted(class_names, key=lambda name: name not in STUDY_CLASSES)


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
    if subject.labels is None or subject.predictions is None:
        return np.array([], "int64")
    label = subject.all_class_names.index(name)
    return np.flatnonzero((subject.labels == label) & (subject.predictions == label))
