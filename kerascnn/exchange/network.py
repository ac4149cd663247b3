"""The network of a recipe as a plain PyTorch module, and the script that loads its weights."""

import json
from collections import OrderedDict
from pathlib import Path

import keras
from torch import nn

from kerascnn.errors import ExchangeError
from kerascnn.evaluation import load_best_model
from kerascnn.exchange.weights import state_of
from kerascnn.recipe import Recipe
from kerascnn.run import Run
from kerascnn.show.words import visible


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
    height, width, channels = shape = model.input_shape[1:]
    network = build_network(run.recipe, shape, model.output_shape[-1])
    calls = (f'    ("{name}", nn.{_call(module)}),' for name, module in network.named_children())
    lines = "\n".join(calls)
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


def network_of(run: Run, model: keras.Model) -> nn.Sequential:
    """The PyTorch module with the weights of the run's model."""
    network = build_network(run.recipe, model.input_shape[1:], model.output_shape[-1])
    state = network.state_dict()
    tracked = {key: state[key] for key in state if key.endswith("num_batches_tracked")}
    try:
        network.load_state_dict(tracked | state_of(model))
    except RuntimeError:  # by torch, where names or shapes differ
        raise ExchangeError(
            f"best.keras of run '{run.name}' is not the network of its recipe."
        ) from None
    return network.eval()
