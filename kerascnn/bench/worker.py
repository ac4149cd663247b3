"""One peer of `kerascnn bench`, in a process of its own.

The first line on standard input says what to train; each further line is a word, `round`, `floor`,
`about` or `network`, and is answered by one line of JSON.
"""

import json
import resource
import sys
import time

import numpy as np

from kerascnn.backend import require_backend
from kerascnn.bench import VALIDATION_IMAGES
from kerascnn.data import load_dataset
from kerascnn.recipe import parse_recipe

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
    answers = {
        "round": lambda: _round(peer),
        "floor": _floor,
        "about": lambda: _about(peer),
        "network": lambda: peer.describe_network(),
    }
    for line in sys.stdin:
        _answer(answers[line.strip()]())


def _build_peer(name: str, order: dict):
    recipe = parse_recipe(order["recipe"], "the recipe to time")
    if name == "pytorch":
        from kerascnn.bench.pytorch_script import PyTorchScript as Peer
    else:
        require_backend()
        from kerascnn.bench import keras_fit

        Peer = {"keras": keras_fit.StockKeras, "kerascnn": keras_fit.Kerascnn}[name]  # noqa: N806
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(order["threads"])
    dataset = load_dataset(recipe.data.dataset)
    # As many images as the steps need, repeated if there are too few.
    chosen = np.arange(order["steps"] * recipe.train.batch_size) % len(dataset.train_images)
    return Peer(recipe, dataset.train_images[chosen], dataset.train_labels[chosen])


def _round(peer) -> dict[str, float]:
    """Milliseconds a step, from the first one's end to the last one's; seconds of validation."""
    # Starting to train costs the same for 60 steps as for 100,000, and is left out.
    ends = peer.train()
    start = time.perf_counter()
    num_images = peer.validate()
    seconds = time.perf_counter() - start
    return {
        "step_ms": (ends[-1] - ends[0]) * 1000 / max(1, len(ends) - 1),
        "validation_seconds": seconds * VALIDATION_IMAGES / num_images,
    }


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
    return {"what": peer.what, "peak_mb": round(peak)}


def _answer(content: dict) -> None:
    print(json.dumps(content), flush=True)


if __name__ == "__main__":
    main()
