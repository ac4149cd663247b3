"""A folder of pictures as a data set, from the files to a trained run."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from kerascnn.cli import main
from kerascnn.data import describe_dataset, folder, is_dataset, load_dataset
from kerascnn.errors import DatasetError

COLORS = {"apple": (200, 30, 30), "leaf": (30, 200, 30), "sky": (40, 60, 220)}


def make_class(directory, count, color=(120, 120, 120), size=(20, 24), seed=0):
    """Noisy pictures of one color; size is width, height."""
    directory.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for number in range(count):
        noise = generator.integers(-30, 31, (size[1], size[0], 3))
        pixels = np.clip(np.array(color) + noise, 0, 255).astype("uint8")
        Image.fromarray(pixels).save(directory / f"{number:03}.png")


@pytest.fixture
def colors(tmp_path):
    """Three classes of ten pictures, 24 x 20 pixels, without train/ and test/."""
    for seed, (name, color) in enumerate(COLORS.items()):
        make_class(tmp_path / "colors" / name, 10, color, seed=seed)
    return tmp_path / "colors"


def test_classes_are_sub_folders_in_alphabetical_order(colors):
    dataset = load_dataset(str(colors))
    assert dataset.class_names == ("apple", "leaf", "sky")
    assert dataset.image_shape == (24, 20, 3)
    assert (dataset.train_images.dtype, dataset.train_labels.dtype) == (np.uint8, np.int32)
    for split in ("train", "test"):
        images, labels = getattr(dataset, f"{split}_images"), getattr(dataset, f"{split}_labels")
        assert images.mean(axis=(1, 2)).argmax(axis=1).tolist() == labels.tolist()
    assert dataset.problems == ()


def test_a_fifth_of_each_class_is_held_out_the_same_each_time_and_everywhere(colors, tmp_path):
    dataset = load_dataset(str(colors))
    splits = describe_dataset(dataset)["splits"]
    assert splits["train"]["per_class"] == [8, 8, 8]
    assert splits["test"]["per_class"] == [2, 2, 2]
    moved = colors.rename(tmp_path / "moved")
    again = load_dataset(str(moved))
    np.testing.assert_array_equal(again.test_images, dataset.test_images)
    pixels = {image.tobytes() for image in [*dataset.train_images, *dataset.test_images]}
    assert len(pixels) == 30


def test_train_and_test_folders_are_taken_as_they_are(tmp_path):
    for split, count in (("train", 4), ("test", 3)):
        for name in ("b", "a"):
            make_class(tmp_path / "set" / split / name, count)
    make_class(tmp_path / "set" / "val" / "c", 2)
    splits = describe_dataset(load_dataset(str(tmp_path / "set")))["splits"]
    assert splits["train"]["per_class"] == [4, 4]
    assert splits["test"]["per_class"] == [3, 3]


def test_a_test_folder_may_lack_a_class_but_not_have_one_of_its_own(tmp_path):
    for name in ("a", "b"):
        make_class(tmp_path / "train" / name, 2)
    make_class(tmp_path / "test" / "b", 2)
    assert load_dataset(str(tmp_path)).test_labels.tolist() == [1, 1]
    make_class(tmp_path / "test" / "z", 1)
    with pytest.raises(DatasetError, match=r"has the class 'z', but '.*train' does not"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize(("there", "other"), [("train", "test"), ("test", "train")])
def test_one_split_without_the_other_is_not_taken_for_a_class(tmp_path, there, other):
    make_class(tmp_path / "set" / there / "a", 2)
    make_class(tmp_path / "set" / "val" / "a", 2)
    with pytest.raises(DatasetError, match=f"has {there}/ but no classes in {other}/; expected"):
        load_dataset(str(tmp_path / "set"))


def test_a_class_may_be_called_train(tmp_path):
    for name in ("bus", "train"):
        make_class(tmp_path / "set" / name, 5)
    assert load_dataset(str(tmp_path / "set")).class_names == ("bus", "train")


def test_the_size_is_that_of_most_pictures_and_the_others_are_fitted(tmp_path):
    make_class(tmp_path / "set" / "a", 3, size=(30, 18))
    make_class(tmp_path / "set" / "b", 4, size=(16, 16))
    make_class(tmp_path / "set" / "b" / "more", 2, size=(30, 18), seed=1)
    dataset = load_dataset(str(tmp_path / "set"))
    assert dataset.image_shape == (18, 30, 3)
    assert len(dataset.train_images) + len(dataset.test_images) == 9


def test_large_pictures_are_reduced(tmp_path):
    for name in ("a", "b"):
        make_class(tmp_path / "set" / name, 2, size=(512, 256))
    assert load_dataset(str(tmp_path / "set")).image_shape == (64, 128, 3)


def test_the_cameras_rotation_counts_for_the_size(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (30, 20)).save(tmp_path / name / f"{number}.jpg", exif=exif)
    assert load_dataset(str(tmp_path)).image_shape == (30, 20, 3)


def test_some_unreadable_files_are_named_also_from_the_cache(colors, monkeypatch):
    for name in ("apple", "leaf"):
        (colors / name / "bad.jpg").write_text("no picture")
    first = load_dataset(str(colors))
    assert len(first.train_images) + len(first.test_images) == 30
    assert len(first.problems) == 2
    assert all("bad.jpg' is not a picture" in problem for problem in first.problems)
    monkeypatch.setattr(folder, "read_files", None)  # so this one comes from the cache
    assert load_dataset(str(colors)).problems == first.problems


def test_more_than_a_tenth_unreadable_is_refused(colors):
    for number in range(3):
        (colors / "sky" / f"bad{number}.jpg").touch()
    assert len(load_dataset(str(colors)).problems) == 3  # 3 of 33
    (colors / "sky" / "bad3.jpg").touch()
    with pytest.raises(DatasetError) as raised:
        load_dataset(str(colors))
    message = str(raised.value)
    assert "4 of 34 files cannot be read, more than 10 %. The first: '" in message
    assert "sky/bad" in message


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "is not known; expected cifar10, shapes, or a folder"),
        (lambda root: (root / "a").mkdir(), "has no sub-folders with pictures; expected at least"),
        (lambda root: make_class(root / "a", 2), "has 1 sub-folder with pictures"),
        (lambda root: [make_class(root / n, 1) for n in "ab"], "A class needs at least two"),
        (
            lambda root: [make_class(root / n, 0) or (root / n / "x.png").touch() for n in "ab"],
            "None of the 2 files can be read as a picture; the first is '",
        ),
    ],
)
def test_a_folder_that_is_no_data_set_is_refused_in_one_line(tmp_path, make, words):
    root = tmp_path / "set"
    root.mkdir()
    make(root)
    with pytest.raises(DatasetError, match=words) as raised:
        load_dataset(str(root))
    assert "[" not in str(raised.value)


def test_hidden_files_and_folders_do_not_count(colors):
    make_class(colors / ".thumbnails", 3)
    make_class(colors / "apple" / ".cache", 3)
    (colors / "apple" / "._000.png").write_text("what macOS leaves behind")
    (colors / "apple" / "Thumbs.db").write_text("what Windows leaves behind")
    dataset = load_dataset(str(colors))
    assert dataset.class_names == ("apple", "leaf", "sky")
    assert len(dataset.train_images) + len(dataset.test_images) == 30
    assert dataset.problems == ()


def test_a_folder_of_pictures_beside_a_hidden_folder_is_no_data_set(tmp_path):
    make_class(tmp_path / "plain", 2)
    (tmp_path / "plain" / ".git").mkdir()
    assert not is_dataset(str(tmp_path / "plain"))


def test_a_class_keeps_a_picture_to_train(tmp_path):
    make_class(tmp_path / "set" / "a", 5)
    make_class(tmp_path / "set" / "b", 1)
    dataset = load_dataset(str(tmp_path / "set"))
    assert set(dataset.train_labels.tolist()) == {0, 1}


def test_a_changed_added_or_removed_file_is_read_anew(colors):
    first = load_dataset(str(colors))
    path = colors / "apple" / "000.png"
    stat = path.stat()
    Image.new("RGB", (20, 24), (1, 2, 3)).save(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    second = load_dataset(str(colors))
    images = np.concatenate([second.train_images, second.test_images])
    assert (images == (1, 2, 3)).all(axis=(1, 2, 3)).sum() == 1
    path.unlink()
    third = load_dataset(str(colors))
    assert len(third.train_images) + len(third.test_images) == 29
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


def test_the_same_folder_by_another_path_is_the_same(colors, monkeypatch):
    monkeypatch.chdir(colors.parent)
    by_name, by_path = load_dataset("colors"), load_dataset(str(colors))
    assert by_name.fingerprint == by_path.fingerprint
    assert by_name.name == by_path.name == str(colors)


# Through the command line.


WEIRD = ("$x$", "Über-größe", "[bold]")


@pytest.fixture(scope="module")
def drawn():
    """The texts of each figure that was saved, by the beginning of its file's name."""
    texts, save = {}, Figure.savefig

    def save_and_note(figure, path, **options):
        texts[Path(path).name.split(".")[0]] = [each.get_text() for each in figure.findobj(Text)]
        return save(figure, path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_and_note)
        yield texts


