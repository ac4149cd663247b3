"""Pictures of all kinds, read as a plain recount in float64 says, whichever way they are given."""

from pathlib import Path

import numpy as np
import pytest
from made.any_picture import make_picture

from kerascnn.data.pictures import image_size, load_image
from kerascnn.look.images import load_shown

SHAPES = [(16, 16), (5, 40), (1, 1), (24, 10), (70, 90)]


def over_white(shows):
    alpha = shows[..., 3:] / 255
    return shows[..., :3] * alpha + 255 * (1 - alpha)


def lanczos_weights(size, start, stop, count):
    """What each pixel of a row counts in each of `count` made of those from start to stop."""
    scale = (stop - start) / count
    stretch = max(scale, 1.0)
    weights = np.zeros((count, size))
    for place in range(count):
        center = start + (place + 0.5) * scale
        pixels = np.arange(
            max(0, int(center - 3 * stretch + 0.5)), min(size, int(center + 3 * stretch + 0.5))
        )
        x = (pixels + 0.5 - center) / stretch
        weights[place, pixels] = np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def fit(values, height, width):
    """Cut values (height, width, channels) to the proportions from the middle, and resample.

    Rows first and columns first: in between, numbers are kept from 0 to 255.
    """
    rows, columns = values.shape[:2]
    if (rows, columns) == (height, width):
        return values, values
    cut_rows, cut_columns = min(rows, columns * height / width), min(columns, rows * width / height)
    top, left = (rows - cut_rows) / 2, (columns - cut_columns) / 2
    steps = (
        ("rcx,wc->rwx", lanczos_weights(columns, left, left + cut_columns, width)),
        ("rcx,hr->hcx", lanczos_weights(rows, top, top + cut_rows, height)),
    )
    found = []
    for order in (steps, steps[::-1]):
        fitted = values
        for formula, weights in order:
            fitted = np.clip(np.einsum(formula, fitted, weights), 0, 255)
        found.append(fitted)
    return found


def check_close(image, either, most, kind):
    """Equal to either recount, within rounding."""
    nearest = min(either, key=lambda expected: abs(image - expected).max())
    np.testing.assert_allclose(image, nearest, rtol=0, atol=most, err_msg=kind)


def check(seed, path):
    made = make_picture(seed)
    path = path.with_suffix(f".{made.suffix}")
    path.write_bytes(made.content)
    shows = made.shows
    height, width = SHAPES[seed % len(SHAPES)] if seed % 4 else shows.shape[:2]
    # LittleCMS rounds Lab on its way; of 16 bits a color, Pillow takes the upper 8 as they are.
    most = {"lab": 4.0, "sixteen_bits_a_color": 2.5}.get(made.kind, 1.6)
    assert image_size(path) == shows.shape[:2], made.kind
    check_close(load_image(path), [over_white(shows)], most, made.kind)
    expected = fit(over_white(shows), height, width)
    image = load_image(path, (height, width, 3)).astype("float64")
    check_close(image, expected, most + 1, made.kind)
    one = load_image(path, (height, width, 1)).astype("float64")
    luma = image @ [[0.299], [0.587], [0.114]]
    check_close(one, [luma], 0.6, made.kind)
    four = load_image(path, (height, width, 4)).astype("float64")
    alpha = shows[..., 3:]
    expected = fit(np.concatenate([shows[..., :3] * alpha / 255, alpha], axis=-1), height, width)
    # No color is brighter than white.
    expected = [np.minimum(each, each[..., 3:]) for each in expected]
    premultiplied = np.concatenate([four[..., :3] * four[..., 3:] / 255, four[..., 3:]], axis=-1)
    check_close(premultiplied, expected, most + 1.5, made.kind)
    return path


def check_many(seeds):
    Path("set/a").mkdir(parents=True)
    files = [str(check(seed, Path(f"set/a/{seed:04}"))) for seed in seeds]
    shape = (20, 24, 4)
    expected = np.stack([load_image(file, shape) for file in files])
    for given in (("set",), (Path("set"),), tuple(files)):
        shown = load_shown(given, shape)
        assert shown.names == files
        assert shown.problems == ()
        batches = list(shown.images.batches(33))
        np.testing.assert_array_equal(np.concatenate([each.images for each in batches]), expected)


def test_forty_pictures_of_all_kinds_are_read_as_a_recount_says():
    check_many(range(46))


@pytest.mark.slow
def test_five_hundred_pictures_of_all_kinds_are_read_as_a_recount_says():
    check_many(range(46, 546))
