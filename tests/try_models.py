"""Try many people's models: look at each as a user does, and recount the numbers with plain Keras.

    python tests/try_models.py                # all
    python tests/try_models.py applications   # of keras.applications
    python tests/try_models.py examples       # as Keras's public examples build them
    python tests/try_models.py NAME...

on the backend of KERAS_BACKEND, torch by default. Each model has random weights and a process of
its own, with bounded memory and time. Prints a row each: what it is called, its parameters, the
layer that is looked at by default, the largest difference from the recount in scores, feature maps
and probabilities (as a share of the largest number) and the seconds it took; or the refusal. Ends
with status 1 if a difference is too large, or anything but the expected refusal comes.
"""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS), str(TESTS.parent)]
MOST_BYTES, MOST_SECONDS = 10 * 2**30, 900


@dataclass(frozen=True)
class Row:
    """What is printed of a model, and whether it is as it should be."""

    text: str
    is_right: bool


def main() -> int:
    from made.tried import APPLICATIONS, EXAMPLES

    groups = {"examples": EXAMPLES, "applications": APPLICATIONS}
    known = EXAMPLES | APPLICATIONS
    asked = sys.argv[1:] or list(groups)
    names = [name for each in asked for name in groups.get(each, [each])]
    if unknown := [name for name in names if name not in known]:
        print(f"There is no model '{unknown[0]}'; there are {', '.join(known)}.", file=sys.stderr)
        return 2
    print(_versions(), flush=True)
    wrong = []
    for name in names:
        row = _try(name, known[name])
        print(row.text, flush=True)
        wrong += [] if row.is_right else [name]
    print(f"{len(names) - len(wrong)} of {len(names)} as they should be")
    if wrong:
        print(f"Not so: {', '.join(wrong)}")
    return 1 if wrong else 0


def _try(name: str, tried) -> Row:
    if why := tried.not_on.get(os.environ["KERAS_BACKEND"]):
        return Row(f"{name:34} not tried: {why}", True)
    outcome, failure = _in_a_process(name)
    if outcome is None:
        return Row(f"{name:34} FAILED: {failure}", False)
    size = f"{outcome['parameters'] / 1e6:6.1f} M"
    if refusal := outcome["refusal"]:
        is_right = bool(tried.refusal) and tried.refusal in refusal and "\n" not in refusal
        return Row(
            f"{name:34} {size}  {'' if is_right else 'WRONGLY '}refused: {refusal}", is_right
        )
    is_right = outcome["error"] <= tried.tolerance and not tried.refusal
    note = "" if is_right else f"  WRONG: {outcome['worst']}"
    for layer, words in outcome["refused_layers"].items():
        note += f"\n{'':34}   {layer} refused: {words}"
    default = outcome["default"] or "(no convolution)"
    numbers = f"{outcome['error']:.1e}  {outcome['seconds']:5.1f} s"
    looked = f"{default}; {len(outcome['layers'])} layers"
    return Row(f"{name:34} {size}  {numbers}  {looked}{note}", is_right)


def _in_a_process(name: str) -> tuple[dict | None, str]:
    """The outcome of a trial, or None and why there is none."""
    paths = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    began = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "made.trial", name],
            env=environment, capture_output=True, text=True, timeout=MOST_SECONDS,
            preexec_fn=_bound_memory,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"not done within {MOST_SECONDS} seconds"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no words"])[-1]
        seconds = time.perf_counter() - began
        return None, f"{last} (status {done.returncode}, after {seconds:.0f} s)"
    return json.loads(done.stdout.splitlines()[-1]), ""


def _bound_memory() -> None:
    # Of what is written to: backends reserve far more of addresses than they ever use.
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


def _versions() -> str:
    from importlib.metadata import version

    backend = os.environ["KERAS_BACKEND"]
    return f"Keras {version('keras')} on {backend} {version(backend)}"


if __name__ == "__main__":
    sys.exit(main())
