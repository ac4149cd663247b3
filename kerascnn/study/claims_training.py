"""The study's statements about its five runs (its Task 1), without the numbers of the recipes."""

from __future__ import annotations

import kerascnn.study.check_curves as curves
import kerascnn.study.check_numbers as numbers
import kerascnn.study.check_predictions as predictions
from kerascnn.records.quantity import GAP
from kerascnn.records.study import Verdict
from kerascnn.study.claim import ADAM, AUGMENTED, COLLAPSING, FIRST, LONGER, Claim, said

# The epochs in which the study sees no overfitting: until its best, the sixth.
EARLY = 6
# Two accuracies given in whole percents match where they are within one.
MATCHING = 0.01

BEFORE, AFTER = "Before Augmentations", "After Augmentations"
AFTER_FIGURE = "After Augmentations, {} paragraph after Figure 1.4"
ADDING = "Adding Adam Optimizer"

SETTING = [
    Claim(
        "setting/test-images",
        "There are 10,000 test images, 1,000 of each of ten classes.",
        "Task 1; Adding Adam Optimizer",
        predictions.counts_of_test_split(),
    ),
    Claim(
        "setting/pooling",
        "Downsampling is by a single max pooling layer.",
        "Task 1, third paragraph",
        said(
            Verdict.UNCHECKABLE,
            "One layer may be applied once or after each block. The readings pool-after-1, "
            "pool-after-3 and every-block stand for the three possibilities.",
        ),
    ),
    Claim(
        "setting/rate",
        "The first run's learning rate; the second run differs from it by augmentation alone.",
        f"0.02: {BEFORE}, first paragraph; 0.01: Task 1, and for the second run {AFTER}, first "
        "paragraph",
        said(
            Verdict.CONTRADICTED,
            "The first run has two rates, the second 0.01. The readings every-block and rate-0.02 "
            "stand for the two rates.",
        ),
    ),
    Claim(
        "setting/slow",
        "At a rate of 0.01 the first run converges slowly.",
        f"Task 1; {BEFORE}, second paragraph",
        said(
            Verdict.UNCHECKABLE,
            "The study does not say slower than what. Its best epoch is given as the sixth of 25.",
        ),
    ),
    Claim(
        "setting/losses-of-one-epoch",
        "Beside the first run's best validation loss, 0.678, stands a training loss of 0.250.",
        f"{BEFORE}, second paragraph",
        said(
            Verdict.UNCHECKABLE,
            "The study does not say whether it is of the best epoch, too; in the second run it is "
            "of the last. The recipes take the last epoch, and the reading train-at-best takes the "
            "best.",
        ),
    ),
    Claim(
        "setting/one-after-another",
        "Epochs were doubled once rate and regularization had been adjusted against overfitting.",
        f"Task 1, on epochs; {AFTER_FIGURE.format('first')}",
        said(
            Verdict.CONTRADICTED,
            "The other paragraph says that epochs, rate and dropout were changed at the same time, "
            "and that augmentation had suppressed overfitting before.",
        ),
    ),
    Claim(
        "setting/network-looked-into",
        "Task 2 looks into the trained network of Task 1.",
        "Task 2, Feature Maps",
        said(
            Verdict.UNCHECKABLE,
            "The study does not say which of the five it is. The Adam run at 0.001 is taken here.",
        ),
    ),
    Claim(
        "setting/kept-hyperparameters",
        "With Adam, all other hyperparameters are those of the third run.",
        f"{ADDING}, first paragraph",
        said(
            Verdict.UNCHECKABLE,
            "The recipe takes dropout 0.35 and 50 epochs from the third run. No figure tells "
            "whether it was so.",
        ),
    ),
]

