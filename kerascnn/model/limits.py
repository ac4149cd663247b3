"""How much a model from elsewhere may ask for before anything of it is built, and while it is.

Keras builds whatever a configuration says, and a few kilobytes can say much: layers in layers that
are all called again and again, a Sequential, which is built anew with each layer that is added to
it, names that stand in the path of each weight, pictures of a terabyte.

The largest model of `keras.applications`, NASNetLarge, has a configuration of 1 MiB with 12 levels,
calls some 1,100 layers and is built in 1.2 seconds without its values.
"""

from __future__ import annotations

import ctypes
import gc
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from kerascnn.model.inputs import DEFAULT_SIDE
from kerascnn.zips import quote

if TYPE_CHECKING:
    import keras

Result = TypeVar("Result")

# Lists and objects in one another.
MOST_LEVELS = 200
MOST_CHARACTERS = {"name": 1_000, "other": 100_000}
# So many calls of layers are built in a few seconds; a model of real weights may have more.
HARMLESS_CALLS = 10_000
WEIGHTS_A_CALL = 100
# Of a tensor, for one picture; in float32, 2 GiB.
MOST_VALUES = 2**29
# Of the processor; a model of real weights may take more.
HARMLESS_SECONDS = 10
WEIGHTS_A_SECOND = 2**18
# What is a class in a configuration, and no layer.
NO_LAYERS = ("keras.initializers", "keras.regularizers", "keras.constraints", "builtins")


def check_config(config: dict, num_stored: int) -> None:
    """Refuse a configuration that would be built for minutes or fill the memory.

    Args:
        config: what `config.json` holds.
        num_stored: values that the weights hold.

    Raises:
        ValueError: saying of what there is too much.
    """
    for key, value, level in _walk(config):
        if level > MOST_LEVELS:
            raise ValueError(f"its config.json has more than {MOST_LEVELS} levels")
        if isinstance(value, str):
            _check_text(key, value)
        elif key.endswith("shape") and isinstance(value, list):
            _check_values(value, f"its {quote(key)}")
        elif key == "inbound_nodes":
            _check_nodes(value)
    most = HARMLESS_CALLS + num_stored // WEIGHTS_A_CALL
    calls = _count_calls(config)
    if calls > most:
        raise ValueError(f"it takes {_short(calls)} calls of layers to build; at most {most:,}")


def check_tensors(model: keras.Model) -> None:
    """Refuse a model which makes of one picture a tensor that fills the memory.

    Raises:
        ValueError: naming the layer.
    """
    graphs: list[object] = [model]
    for graph in graphs:  # which grows by the models in it
        for operation in getattr(getattr(graph, "_functional", None) or graph, "operations", ()):
            if hasattr(operation, "operations") or hasattr(operation, "_functional"):
                graphs.append(operation)
            for node in operation._inbound_nodes:
                for tensor in node.output_tensors:
                    _check_values(tensor.shape, f"its {quote(operation.name)}")


def in_time(work: Callable[[], Result], num_stored: int) -> Result:
    """What some work gives, done in a thread of its own, unless it keeps the processor too long.

    Args:
        work: what to do, in Python for the most part: only that can be stopped.
        num_stored: values that the weights of the model hold.

    Raises:
        ValueError: if it takes too long.
    """
    most = HARMLESS_SECONDS + num_stored / WEIGHTS_A_SECOND
    results, errors = [], []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # it is raised where the result is waited for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    start = time.process_time()
    thread.start()
    while thread.is_alive() and time.process_time() - start < most:
        thread.join(0.05)
    if thread.is_alive():
        _stop(thread)
        raise ValueError(f"it is not built within {most:.0f} seconds, too long for its weights")
    if errors:
        raise errors[0]
    return results[0]


def _walk(config: dict) -> Iterator[tuple[str, object, int]]:
    """Each value of a configuration with the key under which it, or its list, stands, and level."""
    values: list[tuple[str, object, int]] = [("", config, 1)]
    while values:
        key, value, level = values.pop()
        yield key, value, level
        if isinstance(value, dict):
            for name in value:
                yield "name", name, level
            values += [(name, each, level + 1) for name, each in value.items()]
        elif isinstance(value, list):
            values += [("", each, level + 1) for each in value]


def _check_text(key: str, text: str) -> None:
    most = MOST_CHARACTERS.get(key, MOST_CHARACTERS["other"])
    if len(text) > most:
        raise ValueError(
            f"its config.json has a text of {len(text):,} characters; at most {most:,}"
        )


def _check_values(shape: Iterable[object], name: str) -> None:
    """Refuse a shape of one picture; what is not a number is refused by Keras."""
    sizes = [
        size if size is not None else DEFAULT_SIDE if place else 1
        for place, size in enumerate(shape)
    ]
    if all(isinstance(size, int) for size in sizes) and math.prod(sizes) > MOST_VALUES:
        values = _short(math.prod(sizes))
        raise ValueError(f"{name} has {values} values for one picture; at most {MOST_VALUES:,}")


def _check_nodes(nodes: object) -> None:
    """Refuse calls without a tensor, which Keras never saves: they are computed when loaded."""
    for node in nodes if isinstance(nodes, list) else ():
        classes = (
            value.get("class_name") for _, value, _ in _walk(node) if isinstance(value, dict)
        )
        if isinstance(node, dict) and "__keras_tensor__" not in classes:
            raise ValueError("it calls a layer without a tensor, which `model.save` does not write")


def _count_calls(value: object) -> int:
    """How often layers are called to build what a configuration says."""
    if isinstance(value, list):
        return sum(map(_count_calls, value))
    if not isinstance(value, dict) or value.get("module") in NO_LAYERS:
        return 0
    inner = {key: each for key, each in value.items() if key != "inbound_nodes"}
    nodes = value.get("inbound_nodes")
    if "class_name" not in value:
        return sum(map(_count_calls, inner.values()))
    settings = inner.get("config")
    layers = settings.get("layers") if isinstance(settings, dict) else None
    if value["class_name"] == "Sequential" and isinstance(layers, list):
        # With each layer that is added, all before it are called again.
        calls = sum(
            place * _count_calls(each) for place, each in enumerate(reversed(layers), start=1)
        )
    else:
        calls = sum(map(_count_calls, inner.values()))
    return (1 + calls) * (max(1, len(nodes)) if isinstance(nodes, list) else 1)


def _short(number: int) -> str:
    return f"{number:,}" if number < 10**15 else f"10^{int(number.bit_length() * math.log10(2))}"


def _stop(thread: threading.Thread) -> None:
    """Raise an error in a thread wherever it is, some times, since code may catch it."""
    gc.disable()  # else it may be raised, and written out, in what is called when memory is freed
    thread.join(0.05)
    for _ in range(100):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
        )
        thread.join(0.02)
        if not thread.is_alive():
            break
    gc.enable()
