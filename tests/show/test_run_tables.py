"""Tables are read as text: which words and numbers stand in which row."""

import io

import pytest
from made.records import make_classes, make_evaluation
from rich.console import Console

from kerascnn.recipe import list_recipes, load_recipe
from kerascnn.records.data import DatasetSummary
from kerascnn.records.run import ComparedClass, Comparison, RunSummary
from kerascnn.show import run_tables as tables

NAMES = ["cat", "dog", "frog", "ship", "truck", "[bold]bird"]


def read(table):
    """Title and rows of a table, cells stripped; as a terminal would show them."""
    lines = render(table).splitlines()
    cells = [
        [cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")] for line in lines
    ]
    rows = [row for row in cells[1:] if len(row) > 1]
    return lines[0].strip(), {row[0]: row[1:] for row in rows}


def render(table):
    """The text of a table, as a wide terminal would show it."""
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    return console.file.getvalue()


def measured(accuracies=(0.9, 0.8, 0.7, 0.6, 0.5, 0.4), reported=None, per_class=None):
    classes = make_classes(accuracies, NAMES, per_class)
    return make_evaluation(classes=classes, reported=reported)


def test_per_class_gives_accuracy_and_interval_in_percent():
    title, rows = read(tables.table_per_class(measured()))
    assert title == "Test accuracy, 10,000 images"
    assert rows["class"] == ["accuracy", "95 % interval", ""]
    assert rows["cat"] == ["90.0 %", "12.3 – 98.7", "▲ 1"]
    assert rows["overall"] == ["65.0 %", "55.3 – 73.6", ""]


def test_per_class_ranks_the_three_strongest_and_weakest():
    _, rows = read(tables.table_per_class(measured((0.5, 0.9, 0.4, 0.8, 0.6, 0.7))))
    marks = [rows[name][-1] for name in NAMES]
    assert marks == ["▼ 2", "▲ 1", "▼ 1", "▲ 2", "▼ 3", "▲ 3"]


@pytest.mark.parametrize("accuracies", [(0.5,) * 6, (1.0, 0, 0, 0, 0, 0), (1, 1, 1, 0, 0, None)])
def test_per_class_ranks_nothing_where_most_are_alike_or_few(accuracies):
    _, rows = read(tables.table_per_class(measured(accuracies)))
    assert {rows[name][-1] for name in NAMES} == {""}


def test_per_class_gives_the_difference_from_what_was_reported():
    given = measured(reported={"accuracy": 0.7}, per_class={"dog": 0.75})
    _, rows = read(tables.table_per_class(given))
    assert rows["class"][2:4] == ["reported", "difference"]
    assert rows["dog"][:4] == ["80.0 %", "12.3 – 98.7", "75 %", "+5.0"]
    assert rows["cat"][2:4] == ["–", ""]
    assert rows["overall"][2:4] == ["70 %", "-5.0"]


def test_per_class_of_a_class_without_images_has_a_dash():
    _, rows = read(
        tables.table_per_class(measured((0.9, None, 0.7, 0.6, 0.5, 0.4), {}, {"dog": 0.5}))
    )
    assert rows["dog"] == ["–", "12.3 – 98.7", "50 %", "", ""]


def test_class_names_are_not_markup():
    _, rows = read(tables.table_per_class(measured()))
    assert "[bold]bird" in rows


def test_losses_without_a_report_are_measured_only():
    title, rows = read(tables.table_losses(measured()))
    assert title == "Training"
    assert rows == {
        "": ["measured"],
        "best validation loss": ["0.7004"],
        "best epoch of 25": ["9"],
        "training loss, last epoch": ["0.2500"],
        "test loss": ["0.9877"],
    }


def test_losses_are_set_beside_what_was_reported():
    _, rows = read(
        tables.table_losses(measured(reported={"best_val_loss": 0.678, "best_epoch": 6}))
    )
    assert rows == {
        "": ["measured", "reported", "difference"],
        "best validation loss": ["0.7004", "0.6780", "+0.0224"],
        "best epoch of 25": ["9", "6", "+3"],
        "training loss, last epoch": ["0.2500", "–", ""],
        "test loss": ["0.9877", "–", ""],
    }


def test_recipes_are_told_apart():
    _, rows = read(tables.table_recipes([load_recipe(name) for name in list_recipes()]))
    assert rows["recipe"] == ["optimizer, rate", "epochs", "dropout", "augmented", "reported"]
    assert rows["adam-lr0.001"] == ["adam 0.001", "50", "0.35", "yes", "83 %"]
    assert rows["sgd-lr0.01"] == ["sgd 0.01", "25", "0.25", "no", "76 %"]
    assert len(rows) == 6


def test_recipe_without_a_report_has_a_dash():
    recipe = load_recipe("sgd-lr0.01")
    content = recipe.model_dump(exclude={"reported"})
    _, rows = read(tables.table_recipes([type(recipe).model_validate(content)]))
    assert rows["sgd-lr0.01"][-1] == "–"


def test_runs_show_dashes_for_what_is_not_known():
    known = RunSummary(
        run="a", dataset="shapes", status="finished", best_val_loss=0.67811, accuracy=0.7612
    )
    unknown = RunSummary(run="b", status="damaged: [/]")
    _, rows = read(tables.table_runs([known, unknown]))
    assert rows["a"] == ["shapes", "finished", "0.678", "76.1 %"]
    assert rows["b"] == ["–", "damaged: [/]", "–", "–"]


def test_run_with_an_accuracy_and_a_loss_of_zero_shows_them():
    row = RunSummary(run="a", status="finished", best_val_loss=0.0, accuracy=0.0)
    _, rows = read(tables.table_runs([row]))
    assert rows["a"][2:] == ["0.000", "0.0 %"]


def test_comparison_gives_each_class_and_a_verdict():
    cat = ComparedClass(
        name="cat",
        a=0.5,
        b=0.7504,
        difference=0.2504,
        only_a=1,
        only_b=12,
        p_value=0.0034,
        exceeds_chance=True,
    )
    frog = ComparedClass(
        name="frog",
        a=None,
        b=None,
        difference=None,
        only_a=0,
        only_b=0,
        p_value=1.0,
        exceeds_chance=False,
    )
    changes = {"name": "overall", "difference": -0.01, "exceeds_chance": False}
    overall = cat.model_copy(update=changes)
    found = Comparison(a="one", b="other", overall=overall, per_class=[cat, frog])
    _, rows = read(tables.table_comparison(found))
    assert rows["cat"] == ["50.0 %", "75.0 %", "+25.0", "1 / 12", "yes (p = 0.0034)"]
    assert rows["frog"] == ["–", "–", "–", "0 / 0", "no (p = 1)"]
    assert rows["overall"][2:] == ["-1.0", "1 / 12", "no (p = 0.0034)"]


def test_dataset_gives_counts_and_channel_means_of_each_split():
    train = {"num_images": 5000, "per_class": [2000, 3000], "channel_means": [0.1, 0.25, 0.33336]}
    test = {"num_images": 3, "per_class": [1, 2], "channel_means": [0.5, 0.5, 0.5]}
    dataset = DatasetSummary(
        name="shapes",
        class_names=["disk", "ring"],
        image_shape=[32, 16, 3],
        splits={"train": train, "test": test},
    )
    title, rows = read(tables.table_dataset(dataset))
    assert title == "shapes, images of 32x16 pixels, 3 channels"
    assert rows == {
        "class": ["train", "test"],
        "disk": ["2000", "1"],
        "ring": ["3000", "2"],
        "all": ["5,000", "3"],
        "channel means": ["0.1000 0.2500 0.3334", "0.5000 0.5000 0.5000"],
    }
