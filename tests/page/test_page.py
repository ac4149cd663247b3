"""The HTML page of runs, as a browser's parser sees it."""

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from made.page import FILTERS, HOSTILE, NUM_TEST, SCRIPT, draw_folder, make_audit, train_run
from made.records import make_history

from kerascnn.data.batches import ImageArray
from kerascnn.errors import RunError
from kerascnn.evaluation import summarize
from kerascnn.page import comparison, gather, write_page
from kerascnn.page.charts import Chart, Series, round_steps
from kerascnn.page.measured import identify, read_measured
from kerascnn.page.pictures import (
    ATLAS_BYTES,
    COLUMNS,
    SHEET_BYTES,
    Album,
    Atlas,
    build_sheet,
    color_kernels,
    color_maps,
)
from kerascnn.page.render import typeset
from kerascnn.recipe import load_recipe
from kerascnn.records.quantity import ACCURACY, BEST_VAL_LOSS
from kerascnn.records.run import ConvertedFrom, Environment, History, SeedSummary
from kerascnn.run import Run
from kerascnn.run.find import create_run

MOST_BYTES = 8_000_000
VOID = {"meta", "link", "input", "br", "hr", "img"}


class Page(HTMLParser):
    """A page's elements (tag, attributes), its text, and the text of script and style."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self.raw, self.open, self.inside = [], [], [], [], []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside.append(list(self.open))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside.append(list(self.open))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        is_raw = self.open and self.open[-1] in ("script", "style")
        (self.raw if is_raw else self.text).append(data)

    def all(self, tag=None, **wanted):
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in wanted.items()}
        return [
            attributes
            for name, attributes in self.elements
            if tag in (None, name) and all(attributes.get(k) == v for k, v in wanted.items())
        ]

    def has_class(self, name):
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def folder(directory):
    return draw_folder(directory / "pictures")


@pytest.fixture(scope="module")
def trained(directory, folder):
    """Two seeds of one recipe and a run of another, to read only."""
    runs = [train_run(directory, folder, seed=seed) for seed in (0, 1)]
    return [*runs, train_run(directory, folder, "sgd-lr0.01-augmented")]


@pytest.fixture(scope="module")
def augmented(trained, folder):
    draws = np.zeros((2, 3, 32, 32, 3), "float32")
    return {trained[2].name: (np.zeros((2, 32, 32, 3), "uint8"), draws)}


@pytest.fixture(scope="module")
def single(trained, directory):
    path = write_page(trained[:1], directory / "single.html")
    return path, Page(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def several(trained, directory, augmented):
    path = write_page(trained, directory / "several.html", make_audit(), augmented)
    return path, Page(path.read_text("utf-8"))


@pytest.fixture(params=["single", "several"])
def written(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def run(trained, tmp_path):
    """A run of one's own."""
    return Run(shutil.copytree(trained[0].path, tmp_path / "runs" / trained[0].name))


def make_run(predictions, labels, names, recipe="adam-lr0.001", seed=0, val_loss=()):
    """A run that was evaluated and has nothing but numbers."""
    run = create_run(load_recipe(recipe).with_values({"train.seed": seed}))
    predictions, labels = np.array(predictions), np.array(labels)
    probabilities = np.eye(len(names))[predictions]
    run.write_predictions(probabilities=probabilities, predictions=predictions, labels=labels)
    run.write_environment(Environment())
    run.write_history(make_history(val_loss, val_loss))
    run.write_metrics(summarize(run, names, labels, probabilities))
    return run


def page_of(runs, **settings):
    return Page(write_page(runs, Path("page.html"), pictures=False, **settings).read_text("utf-8"))


def test_run_that_trained_with_others_says_so():
    run = make_run([0, 1], [0, 1], ["a", "b"], val_loss=[1.0, 0.5])
    assert "together with" not in "".join(page_of([run]).text)
    run.write_environment(Environment(backend="torch", together=3))
    assert "together with 2 other seeds" in "".join(page_of([run]).text)


# The file


def test_page_is_small(written):
    assert written[0].stat().st_size < 2_000_000


