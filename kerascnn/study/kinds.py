"""How each kind of claim is decided, and what the numbers are that it sets side by side.

A new kind is a function in a file `check_*.py` and its name in `CHECKS`. The function takes the
evidence and the names of the recipes; what follows the star are further keys of a claim of this
kind, and their types.
"""

from collections.abc import Callable

import kerascnn.study.check_curves as curves
import kerascnn.study.check_layers as layers
import kerascnn.study.check_numbers as numbers
import kerascnn.study.check_predictions as predictions
import kerascnn.study.check_words as words
from kerascnn.records.quantity import BEST_EPOCH
from kerascnn.study.finding import Finding

CHECKS: dict[str, Callable[..., Finding]] = {
    check.__name__: check
    for check in (
        words.not_checkable,
        words.contradicted,
        numbers.number,
        numbers.best_epoch,
        numbers.gain,
        numbers.class_gain,
        numbers.equal,
        numbers.strongest,
        numbers.weakest,
        curves.improves_at_first,
        curves.turns_up,
        curves.ends_apart,
        curves.suppresses,
        curves.unfinished,
        curves.goes_on_after,
        curves.passes_earlier_best,
        curves.learns_nothing,
        curves.learns_steadily,
        predictions.counts_of_test_split,
        predictions.confused,
        predictions.calls_all_one,
        predictions.calls_all,
        layers.airplanes_on_blue,
        layers.airplanes_and_birds,
        layers.learned_airplanes_on_blue,
        layers.learned_airplanes_and_birds,
        layers.dark_on_blue,
        layers.highest_on_blue,
        layers.background_not_class,
        layers.one_far_above,
        layers.tells_classes,
        layers.learned_classes,
        layers.best_activations,
    )
}
# Of the kinds that compare numbers of one quantity; a claim of kind `number` says its own.
QUANTITIES = {
    "best_epoch": BEST_EPOCH,
    "gain": numbers.GAIN,
    "class_gain": numbers.GAIN,
    "equal": numbers.GAIN,
    "passes_earlier_best": curves.PASSING,
}
