"""Picture files to arrays: any size and mode, rotated as the camera says, resized properly."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerascnn.data.colors import prepare, to_rgb, to_rgba
from kerascnn.errors import ImageError

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Where a camera notes the rotation, and its values that make width of height.
ORIENTATION = 0x0112
TURNED = (5, 6, 7, 8)
# Where a TIFF file says how large it is.
WIDTH, HEIGHT = 256, 257
# A whole picture has no more; a damaged file may ask for any number.
LARGEST_BYTES = 2**29
# Part of the names of what is kept of pictures: another value where they are read in another way.
READING = "2"
FITTED = (
    "Pictures of another size than the model's are cut to its proportions from the middle, then "
    "resized (Lanczos)."
)


def load_image(path: str | Path, image_shape: tuple[int, int, int] | None = None) -> np.ndarray:
    """Read a picture.

    Alpha is laid over white, gray becomes red, green and blue, 16 bits and floats from 0 to 1
    become 8 bits, an animation gives its first frame, and the rotation that the camera noted is
    applied. A file whose numbers nothing says the white of is refused. To fit `image_shape` the
    middle is cut out in its proportions, as Keras does with `crop_to_aspect_ratio=True`, and
    resampled by Lanczos's filter with antialiasing. There is no other way into the package for a
    picture file, whether it is given alone, in a folder, or in a folder of classes.

    Args:
        image_shape: height, width and channels to fit: 1 for gray, 3 for colors, 4 for colors and
            alpha as the file has it, 255 where it has none. None keeps the picture's size, with 3.

    Returns:
        uint8 (height, width, channels).

    Raises:
        ImageError: if there is no such file, or it is no picture, or too large to be trusted.
    """
    with quiet():
        return decode(path, image_shape)


def decode(path: str | Path, image_shape: tuple[int, int, int] | None) -> np.ndarray:
    """As `load_image`, for many pictures in one `quiet`, which threads need."""
    from PIL import ImageOps

    with _opened(path) as picture:
        prepare(picture)
        ImageOps.exif_transpose(picture, in_place=True)
        whole = to_rgba(picture) if image_shape and image_shape[2] == 4 else to_rgb(picture)
    return _fit(whole, image_shape)


def check_picture(path: str | Path) -> None:
    """Open a picture and decode nothing of it; errors as `load_image`, of what its start tells."""
    with quiet(), _opened(path):
        pass


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture, as the camera's rotation leaves it; errors as `load_image`."""
    with quiet(), _opened(path) as picture:
        width, height = picture.size
        if picture.format == "TIFF":  # whose size Pillow may have turned already
            width, height = picture.tag_v2[WIDTH], picture.tag_v2[HEIGHT]
        return (width, height) if picture.getexif().get(ORIENTATION) in TURNED else (height, width)


def resize_images(images: np.ndarray, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Fit uint8 images (num_images, height, width, 3) to a shape, as `load_image` does."""
    from PIL import Image

    fitted = np.empty((len(images), *image_shape), "uint8")
    mode = "RGBA" if image_shape[2] == 4 else "RGB"
    for place, image in zip(fitted, images, strict=True):
        place[:] = _fit(Image.fromarray(image).convert(mode), image_shape)
    return fitted


def find_images(directory: str | Path) -> list[str]:
    """All files under a directory whose names end as pictures' do, in order of their names.

    Hidden files and what is in hidden folders are passed over.
    """
    found, folders = [], [str(Path(directory))]
    while folders:
        # Passes over what may not be read or is gone by then, and follows no link to a folder.
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders += [entry.path] if entry.name[0] != "." else []
                elif is_picture_name(entry.name) and os.path.isfile(entry.path):
                    found.append(entry.path.removeprefix("./"))
    # A folder's pictures come together, before those of a folder whose name goes on: no name has 0.
    return sorted(found, key=lambda path: path.replace(os.sep, "\0"))


def check_file(path: str | Path) -> os.stat_result:
    """What the system knows of a file, which is one to be read to its end.

    Raises:
        ImageError: if there is none, or it is a folder, or a pipe, which would be waited for.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise ImageError(f"There is no file '{path}'.") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"'{path}' is a folder; expected a picture.")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"'{path}' is not a file; expected a picture.")
    return status


def is_picture_name(name: str) -> bool:
    """Whether a name ends as pictures' do and is not hidden."""
    return name[0] != "." and os.path.splitext(name)[1].lower() in SUFFIXES


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Pillow remarks, for instance of a camera's notes: it is not about the pixels."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.|kerascnn\.data\.pictures")
        yield


@cache
def load_readers() -> tuple[str, ...]:
    """Names of the formats that are opened, whose readers are imported, and no others.

    Pillow would also open formats for which it starts other programs, and to open one whose reader
    it lacks imports those of all.
    """
    for name in FORMATS:
        import_module(f"PIL.{name.title().replace('Webp', 'WebP')}ImagePlugin")
    return FORMATS


@contextmanager
def _opened(path: str | Path) -> Iterator[PIL.Image.Image]:
    """A picture to decode; whatever goes wrong with it is an ImageError."""
    from PIL import Image, UnidentifiedImageError

    check_file(path)
    try:
        # Of a file that it opens by name, Pillow maps some into memory, which one that becomes
        # shorter meanwhile would end in a bus error, and then takes turned ones of TIFF wrongly.
        with open(path, "rb") as file, Image.open(file, formats=load_readers()) as picture:
            limit = Image.MAX_IMAGE_PIXELS
            if limit and picture.width * picture.height > limit:
                raise Image.DecompressionBombError
            yield picture
    except UnidentifiedImageError:
        raise ImageError(
            f"'{path}' is not a picture that can be read; expected one of {', '.join(FORMATS)}."
        ) from None
    except Image.DecompressionBombError:
        limit = Image.MAX_IMAGE_PIXELS
        raise ImageError(f"'{path}' has more than {limit:,} pixels; expected fewer.") from None
    except MemoryError as error:
        np.empty(LARGEST_BYTES, "uint8")  # fails, too, where memory is short, not the file damaged
        raise _unreadable(path, error) from None
    except Exception as error:  # Pillow's readers of damaged files raise many kinds
        raise _unreadable(path, error) from None


def _unreadable(path: str | Path, error: Exception) -> ImageError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ImageError(f"'{path}' cannot be read as a picture: {reason}.")


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