def test_page_asks_nothing_of_any_server(written):
    _, page = written
    for _, attributes in page.elements:
        for key in ("src", "href", "srcset", "action", "poster", "data"):
            assert (attributes.get(key) or "#").startswith(("#", "data:"))
    raw = "".join(page.raw)
    assert re.findall(r"url\((?!data:image/webp;base64,)", raw) == []
    assert not re.search(r"https?:|@import|fetch\(|XMLHttpRequest|import\(", raw)
    policy = page.all("meta", http_equiv="Content-Security-Policy")[0]["content"]
    assert policy.startswith("default-src 'none'")


def test_page_names_no_path_of_the_machine(written, directory):
    assert str(directory) not in written[0].read_text("utf-8")


def test_hostile_names_are_text_and_never_elements(written):
    _, page = written
    assert not page.all("b", onclick="alert(2)>")
    handlers = [a for _, a in page.elements if any(key.startswith("on") for key in a)]
    assert handlers == []
    assert not page.all("img")
    for name in HOSTILE:
        assert name in page.words
    # Of the page's own: one that marks that scripts run, the data, and the script.
    assert len(page.all("script")) == 3


def test_name_that_closes_a_script_stays_in_its_place(several):
    _, page = several
    assert SCRIPT in page.words
    run = make_run([0, 1], [0, 1], [SCRIPT, "b"], val_loss=[1.0, 0.5])
    page = page_of([run])
    assert len(page.all("script")) == 3
    assert SCRIPT in page.words


def test_data_for_the_script_is_json_that_tells_what_the_run_keeps(single, trained):
    _, page = single
    data = json.loads(next(raw for raw in page.raw if raw.strip().startswith("{")))
    values = next(iter(data["runs"].values()))
    assert tuple(values["names"]) == tuple(sorted(HOSTILE))
    assert data["charts"][f"{trained[0].name}-loss"]["num_epochs"] == 2
    stored = trained[0].read_predictions()
    cells = {f"{t}-{p}" for t, p in zip(stored["labels"], stored["predictions"], strict=True)}
    assert set(values["cells"]) == cells


def test_same_runs_give_the_same_page(trained, tmp_path, single):
    again = write_page(trained[:1], tmp_path / "again.html")
    assert again.read_bytes() == single[0].read_bytes()


# For everybody


def test_headings_begin_with_one_of_the_first_level_and_leave_none_out(written):
    _, page = written
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_picture_has_a_name_or_is_hidden_from_readers(written):
    _, page = written
    pictures = page.all("svg") + page.has_class("tile")
    assert len(pictures) > 40
    for attributes in pictures:
        is_named = attributes.get("role") == "img" and attributes.get("aria-label")
        assert is_named or attributes.get("aria-hidden") == "true"


def test_every_reference_to_an_element_leads_to_one(written):
    _, page = written
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    for _, attributes in page.elements:
        for key in ("aria-labelledby", "aria-describedby", "for"):
            assert set((attributes.get(key) or "").split()) <= set(names)
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in names


def test_every_control_has_a_name_and_every_landmark_is_there(written):
    _, page = written
    assert page.all("html")[0]["lang"] == "en"
    assert page.has_class("skip")[0]["href"] == "#main"
    for tag in ("main", "header", "footer", "nav"):
        assert page.all(tag)
    for slider in page.all(role="slider"):
        assert slider["aria-label"]
        assert int(slider["aria-valuemin"]) <= int(slider["aria-valuenow"])
    assert page.all(aria_live="polite")


def test_tables_stand_behind_every_plot(written):
    _, page = written
    count = len(page.has_class("chart"))
    assert count >= 2
    assert page.words.count("Table: ") >= count
    for inside, (tag, attributes) in zip(page.inside, page.elements, strict=True):
        if tag == "svg" and "interval" in attributes.get("class", ""):
            assert "table" in inside


def test_header_cells_say_what_they_head(written):
    _, page = written
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))


# What it says


def test_page_of_a_run_has_all_its_parts(single, trained):
    _, page = single
    for part in ("Training", "Accuracy per class", "Confusion", "Right and wrong", "Filter 6"):
        assert part in page.words
    accuracy = trained[0].read_metrics().test.accuracy
    assert f"{100 * accuracy:.1f}\u00a0%" in "".join(page.text)
    assert "not CIFAR-10 numbers" in page.words
    assert "Nothing is augmented in this recipe." in page.words


