"""What each command says of models of any shape, against a recount in float64."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from made.models import RECIPES, SHAPE, make
from PIL import Image
from scipy.stats import spearmanr

from kerascnn.look import all_filters, choose_images, describe_maps, explain, predict_files
from kerascnn.look import top_images as rank
from kerascnn.look.subject import ModelUse, Subject

NUM_IMAGES = 24
PIXELS = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *SHAPE), "uint8")
ROUNDED = {"float32": 1e-4, "mixed_float16": 2e-2}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A directory with the pictures in two classes."""
    directory = tmp_path_factory.mktemp("commands")
    for number, pixels in enumerate(PIXELS):
        file = directory / "pictures" / "ab"[number % 2] / f"{number // 2:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return directory


# In the order in which a folder of classes is shown.
ORDER = [*range(0, NUM_IMAGES, 2), *range(1, NUM_IMAGES, 2)]


def check(place, recipe, number):
    made = make(recipe, PIXELS[ORDER].astype("float32") / 255)
    made.model.save(place / "model.keras")
    use = made.uses[number % len(made.uses)]
    use_of_model = ModelUse(value_range=(0.0, 1.0), output_name=made.model.output_names[0])
    subject = Subject(None, place / "model.keras", (str(place / "pictures"),), use=use_of_model)
    size = np.abs(use.values).max() + 1e-3
    near = {"atol": ROUNDED.get(recipe.policy, 8e-2) * size, "rtol": 0}
    _check_rankings(subject, use, near)
    _check_filters(subject, use, near)
    _check_maps(subject, use, near)
    _check_explanation(subject, use, recipe.policy)
    _check_predictions(subject, made, recipe)


def _check_rankings(subject, use, near):
    means = use.values.mean((1, 2))
    (found,) = rank(subject, [1], 5, "mean", use.name)
    indices = [image.index for image in found.record.top]
    values = [image.activation for image in found.record.top]
    np.testing.assert_allclose(values, np.sort(means[:, 0])[::-1][:5], **near)
    np.testing.assert_allclose(values, means[indices, 0], **near)
    np.testing.assert_array_equal(found.images, PIXELS[ORDER][indices])
    assert [image.label for image in found.record.top] == ["ab"[i // 12] for i in indices]


def _check_filters(subject, use, near):
    rows = all_filters(subject, use.name)
    np.testing.assert_allclose(
        [row.record.mean for row in rows], use.values.mean((0, 1, 2)), **near
    )
    # What rounding leaves above zero is not counted on.
    surely = (use.values > near["atol"]).any((1, 2)).mean(0)
    perhaps = (use.values > -near["atol"]).any((1, 2)).mean(0)
    shares = np.array([row.record.active_share for row in rows])
    assert ((surely - 1e-9 <= shares) & (shares <= perhaps + 1e-9)).all()


def _check_maps(subject, use, near):
    chosen = choose_images(subject, None, [0, 13])
    maps = subject.maps(chosen, use.name)
    numbers = list(range(1, maps.shape[-1] + 1))
    np.testing.assert_allclose(maps, use.values[[0, 13]], **near)
    for found, values in zip(
        describe_maps(subject, chosen, maps, numbers), use.values[[0, 13]], strict=True
    ):
        means = [each.mean for each in found.record.filters]
        np.testing.assert_allclose(means, values.mean((0, 1)), **near)


def _check_explanation(subject, use, policy):
    record = explain(subject, 1, use.name).record
    scores = use.values[..., 0].mean((1, 2))
    if policy != "float32" or np.ptp(scores) < 1e-3:
        return
    brightness = PIXELS[ORDER].astype("float64") @ [0.299, 0.587, 0.114]
    rho = spearmanr(scores, brightness.mean((1, 2))).statistic
    assert record.correlations["brightness of the image"] == pytest.approx(rho, abs=0.02)


def _check_predictions(subject, made, recipe):
    head, model = recipe.heads[0], made.model
    outputs = keras.tree.flatten(model.predict(PIXELS[ORDER].astype("float32") / 255, verbose=0))
    values = np.asarray(outputs[0], "float64")
    if head.activation == "linear":
        values = np.exp(values - values.max(1, keepdims=True))
        values /= values.sum(1, keepdims=True)
    for found, row in zip(predict_files(subject), values, strict=True):
        shown = [found.record.probabilities[name] for name in subject.class_names]
        np.testing.assert_allclose(shown, row, atol=1e-5 if recipe.policy == "float32" else 2e-2)
        if head.activation == "sigmoid":
            assert found.record.prediction is None
        else:
            most = found.record.probabilities[found.record.prediction]
            assert most == max(found.record.probabilities.values())


@given(RECIPES, st.integers(0, 99))
@settings(
    deadline=None,
    max_examples=6,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_what_commands_say_of_a_few_models_is_a_recount(place, recipe, number):
    check(place, recipe, number)


@pytest.mark.slow
@given(RECIPES, st.integers(0, 99))
@settings(
    deadline=None,
    max_examples=100,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_what_commands_say_of_many_models_is_a_recount(place, recipe, number):
    check(place, recipe, number)
