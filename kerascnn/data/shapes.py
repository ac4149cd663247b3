"""The embedded data set `shapes`: small color pictures of forms and textures, drawn from a seed.

There is nothing to download: every picture is arithmetic on a random stream. Seven classes are
forms (what is the outline?) and three are textures (what repeats inside?). A texture is cut out
in an outline that forms have too, and colors are drawn before the class is looked at, so neither
the color nor the outline alone tells the class.

    background ─► clutter ─► subject ─► bar in front ─► light, blur, grain ─► bytes

Each layer is a signed distance in pixels, negative inside, painted with an edge one pixel soft.
Only operations that IEEE 754 rounds exactly are used (+ - * / sqrt, floor, comparisons), and no
sum whose order a library may choose, so that every machine draws the same bytes.
"""

import math

import numpy as np
from numpy.random import PCG64, Generator

Array = np.ndarray
Interval = tuple[float, float]

SIZE = 32
BLOCK = 100  # images drawn together: few enough to stay in the processor's cache

# What makes the pictures hard. A pair is the lowest and the highest value; lengths are in pixels.
FORM_RADIUS = (8.5, 13.0)
TEXTURE_RADIUS = (12.0, 17.0)
TEXTURE_PERIOD = (5.0, 9.0)
WANDER = 3.0  # how far a subject's center may lie from the picture's, along each axis
TILT = 0.25  # the steepest slope of an outline's base; patterns turn freely
STRETCH = (0.9, 1.11)
CONTRAST = (0.7, 1.0)  # 0: the subject has the color of what lies behind it
NUM_CLUTTER = 3
CLUTTER_SHARE = 0.25  # of the pictures, for each piece of clutter
BAR_SHARE = 0.2
BAR_WIDTH = (1.5, 4.0)
LIGHT = (0.0, 0.35)
BLUR = (0.0, 0.8)
GRAIN = (0.0, 0.06)
SKY_SHARE = 0.25


def draw(num_images: int, seed: int) -> tuple[Array, Array]:
    """Draw `num_images` labelled pictures.

    Image i depends on `seed` and i alone, so a longer draw begins with a shorter one. Every ten
    images hold each class once, in random order, so the classes are as equal as can be.

    Returns:
        `images`, uint8 (num_images, 32, 32, 3), RGB from 0 to 255, and `labels`, int64
        (num_images,), indices into `CLASS_NAMES`.
    """
    blocks = [_draw_block(seed, block) for block in range(math.ceil(num_images / BLOCK))]
    images, labels = (np.concatenate(parts)[:num_images] for parts in zip(*blocks, strict=True))
    return images, labels


def _draw_block(seed: int, block: int) -> tuple[Array, Array]:
    generator = Generator(PCG64([seed, block]))
    labels = _shuffled_labels(generator)
    images, behind = _background(generator)
    _add_clutter(generator, images)
    _add_subject(generator, images, labels, behind)
    _add_bar(generator, images)
    return _developed(generator, images), labels


