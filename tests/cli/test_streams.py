"""What each command does with a full disk or a closed pipe to write to, or without a directory."""

import os
import subprocess
import sys

import pytest
from made.interrupted import RECIPE
from PIL import Image

from kerascnn.evaluation import evaluate
from kerascnn.training import train

COMMAND = f"'{sys.executable}' -m kerascnn"
# Of each way of printing one: help, a table, plain text.
LIGHT = ["--help", "recipes", "recipes --json"]
PRINTING = [
    "--version",
    "run RECIPE --runs-dir RUNS --resume --json",
    "evaluate RUN",
    "data info shapes --json",
    "audit --runs-dir RUNS",
    "top-activations RUN",
    "explain-filter 1 RUN --json",
    "predict --run RUN PICTURE",
    "export RUN --format torch --out net.pt --force",
    "bench --steps 2 --rounds 1",
]
REMARKING = ["report RUN", "convert none.pt", "nonsense"]
FULL = "Error: Standard output cannot be written: No space left on device."
GONE = (
    "Error: The working directory cannot be used: No such file or directory. "
    "Change to one that exists."
)
pytestmark = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run."""
    run = train(RECIPE.with_values({"train.epochs": 1}), tmp_path_factory.mktemp("runs"))
    evaluate(run)
    return run


@pytest.fixture
def call(request, tmp_path):
    """Call a command as a line of the shell, which says where it writes to."""

    def call(command, redirect, before=""):
        names = {}
        if any(word in command for word in ("RUN", "RECIPE")):
            run = request.getfixturevalue("run")
            recipe = run.path / "recipe.toml"
            names = {"RUNS": run.path.parent, "RUN": run.path, "RECIPE": recipe}
        names["PICTURE"] = tmp_path / "picture.png"
        Image.new("RGB", (32, 32)).save(names["PICTURE"])
        words = [str(names.get(word, word)) for word in command.split()]
        return subprocess.run(
            ["bash", "-c", f"{before} {COMMAND} {' '.join(words)} {redirect}"],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    return call


def each(*heavy):
    slow = [pytest.param(command, marks=pytest.mark.slow) for command in heavy]
    return pytest.mark.parametrize("command", [*LIGHT, *slow])


@each(*PRINTING)
def test_full_disk_under_standard_output_is_one_line_and_exit_1(call, command):
    done = call(command, "> /dev/full")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, FULL)
    assert not {"Traceback", "Exception"} & set(done.stderr.split())
    if command.startswith("recipes"):
        assert done.stderr.count("\n") == 1


@each("evaluate RUN", "export RUN --format torch --out net.pt --force")
def test_pipe_that_nobody_reads_ends_a_command_without_a_word(call, command):
    done = call(command, "| true; exit ${PIPESTATUS[0]}")
    assert done.returncode == 128 + 13
    assert not {"Error:", "Traceback", "Exception"} & set(done.stderr.split())
    if command.startswith("recipes"):
        assert not done.stderr


@each("evaluate RUN", *REMARKING)
def test_full_disk_under_standard_error_changes_no_status_and_no_output(call, command):
    plain, full = call(command, ""), call(command, "2> /dev/full")
    assert full.returncode == plain.returncode
    assert full.stdout == plain.stdout


@each("--version")
def test_standard_output_that_is_closed_is_one_line(call, command):
    done = call(command, ">&-")
    said = "Error: Standard output cannot be written: Bad file descriptor."
    assert (done.returncode, done.stderr.splitlines()) == (1, [said])


@each(*PRINTING, *REMARKING)
def test_working_directory_that_is_gone_is_one_line(call, command):
    done = call(command, "", "mkdir gone; cd gone; rmdir ../gone;")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (1, "", GONE)