def test_every_filter_has_an_address_and_a_link_to_it(single, trained):
    _, page = single
    links = [link["href"] for link in page.has_class("kernel")]
    assert links == [f"#{trained[0].name}-filter-{n}" for n in range(1, FILTERS + 1)]
    assert len(page.has_class("panel")) == FILTERS


def test_filter_shows_the_images_that_look_says(trained):
    from kerascnn.look import explain, top_images
    from kerascnn.look.subject import Subject

    content = gather(trained[:1], None, {}, None, True)
    filters = content.runs[0].pictures.explorer["filters"]
    alive = next(each for each in filters if not each["is_dead"])
    subject = Subject(trained[0])
    ranked = top_images(subject, [alive["number"]])[0].record.top
    assert [image["label"] for image in alive["top"]] == [each.label for each in ranked]
    assert [image["activation"] for image in alive["top"]] == [each.activation for each in ranked]
    assert alive["sentence"] == explain(subject, alive["number"]).record.sentence
    assert sum(count for _, count, _ in alive["mix"]) <= 3 * NUM_TEST


def test_properties_of_images_that_several_runs_see_are_measured_once(trained, monkeypatch):
    from kerascnn.look import explanation

    measured, real = [], explanation._properties_of
    monkeypatch.setattr(explanation, "_kept", {})
    monkeypatch.setattr(
        explanation, "_properties_of", lambda batch: measured.extend(batch) or real(batch)
    )
    gather(trained, None, {}, None, True)
    assert len(measured) == len(trained[0].read_predictions()["labels"])


def test_cells_open_images_of_their_cell(trained):
    content = gather(trained[:1], None, {}, None, True)
    run, stored = content.runs[0], trained[0].read_predictions()
    for cell, images in run.pictures.cells.items():
        label, prediction = map(int, cell.split("-"))
        chosen = (stored["labels"] == label) & (stored["predictions"] == prediction)
        assert 1 <= len(images) <= chosen.sum()


def test_several_runs_are_grouped_by_recipe_and_spread_over_seeds(trained):
    content = gather(trained, None, {}, None, False)
    first, second = content.groups
    accuracies = [run.read_metrics().test.accuracy for run in trained]
    assert [run.recipe.train.seed for run in first.runs] == [0, 1]
    assert first.accuracy.mean == pytest.approx(np.mean(accuracies[:2]))
    assert first.accuracy.sd == pytest.approx(np.std(accuracies[:2], ddof=1))
    only = accuracies[2]
    assert second.accuracy == SeedSummary(mean=only, low=only, high=only, num_seeds=1)
    assert [run.recipe.name for run in content.runs] == ["sgd-lr0.01", "sgd-lr0.01-augmented"]


def test_runs_of_one_recipe_with_other_settings_are_told_apart():
    runs = [make_run([0, 1], [0, 1], ["a", "b"], val_loss=[1.0]) for _ in range(2)]
    runs[1].write_recipe(runs[1].recipe.with_values({"train.learning_rate": 0.5}))
    found = [read_measured(*each) for each in zip(runs, identify(runs), strict=True)]
    labels = [group.label for group in comparison.group_runs(found)]
    assert labels == ["adam-lr0.001 (learning_rate 0.001)", "adam-lr0.001 (learning_rate 0.5)"]


def test_collapsed_run_is_best_in_no_class():
    collapsed = make_run([0, 0, 0, 0], [0, 0, 1, 1], ["a", "b"], "adam-lr0.1")
    good = make_run([0, 1, 1, 1], [0, 0, 1, 1], ["a", "b"])
    better = make_run([0, 0, 1, 1], [0, 0, 1, 1], ["a", "b"], "sgd-lr0.01")
    runs = [collapsed, good, better]
    found = [read_measured(*each) for each in zip(runs, identify(runs), strict=True)]
    groups = comparison.group_runs(found)
    (table,) = comparison.tabulate_classes(groups)
    behind = [[behind for _, behind in cells] for _, cells in table.rows]
    assert behind == [[None, -0.5, 0.0], [None, 0.0, 0.0], [None, -0.25, 0.0]]
    assert comparison.compare_pairs(groups).best == "1-2"
    assert "collapsed" in page_of(runs).words


