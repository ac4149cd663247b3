"""A network as an ONNX file."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from kerascnn.errors import ExchangeError


def require_onnx() -> None:
    """Refuse with what to install where ONNX cannot be written."""
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExchangeError(
            f"ONNX needs {' and '.join(missing)}: `pip install 'kerascnn[onnx]'` installs it."
        )


class _OfPixels(nn.Module):
    """The network with the input of the Keras model: NHWC, values from 0 to 255."""

    def __init__(self, network: nn.Sequential):
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image.permute(0, 3, 1, 2) * (1 / 127.5) - 1.0)


def save_onnx(network: nn.Sequential, image_shape: tuple[int, int, int], path: Path) -> None:
    """Write a network, with the input of the Keras model, as an ONNX file."""
    with _quiet():
        torch.onnx.export(
            _OfPixels(network).eval(),
            (torch.zeros(2, *image_shape),),
            path,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes={"image": {0: torch.export.Dim("num_images")}},
            external_data=False,
            dynamo=True,
            verbose=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """PyTorch's exporter tells of its own deprecations, and that there is no torchvision."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
