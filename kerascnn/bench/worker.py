"""One peer of `kerascnn bench`, in a process of its own.

The first line on standard input is an order, and answered by what the first steps of the untimed
epoch took. After that each line is a word, answered by one line of JSON: `epoch` trains until an
epoch ends, the others are asked between two epochs.
"""

import json
import re
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kerascnn.backend import require_backend
from kerascnn.bench.arithmetic import measure_arithmetic
from kerascnn.bench.clock import Clock
from kerascnn.bench.images import load_images
from kerascnn.bench.order import Order
from kerascnn.regular_files import RECORD_BYTES, read_regular

Words = dict[str, Callable[[], dict[str, object]]]


def main() -> None:
    """Train and answer words until standard input ends."""
    name = sys.argv[1]
    order = Order.of_line(sys.stdin.readline())
    peer = _build_peer(name, order)
    words: Words = {
        "about": lambda: _describe(peer),
        "floor": lambda: {"gflop_second": measure_arithmetic()},
        "network": lambda: peer.describe_network(),
        "predict": lambda: peer.time_prediction(),
        "profile": lambda: peer.tell_profile(),
    }

    def wait(numbers: dict[str, float]) -> bool:
        print(json.dumps(numbers), flush=True)
        for line in sys.stdin:
            if line.strip() == "epoch":
                return True
            print(json.dumps(words[line.strip()]()), flush=True)
        return False

    peer.train(Clock(wait, order.steps))


def denormal_share(arrays: list[np.ndarray]) -> float | None:
    """The share of denormal numbers; None where there are no numbers.

    Args:
        arrays: float32, of any shapes.
    """
    # By their bits: comparing numbers would flush them where arithmetic does.
    bits = [np.ascontiguousarray(array).view("uint32") & 0x7FFF_FFFF for array in arrays]
    count = sum(part.size for part in bits)
    found = sum(np.count_nonzero((part > 0) & (part < 0x0080_0000)) for part in bits)
    return float(found / count) if count else None


def _build_peer(name: str, order: Order):
    if name == "pytorch":
        from kerascnn.bench.pytorch_script import PyTorchScript as Peer
    elif name == "expert":
        from kerascnn.bench.expert_script import ExpertScript as Peer
    else:
        require_backend()
        if name == "keras":
            from kerascnn.bench.keras_fit import StockKeras as Peer
        elif name == "profile":
            from kerascnn.bench.profile import Profiled as Peer
        else:
            from kerascnn.bench.whole_run import Kerascnn as Peer
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(order.threads)
    return Peer(order, load_images(order.recipe, order.sizes))


def _describe(peer) -> dict[str, object]:
    return {
        "what": peer.what,
        "peak_mb": _peak_mb(),
        "denormal_share": denormal_share(peer.moments()),
    }


def _peak_mb() -> int:
    """MiB of memory that this process has had at the most."""
    if Path("/proc/self/status").exists():
        # What the system counts for the process includes that of the one that started it.
        status = read_regular("/proc/self/status", RECORD_BYTES).decode("utf-8", "replace")
        return round(int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