def _shuffled_labels(generator: Generator) -> Array:
    num_classes = len(CLASS_NAMES)
    rows = np.tile(np.arange(num_classes, dtype=np.int64), (BLOCK // num_classes, 1))
    return generator.permuted(rows, axis=1).reshape(-1)


# Random numbers. One number an image is an array (BLOCK, 1, 1), to meet pixels (BLOCK, 32, 32).


def _uniform(
    generator: Generator, interval: Interval = (0, 1), shape: tuple[int, ...] = (BLOCK, 1, 1)
) -> Array:
    low, high = interval
    # Not generator.uniform: there a compiler may fuse the multiplication with the addition.
    return generator.random(shape, dtype=np.float32) * (high - low) + low


def _happens(generator: Generator, share: float) -> Array:
    return _uniform(generator) < share


# Coordinates, in pixels.


def _turned(generator: Generator, wander: float) -> tuple[Array, Array]:
    """Coordinates x and y (BLOCK, 32, 32), the origin near the center, the axes anywhere."""
    direction = _uniform(generator, (-1, 1)), _uniform(generator, (-1, 1))
    return _coordinates(generator, wander, direction)


def _tilted(generator: Generator, wander: float) -> tuple[Array, Array]:
    """As `_turned`, with x nearly to the right and y nearly downwards."""
    direction = np.ones((BLOCK, 1, 1), np.float32), _uniform(generator, (-TILT, TILT))
    return _coordinates(generator, wander, direction)


def _coordinates(
    generator: Generator, wander: float, direction: tuple[Array, Array]
) -> tuple[Array, Array]:
    # The direction's length is divided out: machines round cosines differently, square roots not.
    right, down = direction
    length = np.sqrt(right * right + down * down) + 1e-6
    right, down = right / length, down / length
    along = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    column = along[None, None, :] - _uniform(generator, (-wander, wander))
    row = along[None, :, None] - _uniform(generator, (-wander, wander))
    return right * column + down * row, right * row - down * column


# Colors, float32 (BLOCK, 1, 1, 3), from 0 to 1.


def _color(hue: Array, saturation: Array, value: Array) -> Array:
    offsets = np.array([0, 2 / 3, 1 / 3], dtype=np.float32)
    turns = hue[..., None] + offsets
    pure = np.clip(np.abs(6 * (turns - np.floor(turns)) - 3) - 1, 0, 1)
    return value[..., None] * (1 - saturation[..., None] * (1 - pure))


def _any_color(generator: Generator) -> Array:
    hue, saturation = _uniform(generator), _uniform(generator, (0.2, 0.95))
    return _color(hue, saturation, _uniform(generator, (0.2, 1.0)))


def _color_against(generator: Generator, behind: Array) -> Array:
    """Any color, moved to the other half of each channel and then faded towards `behind`."""
    color = _any_color(generator)
    other = np.where(behind > 0.5, 0.5 * color, 0.5 + 0.5 * color)
    return behind + _uniform(generator, CONTRAST)[..., None] * (other - behind)


# The layers, from the back to the front.


def _background(generator: Generator) -> tuple[Array, Array]:
    """Plain, graded (some of them skies), cloudy or two-toned, and the mean of its two colors."""
    is_sky = _happens(generator, SKY_SHARE)
    hue = np.where(is_sky, _uniform(generator, (0.53, 0.64)), _uniform(generator))
    first = _color(hue, _uniform(generator, (0.35, 0.9)), _uniform(generator, (0.3, 1.0)))
    hue = hue + _uniform(generator, (-0.15, 0.15))
    second = _color(hue, _uniform(generator, (0.1, 0.8)), _uniform(generator, (0.3, 1.0)))
    mix = _background_mix(generator, is_sky)[..., None]
    return first + mix * (second - first), (first + second) / 2


def _background_mix(generator: Generator, is_sky: Array) -> Array:
    """How far each pixel is from the first color to the second, from 0 to 1."""
    kind = _uniform(generator)
    across, _ = _turned(generator, WANDER)
    graded = np.clip(across / SIZE + 0.5, 0, 1)
    downward = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None]
    conditions = [is_sky, kind < 0.25, kind < 0.5, kind < 0.75]
    return np.select(
        conditions, [downward, np.float32(0), graded, _clouds(generator)], _inside(across)
    )


def _clouds(generator: Generator) -> Array:
    """Random numbers on a coarse grid, joined by straight lines."""
    coarse = _uniform(generator, shape=(BLOCK, 6, 6))
    position = np.arange(SIZE, dtype=np.float32) * (5 / SIZE)
    cell = np.floor(position).astype(np.int64)
    share = position - cell.astype(np.float32)
    above, below = coarse[:, cell], coarse[:, cell + 1]
    rows = above + share[:, None] * (below - above)
    left, right = rows[..., cell], rows[..., cell + 1]
    return left + share * (right - left)


def _add_clutter(generator: Generator, images: Array) -> None:
    for _ in range(NUM_CLUTTER):
        x, y = _turned(generator, SIZE / 2)
        width, height = _uniform(generator, (0.7, 2.0)), _uniform(generator, (0.7, 5.0))
        distance = np.maximum(np.abs(x) - width, np.abs(y) - height)
        _paint(images, _any_color(generator), distance, _happens(generator, CLUTTER_SHARE))


def _add_subject(generator: Generator, images: Array, labels: Array, behind: Array) -> None:
    x, y = _tilted(generator, WANDER)
    stretch = _uniform(generator, STRETCH)
    distance = _subject(generator, labels, x * stretch, y / stretch)
    _paint(images, _color_against(generator, behind), distance)


def _subject(generator: Generator, labels: Array, x: Array, y: Array) -> Array:
    outline = _texture_outline(generator, x, y)
    across, along = _turned(generator, WANDER)
    radius, period = _uniform(generator, FORM_RADIUS), _uniform(generator, TEXTURE_PERIOD)
    detail = _uniform(generator)
    distance = np.empty_like(x)
    for label, name in enumerate(CLASS_NAMES):
        chosen = labels == label
        if name in FORMS:
            distance[chosen] = FORMS[name](x[chosen], y[chosen], radius[chosen], detail[chosen])
        else:
            pattern = TEXTURES[name](across[chosen], along[chosen], period[chosen], detail[chosen])
            distance[chosen] = np.maximum(pattern, outline[chosen])
    return distance


def _texture_outline(generator: Generator, x: Array, y: Array) -> Array:
    radius, kind = _uniform(generator, TEXTURE_RADIUS), _uniform(generator)
    disk, hexagon, square = (form(x, y, radius, None) for form in (_disk, _hexagon, _square))
    return np.select([kind < 1 / 3, kind < 2 / 3], [disk, hexagon], square)


def _add_bar(generator: Generator, images: Array) -> None:
    across, _ = _turned(generator, 2 * WANDER)
    distance = np.abs(across) - _uniform(generator, BAR_WIDTH) / 2
    _paint(images, _any_color(generator), distance, _happens(generator, BAR_SHARE))


def _paint(images: Array, color: Array, distance: Array, shown: Array | bool = True) -> None:
    images += (_inside(distance) * shown)[..., None] * (color - images)


def _inside(distance: Array) -> Array:
    return np.clip(np.float32(0.5) - distance, 0, 1)


def _developed(generator: Generator, images: Array) -> Array:
    """Lit from one side, blurred and grained, as bytes."""
    across, _ = _turned(generator, WANDER)
    light = 1 + _uniform(generator, LIGHT) * (across / SIZE)
    images = _blurred(images * light[..., None], _uniform(generator, BLUR)[..., None])
    first, second = (_uniform(generator, shape=images.shape) for _ in range(2))
    images += _uniform(generator, GRAIN)[..., None] * (first - second)
    return (np.clip(images, 0, 1) * 255 + 0.5).astype(np.uint8)


def _blurred(images: Array, share: Array) -> Array:
    """Each pixel moved by `share` towards its 3x3 neighborhood's weighted mean."""
    edged = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (edged[:, :-2] + edged[:, 2:]) / 4 + edged[:, 1:-1] / 2
    smooth = (rows[:, :, :-2] + rows[:, :, 2:]) / 4 + rows[:, :, 1:-1] / 2
    return images + share * (smooth - images)


# Forms: the signed distance to an outline of about `radius`. `detail`, from 0 to 1, varies those
# that have something to vary. The factors give every form roughly the same area.


def _disk(x: Array, y: Array, radius: Array, _: Array) -> Array:
    return np.sqrt(x * x + y * y) - 0.9 * radius


def _ring(x: Array, y: Array, radius: Array, detail: Array) -> Array:
    width = radius * (0.16 + 0.16 * detail)
    return np.abs(np.sqrt(x * x + y * y) - radius + width) - width


def _hexagon(x: Array, y: Array, radius: Array, _: Array) -> Array:
    return _highest(_projections(x, y, 6)) - 0.86 * radius


def _square(x: Array, y: Array, radius: Array, _: Array) -> Array:
    return np.maximum(np.abs(x), np.abs(y)) - 0.8 * radius


def _triangle(x: Array, y: Array, radius: Array, _: Array) -> Array:
    return _highest(_projections(x, y, 3)) - 0.62 * radius


def _star(x: Array, y: Array, radius: Array, _: Array) -> Array:
    """Five half-planes, of which a point of a pentagram may miss one: the second farthest."""
    farthest = second = np.full_like(x, -np.inf)
    for projection in _projections(x, y, 5):
        second = np.maximum(second, np.minimum(farthest, projection))
        farthest = np.maximum(farthest, projection)
    return second - 0.42 * radius


def _cross(x: Array, y: Array, radius: Array, detail: Array) -> Array:
    x, y, width = np.abs(x), np.abs(y), radius * (0.25 + 0.12 * detail)
    return np.maximum(np.minimum(x, y) - width, np.maximum(x, y) - radius)


def _projections(x: Array, y: Array, num_sides: int) -> list[Array]:
    angles = [2 * math.pi * (side / num_sides + 0.25) for side in range(num_sides)]
    return [x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle)) for angle in angles]


