"""Files inside one folder, read once, with their digest and within limits."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path

from osler.errors import DataError, Violation

__all__ = ["LIMITS", "Folder", "Limits", "Source", "gunzip", "refuse", "too_large"]


@dataclass(frozen=True)
class Limits:
    """How large an input may be before it is refused; raise a limit for data that are truly larger.

    Attributes:
        file_bytes: one file on disk, and one file after decompression.
        header_bytes: the header line of a table.
        columns, rows, cells: of one table or matrix.
        files: in one folder of slices.
        pixels: of one image or volume as stored.
        array_bytes: of one genomic or image block in memory.
    """

    file_bytes: int = 2 * 1024**3
    header_bytes: int = 16 * 1024**2
    columns: int = 200_000
    rows: int = 50_000_000
    cells: int = 500_000_000
    files: int = 10_000
    pixels: int = 64_000_000
    array_bytes: int = 8 * 1024**3


LIMITS = Limits()
_CHUNK = 16 * 1024**2


@dataclass(frozen=True)
class Source:
    """The content of one file: its name inside the folder, the bytes, and their SHA-256."""

    name: str
    data: bytes
    sha256: str


def refuse(table: str, rule: str, expected: str, found: str, remedy: str, **more: object) -> DataError:
    """A DataError of one violation, for readers."""
    return DataError([Violation(table=table, rule=rule, expected=expected, found=found, remedy=remedy, **more)])  # type: ignore[arg-type]


class Folder:
    """The only way to files: names are relative to ``root`` and may not lead out of it, not by links either."""

    def __init__(self, root: Path, limits: Limits = LIMITS) -> None:
        self.root = root.resolve()
        self.limits = limits

    def path(self, name: str, *, shown: str | None = None) -> Path:
        """The file of that name.

        Args:
            name: relative to the root.
            shown: what messages call it, when the name itself could tell who the patient is.

        Raises:
            DataError: it is absolute, leads out of the root, does not exist or is not a regular file.
        """
        label = name if shown is None else shown
        if not name or "\0" in name:
            raise refuse(
                label, "a file name must be readable", "a file name", "an empty or unprintable one", "Name a file."
            )
        joined = self.root / name
        try:
            path = joined.resolve()
        except (OSError, RuntimeError) as error:
            raise refuse(
                label, "a file must be reachable", "a file", f"{type(error).__name__}", "Check the name and its links."
            ) from None
        if Path(name).is_absolute() or not path.is_relative_to(self.root):
            raise refuse(
                label,
                "files lie inside the root folder",
                "a path relative to the root",
                "one that leads out of it",
                "Move the file into the root, or choose a root above it with --root.",
            )
        try:
            mode = path.stat().st_mode
        except OSError as error:
            remedy = (
                "Check the name"
                + (_near(joined) if shown is None else "")
                + "; --root or OSLER_DATA say where files lie."
            )
            raise refuse(label, "the file must exist", "a file", f"none ({type(error).__name__})", remedy) from None
        if not stat.S_ISREG(mode):
            raise refuse(label, "the file must be a regular file", "a file", "a folder or device", "Name a file.")
        return path

    def names(self, name: str, *, shown: str | None = None) -> list[str]:
        """The names of the files in the folder ``name``, in order; ``name`` alone when it is no folder.

        Raises:
            DataError: the folder is empty or holds too many files, or like ``path``.
        """
        below = (self.root / name).resolve() if name and "\0" not in name else self.root / "none"
        if Path(name).is_absolute() or not below.is_relative_to(self.root) or not below.is_dir():
            return [name]
        label = name if shown is None else shown
        found = sorted(entry.name for entry in below.iterdir() if entry.is_file() and not entry.name.startswith("."))
        if not found:
            raise refuse(label, "a folder of slices holds files", "files", "none", "Correct the name.")
        if len(found) > self.limits.files:
            raise too_large(label, "files in one folder", self.limits.files)
        return [f"{name}/{file}" for file in found]

    def read(self, name: str, *, shown: str | None = None) -> Source:
        """The whole file; raises DataError like ``path``, and when it is unreadable or too large."""
        path = self.path(name, shown=shown)
        label = name if shown is None else shown
        try:
            with path.open("rb") as stream:
                data = stream.read(self.limits.file_bytes + 1)
        except OSError as error:
            raise refuse(
                label, "the file must be readable", "a readable file", type(error).__name__, "Check its rights."
            ) from None
        if len(data) > self.limits.file_bytes:
            raise too_large(label, "bytes", self.limits.file_bytes)
        return Source(label, data, hashlib.sha256(data).hexdigest())


def too_large(name: str, unit: str, limit: int) -> DataError:
    """The refusal of an input past a limit."""
    return refuse(
        name,
        "files stay within limits",
        f"at most {limit:,} {unit}",
        "more",
        "Split it, or raise the limit (osler.readers.files.Limits).",
    )


def gunzip(source: Source, limits: Limits) -> Source:
    """``source`` decompressed (gzip, members one after another), the digest that of the compressed file.

    Raises:
        DataError: damaged, truncated or larger than ``limits.file_bytes``; a bomb is stopped at the limit.
    """
    parts: list[bytes] = []
    left = limits.file_bytes
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(source.data)) as stream:
            while part := stream.read(min(_CHUNK, left + 1)):
                left -= len(part)
                if left < 0:
                    raise too_large(source.name, "bytes after decompression", limits.file_bytes)
                parts.append(part)
    except (OSError, zlib.error, EOFError):
        raise refuse(
            source.name, "a compressed file must be whole", "gzip", "a damaged or truncated one", "Copy the file again."
        ) from None
    return Source(source.name, b"".join(parts), source.sha256)


def _near(path: Path) -> str:
    try:
        names = sorted(p.name for p in path.parent.iterdir())
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=2, cutoff=0.7)
    return f" (near it: {', '.join(near)})" if near else ""
