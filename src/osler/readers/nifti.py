"""NIfTI: volumes with the place and direction of every voxel, brought into one orientation."""

from __future__ import annotations

import warnings
from math import prod

import numpy as np

from osler.errors import DataError
from osler.readers.files import Limits, Source, gunzip, too_large
from osler.readers.volume import BROKEN, Volume, checked, foreign, library, misshapen

__all__ = ["is_nifti", "read_nifti"]

_SIZES = (348, 540)  # length of the header of NIfTI-1 and NIfTI-2, its first number


def is_nifti(data: bytes) -> bool:
    """Whether the file begins as NIfTI does, plain or compressed."""
    return data[:2] == b"\x1f\x8b" or bool(_first_numbers(data) & set(_SIZES))


def read_nifti(data: bytes, name: str, limits: Limits) -> Volume:
    """NIfTI-1 or -2, plain or gzipped.

    Axes run as a radiologist looks at them: depth from feet to head, height from front to back, width from the
    patient's right to the left (DICOM's patient coordinates).

    Raises:
        DataError: not such a file, damaged, truncated, of other than three axes (or four), or larger than the limit.
        UsageError: nibabel is not installed.
    """
    nibabel = library("nibabel")
    if data[:2] == b"\x1f\x8b":
        data = gunzip(Source(name, data, ""), limits).data
    if not is_nifti(data):
        raise foreign(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = nibabel.Nifti1Image if 348 in _first_numbers(data) else nibabel.Nifti2Image
            image = kind.from_bytes(data)
            shape = tuple(int(side) for side in image.shape)
            if len(shape) not in (3, 4) or min(shape) < 1:
                raise misshapen(name)
            if prod(shape) > limits.pixels:
                raise too_large(name, "voxels in one volume", limits.pixels)
            if np.dtype(image.get_data_dtype()).kind not in "iuf":
                raise misshapen(name)
            turn = nibabel.orientations.ornt_transform(
                nibabel.orientations.io_orientation(image.affine), nibabel.orientations.axcodes2ornt("LPS")
            )
            image = image.as_reoriented(turn)
            values = np.asarray(image.dataobj, dtype=np.float32)
            spacing = tuple(float(zoom) for zoom in image.header.get_zooms()[2::-1])
    except DataError:
        raise
    except (
        nibabel.spatialimages.HeaderDataError,
        nibabel.orientations.OrientationError,
        nibabel.filebasedimages.ImageFileError,
        *BROKEN,
    ):
        raise foreign(name) from None
    values = values[..., None] if values.ndim == 3 else values
    volume = Volume(np.ascontiguousarray(values.transpose(3, 2, 1, 0)), spacing)  # type: ignore[arg-type]
    return checked(volume, name)


def _first_numbers(data: bytes) -> set[int]:
    return {int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")}
