"""Arrays: .npy and .npz without pickle, their declared shapes checked before any memory is taken."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from osler.errors import DataError
from osler.readers.files import Limits, refuse, too_large

__all__ = ["parse_npy", "parse_npz"]

_LONGEST_HEADER = 20_000
_REMEDY = "Save plain numbers with numpy.save(file, array, allow_pickle=False)."


def parse_npy(data: bytes, name: str, limits: Limits) -> NDArray[np.generic]:
    """The array of an .npy file: numbers or true/false of any shape, read-only.

    Args:
        data: content of the file.
        name: what messages call it.
        limits: ``cells`` bounds its size.

    Raises:
        DataError: not .npy, holds objects (pickle) or other than numbers, too large, or not as long as it says.
    """
    try:
        width = 2 if data[6:7] == b"\x01" else 4  # bytes that tell the length of the header, by version of the format
        start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
        shape, fortran, dtype = _header(data[: min(start, _LONGEST_HEADER)])
    except (ValueError, EOFError, OSError, SyntaxError, TypeError, UnicodeError, MemoryError, RecursionError):
        raise refuse(
            name, "an .npy file has a plain header", "a numpy array", "another file or a damaged one", _REMEDY
        ) from None
    if dtype.hasobject or dtype.kind not in "fiub":
        raise refuse(
            name, "arrays hold numbers", "numbers", "objects (pickle), text or records, which are never loaded", _REMEDY
        )
    if any(side < 0 for side in shape):
        raise refuse(name, "arrays have a shape", "sides of 0 or more", "a negative side", _REMEDY)
    count = math.prod(shape)
    if count > limits.cells:
        raise too_large(name, "cells", limits.cells)
    if len(data) - start != count * dtype.itemsize:
        raise refuse(
            name,
            "an .npy file is as long as it says",
            "a whole file",
            "a truncated or padded one",
            "Copy the file again.",
        )
    return np.frombuffer(data, dtype=dtype, offset=start).reshape(shape, order="F" if fortran else "C")


@lru_cache(maxsize=64)
def _header(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, Fortran order and type from the first bytes of a file; archives repeat the same header many times."""
    stream = io.BytesIO(head)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(stream)


def parse_npz(data: bytes, name: str, limits: Limits) -> dict[str, NDArray[np.generic]]:
    """The arrays of an .npz archive by key; bounded by ``limits.file_bytes`` in all after decompression.

    Raises:
        DataError: not a zip archive, damaged, encrypted, too large or a bomb, a key twice, or an array that
            ``parse_npy`` refuses (messages never show a key, which may be an identifier).
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > limits.rows or sum(member.file_size for member in members) > limits.file_bytes:
                raise too_large(name, "bytes after decompression", limits.file_bytes)
            for member in members:
                key = member.filename.removesuffix(".npy")
                if key in arrays:
                    raise refuse(
                        name,
                        "keys of an archive are unique",
                        "each key once",
                        "a key twice",
                        "Write the archive again.",
                    )
                arrays[key] = parse_npy(archive.read(member), f"{name} (a member)", limits)
    except DataError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        MemoryError,
    ):
        raise refuse(
            name, "an .npz archive is whole", "a zip archive of arrays", "a damaged or foreign one", _REMEDY
        ) from None
    return arrays
