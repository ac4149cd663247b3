"""Weights to and from PyTorch, and out to ONNX and plain Keras: a file becomes a run, a run a file.

The network takes images as kerascnn's own models scale them: values from 0 to 255, divided by
127.5, less 1, which is torchvision's `ToTensor` and `Normalize((0.5,) * 3, (0.5,) * 3)`. A
`state_dict` says nothing of it: weights that were trained on other values convert without an error
and predict badly.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import keras
import numpy as np
import torch
from torch import nn

from kerascnn.backend import describe_backend, require_backend
from kerascnn.data import shape_of_dataset
from kerascnn.errors import ExchangeError
from kerascnn.evaluation import load_best_model
from kerascnn.model.build import build_model
from kerascnn.model.load import check_sizes
from kerascnn.recipe import Recipe
from kerascnn.records.run import ConvertedFrom, Environment
from kerascnn.run import Run
from kerascnn.run.files import sha256, write_whole
from kerascnn.run.find import create_run
from kerascnn.show.words import visible

FORMATS = ("torch", "onnx", "keras")
# Where a checkpoint keeps the state_dict.
CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
# What a layer's variables are called in PyTorch.
WEIGHTED = {"weight": "kernel", "bias": "bias"}
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
        shape: in PyTorch.
        extent: of a kernel: channels, height and width of what it is applied to.
    """

    variable: keras.Variable
    shape: tuple[int, ...]
    extent: tuple[int, int, int] | None = None

    def to_torch(self) -> torch.Tensor:
        """The numbers as PyTorch keeps them: filters or units first, channels before places."""
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


def convert(weights: str | Path, recipe: Recipe, runs_dir: str | Path = "runs") -> Run:
    """Make a run of a PyTorch `state_dict`, as if it had been trained here; it has no history.

    Names do not matter: the convolutions of the file are taken in its order, and so are its batch
    normalizations and its linear layers. Numbers are stored as float32.

    Args:
        weights: file that `torch.save` wrote, a `state_dict` or a checkpoint that holds one; it is
            loaded with `weights_only=True`, which runs no code of the file.
        recipe: its `model` section says the architecture, its `data` section the size of the images
            and the number of classes.
        runs_dir: where the run directory is made.

    Raises:
        ExchangeError: if the file cannot be read, or does not hold this architecture.
        DatasetError: if the data set of the recipe is a folder that cannot be read.
        RunError: if the run cannot be written.
    """
    require_backend()
    path = Path(weights)
    modules = _modules_of(_load_state(path), path)
    image_shape, num_classes = shape_of_dataset(recipe.data.dataset)
    model = build_model(recipe, image_shape, num_classes)
    for kind, layers in _parameters(model).items():
        _fill(path, kind, layers, modules[kind])
    run = create_run(recipe, runs_dir)
    run.write_environment(
        Environment(
            **describe_backend(),
            num_parameters=model.count_params(),
            converted_from=ConvertedFrom(file=path.name, sha256=sha256(path)),
            started=datetime.now().astimezone().isoformat(timespec="seconds"),
        )
    )
    run.write_best(model.save)
    return run


def export(run: Run, file: str | Path, kind: str, overwrite: bool = False) -> Path:
    """Write the network of a run, at its lowest validation loss, to one file.

    Args:
        run: with a model.
        file: where to.
        kind: `torch`, a `state_dict` for the module that `build_network` makes; `onnx`, from images
            (num_images, height, width, channels), float32 from 0 to 255, to logits, for any number
            of images; or `keras`, stock layers alone, from the same images.
        overwrite: whether an existing file may be replaced.

    Raises:
        ExchangeError: if the file exists, or what writes the kind is not installed.
        RunError: if the run has no model, or the file cannot be written.
    """
    file = Path(file)
    if kind not in FORMATS:
        raise ExchangeError(f"Format '{kind}' is not known; expected {', '.join(FORMATS)}.")
    if kind == "keras" and file.suffix != ".keras":
        raise ExchangeError(f"'{file}' must end in .keras; Keras loads no other file as a model.")
    if file.exists() and not overwrite:
        raise ExchangeError(
            f"'{file}' exists already; choose another name, or --force replaces it."
        )
    if kind == "onnx":
        _require_onnx()
    require_backend()
    model = load_best_model(run)
    if kind == "keras":
        return write_whole(file, model.save)
    network = _network_of(run, model)
    if kind == "torch":
        return write_whole(file, lambda path: torch.save(network.state_dict(), path))
    return write_whole(file, lambda path: _save_onnx(network, model.input_shape[1:], path))


def build_network(
    recipe: Recipe, image_shape: tuple[int, int, int] = (32, 32, 3), num_classes: int = 10
) -> nn.Sequential:
    """The network of a recipe as a plain PyTorch module, with PyTorch's own initial weights.

    Its modules are called as the Keras layers are: `conv1`, `bn1`, ..., `fc1`, `logits`.

    Input shape:
        (num_images, channels, height, width), float32 from -1 to 1.

    Output shape:
        (num_images, num_classes), logits.
    """
    settings = recipe.model
    height, width, channels = image_shape
    modules: dict[str, nn.Module] = {}
    for block, filters in enumerate(settings.filters, start=1):
        convolution = nn.Conv2d(channels, filters, settings.kernel_size, padding="same")
        modules[f"conv{block}"] = convolution
        modules[f"bn{block}"] = nn.BatchNorm2d(filters)
        modules[f"relu{block}"] = nn.ReLU()
        if block in settings.pool_after:
            modules[f"pool{block}"] = nn.MaxPool2d(2)
            height, width = height // 2, width // 2
        channels = filters
    head = {
        "flatten": nn.Flatten(),
        "dropout1": nn.Dropout(settings.dropout),
        "fc1": nn.Linear(channels * height * width, settings.units),
        f"relu{len(settings.filters) + 1}": nn.ReLU(),
        "dropout2": nn.Dropout(settings.dropout),
        "logits": nn.Linear(settings.units, num_classes),
    }
    return nn.Sequential(OrderedDict(modules | head))


