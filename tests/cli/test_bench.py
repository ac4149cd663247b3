"""`kerascnn bench` as a person calls it: what it prints, and what it refuses in one line."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

import kerascnn.bench
from kerascnn.bench import Plan
from kerascnn.errors import BenchError

COMMAND = [sys.executable, "-m", "kerascnn", "bench"]
SHORT = ["--quick", "--steps", "4", "--rounds", "1", "--threads", "1"]


def call(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=os.environ | environment
    )


def test_a_quick_bench_says_that_it_is_quick_and_what_it_measured():
    done = call(*SHORT, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith("Quick: extrapolated from 4 steps a turn, not what an epoch takes.")
    assert "shapes, batch size 20" in first
    for words in (
        "extrapolated s an epoch", "plain PyTorch", "PyTorch by an expert", "stock Keras `fit`",
        "epoch, to PyTorch by an expert", "memory, to the plain PyTorch script",
        "predicting, to", "Predicting 10,000 images",
    ):  # fmt: skip
        assert words in done.stdout
    assert "last hundred steps" not in done.stdout
    assert done.stderr.startswith("This will take about ")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "jax", "tensorflow"])
def test_a_quick_bench_on_each_backend_is_one_json_document(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = call(*SHORT, "--json", "--backend", backend)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["quick"] is True
    assert "not what an epoch takes" in measured["note"]
    assert (measured["backend"], measured["steps"]) == (backend, 4)
    assert [peer["name"] for peer in measured["peers"]] == list(kerascnn.bench.PEERS)
    assert all(peer["epoch_seconds"] > 0 for peer in measured["peers"])
    assert measured["ratios"]["last_to_first_steps"] is None
    assert measured["prediction"]["vs_bare"]["median"] > 0


@pytest.mark.parametrize(
    ("arguments", "backend", "message"),
    [
        (
            ["--backend", "troch"],
            "torch",
            "--backend is 'troch'; expected one of torch, jax, tensorflow.",
        ),
        (
            ["--steps", "4", "--profile"],
            "torch",
            "--profile is of whole epochs: leave out --quick and --steps.",
        ),
        (
            ["--quick", "--profile"],
            "torch",
            "--profile is of whole epochs: leave out --quick and --steps.",
        ),
    ],
)
def test_wrong_use_is_one_line(arguments, backend, message):
    done = call(*arguments, KERAS_BACKEND=backend)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {message}\n")


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_a_profile_is_for_torch(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = call("--profile", "--backend", backend)
    message = f"Error: --profile is for torch; the backend is {backend}.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", message)


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ([], Plan(rounds=3)),
        (["--rounds", "2", "--profile"], Plan(rounds=2, profile=True)),
        (["--quick"], Plan(rounds=5, quick_steps=60)),
        (["--steps", "7"], Plan(rounds=5, quick_steps=7)),
        (["--quick", "--steps", "7", "--rounds", "1"], Plan(rounds=1, quick_steps=7)),
    ],
)
def test_steps_alone_mean_quick(invoke, monkeypatch, arguments, plan):
    plans = []

    def run_bench(recipe, plan, *_):
        plans.append(plan)
        raise BenchError("not in tests.")

    monkeypatch.setattr(kerascnn.bench, "run_bench", run_bench)
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # which the option sets, too
    assert invoke("bench", "--backend", "torch", *arguments)[0] == 1
    assert plans == [plan]


@pytest.mark.parametrize(("arguments", "lines"), [([], 2), (["--quick"], 0)])
def test_each_epoch_has_its_line_where_nothing_can_be_drawn_over(
    invoke, monkeypatch, arguments, lines
):
    def run_bench(recipe, plan, progress, estimated):
        estimated(600.0)
        progress("untimed epoch: pytorch", 600.0)
        progress("round 1 of 3: kerascnn", 40.0)
        raise BenchError("not in tests.")

    monkeypatch.setattr(kerascnn.bench, "run_bench", run_bench)
    monkeypatch.setenv("KERAS_BACKEND", "torch")  # which the option sets, too
    err = invoke("bench", "--backend", "torch", *arguments)[2]
    told = [
        "untimed epoch: pytorch, about 10 minutes left",
        "round 1 of 3: kerascnn, about 40 seconds left",
    ]
    estimate, error = "This will take about 10 minutes.", "Error: not in tests."
    assert err.splitlines() == [estimate, *told[:lines], error]
