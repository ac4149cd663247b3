"""Checks of claims about the first layer.

Filters of two seeds cannot be compared by their number, so each check asks about the whole layer.
What untrained layers answer stands beside it. Convolutions with random weights already tell images
apart (Saxe et al. 2011), and what they show, too, is not learned (Adebayo et al. 2018).
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import scipy

from kerascnn.look import explanation as filters
from kerascnn.records.quantity import percent
from kerascnn.records.study import Verdict
from kerascnn.show.words import counted
from kerascnn.study.check_numbers import SURE
from kerascnn.study.evidence import TOP, Evidence, Layer
from kerascnn.study.finding import Answer, Finding, unanimous
from kerascnn.study.results import Result

BLUE = "blueness in the border"
# "Mostly": the study's two filters have four of five.
MOSTLY = 4
# On blue: bluer in the border than nine of ten test images.
BLUER_THAN = 0.9
# A class, or being of one class, matters from this probability of superiority on.
SUPERIOR = 0.6
# "Far above": this many times as high as the next filter's.
FAR = 2.0
NUM_PAIRS = 20_000
NO_SUCH_FILTER = (None, "there is no such filter")


def airplanes_on_blue(evidence: Evidence, recipe: str) -> Finding:
    """Whether there is a filter whose five best images are mostly airplanes, all on blue."""
    return _ask_layers(evidence, recipe, _has_airplanes_on_blue)


def airplanes_and_birds(evidence: Evidence, recipe: str) -> Finding:
    """Whether there is a filter of airplanes and birds that are darker than a bright background."""
    return _ask_layers(evidence, recipe, _has_airplanes_and_birds)


def learned_airplanes_on_blue(evidence: Evidence, recipe: str) -> Finding:
    """Whether more trained layers than untrained ones have a filter of `airplanes_on_blue`."""
    return _learned_filter(evidence, recipe, _has_airplanes_on_blue)


def learned_airplanes_and_birds(evidence: Evidence, recipe: str) -> Finding:
    """Whether more trained layers than untrained ones have a filter of `airplanes_and_birds`."""
    return _learned_filter(evidence, recipe, _has_airplanes_and_birds)


def dark_on_blue(evidence: Evidence, recipe: str) -> Finding:
    """Whether a filter of `airplanes_on_blue` has images darker in the centre than in the border.

    That the border is bright, too, is not asked: a saturated blue is darker than most images.
    """

    def answer(layer: Layer) -> Answer:
        found = _filters_of_airplanes_on_blue(layer)
        if not found:
            return NO_SUCH_FILTER
        counts = [int(_are_darker_inside(layer, layer.top(index)).sum()) for index in found]
        best = found[int(np.argmax(counts))]
        why = (
            f"{max(counts)} of the five images of filter {best + 1} are darker in the centre than "
            "in the border"
        )
        return max(counts) == TOP, why

    return _ask_layers(evidence, recipe, answer, unknown=Verdict.UNCHECKABLE)


def highest_on_blue(evidence: Evidence, recipe: str) -> Finding:
    """Whether the filter of highest mean activation is one of `airplanes_on_blue`."""

    def answer(layer: Layer) -> Answer:
        highest = int(layer.scores.max(axis=0).argmax())
        found = _filters_of_airplanes_on_blue(layer)
        on_blue = _names(found) if found else "no filter"
        why = f"filter {highest + 1} stands highest; airplanes on blue excite {on_blue}"
        return highest in found, why

    return _ask_layers(evidence, recipe, answer)


def background_not_class(evidence: Evidence, recipe: str) -> Finding:
    """Whether such a filter follows the blue, and not airplanes among images alike in it."""

    def answer(layer: Layer) -> Answer:
        explained = [_explain(layer, index) for index in _filters_of_airplanes_on_blue(layer)]
        if not explained:
            return NO_SUCH_FILTER
        answers = {answer for answer, _ in explained}
        holds = next(each for each in (True, None, False) if each in answers)
        return holds, "; ".join(why for _, why in explained)

    return _ask_layers(evidence, recipe, answer, unknown=Verdict.UNCHECKABLE)


def one_far_above(evidence: Evidence, recipe: str, *, activations: tuple[float, float]) -> Finding:
    """Whether the highest mean activation of one filter is far above those of all others.

    The study compares three filters; `activations` are the two highest of them. The evidence says
    how often three filters drawn at random lie as far apart.
    """

    def answer(layer: Layer) -> Answer:
        highest = layer.scores.max(axis=0)
        order = np.argsort(-highest, kind="stable")
        first, second = (float(highest[index]) for index in order[:2])
        threes = np.sort(list(combinations(highest, 3)), axis=1)
        times = activations[0] / activations[1]
        share = float((threes[:, 2] >= times * np.maximum(threes[:, 1], 1e-12)).mean())
        why = (
            f"filter {order[0] + 1} reaches {first:.2f}, the next one {second:.2f}, and the median "
            f"filter {np.median(highest):.2f}; of three filters drawn at random, one stands as far "
            f"above the others as in the study in {percent(share, 0)} of cases"
        )
        if first >= FAR * second > 0:
            return True, why
        return (False if share < 1 - SURE else None), why

    return _ask_layers(evidence, recipe, answer)


def tells_classes(evidence: Evidence, recipe: str, *, classes: tuple[str, ...]) -> Finding:
    """Whether images of two classes are answered differently, all of them classified rightly.

    Differently: less alike than images of one class are, see `_likeness_of_classes`.
    """
    layers = evidence.layers(recipe)
    return unanimous({run.seed: _tell_classes(run, layer, classes) for run, layer in layers})


def learned_classes(evidence: Evidence, recipe: str, *, classes: tuple[str, ...]) -> Finding:
    """Whether trained layers answer classes more differently than untrained ones do."""

    def likeness(layer: Layer) -> float:
        return _likeness_of_classes(layer, classes, np.ones(len(layer.labels), bool))

    said = "Two images of one class are answered more alike than two of two classes"
    return _learned(evidence, recipe, likeness, said, _range_of)


def best_activations(evidence: Evidence, recipe: str) -> Finding:
    """What the best activations are here; no verdict, for another seed has other filters."""
    said = []
    for run, layer in evidence.layers(recipe):
        low, middle, high = np.quantile(layer.scores.max(axis=0), (0, 0.5, 1))
        said.append(
            f"Seed {run.seed}: the highest mean activations of the filters are from {low:.2f} to "
            f"{high:.2f}, and their median is {middle:.2f}."
        )
    why = f"Filters of two seeds are not the same ones. {' '.join(said)}"
    return Finding(Verdict.UNCHECKABLE, why)


def _ask_layers(
    evidence: Evidence,
    recipe: str,
    answer: Callable[[Layer], Answer],
    unknown: Verdict = Verdict.UNTOLD,
) -> Finding:
    """What each trained layer answers, and how many untrained ones answer yes."""
    layers = evidence.layers(recipe)
    found = unanimous({run.seed: answer(layer) for run, layer in layers}, unknown)
    untrained = [answer(layer)[0] for layer in evidence.untrained(recipe)]
    beside = f"It is so in {untrained.count(True)} of {len(untrained)} untrained layers."
    return replace(found, evidence=f"{found.evidence} {beside}")


def _learned_filter(evidence: Evidence, recipe: str, has: Callable[[Layer], Answer]) -> Finding:
    said = "Layers with such a filter"
    return _learned(evidence, recipe, lambda layer: has(layer)[0], said, _count_of)


def _learned(
    evidence: Evidence,
    recipe: str,
    measure: Callable[[Layer], float],
    what: str,
    summary: Callable[[list[float]], str],
) -> Finding:
    """Whether trained layers have more of something than untrained ones.

    By a permutation test of the difference of means (Fisher 1935), exact for few layers.
    """
    trained = [float(measure(layer)) for _, layer in evidence.layers(recipe)]
    untrained = [float(measure(layer)) for layer in evidence.untrained(recipe)]
    said = (
        f"{what}: {summary(trained)} (trained, {counted(len(trained), 'seed')}), "
        f"{summary(untrained)} (untrained, {counted(len(untrained), 'seed')})."
    )
    if len(trained) < 2:
        return Finding(Verdict.UNTOLD, f"{said} One seed cannot tell.")
    more, less = (_p_value(trained, untrained, side) for side in ("greater", "less"))
    verdict = Verdict.FAILS if less <= 1 - SURE else Verdict.UNTOLD
    if more <= 1 - SURE:
        verdict = Verdict.HOLDS
    text = f"{said} Permutation test: p = {more:.3f} for more by training, {less:.3f} for less."
    return Finding(verdict, text)


def _p_value(one: list[float], other: list[float], side: str) -> float:
    def difference(a, b, axis):
        return np.mean(a, axis=axis) - np.mean(b, axis=axis)

    found = scipy.stats.permutation_test(
        (one, other), difference, vectorized=True, alternative=side, random_state=0
    )
    return float(found.pvalue)


def _tell_classes(run: Result, layer: Layer, classes: tuple[str, ...]) -> Answer:
    right = run.run.read_predictions()["predictions"] == layer.labels
    counts = [int((right & layer.is_of(name)).sum()) for name in classes]
    if min(counts) < 2:
        return False, "not every class has two images that are classified rightly"
    if not np.ptp(layer.scores[right], axis=0).any():
        return False, "no filter is alive"
    likeness = _likeness_of_classes(layer, classes, right)
    said = ", ".join(f"{count} {name}s" for count, name in zip(counts, classes, strict=True))
    return likeness >= SUPERIOR, (
        f"of {said} that are classified rightly, two of one class are answered more alike than two "
        f"of two classes in {percent(likeness, 0)} of cases"
    )


def _likeness_of_classes(layer: Layer, classes: tuple[str, ...], chosen: np.ndarray) -> float:
    """How often two images of one class are answered more alike than two of different classes.

    How alike: the correlation of their mean activations over the filters, each standardized over
    all images, for pairs of chosen images drawn at random.
    """
    chosen = chosen & layer.is_of(*classes)
    scores, labels = _standardized(layer.scores)[chosen], layer.labels[chosen]
    pairs = np.random.default_rng(0).integers(len(labels), size=(2, NUM_PAIRS))
    pairs = pairs[:, pairs[0] != pairs[1]]
    alike = (_rows(scores[pairs[0]]) * _rows(scores[pairs[1]])).sum(axis=1)
    same = labels[pairs[0]] == labels[pairs[1]]
    return _probability_of_superiority(alike[same], alike[~same])


def _has_airplanes_on_blue(layer: Layer) -> Answer:
    found = _filters_of_airplanes_on_blue(layer)
    if found:
        return True, _which(found, layer)
    most = max(layer.count_top(index, "airplane") for index in layer.filters)
    return False, (
        f"no filter has {MOSTLY} airplanes among its five images and all five on blue; at most "
        f"{most} are airplanes"
    )


def _has_airplanes_and_birds(layer: Layer) -> Answer:
    of_classes = [
        index
        for index in layer.filters
        if layer.count_top(index, "airplane", "bird") == TOP
        and 0 < layer.count_top(index, "bird") < TOP
    ]
    found = [index for index in of_classes if _are_dark_on_bright(layer, layer.top(index))]
    if found:
        return True, _which(found, layer)
    only = f"; only the classes fit {_names(of_classes)}" if of_classes else ""
    return False, f"it is none of {len(layer.filters)} filters{only}"


def _count_of(answers: list[float]) -> str:
    return f"{sum(answers):.0f} of {len(answers)}"


def _range_of(shares: list[float]) -> str:
    return f"{100 * min(shares):.0f} to {percent(max(shares), 0)} of cases"


def _names(found: list[int]) -> str:
    numbers = ", ".join(str(index + 1) for index in found)
    return f"filter{'s' if len(found) > 1 else ''} {numbers}"


def _which(found: list[int], layer: Layer) -> str:
    return f"{'they are' if len(found) > 1 else 'it is'} {_names(found)} of {len(layer.filters)}"


def _filters_of_airplanes_on_blue(layer: Layer) -> list[int]:
    is_blue = layer.properties[BLUE] > np.quantile(layer.properties[BLUE], BLUER_THAN)
    return [
        index
        for index in layer.filters
        if layer.count_top(index, "airplane") >= MOSTLY and is_blue[layer.top(index)].all()
    ]


def _explain(layer: Layer, index: int) -> Answer:
    scores, blue = layer.scores[:, index], layer.properties[BLUE]
    rho = filters.rank_correlations(scores, {BLUE: blue})[BLUE]
    given = filters.superiority(scores, layer.is_of("airplane"), blue)
    answer = None
    if rho < filters.FOLLOWS or given.low >= SUPERIOR:
        answer = False
    elif given.high < SUPERIOR:
        answer = True
    return answer, (
        f"the rank correlation of filter {index + 1} with {BLUE} is {rho:.2f}; among equally blue "
        f"images, an airplane scores higher than another image {100 * given.probability:.0f} times "
        f"in 100 (95 %: {100 * given.low:.0f} to {100 * given.high:.0f}; by chance 50)"
    )


def _are_dark_on_bright(layer: Layer, images: np.ndarray) -> bool:
    border = layer.properties["brightness in the border"]
    is_bright = border[images] > np.median(border)
    return bool((is_bright & _are_darker_inside(layer, images)).all())


def _are_darker_inside(layer: Layer, images: np.ndarray) -> np.ndarray:
    centre, border = (layer.properties[f"brightness in the {it}"] for it in ("centre", "border"))
    return centre[images] < border[images]


def _standardized(scores: np.ndarray) -> np.ndarray:
    alive = scores[:, np.ptp(scores, axis=0) > 0]
    return (alive - alive.mean(axis=0)) / alive.std(axis=0)


def _rows(scores: np.ndarray) -> np.ndarray:
    """Rows centred and of length 1, so that their products are correlations."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)


def _probability_of_superiority(one: np.ndarray, other: np.ndarray) -> float:
    return float(scipy.stats.mannwhitneyu(one, other).statistic / (len(one) * len(other)))
