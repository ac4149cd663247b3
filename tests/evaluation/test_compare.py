"""Two runs on the same images, worked out by hand."""

import numpy as np
import pytest
from made.records import make_classes, make_evaluation

from kerascnn.errors import RunError
from kerascnn.evaluation.compare import compare
from kerascnn.recipe import load_recipe
from kerascnn.run.find import create_run

# Ten cats, four dogs and no frog.
LABELS = np.array([0] * 10 + [1] * 4)
NAMES = ["cat", "dog", "frog"]


def make_run(predictions, labels=LABELS, names=NAMES):
    run = create_run(load_recipe("adam-lr0.001"))
    predictions = np.array(predictions)
    run.write_predictions(
        probabilities=np.eye(3)[predictions], predictions=predictions, labels=labels
    )
    run.write_metrics(make_evaluation(classes=make_classes([None] * len(names), names)))
    return run


@pytest.fixture
def comparison():
    # Cats: A has none right, B has all. Dogs: A has the first two, B the last three.
    a = make_run([1] * 10 + [1, 1, 0, 0])
    b = make_run([0] * 10 + [0, 1, 1, 1])
    return a.name, b.name, compare(a, b)


def test_both_runs_are_named(comparison):
    name_a, name_b, found = comparison
    assert (found["a"], found["b"]) == (name_a, name_b)


def test_overall_counts_every_image_and_is_not_adjusted(comparison):
    overall = comparison[2]["overall"]
    assert (overall["a"], overall["b"]) == (2 / 14, 13 / 14)
    assert overall["difference"] == 11 / 14
    assert (overall["only_a"], overall["only_b"]) == (1, 12)
    assert overall["p_value"] == pytest.approx(2 * (1 + 13) / 2**13)
    assert overall["exceeds_chance"] is True


def test_each_class_is_judged_on_its_own_images_adjusted_for_their_number(comparison):
    cat, dog, _ = comparison[2]["per_class"]
    assert (cat["name"], cat["a"], cat["b"], cat["difference"]) == ("cat", 0.0, 1.0, 1.0)
    assert cat["p_value"] == pytest.approx(3 * 2 / 2**10)  # Holm: the smallest of three
    assert cat["exceeds_chance"] is True
    assert (dog["a"], dog["b"], dog["only_a"], dog["only_b"]) == (0.5, 0.75, 1, 2)
    assert (dog["p_value"], dog["exceeds_chance"]) == (1.0, False)


def test_class_without_images_has_no_accuracies(comparison):
    assert comparison[2]["per_class"][2] == {
        "name": "frog",
        "a": None,
        "b": None,
        "difference": None,
        "only_a": 0,
        "only_b": 0,
        "p_value": 1.0,
        "exceeds_chance": False,
    }


def test_adjustment_may_take_a_class_below_chance():
    # 6 of 6: p = 2 / 2⁶ = 0.03, but 0.09 as the smallest of three.
    found = compare(make_run([1] * 6 + [0] * 4 + [1] * 4), make_run([0] * 10 + [1] * 4))
    assert found["overall"]["exceeds_chance"] is True
    assert found["per_class"][0]["p_value"] == pytest.approx(3 / 32)
    assert found["per_class"][0]["exceeds_chance"] is False


@pytest.mark.parametrize(
    "other",
    [
        {"labels": LABELS[::-1]},
        {"labels": LABELS[:5], "predictions": [0] * 5},
        {"names": ["cat", "dog", "ship"]},
    ],
)
def test_runs_on_other_images_cannot_be_compared(other):
    one = make_run([0] * 14)
    with pytest.raises(RunError, match="not evaluated on the same test images; compare two runs"):
        compare(one, make_run(**({"predictions": [0] * 14} | other)))


def test_run_that_was_not_evaluated_is_named():
    one, other = make_run([0] * 14), create_run(load_recipe("adam-lr0.001"))
    with pytest.raises(RunError, match=f"'{other.name}' was not evaluated yet"):
        compare(one, other)
