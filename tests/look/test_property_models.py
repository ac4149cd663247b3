"""Models of any shape against a recount: their layers called one by one, and sums in float64."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from keras import layers
from made.models import RECIPES, SHAPE, make

from kerascnn.look.activations import feature_maps, filter_scores
from kerascnn.look.scores import SCORES
from kerascnn.model.activation import final_activation
from kerascnn.model.graph import describe_layers
from kerascnn.model.taps import find_tap

IMAGES = np.random.default_rng(0).random((3, *SHAPE), "float32")
KINDS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D, layers.Conv2DTranspose)


def check(recipe, places):
    made = make(recipe, IMAGES)
    listed = [name for name, _ in describe_layers(made.model)]
    assert {use.name for use in made.uses} <= set(listed)
    assert len(set(listed)) == len(listed)
    for place in places:
        _check_numbers(made.model, made.uses[place % len(made.uses)], recipe.policy)
    _check_taps(made, recipe.blocks[0])
    outputs = [final_activation(made.model, output) for output in made.model.outputs]
    assert outputs == made.final_activations


def _check_numbers(model, use, policy):
    # What is fused may be rounded less often.
    rounded = {"float32": 1e-5, "mixed_float16": 5e-3}.get(policy, 4e-2)
    size = np.abs(use.values).max() + 1e-3
    maps = feature_maps(model, IMAGES, use.name)
    np.testing.assert_allclose(maps, use.values, atol=rounded * size)
    (answers,) = filter_scores(model, IMAGES, use.name, SCORES)
    expected = {
        "mean": maps.astype("float64").mean((1, 2)),
        "max": maps.astype("float64").max((1, 2)),
        "l2": np.sqrt((maps.astype("float64") ** 2).sum((1, 2))),
    }
    exact = 1e-5 if policy == "float32" or keras.backend.backend() == "torch" else rounded
    for name, answer in zip(SCORES, answers, strict=True):
        assert answer.dtype == np.float32
        scale = size * np.sqrt(maps[0, ..., 0].size) if name == "l2" else size
        np.testing.assert_allclose(answer, expected[name], rtol=exact, atol=exact * scale)


def _check_taps(made, block):
    names = [use.name for use in made.uses]
    first = next(place for place, use in enumerate(made.uses) if isinstance(use.call, KINDS))
    assert find_tap(made.model, "conv") == names[first]
    if block.normalized:
        assert find_tap(made.model, "bn") == names[first + 1]
    if block.activated_by == "argument":
        assert find_tap(made.model, "relu") == names[first]
    elif block.activated_by != "nothing":
        assert find_tap(made.model, "relu") == names[first + 1 + block.normalized]


TWO_PLACES = st.lists(st.integers(0, 99), min_size=2, max_size=2)


# Without a search for a smaller example, which takes minutes.
@given(RECIPES, TWO_PLACES)
@settings(deadline=None, max_examples=15, derandomize=True, phases=[Phase.generate])
def test_numbers_taps_and_activations_of_a_few_models_are_those_of_a_recount(recipe, places):
    check(recipe, places)


@pytest.mark.slow
@given(RECIPES, st.lists(st.integers(0, 99), min_size=4, max_size=4))
@settings(
    deadline=None,
    max_examples=150,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_numbers_taps_and_activations_of_many_models_are_those_of_a_recount(recipe, places):
    check(recipe, places)
