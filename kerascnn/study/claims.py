"""All statements of the study: each a text in our words, its place, and a check.

The numbers that the recipes hold as reported become claims by themselves.

    claim             what a claim is
    claims_training   the statements about the runs
    claims_layer      the statements about the first layer
"""

from __future__ import annotations

import kerascnn.study.check_numbers as numbers
from kerascnn.recipe import load_recipe
from kerascnn.records.quantity import (
    ACCURACY,
    BEST_EPOCH,
    BEST_VAL_LOSS,
    TRAIN_LOSS,
    Quantity,
    Unit,
    class_accuracy,
    percent,
)
from kerascnn.study.claim import ADAM, AUGMENTED, COLLAPSING, FIRST, LONGER, Claim
from kerascnn.study.claims_layer import OF_LAYER
from kerascnn.study.claims_training import OF_RUNS, SETTING
from kerascnn.study.evidence import Check

TITLES = {
    FIRST: "the first run (SGD 0.01, not augmented)",
    AUGMENTED: "the second run (SGD 0.01, augmented)",
    LONGER: "the third run (SGD 0.1, augmented, 50 epochs)",
    COLLAPSING: "the run with Adam at 0.1",
    ADAM: "the run with Adam at 0.001",
}
TEXTS = {
    BEST_VAL_LOSS: "The best validation loss of {} is {}.",
    BEST_EPOCH: "The best epoch of {} is epoch {}.",
    TRAIN_LOSS: "The training loss of {} is {}.",
    ACCURACY: "The test accuracy of {} is {}.",
}


def all_claims() -> list[Claim]:
    """All statements, in the order of the study."""
    runs = [claim for recipe in TITLES for claim in (*_numbers(recipe), *OF_RUNS[recipe])]
    return [*SETTING, *runs, *OF_LAYER]


def _numbers(recipe: str) -> list[Claim]:
    """What a recipe holds as reported."""
    reported = load_recipe(recipe).reported
    claims = []
    for quantity, text in TEXTS.items():
        if figure := getattr(reported, quantity.name):
            text = text.format(TITLES[recipe], _exactly(quantity, figure.value))
            check = _check(recipe, quantity, figure.value)
            claims.append(Claim(f"{recipe}/{quantity.name}", text, figure.where, check))
    for name, figure in reported.per_class.items():
        if 0 < figure.value < 1:  # a collapsed network's are a statement of their own
            share = percent(figure.value, 0)
            text = f"{name.capitalize()} has test accuracy {share} in {TITLES[recipe]}."
            check = _check(recipe, class_accuracy(name), figure.value)
            claims.append(Claim(f"{recipe}/{name}", text, figure.where, check))
    return claims


def _check(recipe: str, quantity: Quantity, reported: float) -> Check:
    if quantity == BEST_EPOCH:
        return numbers.best_epoch(recipe, reported)
    return numbers.number(recipe, quantity, reported)


def _exactly(quantity: Quantity, value: float) -> str:
    return percent(value, 0) if quantity.unit is Unit.SHARE else f"{value:g}"
