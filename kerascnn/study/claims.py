"""The study's statements: each a text in our words, its place, the runs it needs, and a check.

The numbers that the recipes hold as reported become claims by themselves.
"""

from __future__ import annotations

import kerascnn.study.check_curves as curves
import kerascnn.study.check_layers as layers
import kerascnn.study.check_numbers as numbers
import kerascnn.study.check_predictions as predictions
from kerascnn.recipe import load_recipe
from kerascnn.study.evidence import Check
from kerascnn.study.finding import CONTRADICTED, UNCHECKABLE, Claim, Finding, percent

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
# The epochs in which the study sees no overfitting: until its best, the sixth.
EARLY = 6
# Two accuracies given in whole percents match where they are within one.
MATCHING = 0.01

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


def _said(verdict: str, why: str) -> Check:
    """A check that needs no run."""
    return lambda evidence: Finding(verdict, why)


_SETTING = [
    Claim(
        "setting/test-images",
        "There are 10,000 test images, 1,000 of each of ten classes.",
        "Task 1; Adding Adam Optimizer",
        predictions.counts_of_test_split,
    ),
    Claim(
        "setting/pooling",
        "Downsampling is by a single max pooling layer.",
        "Task 1, third paragraph",
        _said(
            UNCHECKABLE,
            "one layer may be applied once or after each block; the readings pool-after-1, "
            "pool-after-3 and every-block stand for all three",
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
            "stand for both",
        ),
    ),
    Claim(
        "setting/slow",
        "At a rate of 0.01 the first run converges slowly.",
        f"Task 1; {BEFORE}, second paragraph",
        _said(
            UNCHECKABLE,
            "slowly against what is not said; its best epoch is given as the sixth of 25",
        ),
    ),
    Claim(
        "setting/losses-of-one-epoch",
        "Beside the first run's best validation loss, 0.678, stands a training loss of 0.250.",
        f"{BEFORE}, second paragraph",
        _said(
            UNCHECKABLE,
            "whether it is of that epoch, too, is not said (in the second run it is of the last); "
            "the recipes take the last, the reading train-at-best that one",
        ),
    ),
    Claim(
        "setting/one-after-another",
        "Epochs were doubled once rate and regularization had been adjusted against overfitting.",
        f"Task 1, on epochs; {AFTER_FIGURE.format('first')}",
        _said(
            CONTRADICTED,
            "the other paragraph has epochs, rate and dropout changed at the same time, and "
            "overfitting suppressed by augmentation before",
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
            f"{FIRST}/no-early-overfitting",
            "At first both losses of the first run fall, with no sign of overfitting.",
            f"{BEFORE}, first paragraph",
            curves.improves_at_first(FIRST, EARLY),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/overfitting",
            "Without augmentation validation loss turns up after its best epoch while training "
            "loss goes on falling.",
            f"{BEFORE}, second paragraph",
            curves.turns_up(FIRST),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/gap",
            "Training and validation loss of the first run are far apart.",
            f"{BEFORE}, second paragraph",
            curves.ends_apart(FIRST),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/strongest",
            "The strongest classes of the first run are ship, truck and frog.",
            f"{BEFORE}, third paragraph",
            numbers.strongest(FIRST, ("ship", "truck", "frog")),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/weakest",
            "The weakest classes of the first run are bird, dog and cat.",
            f"{BEFORE}, third paragraph",
            numbers.weakest(FIRST, ("bird", "dog", "cat")),
            (FIRST,),
        ),
        Claim(
            f"{FIRST}/cat-dog",
            "In the first run cat and dog are taken for each other more than other classes are.",
            f"{BEFORE}, third paragraph",
            predictions.confused(FIRST, "cat", "dog", most=1),
            (FIRST,),
        ),
    ],
    AUGMENTED: [
        Claim(
            f"{AUGMENTED}/equal-losses",
            "With augmentation training and validation loss end nearly equal (0.599 and 0.598).",
            f"{AFTER}, second paragraph",
            numbers.number(AUGMENTED, "gap", -0.001),
            (AUGMENTED,),
        ),
        Claim(
            f"{AUGMENTED}/suppresses-overfitting",
            "Augmentation suppresses overfitting.",
            f"{AFTER}, second paragraph",
            curves.suppresses(FIRST, AUGMENTED),
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
            curves.unfinished(AUGMENTED),
            (AUGMENTED,),
        ),
    ],
    LONGER: [
        Claim(
            f"{LONGER}/passes-at-28",
            "The third run passes the second run's best validation loss at epoch 28.",
            AFTER_FIGURE.format("second"),
            curves.passes_earlier_best(AUGMENTED, LONGER, 28),
            (AUGMENTED, LONGER),
        ),
        Claim(
            f"{LONGER}/goes-on",
            "The third run goes on to improve after epoch 28: more than 25 epochs were needed.",
            AFTER_FIGURE.format("second"),
            curves.goes_on_after(LONGER, 28),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/gain",
            "The third run gains 3 more points.",
            AFTER_FIGURE.format("second"),
            numbers.gain(AUGMENTED, LONGER, 0.03),
            (AUGMENTED, LONGER),
        ),
        Claim(
            f"{LONGER}/gain-in-all",
            "From the first run to the third it is 7 points.",
            AFTER_FIGURE.format("second"),
            numbers.gain(FIRST, LONGER, 0.07),
            (FIRST, LONGER),
        ),
        Claim(
            f"{LONGER}/strongest",
            "The strongest classes of the third run are frog, truck and automobile.",
            AFTER_FIGURE.format("third"),
            numbers.strongest(LONGER, ("frog", "truck", "automobile")),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/frog-first",
            "In the third run frog takes the top place.",
            AFTER_FIGURE.format("third"),
            numbers.strongest(LONGER, ("frog",)),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/weakest",
            "The weakest classes of the third run are cat, dog and deer.",
            AFTER_FIGURE.format("third"),
            numbers.weakest(LONGER, ("cat", "dog", "deer")),
            (LONGER,),
        ),
        Claim(
            f"{LONGER}/weakest-as-before",
            "The weakest classes of the third run are those of the runs before.",
            f"{AFTER_FIGURE.format('third')}; {BEFORE}, third paragraph",
            _said(
                CONTRADICTED,
                "in the third run they are cat, dog and deer, with cat the weakest; in the first "
                "bird, dog and cat, with bird the weakest",
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
            "In the third run stronger regularization and more epochs helped with cat.",
            AFTER_FIGURE.format("third"),
            _said(
                UNCHECKABLE,
                "the rate was changed, too; with less regularization and fewer epochs the first "
                "run is given 68 % for cat, more than the 64 % of the third",
            ),
        ),
        Claim(
            f"{LONGER}/cause",
            "The larger rate, more dropout and more epochs are what made the third run better.",
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
            curves.learns_nothing(COLLAPSING),
            (COLLAPSING,),
        ),
        Claim(
            f"{COLLAPSING}/one-class",
            "Adam at 0.1 calls every image the same class.",
            f"{ADDING}, paragraph after Figure 1.8",
            predictions.calls_all_one(COLLAPSING),
            (COLLAPSING,),
        ),
        Claim(
            f"{COLLAPSING}/which-class",
            "The class that Adam at 0.1 calls every image is airplane.",
            f"{ADDING}, paragraphs around Figure 1.8",
            predictions.calls_all(COLLAPSING, "airplane"),
            (COLLAPSING,),
        ),
    ],
    ADAM: [
        Claim(
            f"{ADAM}/steady",
            "Adam at 0.001 learns steadily, without collapsing.",
            f"{ADDING}, paragraph after Figure 1.9",
            curves.learns_steadily(ADAM),
            (ADAM,),
        ),
        Claim(
            f"{ADAM}/matches-sgd",
            "Adam at 0.001 matches the best run with SGD.",
            f"{ADDING}, paragraph after Figure 1.9",
            numbers.equal(LONGER, ADAM, MATCHING),
            (LONGER, ADAM),
        ),
        Claim(
            f"{ADAM}/bird-airplane",
            "Adam at 0.001 takes birds and airplanes for each other, more than pairs on average.",
            "Task 2, last paragraph",
            predictions.confused(ADAM, "bird", "airplane"),
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
        "A filter of airplanes on blue follows the blue of the background, not the class.",
        "Task 2, paragraph on filter 8",
        layers.background_not_class(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/dark-on-blue",
        "The images of a filter of airplanes on blue show something darker than the background.",
        "Task 2, paragraphs on filters 8 and 16",
        layers.dark_on_blue(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/airplanes-on-blue-learned",
        "That there is a filter of airplanes on blue is what the layer has learned.",
        "Task 2, paragraphs on filters 8 and 16",
        layers.learned_airplanes_on_blue(ADAM),
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
        "layer/highest-on-blue",
        "The filter that stands highest is one of airplanes on blue (filter 16).",
        "Task 2, paragraph on filter 16",
        layers.highest_on_blue(ADAM),
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
        "layer/airplanes-and-birds-learned",
        "That there is a filter of airplanes and birds is what the layer has learned.",
        "Task 2, paragraphs on filter 1",
        layers.learned_airplanes_and_birds(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/maps-differ",
        "An automobile, a frog and a ship, of which the first and the last are said to be "
        "classified rightly, are answered differently.",
        "Task 2, Figures 2.1 to 2.3",
        layers.tells_classes(ADAM),
        (ADAM,),
    ),
    Claim(
        "layer/adapts",
        "The layer has adapted its filters to what marks each class.",
        "Task 2, last paragraph on feature maps",
        layers.learned_classes(ADAM),
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
            CONTRADICTED,
            "the five of filter 8 are given from 1.881 to 2.870, those of filter 1 from 1.936 to "
            "2.204: the highest is higher, the lowest is lower",
        ),
    ),
    Claim(
        "layer/figure",
        "The images of filter 1 are in Figure 2.5.",
        "Task 2, second paragraph on filter 1; caption of Figure 2.4",
        _said(CONTRADICTED, "by the captions they are in Figure 2.4; Figure 2.5 is of filter 8"),
    ),
]
