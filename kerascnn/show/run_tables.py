"""Numbers to rich tables. No model, no path, no printing."""

from __future__ import annotations

import re

from rich.markup import escape
from rich.table import Table
from rich.text import Text

MISSING = "–"
VERDICT_STYLES = {
    "holds": "green",
    "does not hold": "red",
    "cannot be told apart": "yellow",
    "the study contradicts itself": "magenta",
}
# What a terminal would obey, what turns the direction of writing, and halves of characters.
COMMANDS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    """Text from outside, such as a class's name, in one line and without commands to a terminal."""
    return COMMANDS.sub("�", text)


def cell(text: str) -> str:
    """Text from outside as rich's tables take it: nothing in it is markup."""
    return escape(visible(text))


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
    table = _table(f"Test accuracy, {test['num_images']:,} images")
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
    table = _table("Training" if measured["epochs"] else "Loss")
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
    table = _table("Recipes")
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
            _percent(accuracy.value, 0) if accuracy else MISSING,
        )
    return table


def table_runs(rows: list[dict]) -> Table:
    """A row a run, as `Run.describe` gives it."""
    table = _table("Runs")
    table.add_column("run", overflow="fold")
    for column in ("data", "status", "loss", "test"):
        table.add_column(column, justify="right" if column in ("loss", "test") else "left")
    for row in rows:
        table.add_row(
            cell(row["run"]),
            cell(row["dataset"] or MISSING),
            cell(row["status"]),
            MISSING if row["best_val_loss"] is None else f"{row['best_val_loss']:.3f}",
            MISSING if row["accuracy"] is None else _percent(row["accuracy"]),
        )
    table.caption = Text("loss: lowest validation loss; test: test accuracy")
    table.caption_justify = "left"
    return table


def table_comparison(comparison: dict) -> Table:
    """Two runs class by class, as `compare.compare` returns it."""
    table = _table("Test accuracy, the same images")
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
            _percent(row["a"]),
            _percent(row["b"]),
            _points(row["difference"]),
            f"{row['only_a']} / {row['only_b']}",
            f"{verdict} (p = {row['p_value']:.2g})",
        )
    return table


def table_dataset(description: dict) -> Table:
    """Counts per class and channel means, as `describe_dataset` gives them."""
    table = _table(f"{description['name']}, images of {_size(description['image_shape'])}")
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


def table_top(row: dict, title: str) -> Table:
    """The images that excite one filter most, as a row of `look.top_images`."""
    table = _table(title)
    table.add_column("rank", justify="right")
    table.add_column("image", overflow="fold")
    table.add_column("true class")
    table.add_column("predicted class")
    table.add_column("activation", justify="right")
    for image in row["top"]:
        cells = (image["image"], image["label"], image["prediction"])
        named = (cell(text or MISSING) for text in cells)
        table.add_row(str(image["rank"]), *named, f"{image['activation']:.3f}")
    return table


def table_maps(rows: list[dict], title: str) -> Table:
    """Mean activation of each filter for each image, as rows of `look.maps_of`."""
    table = _table(title)
    table.add_column("filter", justify="right")
    for row in rows:
        heading = row["label"] or row["image"]
        heading = f"{heading} ({row['image']})" if row["label"] else heading
        table.add_column(cell(heading), justify="right", overflow="fold")
    for place, first in enumerate(rows[0]["filters"]):
        values = (f"{row['filters'][place]['mean']:.3f}" for row in rows)
        table.add_row(str(first["filter"]), *values)
    return table


def table_filters(rows: list[dict], title: str) -> Table:
    """A row a filter, as `look.all_filters` gives them."""
    table = _table(title)
    table.add_column("filter", justify="right")
    table.add_column("state")
    table.add_column("active for", justify="right")
    table.add_column("mean", justify="right")
    table.add_column("over-represented among its top images")
    for row in rows:
        classes = (_over_represented(found) for found in row["classes"])
        table.add_row(
            str(row["filter"]),
            "dead" if row["is_dead"] else "alive",
            _percent(row["active_share"]),
            f"{row['mean']:.3f}",
            cell(", ".join(classes)) or MISSING,
        )
    return table


