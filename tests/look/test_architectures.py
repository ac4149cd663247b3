"""Models as Keras's public examples build them, looked at as a user does and recounted.

`tests/try_models.py` tries all of them, and all of `keras.applications`.
"""

import keras
import pytest
from made.trial import try_model
from made.tried import EXAMPLES

SMALL = ("mnist_convnet", "siamese_stock", "lambda_of_no_name")


@pytest.mark.parametrize("name", SMALL)
def test_the_numbers_of_an_example_are_those_of_a_recount_or_it_is_refused(name, tmp_path):
    check(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in SMALL])
def test_the_numbers_of_all_examples_are_those_of_a_recount_or_they_are_refused(name, tmp_path):
    check(name, tmp_path)


def check(name, folder):
    tried = EXAMPLES[name]
    if why := tried.not_on.get(keras.backend.backend()):
        pytest.skip(why)
    outcome = try_model(tried, folder)
    assert (tried.refusal or "") in outcome.refusal
    assert bool(tried.refusal) == bool(outcome.refusal), outcome.refusal
    assert outcome.error <= tried.tolerance, outcome.worst
