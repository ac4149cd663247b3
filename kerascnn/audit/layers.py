"""Checks of claims about the first layer.

Filters of two seeds cannot be compared by their number, so each is one about the layer as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from kerascnn import filters
from kerascnn.audit.evidence import Evidence, Layer
from kerascnn.audit.finding import UNCHECKABLE, UNTOLD, Finding, percent, unanimous
from kerascnn.audit.numbers import SURE
from kerascnn.results import Result

Check = Callable[[Evidence], Finding]
Answer = tuple[bool | None, str]
BLUE = "blueness in the border"
TOP = 5
THREE = ("automobile", "frog", "ship")
# "Mostly": the study's two filters have four of five.
MOSTLY = 4
# On blue: bluer in the border than nine of ten test images.
BLUER_THAN = 0.9
# A class, or being of one class, matters from this probability of superiority on.
SUPERIOR = 0.6
# "Far above": this many times as high as the next filter's.
FAR = 2.0
# In the study the highest of three filters is so many times as high as the next.
OF_THREE = 10.905 / 2.870


def airplanes_on_blue(recipe: str) -> Check:
    """Whether there is a filter whose five best images are mostly airplanes, all on blue."""

    def answer(layer: Layer) -> Answer:
        found = _filters_of_airplanes_on_blue(layer)
        if not found:
            counts = [_count(layer, index, ("airplane",)) for index in range(_num_filters(layer))]
            return False, f"at most {max(counts)} of five are airplanes, or not all on blue"
        return True, f"{_names(found)} of {_num_filters(layer)}"

    return _of_each(recipe, answer)


def background_not_class(recipe: str) -> Check:
    """Whether such a filter follows the blue, and not airplanes among images alike in it."""

    def answer(layer: Layer) -> Answer:
        found = _filters_of_airplanes_on_blue(layer)
        if not found:
            return None, "there is no such filter"
        explained = [_explain(layer, index) for index in found]
        answers = {row["answer"] for row in explained}
        holds = True if True in answers else None if None in answers else False
        return holds, "; ".join(row["text"] for row in explained)

    return _of_each(recipe, answer, unknown=UNCHECKABLE)


def one_far_above(recipe: str) -> Check:
    """Whether the highest mean activation of one filter is far above those of all others.

    The study compares three filters; how often three drawn at random lie as far apart stands in the
    evidence.
    """

    def answer(layer: Layer) -> Answer:
        highest = layer.scores.max(axis=0)
        order = np.argsort(-highest, kind="stable")
        first, second = (float(highest[index]) for index in order[:2])
        share = _share_of_threes(highest)
        why = (
            f"filter {order[0] + 1} reaches {first:.2f}, the next {second:.2f}, the median filter "
            f"{np.median(highest):.2f}; of three filters drawn at random one is as far above as in "
            f"the study in {percent(share, 0)} of cases"
        )
        if first >= FAR * second > 0:
            return True, why
        return (False if share < 1 - SURE else None), why

    return _of_each(recipe, answer)


def _share_of_threes(highest: np.ndarray) -> float:
    threes = np.array(list(combinations(highest, 3)))
    threes.sort(axis=1)
    return float((threes[:, 2] >= OF_THREE * np.maximum(threes[:, 1], 1e-12)).mean())


def airplanes_and_birds(recipe: str) -> Check:
    """Whether there is a filter of airplanes and birds that are darker than a bright background."""

    def answer(layer: Layer) -> Answer:
        of_classes = [
            index
            for index in range(_num_filters(layer))
            if _count(layer, index, ("airplane", "bird")) == TOP
            and 0 < _count(layer, index, ("bird",)) < TOP
        ]
        found = [index for index in of_classes if _is_dark_on_bright(layer, layer.top(index, TOP))]
        if found:
            return True, f"{_names(found)} of {_num_filters(layer)}"
        only = f"; of the two classes only: {_names(of_classes)}" if of_classes else ""
        return False, f"none of {_num_filters(layer)} filters{only}"

    return _of_each(recipe, answer)


def maps_differ(recipe: str) -> Check:
    """Whether an image of each class is right, and most filters answer the three differently."""

    def check(evidence: Evidence) -> Finding:
        answers = [_differ(run, layer) for run, layer in evidence.layers(recipe)]
        return unanimous(answers)

    return check


def _differ(run: Result, layer: Layer) -> Answer:
    predictions = run.run.read_predictions()["predictions"]
    labels = [layer.label(name) for name in THREE]
    right = [np.flatnonzero((layer.labels == label) & (predictions == label)) for label in labels]
    if not all(map(len, right)):
        return False, f"seed {run.seed}: not each class has an image that is right"
    images = [int(each[0]) for each in right]
    alive = layer.scores[:, np.ptp(layer.scores, axis=0) > 0]
    if not alive.shape[1]:
        return False, f"seed {run.seed}: no filter is alive"
    apart = np.ptp(alive[images], axis=0) / np.ptp(alive, axis=0)
    why = (
        f"test images {', '.join(map(str, images))} differ in {int((apart > 0).sum())} of "
        f"{len(apart)} live filters, by {percent(apart.mean(), 0)} of the range on average"
    )
    return bool((apart > 0).mean() > 0.5), f"seed {run.seed}: {why}"


def profiles_tell_classes(recipe: str) -> Check:
    """Whether two images of one class are answered more alike than images of two classes.

    How alike: the correlation of their mean activations over the filters, each standardized over
    all images, for pairs drawn at random.
    """

    def answer(layer: Layer) -> Answer:
        chosen = np.isin(
            layer.labels, [layer.label(name) for name in ("automobile", "frog", "ship")]
        )
        scores, labels = _standardized(layer.scores)[chosen], layer.labels[chosen]
        random = np.random.default_rng(0)
        pairs = random.integers(len(labels), size=(2, 20_000))
        pairs = pairs[:, pairs[0] != pairs[1]]
        alike = (_rows(scores[pairs[0]]) * _rows(scores[pairs[1]])).sum(axis=1)
        same = labels[pairs[0]] == labels[pairs[1]]
        superior = _probability_of_superiority(alike[same], alike[~same])
        why = (
            f"correlation {np.median(alike[same]):.2f} in the median within a class, "
            f"{np.median(alike[~same]):.2f} between; a pair of one class is the more alike one in "
            f"{percent(superior, 0)} of cases"
        )
        return superior >= SUPERIOR, why

    return _of_each(recipe, answer)


def values(recipe: str) -> Check:
    """What the best activations are here; those of another seed's filters are another matter."""

    def check(evidence: Evidence) -> Finding:
        said = []
        for run, layer in evidence.layers(recipe):
            highest = layer.scores.max(axis=0)
            low, middle, high = np.quantile(highest, (0, 0.5, 1))
            said.append(f"seed {run.seed}: from {low:.2f} to {high:.2f}, median {middle:.2f}")
        why = "filters of two seeds are not the same ones; the highest mean activations are, "
        return Finding(UNCHECKABLE, why + "; ".join(said))

    return check