def table_kernel(row: dict) -> Table:
    """Preferred color and orientation of a filter, as `look.explain` gives them."""
    table = _table(f"Filter {row['filter']} of {row['layer']}")
    table.add_column("")
    table.add_column("value")
    kernel = row["kernel"]
    if kernel is not None:
        if kernel["color"]:
            weights = ", ".join(f"{weight:+.2f}" for weight in kernel["color_weights"])
            table.add_row("preferred color", f"{kernel['color']} (red, green, blue: {weights})")
            table.add_row("share of color in the kernel", _percent(kernel["color_share"], 0))
        orientation = f"{kernel['orientation']:.0f}° from horizontal"
        selectivity = f"selectivity {kernel['selectivity']:.2f}"
        table.add_row("preferred orientation of edges", f"{orientation} ({selectivity})")
    for found in row["classes"]:
        given = found["given_property"]["probability"]
        table.add_row(
            cell(f"{found['name']} among the top {row['num_top']}"),
            f"{_percent(found['share'], 0)}, base rate {_percent(found['base_rate'], 0)}, "
            f"p = {found['p_value']:.2g}; among alike images {_percent(given, 0)} superior",
        )
    return table


def table_correlations(row: dict, num_rows: int = 10) -> Table:
    """The properties that a filter follows most, as `look.explain` gives them."""
    table = _table("Rank correlation of its mean activation with properties of the images")
    table.add_column("property")
    table.add_column("rho", justify="right")
    for name, rho in list(row["correlations"].items())[:num_rows]:
        table.add_row(name, f"{rho:+.2f}")
    return table


def table_probabilities(rows: list[dict], top: int) -> Table:
    """The most probable classes of each picture, with bars, as `look.predict_files` gives them."""
    table = _table("Class probabilities")
    table.add_column("picture", overflow="fold")
    table.add_column("class")
    table.add_column("probability", justify="right")
    table.add_column("")
    for row in rows:
        ranked = list(row["probabilities"].items())[:top]
        for place, (name, share) in enumerate(ranked):
            picture = "" if place else cell(row["image"])
            table.add_row(picture, cell(name), _percent(share), "█" * round(20 * share))
        table.add_section()
    return table


def table_bench(measured: dict) -> Table:
    """A row a peer, as `bench.run_bench` gives them."""
    title = (
        f"{measured['recipe']}, batch size {measured['batch_size']}, {measured['backend']} on "
        f"{measured['device']}, {measured['threads']} threads"
    )
    table = _table(title)
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


def table_study(rows: list[dict]) -> Table:
    """A row a recipe, reported beside measured, as `results.summarize` gives them."""
    table = _table("Measured: mean ± standard deviation, range (in brackets: reported)")
    table.add_column("recipe, seeds", overflow="fold")
    for column in ("best val. loss", "best epoch", "training loss", "test accuracy"):
        table.add_column(column, justify="right")
    for row in rows:
        seeds = ", ".join(map(str, row["seeds"]))
        figures = (_figure(figure) for figure in row["figures"][:4])
        table.add_row(f"{cell(row['recipe'])}\n{seeds}", *figures)
        table.add_section()
    return table


def table_study_classes(rows: list[dict]) -> Table:
    """A row a recipe: test accuracy of the classes that the study names for it."""
    table = _table("Test accuracy by class (in brackets: reported)")
    table.add_column("recipe", overflow="fold")
    table.add_column("classes that the study names")
    for row in rows:
        if classes := row["figures"][4:]:
            table.add_row(cell(row["recipe"]), "; ".join(map(_class_figure, classes)))
            table.add_section()
    return table


def table_audit(claims: list[dict], title: str) -> Table:
    """A row a claim: what the study says, the verdict, and why, as `audit.audit` gives them."""
    table = _table(title)
    table.add_column("the study says", ratio=4)
    table.add_column("verdict", width=13)
    table.add_column("because", ratio=6)
    table.expand = True
    for claim in claims:
        said = Text.assemble(visible(claim["text"]), "\n", (visible(claim["where"]), "dim"))
        style = VERDICT_STYLES.get(claim["verdict"], "")
        table.add_row(said, Text(claim["verdict"], style=style), Text(visible(claim["evidence"])))
        table.add_section()
    return table


