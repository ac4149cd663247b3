"""Numbers to rich tables. No model, no path, no printing."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from kerascnn.records.quantity import MISSING, percent, points
from kerascnn.show.words import build_table, cell


def table_per_class(measured: dict) -> Table:
    """Accuracy per class with its 95 % interval, what was reported, and the difference.

    Args:
        measured: as `evaluate` returns it.
    """
    test = measured["test"]
    rows = test["per_class"]
    has_reported = (
        any(row["reported"] is not None for row in rows) or "accuracy" in measured["reported"]
    )
    table = build_table(f"Test accuracy, {test['num_images']:,} images")
    table.add_column("class")
    table.add_column("accuracy", justify="right")
    table.add_column("95 % interval", justify="right")
    if has_reported:
        table.add_column("reported", justify="right")
        table.add_column("difference", justify="right")
    marks = _marks(rows)
    table.add_column("")
    if marks:
        table.caption = Text("▲ the three strongest classes, ▼ the three weakest")
        table.caption_justify = "left"
    for row in rows:
        table.add_row(*_accuracy_cells(row, has_reported), marks.get(row["name"], ""))
    table.add_section()
    overall = {"name": "overall", **test, "reported": measured["reported"].get("accuracy")}
    table.add_row(*_accuracy_cells(overall, has_reported), "", style="bold")
    return table


def table_losses(measured: dict) -> Table:
    """Losses and the best epoch, reported beside measured."""
    reported = measured["reported"]
    table = build_table("Training" if measured["epochs"] else "Loss")
    table.add_column("")
    table.add_column("measured", justify="right")
    if reported:
        table.add_column("reported", justify="right")
        table.add_column("difference", justify="right")
    rows = [
        ("best validation loss", "best_val_loss", ".4f"),
        (f"best epoch of {measured['epochs']}", "best_epoch", ".0f"),
        ("training loss, last epoch", "train_loss", ".4f"),
    ]
    for title, key, form in rows:
        if measured[key] is None:  # converted weights
            continue
        cells = [title, format(measured[key], form)]
        if reported:
            cells += _beside(measured[key], reported.get(key), form)
        table.add_row(*cells)
    cells = ["test loss", format(measured["test"]["loss"], ".4f")]
    table.add_row(*cells, *([MISSING, ""] if reported else []))
    return table


def table_recipes(recipes: list) -> Table:
    """A row a recipe: what it does and the accuracy that was reported."""
    table = build_table("Recipes")
    table.add_column("recipe", no_wrap=True)
    table.add_column("optimizer, rate")
    for column in ("epochs", "dropout", "augmented", "reported"):
        table.add_column(column, justify="right")
    for recipe in recipes:
        train, accuracy = recipe.train, recipe.reported.accuracy
        table.add_row(
            recipe.name,
            f"{train.optimizer} {train.learning_rate:g}",
            str(train.epochs),
            f"{recipe.model.dropout:g}",
            "yes" if any(recipe.augmentation.model_dump().values()) else "no",
            percent(accuracy.value, 0) if accuracy else MISSING,
        )
    return table


def table_runs(rows: list[dict]) -> Table:
    """A row a run, as `Run.describe` gives it."""
    table = build_table("Runs")
    table.add_column("run", overflow="fold")
    for column in ("data", "status", "loss", "test"):
        table.add_column(column, justify="right" if column in ("loss", "test") else "left")
    for row in rows:
        table.add_row(
            cell(row["run"]),
            cell(row["dataset"] or MISSING),
            cell(row["status"]),
            MISSING if row["best_val_loss"] is None else f"{row['best_val_loss']:.3f}",
            MISSING if row["accuracy"] is None else percent(row["accuracy"]),
        )
    table.caption = Text("loss: lowest validation loss; test: test accuracy")
    table.caption_justify = "left"
    return table


def table_comparison(comparison: dict) -> Table:
    """Two runs class by class, as `compare.compare` returns it."""
    table = build_table("Test accuracy, the same images")
    table.add_column("class")
    table.add_column("A", justify="right")
    table.add_column("B", justify="right")
    table.add_column("B - A", justify="right")
    table.add_column("only A / only B right", justify="right")
    table.add_column("exceeds chance")
    for row in [*comparison["per_class"], comparison["overall"]]:
        if row is comparison["overall"]:
            table.add_section()
        verdict = "yes" if row["exceeds_chance"] else "no"
        table.add_row(
            cell(row["name"]),
            percent(row["a"]),
            percent(row["b"]),
            points(row["difference"]),
            f"{row['only_a']} / {row['only_b']}",
            f"{verdict} (p = {row['p_value']:.2g})",
        )
    return table


def table_dataset(description: dict) -> Table:
    """Counts per class and channel means, as `describe_dataset` gives them."""
    table = build_table(f"{description['name']}, images of {_size(description['image_shape'])}")
    table.add_column("class")
    for split in description["splits"]:
        table.add_column(split, justify="right")
    for index, name in enumerate(description["class_names"]):
        counts = (str(split["per_class"][index]) for split in description["splits"].values())
        table.add_row(cell(name), *counts)
    table.add_section()
    splits = description["splits"].values()
    table.add_row("all", *(f"{split['num_images']:,}" for split in splits), style="bold")
    means = (" ".join(f"{mean:.4f}" for mean in split["channel_means"]) for split in splits)
    table.add_row("channel means", *means)
    return table


def table_bench(measured: dict) -> Table:
    """A row a peer, as `bench.run_bench` gives them."""
    title = (
        f"{measured['recipe']}, batch size {measured['batch_size']}, {measured['backend']} on "
        f"{measured['device']}, {measured['threads']} threads"
    )
    table = build_table(title)
    table.add_column("")
    for column in ("ms a step (low – high)", "images/s", "s an epoch", "peak MB"):
        table.add_column(column, justify="right")
    for peer in measured["peers"]:
        step = f"{peer['step_ms']:.1f} ({peer['step_ms_low']:.1f} – {peer['step_ms_high']:.1f})"
        table.add_row(
            cell(peer["what"]),
            step,
            f"{peer['images_second']:,.0f}",
            f"{peer['epoch_seconds']:.1f}",
            f"{peer['peak_mb']:,.0f}",
        )
    return table


def _accuracy_cells(row: dict, has_reported: bool) -> list[str]:
    cells = [cell(row["name"]), percent(row["accuracy"])]
    cells.append(f"{100 * row['low']:.1f} – {100 * row['high']:.1f}")
    if has_reported:
        given = row["reported"]
        cells.append(MISSING if given is None else percent(given, 0))
        known = given is not None and row["accuracy"] is not None
        cells.append(points(row["accuracy"] - given) if known else "")
    return cells


def _marks(rows: list[dict]) -> dict[str, str]:
    """Which classes are the strongest and the weakest three; none where they are alike."""
    ranked = sorted((row for row in rows if row["accuracy"] is not None), key=_by_accuracy)
    if len(ranked) < 6 or ranked[2]["accuracy"] == ranked[-3]["accuracy"]:
        return {}
    weakest = {row["name"]: f"▼ {rank}" for rank, row in enumerate(ranked[:3], 1)}
    strongest = {row["name"]: f"▲ {rank}" for rank, row in enumerate(ranked[:-4:-1], 1)}
    return weakest | strongest


def _by_accuracy(row: dict) -> float:
    return row["accuracy"]


def _beside(value: float, given: float | None, form: str) -> list[str]:
    if given is None:
        return [MISSING, ""]
    return [format(given, form), format(value - given, "+" + form)]


def _size(image_shape: list[int]) -> str:
    height, width, channels = image_shape
    return f"{height}x{width} pixels, {channels} channels"
