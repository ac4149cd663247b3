"""Numbers of a `state_dict` and of a Keras model: which belong together, and how each lies."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import torch

from kerascnn.errors import ExchangeError
from kerascnn.zips import check_sizes

# Where a checkpoint keeps the state_dict.
CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
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


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that `torch.save` wrote, by their keys; no code of it is run.

    Raises:
        ExchangeError: if the file cannot be read, or holds no state_dict.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                check_sizes(archive.infolist())
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ExchangeError(f"'{path}' cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # torch and pickle raise many kinds
        raise ExchangeError(
            f"'{path}' is no file of weights alone ({_reason(error)}); write one with "
            "`torch.save(network.state_dict(), 'weights.pt')`."
        ) from None
    if isinstance(content, dict):
        inner = (content[key] for key in CHECKPOINT_KEYS if isinstance(content.get(key), dict))
        content = next(inner, content)
    if not isinstance(content, dict) or not content:
        raise ExchangeError(f"'{path}' holds no state_dict but a {type(content).__name__}.")
    strange = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise ExchangeError(
            f"'{path}' holds '{strange[0]}', which is no tensor; expected a state_dict, or a "
            f"checkpoint with one under {' or '.join(CHECKPOINT_KEYS)}."
        )
    return {str(key): value for key, value in content.items()}


def assign_state(model: keras.Model, state: dict[str, torch.Tensor], path: Path) -> None:
    """Give the layers of a model the tensors of a state_dict, in the order of the file.

    Args:
        model: as `build_model` makes it.
        state: as `load_state` gives it.
        path: of the file, for errors.

    Raises:
        ExchangeError: if the tensors are not those of this architecture, or not finite.
    """
    modules = _modules_of(state, path)
    for kind, layers in _parameters_of(model).items():
        _fill(path, kind, layers, modules[kind])


def state_of(model: keras.Model) -> dict[str, torch.Tensor]:
    """The numbers of a model as PyTorch keeps them, by names such as `conv1.weight`."""
    return {
        f"{layer}.{name}": parameter.to_torch()
        for layers in _parameters_of(model).values()
        for layer, parameters in layers.items()
        for name, parameter in parameters.items()
    }


def _reason(error: Exception) -> str:
    """Why torch does not load a file, without its page of advice."""
    text = str(error)
    if "weights_only" in text or "Unsupported" in text:
        return "it holds objects that could run code"
    return text if "unfold" in text else "torch cannot read it"


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
    shapes = ", ".join(
        f"'{_key(name, parameter)}' {_shape(tensor.shape)}" for parameter, tensor in tensors.items()
    )
    raise ExchangeError(
        f"'{path}' holds {shapes}, which belongs to no convolution, batch normalization or linear "
        "layer of this network."
    )


def _fill(path: Path, kind: str, layers: dict[str, dict], modules: dict[str, dict]) -> None:
    """Give each layer of a kind the tensors of the module in its place."""
    if len(layers) != len(modules):
        some = f" ({', '.join(modules)})" if modules else ""
        raise ExchangeError(
            f"'{path}' holds {len(modules)} of kind {kind}{some}; the recipe's network has "
            f"{len(layers)}. Set model.filters to fit the weights."
        )
    for (layer, parameters), (name, tensors) in zip(layers.items(), modules.items(), strict=True):
        for parameter, place in parameters.items():
            key, expected = _key(name, parameter), _shape(place.shape)
            if parameter not in tensors:
                raise ExchangeError(
                    f"'{path}' has no '{key}'; {layer} needs it, of shape {expected}."
                )
            tensor = tensors[parameter]
            if tuple(tensor.shape) != place.shape:
                raise ExchangeError(
                    f"'{key}' of '{path}' has shape {_shape(tensor.shape)}; {layer} of the recipe "
                    f"expects {expected}. Fit the recipe to the weights by --set model.KEY=VALUE."
                )
            numbers = tensor.to(torch.float32).numpy()
            if not np.isfinite(numbers).all():
                raise ExchangeError(f"'{key}' of '{path}' holds numbers that are not finite.")
            place.assign(numbers)


def _key(name: str, parameter: str) -> str:
    return f"{name}.{parameter}" if name else parameter


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "()"
