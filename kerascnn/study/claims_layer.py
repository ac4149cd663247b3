"""The study's statements about the first layer of its network (its Task 2)."""

from __future__ import annotations

import kerascnn.study.check_layers as layers
from kerascnn.records.study import Verdict
from kerascnn.study.claim import ADAM, Claim, said

OF_LAYER = [
    Claim(
        "layer/airplanes-on-blue",
        "There is a filter whose five best images are mostly airplanes, all on blue (the study's "
        "filters 8 and 16).",
        "Task 2, Figures 2.5 and 2.6",
        layers.airplanes_on_blue(ADAM),
    ),
    Claim(
        "layer/background-not-class",
        "A filter of airplanes on blue follows the blue of the background, not the class.",
        "Task 2, paragraph on filter 8",
        layers.background_not_class(ADAM),
    ),
    Claim(
        "layer/dark-on-blue",
        "The images of a filter of airplanes on blue show something darker than the background.",
        "Task 2, paragraphs on filters 8 and 16",
        layers.dark_on_blue(ADAM),
    ),
    Claim(
        "layer/airplanes-on-blue-learned",
        "That there is a filter of airplanes on blue is what the layer has learned.",
        "Task 2, paragraphs on filters 8 and 16",
        layers.learned_airplanes_on_blue(ADAM),
    ),
    Claim(
        "layer/one-far-above",
        "One filter's best activation stands far above the others' (in the study, 10.905 against "
        "2.870 and 2.204 of two more).",
        "Task 2, paragraph on filter 16",
        layers.one_far_above(ADAM),
    ),
    Claim(
        "layer/highest-on-blue",
        "The filter that stands highest is one of airplanes on blue (filter 16).",
        "Task 2, paragraph on filter 16",
        layers.highest_on_blue(ADAM),
    ),
    Claim(
        "layer/airplanes-and-birds",
        "There is a filter whose five best images are airplanes and birds, darker than their "
        "bright background (the study's filter 1).",
        "Task 2, paragraphs on filter 1",
        layers.airplanes_and_birds(ADAM),
    ),
    Claim(
        "layer/airplanes-and-birds-learned",
        "That there is a filter of airplanes and birds is what the layer has learned.",
        "Task 2, paragraphs on filter 1",
        layers.learned_airplanes_and_birds(ADAM),
    ),
    Claim(
        "layer/maps-differ",
        "An automobile, a frog and a ship, of which the first and the last are said to be "
        "classified rightly, are answered differently.",
        "Task 2, Figures 2.1 to 2.3",
        layers.tells_classes(ADAM),
    ),
    Claim(
        "layer/adapts",
        "The layer has adapted its filters to what marks each class.",
        "Task 2, last paragraph on feature maps",
        layers.learned_classes(ADAM),
    ),
    Claim(
        "layer/parts",
        "Single filters show wheels, a torso, legs, a hull, a bow; edges for the ship, texture for "
        "the frog.",
        "Task 2, Feature Maps",
        said(
            Verdict.UNCHECKABLE,
            "The three images are not named, and another seed gives other filters.",
        ),
    ),
    Claim(
        "layer/values",
        "The best activations of filters 1, 8 and 16 are from 1.936 to 2.204, from 1.881 to 2.870, "
        "and up to 10.905.",
        "Task 2, Maximally Activating Images",
        layers.values(ADAM),
    ),
    Claim(
        "layer/notably-higher",
        "Filter 8's activations are notably higher than filter 1's.",
        "Task 2, paragraph on filter 8; paragraph on filter 1",
        said(
            Verdict.CONTRADICTED,
            "The five of filter 8 are from 1.881 to 2.870, those of filter 1 from 1.936 to 2.204: "
            "the highest is higher, but the lowest is lower.",
        ),
    ),
    Claim(
        "layer/figure",
        "The images of filter 1 are in Figure 2.5.",
        "Task 2, second paragraph on filter 1; caption of Figure 2.4",
        said(
            Verdict.CONTRADICTED,
            "By the captions they are in Figure 2.4, and Figure 2.5 is of filter 8.",
        ),
    ),
]
