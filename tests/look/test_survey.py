"""A long look that is ended by signals at any moment, as the command line has it."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

pytestmark = pytest.mark.slow

TOTAL = 600
# Answers each line of standard input, arguments in JSON, in a child of its own that has imported
# everything; a line of output says its number, the next its exit status.
SERVER = """
import json, os, sys
import keras, matplotlib.backends.backend_agg
import kerascnn.cli, kerascnn.look.ledger, kerascnn.look.subject, kerascnn.look.survey
import kerascnn.show.filter_figures, kerascnn.show.filter_tables

kerascnn.look.ledger.FLUSH_SECONDS = 0.02
for line in sys.stdin:
    child = os.fork()
    if not child:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = ["kerascnn", *json.loads(line)]
        status = 0
        try:
            kerascnn.cli.main()
        except SystemExit as stop:
            status = stop.code or 0
        sys.stdout.flush()
        os._exit(status)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Command:
    """`kerascnn top-activations` on the same model and pictures, in a cache of its own."""

    def __init__(self, directory):
        self.directory = directory
        environment = os.environ | {"OMP_NUM_THREADS": "1", "KERASCNN_CACHE_DIR": "cache"}
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER], cwd=directory, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(self, model="model.keras", kill=None, after=0.0):
        """Exit status, seconds, and what was written to standard output and error."""
        arguments = ["top-activations", "--model", model, "--layer", "second", "--images",
                     "pictures", "--batch-size", "4", "-f", "1", "-f", "5", "--json"]  # fmt: skip
        print(json.dumps(arguments), file=self.server.stdin, flush=True)
        child, start = int(self.server.stdout.readline()), time.monotonic()
        if kill:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):  # it was done before
                os.kill(child, kill)
        status, seconds = int(self.server.stdout.readline()), time.monotonic() - start
        texts = [(self.directory / name).read_text() for name in ("out", "err")]
        return status, seconds, *texts


def save_model(path, seed):
    keras.utils.set_random_seed(seed)
    keras.Sequential([
        keras.Input((48, 48, 3)),
        layers.Conv2D(16, 3, activation="relu"),
        layers.Conv2D(16, 3, activation="relu", name="second"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3, activation="softmax"),
    ]).save(path)  # fmt: skip


@pytest.fixture
def command(tmp_path):
    save_model(tmp_path / "model.keras", 0)
    (tmp_path / "pictures").mkdir()
    for number, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (TOTAL, 6, 6, 3))):
        picture = Image.fromarray(pixels.astype("uint8")).resize((48, 48))
        picture.save(tmp_path / "pictures" / f"{number:03}.png")
    command = Command(tmp_path)
    yield command
    command.server.stdin.close()
    command.server.stdout.close()
    command.server.wait()


def test_a_look_goes_on_after_any_signal_to_the_same_numbers(command, tmp_path):
    cache, chance = tmp_path / "cache", random.Random(0)
    status, length, expected, err = command.run()
    assert status == 0, err
    status, again, out, _ = command.run()
    assert (status, out) == (0, expected)
    assert again < length  # answered from the cache

    for kill in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        cache.rename(tmp_path / f"cache before {kill}")
        kept = 0
        for _ in range(6):
            after = chance.uniform(0.1, 0.7) * length
            status, _, out, err = command.run(kill=kill, after=after)
            assert "Traceback" not in err, err
            assert status in (0, 128 + kill, -kill), err
            if status == 128 + kill and " are kept" in err:
                last = int(err.split("; ")[-1].split(" are kept")[0].replace(",", ""))
                assert last >= kept
                kept = last
        status, _, out, err = command.run()
        assert (status, out) == (0, expected), err
        assert len([path for path in (cache / "looks").iterdir() if path.is_dir()]) == 1


def test_what_was_measured_of_other_models_and_pictures_is_not_taken(command, tmp_path):
    status, length, first, err = command.run()
    assert status == 0, err
    save_model(tmp_path / "model.keras", 1)
    command.run(kill=signal.SIGINT, after=0.7 * length)
    other = command.run()[2]
    assert other != first
    # The picture that was the best becomes another.
    save_model(tmp_path / "model.keras", 0)
    best = json.loads(first)[0]["top"][0]["image"]
    Image.new("RGB", (48, 48)).save(tmp_path / best)
    command.run(kill=signal.SIGINT, after=0.7 * length)
    with_black = command.run()[2]
    (tmp_path / "cache").rename(tmp_path / "aside")
    assert command.run()[2] == with_black != first
