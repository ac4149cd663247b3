"""Numbers of a `state_dict` and of a Keras model: which belong together, and how each lies."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import keras
import numpy as np
import torch

from kerascnn.errors import ExchangeError
from kerascnn.zips import quote

# What PyTorch calls the variables of a batch normalization.
NORMALIZED = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
CONVOLUTION, NORMALIZATION, DENSE = "convolution", "batch normalization", "linear layer"


@dataclass(frozen=True)
class Parameter:
    """One variable of a Keras layer, and how PyTorch keeps the same numbers.

    Attributes:
        variable: of the Keras layer.
        extent: of a kernel: channels, height and width of what it is applied to.
    """

    variable: keras.Variable
    extent: tuple[int, int, int] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in PyTorch: filters or units first, channels before places."""
        shape = tuple(self.variable.shape)
        return (shape[-1], *self.extent) if len(shape) == 4 else shape[::-1]

    def to_torch(self) -> torch.Tensor:
        """The numbers as PyTorch keeps them."""
        array = keras.ops.convert_to_numpy(self.variable)
        if self.extent:
            channels, height, width = self.extent
            array = array.reshape(height, width, channels, -1).transpose(3, 2, 0, 1)
        return torch.from_numpy(np.array(array.reshape(self.shape), order="C"))

    def assign(self, array: np.ndarray) -> None:
        """Take numbers that lie as PyTorch keeps them."""
        if self.extent:
            array = array.reshape(-1, *self.extent).transpose(2, 3, 1, 0)
        self.variable.assign(array.reshape(self.variable.shape))


def _parameters_of(model: keras.Model) -> dict[str, dict[str, dict[str, Parameter]]]:
    """By kind of layer and name of layer, what PyTorch calls its variables, in order."""
    found = {CONVOLUTION: {}, NORMALIZATION: {}, DENSE: {}}
    before = model.get_layer("flatten").input.shape[1:]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            height, width, channels, _ = layer.kernel.shape
            kernel = Parameter(layer.kernel, (channels, height, width))
            found[CONVOLUTION][layer.name] = {"weight": kernel, "bias": Parameter(layer.bias)}
        elif isinstance(layer, keras.layers.Dense):
            # Keras flattens places first and channels last, PyTorch the other way round.
            height, width, channels = before
            kernel = Parameter(layer.kernel, (channels, height, width))
            found[DENSE][layer.name] = {"weight": kernel, "bias": Parameter(layer.bias)}
            before = (1, 1, layer.units)
        elif isinstance(layer, keras.layers.BatchNormalization):
            found[NORMALIZATION][layer.name] = {
                name: Parameter(getattr(layer, own)) for name, own in NORMALIZED.items()
            }
    return found


def assign_state(model: keras.Model, state: dict[str, torch.Tensor], path: Path) -> int:
    """Give the layers of a model the tensors of a state_dict, in the order of the file.

    Args:
        model: as `build_model` makes it.
        state: as `load_state` gives it.
        path: of the file, for errors.

    Returns:
        How many tensors hold numbers that had to be rounded to float32.

    Raises:
        ExchangeError: if the tensors are not those of this architecture, or not finite in float32.
    """
    modules = _modules_of(state, path)
    layers_by_kind = _parameters_of(model)
    return sum(_fill(path, kind, layers_by_kind[kind], modules[kind]) for kind in layers_by_kind)


def state_of(model: keras.Model) -> dict[str, torch.Tensor]:
    """The numbers of a model as PyTorch keeps them, by names such as `conv1.weight`."""
    return {
        f"{layer}.{name}": parameter.to_torch()
        for layers in _parameters_of(model).values()
        for layer, parameters in layers.items()
        for name, parameter in parameters.items()
    }


def _modules_of(state: dict[str, torch.Tensor], path: Path) -> dict[str, dict[str, dict]]:
    """The tensors by kind of layer and name of module, in the order of the file."""
    modules: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in state.items():
        name, _, parameter = key.rpartition(".")
        if parameter != "num_batches_tracked":
            modules.setdefault(name, {})[parameter] = tensor
    found = {CONVOLUTION: {}, NORMALIZATION: {}, DENSE: {}}
    for name, tensors in modules.items():
        found[_kind_of(name, tensors, path)][name] = tensors
    return found


def _kind_of(name: str, tensors: dict[str, torch.Tensor], path: Path) -> str:
    ranks = {4: CONVOLUTION, 2: DENSE}
    rank = tensors["weight"].ndim if "weight" in tensors else None
    if rank in ranks and not set(tensors) - {"weight", "bias"}:
        return ranks[rank]
    if "running_mean" in tensors and not set(tensors) - set(NORMALIZED):
        return NORMALIZATION
    shapes = _some(
        f"{_key(name, parameter)} {_shape(tensor.shape)}" for parameter, tensor in tensors.items()
    )
    raise ExchangeError(
        f"'{path}' holds {shapes}, which belongs to no convolution, batch normalization or linear "
        "layer of this network."
    )


def _fill(path: Path, kind: str, layers: dict[str, dict], modules: dict[str, dict]) -> int:
    """Give each layer of a kind the tensors of the module in its place; counts rounded ones."""
    if len(layers) != len(modules):
        some = f" ({_some(map(quote, modules))})" if modules else ""
        raise ExchangeError(
            f"'{path}' holds {len(modules)} of kind {kind}{some}; the recipe's network has "
            f"{len(layers)}. Set model.filters to fit the weights."
        )
    num_rounded = 0
    for (layer, parameters), (name, tensors) in zip(layers.items(), modules.items(), strict=True):
        for parameter, place in parameters.items():
            key, expected = _key(name, parameter), _shape(place.shape)
            if parameter not in tensors:
                raise ExchangeError(
                    f"'{path}' has no {key}; {layer} needs it, of shape {expected}."
                )
            tensor = tensors[parameter]
            if tuple(tensor.shape) != place.shape:
                raise ExchangeError(
                    f"{key} of '{path}' has shape {_shape(tensor.shape)}; {layer} of the recipe "
                    f"expects {expected}. Fit the recipe to the weights by --set model.KEY=VALUE."
                )
            numbers = tensor.to(torch.float32)
            if not numbers.isfinite().all():
                raise ExchangeError(
                    f"{key} of '{path}' holds numbers that are not finite in float32."
                )
            num_rounded += not torch.equal(numbers.to(tensor.dtype), tensor)
            place.assign(numbers.numpy(force=True))
    return num_rounded


def _key(name: str, parameter: str) -> str:
    """A key as errors quote it."""
    return quote(f"{name}.{parameter}" if name else parameter)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"


def _some(parts: Iterable[str], most: int = 8) -> str:
    """The first of some parts of a message."""
    first = list(islice(parts, most + 1))
    return ", ".join(first[:most]) + (", ..." if len(first) > most else "")
