"""The options that several commands share, each with one meaning and one help text."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_type_hints

import typer

from kerascnn.names import list_recipes, run_directories
from kerascnn.show.words import visible

KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY


def complete_recipe(incomplete: str) -> list[str]:
    """Names of recipes, for the shell's completion."""
    return [visible(name) for name in list_recipes() if name.startswith(incomplete)]


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, for the shell's completion."""
    found = run_directories(ctx.params.get("runs_dir") or "runs")
    names = ["latest", *(path.name for path in found)]
    return [visible(name) for name in names if incomplete in name]


# Where things are, and how a result is printed.
RunsDir = Annotated[
    Path, typer.Option("--runs-dir", envvar="KERASCNN_RUNS_DIR", help="Directory of the runs.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Directory of prepared TensorFlow Datasets (TFDS). "
        "Default: TFDS_DATA_DIR, or ~/tensorflow_datasets.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON document and nothing else.")
]

# A run.
RunName = Annotated[
    str,
    typer.Argument(
        help="A run: its directory, a unique part of its name, or `latest`.",
        autocompletion=complete_run,
    ),
]

# A recipe, and what of it can be set.
RecipeName = Annotated[
    str,
    typer.Argument(
        help="A recipe: its name (`kerascnn recipes` lists them), or a file that ends in .toml.",
        autocompletion=complete_recipe,
    ),
]
NetworkRecipe = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="The recipe that describes the network: its name, or a file that ends in .toml.",
        autocompletion=complete_recipe,
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set: cifar10, shapes (drawn here, no download), or a folder with a sub-folder "
        "of pictures for each class.",
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Passes through all training images.")]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", help="Images in each training step.")
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", help="Seed of everything random. The same seed gives the same result."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Set any key of the recipe, such as train.learning_rate=0.05. Can be repeated.",
    ),
]

# What is looked into.
ModelFile = Annotated[
    Path | None,
    typer.Option(
        "--model", help="A .keras file to look into instead of a run. No code in it is run."
    ),
]
Custom = Annotated[
    list[Path] | None,
    typer.Option(
        "--custom",
        metavar="FILE.py",
        help="Python file that defines layers, activations or models of one's own that the --model "
        "is made of. Its code is run. Can be repeated.",
    ),
]
ValueRange = Annotated[
    tuple[float, float],
    typer.Option(
        metavar="LOW HIGH", help="Pixel values that the --model expects, such as 0 1 or -1 1."
    ),
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE|caffe|tf|torch",
        help="Prepare pixels for the --model as this does, such as keras.applications.vgg16 (its "
        "preprocess_input), or one of Keras's three modes.",
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option(
        "--constant",
        metavar="NAME=VALUE",
        help="Fill another input of the --model than that of the pictures with a number. Can be "
        "repeated.",
    ),
]
Outputs = Annotated[
    Literal["probabilities", "logits", "sigmoid", "none"] | None,
    typer.Option(
        help="What the outputs of the --model mean: probabilities of classes; logits; a sigmoid's, "
        "a probability for each label by itself; or no classes at all. Default: told by the model, "
        "and said where that is not certain."
    ),
]
OutputName = Annotated[
    str | None,
    typer.Option(help="Which output tells the classes, where the --model has several."),
]
DataFormat = Annotated[
    Literal["channels_first", "channels_last"] | None,
    typer.Option(
        help="Which dimension of the layer's maps holds its filters, where the --model's graph "
        "does not tell."
    ),
]
LookBatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        help="Images that go through the network at a time. Default: as many as the memory allows.",
    ),
]
Split = Annotated[
    Literal["train", "test"] | None,
    typer.Option(
        help="Of a data set, or a folder with train/ and test/, show these images. Default: a data "
        "set's test images, all pictures of a folder."
    ),
]


def spread(command: Callable) -> Callable:
    """Let a command take some options as one dataclass, whose fields are annotated as options."""
    signature = inspect.signature(command, eval_str=True)
    parameters = list(signature.parameters.values())
    group = next(each for each in parameters if dataclasses.is_dataclass(each.annotation))
    hints = get_type_hints(group.annotation, include_extras=True)
    options = [
        inspect.Parameter(
            field.name, KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(group.annotation)
    ]

    @functools.wraps(command)
    def called(**given: object) -> object:
        values = {option.name: given.pop(option.name) for option in options}
        return command(**given, **{group.name: group.annotation(**values)})

    own = [each.replace(kind=KEYWORD_ONLY) for each in parameters]
    place = parameters.index(group)
    called.__signature__ = signature.replace(parameters=[*own[:place], *options, *own[place + 1 :]])
    return called
