"""Arrays: no pickle, no bomb, no lie about their length."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest

from osler.errors import DataError
from osler.readers.arrays import parse_npy, parse_npz
from osler.readers.files import Limits

LIMITS = Limits(cells=10_000, file_bytes=100_000)


class Evil:
    def __reduce__(self):
        return (print, ("SENTINEL executed",))


def npy(array, **kwargs):
    stream = io.BytesIO()
    np.save(stream, array, **kwargs)
    return stream.getvalue()


def npz(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(3.0),
        np.array([True]),
        np.empty((0, 4), ">f4"),
    ],
)
def test_round_trip(array):
    found = parse_npy(npy(array), "a.npy", LIMITS)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"\x93NUMPY",
        npy(np.arange(9))[:-1],
        npy(np.arange(9)) + b"x",
        pickle.dumps([1]),
        npy(np.array(["a"])),
        npy(np.array([(1, 2.0)], dtype="i4,f4")),
        npy(np.array(["2020-01-01"], dtype="M8[D]")),
        b"\x93NUMPY\x01\x00\x10\x00{'descr': evil}\n ",
        b"\x93NUMPY\x09\x00\x10\x00" + b" " * 40,
    ],
)
def test_damaged_or_foreign(data):
    with pytest.raises(DataError):
        parse_npy(data, "a.npy", LIMITS)


def test_pickle_is_never_loaded(capsys):
    with pytest.raises(DataError, match="never loaded"):
        parse_npy(npy(np.array([Evil()], dtype=object), allow_pickle=True), "a.npy", LIMITS)
    with pytest.raises(DataError, match="never loaded"):
        parse_npz(npz(**{"p1.npy": npy(np.array([Evil()], dtype=object), allow_pickle=True)}), "a.npz", LIMITS)
    with pytest.raises(DataError):
        parse_npz(npz(**{"p1.npy": pickle.dumps(Evil())}), "a.npz", LIMITS)
    assert "SENTINEL" not in capsys.readouterr().out


def test_a_header_that_claims_the_world_takes_no_memory():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(DataError, match="10,000 cells"):
        parse_npy(data, "a.npy", LIMITS)


def test_negative_shape():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -8), }"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)
    with pytest.raises(DataError):
        parse_npy(data, "a.npy", LIMITS)


def test_archive_by_key():
    stream = io.BytesIO()
    np.savez(stream, **{"001": np.arange(3.0), "002": np.ones(3)})
    found = parse_npz(stream.getvalue(), "a.npz", LIMITS)
    assert list(found) == ["001", "002"]
    np.testing.assert_array_equal(found["001"], np.arange(3.0))


def test_archive_bomb_and_damage():
    with pytest.raises(DataError, match="after decompression"):
        parse_npz(npz(**{"a.npy": bytes(5_000_000)}), "a.npz", LIMITS)
    good = npz(**{"SENTINEL.npy": npy(np.arange(50))})
    for data in (
        b"",
        b"PK\x03\x04",
        good[:-30],
        good.replace(good[60:70], b"0123456789"),
        npz(**{"SENTINEL.txt": b"hello"}),
    ):
        with pytest.raises(DataError) as caught:
            parse_npz(data, "a.npz", LIMITS)
        assert "SENTINEL" not in str(caught.value)


def test_archive_with_a_key_twice():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("SENTINEL.npy", npy(np.arange(3)))
        archive.writestr("SENTINEL", npy(np.arange(3)))
    with pytest.raises(DataError, match="a key twice") as caught:
        parse_npz(stream.getvalue(), "a.npz", LIMITS)
    assert "SENTINEL" not in str(caught.value)
