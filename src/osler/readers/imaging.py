"""Images: files become pixels or voxels of one size in [0, 1]; hostile or broken files are refused, not decoded.

Pictures are PNG, JPEG, DICOM or .npy; volumes are NIfTI, DICOM series or .npy.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from osler.readers.arrays import parse_npy
from osler.readers.dicom import is_dicom, read_dicom
from osler.readers.files import Limits, refuse, too_large
from osler.readers.nifti import read_nifti
from osler.readers.volume import Volume, misshapen, to_unit

__all__ = ["decode_image", "decode_volume", "letterbox"]

Window = tuple[float, float] | None

_FORMATS = ("PNG", "JPEG")
_SIXTEEN = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
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


def decode_image(
    data: bytes, name: str, size: tuple[int, int], channels: int, limits: Limits, window: Window = None
) -> NDArray[np.float32]:
    """(channels, height, width) float32 in [0, 1], letterboxed to ``size`` (height, width).

    Stored 8-bit values are divided by 255, 16-bit ones by 65,535; floating .npy values must lie in [0, 1] already.
    Colour becomes grey by luminance (ITU-R 601); transparency lies over black; a camera's orientation is applied.
    DICOM values are cut to ``window``, or to their own 0.5 and 99.5 percentiles, and scaled.

    Args:
        data: content of the file; its kind is told by its first bytes.
        name: what messages call it (never a file name that could tell who the patient is).
        size: height and width wanted.
        channels: 1 grey, 3 colour.
        limits: ``pixels`` bounds the stored image, judged from its header.
        window: of DICOM, stored values that become 0 and 1, such as (-1000, 400) Hounsfield units.

    Raises:
        DataError: not such a file, damaged, truncated, or larger than the limit.
        UsageError: the library that reads such files is not installed.
    """
    if data[:6] == b"\x93NUMPY":
        return _from_array(parse_npy(data, name, limits), name, size, channels, limits)
    if is_dicom(data):
        return _from_dicom(read_dicom([data], name, limits), name, size, channels, window)
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
        pixels = (pixels @ _LUMINANCE)[:, :, None]
    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, i])) for i in range(pixels.shape[2])]
    return letterbox(planes if len(planes) == channels else planes * channels, size)


def _from_dicom(volume: Volume, name: str, size: tuple[int, int], channels: int, window: Window) -> NDArray[np.float32]:
    """One frame, its pixels made square."""
    if volume.values.shape[1] != 1:
        raise refuse(
            name,
            "pictures are one frame",
            "one frame",
            "several",
            "Say size = [depth, height, width] to read them as a volume.",
        )
    colour = len(volume.values) == 3
    pixels = volume.values[:, 0] / np.float32(255) if colour else to_unit(volume.values[:, 0], name, window)
    if channels == 1 and colour:
        pixels = np.tensordot(_LUMINANCE, pixels, 1)[None]
    planes = [_square(plane, volume.spacing) for plane in pixels.clip(0, 1)]
    return letterbox(planes if len(planes) == channels else planes * channels, size)


def decode_volume(
    files: Sequence[bytes],
    name: str,
    size: tuple[int, int, int],
    channels: int,
    limits: Limits,
    window: Window = None,
) -> NDArray[np.float32]:
    """(channels, depth, height, width) float32 in [0, 1] of one volume.

    Slices are scaled to fit ``size`` with their physical aspect kept, centred on black; the depth is scaled to fit on
    its own, as slices are often thick.

    Args:
        files: content of one file (NIfTI, gzipped or not; .npy of depth x height x width, or with channels last; a
            DICOM file of several frames), or of every file of a DICOM series in any order.
        name: what messages call it (never a file name that could tell who the patient is).
        size: depth, height and width wanted.
        channels: that the file must have; one is repeated where three are wanted.
        limits: ``pixels`` bounds the stored volume, judged from its header.
        window: stored values that become 0 and 1, such as (-1000, 400) Hounsfield units; what lies outside is cut. If
            not given, 8-bit and 16-bit .npy arrays are divided by 255 and 65,535 and others of .npy lie in [0, 1]
            already; NIfTI and DICOM, whose units differ, are scaled by their own 0.5 and 99.5 percentiles.

    Raises:
        DataError: not such a file, damaged, truncated, of the wrong shape, or larger than the limit.
        UsageError: the library that reads such files is not installed.
    """
    first = files[0] if files else b""
    if first[:6] == b"\x93NUMPY":
        volume = _volume_of(parse_npy(first, name, limits), name, limits, window is None)
        window = window or (0.0, 1.0)
    elif is_dicom(first):
        volume = read_dicom(files, name, limits)
    else:
        volume = read_nifti(first, name, limits)
    values = volume.values
    if len(values) != channels:
        if len(values) != 1:
            raise refuse(
                name,
                "volumes have the declared channels",
                f"{channels}, or one",
                f"{len(values)}",
                "Store one volume per file (no series in time), or say channels.",
            )
        values = np.repeat(values, channels, axis=0)
    return _fitted(Volume(to_unit(values, name, window), volume.spacing), size)


def _volume_of(array: NDArray[np.generic], name: str, limits: Limits, scaled: bool) -> Volume:
    """A volume of .npy; ``scaled`` brings whole numbers to [0, 1] by their type."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or 0 in array.shape:
        raise misshapen(name)
    if prod(array.shape[:3]) > limits.pixels:
        raise too_large(name, "voxels in one volume", limits.pixels)
    values = array.astype(np.float32)
    if scaled:
        values /= np.float32({"u1": 255.0, "u2": 65_535.0}.get(array.dtype.str[1:], 1.0))
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise refuse(
                name,
                "voxels without a window are uint8, uint16 or floats in [0, 1]",
                "values in that range",
                "values outside",
                "State window = [low, high], the values that become black and white.",
            )
    return Volume(np.ascontiguousarray(values.transpose(3, 0, 1, 2)), (1.0, 1.0, 1.0))


def _fitted(volume: Volume, size: tuple[int, int, int]) -> NDArray[np.float32]:
    """Every slice letterboxed with its physical aspect, then the depth scaled."""
    channels, depth = volume.values.shape[:2]
    slices = [_square(plane, volume.spacing) for channel in volume.values for plane in channel]
    small = letterbox(slices, size[1:]).reshape(channels, depth, -1)
    deep = (small.shape[2], size[0])
    flat = [Image.fromarray(channel).resize(deep, Image.Resampling.BILINEAR) for channel in small]
    return np.stack([np.asarray(plane, dtype=np.float32) for plane in flat]).reshape(channels, *size).clip(0.0, 1.0)


def _square(plane: NDArray[np.float32], spacing: tuple[float, float, float]) -> Image.Image:
    """A plane whose pixels are as high as wide."""
    image, finest = Image.fromarray(np.ascontiguousarray(plane)), min(spacing[1:])
    square = (max(1, round(image.width * spacing[2] / finest)), max(1, round(image.height * spacing[1] / finest)))
    return image if square == image.size else image.resize(square, Image.Resampling.BILINEAR)


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
