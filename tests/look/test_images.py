"""Pictures that are shown to a model: found and named at once, decoded when they are used."""

import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerascnn.data import load_dataset
from kerascnn.data.pictures import load_image
from kerascnn.errors import ImageError
from kerascnn.look.images import load_shown

SHAPE = (12, 10, 3)


def save_noise(path, size=(23, 17), seed=0):
    """A picture of noise; size is width, height."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), "uint8")
    Image.fromarray(noise).save(path)
    return str(path)


@pytest.fixture
def classes(tmp_path):
    """A folder of two classes, one of a single picture; the larger of 300 x 200 pixels."""
    for number in range(3):
        save_noise(tmp_path / f"set/cat/{number}.png", (300, 200), number)
    save_noise(tmp_path / "set/dog/0.png", seed=3)
    return tmp_path / "set"


def all_of(shown):
    batches = list(shown.images.batches(2))
    return np.concatenate([batch.images for batch in batches])


def test_a_file_gives_the_same_pixels_alone_in_a_folder_and_in_a_folder_of_classes(classes):
    files = sorted(str(path) for path in classes.rglob("*.png"))
    expected = np.stack([load_image(file, SHAPE) for file in files])
    for given in ((str(classes),), (classes,), tuple(files)):
        shown = load_shown(given, SHAPE)
        assert shown.names == files
        np.testing.assert_array_equal(all_of(shown), expected)
        np.testing.assert_array_equal(shown.images.take([3, 0]), expected[[3, 0]])


def test_a_folder_of_classes_is_shown_whole_with_its_labels(classes):
    shown = load_shown((str(classes),), SHAPE)
    assert shown.images.shape == (4, *SHAPE)
    assert shown.class_names == ("cat", "dog")
    assert shown.labels.tolist() == [0, 0, 0, 1]
    one = load_shown((str(classes / "cat"),), SHAPE)
    assert (one.labels, one.class_names) == (None, ())
    (classes / "dog/0.png").unlink()
    one = load_shown((str(classes),), SHAPE)
    assert (one.labels.tolist(), one.class_names) == ([0, 0, 0], ("cat",))


def test_both_splits_are_shown_or_the_one_asked_for(tmp_path):
    for number, name in enumerate(("train/a/0", "train/b/0", "test/b/0", "test/c/0")):
        save_noise(tmp_path / f"{name}.png", seed=number)
    whole = load_shown((str(tmp_path),), SHAPE)
    assert whole.class_names == ("a", "b", "c")
    assert whole.labels.tolist() == [0, 1, 1, 2]
    test = load_shown((str(tmp_path),), SHAPE, split="test")
    assert [os.path.relpath(name) for name in test.names] == ["test/b/0.png", "test/c/0.png"]
    assert test.labels.tolist() == [1, 2]


def test_the_splits_are_those_of_training(tmp_path):
    for name in ("a", "b"):
        for number in range(10):
            save_noise(tmp_path / f"set/{name}/{number}.png", SHAPE[1::-1], number)
    dataset = load_dataset("set")
    for split in ("train", "test"):
        shown = load_shown(("set",), SHAPE, split=split)
        assert shown.names[0] in ("set/a/0.png", "set/a/1.png", "set/a/2.png", "set/a/3.png")
        np.testing.assert_array_equal(all_of(shown), getattr(dataset, f"{split}_images"))
        np.testing.assert_array_equal(shown.labels, getattr(dataset, f"{split}_labels"))


def test_pictures_beside_the_sub_folders_are_shown_too_and_leave_no_classes(classes):
    save_noise(classes / "overview.png")
    shown = load_shown((str(classes),), SHAPE)
    assert len(shown.images) == 5
    assert shown.labels is None
    assert "as some of its pictures lie in no sub-folder" in shown.problems[0]


def test_files_have_no_split(classes):
    with pytest.raises(ImageError, match="is no data set, so it has no test split; expected"):
        load_shown((classes,), SHAPE, split="test")


def test_a_data_set_shows_its_test_images_or_the_split_asked_for_at_any_shape():
    dataset = load_dataset("shapes")
    whole = load_shown(("shapes",), None)
    assert np.shares_memory(whole.images.array, dataset.test_images)
    np.testing.assert_array_equal(whole.labels, dataset.test_labels)
    assert whole.names[999] == "999"
    train = load_shown(("shapes",), (20, 20, 1), split="train")
    assert train.images.shape == (5000, 20, 20, 1)
    batch = next(train.images.batches(7, start=4990))
    assert batch.indices.tolist() == list(range(4990, 4997))
    np.testing.assert_array_equal(batch.images, train.images.take(batch.indices))
    assert (
        len({shown.source for shown in (whole, train, load_shown(("shapes",), (20, 20, 1)))}) == 3
    )


def test_batches_come_in_order_from_any_place_and_leave_out_what_cannot_be_read(classes):
    files = [str(path) for path in sorted(classes.rglob("*.png"))]
    Path("bad.png").write_bytes(Path(files[0]).read_bytes()[:2000])
    shown = load_shown((*files, "bad.png", *files), SHAPE)
    batches = list(shown.images.batches(2, start=1))
    assert [batch.indices.tolist() for batch in batches] == [[1, 2], [3], [5, 6], [7, 8]]
    assert [list(batch.problems) for batch in batches] == [[], [4], [], []]
    assert "bad.png" in batches[1].problems[4]
    with pytest.raises(ImageError, match=r"bad.png.*truncated"):
        shown.images.take([0, 4])


def test_what_pillow_remarks_of_a_file_is_no_error_and_hides_no_other_warning():
    exif = Image.Exif()
    exif[0x0112] = 1
    Image.new("RGB", (9, 9)).save("a.jpg", exif=exif.tobytes()[:-6])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="EXIF"), Image.open("a.jpg") as picture:
            picture.getexif()
        before = list(warnings.filters)
        (batch,) = load_shown(("a.jpg",) * 40, SHAPE).images.batches(40)
        assert (batch.problems, len(batch.images)) == ({}, 40)
        assert warnings.filters == before


def test_a_loop_over_batches_may_end_early():
    save_noise("a.png")
    for _ in load_shown(("a.png",) * 1000, SHAPE).images.batches(10):
        break
    assert not [each for each in threading.enumerate() if each.name.startswith("images")]


def test_the_limit_of_pillow_may_be_lifted(monkeypatch):
    save_noise("a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert load_image("a.png").shape == (17, 23, 3)


def test_what_is_plainly_no_picture_is_named_before_any_is_decoded(tmp_path):
    save_noise("a.png")
    Path("text.png").write_text("text")
    os.mkfifo("pipe.png")
    shown = load_shown(("text.png", "a.png", "none.png", "pipe.png"), SHAPE)
    assert shown.names == ["a.png"]
    assert [problem.split("'")[1] for problem in shown.problems] == [
        "text.png",
        "none.png",
        "pipe.png",
    ]
    with pytest.raises(ImageError, match=r"^None of 2 files can be read as a picture. The first"):
        load_shown(("text.png", "none.png"), SHAPE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=r"^There is no picture in 'empty'\.$"):
        load_shown(("empty",), SHAPE)


def test_the_source_changes_with_every_file_and_with_the_shape(classes):
    def source(shape=SHAPE):
        return load_shown((str(classes),), shape).source

    before = source()
    assert source() == before == load_shown((classes,), SHAPE).source
    assert source((12, 10, 1)) != before
    os.utime(classes / "dog/0.png", ns=(0, 1))
    changed = source()
    (classes / "cat/1.png").rename(classes / "cat/one.png")
    assert len({before, changed, source()}) == 3


@pytest.mark.parametrize(
    ("channels", "pixel"), [(1, [76]), (3, [255, 0, 0]), (4, [255, 0, 0, 255])]
)
def test_channels_are_those_that_the_model_takes(channels, pixel):
    Image.new("RGB", (4, 4), "red").save("red.png")
    shape = (2, 2, channels)
    shown = load_shown(("red.png",), shape)
    assert shown.images.take([0])[0, 0, 0].tolist() == pixel


def test_alpha_is_kept_where_the_model_takes_four_channels():
    pixels = np.full((4, 4, 4), (10, 20, 30, 40), "uint8")
    Image.fromarray(pixels).save("a.png")
    np.testing.assert_array_equal(load_image("a.png", (4, 4, 4)), pixels)
