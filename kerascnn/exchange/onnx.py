"""A network as an ONNX file, or as a program of PyTorch."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import torch
from torch import nn

from kerascnn.errors import ExchangeError
from kerascnn.exchange.interface import Interface, Network, Tensor, half_precision

METADATA = "kerascnn"


def require_onnx() -> None:
    """Refuse with what to install where ONNX cannot be written."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExchangeError(
            f"ONNX needs {' and '.join(missing)}: `pip install 'kerascnn[onnx]'` installs it."
        )


def require_torch(kind: str) -> None:
    """Refuse with what to do where torch is not the backend."""
    backend = keras.config.backend()
    if backend != "torch":
        raise ExchangeError(
            f"{kind} can be written on the backend torch, which need not be the one that trained; "
            f"this is {backend}. Use `KERAS_BACKEND=torch kerascnn export ...`."
        )


class OfPixels(nn.Module):
    """The network of a run with the input of its Keras model: NHWC, values from 0 to 255."""

    def __init__(self, network: nn.Sequential):
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.network(image.permute(0, 3, 1, 2) * (1 / 127.5) - 1.0),)


def require_runnable(model: keras.Model) -> None:
    """Refuse what could be written as ONNX, but ONNX Runtime has no operations for."""
    if half_precision(model, ("bfloat16",)):
        raise ExchangeError(
            "The model computes in bfloat16, which ONNX Runtime does not: build it with the policy "
            "float32, give it these weights, and save that."
        )


class OfModel(nn.Module):
    """A Keras model on torch, as a module with all inputs and outputs in a row."""

    def __init__(self, network: Network):
        super().__init__()
        self.model, self._call = network.model, network.call

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._call(*inputs)


def save_onnx(module: nn.Module, interface: Interface, path: Path) -> None:
    """Write a module as an ONNX file, whose metadata says what it takes and gives."""
    with quiet():
        program = torch.onnx.export(
            module.eval(),
            _samples(interface),
            input_names=[each.name for each in interface.inputs],
            output_names=[each.name for each in interface.outputs],
            dynamic_shapes=_free_sizes(module, interface, has_names=True),
            dynamo=True,
            verbose=False,
        )
        program.model.metadata_props[METADATA] = interface.model_dump_json()
        program.model.doc_string = " ".join(interface.lines())
        program.save(path, external_data=False)


def save_program(module: nn.Module, interface: Interface, path: Path) -> None:
    """Write a module as a program that `torch.export.load` gives."""
    with quiet():
        program = torch.export.export(
            module.eval(),
            _samples(interface),
            dynamic_shapes=_free_sizes(module, interface, has_names=False),
            strict=False,
        )
        torch.export.save(program, path, extra_files={METADATA: interface.model_dump_json()})


def _samples(interface: Interface) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with; a size of 1 would be taken for one that is fixed."""

    def zeros(tensor: Tensor) -> torch.Tensor:
        shape = [
            size if isinstance(size, int) else 2 if place == 0 else 64
            for place, size in enumerate(tensor.shape)
        ]
        return torch.zeros(shape, dtype=getattr(torch, tensor.dtype))

    return tuple(map(zeros, interface.inputs))


def _free_sizes(module: nn.Module, interface: Interface, has_names: bool) -> object:
    """By input the sizes that are not fixed; the number of images is the same for all."""
    known: dict[str, object] = {}

    def free(place: int, size: str) -> object:
        if place and not has_names:  # how small a picture may be follows from the layers
            return torch.export.Dim.DYNAMIC
        return known.setdefault(size, torch.export.Dim(size))

    sizes = tuple(
        {place: free(place, size) for place, size in enumerate(each.shape) if isinstance(size, str)}
        for each in interface.inputs
    )
    return (sizes,) if isinstance(module, OfModel) else sizes


@contextmanager
def quiet() -> Iterator[None]:
    """Exporters tell of their own deprecations, and of packages that they could also use."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
