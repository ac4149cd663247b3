"""The command line: each command parses, makes one library call, and prints."""

import contextlib
import os
import sys
from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from kerascnn.cli import (
    augmentations,
    bench,
    data,
    evaluate,
    exchange,
    look,
    recipes,
    report,
    run,
    runs,
    study,
    together,
)
from kerascnn.cli.output import fail, show_version
from kerascnn.cli.streams import guard_streams
from kerascnn.errors import KerascnnError
from kerascnn.show.words import visible


@contextlib.contextmanager
def _visible_usage_errors() -> Iterator[None]:
    """Errors of usage quote an argument: by then without commands to the terminal."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message"):
            lines = [visible(line) for line in error.format_message().split("\n")]
            error.format_message = lambda: "\n".join(lines)
        raise


class _Commands(TyperGroup):
    def make_context(self, *args, **settings):
        with _visible_usage_errors():
            return super().make_context(*args, **settings)

    def invoke(self, ctx):
        with _visible_usage_errors():
            return super().invoke(ctx)


app = typer.Typer(
    name="kerascnn",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train a small network on CIFAR-10, check the numbers, and look inside it.\n\n"
    "The Keras backend is torch unless KERAS_BACKEND says jax or tensorflow.",
)


@app.callback()
def _options(
    version: bool = typer.Option(
        False,
        "--version",
        callback=show_version,
        is_eager=True,
        help="Show versions, Keras backend and device.",
    ),
) -> None:
    pass


app.command("run")(run.run)
app.command("resume")(run.resume)
app.add_typer(recipes.app, name="recipes")
app.command("runs")(runs.runs)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(evaluate.compare)
app.command("report")(report.report)
app.command("reproduce")(study.reproduce)
app.command("run-together", hidden=True)(together.run_together)
app.command("audit")(study.audit)
app.command("top-activations")(look.top_activations)
app.command("feature-maps")(look.feature_maps)
app.command("filters")(look.filters)
app.command("explain-filter")(look.explain_filter)
app.command("predict")(look.predict)
app.command("convert")(exchange.convert)
app.command("export")(exchange.export)
app.command("bench")(bench.bench)
app.add_typer(data.app, name="data")
app.command("augmentations")(augmentations.augmentations)


def main() -> None:
    """Entry point of the command `kerascnn`."""
    guard_streams()
    try:
        try:
            _require_directory()
            app()
        finally:
            sys.stdout.flush()
    except KerascnnError as error:
        sys.exit(fail(error))
    except (MemoryError, RuntimeError) as error:
        from kerascnn.model.calls import is_out_of_memory

        if not is_out_of_memory(error):
            raise
        what = "There is not enough memory; close other programs, or give a smaller --batch-size."
        sys.exit(fail(KerascnnError(what)))
    except OSError as error:  # such as a name that is too long to be looked for
        if error.filename is None or error.strerror is None:
            raise
        name = visible(str(error.filename))
        sys.exit(fail(KerascnnError(f"'{name}' cannot be used: {error.strerror}.")))


def _require_directory() -> None:
    """Refuse to work in a directory that is gone: some libraries end the process there."""
    try:
        os.getcwd()
    except OSError as error:
        raise KerascnnError(
            f"The working directory cannot be used: {error.strerror}. Change to one that exists."
        ) from None
