"""Pixels: every mode to [0, 1], the aspect kept, hostile files refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from osler.errors import DataError
from osler.readers.files import Limits
from osler.readers.imaging import decode_image

LIMITS = Limits(pixels=100_000)


def encode(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def decode(data, size=(16, 16), channels=1, limits=LIMITS):
    return decode_image(data, "index.csv", size, channels, limits)


def png_of(width, height):
    """A PNG that claims a size and holds nearly nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_grey_levels_are_kept():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    found = decode(encode(Image.fromarray(grey)))
    assert (found.shape, found.dtype) == ((1, 16, 16), np.float32)
    np.testing.assert_allclose(found[0], grey / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "value"),
    [
        (Image.new("1", (16, 16), 1), 1.0),
        (Image.new("L", (16, 16), 51), 0.2),
        (Image.new("LA", (16, 16), (255, 51)), 0.2),
        (Image.new("RGBA", (16, 16), (255, 255, 255, 51)), 0.2),
        (Image.new("RGB", (16, 16), (51, 51, 51)), 0.2),
        (Image.fromarray(np.full((16, 16), 13107, dtype=np.uint16)), 0.2),
        (Image.new("L", (16, 16), 51).convert("P"), 0.2),
    ],
    ids=["1", "L", "LA", "RGBA", "RGB", "16-bit", "P"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_modes(image, value, channels):
    found = decode(encode(image), channels=channels)
    assert found.shape == (channels, 16, 16)
    np.testing.assert_allclose(found, value, atol=0.003)


def test_colour_and_luminance():
    red = encode(Image.new("RGB", (16, 16), (255, 0, 0)))
    np.testing.assert_allclose(decode(red, channels=3).mean(axis=(1, 2)), [1, 0, 0])
    np.testing.assert_allclose(decode(red).mean(), 0.299, atol=0.002)


def test_jpeg():
    found = decode(encode(Image.new("RGB", (40, 40), (102, 102, 102)), "JPEG"))
    np.testing.assert_allclose(found, 0.4, atol=0.01)


def test_letterbox_keeps_the_aspect():
    found = decode(encode(Image.new("L", (32, 16), 255)))[0]
    assert (found[:4] == 0).all()
    assert (found[12:] == 0).all()
    np.testing.assert_allclose(found[4:12], 1.0)
    tall = decode(encode(Image.new("L", (8, 16), 255)), size=(32, 64))[0]
    assert (tall[:, :24] == 0).all()
    np.testing.assert_allclose(tall[:, 24:40], 1.0)


def test_camera_orientation():
    image = Image.new("L", (16, 16), 0)
    image.paste(255, (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    found = decode(encode(image, "JPEG", exif=exif, quality=95))[0]
    assert found[:8].mean() < 0.1
    assert found[8:].mean() > 0.9


@pytest.mark.parametrize(
    "array",
    [
        np.full((8, 8), 51, np.uint8),
        np.full((8, 8, 1), 13107, np.uint16),
        np.full((8, 8, 3), 0.2, np.float64),
        np.full((8, 8), 0.2, np.float32),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays(array, channels):
    found = decode(npy(array), channels=channels)
    assert found.shape == (channels, 16, 16)
    np.testing.assert_allclose(found, 0.2, atol=1e-4)


@pytest.mark.parametrize(
    "array",
    [
        np.full((8, 8), 7.0),
        np.full((8, 8), np.nan),
        np.zeros((8, 8, 4)),
        np.zeros(8),
        np.zeros((0, 8)),
        np.full((8, 8), -1),
    ],
)
def test_arrays_that_are_no_pixels(array):
    with pytest.raises(DataError):
        decode(npy(array))


def test_bombs_are_judged_by_their_header():
    for width, height in ((400, 400), (12_000, 12_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(DataError):
            decode(png_of(width, height))
    with pytest.raises(DataError, match="100,000 pixels"):
        decode(png_of(60_000, 60_000))
    with pytest.raises(DataError, match="100,000 pixels"):
        decode(npy(np.zeros((400, 400), np.uint8)))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated(form, share):
    rng = np.random.default_rng(0)
    data = encode(Image.fromarray(rng.integers(0, 255, (64, 64), dtype=np.uint8)), form)
    with pytest.raises(DataError, match="can be decoded"):
        decode(data[: int(share * len(data))])


def test_damaged_bytes_never_crash():
    rng = np.random.default_rng(1)
    for form in ("PNG", "JPEG"):
        whole = bytearray(encode(Image.fromarray(rng.integers(0, 255, (24, 24), dtype=np.uint8)), form))
        for _ in range(150):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 3):
                data[at] = rng.integers(0, 256)
            try:
                found = decode(bytes(data))
            except DataError:
                continue
            assert np.isfinite(found).all()


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "EPS"])
def test_other_formats_are_not_opened(form):
    with pytest.raises(DataError):
        decode(encode(Image.new("L", (16, 16), 100), form))
