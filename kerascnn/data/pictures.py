"""Picture files to arrays: any size and mode, rotated as the camera says, resized properly."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.errors import ImageError

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# Where a camera notes the rotation, and its values that make width of height.
ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)


def load_image(path: str | Path, image_shape: tuple[int, int, int] | None = None) -> np.ndarray:
    """Read a picture.

    Alpha is laid over white, gray becomes red, green and blue, 16 bits become 8, an animation gives
    its first frame, and the rotation that the camera noted is applied. To fit `image_shape` the
    middle is cut out in its proportions and resampled by Lanczos's filter with antialiasing.

    Args:
        image_shape: height, width and channels, 1 or 3, to fit; None keeps the picture's size.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ImageError: if there is no such file, or it is no picture, or too large to be trusted.
    """
    from PIL import ImageOps

    with _opened(path) as picture:
        whole = _to_rgb(ImageOps.exif_transpose(picture))
    return _fit(whole, image_shape)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture, as the camera's rotation leaves it; errors as `load_image`."""
    with _opened(path) as picture:
        width, height = picture.size
        return (width, height) if picture.getexif().get(ORIENTATION) in TURNED else (height, width)


def load_images(
    paths: Iterable[str | Path], image_shape: tuple[int, int, int]
) -> tuple[np.ndarray, list[Path], list[str]]:
    """Read pictures of one shape, passing over those that cannot be read.

    Returns:
        uint8 (num_images, height, width, channels), their paths, and a message for each file that
        was passed over.
    """
    images, read, problems = [], [], []
    for path in paths:
        try:
            images.append(load_image(path, image_shape))
            read.append(Path(path))
        except ImageError as error:
            problems.append(str(error))
    stacked = np.stack(images) if images else np.empty((0, *image_shape), "uint8")
    return stacked, read, problems


def resize_images(images: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Fit uint8 images (num_images, height, width, 3) to a shape, as `load_image` does."""
    from PIL import Image

    return np.stack([_fit(Image.fromarray(image), image_shape) for image in images])


def find_images(directory: Path) -> list[Path]:
    """All files under a directory whose names end as pictures' do, in order of their names.

    Hidden files and what is in hidden folders are passed over.
    """
    found = []
    # Passes over what may not be read or is gone by then, and follows no link to a folder.
    for place, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if name[0] != "."]
        found += [Path(place, name) for name in files if name[0] != "."]
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


@contextmanager
def _opened(path: str | Path) -> Iterator[PIL.Image.Image]:
    """A picture to decode; whatever goes wrong with it is an ImageError."""
    from PIL import Image, UnidentifiedImageError

    if os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path):
        # A pipe would be waited for.
        raise ImageError(f"'{path}' is not a file; expected a picture.")
    try:
        with warnings.catch_warnings():
            # What Pillow remarks, for instance of a camera's notes, is not about the pixels.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                yield picture
    except FileNotFoundError:
        raise ImageError(f"There is no file '{path}'.") from None
    except IsADirectoryError:
        raise ImageError(f"'{path}' is a folder; expected a picture.") from None
    except UnidentifiedImageError:
        raise ImageError(f"'{path}' is not a picture that Pillow can read.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        limit = Image.MAX_IMAGE_PIXELS
        raise ImageError(f"'{path}' has more than {limit:,} pixels; expected fewer.") from None
    except Exception as error:  # Pillow's readers of damaged files raise many kinds
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ImageError(f"'{path}' cannot be read as a picture: {reason}.") from None


def _to_rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    from PIL import Image

    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.asarray(picture, "float64")
        top = 65535 if picture.mode.startswith("I") else max(values.max(), 1.0)
        gray = np.clip(values / top * 255, 0, 255).round().astype("uint8")
        return Image.fromarray(gray).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _fit(picture: PIL.Image.Image, image_shape: tuple[int, int, int] | None) -> np.ndarray:
    from PIL import Image, ImageOps

    if image_shape is None:
        return np.asarray(picture)
    height, width, channels = image_shape
    if picture.size != (width, height):
        picture = ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS)
    if channels == 1:
        return np.asarray(picture.convert("L"))[..., None]
    return np.asarray(picture)
