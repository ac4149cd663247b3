"""What the numbers of a picture file mean: any mode of Pillow's to 8-bit colors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import PIL.Image

# What a PNG file's gray of fewer bits is multiplied by to become one of 8 bits.
GRAY_SCALE = {"L;2": 85, "L;4": 17}
# Tags of a TIFF file, and the values that mean that zero is white, and numbers with a sign.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, SIGNED = 0, 2
# So far rounding may bring what is from 0 to 1 beyond.
TOLERANCE = 1e-3


def prepare(picture: PIL.Image.Image) -> None:
    """Mend, before a picture is decoded, what Pillow tells of its transparent color.

    Raises:
        ValueError: if the picture's colors cannot be told.
    """
    if picture.format == "TIFF" and SIGNED in _tag(picture, SAMPLE_FORMAT):
        raise ValueError("its numbers have a sign, so that nothing says which of them is white")
    color = picture.info.get("transparency")
    if picture.format != "PNG" or color is None or not picture.tile:
        return
    kind = picture.tile[0].args
    if kind == "RGB;16B":
        # Pillow has the upper 8 bits of the pixels alone, and many colors have the same.
        raise ValueError("it has 16 bits a color and one color that is transparent")
    if kind in GRAY_SCALE:
        picture.info["transparency"] = color * GRAY_SCALE[kind]


def to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    """A decoded picture in red, green and blue, laid over white where it is transparent.

    Raises:
        ValueError: if the picture's colors cannot be told.
    """
    from PIL import Image

    picture = _to_8_bits(picture)
    if picture.has_transparency_data:
        picture = Image.alpha_composite(
            Image.new("RGBA", picture.size, "white"), picture.convert("RGBA")
        )
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def to_rgba(picture: PIL.Image.Image) -> PIL.Image.Image:
    """A decoded picture in red, green, blue and alpha, opaque where it says nothing of alpha.

    Raises:
        ValueError: if the picture's colors cannot be told.
    """
    picture = _to_8_bits(picture)
    if not picture.has_transparency_data:
        picture = picture.convert("RGB")
    return picture if picture.mode == "RGBA" else picture.convert("RGBA")


def _to_8_bits(picture: PIL.Image.Image) -> PIL.Image.Image:
    """The picture where its numbers have 8 bits, else a gray one, with alpha if it has any."""
    from PIL import Image

    if picture.mode == "La":
        return picture.convert("LA")
    if picture.mode == "F":
        share = _check_floats(np.asarray(picture))
    elif picture.mode.startswith("I"):
        share = _shares_of_whole_numbers(picture)
    else:
        return picture
    if picture.format == "TIFF" and _tag(picture, PHOTOMETRIC) == (WHITE_IS_ZERO,):
        share = 1 - share
    gray = Image.fromarray((share * 255).round().astype("uint8"))
    if "transparency" in picture.info:
        is_there = np.asarray(picture) != picture.info["transparency"]
        gray.putalpha(Image.fromarray(is_there.astype("uint8") * 255))
    return gray


def _check_floats(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        raise ValueError(
            f"its numbers go from {low:g} to {high:g}; expected 0 to 1, or whole ones of 8 or 16 "
            "bits"
        )
    return values.clip(0, 1)


def _shares_of_whole_numbers(picture: PIL.Image.Image) -> np.ndarray:
    """Numbers of 16 bits as shares of the highest possible, float32."""
    top = 2**16 - 1
    if picture.format == "TIFF":
        if picture.mode == "I":
            raise ValueError("its numbers have 32 bits; expected 8 or 16 bits, or floats")
        (bits,) = _tag(picture, BITS)
        top = 2**bits - 1
    return np.asarray(picture).astype("float32") / np.float32(top)


def _tag(picture: PIL.Image.Image, tag: int) -> tuple[int, ...]:
    value = picture.tag_v2.get(tag, ())
    return value if isinstance(value, tuple) else (value,)
