"""How times are written."""

import pytest

from kerascnn.show.words import time_in_words, time_left


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12.3, "12 s"), (89, "89 s"), (600, "10 min"), (3599, "1 h 00 min"), (7260, "2 h 01 min")],
)
def test_time_left_is_no_more_exact_than_an_estimate(seconds, said):
    assert time_left(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(12.3, "12 s"), (59.7, "1 min 00 s"), (605, "10 min 05 s"), (7260, "2 h 01 min")],
)
def test_time_left_of_one_run_is_told_to_the_second(seconds, said):
    assert time_left(seconds, to_the_second=True) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(89, "89 seconds"), (600, "10 minutes"), (9000, "2.5 hours")]
)
def test_the_time_that_something_took_is_spelled_out(seconds, said):
    assert time_in_words(seconds) == said
