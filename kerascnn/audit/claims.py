"""The study's statements: each a text in our words, its place, the runs it needs, and a check.

The numbers that the recipes hold as reported become claims by themselves.
"""

from __future__ import annotations

import math

import numpy as np

import kerascnn.audit.layers as layers
import kerascnn.audit.numbers as numbers
from kerascnn import metrics
from kerascnn.audit.evidence import Evidence
from kerascnn.audit.finding import (
    CONTRADICTED,
    FAILS,
    HOLDS,
    UNCHECKABLE,
    UNTOLD,
    Claim,
    Finding,
    percent,
    unanimous,
)
from kerascnn.recipe import load_recipe
from kerascnn.results import Result

FIRST, AUGMENTED, LONGER = "sgd-lr0.01", "sgd-lr0.01-augmented", "sgd-lr0.1-augmented"
COLLAPSING, ADAM = "adam-lr0.1", "adam-lr0.001"
TITLES = {
    FIRST: "the first run (SGD 0.01, not augmented)",
    AUGMENTED: "the second run (SGD 0.01, augmented)",
    LONGER: "the third run (SGD 0.1, augmented, 50 epochs)",
    COLLAPSING: "the run with Adam at 0.1",
    ADAM: "the run with Adam at 0.001",
}
QUANTITIES = {
    "best_val_loss": "The best validation loss of {} is {}.",
    "best_epoch": "The best epoch of {} is epoch {}.",
    "train_loss": "The training loss of {} is {} at the end.",
    "accuracy": "The test accuracy of {} is {}.",
}
# Losses are nearly equal where they differ by less than this share of the larger.
NEARLY = 0.1
# Two accuracies given in whole percents match where they are within one.
MATCHING = 0.01
# A network that has learned nothing gives each of ten classes a tenth.
CHANCE_LOSS = math.log(10)

BEFORE, AFTER = "Before Augmentations", "After Augmentations"
AFTER_FIGURE = "After Augmentations, {} paragraph after Figure 1.4"
ADDING = "Adding Adam Optimizer"


def all_claims() -> list[Claim]:
    """All statements, in the order of the study."""
    runs = [claim for recipe in TITLES for claim in (*_numbers(recipe), *_STATEMENTS[recipe])]
    return [*_SETTING, *runs, *_LAYER]


def _numbers(recipe: str) -> list[Claim]:
    """What a recipe holds as reported."""
    reported = load_recipe(recipe).reported
    claims = []
    for quantity, text in QUANTITIES.items():
        if figure := getattr(reported, quantity):
            make = numbers.best_epoch if quantity == "best_epoch" else numbers.number
            claims.append(
                Claim(
                    f"{recipe}/{quantity}",
                    text.format(TITLES[recipe], _exactly(quantity, figure.value)),
                    figure.where,
                    make(recipe, *(() if quantity == "best_epoch" else (quantity,)), figure.value),
                    (recipe,),
                    of_epoch=quantity != "best_epoch",
                )
            )
    for name, figure in reported.per_class.items():
        if 0 < figure.value < 1:  # a collapsed network's are a statement of their own
            text = f"{name.capitalize()} has test accuracy {percent(figure.value, 0)} in {{}}."
            claims.append(
                Claim(
                    f"{recipe}/{name}",
                    text.format(TITLES[recipe]),
                    figure.where,
                    numbers.number(recipe, f"class {name}", figure.value),
                    (recipe,),
                )
            )
    return claims


def _exactly(quantity: str, value: float) -> str:
    return percent(value, 0) if quantity == "accuracy" else f"{value:g}"


def _each(recipe: str, answer) -> object:
    """A check that asks each run of a recipe; `answer` gives yes or no, and the reason."""

    def check(evidence: Evidence) -> Finding:
        return unanimous(
            [
                (yes, f"seed {run.seed}: {why}")
                for run in evidence.runs(recipe)
                for yes, why in [answer(run)]
            ]
        )

    return check


def _said(verdict: str, why: str):
    """A check that needs no run."""
    return lambda evidence: Finding(verdict, why)


def _turns_up(evidence: Evidence) -> Finding:
    runs = evidence.runs(FIRST)
    trends = [metrics.trend_after_lowest(run.history["val_loss"]) for run in runs]
    falls = all(
        run.history["loss"][-1] < run.history["loss"][run.metrics["best_epoch"] - 1] for run in runs
    )
    if None in trends or not falls:
        return Finding(
            FAILS, "validation loss is lowest at the end, or training loss does not fall"
        )
    slope = math.fsum(trend[0] for trend in trends) / len(runs)
    margin = 1.96 * math.sqrt(math.fsum(trend[1] ** 2 for trend in trends)) / len(runs)
    verdict = HOLDS if slope > margin else FAILS if slope < -margin else UNTOLD
    ends = ", ".join(
        f"seed {run.seed} {run.metrics['best_val_loss']:.3f} (epoch {run.metrics['best_epoch']}), "
        f"then {run.history['val_loss'][-1]:.3f}"
        for run in runs
    )
    return Finding(
        verdict,
        f"after its lowest stretch validation loss changes by {1000 * slope:+.1f} thousandths an "
        f"epoch, give or take {1000 * margin:.1f} (95 %), while training loss falls; {ends}",
    )


