"""Image files: what the rows of an image index name, decoded one after another, and the weights that may read them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.encounters import Dated
from osler.cohort.findings import Findings
from osler.cohort.image_specs import ImagesSpec
from osler.cohort.reading import Reading
from osler.config import digest
from osler.errors import DataError, Violation
from osler.readers.arrays import parse_npy
from osler.readers.files import Folder, refuse, too_large
from osler.readers.imaging import decode_image, decode_volume

if TYPE_CHECKING:
    from osler.vision.frozen import FrozenEncoder

__all__ = ["load_encoder", "read_pixels", "read_vectors", "shown_as"]

#: Environment variable of the folder of weights, when they do not lie with the cohort.
_WEIGHTS = "OSLER_WEIGHTS"


def read_pixels(
    reading: Reading, spec: ImagesSpec, dated: Dated, files: NDArray[np.object_]
) -> NDArray[np.float32] | None:
    """(m, channels, *size) float32 in [0, 1] of m files; None after violations were noted."""
    shape = (len(files), spec.channels, *spec.size)
    most = reading.folder.limits.array_bytes
    if 4 * int(np.prod(shape, dtype=object)) > most:
        reading.findings.violations += too_large(dated.rows.table.name, "bytes of pixels in memory", most).violations
        return None
    pixels = np.zeros(shape, dtype=np.float32)

    def decode(i: int, contents: list[bytes], shown: str, folder: Folder) -> None:
        if len(spec.size) == 3:
            pixels[i] = decode_volume(contents, shown, spec.size, spec.channels, folder.limits, spec.window)
        else:
            pixels[i] = decode_image(contents[0], shown, spec.size, spec.channels, folder.limits, spec.window)

    return pixels if _each(reading, spec, dated, files, decode) else None


def read_vectors(
    reading: Reading, spec: ImagesSpec, dated: Dated, files: NDArray[np.object_]
) -> list[NDArray[np.generic]] | None:
    """The arrays of m .npy files; None after violations were noted."""
    vectors: list[NDArray[np.generic]] = []

    def decode(_: int, contents: list[bytes], shown: str, folder: Folder) -> None:
        vectors.append(parse_npy(contents[0], shown, folder.limits))

    return vectors if _each(reading, spec, dated, files, decode) else None


def load_encoder(reading: Reading, spec: ImagesSpec) -> FrozenEncoder:
    """The network trained elsewhere that the block names; raises DataError when its weights do not fit."""
    from osler.vision.frozen import FrozenEncoder  # torch: only cohorts that name weights wait for it

    assert spec.weights is not None
    assert spec.network is not None
    elsewhere = os.environ.get(_WEIGHTS)
    folder = Folder(Path(elsewhere), reading.folder.limits) if elsewhere else reading.folder
    source = folder.read(spec.weights)
    reading.sources[spec.weights] = source.sha256
    how: dict[str, Any] = {"normalise": spec.normalise, "first_stride": spec.first_stride, "folder": reading.vectors}
    return FrozenEncoder.load(spec.network, source.data, spec.weights, len(spec.size), **how)


def shown_as(spec: ImagesSpec, dated: Dated) -> str:
    """What messages call the files: a file's own name could tell who the patient is."""
    return f"{dated.rows.table.name} (files named in column {spec.file!r})"


def _each(
    reading: Reading,
    spec: ImagesSpec,
    dated: Dated,
    files: NDArray[np.object_],
    decode: Callable[[int, list[bytes], str, Folder], None],
) -> bool:
    """Read and decode every file, or every folder of slices; whether none was broken."""
    folder = reading.findings.attempt(lambda: _subfolder(reading.folder, spec.folder))
    if folder is None:
        return False
    shown = shown_as(spec, dated)
    series = spec.form == "pixels" and len(spec.size) == 3
    digests: dict[str, str] = {}
    broken = _Broken()
    for i, name in enumerate(files):
        with broken.noting(int(dated.rows.position[i])):
            named = folder.names(str(name), shown=shown) if series else [str(name)]
            sources = {one: folder.read(one, shown=shown) for one in named}
            digests |= {one: source.sha256 for one, source in sources.items()}
            decode(i, [source.data for source in sources.values()], shown, folder)
    if broken.tell(reading.findings):
        return False
    reading.sources[f"{spec.folder}/ ({len(digests)} files of {spec.name!r})"] = digest(digests)
    return True


def _subfolder(folder: Folder, name: str) -> Folder:
    """The folder of the images, which lies inside the root."""
    path = (folder.root / name).resolve()
    if Path(name).is_absolute() or not path.is_relative_to(folder.root) or not path.is_dir():
        raise refuse(
            name,
            "the folder of images lies inside the root",
            "a folder below the root",
            "none there",
            "Correct folder.",
        )
    return Folder(path, folder.limits)


class _Broken:
    """Violations of single files, told once for each kind with the rows that name the files."""

    def __init__(self) -> None:
        self._rows: dict[Violation, list[int]] = {}
        self._row = 0

    def noting(self, row: int) -> _Broken:
        self._row = row
        return self

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, DataError):
            return False
        for violation in error.violations:
            self._rows.setdefault(violation, []).append(self._row)
        return True

    def tell(self, findings: Findings) -> bool:
        """Whether there were any."""
        for v, rows in self._rows.items():
            findings.add(v.table, v.rule, v.expected, v.found, v.remedy, rows=rows)
        return bool(self._rows)
