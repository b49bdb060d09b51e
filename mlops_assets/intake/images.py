"""The bytes of an image file -> its pixels, or what is wrong with it. The same code reads files, rows and requests.

Read are PNG, JPEG, BMP and WebP of 8 bits a channel: grey (1 channel) or red, green and blue (3). Nothing is turned,
scaled or converted.
"""

import struct
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]  # height, width, channels
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")  # no others: a decoder that nobody needs is one more that can be attacked
MODES = {1: "L", 3: "RGB"}
WORDS = {1: "grey", 3: "red, green and blue"}


class BadImage(ValueError):
    """Bytes are not the image they should be; the message says what was found."""


def pixels(data: bytes, shape: Shape) -> Pixels:
    """Return the pixels of an image file in row-major order, shape (height, width, channels), each in [0, 255].

    Its size is compared before anything is unpacked, so an image that claims to be giant costs nothing.

    Raises:
        BadImage: If it does not decode, is cut off, or has another shape.
    """
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=FORMATS) as opened:
            _check_shape(opened, shape)
            opened.verify()
        with Image.open(BytesIO(data), formats=FORMATS) as opened:
            return np.asarray(opened).reshape(shape)
    except Image.UnidentifiedImageError as error:
        raise BadImage(f"no image ({len(data)} bytes)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(f"an image that is too large: {error}") from error
    except (OSError, SyntaxError, EOFError, ValueError, LookupError, struct.error) as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(f"an image that does not decode: {error}") from error


def png(values: Pixels) -> bytes:
    """Return pixels, shape (height, width) or (height, width, channels), as a PNG file.

    It is not compressed: the same pixels then give the same bytes whatever compressor a machine has.
    """
    from PIL import Image

    grey = values.ndim == 3 and values.shape[2] == 1
    file = BytesIO()
    Image.fromarray(values[:, :, 0] if grey else values).save(file, "PNG", compress_level=0)
    return file.getvalue()


def wanted(shape: Shape) -> str:
    """Return in words what image is right."""
    height, width, channels = shape
    return f"PNG, JPEG, BMP or WebP, {height} high and {width} wide, {WORDS[channels]}, 8 bits a channel"


def _check_shape(opened: "Image", shape: Shape) -> None:
    height, width, channels = shape
    if (opened.height, opened.width, opened.mode) != (height, width, MODES[channels]):
        found = WORDS.get(len(opened.getbands()), "") if opened.mode in MODES.values() else f"mode {opened.mode}"
        raise BadImage(f"an image {opened.height} high and {opened.width} wide, {found}")
