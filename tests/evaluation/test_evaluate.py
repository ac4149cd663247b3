"""A run's best model, measured on the test images: what is stored is what was predicted."""

import json
import shutil

import keras
import numpy as np
import pytest
from made.colors import DATASET, NUM_TEST, NUM_TRAIN, RECIPE, draw_colors

from kerascnn.errors import RunError
from kerascnn.evaluation import evaluate, load_best_model, predict
from kerascnn.evaluation.figures import write_figures
from kerascnn.records.run import Evaluation
from kerascnn.run import Run
from kerascnn.run.find import create_run
from kerascnn.training import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run, trained once."""
    return train(RECIPE, tmp_path_factory.mktemp("runs"), dataset=DATASET)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it, for one test."""
    shutil.copytree(trained.path, tmp_path / trained.name)
    return Run(tmp_path / trained.name)


def test_probabilities_are_those_of_the_best_model(run):
    evaluate(run, dataset=DATASET)
    stored = run.read_predictions()
    model = keras.saving.load_model(run.best_path)
    logits = model.predict(DATASET.test_images, verbose=0).astype("float64")
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(stored["probabilities"], expected, atol=1e-5)
    assert stored["probabilities"].dtype == np.float32
    np.testing.assert_array_equal(stored["predictions"], expected.argmax(axis=1))
    np.testing.assert_array_equal(stored["labels"], DATASET.test_labels)


def test_probabilities_of_huge_logits_are_finite():
    image = keras.Input((1, 1, 3))
    model = keras.Model(image, keras.layers.Rescaling(1e6)(keras.layers.Flatten()(image)))
    values = np.array([[0, 1, 1], [3, 0, 0]], "float32").reshape(2, 1, 1, 3)
    assert predict(model, values).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_metrics_have_the_documented_keys(run):
    measured = evaluate(run, dataset=DATASET)
    for record in (measured, measured.test, measured.test.per_class[0]):
        documented = type(record).__doc__.partition("Attributes:")[2].replace(":", ",")
        assert all(f" {key}," in documented for key in record), record
    assert list(measured.keys()) == list(Evaluation.model_fields)


def test_metrics_say_what_was_predicted(run):
    measured = evaluate(run, dataset=DATASET)
    test, history, stored = measured.test, run.read_history(), run.read_predictions()
    assert measured.recipe == "adam-lr0.001"
    assert (measured.seed, measured.epochs) == (0, 2)
    assert measured.best_val_loss == min(history.val_loss)
    assert history.val_loss[measured.best_epoch - 1] == min(history.val_loss)
    assert measured.train_loss == history.loss[-1]
    right = stored["predictions"] == DATASET.test_labels
    assert test.accuracy == pytest.approx(right.mean())
    assert test.low < test.accuracy < test.high or right.all()
    assert test.num_images == NUM_TEST
    given = stored["probabilities"][np.arange(NUM_TEST), DATASET.test_labels]
    assert test.loss == pytest.approx(-np.log(given).mean(), rel=1e-5)
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (DATASET.test_labels, stored["predictions"]), 1)
    np.testing.assert_array_equal(test.confusion, confusion)
    for index, row in enumerate(test.per_class):
        assert row.name == ("red", "green", "blue")[index]
        assert row.count == np.sum(DATASET.test_labels == index)
        assert row.accuracy == pytest.approx(right[DATASET.test_labels == index].mean())


def test_metrics_are_stored_as_they_are_returned(run):
    measured = evaluate(run, dataset=DATASET)
    assert run.read_metrics() == measured
    assert json.loads(run.metrics_path.read_text()) == measured.model_dump(mode="json")
    assert run.status == "finished"


def test_evaluation_draws_nothing(run):
    evaluate(run, dataset=DATASET)
    assert not run.figures_path.exists()


def test_figures_are_written_from_what_is_stored(run):
    evaluate(run, dataset=DATASET)
    write_figures(run, dataset=DATASET)
    names = {path.name for path in run.figures_path.iterdir()}
    assert names == {"history.png", "examples.png", "confusion.png", "per_class.png"}
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in run.figures_path.iterdir())


