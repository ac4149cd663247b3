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
    "train_loss": "The training loss of {} is {}.",
    "accuracy": "The test accuracy of {} is {}.",
}
# Losses are nearly equal where they differ by less than this share of the larger.
NEARLY = 0.1
# Losses are far apart from this difference on: the study's are 0.43, and 0.001 where nearly equal.
APART = 0.2
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
    known = [trend for trend in trends if trend]
    falls = all(
        run.history["loss"][-1] < run.history["loss"][run.metrics["best_epoch"] - 1]
        for run in runs
        if run.metrics["best_epoch"] < len(run.history["loss"])
    )
    ends = ", ".join(
        f"seed {run.seed} {run.metrics['best_val_loss']:.3f} (epoch {run.metrics['best_epoch']}), "
        f"then {run.history['val_loss'][-1]:.3f}"
        for run in runs
    )
    if not falls:
        return Finding(FAILS, f"training loss does not fall after the best epoch; {ends}")
    if not known:
        late = all(_unfinished_at(run) for run in runs)
        return Finding(
            FAILS if late else UNTOLD, f"too few epochs follow the lowest validation losses; {ends}"
        )
    slope, margin = metrics.mean_trend(known)
    verdict = HOLDS if slope > margin else FAILS if slope < -margin else UNTOLD
    if verdict == HOLDS and len(known) < len(runs):
        verdict = UNTOLD
    return Finding(
        verdict,
        f"after its lowest stretch validation loss changes by {1000 * slope:+.1f} thousandths an "
        f"epoch, give or take {1000 * margin:.1f} (95 %), while training loss falls; {ends}",
    )


def _unfinished_at(run: Result) -> bool:
    epochs = len(run.history["val_loss"])
    return run.metrics["best_epoch"] > epochs - metrics.last_epochs(epochs)


def _gap(run: Result) -> float:
    """By how much validation loss ends above training loss."""
    return run.history["val_loss"][-1] - run.history["loss"][-1]


def _ends_apart(run: Result) -> tuple[bool, str]:
    best = run.metrics["best_epoch"] - 1
    at_best = run.history["val_loss"][best] - run.history["loss"][best]
    why = (
        f"validation loss is {_gap(run):.3f} above training loss at the end, {at_best:.3f} at best"
    )
    return _gap(run) > APART, why


def _suppresses(evidence: Evidence) -> Finding:
    gaps = [[_gap(run) for run in evidence.runs(recipe)] for recipe in (FIRST, AUGMENTED)]
    before, after = (", ".join(f"{gap:+.3f}" for gap in each) for each in gaps)
    text = f"validation loss ends {before} above training loss without augmentation, {after} with"
    if max(gaps[1]) < NEARLY * min(gaps[0]):
        return Finding(HOLDS, text)
    return Finding(FAILS if min(gaps[1]) > max(gaps[0]) else UNTOLD, text)


def _ends_equal(run: Result) -> tuple[bool, str]:
    loss, val_loss = run.history["loss"][-1], run.history["val_loss"][-1]
    apart = abs(loss - val_loss) / max(loss, val_loss)
    why = f"training loss {loss:.3f}, validation loss {val_loss:.3f}, {percent(apart, 0)} apart"
    return apart < NEARLY, why