def test_runs_that_have_all_collapsed_are_shown():
    runs = [
        make_run([n, n], [0, 1], ["a", "b"], r) for n, r in ((0, "adam-lr0.1"), (1, "sgd-lr0.01"))
    ]
    found = [read_measured(*each) for each in zip(runs, identify(runs), strict=True)]
    (table,) = comparison.tabulate_classes(comparison.group_runs(found))
    assert {behind for _, cells in table.rows for _, behind in cells} == {None}
    assert page_of(runs).words.count("collapsed") >= 6


def test_pairs_are_what_compare_says_and_only_of_the_same_images():
    from kerascnn.evaluation.compare import compare

    a = make_run([0, 0, 1, 1], [0, 0, 1, 1], ["a", "b"])
    b = make_run([0, 1, 1, 0], [0, 0, 1, 1], ["a", "b"], "sgd-lr0.01")
    other = make_run([0, 1], [1, 0], ["c", "d"], "sgd-lr0.1-augmented")
    runs = [a, b, other]
    found = [read_measured(*each) for each in zip(runs, identify(runs), strict=True)]
    pairs = comparison.compare_pairs(comparison.group_runs(found)).rows
    assert list(pairs) == ["0-1"]
    assert pairs["0-1"][-1] == compare(a, b).overall
    assert pairs["0-1"][-1].difference == -0.5
    page = page_of(runs)
    assert "Two runs on the same test images" in page.words


def test_audit_lists_every_claim_with_its_verdict(several):
    _, page = several
    audit = make_audit()
    assert len([c for c in page.all("li") if c.get("class") == "claim"]) == len(audit["claims"])
    for verdict, count in audit["counts"].items():
        claims = [c for c in page.has_class("claim") if c["data-verdict"] == verdict]
        assert len(claims) == count
        assert page.all("button", data_verdict=verdict)
    assert "Task 1, first paragraph · Task 2" in page.words


def test_augmentation_is_shown_where_it_is_given(several):
    _, page = several
    assert len(page.has_class("draws")) == 2
    assert "2 training images are on the left. To the right of each are 3 draws" in page.words


# What is missing


def test_converted_weights_have_a_page_without_curves(run):
    run.write_history(History())
    converted = {"converted_from": ConvertedFrom(file="net<b>.pt")}
    run.write_environment(run.read_environment().model_copy(update=converted))
    (run.path / "checkpoint.npz").unlink()
    page = Page(write_page([run], Path("page.html")).read_text("utf-8"))
    assert "There are no curves: the weights were converted from “net<b>.pt”" in page.words
    assert not page.has_class("chart")
    assert len(page.has_class("panel")) == FILTERS


def test_run_without_environment_has_a_page_without_its_facts():
    page = page_of([make_run([0, 1], [0, 0], ["a", "b"], val_loss=[1.0, 0.9])])
    assert "seed 0" in page.words


def test_run_with_a_damaged_environment_has_a_page_without_its_facts():
    run = make_run([0, 1], [0, 0], ["a", "b"], val_loss=[1.0, 0.9])
    (run.path / "environment.json").write_text("{")
    assert "seed 0" in page_of([run]).words


def test_run_that_is_not_finished_says_so():
    page = page_of([make_run([0, 1], [0, 0], ["a", "b"], val_loss=[1.0, 0.9])])
    assert "This run is not finished: 2 of 50 epochs are done." in page.words


def test_run_that_is_not_its_recipe_says_in_what():
    from made.runs import make_run as make_finished

    page = page_of([make_finished("runs", values={"train.learning_rate": 0.5})])
    assert (
        "this run was trained with other settings: train.learning_rate was 0.01, is 0.5."
        in page.words
    )
    assert "other settings" not in page_of([make_finished("runs", seed=3)]).words