def _of_each(recipe: str, answer: Callable[[Layer], Answer], unknown: str = UNTOLD) -> Check:
    def check(evidence: Evidence) -> Finding:
        asked = [(run, answer(layer)) for run, layer in evidence.layers(recipe)]
        return unanimous([(yes, f"seed {run.seed}: {why}") for run, (yes, why) in asked], unknown)

    return check


def _num_filters(layer: Layer) -> int:
    return layer.scores.shape[1]


def _names(found: list[int]) -> str:
    numbers = ", ".join(str(index + 1) for index in found)
    return f"filter{'s' if len(found) > 1 else ''} {numbers}"


def _count(layer: Layer, index: int, names: tuple[str, ...]) -> int:
    wanted = [layer.label(name) for name in names]
    return int(np.isin(layer.labels[layer.top(index, TOP)], wanted).sum())


def _filters_of_airplanes_on_blue(layer: Layer) -> list[int]:
    blue = np.quantile(layer.properties[BLUE], BLUER_THAN)
    return [
        index
        for index in range(_num_filters(layer))
        if _count(layer, index, ("airplane",)) >= MOSTLY
        and (layer.properties[BLUE][layer.top(index, TOP)] > blue).all()
    ]


def _explain(layer: Layer, index: int) -> dict[str, object]:
    scores = layer.scores[:, index]
    rho = filters.rank_correlations(scores, {BLUE: layer.properties[BLUE]})[BLUE]
    is_airplane = layer.labels == layer.label("airplane")
    given = filters.superiority(scores, is_airplane, layer.properties[BLUE])
    answer = None
    if rho < filters.FOLLOWS or given["low"] >= SUPERIOR:
        answer = False
    elif given["high"] < SUPERIOR:
        answer = True
    return {
        "answer": answer,
        "text": f"filter {index + 1}: {BLUE} rho {rho:.2f}; among images alike in it an airplane "
        f"scores higher in {percent(given['probability'], 0)} of cases (95 %: "
        f"{100 * given['low']:.0f} to {percent(given['high'], 0)}; 50 %: no matter)",
    }


def _is_dark_on_bright(layer: Layer, images: np.ndarray) -> bool:
    border = layer.properties["brightness in the border"]
    centre = layer.properties["brightness in the centre"]
    bright = border[images] > np.median(border)
    return bool((bright & (centre[images] < border[images])).all())


def _standardized(scores: np.ndarray) -> np.ndarray:
    alive = scores[:, np.ptp(scores, axis=0) > 0]
    return (alive - alive.mean(axis=0)) / alive.std(axis=0)


def _rows(scores: np.ndarray) -> np.ndarray:
    """Rows centred and of length 1, so that their products are correlations."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def _probability_of_superiority(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(one, other).statistic / (len(one) * len(other)))
