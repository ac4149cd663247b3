"""Files from elsewhere: pipes, devices, sockets and what has no end are refused at once."""

import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
from made.runs import make_run

from kerascnn.errors import ExchangeError, RecipeError, RunError
from kerascnn.recipe import load_recipe
from kerascnn.regular_files import open_regular, read_regular
from kerascnn.run import Run


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(path.parent):
        listener.bind(path.name)  # the name of a socket must be short


KINDS = {
    "a named pipe": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": Path.mkdir,
    "a socket": listen,
}


def place(kind: str, path: Path) -> None:
    """Put something there that is no file."""
    path.unlink(missing_ok=True)
    KINDS[kind](path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_its_kind(tmp_path, kind):
    place(kind, tmp_path / "x")
    for read in (read_regular, open_regular):
        with pytest.raises(OSError, match=f"it is {kind}, not a file"):
            read(tmp_path / "x", 10)


def test_a_link_to_a_file_is_read_and_more_than_its_kind_may_have_is_not(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("x")
    assert read_regular(tmp_path / "link", 5) == b"12345"
    with open_regular(tmp_path / "x", None) as file:
        assert file.read() == b"12345"
    for read in (read_regular, open_regular):
        with pytest.raises(OSError, match="it has more than 4 bytes"):
            read(tmp_path / "x", 4)


def test_a_file_that_says_it_is_empty_and_is_not_is_bounded_too():
    assert read_regular("/proc/self/status", 2**16)
    with pytest.raises(OSError, match="it has more than 100 bytes"):
        read_regular("/proc/self/status", 100)


@pytest.mark.parametrize("kind", KINDS)
def test_no_such_thing_is_a_recipe(kind):
    place(kind, Path("x.toml"))
    with pytest.raises(RecipeError, match=f"'x.toml' cannot be read: it is {kind}"):
        load_recipe("x.toml")


@pytest.mark.parametrize("kind", KINDS)
def test_no_such_thing_is_weights(kind):
    from kerascnn.exchange.state_file import load_state

    place(kind, Path("x.pt"))
    with pytest.raises(ExchangeError, match=f"'x.pt' cannot be read: it is {kind}"):
        load_state(Path("x.pt"))


PARTS = (
    "recipe.toml", "history.csv", "metrics.json", "environment.json", "checkpoint.npz",
    "predictions.npz", "best.keras", "best.next.keras", "activations", ".lock",
)  # fmt: skip


def lock(run: Run) -> None:
    with run.locked():
        pass


def ask_all(run: Run) -> None:
    """Read all that is in a run; what cannot be read is a RunError."""
    for method in (
        Run.read_history, Run.read_metrics, Run.read_predictions, Run.read_checkpoint, Run.settle,
        Run.read_environment, Run.verified_best, lambda run: run.read_activations("a"),
        lambda run: run.recipe, lock,
    ):  # fmt: skip
        with contextlib.suppress(RunError):
            method(run)


@pytest.mark.parametrize("kind", KINDS)
def test_runs_with_such_things_in_them_are_damaged_and_all_others_are_listed(kind, invoke):
    whole, *others = (make_run("runs", seed=seed) for seed in range(1 + len(PARTS)))
    for name, run in zip(PARTS, others, strict=True):
        place(kind, run.path / name)
    status, printed, _ = invoke("runs", "--json")
    assert status == 0
    found = {row["run"]: row["status"] for row in json.loads(printed)}
    assert found.keys() == {run.name for run in (whole, *others)}
    assert found[whole.name] == "finished"
    for name, run in zip(PARTS[:3], others, strict=False):
        assert f"it is {kind}, not a file" in found[run.name], name
    for command in (["runs"], ["compare", *(run.path for run in others[2:4])], ["audit"]):
        assert "Traceback" not in "".join(invoke(*command)[1:])
    for run in others:
        ask_all(run)
