"""Bytes are the image that is declared, or it is said what they are instead."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from mlops_assets.intake.images import BadImage, pixels, png

GREY = np.arange(6, dtype=np.uint8).reshape(2, 3)
COLOUR = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def saved(values: np.ndarray, kind: str, mode: str | None = None) -> bytes:
    file = BytesIO()
    image = Image.fromarray(values)
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


def claims(width: int, height: int) -> bytes:
    """A grey PNG whose header claims a size that its few bytes do not have."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b"")]
    told = [struct.pack(">I", len(data)) + kind + data for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk + struct.pack(">I", zlib.crc32(chunk[4:])) for chunk in told)


@pytest.mark.parametrize("values", [GREY, COLOUR])
@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_pixels_come_back_as_they_were(values: np.ndarray, kind: str):
    channels = 1 if values.ndim == 2 else 3

    found = pixels(saved(values, kind), (2, 3, channels))

    assert found.shape == (2, 3, channels)
    assert found.ravel().tolist() == values.ravel().tolist()


def test_a_png_of_ours_is_the_same_bytes_each_time_and_keeps_its_pixels():
    assert png(GREY) == png(GREY.reshape(2, 3, 1)) == png(GREY)
    assert pixels(png(COLOUR), (2, 3, 3)).tolist() == COLOUR.tolist()
    assert len(png(np.zeros((64, 64), np.uint8))) > 64 * 64  # not compressed: that differs by the compressor's version


def test_one_that_loses_colours_is_read_as_it_decodes():
    assert pixels(saved(GREY, "JPEG"), (2, 3, 1)).shape == (2, 3, 1)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", r"no image \(0 bytes\)"),
        (b"hello", r"no image \(5 bytes\)"),
        (saved(GREY, "GIF"), "no image"),
        (png(GREY)[:-20], "an image that does not decode"),
        (png(GREY)[:-6], "an image that does not decode"),
        (png(GREY.T.copy()), "an image 3 high and 2 wide, grey"),
        (png(COLOUR), "an image 2 high and 3 wide, red, green and blue"),
        (saved(GREY, "PNG", "P"), "an image 2 high and 3 wide, mode P"),
        (claims(20_000, 4_000), "an image 4000 high and 20000 wide, grey"),
        (claims(60_000, 60_000), "an image that is too large"),
    ],
)
def test_what_is_no_such_image_is_refused_and_said(data: bytes, found: str):
    with pytest.raises(BadImage, match=found):
        pixels(data, (2, 3, 1))


def test_a_flipped_bit_is_noticed_wherever_it_changes_a_pixel():
    whole = png(GREY)

    for place in range(8, len(whole) - 12):
        damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        with pytest.raises(BadImage):
            pixels(damaged, (2, 3, 1))
