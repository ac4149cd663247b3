"""Pictures of all kinds that files hold, each with what it shows, told apart from its file."""

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from made.pictures import png_bytes, tiff_bytes

# What the camera's notes of rotation do to pixels.
TURNS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}


@dataclass
class Made:
    """A file, and what it shows: float64 (height, width, 4), colors and alpha from 0 to 255."""

    kind: str
    content: bytes
    suffix: str
    shows: np.ndarray


def make_picture(seed):
    """A picture of a kind, size and content that are drawn at random; the kinds take turns."""
    generator = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    sizes = [(1, 1), (1, 40), (40, 1), (3, 200), (200, 2), (31, 17)]
    if generator.random() < 0.5:
        height, width = sizes[generator.integers(len(sizes))]
    else:
        height, width = generator.integers(2, 60, 2).tolist()
    return Made(kind.__name__, *kind(generator, height, width))


def opaque(colors):
    """Colors (height, width, 3), or gray ones (height, width), with an alpha of 255."""
    colors = colors if colors.ndim == 3 else np.repeat(colors[..., None], 3, axis=-1)
    return np.concatenate([colors, np.full((*colors.shape[:2], 1), 255)], axis=-1).astype("float64")


def noise(generator, *shape, top=255):
    """Smooth in places and hard in others, as pictures are."""
    values = generator.integers(0, top + 1, shape)
    values[: shape[0] // 2] = values[: shape[0] // 2, :1]
    return values


def saved(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def gray(generator, height, width):
    values = noise(generator, height, width).astype("uint8")
    kind, suffix = [
        ("png", "png"),
        ("bmp", "bmp"),
        ("tiff", "tif"),
        ("ppm", "ppm"),
        ("gif", "gif"),
    ][generator.integers(5)]
    return saved(Image.fromarray(values), kind), suffix, opaque(values)


def black_and_white(generator, height, width):
    values = noise(generator, height, width, top=1)
    kind, suffix = [("png", "png"), ("tiff", "tif"), ("ppm", "ppm")][generator.integers(3)]
    picture = Image.fromarray((values * 255).astype("uint8")).convert("1")
    return saved(picture, kind), suffix, opaque(values * 255)


def gray_with_alpha(generator, height, width):
    values = noise(generator, height, width, 2).astype("uint8")
    shows = np.concatenate([np.repeat(values[..., :1], 3, axis=-1), values[..., 1:]], axis=-1)
    return saved(Image.fromarray(values), "png"), "png", shows.astype("float64")


def gray_with_premultiplied_alpha(generator, height, width):
    alpha = noise(generator, height, width)
    values = np.round(noise(generator, height, width) * alpha / 255)
    colors = np.where(alpha > 0, values * 255 / np.maximum(alpha, 1), 0)
    content = tiff_bytes(np.stack([values, alpha], axis=-1).astype("uint8"), 1, extra=1)
    return content, "tif", np.stack([colors] * 3 + [alpha], axis=-1)


def few_bits(generator, height, width):
    depth = int(generator.choice([1, 2, 4]))
    values = noise(generator, height, width, top=2**depth - 1)
    shows = opaque(values * 255 / (2**depth - 1))
    color = int(generator.integers(2**depth))
    shows[..., 3] = np.where(values == color, 0, 255)
    chunk = b"tRNS", struct.pack(">H", color)
    return png_bytes(values, depth, 0, chunk), "png", shows


def palette(generator, height, width):
    colors = generator.integers(0, 256, (16, 3))
    values = noise(generator, height, width, top=15)
    picture = Image.fromarray(values.astype("uint8"))
    picture = picture.convert("L").copy()
    picture.putpalette(colors.astype("uint8").tobytes())
    kind, suffix = [("png", "png"), ("gif", "gif"), ("bmp", "bmp"), ("tiff", "tif")][
        generator.integers(4)
    ]
    return saved(picture, kind), suffix, opaque(colors[values])


def palette_with_transparency(generator, height, width):
    colors = generator.integers(0, 256, (16, 4))
    values = noise(generator, height, width, top=15)
    chunks = (b"PLTE", colors[:, :3].astype("uint8").tobytes())
    transparent = (b"tRNS", colors[:, 3].astype("uint8").tobytes())
    return png_bytes(values, 4, 3, chunks, transparent), "png", colors[values].astype("float64")


def palette_with_one_transparent(generator, height, width):
    colors = generator.integers(0, 256, (16, 3))
    values = noise(generator, height, width, top=15)
    picture = Image.fromarray(values.astype("uint8"))
    picture.putpalette(colors.astype("uint8").tobytes())
    shows = opaque(colors[values])
    shows[..., 3] = np.where(values == 3, 0, 255)
    return saved(picture, "gif", transparency=3), "gif", shows


def palette_with_alpha(generator, height, width):
    colors = generator.integers(0, 256, (16, 3))
    values = noise(generator, height, width, top=15)
    alpha = noise(generator, height, width)
    picture = Image.fromarray(np.stack([values, alpha], axis=-1).astype("uint8"), "LA")
    whole = Image.new("PA", (width, height))
    whole.putpalette(colors.astype("uint8").tobytes())
    whole.putdata(list(map(tuple, np.asarray(picture).reshape(-1, 2).tolist())))
    shows = np.concatenate([colors[values], alpha[..., None]], axis=-1)
    return saved(whole, "tiff"), "tif", shows.astype("float64")


def colors(generator, height, width):
    values = noise(generator, height, width, 3).astype("uint8")
    kind, suffix, options = [
        ("png", "png", {}), ("bmp", "bmp", {}), ("tiff", "tiff", {}), ("ppm", "ppm", {}),
        ("webp", "webp", {"lossless": True}), ("tiff", "tif", {"compression": "tiff_lzw"}),
    ][generator.integers(6)]  # fmt: skip
    return saved(Image.fromarray(values), kind, **options), suffix, opaque(values)


def colors_with_alpha(generator, height, width):
    values = noise(generator, height, width, 4).astype("uint8")
    kind, suffix, options = [
        ("png", "png", {}), ("tiff", "tif", {}),
        ("webp", "webp", {"lossless": True, "exact": True}),
    ][generator.integers(3)]  # fmt: skip
    picture = Image.fromarray(values)
    return saved(picture, kind, **options), suffix, values.astype("float64")


def colors_with_premultiplied_alpha(generator, height, width):
    alpha = noise(generator, height, width, 1)
    values = np.round(noise(generator, height, width, 3) * alpha / 255)
    shows = np.where(alpha > 0, values * 255 / np.maximum(alpha, 1), 0)
    content = tiff_bytes(np.concatenate([values, alpha], axis=-1).astype("uint8"), 2, extra=1)
    return content, "tif", np.concatenate([shows, alpha], axis=-1)


def colors_with_one_transparent(generator, height, width):
    values = noise(generator, height, width, 3)
    shows = opaque(values)
    shows[..., 3] = np.where((values == values[0, 0]).all(axis=-1), 0, 255)
    chunk = b"tRNS", struct.pack(">HHH", *values[0, 0].tolist())
    return png_bytes(values, 8, 2, chunk), "png", shows


def cyan_to_black(generator, height, width):
    values = noise(generator, height, width, 4)
    shows = opaque((255 - values[..., :3]) * (255 - values[..., 3:]) / 255)
    return tiff_bytes(values.astype("uint8"), 5), "tif", shows


def luma_and_chroma(generator, height, width):
    values = noise(generator, height, width, 3)
    y, blue, red = values[..., 0], values[..., 1] - 128.0, values[..., 2] - 128.0
    rgb = [y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue]
    return tiff_bytes(values.astype("uint8"), 6), "tif", opaque(np.clip(np.stack(rgb, -1), 0, 255))


def lab(generator, height, width):
    # LittleCMS is less exact, by up to some 14 of 255, at the border of what sRGB can show.
    light = 40 + noise(generator, height, width, top=200)
    a, b = generator.integers(-8, 9, (2, height, width))
    y = (light / 2.55 + 16) / 116
    shares = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    cubes = np.where(shares > 6 / 29, shares**3, 3 * (6 / 29) ** 2 * (shares - 4 / 29))
    # From the white of 5000 K that Lab has to sRGB's primaries (Bradford).
    to_rgb = np.array([
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ])  # fmt: skip
    linear = np.clip(cubes * [0.96422, 1.0, 0.82521] @ to_rgb.T, 0, 1)
    rgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    values = np.stack([light, a % 256, b % 256], axis=-1).astype("uint8")
    return tiff_bytes(values, 8), "tif", opaque(rgb * 255)


def sixteen_bits(generator, height, width):
    values = noise(generator, height, width, top=65535)
    shows = opaque(values / 257)
    choice = generator.integers(6)
    if choice == 0:
        return png_bytes(values, 16, 0), "png", shows
    if choice == 1:
        shows[..., 3] = np.where(values == values[0, 0], 0, 255)
        return png_bytes(values, 16, 0, (b"tRNS", struct.pack(">H", values[0, 0]))), "png", shows
    if choice == 2:
        return tiff_bytes(values.astype("<u2"), 0), "tif", opaque(255 - values / 257)
    if choice == 3:
        header = f"P5 {width} {height} 1000\n".encode()
        return (
            header + (values % 1001).astype(">u2").tobytes(),
            "ppm",
            opaque(values % 1001 * 0.255),
        )
    return tiff_bytes(values.astype(["<u2", ">u2"][choice - 4]), 1), "tif", shows


def sixteen_bits_a_color(generator, height, width):
    channels, color = [(2, 4), (3, 2), (4, 6)][generator.integers(3)]
    values = noise(generator, height, width, channels, top=65535)
    shows = values / 257
    if channels == 2:
        shows = np.concatenate([np.repeat(shows[..., :1], 3, axis=-1), shows[..., 1:]], axis=-1)
    return png_bytes(values, 16, color), "png", shows if channels != 3 else opaque(shows)


def floats(generator, height, width):
    values = noise(generator, height, width, top=1000) / generator.choice([1000, 5000])
    white_is_zero = generator.random() < 0.5
    content = tiff_bytes(values.astype("<f4"), 0 if white_is_zero else 1, 3)
    return content, "tif", opaque(255 * (1 - values if white_is_zero else values))


def turned(generator, height, width):
    values = noise(generator, height, width, 3).astype("uint8")
    exif, orientation = Image.Exif(), int(generator.integers(1, 9))
    exif[0x0112] = orientation
    kind, suffix, options = [
        ("png", "png", {}), ("tiff", "tif", {}), ("webp", "webp", {"lossless": True}),
        ("tiff", "tif", {"compression": "tiff_lzw"}),
    ][generator.integers(4)]  # fmt: skip
    content = saved(Image.fromarray(values), kind, exif=exif, **options)
    return content, suffix, TURNS[orientation](opaque(values))


def turned_photo(generator, height, width):
    values = noise(generator, height, width, 3).astype("uint8")
    exif, orientation = Image.Exif(), int(generator.integers(1, 9))
    exif[0x0112] = orientation
    content = saved(Image.fromarray(values), "jpeg", exif=exif, quality=90)
    # How JPEG's losses are decoded is not told twice.
    decoded = np.asarray(Image.open(io.BytesIO(content)))
    return content, "jpg", TURNS[orientation](opaque(decoded))


def cmyk_photo(generator, height, width):
    values = noise(generator, height, width, 4).astype("uint8")
    content = saved(Image.fromarray(values, "CMYK"), "jpeg", quality=90)
    decoded = np.asarray(Image.open(io.BytesIO(content))).astype("float64")
    return content, "jpeg", opaque((255 - decoded[..., :3]) * (255 - decoded[..., 3:]) / 255)


def animation(generator, height, width):
    frames = [noise(generator, height, width, 3).astype("uint8") for _ in range(3)]
    kind, suffix, options = [
        ("gif", "gif", {}), ("png", "png", {}), ("webp", "webp", {"lossless": True}),
    ][generator.integers(3)]  # fmt: skip
    first = frames[0]
    if kind == "gif":
        frames = [frame // 85 * 85 for frame in frames]
        first = frames[0]
    pictures = [Image.fromarray(frame) for frame in frames]
    if kind == "gif":
        colors = [(r, g, b) for r in range(4) for g in range(4) for b in range(4)]
        listed = np.array(colors, "uint8") * 85
        pictures = [Image.fromarray((frame // 85 @ [16, 4, 1]).astype("uint8")) for frame in frames]
        for picture in pictures:
            picture.putpalette(listed.tobytes())
    content = saved(pictures[0], kind, save_all=True, append_images=pictures[1:], **options)
    return content, suffix, opaque(first)


KINDS = (
    gray, black_and_white, gray_with_alpha, gray_with_premultiplied_alpha, few_bits, palette,
    palette_with_transparency, palette_with_one_transparent, palette_with_alpha, colors,
    colors_with_alpha, colors_with_premultiplied_alpha, colors_with_one_transparent, cyan_to_black,
    luma_and_chroma, lab, sixteen_bits, sixteen_bits_a_color, floats, turned, turned_photo,
    cmyk_photo, animation,
)  # fmt: skip