def _ends_equal(run: Result) -> tuple[bool, str]:
    loss, val_loss = run.history["loss"][-1], run.history["val_loss"][-1]
    apart = abs(loss - val_loss) / max(loss, val_loss)
    why = f"training loss {loss:.3f}, validation loss {val_loss:.3f}, {percent(apart, 0)} apart"
    return apart < NEARLY, why


def _unfinished(run: Result) -> tuple[bool, str]:
    val_loss = run.history["val_loss"]
    best = metrics.best_epoch(val_loss)
    last = metrics.last_epochs(len(val_loss))
    return best > len(val_loss) - last, f"best epoch {best} of {len(val_loss)}"


def _learns_nothing(run: Result) -> tuple[bool, str]:
    lowest, accuracy = min(run.history["val_loss"]), run.metrics["test"]["accuracy"]
    why = (
        f"lowest validation loss {lowest:.3f} in {len(run.history['loss'])} epochs (guessing: "
        f"{CHANCE_LOSS:.3f}), test accuracy {percent(accuracy)}"
    )
    return lowest > 0.99 * CHANCE_LOSS and run.has_collapsed, why


def _collapsed_name(run: Result) -> str | None:
    label = metrics.collapsed_class(np.array(run.metrics["test"]["confusion"]))
    return None if label is None else run.metrics["test"]["per_class"][label]["name"]


def _calls_all_one(run: Result) -> tuple[bool, str]:
    name = _collapsed_name(run)
    return name is not None, f"everything is called {name}" if name else "several classes are named"


def _calls_all_airplane(evidence: Evidence) -> Finding:
    names = [_collapsed_name(run) for run in evidence.runs(COLLAPSING)]
    said = ", ".join(
        f"{name or 'no single class'} with seed {run.seed}"
        for name, run in zip(names, evidence.runs(COLLAPSING), strict=True)
    )
    if set(names) == {"airplane"}:
        return Finding(HOLDS, said)
    return Finding(UNCHECKABLE, f"which class it is, is up to the seed: here {said}")


def _passes_earlier_best(evidence: Evidence) -> Finding:
    reported, earlier = 28, evidence.mean(AUGMENTED, "best_val_loss")
    spread = evidence.spread("best_val_loss")
    margin = spread.margin(len(evidence.runs(AUGMENTED))) if spread else 0.0
    histories = [run.history["val_loss"] for run in evidence.runs(LONGER)]
    passed = [_first_below(history, earlier) for history in histories]
    soonest = min(_first_below(history, earlier + margin) for history in histories)
    latest = max(_first_below(history, earlier - margin) for history in histories)
    said = ", ".join("never" if epoch == math.inf else str(epoch) for epoch in passed)
    end = "never" if latest == math.inf else latest
    text = (
        f"validation loss passes {earlier:.3f} at epoch {said}; that loss is sure to {margin:.3f}, "
        f"so from {soonest} to {end}"
    )
    measured = None if math.inf in passed else float(np.mean(passed))
    if not soonest <= reported <= latest:
        return Finding(FAILS, text, reported, measured)
    return Finding(HOLDS if latest - soonest <= 10 else UNTOLD, text, reported, measured)


def _first_below(losses: list[float], bound: float) -> float:
    return next((epoch for epoch, loss in enumerate(losses, 1) if loss < bound), math.inf)


def _confused(recipe: str, one: str, other: str, most: int | None = None):
    """A check that two classes are among the most confused pairs, or confused above average."""

    def answer(run: Result) -> tuple[bool, str]:
        names = list(run.class_accuracies())
        confusion = np.array(run.metrics["test"]["confusion"])
        pairs = (confusion + confusion.T)[np.triu_indices(len(names), 1)]
        count = (confusion + confusion.T)[names.index(one), names.index(other)]
        rank = int((pairs > count).sum()) + 1
        why = f"{count} images, pair {rank} of {len(pairs)}; {pairs.mean():.0f} on average"
        return rank <= most if most else bool(count > pairs.mean()), why

    return _each(recipe, answer)


