"""Picture files that Pillow cannot write itself, built byte by byte."""

import struct
import zlib

import numpy as np


def png_bytes(values, depth, color, *chunks):
    """A PNG file of samples.

    Args:
        values: (height, width) or (height, width, channels), unsigned, of `depth` bits.
        color: the PNG color type: 0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGB and alpha.
        chunks: kind and content of those before the pixels, such as `(b"tRNS", ...)`.
    """
    height, width = values.shape[:2]
    samples = values.reshape(height, -1).astype(">u2")
    if depth == 16:
        rows = samples.view("uint8")
    elif depth == 8:
        rows = samples.astype("uint8")
    else:
        bits = np.unpackbits(samples.astype("uint8")[..., None], axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    parts = ((b"IHDR", header), *chunks, (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def tiff_bytes(values, photometric, sample_format=1, **tags):
    """A TIFF file of samples, uncompressed, in the byte order of the values.

    Args:
        values: (height, width) or (height, width, channels), of any dtype of 1, 2 or 4 bytes.
        photometric: 0 white is zero, 1 black is zero, 2 RGB, 5 separated, 6 YCbCr, 8 Lab.
        sample_format: 1 unsigned, 2 signed, 3 float.
        tags: `orientation`, `extra`: what the channels beyond the colors are.
    """
    order = ">" if values.dtype.str[0] == ">" else "<"
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    entries = {
        256: width, 257: height, 258: [8 * values.itemsize] * channels, 259: 1, 262: photometric,
        274: tags.get("orientation", 1), 277: channels, 278: height, 279: values.nbytes,
        339: [sample_format] * channels,
    }  # fmt: skip
    if "extra" in tags:
        entries[338] = tags["extra"]
    count = len(entries) + 1
    place = 8 + 2 + 12 * count + 4
    more, lines = b"", {}
    for tag, value in entries.items():
        many = value if isinstance(value, list) else [value]
        packed = struct.pack(f"{order}{len(many)}H", *many) if max(many) < 65536 else None
        kind = 3 if packed else 4
        packed = packed or struct.pack(f"{order}I", *many)
        if len(packed) > 4:
            more, packed = more + packed, struct.pack(f"{order}I", place + len(more))
        lines[tag] = struct.pack(f"{order}HHI", tag, kind, len(many)) + packed.ljust(4, b"\0")
    lines[273] = struct.pack(f"{order}HHII", 273, 4, 1, place + len(more))
    directory = struct.pack(f"{order}H", count) + b"".join(lines[tag] for tag in sorted(lines))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = mark + struct.pack(f"{order}I", 8)
    return start + directory + b"\0\0\0\0" + more + values.tobytes()


def _chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))