@pytest.fixture(scope="module")
def weird_run(tmp_path_factory, drawn):
    """A run on three classes of odd names, one file of which is no picture, and its output."""
    root = tmp_path_factory.mktemp("weird")
    for seed, (name, color) in enumerate(zip(WEIRD, COLORS.values(), strict=True)):
        make_class(root / "pictures" / name, 150, color, seed=seed)
    (root / "pictures" / "$x$" / "bad.png").write_text("no picture")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setattr("sys.argv", ["kerascnn", "run", "sgd-lr0.01", "--dataset", "pictures",
                                   "--epochs", "1", "--batch-size", "20"])  # fmt: skip
        main_status = None
        try:
            main()
        except SystemExit as stop:
            main_status = stop.code or 0
    assert main_status == 0
    return next((root / "runs").iterdir())


def test_a_run_on_a_folder_takes_classes_and_size_from_it(weird_run, drawn):
    metrics = json.loads((weird_run / "metrics.json").read_text())
    assert [row["name"] for row in metrics["test"]["per_class"]] == ["$x$", "[bold]", "Über-größe"]
    assert metrics["test"]["num_images"] == 89
    with np.load(weird_run / "predictions.npz") as predictions:
        assert predictions["probabilities"].shape == (89, 3)
    assert {path.stem for path in weird_run.glob("figures/*.png")} <= set(drawn)
    for figure in ("confusion", "per_class"):
        assert set(WEIRD) <= {text.replace("\\$", "$") for text in drawn[figure]}


