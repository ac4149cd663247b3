"""One seed is one experiment on every backend, and a run moves between them.

Each backend computes in a process of its own, see agree.py.
"""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from made import MADE

BACKENDS = ("torch", "jax", "tensorflow")
OTHERS = BACKENDS[1:]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.config.backend() != "torch", reason="all backends are asked at once"),
]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each backend that is installed computed."""
    directory, answers = tmp_path_factory.mktemp("agree"), {}
    for backend in BACKENDS:
        if not importlib.util.find_spec(backend):
            continue
        output = directory / f"{backend}.npz"
        done = subprocess.run(
            [sys.executable, MADE / "agree.py", output, directory / "begun"],
            capture_output=True,
            text=True,
            env=os.environ
            | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert done.returncode == 0, done.stderr
        with np.load(output) as stored:
            answers[backend] = dict(stored)
    return answers


@pytest.fixture(params=OTHERS)
def pair(request, found):
    """What torch computed, and another backend."""
    if request.param not in found:
        pytest.skip(f"{request.param} is not installed")
    return found["torch"], found[request.param]


def parts(pair, prefix):
    one, other = pair
    names = [name for name in one if name.startswith(prefix)]
    assert names
    return [(name, one[name], other[name]) for name in names]


def test_initial_weights_are_the_same_bits(pair):
    for name, one, other in parts(pair, "weight/"):
        np.testing.assert_array_equal(other, one, err_msg=name)


def test_batches_have_the_same_labels_and_the_same_augmented_images(pair):
    for name, one, other in parts(pair, "labels/"):
        np.testing.assert_array_equal(other, one, err_msg=name)
    for name, one, other in parts(pair, "images/"):
        np.testing.assert_allclose(other, one, atol=1e-3, err_msg=name)  # of 0 to 255


@pytest.mark.parametrize("step", ["True", "False"], ids=["fast step", "stock step"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_twenty_steps_without_dropout_are_the_same(pair, optimizer, step):
    one, other = (answers[f"losses/{optimizer}/{step}"] for answers in pair)
    assert len(one) == 20
    np.testing.assert_allclose(other, one, rtol=1e-4)


def test_runs_with_dropout_differ_no_more_than_seeds_do(pair):
    one, other = (np.array([a[f"dropout/{seed}"] for seed in range(3)]) for a in pair)
    # The mean of three seeds after four epochs, against the spread of single seeds.
    spread = max(one[:, -1].std(ddof=1), other[:, -1].std(ddof=1), 0.02)
    assert abs(one[:, -1].mean() - other[:, -1].mean()) < 3 * spread


def test_run_of_one_backend_predicts_the_same_on_another(pair):
    one, other = (answers["probabilities"] for answers in pair)
    np.testing.assert_allclose(other, one, atol=1e-4)


def test_run_of_one_backend_has_the_same_top_images_on_another(pair):
    one, other = pair
    np.testing.assert_array_equal(other["top/indices"], one["top/indices"])
    np.testing.assert_allclose(other["top/scores"], one["top/scores"], rtol=1e-4, atol=1e-5)


def test_run_of_one_backend_is_resumed_on_another(pair):
    one, other = pair
    assert len(one["resumed/val_loss"]) == 4
    np.testing.assert_array_equal(other["resumed/val_loss"][:2], one["resumed/val_loss"][:2])
    # Two epochs of rounding in another order, which Adam enlarges, lie between.
    np.testing.assert_allclose(other["resumed/val_loss"], one["resumed/val_loss"], rtol=0.02)
    agree = other["resumed/probabilities"].argmax(1) == one["resumed/probabilities"].argmax(1)
    assert agree.mean() > 0.9
