"""The commands that look inside a network: a run, or somebody's own Keras model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.text import Text

from kerascnn.cli.options import (
    Constants,
    Custom,
    DataDir,
    DataFormat,
    Json,
    LookBatchSize,
    ModelFile,
    OutputName,
    Outputs,
    Preprocess,
    RunsDir,
    Split,
    ValueRange,
    complete_run,
    spread,
)
from kerascnn.cli.output import (
    out,
    print_json,
    remark,
    remark_problems,
    save_figure,
    show_progress,
)
from kerascnn.cli.run import interruptible
from kerascnn.errors import SelectionError
from kerascnn.model.inputs import WHOLE_RANGE
from kerascnn.show.words import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from kerascnn.data.cifar10 import Progress
    from kerascnn.look.subject import ModelUse, Subject
    from kerascnn.records import Record
    from kerascnn.show.style import Figure


Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="PNG file to write. Default: one in the figures of the run; of a --model, one here.",
    ),
]


@dataclass(frozen=True)
class Layer:
    """The options that say into which layer of what a command looks, and with which images."""

    run: Annotated[
        str | None,
        typer.Argument(
            help="A run: its directory, a unique part of its name, or `latest` (the default).",
            autocompletion=complete_run,
        ),
    ] = None
    tap: Annotated[
        Literal["conv", "bn", "relu"] | None,
        typer.Option(
            help="Where to look behind the first convolution: at its own output, at that of its "
            "batch normalization, or at that of its ReLU or other activation. Default: relu; conv "
            "where a --model has no activation there."
        ),
    ] = None
    layer: Annotated[
        str | None,
        typer.Option(
            help="Look at this layer instead. `name:1` is the first use of a layer that is used "
            "several times; `base/name` is a layer of a model that is nested in another."
        ),
    ] = None
    model: ModelFile = None
    custom: Custom = None
    images: Annotated[
        list[str] | None,
        typer.Option(
            "--images",
            help="Instead of the run's test images: a data set (its test images), folders or "
            "files. Can be repeated.",
        ),
    ] = None
    split: Split = None
    value_range: ValueRange = WHOLE_RANGE
    preprocess: Preprocess = None
    constant: Constants = None
    data_format: DataFormat = None
    outputs: Outputs = None
    output_name: OutputName = None
    batch_size: LookBatchSize = None
    data_dir: DataDir = None
    runs_dir: RunsDir = Path("runs")


@spread
def top_activations(
    *,
    filter_: Annotated[
        list[int] | None,
        typer.Option(
            "--filter",
            "-f",
            help="Number of a filter, from 1. Can be repeated. Default: 1, 8 and 16.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Images to show for each filter.")] = 5,
    score: Annotated[
        Literal["mean", "max", "l2"],
        typer.Option(
            help="What of a feature map counts: its mean, its highest value, or its length (l2)."
        ),
    ] = "mean",
    looked_at: Layer,
    output: Output = None,
    json: Json = False,
) -> None:
    """Show the images that excite a filter most."""
    from kerascnn.look import top_images
    from kerascnn.show.filter_figures import plot_top_activations
    from kerascnn.show.filter_tables import table_top

    with _opened(looked_at) as (subject, name):
        found = top_images(subject, filter_, k, score, name)
    records = [each.record for each in found]
    title = f"Highest {score} activation of {name}"
    tables = (table_top(record, f"{title}, filter {record.filter}") for record in records)
    _show(subject, records, json, *tables)
    numbers = "-".join(str(record.filter) for record in records)
    title = f"{subject.name}: images with the highest {score} activation of {name}"
    figure = plot_top_activations(found, title)
    _save(figure, subject, f"top-activations-{name}-{numbers}", output)


@spread
def feature_maps(
    *,
    filters: Annotated[
        str | None,
        typer.Option(
            metavar="N|all|LIST",
            help="How many filters, from the first on; or `all`; or a list such as 1,8,16. "
            "Default: 8.",
        ),
    ] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", help="Show an image of this class. Can be repeated."),
    ] = None,
    image: Annotated[
        list[int] | None,
        typer.Option("--image", help="Show the image of this index, from 0. Can be repeated."),
    ] = None,
    looked_at: Layer,
    output: Output = None,
    json: Json = False,
) -> None:
    """Show what a layer makes of some images that the model gets right."""
    from kerascnn.look import choose_images, describe_maps
    from kerascnn.show.filter_figures import plot_feature_maps
    from kerascnn.show.filter_tables import table_maps

    with _opened(looked_at) as (subject, name):
        chosen = choose_images(subject, class_, image)
        maps = subject.maps(chosen, name)
        found = describe_maps(subject, chosen, maps, _parse_filters(filters, maps.shape[-1]))
    records = [each.record for each in found]
    _show(subject, records, json, table_maps(records, f"Mean activation of {name}"))
    figure = plot_feature_maps(found, f"{subject.name}: feature maps of {name}")
    _save(figure, subject, f"feature-maps-{name}", output)


@spread
def filters(looked_at: Layer, output: Output = None, json: Json = False) -> None:
    """Show all filters of a layer: kernel, dead or alive, and whose images excite them."""
    from kerascnn.look import all_filters
    from kerascnn.show.filter_figures import plot_filters
    from kerascnn.show.filter_tables import table_filters

    with _opened(looked_at) as (subject, name):
        found = all_filters(subject, name)
    records = [each.record for each in found]
    _show(subject, records, json, table_filters(records, f"Filters of {name}"))
    if not json:
        dead = [str(record.filter) for record in records if record.is_dead]
        remark(f"Dead: {', '.join(dead)}" if dead else "No filter is dead.")
    if any(each.kernel is None for each in found):
        remark(f"{name} has no kernels of a convolution, so there is no figure.")
        return
    figure = plot_filters(found, f"{subject.name}: filters of {name}")
    _save(figure, subject, f"filters-{name}", output)


@spread
def explain_filter(
    number: Annotated[int, typer.Argument(metavar="FILTER", help="Number of a filter, from 1.")],
    looked_at: Layer,
    output: Output = None,
    json: Json = False,
) -> None:
    """Say in numbers what a filter follows: color, edges, classes."""
    from kerascnn.look import explain
    from kerascnn.show.explanation_figures import plot_explanation
    from kerascnn.show.filter_tables import table_correlations, table_kernel

    with _opened(looked_at) as (subject, name):
        explained = explain(subject, number, name)
    record = explained.record
    sentence = Text(visible(record.sentence))
    _show(subject, record, json, table_kernel(record), table_correlations(record), sentence)
    figure = plot_explanation(explained, f"{subject.name}: filter {number} of {name}")
    _save(figure, subject, f"explain-{name}-{number}", output)


def predict(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Pictures of any size, or folders of them."),
    ],
    run: Annotated[
        str | None,
        typer.Option(
            "--run", help="A run to ask. Default: the latest.", autocompletion=complete_run
        ),
    ] = None,
    model: ModelFile = None,
    custom: Custom = None,
    value_range: ValueRange = WHOLE_RANGE,
    preprocess: Preprocess = None,
    constant: Constants = None,
    outputs: Outputs = None,
    output_name: OutputName = None,
    batch_size: LookBatchSize = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to show for each picture.")] = 5,
    runs_dir: RunsDir = Path("runs"),
    output: Output = None,
    json: Json = False,
) -> None:
    """Class probabilities of your own pictures."""
    from kerascnn.look import predict_files
    from kerascnn.show.filter_tables import table_probabilities
    from kerascnn.show.prediction_figures import plot_probabilities

    asked = Layer(
        run=run, model=model, custom=custom, images=files, value_range=value_range,
        preprocess=preprocess, constant=constant, outputs=outputs, output_name=output_name,
        batch_size=batch_size, runs_dir=runs_dir,
    )  # fmt: skip
    with interruptible(), show_progress() as progress:
        subject = _subject(asked, progress)
        found = predict_files(subject)
    records = [each.record for each in found]
    _show(subject, records, json, table_probabilities(records, top))
    drawn = [each for each in found if each.image is not None]
    if len(drawn) < len(found):
        remark(f"The figure shows the first {len(drawn)} of {len(found):,} pictures.")
    figure = plot_probabilities(drawn, f"{subject.name}: class probabilities", top)
    _save(figure, subject, "predictions", output)
    if subject.problems:
        raise typer.Exit(1)


@contextmanager
def _opened(looked_at: Layer) -> Iterator[tuple[Subject, str]]:
    """What is looked at and its layer; inside, long work shows how far it is."""
    with interruptible(), show_progress() as progress:
        subject = _subject(looked_at, progress)
        yield subject, subject.layer(looked_at.tap, looked_at.layer)


def _subject(looked_at: Layer, progress: Progress) -> Subject:
    from kerascnn.look.subject import ModelUse, Subject
    from kerascnn.run.find import find_run

    model = looked_at.model
    if looked_at.run and model:
        raise typer.BadParameter("name a run or a --model, not both")
    use = ModelUse(
        custom=tuple(looked_at.custom or ()),
        value_range=looked_at.value_range,
        preprocess=looked_at.preprocess,
        constants=_parse_constants(looked_at.constant),
        outputs=looked_at.outputs,
        output_name=looked_at.output_name,
        data_format=looked_at.data_format,
        batch_size=looked_at.batch_size,
    )
    if not model:
        _refuse_for_runs(use, ModelUse(batch_size=use.batch_size))
    run = None if model else find_run(looked_at.run or "latest", looked_at.runs_dir)
    images = tuple(looked_at.images or ())
    return Subject(run, model, images, looked_at.data_dir, looked_at.split, use, progress)


def _refuse_for_runs(use: ModelUse, plain: ModelUse) -> None:
    """Refuse what is about a --model where a run is looked at."""
    for field in fields(use):
        if getattr(use, field.name) != getattr(plain, field.name):
            option = field.name.replace("constants", "constant").replace("_", "-")
            raise typer.BadParameter(
                f"--{option} goes with --model; a run's networks are known, take pixels from 0 to "
                "255 and give logits"
            )


def _parse_constants(given: list[str] | None) -> dict[str, float]:
    """Numbers by the names of inputs, out of `NAME=VALUE`."""
    constants = {}
    for text in given or ():
        name, _, value = text.rpartition("=")
        try:
            constants[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise typer.BadParameter(f"--constant '{text}' is not NAME=VALUE, such as mask=0")
    return constants


def _parse_filters(text: str | None, count: int) -> list[int]:
    """Numbers of filters, from 1, out of `8` (the first eight), `all`, or a list such as `1,8,16`.

    Where there is no text they are the first eight, as far as the layer has them.
    """
    if text == "all":
        return list(range(1, count + 1))
    parts = [part.strip() for part in (text or str(min(8, count))).split(",") if part.strip()]
    if not parts or not all(part.isdecimal() for part in parts):
        raise SelectionError(
            f"'{text}' is not a number of filters, `all`, or a list such as 1,8,16."
        )
    numbers = [int(part) for part in parts]
    if len(numbers) > 1 or (text and text.endswith(",")):
        return numbers
    if not 1 <= numbers[0] <= count:
        raise SelectionError(f"{numbers[0]} filters cannot be shown; the layer has {count}.")
    return list(range(1, numbers[0] + 1))


def _show(
    subject: Subject, result: Record | list[Record], json: bool, *tables: RenderableType
) -> None:
    """Say what was passed over and assumed, then print the result, as JSON or as tables."""
    remark_problems(subject.problems)
    for text in subject.remarks:
        remark(text, "yellow")
    if json:
        print_json(result)
        return
    for table in tables:
        out.print(table)


def _save(figure: Figure, subject: Subject, name: str, output: Path | None) -> None:
    from kerascnn.run.files import file_name

    if output is None and subject.run:
        path = subject.run.write_figure(name, figure)
    else:
        path = save_figure(figure, output or Path(f"{file_name(name)}.png"))
    remark(f"Figure: {path}")
