"""The bench: real peers in real processes, for a moment."""

import itertools
import json
import time

import numpy as np
import pytest

from kerascnn import bench
from kerascnn.bench import Turn, keras_fit, pytorch_script, worker
from kerascnn.errors import BenchError
from kerascnn.recipe import load_recipe

STEPS = 4


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("adam-lr0.001").with_values({"data.dataset": "shapes"})


@pytest.fixture(scope="module")
def timed(recipe):
    """What the bench measured, and the seconds that each peer's turns took, seen from outside."""
    seconds = {name: [] for name in bench.PEERS}
    ask = bench._Worker.ask

    def ask_timed(worker, word):
        start = time.perf_counter()
        answer = ask(worker, word)
        if word == "round":
            seconds[worker.name].append(time.perf_counter() - start)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench._Worker, "ask", ask_timed)
        return bench.run_bench(recipe, steps=STEPS, rounds=2, threads=1), seconds


@pytest.fixture
def measured(timed):
    return timed[0]


def test_each_peer_is_timed(measured):
    assert [peer["name"] for peer in measured["peers"]] == ["pytorch", "keras", "kerascnn"]
    assert (measured["recipe"], measured["batch_size"]) == ("adam-lr0.001", 20)
    assert (measured["steps"], measured["rounds"], measured["threads"]) == (STEPS, 2, 1)
    for peer in measured["peers"]:
        assert 0 < peer["step_ms_low"] <= peer["step_ms"] <= peer["step_ms_high"]
        assert peer["peak_mb"] > 100
    assert "its own training step" in measured["peers"][2]["what"]


def test_what_is_measured_fits_into_the_time_that_passed(timed):
    measured, seconds = timed
    for peer in measured["peers"]:
        took = sorted(seconds[peer["name"]])
        # The first step of a turn is not timed, and 80 images stand for the 10,000 of validation.
        for steps, turn in ((peer["step_ms_low"], took[0]), (peer["step_ms_high"], took[1])):
            assert (STEPS - 1) * steps / 1000 < turn
        assert peer["validation_seconds"] * 80 / 10_000 < took[1]
        # Milliseconds, not seconds: a step is more than a thousandth of four.
        assert peer["step_ms_high"] / 1000 > took[0] / 1000


class Clock:
    """Time that goes on by a quarter of a second whenever it is looked at."""

    def __init__(self):
        self.times = itertools.count(10, 0.25)

    def perf_counter(self):
        return next(self.times)


@pytest.mark.parametrize(
    ("module", "name"),
    [(pytorch_script, "PyTorchScript"), (keras_fit, "StockKeras"), (keras_fit, "Kerascnn")],
)
def test_a_peer_tells_the_time_of_one_step_and_of_10_000_images(recipe, monkeypatch, module, name):
    images, labels = np.zeros((60, 32, 32, 3), "uint8"), np.arange(60, dtype="int32") % 10
    peer = getattr(module, name)(recipe, images, labels)
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(worker, "time", clock)
    # 60 images in a quarter of a second.
    seconds = pytest.approx(0.25 * 10_000 / 60)
    assert worker._round(peer) == {"step_ms": 250, "validation_seconds": seconds}


def test_a_peer_is_worked_out_from_its_turns():
    turns = [Turn(30.0, 6.0), Turn(20.0, 10.0), Turn(50.0, 1.0)]
    assert bench.summarize("pytorch", turns, 20, "a script", 700).model_dump() == {
        "name": "pytorch", "what": "a script",
        "step_ms": 30.0, "step_ms_low": 20.0, "step_ms_high": 50.0,
        # 20 images in 30 ms; 2,000 steps and a validation: 66, 50 and 101 s.
        "images_second": pytest.approx(666.67, abs=0.01),
        "validation_seconds": 6.0, "epoch_seconds": 66.0, "peak_mb": 700,
    }  # fmt: skip


def test_ratios_have_their_spread_over_rounds(measured):
    assert set(measured["ratios"]) == {"vs_pytorch", "vs_keras", "vs_floor"}
    for ratio in measured["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    json.dumps(measured.model_dump(mode="json"), allow_nan=False)


def test_ratios_compare_the_turns_of_one_round():
    turns = {
        "pytorch": [Turn(20.0, 10.0)] * 2,
        "keras": [Turn(40.0, 20.0)] * 2,
        "kerascnn": [Turn(10.0, 5.0), Turn(5.0, 2.5)],
    }
    # 2,000 steps of 20 ms and a validation of 10 s.
    assert turns["pytorch"][0].epoch_seconds(20) == 50.0
    ratios = bench.compare(turns, 20, [5.0, 5.0]).model_dump()
    assert ratios["vs_pytorch"] == {"median": 0.375, "low": 0.25, "high": 0.5}
    assert ratios["vs_keras"] == {"median": 0.1875, "low": 0.125, "high": 0.25}
    assert ratios["vs_floor"] == {"median": 1.5, "low": 1.0, "high": 2.0}


def test_the_floor_counts_the_arithmetic_of_a_training_step(measured):
    floor = measured.floor
    assert floor.step_ms == pytest.approx(20 * floor.mflop_image / floor.gflop_second, rel=0.5)
    forward = {
        "conv1": 2 * 27 * 32 * 32 * 32,
        "conv2": 2 * 288 * 64 * 16 * 16,
        "conv3": 2 * 576 * 128 * 8 * 8,
        "fc1": 2 * 2048 * 512,
        "logits": 2 * 512 * 10,
    }
    total = 3 * sum(forward.values()) - forward["conv1"]
    assert measured["floor"]["mflop_image"] == pytest.approx(total / 1e6)


def test_a_peer_that_fails_is_named_with_its_last_word(recipe):
    of_no_data_set = recipe.with_values({"data.dataset": "nothing"})
    with pytest.raises(
        BenchError, match=r"program 'pytorch' of the bench failed: .*'nothing' is not known"
    ):
        bench.run_bench(of_no_data_set, steps=1, rounds=1, threads=1)
