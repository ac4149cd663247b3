"""Real CIFAR-10, for some minutes: `pytest -m slow`."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

BATCH = ["--batch-size", "50"]


def run_recipe(cifar10_dir, runs_dir, *arguments: str) -> dict:
    """Train and evaluate as a user does, in a process of its own; the content of its JSON."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "kerascnn", "run", *arguments, "--json"),
            *("--data-dir", str(cifar10_dir), "--runs-dir", str(runs_dir)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def short_run(cifar10_dir, tmp_path_factory):
    runs_dir = tmp_path_factory.mktemp("runs")
    return runs_dir, run_recipe(cifar10_dir, runs_dir, "adam-lr0.001", "--epochs", "2", *BATCH)


def test_two_epochs_of_adam_are_far_above_chance(short_run):
    _, measured = short_run
    assert measured["test"]["num_images"] == 10_000
    assert measured["test"]["accuracy"] > 0.5
    assert measured["best_val_loss"] < 1.4


def test_tables_have_the_reported_figures_beside_the_measured(short_run, cifar10_dir):
    runs_dir, measured = short_run
    assert measured["reported"]["best_val_loss"] == 0.518
    done = subprocess.run(
        [
            *(sys.executable, "-m", "kerascnn", "evaluate"),
            *("--data-dir", str(cifar10_dir), "--runs-dir", str(runs_dir)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    for text in ("reported", "83 %", "0.5180", "0.5337", "airplane", "truck", "▲ 1"):
        assert text in done.stdout


def test_figures_come_out(short_run):
    from PIL import Image

    runs_dir, _ = short_run
    figures = sorted(runs_dir.glob("*/figures/*.png"))
    assert [path.stem for path in figures] == ["confusion", "examples", "history", "per_class"]
    for path in figures:
        with Image.open(path) as image:
            assert min(image.size) > 400
            assert len(image.convert("RGB").getcolors(1 << 24)) > 50


def test_adam_at_a_tenth_collapses_and_is_diagnosed_so(cifar10_dir, tmp_path):
    measured = run_recipe(cifar10_dir, tmp_path, "adam-lr0.1", "--epochs", "1", *BATCH)
    assert [finding["kind"] for finding in measured["diagnosis"]] == ["collapsed"]
    assert measured["test"]["accuracy"] == pytest.approx(0.1, abs=0.01)
