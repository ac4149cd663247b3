"""Data sets by name: what they hold, how they are split, and what cannot be loaded."""

import time
from pathlib import Path

import numpy as np
import pytest

from kerascnn import data
from kerascnn.data import (
    DATASETS,
    cache,
    describe_dataset,
    load_dataset,
    shape_of_dataset,
    split_validation,
    with_absolute_folder,
)
from kerascnn.errors import DatasetError
from kerascnn.recipe import load_recipe


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERASCNN_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))
        return load_dataset("shapes")


def test_cifar10_is_the_real_one_and_loads_from_the_cache_within_a_second(cifar10_dir):
    load_dataset("cifar10", cifar10_dir)
    data._kept.clear()
    start = time.monotonic()
    dataset = load_dataset("cifar10", cifar10_dir)
    seconds = time.monotonic() - start
    description = describe_dataset(dataset)
    train, test = description["splits"]["train"], description["splits"]["test"]
    assert (train["num_images"], train["per_class"]) == (50_000, [5000] * 10)
    assert (test["num_images"], test["per_class"]) == (10_000, [1000] * 10)
    assert train["channel_means"] == pytest.approx([0.4914, 0.4822, 0.4465], abs=5e-5)
    assert (description["image_shape"], dataset.num_classes) == ([32, 32, 3], 10)
    assert description["class_names"][::9] == ["airplane", "truck"]
    assert seconds < 1


def test_progress_tells_what_is_decoded_and_an_interrupt_leaves_no_entry(
    cifar10_dir, tmp_path, monkeypatch
):
    monkeypatch.setenv("KERASCNN_CACHE_DIR", str(tmp_path / "own"))
    told = []

    def progress(*given):
        told.append(given)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_dataset("cifar10", cifar10_dir, progress)
    assert told == [("decode train", 1000, 50_000), ("decode train", 2000, 50_000)]
    assert not (tmp_path / "own").exists()


@pytest.fixture
def checked(monkeypatch):
    """The arrays whose checksums were computed, and nothing kept of what tests before loaded."""
    monkeypatch.setattr(data, "_kept", {})
    arrays, checksum = [], cache._checksum
    monkeypatch.setattr(cache, "_checksum", lambda array: arrays.append(array) or checksum(array))
    return arrays


def test_a_data_set_is_checked_and_loaded_once_a_process(checked):
    load_dataset("shapes")  # is stored
    data._kept.clear()
    checked.clear()
    first = load_dataset("shapes")
    assert len(checked) == 4
    second = load_dataset("shapes")
    assert second.train_images is first.train_images
    assert second.test_labels is first.test_labels
    assert len(checked) == 4


def test_another_cache_or_another_source_is_loaded_anew(checked, monkeypatch, prepared):
    first = load_dataset("shapes")
    monkeypatch.setenv("KERASCNN_CACHE_DIR", "elsewhere")
    second = load_dataset("shapes")
    np.testing.assert_array_equal(first.test_images, second.test_images)
    assert Path(second.test_images.filename).is_relative_to(Path("elsewhere").absolute())
    before = load_dataset("cifar10", prepared)
    assert load_dataset("cifar10", prepared).test_images is before.test_images
    (path,) = prepared.glob("cifar10/*/dataset_info.json")
    path.write_text(path.read_text() + "\n")
    assert load_dataset("cifar10", prepared).test_images is not before.test_images


def test_few_data_sets_are_kept(checked, monkeypatch):
    for number in range(data.MOST_KEPT + 3):
        monkeypatch.setenv("KERASCNN_CACHE_DIR", f"cache-{number}")
        load_dataset("shapes")
    assert len(data._kept) == data.MOST_KEPT
    again = load_dataset("shapes")
    assert again.test_images is list(data._kept.values())[-1]["test_images"]


def test_a_failed_loading_is_not_kept(checked, tmp_path, prepared):
    for _ in range(2):
        with pytest.raises(DatasetError):
            load_dataset("cifar10", tmp_path)
    assert data._kept == {}


def test_a_recipe_means_the_same_folder_from_everywhere(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "shapes").mkdir()
    recipe = load_recipe("sgd-lr0.01").with_values({"data.dataset": "pictures"})
    found = with_absolute_folder(recipe)
    assert found.data.dataset == str(tmp_path / "pictures")
    assert with_absolute_folder(found) == found
    for name in ("shapes", "cifar10", "nowhere"):
        named = recipe.with_values({"data.dataset": name})
        assert with_absolute_folder(named) == named


def test_arrays_have_the_promised_types_and_are_read_only(shapes):
    for split, size in (("train", 5000), ("test", 1000)):
        images, labels = getattr(shapes, f"{split}_images"), getattr(shapes, f"{split}_labels")
        assert (images.shape, images.dtype) == ((size, 32, 32, 3), np.uint8)
        assert (labels.shape, labels.dtype) == ((size,), np.int32)
        assert not images.flags.writeable
        assert not labels.flags.writeable
    assert (shapes.image_shape, shapes.num_classes) == ((32, 32, 3), len(shapes.class_names))


def test_training_and_test_pictures_of_shapes_differ(shapes):
    training = {image.tobytes() for image in shapes.train_images}
    assert not any(image.tobytes() in training for image in shapes.test_images)


def test_description_counts_and_averages(shapes):
    description = describe_dataset(shapes)
    test = description["splits"]["test"]
    assert (description["name"], description["image_shape"]) == ("shapes", [32, 32, 3])
    assert test["per_class"] == [100] * 10
    green = shapes.test_images[..., 1].astype("float64").mean() / 255
    assert test["channel_means"][1] == pytest.approx(green)


def test_unknown_data_set_lists_the_known_ones():
    with pytest.raises(
        DatasetError, match=r"^Data set 'mnist' is not known; .* cifar10, shapes, or a folder"
    ):
        load_dataset("mnist")
    assert DATASETS == ("cifar10", "shapes")


def test_cifar10_that_is_not_prepared_names_the_ways_on(tmp_path):
    with pytest.raises(DatasetError, match="kerascnn data prepare") as caught:
        load_dataset("cifar10", tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_split_divides_all_images_by_the_fraction():
    training, validation = split_validation(50, 0.2, seed=3)
    assert (len(training), len(validation)) == (40, 10)
    assert sorted([*training, *validation]) == list(range(50))
    for indices in (training, validation):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def test_split_depends_on_the_seed_alone():
    first, again, other = (split_validation(1000, 0.2, seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    # 200 of 1000, drawn twice, have about 40 in common.
    assert 15 < len(np.intersect1d(first, other)) < 80


def test_split_stays_as_it_was():
    # Another value means that every run of an old recipe validates on other images.
    assert split_validation(10, 0.3, seed=0)[1].tolist() == [4, 8, 9]


def test_split_validates_with_one_image_at_least():
    training, validation = split_validation(10, 0.001, seed=0)
    assert (len(training), len(validation)) == (9, 1)


@pytest.mark.parametrize(("num_images", "fraction"), [(1, 0.2), (10, 0.96), (0, 0.5)])
def test_split_that_leaves_nothing_to_train_is_refused(num_images, fraction):
    with pytest.raises(DatasetError, match=r"none would be left to train; set data\.validation_"):
        split_validation(num_images, fraction, seed=0)


@pytest.mark.parametrize("name", ["cifar10", "shapes"])
def test_shape_of_a_known_data_set_needs_none_of_its_files(name, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert shape_of_dataset(name) == ((32, 32, 3), 10)
