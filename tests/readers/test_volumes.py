"""Voxels: units, orientation, spacing, slices in any order; hostile files refused."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest

from osler.errors import DataError
from osler.readers.files import Folder, Limits
from osler.readers.imaging import decode_image, decode_volume

LIMITS = Limits(pixels=200_000, file_bytes=5_000_000)
SAMPLES = (
    Path(os.environ.get("OSLER_DATA", Path(__file__).parents[3] / "shared" / "data")).parent / "interop" / "imaging"
)


def decode(*files, size=(8, 16, 16), channels=1, limits=LIMITS, window=None):
    return decode_volume(list(files), "index.csv", size, channels, limits, window)


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def nifti(values, affine=None) -> bytes:
    nibabel = pytest.importorskip("nibabel")
    return nibabel.Nifti1Image(values, np.diag([1.0, 1, 1, 1]) if affine is None else affine).to_bytes()


def dicom(values, place: float = 0.0, **tags) -> bytes:
    """One slice of 16-bit values in CT's manner."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset("x", {}, file_meta=meta, preamble=bytes(128))
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated = file.BitsStored = 16
    file.HighBit, file.PixelRepresentation = 15, 0
    file.RescaleSlope, file.RescaleIntercept = 1, -1000
    file.ImagePositionPatient, file.ImageOrientationPatient = [0, 0, place], [1, 0, 0, 0, 1, 0]
    file.PixelSpacing, file.SliceThickness = [1.0, 1.0], 5.0
    for name, value in tags.items():
        setattr(file, name, value)
    file.PixelData = values.astype("<u2").tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, file)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("dtype", "top"), [(np.uint8, 255), (np.uint16, 65_535), (np.float64, 1.0)], ids=["8 bits", "16 bits", "floats"]
)
def test_arrays_are_scaled_by_their_type(dtype, top):
    values = (np.linspace(0, 1, 8)[:, None, None] * np.full((1, 16, 16), top)).astype(dtype)
    found = decode(npy(values))
    assert (found.shape, found.dtype) == ((1, 8, 16, 16), np.float32)
    np.testing.assert_allclose(found[0, :, 3, 5], np.linspace(0, 1, 8), atol=1 / 255)


def test_a_window_cuts():
    values = np.linspace(-2000, 2000, 8)[:, None, None] * np.ones((1, 16, 16))
    found = decode(npy(values), window=(-1000, 1000))[0, :, 0, 0]
    np.testing.assert_allclose(found, np.clip((values[:, 0, 0] + 1000) / 2000, 0, 1), atol=1e-6)


def test_channels_last_and_repeated():
    values = np.random.default_rng(0).random((8, 16, 16, 3))
    np.testing.assert_allclose(decode(npy(values), channels=3), values.transpose(3, 0, 1, 2), atol=1e-6)
    grey = decode(npy(values[..., 0]), channels=3)
    assert grey.shape == (3, 8, 16, 16)
    np.testing.assert_array_equal(grey[0], grey[2])


def test_slices_keep_their_aspect_and_depth_fills():
    found = decode(npy(np.ones((4, 8, 16))))
    assert found[0, :, 8].min() == 1
    assert found[0, :, :3].max() == 0


def test_orientation_of_nifti_is_a_radiologists():
    """A voxel at the patient's left, back and head, stored in three orders of the axes."""
    affines = [
        np.diag([1.0, 1, 1, 1]),
        np.diag([-1.0, -1, 1, 1]),
        np.array([[0, 0, 1.0, 0], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]]),
    ]
    for affine in affines:
        values = np.zeros((16, 16, 16), np.float32)
        inverse = np.linalg.inv(affine[:3, :3])
        step = inverse @ np.array([-1.0, -1, 1])  # left (x is right), back (y is front), head
        at = tuple(slice(10, None) if s > 0 else slice(0, 6) for s in step)
        values[at] = 1
        found = decode(nifti(values, affine), size=(16, 16, 16), window=(0, 1))[0]
        assert found[10:, 10:, 10:].min() == 1
        assert found.sum() == pytest.approx(6**3)


def test_nifti_by_percentiles_compressed_and_anisotropic():
    values = np.random.default_rng(1).normal(500, 100, (16, 8, 10)).astype(np.int16)
    data = nifti(values, np.diag([1.0, 2, 3, 1]))
    found = decode(data, size=(10, 16, 16))
    assert found.min() == 0
    assert found.max() == 1
    assert (found[0].max(axis=(0, 2)) > 0).all()  # 8 rows of 2 mm are as high as 16 columns of 1 mm are wide
    np.testing.assert_array_equal(decode(gzip.compress(data), size=(10, 16, 16)), found)