def _test_split(evidence: Evidence) -> Finding:
    test = next(iter(evidence.results.values()))[0].metrics["test"]
    counts = {row["count"] for row in test["per_class"]}
    verdict = HOLDS if test["num_images"] == 10_000 and counts == {1000} else FAILS
    said = " or ".join(str(count) for count in sorted(counts))
    return Finding(verdict, f"{test['num_images']:,} test images, {said} of each class")


_SETTING = [
    Claim(
        "setting/test-images",
        "There are 10,000 test images, 1,000 of each of ten classes.",
        "Task 1; Adding Adam Optimizer",
        _test_split,
        (ADAM,),
    ),
    Claim(
        "setting/pooling",
        "Downsampling is by a single max pooling layer.",
        "Task 1, third paragraph",
        _said(
            UNCHECKABLE,
            "one layer may be applied once or after each block; the readings pool-after-1, "
            "pool-after-3 and every-block try all three",
        ),
    ),
    Claim(
        "setting/rate",
        "The first run's learning rate.",
        f"0.02: {BEFORE}, first paragraph; 0.01: Task 1, and {AFTER}, first paragraph",
        _said(
            CONTRADICTED, "one run has two rates; the readings every-block and rate-0.02 try both"
        ),
    ),
    Claim(
        "setting/identical",
        "The second run differs from the first by its augmentation alone.",
        f"{AFTER}, first paragraph; {BEFORE}, first paragraph",
        _said(CONTRADICTED, "its rate is given as 0.01, that of the first run as 0.02"),
    ),
    Claim(
        "setting/kept-hyperparameters",
        "With Adam, all other hyperparameters are those of the third run.",
        f"{ADDING}, first paragraph",
        _said(
            UNCHECKABLE,
            "dropout 0.35 and 50 epochs are taken from it; no figure tells whether it was so",
        ),
    ),
]

_STATEMENTS = {
    FIRST: [
        Claim(
            f"{FIRST}/overfitting",
            "Without augmentation validation loss turns up after its best epoch while training "
            "loss goes on falling.",
            f"{BEFORE}, second paragraph",
            _turns_up,
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/strongest",
            "Its strongest classes are ship, truck and frog, in this order.",
            f"{BEFORE}, third paragraph",
            numbers.strongest(FIRST, ("ship", "truck", "frog")),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/weakest",
            "Its weakest classes are bird, dog and cat, in this order.",
            f"{BEFORE}, third paragraph",
            numbers.weakest(FIRST, ("bird", "dog", "cat")),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/cat-dog",
            "Cat and dog are taken for each other more than other classes are.",
            f"{BEFORE}, third paragraph",
            _confused(FIRST, "cat", "dog", most=1),
            (FIRST,),
        ),
    ],
    AUGMENTED: [
        Claim(
            f"{AUGMENTED}/equal-losses",
            "With augmentation training and validation loss end nearly equal.",
            f"{AFTER}, second paragraph",
            _each(AUGMENTED, _ends_equal),
            (AUGMENTED,),
        ),
        Claim(
            f"{AUGMENTED}/gain",
            "Augmentation gains 4 points of test accuracy.",
            f"{AFTER}, second paragraph",
            numbers.gain(FIRST, AUGMENTED, 0.04),
            (FIRST, AUGMENTED),
        ),
        Claim(
            f"{AUGMENTED}/unfinished",
            "After 25 epochs the augmented network has not converged yet.",
            AFTER_FIGURE.format("first"),
            _each(AUGMENTED, _unfinished),
            (AUGMENTED,),
        ),
    ],
    LONGER: [
        Claim(
            f"{LONGER}/passes-at-28",
            "The longer run passes the second run's best validation loss at epoch 28.",
            AFTER_FIGURE.format("second"),
            _passes_earlier_best,
            (AUGMENTED, LONGER),
        ),
        Claim(
            f"{LONGER}/gain",
            "The longer run gains 3 more points.",
            AFTER_FIGURE.format("second"),
            numbers.gain(AUGMENTED, LONGER, 0.03),
            (AUGMENTED, LONGER),
        ),
        Claim(
            f"{LONGER}/gain-in-all",
            "From the first run to the longer one it is 7 points.",
            AFTER_FIGURE.format("second"),
            numbers.gain(FIRST, LONGER, 0.07),
            (FIRST, LONGER),
        ),
        Claim(
            f"{LONGER}/strongest",
            "Its strongest classes are frog, truck and automobile, in this order.",
            AFTER_FIGURE.format("third"),
            numbers.strongest(LONGER, ("frog", "truck", "automobile")),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/frog-first",
            "Frog takes the top place.",
            AFTER_FIGURE.format("third"),
            numbers.strongest(LONGER, ("frog",)),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/weakest",
            "Its weakest classes are cat, dog and deer, in this order.",
            AFTER_FIGURE.format("third"),
            numbers.weakest(LONGER, ("cat", "dog", "deer")),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/weakest-as-before",
            "Its weakest classes are those of the runs before.",
            f"{AFTER_FIGURE.format('third')}; {BEFORE}, third paragraph",
            _said(
                CONTRADICTED,
                "here cat, dog and deer, with cat the weakest; in the first run bird, dog and cat, "
                "with bird the weakest",
            ),
        ),
        Claim(
            f"{LONGER}/cat-rises",
            "Cat rises by 12 points, from 52 to 64 %, between the second run and the third.",
            AFTER_FIGURE.format("third"),
            numbers.class_gain(AUGMENTED, LONGER, "cat", 0.12),
            (AUGMENTED, LONGER),
        ),
        Claim(
            f"{LONGER}/cause",
            "The larger rate, more dropout and more epochs are what made it better.",
            f"Task 1; {AFTER_FIGURE.format('first and third')}",
            _said(
                UNCHECKABLE,
                "the three were changed at once, so these runs cannot tell them apart",
            ),
        ),
    ],
    COLLAPSING: [
        Claim(
            f"{COLLAPSING}/learns-nothing",
            "Adam at 0.1 learns nothing in 50 epochs.",
            f"{ADDING}, first paragraph after Figure 1.7",
            _each(COLLAPSING, _learns_nothing),
            (COLLAPSING,),
        ),
        Claim(
            f"{COLLAPSING}/one-class",
            "It calls every image the same class.",
            f"{ADDING}, paragraph after Figure 1.8",
            _each(COLLAPSING, _calls_all_one),
            (COLLAPSING,),
        ),
        Claim(
            f"{COLLAPSING}/which-class",
            "That class is airplane.",
            f"{ADDING}, paragraphs around Figure 1.8",
            _calls_all_airplane,
            (COLLAPSING,),
        ),
    ],
    ADAM: [
        Claim(
            f"{ADAM}/matches-sgd",
            "Adam at 0.001 matches the best run with SGD.",
            f"{ADDING}, paragraph after Figure 1.9",
            numbers.equal(LONGER, ADAM, MATCHING),
            (LONGER, ADAM),
        ),
        Claim(
            f"{ADAM}/bird-airplane",
            "The network takes birds and airplanes for each other, more than other pairs.",
            "Task 2, last paragraph",
            _confused(ADAM, "bird", "airplane"),
            (ADAM,),
        ),
    ],
}