def tables_readings(audited: dict, width: int) -> list[Table]:
    """A row a reported number, a column a reading: what was measured, and which comes closest.

    As many tables, one below the other, as it takes for no number to be cut at a width in columns
    of text; each without the rows that have nothing in it.
    """
    names = [reading["name"] for reading in audited["readings"]]
    rows = [claim for claim in audited["claims"] if _is_read_in_several(claim)]
    fit = max(1, (width - 36) // 16)
    parts = [names[start : start + fit] for start in range(0, len(names), fit)]
    return [_table_readings(rows, part) for part in parts] if rows else []


def _is_read_in_several(claim: dict) -> bool:
    found = claim["readings"].values()
    return len(found) > 1 and any(each["reported"] is not None for each in found)


def _table_readings(claims: list[dict], readings: list[str]) -> Table:
    table = _table(
        "Reported numbers, by reading (■ comes closest, ✓ holds, ✗ does not, ~ cannot tell)"
    )
    table.add_column("number", overflow="fold")
    table.add_column("reported", justify="right")
    for name in readings:
        table.add_column(cell(name), justify="right", no_wrap=True)
    for claim in claims:
        found = claim["readings"].values()
        reported = next(each["reported"] for each in found if each["reported"] is not None)
        cells = [_reading_cell(claim, name) for name in readings]
        if set(cells) != {MISSING}:
            title = "\n".join(map(cell, claim["name"].split("/")))
            table.add_row(title, _amount(claim["name"], reported), *cells)
    return table


def _reading_cell(claim: dict, name: str) -> str:
    found = claim["readings"].get(name)
    if found is None or found["measured"] is None:
        return MISSING
    mark = {"holds": "✓", "does not hold": "✗"}.get(found["verdict"], "~")
    closest = "■ " if claim["closest"] == name else ""
    return f"{closest}{_amount(claim['name'], found['measured'])} {mark}"


def _amount(name: str, value: float) -> str:
    """A number of a claim, as people write it: a loss, an epoch, or a share."""
    if "loss" in name:
        return f"{value:.3f}"
    return f"{value:.0f}" if abs(value) > 1 else _percent(value)


def _figure(figure: dict) -> str:
    measured, reported = figure["measured"], figure["reported"]
    if measured is None:
        return MISSING
    write = _writer(figure["quantity"])
    lines = [write(measured["mean"])]
    if measured["sd"] is not None:
        lines[0] += f" ± {write(measured['sd']).removesuffix(' %')}"
        lines.append(f"{write(measured['low']).removesuffix(' %')} – {write(measured['high'])}")
    if reported is not None:
        lines.append(f"({write(reported)})")
    return "\n".join(lines)


def _class_figure(figure: dict) -> str:
    name, measured = figure["quantity"].removeprefix("class "), figure["measured"]
    said = MISSING if measured is None else _percent(measured["mean"])
    if measured and measured["sd"] is not None:
        said += f" ± {100 * measured['sd']:.1f}"
    return cell(f"{name} {said} ({_percent(figure['reported'], 0)})")


def _writer(quantity: str):
    if quantity.endswith("loss"):
        return lambda value: f"{value:.3f}"
    if quantity == "best_epoch":
        return lambda value: f"{value:.1f}".removesuffix(".0")
    return _percent


def _over_represented(found: dict) -> str:
    return f"{found['name']} {_percent(found['share'], 0)}"


def _table(title: str) -> Table:
    return Table(title=Text(visible(title)), title_justify="left", title_style="bold")


def _accuracy_cells(row: dict, has_reported: bool) -> list[str]:
    cells = [cell(row["name"]), _percent(row["accuracy"])]
    cells.append(f"{100 * row['low']:.1f} – {100 * row['high']:.1f}")
    if has_reported:
        given = row["reported"]
        cells.append(MISSING if given is None else _percent(given, 0))
        known = given is not None and row["accuracy"] is not None
        cells.append(_points(row["accuracy"] - given) if known else "")
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


def _percent(share: float | None, digits: int = 1) -> str:
    return MISSING if share is None else f"{100 * share:.{digits}f} %"


def _points(difference: float | None) -> str:
    return MISSING if difference is None else f"{100 * difference:+.1f}"
