"""Image archives: one .npz of labelled images in parts, such as MedMNIST's, as a table and as pixels.

The keys are ``{part}_images`` and ``{part}_labels``, for the parts train, val and test or any of one's own. Each image
is a patient of its own: such archives name nobody. As a table an archive has the columns "image" (an identifier made of
the part and the number of the image in it), "split" (the part) and "label".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from osler.readers.arrays import parse_npz
from osler.readers.files import Limits, Source, refuse, too_large
from osler.readers.imaging import letterbox
from osler.readers.table import Table, TableFormat

__all__ = ["ImageArchive", "read_archive"]

_KEY = re.compile(r"([a-z][a-z0-9]{0,31})_(images|labels)")
_REMEDY = "Write the archive with numpy.savez(file, train_images=..., train_labels=..., test_images=..., ...)."


@dataclass(frozen=True, eq=False)
class ImageArchive:
    """Labelled images in parts.

    Attributes:
        name: of the file.
        parts: names in file order.
        images: by part (m, height, width) or (m, height, width, 3) as stored.
        labels: by part (m,) whole numbers.
    """

    name: str
    parts: tuple[str, ...]
    images: dict[str, NDArray[np.generic]]
    labels: dict[str, NDArray[np.int64]]

    @property
    def identifiers(self) -> list[str]:
        """Of every image, such as "train-00001": the part, and the number of the image in it from 1."""
        return [f"{part}-{i:05d}" for part in self.parts for i in range(1, len(self.labels[part]) + 1)]

    def table(self, source: Source, form: TableFormat) -> Table:
        """Columns image, split and label, a row for every image."""
        sizes = [len(self.labels[part]) for part in self.parts]
        split = np.repeat(np.array(self.parts, dtype=object), sizes)
        label = np.concatenate([self.labels[part] for part in self.parts])
        data = pa.table({"image": self.identifiers, "split": pa.array(split, pa.string()), "label": label})
        key = hashlib.sha256(b"pseudonyms:" + source.data).hexdigest()
        return Table(self.name, source.sha256, key, tuple(data.column_names), data.num_rows, data, form)

    def pixels(
        self, size: tuple[int, int], channels: int, limits: Limits, rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """(k, channels, height, width) in [0, 1] of some images by number, letterboxed to ``size``.

        8-bit values are divided by 255, 16-bit ones by 65,535; floating values must lie in [0, 1] already.

        Raises:
            DataError: they would take more memory than ``limits.array_bytes``, or values lie outside [0, 1].
        """
        if 4 * len(rows) * channels * size[0] * size[1] > limits.array_bytes:
            raise too_large(self.name, "bytes of pixels in memory", limits.array_bytes)
        every = [self._part(part, channels) for part in self.parts]
        bounds = np.cumsum([0, *map(len, every)])
        out = np.empty((len(rows), channels, *size), dtype=np.float32)
        for k, row in enumerate(rows):
            part = int(np.searchsorted(bounds, row, "right")) - 1
            out[k] = _resized(every[part][row - bounds[part]], size)
        return out

    def _part(self, part: str, channels: int) -> NDArray[np.float32]:
        """(m, channels, height, width) in [0, 1]."""
        stored = self.images[part]
        scale = {"u1": 255.0, "u2": 65_535.0}.get(stored.dtype.str[1:], 1.0)
        pixels = stored.astype(np.float32) / np.float32(scale)
        if pixels.size and not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1):
            raise refuse(
                self.name,
                "pixels are uint8, uint16 or floats in [0, 1]",
                "values in that range",
                "values outside",
                "Rescale them.",
            )
        if pixels.ndim == 3:
            return np.repeat(pixels[:, None], channels, axis=1)
        if channels == 1:
            return (pixels @ np.array([0.299, 0.587, 0.114], dtype=np.float32))[:, None]
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))


def read_archive(source: Source, limits: Limits) -> ImageArchive:
    """The images and labels of an archive.

    Raises:
        DataError: no .npz of numbers (see ``parse_npz``), other keys, a part without images or without labels, as many
            labels as images nowhere, images of several shapes, or labels that are no whole numbers, one an image.
    """
    arrays = parse_npz(source.data, source.name, limits)
    found = {key: _KEY.fullmatch(key) for key in arrays}
    parts = tuple(dict.fromkeys(match[1] for match in found.values() if match))
    whole = all(found.values()) and all(f"{p}_{what}" in arrays for p in parts for what in ("images", "labels"))
    if not parts or not whole:
        raise refuse(
            source.name,
            "an image archive has images and labels of each part",
            "keys such as train_images, train_labels, test_images, test_labels",
            "other keys, or a part without one of the two",
            _REMEDY,
        )
    images = {part: arrays[f"{part}_images"] for part in parts}
    labels = {part: _labels(arrays[f"{part}_labels"], source.name) for part in parts}
    for part in parts:
        _check_images(images[part], len(labels[part]), source.name, limits)
    if len({array.shape[1:] for array in images.values()}) > 1:
        raise refuse(source.name, "images of an archive have one shape", "one shape", "several", _REMEDY)
    return ImageArchive(source.name, parts, images, labels)


def _labels(array: NDArray[np.generic], name: str) -> NDArray[np.int64]:
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim != 1 or flat.dtype.kind not in "iub" or (flat.size and flat.astype(np.int64).min() < 0):
        raise refuse(
            name,
            "labels are class codes",
            "one whole number of 0 or more for each image",
            "another shape or other values",
            "An image of several classes at once cannot be read: choose one label.",
        )
    return flat.astype(np.int64)


def _check_images(array: NDArray[np.generic], labels: int, name: str, limits: Limits) -> None:
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or 0 in array.shape[1:]:
        raise refuse(
            name,
            "images of an archive are grey or colour",
            "images x height x width (x 3)",
            "another shape",
            "Volumes are read from an index of files.",
        )
    if array.shape[1] * array.shape[2] > limits.pixels:
        raise too_large(name, "pixels in one image", limits.pixels)
    if len(array) != labels:
        raise refuse(name, "every image has a label", f"{labels:,} images", f"{len(array):,}", _REMEDY)


def _resized(planes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    if planes.shape[1:] == size:
        return planes
    return letterbox([Image.fromarray(np.ascontiguousarray(plane)) for plane in planes], size)
