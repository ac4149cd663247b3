"""The bench: real peers in real processes, for a moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from kerascnn import bench
from kerascnn.bench import Plan
from kerascnn.bench.images import Sizes, load_images
from kerascnn.bench.order import Order
from kerascnn.bench.process import PeerProcess
from kerascnn.bench.worker import denormal_share
from kerascnn.errors import BenchError
from kerascnn.recipe import load_recipe

SIZES = Sizes(training=200, validation=60)


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("adam-lr0.001").with_values({"data.dataset": "shapes"})


@pytest.fixture(scope="module")
def told():
    """What the bench told of while it measured."""
    return {"what": [], "left": [], "estimates": []}


@pytest.fixture(scope="module")
def measured(recipe, told):
    def progress(what, left):
        told["what"].append(what)
        told["left"].append(left)

    plan = Plan(rounds=2, sizes=SIZES, threads=1)
    start = time.perf_counter()
    measured = bench.run_bench(recipe, plan, progress, told["estimates"].append)
    told["seconds"] = time.perf_counter() - start
    return measured


def test_each_peer_is_timed(measured):
    names = [peer["name"] for peer in measured["peers"]]
    assert names == ["pytorch", "expert", "keras", "kerascnn"]
    assert (measured["recipe"], measured["dataset"]) == ("adam-lr0.001", "shapes")
    assert (measured["batch_size"], measured["steps"], measured["rounds"]) == (20, 10, 2)
    assert (measured["training_images"], measured["validation_images"]) == (200, 60)
    for peer in measured.peers:
        assert 0 < peer.epoch_seconds_low <= peer.epoch_seconds <= peer.epoch_seconds_high
        assert peer.peak_mb > 100
        assert peer.denormal_share == 0
    assert "its own training step" in measured.peers[3].what
    assert measured.profile is None


def test_an_epoch_is_its_steps_its_validation_and_its_checkpoint(measured, told):
    for peer in measured.peers:
        # The first step, with what comes before it, is not among those from end to end.
        parts = 9 * peer.step_ms / 1000 + peer.validation_seconds + peer.checkpoint_seconds
        assert peer.validation_seconds > 0
        assert peer.checkpoint_seconds > 0
        assert parts < peer.epoch_seconds_high * 1.05
    # Seconds, and all of them within the time that passed.
    assert sum(2 * peer.epoch_seconds for peer in measured.peers) < told["seconds"]


def test_it_is_told_what_is_done_and_how_long_it_will_take(measured, told):
    turns = [f"{which}: {name}" for which in ("untimed epoch", "round 1 of 2", "round 2 of 2")
             for name in bench.PEERS]  # fmt: skip
    starting = [f"starting {name}" for name in bench.PEERS]
    assert told["what"] == [*starting, *turns, "predicting"]
    (estimate,) = told["estimates"]
    assert 0 < estimate < told["seconds"] * 10
    assert told["left"][4] == estimate
    assert all(left > 0 for left in told["left"][4:-1])


def test_ratios_have_their_spread_over_rounds(measured):
    ratios = measured.ratios.model_dump()
    growing = ratios.pop("last_to_first_steps")
    assert ratios.pop("memory_vs_pytorch") == pytest.approx(
        measured.peers[3].peak_mb / measured.peers[0].peak_mb
    )
    assert set(ratios) == {"vs_pytorch", "vs_expert", "vs_keras", "vs_floor"}
    for ratio in (*ratios.values(), growing, measured.prediction.vs_bare.model_dump()):
        assert 0 < ratio["low"] <= ratio["median"] <= ratio["high"]
    json.dumps(measured.model_dump(mode="json"), allow_nan=False)


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


def test_images_are_repeated_where_there_are_too_few(recipe):
    images = load_images(recipe, Sizes(5_500, 1_500))
    trained, labels = images.trained()
    assert (trained.shape, labels.shape) == ((5_500, 32, 32, 3), (5_500,))
    assert len(images.validated()[0]) == len(images.dataset.test_images) == 1_500
    assert not set(images.training) & set(images.validation)
    np.testing.assert_array_equal(
        images.dataset.train_images[5_000:], images.dataset.train_images[:2_000]
    )


def test_denormal_numbers_are_counted_by_their_bits():
    assert denormal_share([np.array([0.0, -0.0, 1.0, -1e-40, 2e-45, 1.2e-38], "float32")]) == 2 / 6
    assert denormal_share([]) is None


def test_a_peer_that_fails_is_named_with_its_last_word(recipe):
    of_no_data_set = recipe.with_values({"data.dataset": "nothing"})
    with pytest.raises(
        BenchError, match=r"program 'pytorch' of the bench failed: .*'nothing' is not known"
    ):
        bench.run_bench(of_no_data_set, Plan(rounds=1, sizes=SIZES, threads=1))


def processes_of(group):
    """Processes of a group of processes that are not yet gone."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until(holds):
    """Whether something holds within a minute."""
    until = time.monotonic() + 60
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    return held


ON_LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


@ON_LINUX
def test_a_peer_is_killed_with_the_processes_that_load_its_data(recipe, tmp_path):
    order = Order(recipe, Sizes(4_000, 60), 2, 1, str(tmp_path))
    with PeerProcess("pytorch", 1) as process:
        group = process._process.pid
        # In its trial of loaders there are two processes beside its own.
        process._process.stdin.write(order.to_line() + "\n")
        process._process.stdin.flush()
        assert wait_until(lambda: len(processes_of(group)) >= 3)
    assert wait_until(lambda: not processes_of(group))


COMMAND = [sys.executable, "-m", "kerascnn", "bench", "--steps", "2", "--rounds", "1"]


@ON_LINUX
def test_an_interrupted_bench_says_so_in_a_line_and_leaves_no_process():
    process = subprocess.Popen(
        [*COMMAND, "--threads", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    peers = wait_until(lambda: children.read_text().split())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + signal.SIGINT, "")
    assert err.strip() == "Interrupted: nothing of the bench is kept."
    assert peers
    assert not any(Path(f"/proc/{peer}").exists() for peer in peers)


@pytest.mark.slow
def test_the_seconds_that_are_promised_are_those_of_a_run(recipe, tmp_path):
    """In one of three tries: others may use the machine during one half of a try."""
    apart = []
    while len(apart) < 3 and not any(abs(share) <= 0.15 for share in apart):
        promised = promised_seconds(recipe, tmp_path / str(len(apart)))
        apart.append(promised / seconds_of_run() - 1)
    assert abs(apart[-1]) <= 0.15, apart


def promised_seconds(recipe, directory):
    """Of an epoch of shapes: it has 5,000 training images, of which a run trains on 4,000."""
    directory.mkdir()
    sizes = Sizes(4_000, 1_000)
    with PeerProcess("kerascnn", 1) as process:
        process.ask(Order(recipe, sizes, 3, 1, str(directory)).to_line())
        epochs = [process.ask("epoch")["seconds"] for _ in range(3)]
    return sum(epochs[1:]) / 2


def seconds_of_run():
    done = subprocess.run(
        [sys.executable, "-m", "kerascnn", "run", "adam-lr0.001", "--dataset", "shapes",
         "--epochs", "3", "--json"],
        capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    lines = [line for line in done.stderr.splitlines() if line.startswith("epoch ")]
    seconds = [float(line.split("val_accuracy")[1].split()[1]) for line in lines]
    assert len(seconds) == 3
    return sum(seconds[1:]) / 2
