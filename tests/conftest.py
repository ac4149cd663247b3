"""The few things that many tests share."""

import os
import shutil
import signal
from pathlib import Path

import pytest

# One thread: tests are small, and the same seed gives the same bits for one thread count.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# As kerascnn does, but before any test imports keras first.
os.environ.setdefault("KERAS_BACKEND", "torch")

# Started in a shell's background, pytest ignores Ctrl-C, and so would what tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).parents[2] / "shared" / "tensorflow_datasets"


@pytest.fixture(scope="session")
def cifar10_dir():
    """Directory of real CIFAR-10, prepared: TFDS_DATA_DIR, else beside the checkout."""
    for directory in (os.environ.get("TFDS_DATA_DIR"), SHARED):
        if directory and (Path(directory) / "cifar10").is_dir():
            return Path(directory).resolve()
    pytest.skip("real CIFAR-10 is neither at TFDS_DATA_DIR nor beside the checkout")


@pytest.fixture(scope="session")
def prepared_once(tmp_path_factory):
    """Data directory of a tiny prepared CIFAR-10, to read only."""
    from made.cifar10 import prepare_tiny

    return prepare_tiny(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def prepared(prepared_once, tmp_path):
    """A tiny prepared CIFAR-10 of one's own, to damage."""
    return Path(shutil.copytree(prepared_once, tmp_path / "data"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """One cache for all tests and the processes that they start, which is not the user's."""
    os.environ["KERASCNN_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    """Each test works in an empty directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def invoke(monkeypatch, capsys):
    """Call the command line in this process; gives exit status, standard output and error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from kerascnn.cli import main

        monkeypatch.setattr("sys.argv", ["kerascnn", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call