def test_evaluating_again_gives_the_same(run):
    assert evaluate(run, dataset=DATASET) == evaluate(run, dataset=DATASET)


def test_evaluation_changes_neither_the_model_nor_the_images(run):
    before, dataset = run.best_path.read_bytes(), draw_colors(NUM_TRAIN, NUM_TEST)
    evaluate(run, dataset=dataset)
    assert run.best_path.read_bytes() == before
    np.testing.assert_array_equal(dataset.test_images, DATASET.test_images)
    np.testing.assert_array_equal(dataset.train_images, DATASET.train_images)


def test_what_the_study_reported_is_beside_a_run_on_cifar10_only(run):
    assert evaluate(run, dataset=DATASET)["reported"] == {}
    run.write_recipe(RECIPE.with_values({"data.dataset": "cifar10"}))
    reported = evaluate(run, dataset=DATASET)["reported"]
    assert reported == {"best_val_loss": 0.518, "train_loss": 0.5337, "accuracy": 0.83}


def test_classes_without_test_images_have_no_accuracy(run):
    one_class = DATASET.test_labels == 0
    dataset = type(DATASET)(
        "shapes",
        DATASET.class_names,
        DATASET.train_images,
        DATASET.train_labels,
        DATASET.test_images[one_class],
        DATASET.test_labels[one_class],
    )
    rows = evaluate(run, dataset=dataset)["test"]["per_class"]
    assert [row["count"] for row in rows] == [int(one_class.sum()), 0, 0]
    assert [row["accuracy"] for row in rows[1:]] == [None, None]


def test_run_without_a_model_is_an_error_of_one_line(tmp_path):
    run = create_run(RECIPE, tmp_path)
    with pytest.raises(RunError) as caught:
        evaluate(run, dataset=DATASET)
    assert (
        str(caught.value)
        == f"Run '{run.name}' has no best.keras: 0 of 2 epochs; `kerascnn runs` lists others."
    )


def damage_text(path):
    path.write_text("not a model")


def damage_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_nothing_left(path):
    path.write_bytes(b"")


def damage_middle(path):
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = b"x" * 2000
    path.write_bytes(bytes(content))


def damage_weights_missing(path):
    import zipfile

    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")


def damage_directory(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        damage_text,
        damage_half,
        damage_nothing_left,
        damage_middle,
        damage_weights_missing,
        damage_directory,
    ],
)
def test_damaged_model_is_an_error_of_one_line(run, damage):
    (run.path / "checkpoint.npz").unlink()  # which would tell by the checksum
    damage(run.best_path)
    with pytest.raises(
        RunError, match=r"^best.keras of run '.*' cannot be loaded|no best.keras"
    ) as caught:
        load_best_model(run)
    assert "\n" not in str(caught.value)


def test_error_without_a_message_is_still_named(run, monkeypatch):
    def fail(*args, **settings):
        raise EOFError

    monkeypatch.setattr(keras.saving, "load_model", fail)
    with pytest.raises(RunError, match="cannot be loaded: EOFError"):
        load_best_model(run)


def test_collapsed_classifier_is_diagnosed(run):
    model = load_best_model(run)
    kernel, _ = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * 0, np.array([0.0, 1.0, 0.0])])
    (run.path / "checkpoint.npz").unlink()  # which knows of another model
    run.write_best(model.save)
    (finding,) = evaluate(run, dataset=DATASET)["diagnosis"]
    assert (finding["kind"], finding["class"]) == ("collapsed", "green")


def test_what_was_measured_of_an_earlier_best_model_does_not_count(run):
    evaluate(run, dataset=DATASET)
    assert run.is_evaluated
    assert run.status == "finished"
    model = load_best_model(run)
    (run.path / "checkpoint.npz").unlink()  # it knows the checksum of the model as trained
    model.set_weights([weight * 0.5 for weight in model.get_weights()])
    run.write_best(model.save)
    assert not run.is_evaluated
    assert run.status == "trained"
    assert run.describe()["accuracy"] is None
    with pytest.raises(RunError, match="evaluate"):
        run.read_predictions()
    evaluate(run, dataset=DATASET)
    assert run.status == "finished"