def _highest(projections: list[Array]) -> Array:
    highest = projections[0]
    for projection in projections[1:]:
        highest = np.maximum(highest, projection)
    return highest


# Textures: the signed distance to a pattern that fills the plane and repeats after `period`.


def _stripes(x: Array, _: Array, period: Array, detail: Array) -> Array:
    return np.abs(_phase(x, period)) - period * (0.2 + 0.1 * detail)


def _checkerboard(x: Array, y: Array, period: Array, _: Array) -> Array:
    column = np.abs(_phase(x, 1.4 * period)) - 0.35 * period
    row = np.abs(_phase(y, 1.4 * period)) - 0.35 * period
    return np.maximum(np.minimum(column, row), -np.maximum(column, row))


def _dots(x: Array, y: Array, period: Array, detail: Array) -> Array:
    column, row = _phase(x, period), _phase(y, period)
    return np.sqrt(column * column + row * row) - period * (0.22 + 0.1 * detail)


def _phase(x: Array, period: Array) -> Array:
    """How far `x` lies from the nearest multiple of `period`."""
    return x - period * np.floor(x / period + 0.5)


FORMS = {
    "disk": _disk,
    "ring": _ring,
    "hexagon": _hexagon,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
}
TEXTURES = {"stripes": _stripes, "checkerboard": _checkerboard, "dots": _dots}
CLASS_NAMES = (*FORMS, *TEXTURES)