_LAYER = [
    Claim(
        "layer/airplanes-on-blue",
        "There is a filter whose five best images are mostly airplanes, all on blue (the study's "
        "filters 8 and 16).",
        "Task 2, Figures 2.5 and 2.6",
        layers.airplanes_on_blue(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/background-not-class",
        "Such a filter follows the blue of the background, not the class.",
        "Task 2, paragraph on filter 8",
        layers.background_not_class(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/one-far-above",
        "One filter's best activation stands far above the others' (in the study filter 16's, "
        "10.905).",
        "Task 2, paragraph on filter 16",
        layers.one_far_above(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/airplanes-and-birds",
        "There is a filter whose five best images are airplanes and birds, darker than their "
        "bright background (the study's filter 1).",
        "Task 2, paragraphs on filter 1",
        layers.airplanes_and_birds(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/maps-differ",
        "An automobile, a frog and a ship are classified rightly, and the layer answers them "
        "differently.",
        "Task 2, Figures 2.1 to 2.3",
        layers.maps_differ(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/answers-by-class",
        "The layer answers images of one class more alike than those of two (automobile, frog, "
        "ship).",
        "Task 2, last paragraph on feature maps",
        layers.profiles_tell_classes(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/parts",
        "Single filters show wheels, a torso, legs, a hull, a bow; edges for the ship, texture for "
        "the frog.",
        "Task 2, Feature Maps",
        _said(
            UNCHECKABLE,
            "the three images are not named, and filters of another seed are others",
        ),
    ),
    Claim(
        "layer/values",
        "The best activations of filters 1, 8 and 16 are from 1.936 to 2.204, from 1.881 to 2.870, "
        "and up to 10.905.",
        "Task 2, Maximally Activating Images",
        layers.values(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/notably-higher",
        "Filter 8's activations are notably higher than filter 1's.",
        "Task 2, paragraph on filter 8; paragraph on filter 1",
        _said(CONTRADICTED, "they begin at 1.881, those of filter 1 at 1.936"),
    ),
    Claim(
        "layer/figure",
        "The images of filter 1 are in Figure 2.5.",
        "Task 2, second paragraph on filter 1; caption of Figure 2.4",
        _said(CONTRADICTED, "by the captions they are in Figure 2.4; Figure 2.5 is of filter 8"),
    ),
]
