"""What tests of the page show: a run of a folder with hostile class names, and a made-up audit."""

import sys

import numpy as np
import pytest
from PIL import Image

from kerascnn.cli import main
from kerascnn.records.study import Audit, AuditedClaim, AuditedReading, ReadingFinding, Verdict
from kerascnn.run import Run

HOSTILE = ("<img src=x onerror=alert(1)>", '"><b onclick=alert(2)>', "plain & simple")
SCRIPT = "</script><script>alert(3)</script>"
FILTERS, NUM_TRAIN, NUM_TEST = 6, 14, 10
SMALL = ("--batch-size", "6", "--set", f"model.filters=[{FILTERS}, 8]", "--set", "model.units=8")

VERDICTS = tuple(Verdict)


def draw_folder(root):
    """A folder of classes, three colors with noise, of 32x32 pixels."""
    random = np.random.default_rng(0)
    for label, name in enumerate(HOSTILE):
        for split, count in (("train", NUM_TRAIN), ("test", NUM_TEST)):
            directory = root / split / name
            directory.mkdir(parents=True)
            for number in range(count):
                image = random.integers(0, 120, (32, 32, 3), dtype="uint8")
                image[..., label] += 100
                Image.fromarray(image).save(directory / f"{number}.png")
    return root


def train_run(directory, folder, recipe="sgd-lr0.01", seed=0):
    """A run of two epochs on the folder, through the command line, in `directory/runs`."""
    before = set(directory.glob("runs/*"))
    arguments = ["--dataset", folder, "--epochs", 2, "--seed", seed, *SMALL]
    arguments += ["--set", "model.pool_after=[1, 2]", "--runs-dir", directory / "runs", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["kerascnn", "run", recipe, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    return Run((set(directory.glob("runs/*")) - before).pop())


def make_audit():
    """An audit with two claims of each verdict, one of them hostile."""
    readings = {
        name: ReadingFinding(
            verdict=Verdict.HOLDS,
            evidence="One sentence.",
            reported=0.76,
            measured=0.804 if name == "every-block" else None,
            num_runs=3,
        )
        for name in ("every-block", "pool-after-1")
    }
    claims = [
        AuditedClaim(
            name=f"claim/{number}",
            text=f"Statement {number} {SCRIPT if number == 3 else ''}",
            where="Task 1" if number % 2 else "Task 1, first paragraph · Task 2",
            recipes=["sgd-lr0.01"],
            verdict=VERDICTS[number % len(VERDICTS)],
            evidence=f"Measured 80.4 %, reported 76 %. {SCRIPT if number == 3 else ''}",
            closest=None if number % 2 else "pool-after-1",
            readings=readings,
        )
        for number in range(2 * len(VERDICTS))
    ]
    reading = AuditedReading(name="every-block", title="pooling after every block", num_runs=3)
    return Audit(readings=[reading], counts=dict.fromkeys(VERDICTS, 2), left_out=[], claims=claims)