def test_run_names_the_files_that_it_passed_over(colors, invoke):
    (colors / "sky" / "bad.png").write_text("no picture")
    for _ in range(2):  # decoded, and from the cache
        status, _, err = invoke(
            "run", "sgd-lr0.01", "--dataset", "colors", "--epochs", "1", "--json"
        )
        assert status == 0
        skipped = [line for line in err.splitlines() if line.startswith("Skipped: ")]
        assert len(skipped) == 1
        assert "sky/bad.png' is not a picture that can be read; expected" in skipped[0]


def test_the_stored_recipe_means_the_same_folder_from_elsewhere(weird_run, invoke):
    status, out, _ = invoke("run", weird_run / "recipe.toml", "--json")
    assert status == 0
    first = json.loads((weird_run / "metrics.json").read_text())
    assert json.loads(out)["test"]["confusion"] == first["test"]["confusion"]


def test_evaluate_works_from_elsewhere_and_prints_odd_names_as_they_are(weird_run, invoke):
    status, out, _ = invoke("evaluate", weird_run)
    assert status == 0
    assert all(name in out for name in WEIRD)


def test_top_activations_work_on_the_run(weird_run, invoke):
    status, out, err = invoke("top-activations", weird_run, "-f", "2", "-k", "89", "--json")
    assert status == 0
    assert "bad.png' is not a picture" in err
    top = json.loads(out)[0]["top"]
    assert {image["label"] for image in top} == set(WEIRD)
    assert (weird_run / "figures" / "top-activations-relu1-2.png").exists()


def test_explain_filter_prints_odd_names_as_they_are(weird_run, invoke):
    rows = json.loads(invoke("filters", weird_run, "--json")[1])
    bold = [
        row["filter"] for row in rows if row["classes"] and row["classes"][0]["name"] == "[bold]"
    ]
    status, out, _ = invoke("explain-filter", bold[0], weird_run)
    assert status == 0
    sentence = json.loads(invoke("explain-filter", bold[0], weird_run, "--json")[1])["sentence"]
    assert "Class [bold] " in sentence
    assert sentence in " ".join(out.split())
    assert "│ [bold] among the top 8 " in out


def test_data_info_of_a_folder(weird_run, invoke):
    status, out, err = invoke("data", "info", weird_run.parents[1] / "pictures")
    assert status == 0
    assert all(name in out for name in WEIRD)
    assert "24x20 pixels" in " ".join(out.split())
    assert "Skipped: " in err
