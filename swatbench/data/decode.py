"""From an image's file to the colours that a model is shown, or to the indices in a mask.

What is refused is told as a `ValueError` that says why; who calls knows the file's name. Pixels are taken as
timm and torchvision take them: the content decides and not the name; a rotation in EXIF and colour profiles
are not applied; transparency is left out.
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import IO, Any, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

IMAGE_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What an image may be, whatever its name; Pillow's others are not tried (PostScript starts a program)."""
MASK_FORMATS: Final = ("PNG",)
"""What a mask may be; JPEG would change its indices."""
LARGEST_PIXELS: Final = 89_478_485
"""Most pixels of an image (9,459 squared): a quarter of a gibibyte in RGB. Pillow warns of more."""
LONGEST_RATIO: Final = 200
"""How many times as long as wide an image may be: a strip, resized by its short side, fills the memory."""
ORIENTATION: Final = 0x0112
"""The tag that says how an image is rotated."""

UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
"""What Pillow raises on bytes that are no image, or only a part of one."""

_SIXTEEN_BITS: Final = ("I;16", "I;16L", "I;16B", "I;16N")
INDEXED: Final = ("1", "L", "P", "I", *_SIXTEEN_BITS)
"""Pillow's modes of images whose pixels are whole numbers; newer ones have I;16 where older ones have I."""


@contextmanager
def opened(
    file: IO[bytes] | PathLike[str], *, formats: tuple[str, ...] = IMAGE_FORMATS
) -> Iterator[Image.Image]:
    """An image whose header was read, and that is fit to be decoded.

    Args:
        file: The file, or its path.
        formats: What it may be.

    Raises:
        ValueError: It is of another format, too large or too long, animated, or a TIFF that is to be rotated.
    """
    try:
        picture = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        raise ValueError(f"it is no {_either(formats)} file, or is damaged at its beginning") from None
    with picture:
        _require_usable(picture)
        yield picture


def _either(formats: tuple[str, ...]) -> str:
    *first, last = formats
    return f"{', '.join(first)} or {last}" if first else last


def _require_usable(picture: Image.Image) -> None:
    w, h = picture.size
    if w * h > LARGEST_PIXELS:
        raise ValueError(f"it says that it has {w * h:,} pixels, and at most {LARGEST_PIXELS:,} are read")
    if max(w, h) > LONGEST_RATIO * min(w, h):
        raise ValueError(f"it is {h} × {w}, and a side may be at most {LONGEST_RATIO} times the other")
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        # An MPO is a photograph with a preview, or another view of it.
        raise ValueError("it holds several pictures, and nothing says which is meant")
    if picture.format == "TIFF" and _orientation(picture) != 1:
        # Pillow would rotate a TIFF, and a TIFF alone.
        raise ValueError("it is a TIFF file that says it is to be rotated")


def _orientation(picture: Image.Image) -> int:
    return int(picture.getexif().get(ORIENTATION, 1))


def to_rgb(picture: Image.Image) -> Image.Image:
    """The picture in 8 bits of red, green and blue.

    Of 16 bits the upper eight are taken, where Pillow's own conversion would turn most of a grey image white.

    Args:
        picture: What `opened` gives.

    Raises:
        ValueError: Its pixels are of 32 bits, of which nothing says what is black and what is white.
    """
    if picture.mode in _SIXTEEN_BITS or (picture.mode == "I" and picture.format == "PNG"):
        return Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("I", "F"):
        raise ValueError("its pixels are of 32 bits, of which nothing says what is black and what is white")
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA")  # the same colours, without a warning where some are transparent
    return picture.convert("RGB")


def to_indices(picture: Image.Image) -> np.ndarray:
    """The whole numbers in a mask, (h, w).

    Pillow stretches grey of 2 and 4 bits to 0 to 255, which is undone here.

    Args:
        picture: What `opened` gives of `MASK_FORMATS`, of one of the modes `INDEXED`.
    """
    bits = _grey_bits(picture)
    indices = np.array(picture)
    return indices // (255 // (2**bits - 1)) if bits in (2, 4) else indices


def _grey_bits(picture: Image.Image) -> int:
    """Bits of a pixel as the file has them: Pillow's name of the raw mode ends in them where they are few."""
    tiles: Any = getattr(picture, "tile", ())
    raw = tiles[0][3] if picture.mode == "L" and tiles else ""
    raw = raw[0] if isinstance(raw, tuple) else raw
    return int(raw[2:]) if isinstance(raw, str) and raw in ("L;2", "L;4") else 8


def notes_of(picture: Image.Image) -> tuple[str, ...]:
    """What is done to a picture's colours, or left undone, that its owner may not expect.

    Args:
        picture: What `opened` gives.
    """
    transparent = "transparency" in picture.info or picture.mode in ("LA", "PA", "RGBA", "La", "RGBa")
    found = {
        "CMYK, converted without a profile": picture.mode == "CMYK",
        "grey of 16 bits, of which 8 are kept": picture.mode in (*_SIXTEEN_BITS, "I"),
        "with transparency, which is left out": transparent,
        "with a rotation in EXIF, which is not applied": _rotated(picture),
    }
    return tuple(note for note, holds in found.items() if holds)


def _rotated(picture: Image.Image) -> bool:
    try:
        return _orientation(picture) != 1
    except UNREADABLE:  # A damaged EXIF block says nothing.
        return False
