"""The bench: real peers in real processes, for a moment."""

import json

import pytest

from kerascnn import bench
from kerascnn.errors import BenchError
from kerascnn.recipe import load_recipe


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("adam-lr0.001").with_values({"data.dataset": "shapes"})


@pytest.fixture(scope="module")
def measured(recipe):
    return bench.run_bench(recipe, steps=3, rounds=2, threads=1)


def test_each_peer_is_timed(measured):
    assert [peer["name"] for peer in measured["peers"]] == ["pytorch", "keras", "kerascnn"]
    for peer in measured["peers"]:
        assert 0 < peer["step_ms_low"] <= peer["step_ms"] <= peer["step_ms_high"]
        assert peer["images_second"] == pytest.approx(20_000 / peer["step_ms"])
        assert peer["epoch_seconds"] > peer["validation_seconds"] > 0
        assert peer["peak_mb"] > 100
    assert "its own training step" in measured["peers"][2]["what"]


def test_ratios_have_their_spread_over_rounds(measured):
    assert set(measured["ratios"]) == {"vs_pytorch", "vs_keras", "vs_floor"}
    for ratio in measured["ratios"].values():
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    json.dumps(measured, allow_nan=False)


def test_ratios_compare_the_turns_of_one_round():
    turns = {
        "pytorch": [{"step_ms": 20.0, "validation_seconds": 10.0}] * 2,
        "keras": [{"step_ms": 40.0, "validation_seconds": 20.0}] * 2,
        "kerascnn": [
            {"step_ms": 10.0, "validation_seconds": 5.0},
            {"step_ms": 5.0, "validation_seconds": 2.5},
        ],
    }
    epochs = {
        name: [bench._epoch_seconds(turn, 20) for turn in rounds] for name, rounds in turns.items()
    }
    # 2,000 steps of 20 ms and a validation of 10 s.
    assert epochs["pytorch"] == [50.0, 50.0]
    ratios = bench._ratios(turns, epochs, [5.0, 5.0])
    assert ratios["vs_pytorch"] == {"median": 0.375, "low": 0.25, "high": 0.5}
    assert ratios["vs_keras"] == {"median": 0.1875, "low": 0.125, "high": 0.25}
    assert ratios["vs_floor"] == {"median": 1.5, "low": 1.0, "high": 2.0}


def test_the_floor_counts_the_arithmetic_of_a_training_step(measured):
    forward = {
        "conv1": 2 * 27 * 32 * 32 * 32,
        "conv2": 2 * 288 * 64 * 16 * 16,
        "conv3": 2 * 576 * 128 * 8 * 8,
        "fc1": 2 * 2048 * 512,
        "logits": 2 * 512 * 10,
    }
    total = 3 * sum(forward.values()) - forward["conv1"]
    assert measured["floor"]["mflop_image"] == pytest.approx(total / 1e6)
    floor = measured["floor"]
    expected = 20 * floor["mflop_image"] / floor["gflop_second"]
    assert floor["step_ms"] == pytest.approx(expected, rel=0.5)


def test_a_peer_that_fails_is_named_with_its_last_word(recipe):
    images_of_another_size = recipe.with_values({"data.dataset": "nothing"})
    with pytest.raises(BenchError, match=r"peer 'pytorch' failed: .*'nothing' is not known"):
        bench.run_bench(images_of_another_size, steps=1, rounds=1, threads=1, peers=("pytorch",))
