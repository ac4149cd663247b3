"""Weights to and from PyTorch, and out to ONNX and plain Keras: a file becomes a run, a run a file.

The network takes images as kerascnn's own models scale them: values from 0 to 255, divided by
127.5, less 1, which is torchvision's `ToTensor` and `Normalize((0.5,) * 3, (0.5,) * 3)`. A
`state_dict` says nothing of it: weights that were trained on other values convert without an error
and predict badly.

    state_file  the tensors of a file of `torch.save`
    weights     the numbers of a state_dict and of a Keras model, which belong together
    network     the network as a PyTorch module, and the script that loads it
    onnx        the network as an ONNX file
"""

from datetime import datetime
from pathlib import Path

import torch

from kerascnn.backend import describe_backend, require_backend
from kerascnn.data import shape_of_dataset
from kerascnn.errors import ExchangeError
from kerascnn.evaluation import load_best_model
from kerascnn.exchange.network import network_of
from kerascnn.exchange.onnx import require_onnx, save_onnx
from kerascnn.exchange.state_file import load_state
from kerascnn.exchange.weights import assign_state
from kerascnn.model.build import build_model
from kerascnn.recipe import Recipe
from kerascnn.records.run import ConvertedFrom, Environment
from kerascnn.run import Run
from kerascnn.run.files import sha256, write_whole
from kerascnn.run.find import create_run

FORMATS = ("torch", "onnx", "keras")


def convert(weights: str | Path, recipe: Recipe, runs_dir: str | Path = "runs") -> Run:
    """Make a run of a PyTorch `state_dict`, as if it had been trained here; it has no history.

    Names do not matter: the convolutions of the file are taken in its order, and so are its batch
    normalizations and its linear layers. Numbers are stored as float32; of float64 ones, the run's
    environment says in how many tensors they had to be rounded.

    Args:
        weights: file that `torch.save` wrote, a `state_dict` or a checkpoint that holds one; it is
            loaded with `weights_only=True`, which runs no code of the file.
        recipe: its `model` section says the architecture, its `data` section the size of the images
            and the number of classes.
        runs_dir: where the run directory is made.

    Raises:
        ExchangeError: if the file cannot be read, or does not hold this architecture in dense
            tensors of real, finite floating-point numbers.
        DatasetError: if the data set of the recipe is a folder that cannot be read.
        RunError: if the run cannot be written.
    """
    require_backend()
    path = Path(weights)
    state = load_state(path)
    image_shape, num_classes = shape_of_dataset(recipe.data.dataset)
    model = build_model(recipe, image_shape, num_classes)
    num_rounded = assign_state(model, state, path)
    source = ConvertedFrom(file=path.name, sha256=sha256(path), num_rounded=num_rounded)
    run = create_run(recipe, runs_dir)
    run.write_environment(
        Environment(
            **describe_backend(),
            num_parameters=model.count_params(),
            converted_from=source,
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
        require_onnx()
    require_backend()
    model = load_best_model(run)
    if kind == "keras":
        return write_whole(file, model.save)
    network = network_of(run, model)
    if kind == "torch":
        return write_whole(file, lambda path: torch.save(network.state_dict(), path))
    return write_whole(file, lambda path: save_onnx(network, model.input_shape[1:], path))