def test_a_series_is_ordered_by_place_in_stated_units():
    slices = [np.full((16, 16), 1000 + 100 * i) for i in range(8)]
    files = [dicom(values, place=5.0 * i) for i, values in enumerate(slices)]
    shuffled = [files[i] for i in (3, 0, 7, 1, 6, 2, 5, 4)]
    found = decode(*shuffled, window=(0, 700))
    np.testing.assert_allclose(found[0, :, 4, 4], np.arange(8) / 7, atol=1e-6)


def test_white_may_be_low():
    values = np.arange(256).reshape(16, 16)
    data = dicom(values, PhotometricInterpretation="MONOCHROME1", BitsStored=8, HighBit=7, RescaleIntercept=0)
    found = decode_image(data, "index.csv", (16, 16), 1, LIMITS, (0, 255))
    np.testing.assert_allclose(found[0], 1 - values / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: [npy(np.ones((8, 8)))], "three axes"),
        (lambda: [npy(np.full((4, 8, 8), 3.0))], "State window"),
        (lambda: [npy(np.full((4, 8, 8), np.nan))], "State window"),
        (lambda: [npy(np.zeros((100, 100, 100), np.uint8))], "at most 200,000 voxels"),
        (lambda: [nifti(np.zeros((8, 8, 8, 2), np.float32))], "declared channels"),
        (lambda: [nifti(np.ones((16, 8, 8), np.float32))[:1500]], "whole NIfTI"),
        (lambda: [nifti(np.zeros((100, 100, 100), np.uint8))], "at most 200,000 voxels"),
        (lambda: [gzip.compress(bytes(6_000_000))], "after decompression"),
        (lambda: [b"SENTINEL" * 100], "whole NIfTI"),
        (lambda: [], "whole NIfTI"),
        (lambda: [nifti(np.full((8, 8, 8), np.inf, np.float32))], "finite"),
        (lambda: [nifti(np.ones((8, 8, 8), np.float32), np.diag([1.0, 1e-3, 1, 1]))], "voxels have a size"),
        (lambda: [dicom(np.ones((16, 16)))[:400]], "whole NIfTI"),
        (lambda: [dicom(np.ones((16, 16))), dicom(np.ones((8, 8)), 1.0)], "belong together"),
        (lambda: [dicom(np.ones((16, 16))), dicom(np.ones((16, 16)))], "own place"),
    ],
)
def test_what_is_no_sound_volume_is_refused(make, expected):
    with pytest.raises(DataError, match=expected) as refused:
        decode(*make())
    assert "SENTINEL" not in str(refused.value)


def test_a_folder_of_slices_lies_inside_the_root(tmp_path):
    (tmp_path / "series").mkdir()
    for i in (2, 0, 1):
        (tmp_path / "series" / f"{i}.dcm").write_bytes(bytes(i))
    (tmp_path / "series" / ".hidden").write_bytes(b"")
    folder = Folder(tmp_path, Limits(files=3))
    assert folder.names("series") == ["series/0.dcm", "series/1.dcm", "series/2.dcm"]
    assert folder.names("one.nii") == ["one.nii"]
    assert folder.names("..") == [".."]  # which reading refuses
    with pytest.raises(DataError, match="at most 2 files"):
        Folder(tmp_path, Limits(files=2)).names("series")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not here")
def test_real_files():
    def sample(name):
        return (SAMPLES / name).read_bytes()

    wide = Limits()
    for library in ("nibabel", "pydicom"):
        pytest.importorskip(library)
    for name in ("anatomical.nii", "someones_anatomy.nii.gz"):
        found = decode(sample(name), limits=wide)
        assert 0.2 < found.mean() < 0.7
    same = [decode(sample(f"MR_small{kind}.dcm"), limits=wide) for kind in ("", "_RLE", "_bigendian", "_implicit")]
    for other in same[1:]:
        np.testing.assert_array_equal(other, same[0])
    ct = decode_image(sample("CT_small.dcm"), "x", (64, 64), 1, wide, (-1000, 1000))
    assert 0.0 < ct.min() < ct.max() <= 1.0
    colour = decode_image(sample("examples_rgb_color.dcm"), "x", (48, 64), 3, wide)
    assert np.ptp(colour, axis=0).max() > 0.1
    for broken in ("MR_truncated.dcm", "functional.nii"):
        with pytest.raises(DataError):
            decode(sample(broken), limits=wide)