def test_run_that_was_not_evaluated_is_refused_with_what_to_do():
    run = create_run(load_recipe("adam-lr0.001"))
    with pytest.raises(RunError, match=r"not evaluated yet \(0 of 50 epochs\)\. `kerascnn resume "):
        write_page([run], "page.html")
    assert not Path("page.html").exists()


def test_no_run_is_refused():
    with pytest.raises(RunError, match="name at least one"):
        write_page([], "page.html")


@pytest.mark.parametrize(
    "damage",
    [
        {"labels": np.array([0, 1, 5])},
        {"labels": np.array([0, 1])},
        {"labels": np.array([0.0, 1.0, 1.0])},
        {"probabilities": np.full((3, 2), np.nan)},
        {"probabilities": np.ones((3, 4))},
        {"predictions": np.array([], "int64")},
        {"predictions": np.array([0, -1, 1])},
    ],
)
def test_predictions_that_do_not_fit_are_refused(damage):
    run = make_run([0, 1, 1], [0, 1, 0], ["a", "b"])
    run.write_predictions(**(run.read_predictions() | damage))
    with pytest.raises(RunError, match=r"do not fit its metrics; `kerascnn evaluate "):
        write_page([run], "page.html", pictures=False)


def test_predictions_that_give_another_confusion_than_the_metrics_are_refused():
    run = make_run([0, 1, 1], [0, 1, 0], ["a", "b"])
    run.write_predictions(**(run.read_predictions() | {"predictions": np.array([0, 0, 1])}))
    with pytest.raises(RunError, match="do not fit its metrics"):
        write_page([run], "page.html", pictures=False)


def test_page_says_what_the_metrics_hold():
    run = make_run([0, 1, 1], [0, 1, 0], ["a", "b"], val_loss=[1.0, 0.9])
    stored = run.read_metrics()
    test = stored.test.model_copy(update={"accuracy": 0.123, "loss": 4.567})
    run.write_metrics(stored.model_copy(update={"test": test, "best_val_loss": 0.789}))
    (shown,) = gather([run], None, {}, None, False).runs
    written = {figure.title: figure.value for figure in shown.figures}
    assert written == {
        "Test accuracy": "12.3 %",
        "Best validation loss": "0.789",
        "Best epoch": "2",
        "Training loss, last epoch": "0.900",
        "Test loss": "4.567",
    }


def test_page_says_where_a_run_went_on_after_it_was_evaluated():
    run = make_run([0, 1], [0, 0], ["a", "b"], val_loss=[1.0, 0.9])
    run.write_history(make_history([1.0, 0.9, 0.95], [1.0, 0.9, 0.8]))
    words = page_of([run]).words
    assert "3 of 50 epochs are done." in words
    assert "The figures were measured after 2 epochs." in words


def test_run_of_other_test_images_than_there_are_is_refused(run):
    stored = {name: array[:-1] for name, array in run.read_predictions().items()}
    names = run.read_metrics().class_names
    run.write_predictions(**stored)
    run.write_metrics(summarize(run, names, stored["labels"], stored["probabilities"]))
    with pytest.raises(RunError, match="on other test images than there are now"):
        write_page([run], "page.html")


def test_class_without_images_has_no_accuracy():
    page = page_of([make_run([0, 1], [0, 0], ["a", "b", "c"])])
    assert page.words.count("no images") == 2


def test_many_classes_have_a_list_of_errors_instead_of_a_matrix():
    count = 30
    labels = np.arange(count)
    run = make_run((labels + 1) % count, labels, [f"class {n}" for n in range(count)])
    page = page_of([run])
    assert not page.has_class("matrix")
    assert "most frequent errors" in page.words


def test_first_filters_are_shown_of_a_wide_layer(trained, monkeypatch):
    monkeypatch.setattr("kerascnn.page.MOST_FILTERS_OF_ONE", 2)
    page = Page(write_page(trained[:1], Path("page.html")).read_text("utf-8"))
    assert len(page.has_class("panel")) == 2
    assert "The 2 first of 6 filters" in page.words


def test_runs_of_one_name_have_addresses_of_their_own():
    runs = [Run(f"{parent}/a run") for parent in "xyz"]
    assert identify(runs) == ["a-run", "a-run-2", "a-run-3"]