def _unfinished(evidence: Evidence) -> Finding:
    runs = evidence.runs(AUGMENTED)
    histories = [run.history["val_loss"] for run in runs]
    trends = [metrics.trend(history[-len(history) // 3 :]) for history in histories]
    if None in trends:
        return Finding(UNTOLD, "there are too few epochs")
    slope, margin = metrics.mean_trend(trends)
    verdict = HOLDS if slope < -margin else FAILS if slope > margin else UNTOLD
    best = ", ".join(str(run.metrics["best_epoch"]) for run in runs)
    return Finding(
        verdict,
        f"over the last third validation loss changes by {1000 * slope:+.1f} thousandths an epoch, "
        f"give or take {1000 * margin:.1f} (95 %); best epoch {best} of {len(histories[0])}",
    )


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
    if not any(names):
        return Finding(FAILS, said)
    if set(names) == {"airplane"} and len(names) >= 3:
        return Finding(HOLDS, said)
    return Finding(UNCHECKABLE, f"which class it is, may be up to the seed: here {said}")


def _passes_earlier_best(evidence: Evidence) -> Finding:
    reported, earlier = 28, evidence.mean(AUGMENTED, "best_val_loss")
    spread = evidence.spread("best_val_loss")
    histories = [run.history["val_loss"] for run in evidence.runs(LONGER)]
    passed = [_first_below(history, earlier) for history in histories]
    said = f"validation loss passes {earlier:.3f} at epoch {', '.join(map(_epoch, passed))}"
    measured = None if math.inf in passed else float(np.mean(passed))
    if spread is None:
        return Finding(UNTOLD, f"{said}; {numbers.UNKNOWN_SPREAD}", reported, measured)
    margin = spread.margin(len(evidence.runs(AUGMENTED)))
    soonest = min(_first_below(history, earlier + margin) for history in histories)
    latest = max(_first_below(history, earlier - margin) for history in histories)
    reach = f"from {_epoch(soonest)} to {_epoch(latest)}"
    text = f"{said}; with a second run's best off by {margin:.3f} by chance, it would be {reach}"
    if not soonest <= reported <= latest:
        return Finding(FAILS, text, reported, measured)
    return Finding(HOLDS if latest - soonest <= 10 else UNTOLD, text, reported, measured)


def _epoch(epoch: float) -> str:
    return "never" if epoch == math.inf else f"{epoch:.0f}"


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
    if not evidence.results:
        return Finding(UNCHECKABLE, "there is no finished run")
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
        "The first run's learning rate; the second run differs from it by augmentation alone.",
        f"0.02: {BEFORE}, first paragraph; 0.01: Task 1, and for the second run {AFTER}, first "
        "paragraph",
        _said(
            CONTRADICTED,
            "the first run has two rates, the second 0.01; the readings every-block and rate-0.02 "
            "try both",
        ),
    ),
    Claim(
        "setting/no-early-overfitting",
        "Up to its best epoch, the sixth, the first run shows no sign of overfitting.",
        f"{BEFORE}, first and second paragraph",
        _said(
            CONTRADICTED,
            "there its losses are given as 0.678 and 0.250, a gap that the study calls "
            "significant; or the training loss is of another epoch",
        ),
    ),
    Claim(
        "setting/network-looked-into",
        "Task 2 looks into the trained network of Task 1.",
        "Task 2, Feature Maps",
        _said(UNCHECKABLE, "which of five it is, is not said; the Adam run at 0.001 is taken here"),
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
            f"{FIRST}/gap",
            "Its training and validation losses are far apart.",
            f"{BEFORE}, second paragraph",
            _each(FIRST, _ends_apart),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/strongest",
            "Its strongest classes are ship, truck and frog.",
            f"{BEFORE}, third paragraph",
            numbers.strongest(FIRST, ("ship", "truck", "frog")),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/weakest",
            "Its weakest classes are bird, dog and cat.",
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
            f"{AUGMENTED}/suppresses-overfitting",
            "Augmentation suppresses overfitting.",
            f"{AFTER}, second paragraph",
            _suppresses,
            (FIRST, AUGMENTED),
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
            _unfinished,
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
            "Its strongest classes are frog, truck and automobile.",
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
            "Its weakest classes are cat, dog and deer.",
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
            f"{LONGER}/cat-by-regularization",
            "It is the stronger regularization that helped cat to 64 %.",
            f"{AFTER_FIGURE.format('third')}; {BEFORE}, third paragraph",
            _said(CONTRADICTED, "with less of it, in the first run, cat is given 68 %"),
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
            "The network takes birds and airplanes for each other, more than pairs on average.",
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
        "One filter's best activation stands far above the others' (in the study, 10.905 against "
        "2.870 and 2.204 of two more).",
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
        _said(
            UNCHECKABLE,
            "filters of another seed are others; in the study those of filter 8 are from 1.881 to "
            "2.870, those of filter 1 from 1.936 to 2.204",
        ),
    ),
    Claim(
        "layer/figure",
        "The images of filter 1 are in Figure 2.5.",
        "Task 2, second paragraph on filter 1; caption of Figure 2.4",
        _said(CONTRADICTED, "by the captions they are in Figure 2.4; Figure 2.5 is of filter 8"),
    ),
]