def loading_script(run: Run, file: str | Path) -> str:
    """A Python script that loads what `export` wrote as `torch`, and needs PyTorch alone."""
    model = load_best_model(run)
    shape, num_classes = model.input_shape[1:], model.output_shape[-1]
    height, width, channels = shape
    network = build_network(run.recipe, shape, num_classes)
    lines = "\n".join(
        f'    ("{name}", nn.{_call(module)}),' for name, module in network.named_children()
    )
    return (
        f"# The network of {visible(run.name)}.\n"
        f"# It takes float images (num_images, {channels}, {height}, {width}):\n"
        "# values from 0 to 255, divided by 127.5, less 1. It gives logits.\n"
        "from collections import OrderedDict\n\n"
        "import torch\n"
        "from torch import nn\n\n"
        f"network = nn.Sequential(OrderedDict([\n{lines}\n]))\n"
        f"network.load_state_dict(torch.load({json.dumps(str(file))}, weights_only=True))\n"
        "network.eval()\n"
    )


def _call(module: nn.Module) -> str:
    """How a module of `build_network` is made; its `repr` depends on the version of torch."""
    match module:
        case nn.Conv2d():
            size = module.kernel_size[0]
            given = f'{module.in_channels}, {module.out_channels}, {size}, padding="same"'
        case nn.BatchNorm2d():
            given = module.num_features
        case nn.MaxPool2d():
            given = module.kernel_size
        case nn.Dropout():
            given = module.p
        case nn.Linear():
            given = f"{module.in_features}, {module.out_features}"
        case _:
            given = ""
    return f"{type(module).__name__}({given})"


def _parameters(model: keras.Model) -> dict[str, dict[str, dict[str, Parameter]]]:
    """By kind of layer and name of layer, what PyTorch calls its variables, in order."""
    found = {CONVOLUTION: {}, NORMALIZATION: {}, DENSE: {}}
    before = model.get_layer("flatten").input.shape[1:]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            height, width, channels, filters = layer.kernel.shape
            extent = (channels, height, width)
            kernel = Parameter(layer.kernel, (filters, *extent), extent)
            found[CONVOLUTION][layer.name] = {"weight": kernel, "bias": _vector(layer.bias)}
        elif isinstance(layer, keras.layers.Dense):
            # Keras flattens places first and channels last, PyTorch the other way round.
            height, width, channels = before
            kernel = Parameter(layer.kernel, layer.kernel.shape[::-1], (channels, height, width))
            found[DENSE][layer.name] = {"weight": kernel, "bias": _vector(layer.bias)}
            before = (1, 1, layer.units)
        elif isinstance(layer, keras.layers.BatchNormalization):
            found[NORMALIZATION][layer.name] = {
                name: _vector(getattr(layer, own)) for name, own in NORMALIZED.items()
            }
    return found


def _vector(variable: keras.Variable) -> Parameter:
    return Parameter(variable, tuple(variable.shape))


def _load_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by their keys."""
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
    for key in CHECKPOINT_KEYS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise ExchangeError(f"'{path}' holds no state_dict but a {type(content).__name__}.")
    strange = [key for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise ExchangeError(
            f"'{path}' holds '{strange[0]}', which is no tensor; expected a state_dict, or a "
            f"checkpoint with one under {' or '.join(CHECKPOINT_KEYS)}."
        )
    return {str(key): value for key, value in content.items()}


def _reason(error: Exception) -> str:
    """Why torch does not load a file, without its page of advice."""
    if "weights_only" in str(error) or "Unsupported" in str(error):
        return "it holds objects that could run code"
    if "unfold" in str(error):
        return str(error)
    return "torch cannot read it"


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
    if rank in ranks and not set(tensors) - set(WEIGHTED):
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


def _network_of(run: Run, model: keras.Model) -> nn.Sequential:
    """The PyTorch module with the weights of the run's model."""
    network = build_network(run.recipe, model.input_shape[1:], model.output_shape[-1])
    state = network.state_dict()
    own = {
        f"{layer}.{name}": parameter.to_torch()
        for layers in _parameters(model).values()
        for layer, parameters in layers.items()
        for name, parameter in parameters.items()
    }
    tracked = {key for key in state if key.endswith("num_batches_tracked")}
    shapes = {key: tensor.shape for key, tensor in own.items()}
    if shapes != {key: state[key].shape for key in state.keys() - tracked}:
        raise ExchangeError(f"best.keras of run '{run.name}' is not the network of its recipe.")
    network.load_state_dict(state | own)
    return network.eval()


def _require_onnx() -> None:
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


def _save_onnx(network: nn.Sequential, image_shape: tuple[int, int, int], path: Path) -> None:
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
