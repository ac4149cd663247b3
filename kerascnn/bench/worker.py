"""One peer of `kerascnn bench`, in a process of its own.

The first line on standard input says what to train; each further line is a word, `round`, `floor`
or `about`, and is answered by one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

# Rows, columns and depth of the matrix product that measures how fast the processor can be.
MATRIX = 1024


def main() -> None:
    """Answer words until standard input ends."""
    name = sys.argv[1]
    order = json.loads(sys.stdin.readline())
    peer = _build_peer(name, order)
    peer.train()  # warm-up: what is compiled is compiled, what is allocated is there
    peer.validate()
    _answer({})
    answers = {"round": lambda: _round(peer), "floor": _floor, "about": lambda: _about(peer)}
    for line in sys.stdin:
        _answer(answers[line.strip()]())


def _build_peer(name: str, order: dict):
    from kerascnn.recipe import parse_recipe

    recipe = parse_recipe(order["recipe"], "the recipe to time")
    if name == "pytorch":
        from kerascnn.bench.pytorch_script import PyTorchScript as Peer
    else:
        from kerascnn.backend import require_backend

        require_backend()
        from kerascnn.bench import keras_fit

        Peer = {"keras": keras_fit.StockKeras, "kerascnn": keras_fit.Kerascnn}[name]  # noqa: N806
    _set_threads(order["threads"])
    return Peer(recipe, *_images(recipe, order["steps"]))


def _images(recipe, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """As many training images of the recipe's data set as the steps need, repeated if too few."""
    from kerascnn.data import load_dataset

    dataset = load_dataset(recipe.data.dataset)
    chosen = np.arange(steps * recipe.train.batch_size) % len(dataset.train_images)
    return dataset.train_images[chosen], dataset.train_labels[chosen]


def _set_threads(threads: int) -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def _round(peer) -> dict[str, float]:
    return {"step_ms": peer.train(), "validation_seconds": peer.validate()}


def _floor() -> dict[str, float]:
    """Measured float32 matrix product, in 10**9 multiplications and additions a second."""
    import torch

    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        seconds.append((time.perf_counter() - start) / 5)
    return {"gflop_second": 2 * MATRIX**3 / min(seconds) / 1e9}


def _about(peer) -> dict[str, object]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"what": peer.what, "peak_mb": round(peak), **peer.about()}


def _answer(content: dict) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
