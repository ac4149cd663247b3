"""Pictures of a page: many small ones in few sheets, as `data:` addresses.

A picture is then a place in a sheet, and one that is shown twice is stored once.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from kerascnn.data.batches import Images
from kerascnn.show.pictures import color_levels, kernel_to_picture

COLUMNS = 40
# Longest side of a picture in a sheet, in pixels; longer ones are scaled down.
MOST_SIDE = 64
# Tried one after the other, until a sheet is small enough; None loses nothing.
QUALITIES = (None, 95, 85, 70, 50, 30, 10)
# Bytes, before base64 makes a third more of them: of all images; of the other sheets, of which each
# run has up to three, one of them small.
ATLAS_BYTES, SHEET_BYTES = 2_000_000, 1_200_000
# So many colors a map has: few are small to store.
MAP_LEVELS = 48


@dataclass(frozen=True)
class Sheet:
    """Pictures of one size, side by side."""

    name: str  # of its CSS class
    address: str  # `data:image/webp;base64,...`
    rows: int
    ratio: float  # width of a picture divided by its height
    columns: int = COLUMNS


class Atlas:
    """Of all images of one data set, those that a page shows, each once."""

    def __init__(self, name: str, images: Images):
        self.name, self._images = name, images
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def place(self, index: int) -> dict[str, object]:
        """Where an image is shown from: `sheet`, `x` and `y`; it is in the atlas from then on."""
        place = self._places.setdefault(int(index), len(self._places))
        return place_in(self.name, place)

    def to_sheet(self, most_bytes: int) -> Sheet:
        return build_sheet(self.name, self._images.take(list(self._places)), most_bytes)


class Album:
    """All sheets of a page, within a number of bytes, which its runs share."""

    def __init__(self, num_runs: int):
        self._sheet_bytes = SHEET_BYTES // (2 * max(1, num_runs))
        self._atlases: dict[str, Atlas] = {}
        self._sheets: list[Sheet] = []

    def atlas_of(self, source: str, images: Images) -> Atlas:
        """The atlas of a set of images; the same `source` must mean the same images."""
        return self._atlases.setdefault(source, Atlas(f"images-{len(self._atlases)}", images))

    def add(self, pictures: np.ndarray) -> str:
        """Add a sheet of its own, see `build_sheet`; gives its name."""
        name = f"sheet-{len(self._sheets)}"
        self._sheets.append(build_sheet(name, pictures, self._sheet_bytes))
        return name

    def sheets(self) -> list[Sheet]:
        """All of them, once nothing is added any more."""
        atlases = [atlas for atlas in self._atlases.values() if len(atlas)]
        share = ATLAS_BYTES // max(1, len(atlases))
        return [*self._sheets, *(atlas.to_sheet(share) for atlas in atlases)]


def place_in(sheet: str, number: int) -> dict[str, object]:
    """Where the picture of a number, from 0, is in a sheet: `sheet`, `x` and `y`."""
    return {"sheet": sheet, "x": number % COLUMNS, "y": number // COLUMNS}


def build_sheet(name: str, pictures: np.ndarray, most_bytes: int) -> Sheet:
    """Put pictures, uint8 (at least one, height, width, 1 or 3 channels), side by side."""
    pictures = _fit(pictures if pictures.shape[-1] == 3 else np.repeat(pictures, 3, axis=-1))
    count, height, width, _ = pictures.shape
    rows = -(-count // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, height, width, 3), "uint8")
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4)
    joined = Image.fromarray(sheet.reshape(rows * height, COLUMNS * width, 3))
    return Sheet(name, encode(joined, most_bytes), rows, width / height)


def encode(picture: Image.Image, most_bytes: int) -> str:
    """A picture as a `data:` address: WebP without loss, with some, or smaller, as bytes allow."""
    while True:
        for quality in QUALITIES:
            file = io.BytesIO()
            how = {"lossless": True} if quality is None else {"quality": quality}
            picture.save(file, "WEBP", **how)
            if file.tell() <= most_bytes or max(picture.size) == 1:
                return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
        picture = picture.reduce(2)


def color_maps(maps: np.ndarray) -> np.ndarray:
    """Feature maps as uint8 pictures in one scale: dark blue is 0 or less, yellow the highest."""
    highest = maps.max(initial=0)
    shares = np.clip(maps / highest, 0, 1) if highest > 0 else np.zeros_like(maps)
    return color_levels(MAP_LEVELS)[(shares * (MAP_LEVELS - 1)).round().astype(int)]


def color_kernels(kernels: np.ndarray) -> np.ndarray:
    """Kernels (height, width, channels, filters) as uint8 pictures, see `kernel_to_picture`."""
    tiles = [255 * kernel_to_picture(kernel) for kernel in np.moveaxis(kernels, -1, 0)]
    return np.stack(tiles).round().astype("uint8")


def _fit(pictures: np.ndarray) -> np.ndarray:
    height, width = pictures.shape[1:3]
    if max(height, width) <= MOST_SIDE:
        return pictures
    scale = MOST_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.stack([np.asarray(Image.fromarray(each).resize(size)) for each in pictures])
