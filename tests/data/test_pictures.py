"""Pictures of every kind become arrays of the same kind, or one clear line."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from kerascnn.data.batches import load_images
from kerascnn.data.pictures import FORMATS, find_images, image_size, load_image, resize_images
from kerascnn.errors import ImageError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def save(picture, name, **options):
    picture.save(name, **options)
    return name


def quarters(width=40, height=20):
    """Red left, green right; blue the lower half."""
    pixels = np.zeros((height, width, 3), "uint8")
    pixels[:, : width // 2], pixels[:, width // 2 :], pixels[height // 2 :] = RED, GREEN, BLUE
    return pixels


# Kinds of pictures.


def test_a_plain_picture_comes_as_it_is():
    image = load_image(save(Image.fromarray(quarters()), "a.png"))
    assert (image.dtype, image.shape) == (np.uint8, (20, 40, 3))
    np.testing.assert_array_equal(image, quarters())


def test_alpha_is_laid_over_white():
    pixels = np.zeros((2, 2, 4), "uint8")
    pixels[0, 0], pixels[0, 1], pixels[1] = (*RED, 255), (*RED, 0), (0, 0, 0, 128)
    image = load_image(save(Image.fromarray(pixels), "a.png"))
    assert image[0].tolist() == [list(RED), list(WHITE)]
    assert image[1, 0].tolist() == [127, 127, 127]


def test_gray_with_alpha():
    pixels = np.array([[[0, 255], [0, 0]]], "uint8")
    assert load_image(save(Image.fromarray(pixels), "a.png"))[0, :, 0].tolist() == [0, 255]


def test_a_palette_and_its_transparent_color():
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putdata([0, 1])
    assert load_image(save(picture, "a.png"))[0].tolist() == [list(RED), list(BLUE)]
    image = load_image(save(picture, "b.gif", transparency=1))
    assert image[0].tolist() == [list(RED), list(WHITE)]
    image = load_image(save(picture, "c.png", transparency=b"\xff\x00"))
    assert image[0].tolist() == [list(RED), list(WHITE)]


def test_gray_and_black_and_white_have_three_equal_channels():
    image = load_image(save(Image.new("L", (3, 2), 77), "a.png"))
    assert (image == 77).all()
    assert image.shape == (2, 3, 3)
    assert (load_image(save(Image.new("1", (3, 2), 1), "b.png")) == 255).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_become_8(suffix):
    values = np.array([[0, 128 * 257, 65535]], "uint16")
    image = load_image(save(Image.fromarray(values), f"a.{suffix}"))
    assert image[0, :, 1].tolist() == [0, 128, 255]


def test_floats_from_0_to_1_become_0_to_255():
    picture = Image.fromarray(np.array([[0, 0.5, 1]], "float32"))
    assert load_image(save(picture, "a.tif"))[0, :, 0].tolist() == [0, 128, 255]


def test_cmyk():
    picture = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = load_image(save(picture, "a.jpg", quality=95))[4, 4]
    assert red < 30
    assert min(green, blue) > 200


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda pixels: pixels),
        (2, lambda pixels: pixels[:, ::-1]),
        (3, lambda pixels: pixels[::-1, ::-1]),
        (6, lambda pixels: np.rot90(pixels, -1)),
        (8, np.rot90),
    ],
)
def test_the_cameras_rotation_is_applied(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = save(Image.fromarray(quarters()), "a.png", exif=exif)
    expected = turned(quarters())
    np.testing.assert_array_equal(load_image(name), expected)
    assert image_size(name) == expected.shape[:2]


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLUE, GREEN)]
    for name in ("a.gif", "a.webp"):
        frames[0].save(name, save_all=True, append_images=frames[1:], lossless=True)
        assert load_image(name)[0, 0].tolist() == list(RED)


# Sizes.


def test_a_wide_picture_is_cut_in_the_middle():
    pixels = np.zeros((10, 30, 3), "uint8")
    pixels[:, :10], pixels[:, 10:20], pixels[:, 20:] = RED, GREEN, BLUE
    image = load_image(save(Image.fromarray(pixels), "a.png"), (10, 10, 3))
    assert (image == GREEN).all()
    tall = Image.fromarray(pixels.transpose(1, 0, 2))
    assert (load_image(save(tall, "b.png"), (10, 10, 3)) == GREEN).all()


def test_proportions_other_than_square():
    image = load_image(save(Image.fromarray(quarters()), "a.png"), (10, 20, 3))
    assert image.shape == (10, 20, 3)
    assert image[0, 0].tolist() == list(RED)
    assert image[0, -1].tolist() == list(GREEN)
    assert image[-1, 0].tolist() == list(BLUE)


def test_downscaling_averages_instead_of_picking_pixels():
    rows, columns = np.indices((64, 64))
    board = np.where((rows + columns) % 2, 255, 0).astype("uint8")
    image = load_image(save(Image.fromarray(board), "a.png"), (8, 8, 3))
    assert abs(image.astype(int) - 127).max() <= 2


def test_upscaling_a_pixel_keeps_its_color():
    image = load_image(save(Image.new("RGB", (1, 1), RED), "a.png"), (24, 20, 3))
    assert image.shape == (24, 20, 3)
    assert (image == RED).all()


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (3, 2)])
def test_extreme_proportions_fit_too(size):
    image = load_image(save(Image.new("RGB", size, GREEN), "a.png"), (32, 32, 3))
    assert (image == GREEN).all()


def test_one_channel_is_the_weighted_gray():
    image = load_image(save(Image.new("RGB", (4, 4), GREEN), "a.png"), (2, 2, 1))
    assert image.shape == (2, 2, 1)
    assert (image == round(0.587 * 255)).all()


def test_arrays_are_fitted_as_files_are():
    name = save(Image.fromarray(quarters()), "a.png")
    for shape in ((16, 16, 3), (10, 30, 1)):
        np.testing.assert_array_equal(
            resize_images(quarters()[None], shape)[0], load_image(name, shape)
        )


# What is no picture.


def png_bytes():
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), "uint8")
    Image.fromarray(noise).save(stream, "png")
    return stream.getvalue()


def jpeg_bytes():
    stream = io.BytesIO()
    Image.fromarray(quarters(200, 200)).save(stream, "jpeg")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("text.png", b"not a picture\n", "is not a picture"),
        ("empty.jpg", b"", "is not a picture"),
        ("cut.jpg", jpeg_bytes()[:-400], "truncated"),
        ("cut.png", png_bytes()[:-1000], "truncated"),
        ("broken.png", png_bytes()[:60] + b"\0" * 20 + png_bytes()[80:], "cannot be read"),
    ],
)
def test_what_is_no_whole_picture_is_one_line_with_its_name(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=words) as raised:
        load_image(name, (8, 8, 3))
    assert f"'{name}'" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ImageError, match=r"^'folder' is a folder; expected a picture\.$"):
        load_image("folder")
    with pytest.raises(ImageError, match=r"^There is no file 'none.png'\.$"):
        load_image("none.png")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(monkeypatch):
    name = save(Image.new("1", (300, 300)), "a.png")
    for limit in (80_000, 30_000):  # Pillow warns above one limit, and refuses above twice that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        for read in (load_image, image_size):
            with pytest.raises(ImageError, match=f"more than {limit:,} pixels; expected fewer"):
                read(name)


def test_damage_anywhere_gives_an_image_or_an_image_error(tmp_path):
    generator = random.Random(0)
    refused = 0
    for whole in (png_bytes(), jpeg_bytes()):
        for _ in range(150):
            damaged = bytearray(whole)
            for _ in range(generator.randint(1, 8)):
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
            (tmp_path / "a").write_bytes(damaged)
            read = load_images(["a"], (8, 8, 3))
            assert read.images.shape == (1 - len(read.problems), 8, 8, 3)
            assert all(problem.startswith("'a' ") for problem in read.problems.values())
            refused += len(read.problems)
    assert 50 < refused < 300


# Many.


def test_unreadable_files_are_passed_over_and_named(tmp_path):
    save(Image.new("RGB", (9, 9), RED), "a.png")
    save(Image.new("RGB", (5, 7), BLUE), "c.png")
    (tmp_path / "b.png").write_text("no")
    read = load_images(["a.png", "b.png", "c.png", "d.png"], (4, 4, 3))
    assert read.images.shape == (2, 4, 4, 3)
    assert read.indices.tolist() == [0, 2]
    assert read.problems == {
        1: f"'b.png' is not a picture that can be read; expected one of {', '.join(FORMATS)}.",
        3: "There is no file 'd.png'.",
    }
    none = load_images(["d.png"], (4, 4, 1))
    assert (none.images.shape, none.images.dtype, len(none.indices)) == ((0, 4, 4, 1), np.uint8, 0)


def test_pictures_are_found_by_their_names_in_order_and_hidden_ones_are_not(tmp_path):
    names = ["b.PNG", "a.jpeg", "sub/deep/c.webp", "notes.txt", "._a.png", ".git/d.png", "e.png/f"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.removeprefix(f"{tmp_path}/") for path in find_images(tmp_path)]
    assert found == ["a.jpeg", "b.PNG", "sub/deep/c.webp"]
