"""What is worked out from the turns of the peers."""

import pytest

from kerascnn.bench import clock as clocks
from kerascnn.bench.clock import Clock, last_to_first
from kerascnn.bench.images import STUDY, Sizes
from kerascnn.bench.turns import Measure, Turn, compare, summarize, summarize_prediction

WHOLE = Measure(20, STUDY)
QUICK = Measure(20, Sizes(1_200, 2_000), quick=True)


def turn(seconds, step_ms=10.0, validation=2.0, growth=1.0):
    return Turn(seconds, step_ms, validation, 0.5, growth)


class Watch:
    """Time that goes on by a quarter of a second whenever it is looked at."""

    def __init__(self):
        self.now = 10.0

    def perf_counter(self):
        self.now += 0.25
        return self.now


def test_a_clock_tells_the_first_steps_and_then_each_epoch(monkeypatch):
    watch, answers = Watch(), []
    monkeypatch.setattr(clocks, "time", watch)

    def wait(numbers):
        watch.now += 1000  # nobody's time
        answers.append(numbers)
        return len(answers) < 3

    clock = Clock(wait, steps=4)
    for epoch in range(2):
        for _ in range(4):
            clock.step()
        clock.validated()
        assert clock.epoch() is (epoch == 0)
    probe, first, second = answers
    assert probe == {"step_ms": 250}
    # Four steps, validation and checkpoint, each a quarter of a second.
    assert second == {
        "seconds": 1.5, "step_ms": 250, "validation_seconds": 0.25, "checkpoint_seconds": 0.25,
        "last_to_first": 1,
    }  # fmt: skip
    assert first["seconds"] == 1.5


def test_the_last_hundred_steps_are_compared_to_the_first():
    ends = [float(n) for n in range(500)] + [500.0 + 2 * n for n in range(101)]
    assert last_to_first(ends) == 2
    # Of few steps, halves.
    assert last_to_first([0.0, 1.0, 4.0]) == 3
    assert last_to_first([0.0, 1.0]) == 1


def test_a_peer_is_worked_out_from_its_turns():
    turns = [turn(66.0, 30.0, 6.0), turn(50.0, 20.0, 10.0), turn(101.0, 50.0, 1.0)]
    assert summarize("pytorch", turns, WHOLE, "a script", 700, 0.25).model_dump() == {
        "name": "pytorch", "what": "a script",
        "epoch_seconds": 66.0, "epoch_seconds_low": 50.0, "epoch_seconds_high": 101.0,
        "step_ms": 30.0, "step_ms_low": 20.0, "step_ms_high": 50.0,
        "images_second": pytest.approx(666.67, abs=0.01),
        "validation_seconds": 6.0, "checkpoint_seconds": 0.5, "peak_mb": 700,
        "denormal_share": 0.25,
    }  # fmt: skip


def test_a_quick_epoch_is_extrapolated_from_steps_and_validation():
    # 2,000 steps of 10 ms, and 10,000 images to validate instead of 2,000.
    assert QUICK.epoch_seconds(turn(3.0)) == 20 + 5 * 2.0
    assert WHOLE.epoch_seconds(turn(3.0)) == 3


def test_ratios_compare_the_turns_of_one_round():
    turns = {
        "pytorch": [turn(50.0)] * 2,
        "expert": [turn(20.0)] * 2,
        "keras": [turn(100.0)] * 2,
        "kerascnn": [turn(25.0, growth=1.5), turn(12.5, 5.0)],
    }
    peaks = {"pytorch": 400, "expert": 100, "keras": 100, "kerascnn": 500}
    ratios = compare(turns, WHOLE, [5.0, 5.0], peaks).model_dump()
    assert ratios == {
        "vs_pytorch": {"median": 0.375, "low": 0.25, "high": 0.5},
        "vs_expert": {"median": 0.9375, "low": 0.625, "high": 1.25},
        "vs_keras": {"median": 0.1875, "low": 0.125, "high": 0.25},
        "vs_floor": {"median": 1.5, "low": 1.0, "high": 2.0},
        "memory_vs_pytorch": 1.25,
        "last_to_first_steps": {"median": 1.25, "low": 1.0, "high": 1.5},
    }
    assert compare(turns, QUICK, [5.0, 5.0], peaks).last_to_first_steps is None


def test_predicting_is_told_for_10_000_images():
    times = [{"seconds": 0.3, "bare_seconds": 0.2}, {"seconds": 0.4, "bare_seconds": 0.4}]
    predicted = summarize_prediction(times, 2_000)
    assert (predicted.seconds, predicted.bare_seconds) == pytest.approx((1.75, 1.5))
    assert predicted.vs_bare.model_dump() == pytest.approx({"median": 1.25, "low": 1, "high": 1.5})
