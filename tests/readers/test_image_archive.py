"""Image archives: what is sound is read to the pixel, what is not is refused by name, and no pickle is loaded."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest

from osler.errors import DataError
from osler.readers.files import LIMITS, Folder, Limits, Source
from osler.readers.image_archive import read_archive
from osler.readers.table import TableFormat
from osler.readers.tabular import read_table


def source(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    data = stream.getvalue()
    return Source("a.npz", data, hashlib.sha256(data).hexdigest())


def sound(shape=(8, 8), dtype=np.uint8):
    rng = np.random.default_rng(0)
    images = {p: rng.integers(0, 255, (n, *shape)).astype(dtype) for p, n in (("train", 3), ("test", 2))}
    labels = {"train_labels": np.array([[0], [1], [0]], dtype=np.uint8), "test_labels": np.array([1, 0])}
    return {**{f"{part}_images": values for part, values in images.items()}, **labels}


def test_an_archive_is_a_table_of_image_split_and_label(tmp_path):
    (tmp_path / "a.npz").write_bytes(source(**sound()).data)
    table = read_table(Folder(tmp_path), "a.npz", TableFormat())
    assert table.columns == ("image", "split", "label")
    assert list(table.texts("image")) == ["train-00001", "train-00002", "train-00003", "test-00001", "test-00002"]
    assert list(table.texts("split")) == ["train"] * 3 + ["test"] * 2
    assert list(table.texts("label")) == ["0", "1", "0", "1", "0"]


def test_pixels_are_those_stored():
    arrays = sound()
    archive = read_archive(source(**arrays), LIMITS)
    pixels = archive.pixels((8, 8), 1, LIMITS, np.array([4, 0]))
    assert pixels.shape == (2, 1, 8, 8)
    np.testing.assert_array_equal(pixels[0, 0], arrays["test_images"][1].astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(pixels[1, 0], arrays["train_images"][0].astype(np.float32) / np.float32(255))


def test_colour_becomes_grey_by_luminance_and_grey_colour_by_repetition():
    colour = sound((8, 8, 3))
    grey = read_archive(source(**colour), LIMITS).pixels((8, 8), 1, LIMITS, np.array([0]))
    expected = colour["train_images"][0].astype(float) @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(grey[0, 0], expected, atol=1e-6)
    three = read_archive(source(**sound()), LIMITS).pixels((8, 8), 3, LIMITS, np.array([0]))
    assert np.array_equal(three[0, 0], three[0, 2])
    kept = read_archive(source(**colour), LIMITS).pixels((8, 8), 3, LIMITS, np.array([0]))
    np.testing.assert_allclose(kept[0, 1], colour["train_images"][0][:, :, 1] / 255, atol=1e-7)


def test_other_sizes_are_letterboxed():
    archive = read_archive(source(**sound((8, 16))), LIMITS)
    pixels = archive.pixels((16, 16), 1, LIMITS, np.array([0]))
    assert pixels.shape == (1, 1, 16, 16)
    assert pixels[0, 0, :4].max() == 0
    assert pixels[0, 0, 4:12].max() > 0


def without(key):
    return {name: array for name, array in sound().items() if name != key}


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        (without("test_labels"), "labels of each part"),
        ({"x": np.zeros(3)}, "labels of each part"),
        ({**sound(), "extra": np.zeros(3)}, "labels of each part"),
        ({**sound(), "test_labels": np.array([0, 1, 1])}, "every image has a label"),
        ({**sound(), "test_labels": np.array([[0, 1], [1, 1]])}, "class codes"),
        ({**sound(), "test_labels": np.array([0.5, 1.0])}, "class codes"),
        ({**sound(), "test_labels": np.array([-1, 1])}, "class codes"),
        ({**sound(), "test_images": np.zeros((2, 8, 8, 8, 8), np.uint8)}, "grey or colour"),
        ({**sound(), "test_images": np.zeros((2, 9, 8), np.uint8)}, "one shape"),
        ({**sound(), "test_labels": np.array([None, 1], dtype=object)}, "pickle"),
    ],
)
def test_what_is_no_archive_is_refused(arrays, what):
    with pytest.raises(DataError, match=what):
        read_archive(source(**arrays), LIMITS)


def test_values_out_of_range_and_too_many_pixels_are_refused():
    arrays = sound(dtype=np.float32)
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        read_archive(source(**arrays), LIMITS).pixels((8, 8), 1, LIMITS, np.array([0]))
    small = Limits(array_bytes=100)
    with pytest.raises(DataError, match="limits"):
        read_archive(source(**sound()), small).pixels((8, 8), 1, small, np.array([0]))
    with pytest.raises(DataError, match="limits"):
        read_archive(source(**sound()), Limits(pixels=10))
