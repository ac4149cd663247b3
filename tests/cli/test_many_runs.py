"""Thousands of runs are listed, audited and completed without waiting."""

import os
import resource
import subprocess
import sys

import pytest
from made.runs import make_run

from kerascnn.cli.options import complete_recipe, complete_run
from kerascnn.recipe import load_recipe
from kerascnn.records.run import Checkpoint
from kerascnn.run.files import sha256
from kerascnn.run.find import create_run

RECIPES = (
    "sgd-lr0.01", "sgd-lr0.01-augmented", "sgd-lr0.1-augmented", "adam-lr0.1", "adam-lr0.001",
)  # fmt: skip


def copy_with_seed(run, seed):
    """A run beside another, of its numbers, as if it had another seed."""
    path = run.path.with_name(f"{run.recipe.name}-seed{seed}-20270101-{seed:06d}")
    path.mkdir()
    for file in run.path.iterdir():
        if file.name == "recipe.toml":
            text = file.read_text().replace("seed = 0", f"seed = {seed}")
            (path / file.name).write_text(text)
        else:
            (path / file.name).hardlink_to(file)


@pytest.fixture(scope="module")
def many_runs(tmp_path_factory):
    """2,000 finished runs, each with its model and its checkpoint."""
    runs_dir = tmp_path_factory.mktemp("many") / "runs"
    for name in RECIPES:
        run = make_run(runs_dir, name)
        run.write_best(lambda path: path.write_bytes(bytes(10**6)))
        digest = sha256(run.best_path)
        rows = run.read_history().rows
        recipe = run.recipe.to_toml()
        run.write_checkpoint(Checkpoint(history=rows, best=digest, recipe=recipe))
        run.write_metrics(run.read_metrics().model_copy(update={"model_sha256": digest}))
        for seed in range(1, 400):
            copy_with_seed(run, seed)
    return runs_dir


def seconds_of(*command, **environment):
    """Seconds of a processor that a command takes, whatever else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, check=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("command", "most"), [("runs", 4.0), ("audit", 10.0)])
def test_two_thousand_runs_are_read_in_seconds(many_runs, command, most):
    program = (sys.executable, "-m", "kerascnn", command, "--runs-dir", str(many_runs))
    # Where CIFAR-10 is, `audit` also looks into the networks.
    seconds, printed = seconds_of(*program, COLUMNS="120", TFDS_DATA_DIR=str(many_runs))
    if command == "runs":
        assert printed.count("finished") == 2000
    assert seconds < most


@pytest.mark.slow
def test_names_of_two_thousand_runs_are_completed_at_once(many_runs):
    seconds, printed = seconds_of(
        sys.executable, "-c", "from kerascnn.cli import app; app(prog_name='kerascnn')",
        _KERASCNN_COMPLETE="complete_bash", COMP_WORDS="kerascnn evaluate adam", COMP_CWORD="2",
        KERASCNN_RUNS_DIR=str(many_runs),
    )  # fmt: skip
    assert len(printed.split()) == 800
    assert seconds < 0.6


def test_completed_names_hold_no_commands_to_the_terminal(tmp_path, monkeypatch):
    class Context:
        params = {"runs_dir": "runs"}

    run = create_run(load_recipe("sgd-lr0.01"))
    run.path.rename("runs/a\x1b]0;title\x07b\nc")
    assert complete_run(Context, "") == ["latest", "a�]0;title�b�c"]
    assert complete_recipe("adam") == ["adam-lr0.001", "adam-lr0.1"]
    names = ["adam\x1b[2J", "adam-lr0.1"]
    monkeypatch.setattr("kerascnn.cli.options.list_recipes", lambda: names)
    assert complete_recipe("adam") == ["adam�[2J", "adam-lr0.1"]


def test_completion_brings_neither_numpy_nor_pydantic_with_it():
    program = (
        "import sys\n"
        "from kerascnn.cli.options import complete_recipe, complete_run\n"
        "complete_recipe('a')\n"
        "complete_run(type('Context', (), {'params': {}}), 'a')\n"
        "print({'numpy', 'pydantic', 'keras'} & set(sys.modules))"
    )
    assert seconds_of(sys.executable, "-c", program)[1] == "set()\n"
