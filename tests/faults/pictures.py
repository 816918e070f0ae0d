"""Images of every kind that a folder of images may hold, good, odd and bad, as bytes."""

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image

H, W = 20, 30
"""Rows and columns of an ordinary one."""


def grey(bits: int = 8) -> np.ndarray:
    """A ramp from black to white, (H, W), as bright in every type."""
    ramp = np.linspace(0, 255, H * W).round().reshape(H, W)
    return ramp.astype(np.uint8) if bits == 8 else (ramp.astype(np.uint16) << 8 | ramp.astype(np.uint16))


def colours() -> np.ndarray:
    """A ramp of each colour in a direction of its own, (H, W, 3) uint8."""
    x, y = np.meshgrid(np.linspace(0, 255, W), np.linspace(0, 255, H))
    return np.stack([x, y, 255 - x], -1).round().astype(np.uint8)


def saved(picture: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    """A picture as a file of a format."""
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def palette(*, transparent: bool = False) -> bytes:
    """The ramp of colours with a palette of 256."""
    options = {"transparency": bytes([0, 128] * 8)} if transparent else {}
    return saved(Image.fromarray(colours()).quantize(256), "PNG", **options)


def rotated(kind: str) -> bytes:
    """The ramp of colours, which says in EXIF that it is to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(colours(), kind, exif=exif)


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of these chunks, each with its checksum."""
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(w: int, h: int, *, bits: int = 8, kind: int = 0) -> tuple[bytes, bytes]:
    """The first chunk of a PNG."""
    return b"IHDR", struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, 0)


def few_bits(indices: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, whose width is a multiple of 8."""
    unpacked = np.unpackbits(indices.astype(np.uint8)[:, :, None], axis=2)[:, :, 8 - bits :]
    rows = np.packbits(unpacked.reshape(len(indices), -1), axis=1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(
        header(indices.shape[1], len(indices), bits=bits), (b"IDAT", zlib.compress(body)), (b"IEND", b"")
    )


def with_block(content: bytes, block: bytes) -> bytes:
    """A JPEG with one more block behind its first two bytes."""
    return content[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + content[2:]


def frames(kind: str) -> bytes:
    """Two pictures in one file."""
    other = Image.fromarray(255 - colours())
    return saved(colours(), kind, save_all=True, append_images=[other])


def _strip(w: int, h: int) -> bytes:
    return saved(np.zeros((h, w, 3), np.uint8), "PNG")


def _profile(kind: str) -> bytes:
    return saved(colours(), kind, icc_profile=b"no profile " * 40)


USED: Mapping[str, Callable[[], bytes]] = {
    "JPEG": lambda: saved(colours(), "JPEG", quality=95),
    "PNG": lambda: saved(colours(), "PNG"),
    "PNG interlaced away": lambda: saved(colours(), "PNG", optimize=True),
    "WebP": lambda: saved(colours(), "WEBP", lossless=True),
    "BMP": lambda: saved(colours(), "BMP"),
    "GIF": lambda: saved(Image.fromarray(colours()).quantize(256), "GIF"),
    "TIFF": lambda: saved(colours(), "TIFF"),
    "CMYK JPEG": lambda: saved(Image.fromarray(colours()).convert("CMYK"), "JPEG", quality=95),
    "grey JPEG": lambda: saved(grey(), "JPEG", quality=95),
    "grey PNG of 16 bits": lambda: saved(grey(16), "PNG"),
    "grey TIFF of 16 bits": lambda: saved(grey(16), "TIFF"),
    "grey PNG with alpha": lambda: saved(Image.fromarray(grey()).convert("LA"), "PNG"),
    "PNG with alpha": lambda: saved(Image.fromarray(colours()).convert("RGBA"), "PNG"),
    "palette": palette,
    "palette with transparency": lambda: palette(transparent=True),
    "one bit": lambda: saved(Image.fromarray(grey()).convert("1"), "PNG"),
    "rotated JPEG": lambda: rotated("JPEG"),
    "rotated PNG": lambda: rotated("PNG"),
    "rotated WebP": lambda: rotated("WEBP"),
    "1 × 1": lambda: _strip(1, 1),
    "1 × 200": lambda: _strip(200, 1),
    "JPEG with a damaged profile": lambda: _profile("JPEG"),
    "PNG with a damaged profile": lambda: _profile("PNG"),
    "JPEG with a damaged EXIF block": lambda: with_block(
        saved(colours(), "JPEG", quality=95), b"Exif\0\0II*\0\xff\xff\xff\xff" + b"\xff" * 30
    ),
    "JPEG with bytes behind its end": lambda: saved(colours(), "JPEG", quality=95) + b"more",
}
"""What can be used, whatever its name ends in."""

REFUSED: Mapping[str, tuple[Callable[[], bytes], str]] = {
    "text": (lambda: b"This is no image at all, but some words.\n" * 9, "it is no JPEG, PNG"),
    "PostScript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no JPEG, PNG"),
    "a page of HTML": (lambda: b"<html><body>404 Not Found</body></html>", "it is no JPEG, PNG"),
    "JPEG 2000": (lambda: saved(colours(), "JPEG2000"), "it is no JPEG, PNG"),
    "JPEG cut in half": (lambda: saved(colours(), "JPEG", quality=95)[:700], "truncated"),
    "PNG cut short": (lambda: saved(colours(), "PNG")[:90], ""),
    "GIF of two pictures": (lambda: frames("GIF"), "several pictures"),
    "WebP of two pictures": (lambda: frames("WEBP"), "several pictures"),
    "PNG of two pictures": (lambda: frames("PNG"), "several pictures"),
    "TIFF of two pictures": (lambda: frames("TIFF"), "several pictures"),
    "rotated TIFF": (lambda: rotated("TIFF"), "to be rotated"),
    "numbers of 32 bits": (lambda: saved(grey(16).astype(np.int32), "TIFF"), "32 bits"),
    "floating point": (lambda: saved(grey(16).astype(np.float32), "TIFF"), "32 bits"),
    "1 × 10000": (lambda: _strip(10_000, 1), "at most 200 times"),
    "bomb": (
        lambda: png(header(60_000, 60_000), (b"IDAT", zlib.compress(bytes(9_999_999), 9)), (b"IEND", b"")),
        "",
    ),
    "small bomb": (
        lambda: png(header(10_000, 9_000), (b"IDAT", zlib.compress(bytes(9_999_999), 9)), (b"IEND", b"")),
        "",
    ),
    "text that is a bomb": (
        lambda: png(header(4, 4), (b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9)), (b"IEND", b"")),
        "",
    ),
}
"""What cannot be used, and a part of what is said."""
