"""Weights to and from PyTorch, and networks out to other software.

A network of a run takes images as kerascnn's own models scale them: values from 0 to 255, divided
by 127.5, less 1, which is torchvision's `ToTensor` and `Normalize((0.5,) * 3, (0.5,) * 3)`. A
`state_dict` says nothing of it: weights that were trained on other values convert without an error
and predict badly.

    state_file  the tensors of a file of `torch.save`
    weights     the numbers of a state_dict and of a Keras model, which belong together
    network     the network as a PyTorch module, and the script that loads it
    interface   what an exported network takes and gives
    onnx        a network as an ONNX file, or a program of PyTorch
    tensorflow  a network as a SavedModel, or a LiteRT file
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

import torch

from kerascnn.backend import describe_backend, require_backend
from kerascnn.data import shape_of_dataset
from kerascnn.errors import ExchangeError
from kerascnn.evaluation import load_best_model
from kerascnn.exchange.interface import Interface, Network, describe
from kerascnn.exchange.network import network_of
from kerascnn.exchange.onnx import (
    OfModel,
    OfPixels,
    require_onnx,
    require_runnable,
    require_torch,
    save_onnx,
    save_program,
)
from kerascnn.exchange.state_file import load_state
from kerascnn.exchange.tensorflow import (
    require_tensorflow,
    save_litert,
    save_saved_model,
    write_directory,
)
from kerascnn.exchange.weights import assign_state
from kerascnn.model.build import build_model, in_float32
from kerascnn.model.calls import in_one_line
from kerascnn.model.load import load_model
from kerascnn.recipe import Recipe
from kerascnn.records.run import ConvertedFrom, Environment
from kerascnn.run import Run
from kerascnn.run.files import sha256, write_whole
from kerascnn.run.find import create_run

SAVED_MODEL = "tf_saved_model"
FORMATS = ("torch", "pt2", "onnx", SAVED_MODEL, "litert", "keras")
ENDINGS = {"keras": ".keras", "litert": ".tflite", "pt2": ".pt2"}


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


def export(
    source: Run | str | Path,
    file: str | Path,
    kind: str,
    overwrite: bool = False,
    custom_objects: Mapping[str, object] | None = None,
) -> Path:
    """Write a network for other software; `save` also says what it takes and gives.

    Args:
        source: a run, of which the model at its lowest validation loss is taken, or a `.keras` file
            of anybody's functional or Sequential model.
        file: where to.
        kind: `torch`, a `state_dict` for the module that `build_network` makes (of a run only);
            `pt2`, a program that `torch.export.load` gives; `onnx`; `tf_saved_model`, a directory;
            `litert`; or `keras`, stock layers alone. A run is written with its input, (num_images,
            height, width, channels), float32 from 0 to 255, and its logits, a `.keras` file
            with what its model has; both for any number of images where the model takes it. What is
            written of a run trained in mixed precision computes in float32, but for `keras`.
        overwrite: whether an existing file, or SavedModel, may be replaced.
        custom_objects: what a `.keras` file is made of beside Keras's own, see `load_model`.

    Raises:
        ExchangeError: if the file exists, what writes the kind is not installed, it cannot be
            written on this backend, or the model cannot be written as this kind.
        ModelError: if there is no such `.keras` file, or it cannot be loaded.
        RunError: if the run has no model, or the file cannot be written.
    """
    save(source, file, kind, overwrite, custom_objects)
    return Path(file)


def save(
    source: Run | str | Path,
    file: str | Path,
    kind: str,
    overwrite: bool = False,
    custom_objects: Mapping[str, object] | None = None,
) -> Interface:
    """As `export`, but gives what the network that was written takes and gives."""
    file = Path(file)
    _check(source, file, kind, overwrite)
    is_run = isinstance(source, Run)
    if is_run:
        model = load_best_model(source)
        if kind != "keras":
            model = in_float32(source.recipe, model)
    else:
        model = load_model(Path(source), custom_objects=custom_objects)
    network = describe(model, is_run)
    if kind == "torch":
        state = network_of(source, model).state_dict()
        write_whole(file, lambda path: torch.save(state, path))
        return network.interface
    _write(kind, file, _writer(source, network, kind))
    return network.interface


def _check(source: Run | str | Path, file: Path, kind: str, overwrite: bool) -> None:
    if kind not in FORMATS:
        raise ExchangeError(f"Format '{kind}' is not known; expected {', '.join(FORMATS)}.")
    if kind == "torch" and not isinstance(source, Run):
        raise ExchangeError(
            "Format 'torch' is the weights of a run, for the network that its script builds; of a "
            ".keras file use 'pt2', a program that PyTorch runs."
        )
    ending = ENDINGS.get(kind)
    if ending and file.suffix != ending:
        raise ExchangeError(
            f"'{file}' must end in {ending}; nothing else loads it as a {kind} file."
        )
    if file.exists() and not overwrite:
        raise ExchangeError(
            f"'{file}' exists already; choose another name, or --force replaces it."
        )
    require_backend()
    if kind == "onnx":
        require_onnx()
    if kind in (SAVED_MODEL, "litert"):
        require_tensorflow(f"Format '{kind}'")
    if kind == "pt2" or (kind == "onnx" and not isinstance(source, Run)):
        require_torch(f"Format '{kind}'")


def _writer(source: Run | str | Path, network: Network, kind: str) -> Callable[[Path], object]:
    """What writes a kind to a path."""
    interface = network.interface
    if kind == "keras":
        return network.model.save
    if kind in (SAVED_MODEL, "litert"):
        return partial(save_saved_model if kind == SAVED_MODEL else save_litert, network)
    if isinstance(source, Run):
        module = OfPixels(network_of(source, network.model))
    else:
        module = OfModel(network)
        if kind == "onnx":
            require_runnable(network.model)
    return partial(save_onnx if kind == "onnx" else save_program, module, interface)


def _write(kind: str, file: Path, write: Callable[[Path], object]) -> None:
    """Write a file or directory whole; what a library cannot do is an ExchangeError."""

    def attempt(path: Path) -> None:
        try:
            write(path)
        except (OSError, ExchangeError):
            raise
        except Exception as error:  # Keras and the exporters raise many kinds
            raise ExchangeError(
                f"The model cannot be written as {kind}: {in_one_line(error)}"
            ) from None

    (write_directory if kind == SAVED_MODEL else write_whole)(file, attempt)