def test_path_that_cannot_be_written_is_refused(trained):
    with pytest.raises(RunError, match="cannot be written"):
        write_page(trained[:1], "nowhere/page.html", pictures=False)


# Pictures and curves


def test_picture_is_in_the_atlas_once_and_where_it_is_said_to_be():
    from io import BytesIO

    images = np.random.default_rng(0).integers(0, 255, (100, 8, 8, 3), dtype="uint8")
    atlas = Atlas("a", ImageArray(images))
    places = [atlas.place(index) for index in (*range(50), 7)]
    assert len(atlas) == 50
    assert places[50] == places[7]
    sheet = atlas.to_sheet(10**6)
    picture = decode(sheet.address, BytesIO)
    x, y = places[45]["x"], places[45]["y"]
    assert (x, y) == (45 % COLUMNS, 45 // COLUMNS)
    np.testing.assert_array_equal(picture[8 * y : 8 * y + 8, 8 * x : 8 * x + 8], images[45])


def decode(address, file):
    import base64

    from PIL import Image

    return np.asarray(Image.open(file(base64.b64decode(address.split(",")[1]))).convert("RGB"))


@pytest.mark.parametrize("most_bytes", [100_000, 20_000, 2_000])
def test_sheet_is_never_larger_than_asked_for(most_bytes):
    noise = np.random.default_rng(0).integers(0, 255, (90, 32, 32, 3), dtype="uint8")
    sheet = build_sheet("a", noise, most_bytes)
    assert len(sheet.address) < most_bytes * 4 / 3 + 100


def test_large_and_gray_pictures_are_made_small_and_of_three_channels():
    sheet = build_sheet("a", np.zeros((2, 100, 200, 1), "uint8"), 10**6)
    assert (sheet.ratio, sheet.rows) == (2.0, 1)


def test_pictures_of_the_largest_page_leave_room_for_its_text():
    """Noise cannot be compressed: eight runs, each with all that it may show."""
    noise = np.random.default_rng(0).integers(0, 255, (3000, 32, 32, 3), dtype="uint8")
    album = Album(8)
    atlas = album.atlas_of("noise", ImageArray(noise))
    for index in range(3000):
        atlas.place(index)
    for _ in range(8):
        for count in (320, 48, 32):
            album.add(noise[:count])
    size = sum(len(sheet.address) for sheet in album.sheets())
    assert size < (ATLAS_BYTES + 1.5 * SHEET_BYTES) * 4 / 3 + 10_000 < MOST_BYTES * 2 / 3


def test_map_that_is_nowhere_above_zero_is_dark_and_the_highest_value_is_yellow():
    maps = np.zeros((2, 3, 3), "float32")
    assert (color_maps(maps) == (68, 1, 84)).all()
    maps[1, 2, 2] = 5
    colored = color_maps(maps)
    assert tuple(colored[1, 2, 2]) == (253, 231, 37)
    assert (colored[0] == (68, 1, 84)).all()


def test_kernel_is_gray_at_zero_and_has_a_scale_of_its_own():
    kernels = np.zeros((3, 3, 3, 2), "float32")
    kernels[0, 0, 0, 1], kernels[1, 1, 1, 1] = 0.01, -0.01
    tiles = color_kernels(kernels)
    assert (tiles[0] == 128).all()
    assert (tiles[1, 0, 0, 0], tiles[1, 1, 1, 1]) == (255, 0)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.45, 1.6, [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (1, 50, [0, 10, 20, 30, 40, 50]),
    ],
)
def test_steps_are_round_and_hold_both_ends(low, high, expected):
    assert round_steps(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[1.0], [2.0, 2.0], [0.0, 0.0], [-1.0, -1.0], [900.0, 2.3, 2.3]])