# A recipe's name to what is said about its run.
OF_RUNS = {
    FIRST: [
        Claim(
            f"{FIRST}/no-early-overfitting",
            "At first both losses of the first run fall, with no sign of overfitting.",
            f"{BEFORE}, first paragraph",
            curves.improves_at_first(FIRST, EARLY),
        ),
        Claim(
            f"{FIRST}/overfitting",
            "Without augmentation validation loss turns up after its best epoch while training "
            "loss goes on falling.",
            f"{BEFORE}, second paragraph",
            curves.turns_up(FIRST),
        ),
        Claim(
            f"{FIRST}/gap",
            "Training and validation loss of the first run are far apart.",
            f"{BEFORE}, second paragraph",
            curves.ends_apart(FIRST),
        ),
        Claim(
            f"{FIRST}/strongest",
            "The strongest classes of the first run are ship, truck and frog.",
            f"{BEFORE}, third paragraph",
            numbers.strongest(FIRST, ("ship", "truck", "frog")),
        ),
        Claim(
            f"{FIRST}/weakest",
            "The weakest classes of the first run are bird, dog and cat.",
            f"{BEFORE}, third paragraph",
            numbers.weakest(FIRST, ("bird", "dog", "cat")),
        ),
        Claim(
            f"{FIRST}/cat-dog",
            "In the first run cat and dog are taken for each other more than other classes are.",
            f"{BEFORE}, third paragraph",
            predictions.confused(FIRST, "cat", "dog", most=1),
        ),
    ],
    AUGMENTED: [
        Claim(
            f"{AUGMENTED}/equal-losses",
            "With augmentation training and validation loss end nearly equal (0.599 and 0.598).",
            f"{AFTER}, second paragraph",
            numbers.number(AUGMENTED, GAP, -0.001),
        ),
        Claim(
            f"{AUGMENTED}/suppresses-overfitting",
            "Augmentation suppresses overfitting.",
            f"{AFTER}, second paragraph",
            curves.suppresses(FIRST, AUGMENTED),
        ),
        Claim(
            f"{AUGMENTED}/gain",
            "Augmentation gains 4 points of test accuracy.",
            f"{AFTER}, second paragraph",
            numbers.gain(FIRST, AUGMENTED, 0.04),
        ),
        Claim(
            f"{AUGMENTED}/unfinished",
            "After 25 epochs the augmented network has not converged yet.",
            AFTER_FIGURE.format("first"),
            curves.unfinished(AUGMENTED),
        ),
    ],
    LONGER: [
        Claim(
            f"{LONGER}/passes-at-28",
            "The third run passes the second run's best validation loss at epoch 28.",
            AFTER_FIGURE.format("second"),
            curves.passes_earlier_best(AUGMENTED, LONGER, 28),
        ),
        Claim(
            f"{LONGER}/goes-on",
            "The third run goes on to improve after epoch 28: more than 25 epochs were needed.",
            AFTER_FIGURE.format("second"),
            curves.goes_on_after(LONGER, 28),
        ),
        Claim(
            f"{LONGER}/gain",
            "The third run gains 3 more points.",
            AFTER_FIGURE.format("second"),
            numbers.gain(AUGMENTED, LONGER, 0.03),
        ),
        Claim(
            f"{LONGER}/gain-in-all",
            "From the first run to the third it is 7 points.",
            AFTER_FIGURE.format("second"),
            numbers.gain(FIRST, LONGER, 0.07),
        ),
        Claim(
            f"{LONGER}/strongest",
            "The strongest classes of the third run are frog, truck and automobile.",
            AFTER_FIGURE.format("third"),
            numbers.strongest(LONGER, ("frog", "truck", "automobile")),
        ),
        Claim(
            f"{LONGER}/frog-first",
            "In the third run frog takes the top place.",
            AFTER_FIGURE.format("third"),
            numbers.strongest(LONGER, ("frog",)),
        ),
        Claim(
            f"{LONGER}/weakest",
            "The weakest classes of the third run are cat, dog and deer.",
            AFTER_FIGURE.format("third"),
            numbers.weakest(LONGER, ("cat", "dog", "deer")),
        ),
        Claim(
            f"{LONGER}/weakest-as-before",
            "The weakest classes of the third run are those of the runs before.",
            f"{AFTER_FIGURE.format('third')}; {BEFORE}, third paragraph",
            said(
                Verdict.CONTRADICTED,
                "In the third run they are cat, dog and deer, with cat the weakest. In the first "
                "they are bird, dog and cat, with bird the weakest.",
            ),
        ),
        Claim(
            f"{LONGER}/cat-rises",
            "Cat rises by 12 points, from 52 to 64 %, between the second run and the third.",
            AFTER_FIGURE.format("third"),
            numbers.class_gain(AUGMENTED, LONGER, "cat", 0.12),
        ),
        Claim(
            f"{LONGER}/cat-by-regularization",
            "In the third run stronger regularization and more epochs helped with cat.",
            AFTER_FIGURE.format("third"),
            said(
                Verdict.UNCHECKABLE,
                "The rate was changed, too. With less regularization and fewer epochs the first "
                "run reaches 68 % for cat, more than the 64 % of the third.",
            ),
        ),
        Claim(
            f"{LONGER}/cause",
            "The larger rate, more dropout and more epochs are what made the third run better.",
            f"Task 1; {AFTER_FIGURE.format('first and third')}",
            said(
                Verdict.UNCHECKABLE,
                "The three were changed at once, so these runs cannot tell them apart.",
            ),
        ),
    ],
    COLLAPSING: [
        Claim(
            f"{COLLAPSING}/learns-nothing",
            "Adam at 0.1 learns nothing in 50 epochs.",
            f"{ADDING}, first paragraph after Figure 1.7",
            curves.learns_nothing(COLLAPSING),
        ),
        Claim(
            f"{COLLAPSING}/one-class",
            "Adam at 0.1 calls every image the same class.",
            f"{ADDING}, paragraph after Figure 1.8",
            predictions.calls_all_one(COLLAPSING),
        ),
        Claim(
            f"{COLLAPSING}/which-class",
            "The class that Adam at 0.1 calls every image is airplane.",
            f"{ADDING}, paragraphs around Figure 1.8",
            predictions.calls_all(COLLAPSING, "airplane"),
        ),
    ],
    ADAM: [
        Claim(
            f"{ADAM}/steady",
            "Adam at 0.001 learns steadily, without collapsing.",
            f"{ADDING}, paragraph after Figure 1.9",
            curves.learns_steadily(ADAM),
        ),
        Claim(
            f"{ADAM}/matches-sgd",
            "Adam at 0.001 matches the best run with SGD.",
            f"{ADDING}, paragraph after Figure 1.9",
            numbers.equal(LONGER, ADAM, MATCHING),
        ),
        Claim(
            f"{ADAM}/bird-airplane",
            "Adam at 0.001 takes birds and airplanes for each other, more than pairs on average.",
            "Task 2, last paragraph",
            predictions.confused(ADAM, "bird", "airplane"),
        ),
    ],
}
