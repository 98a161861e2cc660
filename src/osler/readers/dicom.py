"""DICOM: single images and series of slices, in the units that the scanner states."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.errors import DataError
from osler.readers.files import Limits, refuse, too_large
from osler.readers.volume import BROKEN, Volume, checked, foreign, library

__all__ = ["is_dicom", "read_dicom"]

Floats = NDArray[np.float32]


def is_dicom(data: bytes) -> bool:
    """Whether the file says that it is DICOM."""
    return data[128:132] == b"DICM"


def read_dicom(files: Sequence[bytes], name: str, limits: Limits) -> Volume:
    """The slices of one series, ordered along their normal, or the frames of one file; in the units of its rescaling.

    Slices stay as they were acquired (axial, sagittal, coronal); colour stays colour.

    Raises:
        DataError: a file is broken, compressed in a way that is not read, or too large; slices do not belong together.
        UsageError: pydicom is not installed.
    """
    slices = [_dicom_slices(data, name, limits) for data in files]
    if sum(part.values.shape[0] * part.values.shape[1] * part.values.shape[2] for part in slices) > limits.pixels:
        raise too_large(name, "voxels in one volume", limits.pixels)
    if len({part.values.shape[1:] for part in slices}) > 1 or len({part.spacing for part in slices}) > 1:
        raise refuse(
            name,
            "the slices of a series belong together",
            "slices of one size and spacing",
            "slices that differ",
            "Keep one series in a folder.",
        )
    slices.sort(key=lambda part: part.place)
    places = np.array([part.place for part in slices])
    gaps = np.diff(places)
    if len(slices) > 1 and gaps.min() <= 0:
        raise refuse(
            name, "each slice has its own place", "distinct positions", "slices at one place", "Keep one series."
        )
    values = np.concatenate([part.values for part in slices])
    colour = values.ndim == 4
    thick = float(np.median(gaps)) if len(gaps) else slices[0].thick
    planes = values.transpose(3, 0, 1, 2) if colour else values[None]
    return checked(Volume(np.ascontiguousarray(planes), (thick, *slices[0].spacing)), name)


@dataclass(frozen=True, eq=False)
class _Slices:
    values: Floats  # (frames, height, width) or (frames, height, width, 3)
    spacing: tuple[float, float]
    place: float
    thick: float


def _dicom_slices(data: bytes, name: str, limits: Limits) -> _Slices:
    pydicom = library("pydicom")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = pydicom.dcmread(io.BytesIO(data))
            frames = int(file.get("NumberOfFrames", 1) or 1)
            if int(file.Rows) * int(file.Columns) * frames > limits.pixels:
                raise too_large(name, "pixels in one image", limits.pixels)
            stored = file.pixel_array
            colour = int(file.get("SamplesPerPixel", 1)) == 3
            values = np.asarray(stored, dtype=np.float32)
            if not colour:
                if file.PhotometricInterpretation == "MONOCHROME1":  # low is white
                    values = 2.0 ** int(file.BitsStored) - 1 - values
                values = values * float(file.get("RescaleSlope", 1)) + float(file.get("RescaleIntercept", 0))
            values = values if values.ndim == 3 + colour else values[None]
            row, column = (float(step) for step in file.get("PixelSpacing", (1, 1)))
            across = np.asarray(file.get("ImageOrientationPatient", (1, 0, 0, 0, 1, 0)), dtype=float)
            number = int(file.get("InstanceNumber", 0) or 0)
            corner = np.asarray(file.get("ImagePositionPatient", (0, 0, number)), dtype=float)
            place = float(np.cross(across[:3], across[3:]) @ corner)
            thick = float(file.get("SliceThickness", 1) or 1)
    except DataError:
        raise
    except (pydicom.errors.InvalidDicomError, NotImplementedError, AttributeError, RuntimeError, *BROKEN):
        raise foreign(name) from None
    return _Slices(values.astype(np.float32), (row, column), place, thick)
