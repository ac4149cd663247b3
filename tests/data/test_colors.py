"""What the numbers in a file mean: where nothing says it, the file is refused."""

import struct
from pathlib import Path

import numpy as np
import pytest
from made.any_picture import TURNS
from made.pictures import png_bytes, tiff_bytes
from PIL import Image

from kerascnn.data.pictures import image_size, load_image
from kerascnn.errors import ImageError


def read_gray(content):
    """The first row of a gray picture."""
    Path("a.bin").write_bytes(content)
    image = load_image("a.bin")
    assert (image == image[..., :1]).all()
    return image[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("depth", "values", "transparent", "expected"),
    [
        (1, [0, 1], 0, [255, 255]),
        (2, [0, 1, 2, 3], 1, [0, 255, 170, 255]),
        (4, [0, 1, 2, 15], 2, [0, 17, 255, 255]),
        (8, [6, 7, 8], 7, [6, 255, 8]),
        (16, [1000, 1001, 60000], 1000, [255, 4, 233]),
    ],
)
def test_one_transparent_gray_of_any_depth_is_laid_over_white(depth, values, transparent, expected):
    chunk = b"tRNS", struct.pack(">H", transparent)
    assert read_gray(png_bytes(np.array([values]), depth, 0, chunk)) == expected


def test_a_transparent_color_that_pillow_cannot_tell_from_others_is_refused():
    chunk = b"tRNS", struct.pack(">HHH", 1000, 2, 3)
    Path("a.png").write_bytes(png_bytes(np.array([[[1000, 2, 3]]]), 16, 2, chunk))
    with pytest.raises(ImageError, match="16 bits a color and one color that is transparent"):
        load_image("a.png")


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<f4"])
def test_where_zero_is_white_it_is_shown_white(dtype):
    top = 1 if dtype == "<f4" else np.iinfo(dtype).max
    values = np.array([[0, 0.2, 1]]) * top
    content = tiff_bytes(values.astype(dtype), 0, 3 if dtype == "<f4" else 1)
    assert read_gray(content) == [255, 204, 0]


def test_twelve_bits_become_eight():
    # Two numbers of 12 bits in three bytes.
    content = tiff_bytes(np.frombuffer(b"\xff\xf8\x00", "u1")[None], 1)
    place = content.index(struct.pack("<HHIH", 258, 3, 1, 8))
    content = content[:place] + struct.pack("<HHIH", 258, 3, 1, 12) + content[place + 10 :]
    place = content.index(struct.pack("<HHIH", 256, 3, 1, 3))
    content = content[:place] + struct.pack("<HHIH", 256, 3, 1, 2) + content[place + 10 :]
    assert read_gray(content) == [255, 128]


@pytest.mark.parametrize(
    ("values", "sample_format", "words"),
    [
        (np.array([[0, 100, 255]], "<f4"), 3, r"from 0 to 255; expected 0 to 1, or whole ones"),
        (np.array([[-0.5, 1]], "<f4"), 3, r"from -0.5 to 1; expected 0 to 1"),
        (np.array([[0, np.nan]], "<f4"), 3, r"from nan to nan; expected 0 to 1"),
        (np.array([[0, 2**32 - 1]], "<u4"), 1, "have 32 bits; expected 8 or 16"),
        (np.array([[-1, 2**31 - 1]], "<i4"), 2, "have a sign"),
        (np.array([[-1, 5]], "<i2"), 2, "have a sign"),
        (np.array([[-1, 5]], "i1"), 2, "have a sign"),
    ],
)
def test_numbers_that_nothing_says_the_white_of_are_refused(values, sample_format, words):
    Path("a.tif").write_bytes(tiff_bytes(values, 1, sample_format))
    with pytest.raises(ImageError, match=rf"^'a.tif' cannot be read as a picture: .*{words}"):
        load_image("a.tif")


def test_floats_beyond_0_and_1_by_rounding_are_taken():
    values = np.array([[-1e-6, 0.2, 1 + 1e-6]], "<f4")
    assert read_gray(tiff_bytes(values, 1, 3)) == [0, 51, 255]


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_turned_pictures_in_tiff_are_turned_back_whole(orientation, compression):
    pixels = np.arange(24, dtype="uint8").reshape(4, 6)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save("a.tif", exif=exif, compression=compression)
    expected = TURNS[orientation](pixels)
    np.testing.assert_array_equal(load_image("a.tif")[..., 0], expected)
    assert image_size("a.tif") == expected.shape


def test_premultiplied_gray_is_laid_over_white():
    values = np.array([[[100, 200], [0, 0]]], "u1")
    assert read_gray(tiff_bytes(values, 1, extra=1)) == [155, 255]


def test_a_picture_becomes_four_channels_as_the_file_has_them():
    Image.new("P", (2, 2)).save("opaque.gif")
    assert load_image("opaque.gif", (2, 2, 4))[..., 3].tolist() == [[255, 255]] * 2
    chunk = b"tRNS", struct.pack(">H", 1000)
    Path("gray.png").write_bytes(png_bytes(np.array([[1000, 65535]]), 16, 0, chunk))
    assert load_image("gray.png", (1, 2, 4))[0].tolist() == [[4, 4, 4, 0], [255, 255, 255, 255]]


def test_what_is_transparent_lends_no_color_to_its_neighbours():
    pixels = np.zeros((8, 8, 4), "uint8")
    pixels[:, ::2], pixels[:, 1::2] = (0, 255, 0, 255), (255, 0, 0, 0)
    Image.fromarray(pixels).save("a.png")
    assert load_image("a.png", (4, 4, 4))[..., :2].max(axis=(0, 1)).tolist() == [0, 255]
