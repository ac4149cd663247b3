"""Recipes, runs and data sets as rich tables."""

from collections.abc import Sequence

from rich.table import Table

from kerascnn.recipe import Recipe
from kerascnn.records.data import DatasetSummary
from kerascnn.records.quantity import BEST_VAL_LOSS, MISSING, percent, points
from kerascnn.records.run import (
    ClassAccuracy,
    ComparedClass,
    Comparison,
    Evaluation,
    ReportedNumbers,
    RunSummary,
)
from kerascnn.show.long_table import LongTable
from kerascnn.show.words import add_numbers, build_table, cell


def table_per_class(evaluation: Evaluation) -> Table:
    """Accuracy per class with its 95 % interval, what was reported, and the difference."""
    test, reported = evaluation.test, evaluation.reported.accuracy
    overall = ClassAccuracy(
        name="overall",
        accuracy=test.accuracy,
        low=test.low,
        high=test.high,
        count=test.num_images,
        reported=reported,
    )
    has_reported = any(row.reported is not None for row in (*test.per_class, overall))
    marks = _marks(test.per_class)
    caption = "▲ the three strongest classes, ▼ the three weakest" if marks else None
    table = build_table(f"Test accuracy, {test.num_images:,} images", caption)
    table.add_column("class")
    add_numbers(table, "accuracy", "95 % interval")
    if has_reported:
        add_numbers(table, "reported", "difference")
    table.add_column("")
    for row in test.per_class:
        table.add_row(*_accuracy_cells(row, has_reported), marks.get(row.name, ""))
    table.add_section()
    table.add_row(*_accuracy_cells(overall, has_reported), "", style="bold")
    return table


def table_losses(evaluation: Evaluation) -> Table:
    """Losses and the best epoch, reported beside measured."""
    reported = evaluation.reported
    has_reported = reported != ReportedNumbers()
    table = build_table("Training" if evaluation.epochs else "Loss")
    table.add_column("")
    add_numbers(table, "measured", *(["reported", "difference"] if has_reported else []))
    rows = [
        ("best validation loss", evaluation.best_val_loss, reported.best_val_loss, ".4f"),
        (f"best epoch of {evaluation.epochs}", evaluation.best_epoch, reported.best_epoch, ".0f"),
        ("training loss, last epoch", evaluation.train_loss, reported.train_loss, ".4f"),
        ("test loss", evaluation.test.loss, None, ".4f"),
    ]
    for title, measured, given, form in rows:
        # What only training knows is None of converted weights.
        if measured is not None:
            beside = _beside(measured, given, form) if has_reported else []
            table.add_row(title, format(measured, form), *beside)
    return table


def table_recipes(recipes: Sequence[Recipe]) -> Table:
    """A row a recipe: what it does and the accuracy that was reported."""
    table = build_table("Recipes")
    table.add_column("recipe", no_wrap=True)
    table.add_column("optimizer, rate")
    add_numbers(table, "epochs", "dropout", "augmented", "reported")
    for recipe in recipes:
        train, accuracy = recipe.train, recipe.reported.accuracy
        table.add_row(
            recipe.name,
            f"{train.optimizer} {train.learning_rate:g}",
            str(train.epochs),
            f"{recipe.model.dropout:g}",
            "yes" if recipe.augments else "no",
            percent(accuracy.value, 0) if accuracy else MISSING,
        )
    return table


def table_runs(rows: Sequence[RunSummary]) -> LongTable:
    """A row a run."""
    table = build_table("Runs", "loss: lowest validation loss; test: test accuracy")
    for heading in ("run", "data", "status"):
        table.add_column(heading)
    add_numbers(table, "loss", "test")
    return LongTable(
        table,
        [
            (
                row.run,
                row.dataset or MISSING,
                row.status,
                BEST_VAL_LOSS.write(row.best_val_loss),
                percent(row.accuracy),
            )
            for row in rows
        ],
    )


def table_comparison(comparison: Comparison) -> Table:
    """Two runs class by class."""
    table = build_table("Test accuracy, the same images")
    table.add_column("class")
    add_numbers(table, "A", "B", "B - A", "only A / only B right")
    table.add_column("exceeds chance")
    for row in comparison.per_class:
        table.add_row(*_comparison_cells(row))
    table.add_section()
    table.add_row(*_comparison_cells(comparison.overall))
    return table


def table_dataset(dataset: DatasetSummary) -> Table:
    """Counts per class and channel means."""
    height, width, channels = dataset.image_shape
    title = f"{dataset.name}, images of {height}x{width} pixels, {channels} channels"
    table = build_table(title)
    table.add_column("class")
    add_numbers(table, *dataset.splits)
    splits = dataset.splits.values()
    columns = dataset.class_names, *(split.per_class for split in splits)
    for name, *counts in zip(*columns, strict=True):
        table.add_row(cell(name), *map(str, counts))
    table.add_section()
    table.add_row("all", *(f"{split.num_images:,}" for split in splits), style="bold")
    means = (" ".join(f"{mean:.4f}" for mean in split.channel_means) for split in splits)
    table.add_row("channel means", *means)
    return table


def _accuracy_cells(row: ClassAccuracy, has_reported: bool) -> list[str]:
    interval = f"{100 * row.low:.1f} – {100 * row.high:.1f}"
    cells = [cell(row.name), percent(row.accuracy), interval]
    if has_reported:
        cells.append(percent(row.reported, 0))
        is_known = row.reported is not None and row.accuracy is not None
        cells.append(points(row.accuracy - row.reported) if is_known else "")
    return cells


def _comparison_cells(row: ComparedClass) -> list[str]:
    verdict = "yes" if row.exceeds_chance else "no"
    return [
        cell(row.name),
        percent(row.a),
        percent(row.b),
        points(row.difference),
        f"{row.only_a} / {row.only_b}",
        f"{verdict} (p = {row.p_value:.2g})",
    ]


def _marks(rows: Sequence[ClassAccuracy]) -> dict[str, str]:
    """Which classes are the strongest and the weakest three; none where they are alike."""
    known = [row for row in rows if row.accuracy is not None]
    ranked = sorted(known, key=lambda row: row.accuracy)
    if len(ranked) < 6 or ranked[2].accuracy == ranked[-3].accuracy:
        return {}
    weakest = {row.name: f"▼ {rank}" for rank, row in enumerate(ranked[:3], 1)}
    strongest = {row.name: f"▲ {rank}" for rank, row in enumerate(ranked[:-4:-1], 1)}
    return weakest | strongest


def _beside(value: float, given: float | None, form: str) -> list[str]:
    if given is None:
        return [MISSING, ""]
    return [format(given, form), format(value - given, "+" + form)]
