"""Images: PNG, JPEG and .npy become pixels of one size in [0, 1]; hostile or broken files are refused, not decoded."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from osler.readers.arrays import parse_npy
from osler.readers.files import Limits, refuse, too_large

__all__ = ["decode_image", "letterbox"]

_FORMATS = ("PNG", "JPEG")
_SIXTEEN = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
    OverflowError,
    IndexError,
    KeyError,
    TypeError,
    MemoryError,
)


def decode_image(data: bytes, name: str, size: tuple[int, int], channels: int, limits: Limits) -> NDArray[np.float32]:
    """(channels, height, width) float32 in [0, 1], letterboxed to ``size`` (height, width).

    Stored 8-bit values are divided by 255, 16-bit ones by 65,535; floating .npy values must lie in [0, 1] already.
    Colour becomes grey by luminance (ITU-R 601); transparency lies over black; a camera's orientation is applied.

    Args:
        data: content of the file; .npy is told by its first bytes.
        name: what messages call it (never a file name that could tell who the patient is).
        size: height and width wanted.
        channels: 1 grey, 3 colour.
        limits: ``pixels`` bounds the stored image, judged from its header.

    Raises:
        DataError: not such a file, damaged, truncated, or larger than the limit.
    """
    if data[:6] == b"\x93NUMPY":
        return _from_array(parse_npy(data, name, limits), name, size, channels, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                width, height = image.size
                if width * height > limits.pixels:
                    raise Image.DecompressionBombError
                image.load()
                return letterbox(_planes(ImageOps.exif_transpose(image), channels), size)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large(name, "pixels in one image", limits.pixels) from None
    except _BROKEN:
        raise refuse(
            name,
            "images can be decoded",
            "a whole PNG, JPEG or .npy file",
            "damaged, truncated or foreign files",
            "Export these images again, or leave their rows out with where.",
        ) from None


def _planes(image: Image.Image, channels: int) -> list[Image.Image]:
    """The image as one grey or three colour planes, 8-bit ("L") or already scaled ("F")."""
    if image.mode in _SIXTEEN:
        grey = Image.fromarray(np.asarray(image, dtype=np.float32) / 65_535)
        return [grey] * channels
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size)
        image.paste(layer, mask=layer.getchannel("A"))
    return [image.convert("L")] if channels == 1 else list(image.convert("RGB").split())


def _from_array(
    array: NDArray[np.generic], name: str, size: tuple[int, int], channels: int, limits: Limits
) -> NDArray[np.float32]:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        raise refuse(
            name,
            "pixel arrays are height x width (x 3)",
            "2 axes, or 3 with 1 or 3 channels",
            "other shapes",
            "Save them so.",
        )
    if array.shape[0] * array.shape[1] > limits.pixels:
        raise too_large(name, "pixels in one image", limits.pixels)
    scale = {"u1": 255.0, "u2": 65_535.0}.get(array.dtype.str[1:], 1.0)
    pixels = array.astype(np.float32) / np.float32(scale)
    if not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
        raise refuse(
            name,
            "pixel arrays are uint8, uint16 or floats in [0, 1]",
            "values in that range",
            "values outside",
            "Rescale them.",
        )
    if channels == 1 and pixels.shape[2] == 3:
        pixels = (pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[:, :, None]
    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, i])) for i in range(pixels.shape[2])]
    return letterbox(planes if len(planes) == channels else planes * channels, size)


def letterbox(planes: list[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
    """(k, h, w) in [0, 1]: planes ("L", or "F" in [0, 1]) scaled to fit ``size``, aspect kept, centred on black."""
    height, width = size
    scale = min(width / planes[0].width, height / planes[0].height)
    inner = (max(1, round(planes[0].width * scale)), max(1, round(planes[0].height * scale)))
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    out = np.zeros((len(planes), height, width), dtype=np.float32)
    for canvas, plane in zip(out, planes, strict=True):
        small = np.asarray(plane.resize(inner, Image.Resampling.BILINEAR), dtype=np.float32)
        canvas[top : top + inner[1], left : left + inner[0]] = small / 255 if plane.mode == "L" else small
    return out.clip(0.0, 1.0)