def test_curve_of_any_values_can_be_drawn(values):
    curve = Series("a", values)
    chart = Chart("c", "loss", BEST_VAL_LOSS, [curve], reported=2.31)
    numbers = [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", chart.path(curve))]
    assert np.isfinite(numbers).all()
    assert chart.axis.is_cut is (values[0] == 900)
    assert 0 <= chart.y(chart.reported) <= 100


def test_best_epoch_lies_on_its_curve():
    curve = Series("a", [3.0, 1.0, 2.0])
    chart = Chart("c", "loss", BEST_VAL_LOSS, [curve], best_epoch=2)
    points = re.findall(r"([\d.]+) ([\d.]+)", chart.path(curve))
    assert (chart.x(2), chart.y(1.0)) == pytest.approx(tuple(map(float, points[1])))


def test_ticks_are_written_as_their_values_are():
    losses = Chart("c", "Loss", BEST_VAL_LOSS, [Series("a", [0.5, 1.0])])
    shares = Chart("c", "Accuracy", ACCURACY, [Series("a", [0.5, 0.6])])
    assert [losses.write_tick(tick) for tick in losses.axis.ticks][:2] == ["0.5", "0.6"]
    assert [shares.write_tick(tick) for tick in shares.axis.ticks][:2] == ["50 %", "52 %"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("76 %", "76\u00a0%"),
        ("-1.2 points", "−1.2 points"),
        ("+0.0 points", "0.0 points"),
        ("-0.0", "0.0"),
        ("+0.012", "+0.012"),
    ],
)
def test_numbers_are_set_as_print_has_them(written, expected):
    assert typeset(written) == expected


# The command


def test_report_writes_the_page_into_the_run_and_says_where(invoke, run):
    status, out, err = invoke("report", run.path)
    assert (status, out) == (0, "")
    assert f"Wrote {run.page_path} (" in err
    assert " MB)" in err
    assert run.page_path.exists()


def test_report_of_several_runs_goes_into_the_current_directory(invoke, trained, directory):
    status, _, err = invoke("report", "--all", "--runs-dir", directory / "runs", "--no-pictures")
    assert status == 0, err
    page = Page(Path("report.html").read_text("utf-8"))
    assert "3 runs of 2 recipes" in page.words
    assert "This page was made without pictures" in page.words


def test_report_of_all_runs_is_one_place_also_for_one_run(invoke):
    make_run([0, 1], [0, 1], ["a", "b"], val_loss=[1.0])
    assert invoke("report", "--all", "--no-pictures")[0] == 0
    assert Path("report.html").exists()


def test_report_of_all_runs_audits_the_study_where_they_are_of_its_data(invoke):
    make_run([0, 1], [0, 1], ["a", "b"], val_loss=[1.0])
    make_run([0, 1], [0, 0], ["a", "b"], "sgd-lr0.01", val_loss=[1.0])
    status, _, err = invoke("report", "--all", "--no-pictures")
    assert status == 0, err
    page = Page(Path("report.html").read_text("utf-8"))
    assert "The study, claim by claim" in page.words
    assert len(page.has_class("claim")) > 20


def test_report_shows_what_augmentation_does(invoke, trained):
    status, _, err = invoke("report", trained[2].path, "--out", "page.html")
    assert status == 0, err
    page = Page(Path("page.html").read_text("utf-8"))
    assert len(page.has_class("draws")) == 6


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nothing"], "No run in"),
        (["--runs-dir", "empty"], "There is no run in 'empty'"),
        (["--all", "--runs-dir", "empty"], "There is no evaluated run in 'empty'"),
        (["--out", "nowhere/page.html", "--no-pictures"], "cannot be written"),
        (["--out", ".", "--no-pictures"], "cannot be written"),
    ],
)
def test_report_that_cannot_be_is_refused_in_one_line(invoke, run, arguments, expected):
    status, out, err = invoke("report", *arguments)
    lines = err.strip().splitlines()
    assert (status, out, len(lines)) == (1, "", 1), err
    assert expected in lines[0]


def test_report_without_test_images_says_how_to_get_them(invoke, run):
    shutil.rmtree(run.path)
    run = make_run([0, 1], [0, 1], ["a", "b"], val_loss=[1.0])
    status, _, err = invoke("report", run.path, "--data-dir", "empty")
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    assert "kerascnn data prepare" in err
    assert "With `--no-pictures` the page needs no data set." in err


def test_report_takes_names_or_all(invoke, run):
    status, _, err = invoke("report", "latest", "--all")
    assert status == 2
    assert "not both" in err
