"""Volume: what NIfTI, DICOM and .npy files of voxels have in common."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.errors import DataError, UsageError
from osler.readers.files import refuse

__all__ = ["BROKEN", "Volume", "checked", "foreign", "library", "misshapen", "to_unit"]

Floats = NDArray[np.float32]

#: What decoders raise on files that are damaged or made to break them.
BROKEN = (OSError, ValueError, EOFError, zlib.error, OverflowError, IndexError, KeyError, TypeError, MemoryError)

_FLATTEST = 20.0  # longest side of a pixel, in its shortest
_TAILS = (0.5, 99.5)  # percentiles taken as black and white where the manifest states no window


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume as a file holds it.

    Attributes:
        values: (channels, depth, height, width) float32 in the file's own units.
        spacing: distance of voxels along depth, height and width; only their ratios count.
    """

    values: Floats
    spacing: tuple[float, float, float]


def checked(volume: Volume, name: str) -> Volume:
    """The volume, unless its spacing is none: nothing, or of another kind along one axis than along the others."""
    spacing = np.asarray(volume.spacing)
    if not (np.isfinite(spacing).all() and spacing.min() > 0 and spacing[1:].max() <= _FLATTEST * spacing[1:].min()):
        raise refuse(
            name, "voxels have a size", "distances above zero, alike", "none, or absurd ones", "Correct the header."
        )
    return volume


def to_unit(values: Floats, name: str, window: tuple[float, float] | None) -> Floats:
    """Values cut to ``window`` and scaled to [0, 1]; by their own percentiles if there is none."""
    if not np.isfinite(values).all():
        raise refuse(name, "stored values are finite", "finite numbers", "missing or infinite ones", "Export it again.")
    low, high = np.percentile(values, _TAILS) if window is None else window
    return np.clip((values - np.float32(low)) / np.float32(max(high - low, 1e-12)), 0, 1).astype(np.float32)


def library(name: str) -> Any:
    """A library that few cohorts need, imported when the first of its files is read."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise UsageError(f"images of this cohort need {name}, which is not installed: pip install {name}") from None


def foreign(name: str) -> DataError:
    """The refusal of a file that cannot be decoded."""
    return refuse(
        name,
        "volumes can be decoded",
        "a whole NIfTI, DICOM or .npy file",
        "damaged, truncated or foreign files, or a compression that is not read",
        "Export these volumes again, uncompressed, or leave their rows out with where.",
    )


def misshapen(name: str) -> DataError:
    """The refusal of a volume of the wrong shape."""
    return refuse(
        name,
        "volumes have three axes",
        "depth x height x width, with channels if any",
        "other shapes or kinds of numbers",
        "Store one volume per file.",
    )
