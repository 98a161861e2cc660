"""A small sound cohort on disk, of every modality, that tests break in one place or in several."""

# ruff: noqa: E501 (an inline table of TOML must stay on one line)

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

#: Every identifier and every image file holds this word: no message may.
SENTINEL = "SENTINEL"
N = 12

MANIFEST = """\
[cohort]
name = "Sound cohort"
patient_id = "id"
missing = ["NA"]
exclude = [{ reason = "prevalent disease", where = "prevalent == 1" }]

[record]
table = "record.csv"
variables = [
  { name = "age", label = "Age", type = "number", unit = "a", min = 18, max = 110 },
  { name = "sex", type = "category", levels = { 1 = "male", 2 = "female" } },
  { name = "smoker", type = "flag", modifiable = true },
]

[visits]
table = "visits.csv"
time = "day"
variables = [
  { name = "sbp", label = "Systolic pressure", type = "number", unit = "mm[Hg]", min = 50, max = 300, modifiable = true },
  { name = "stage", type = "category", levels = ["I", "II"] },
]

[[genomics]]
kind = "expression"
table = "genes.csv"
columns = ["g*"]

[[images]]
name = "scan"
index = "images.csv"
file = "file"
folder = "pictures"
time = "day"
size = [16, 16]

[[images]]
name = "slide"
form = "embedding"
archive = "slides.npz"

[outcome]
table = "outcome.csv"
name = "stroke"
time = "days"
event = "status"
codes = [1]
censored = [0]
competing = [{ name = "death", codes = [2] }]

[[actions]]
name = "Lower the pressure"
modifies = "sbp"
where = "sbp >= 140"
effect = { value = 0.8, lower = 0.7, upper = 0.9 }
citation = "Somebody, 2016"

[study]
horizons = ["1y"]
"""


def identifier(i: int) -> str:
    """The i-th patient, from 1."""
    return f"{SENTINEL}-{i:02d}"


def png(value: int = 100, size: tuple[int, int] = (20, 16), *, noise: bool = False) -> bytes:
    """A small grey picture of one value, or of noise."""
    stream = io.BytesIO()
    image = Image.new("L", size, value)
    if noise:
        image = Image.fromarray(np.random.default_rng(value).integers(0, 256, size[::-1], dtype=np.uint8))
    image.save(stream, "PNG")
    return stream.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    """An archive of arrays."""
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _sound() -> dict[str, str | bytes]:
    ids = [identifier(i) for i in range(1, N + 1)]
    files: dict[str, str | bytes] = {"cohort.toml": MANIFEST}
    rows = [f"{p},{40 + i},{1 + i % 2},{i % 2},{int(i == 11)}" for i, p in enumerate(ids)]
    files["record.csv"] = "\n".join(["id,age,sex,smoker,prevalent", *rows, ""])
    rows = [f"{p},{day},{120 + i + day / 100:g},{'I' if day else 'NA'}" for i, p in enumerate(ids) for day in (0, 100)]
    files["visits.csv"] = "\n".join(["id,day,sbp,stage", *rows, ""])
    rows = [f"{p},{i}.5,{-i},NA" for i, p in enumerate(ids[:10])]
    files["genes.csv"] = "\n".join(["id,g1,g2,g3", *rows, ""])
    rows = [f"{p},{day},{p}-{day}.png" for p in ids[:6] for day in (0, 50)]
    files["images.csv"] = "\n".join(["id,day,file", *rows, ""])
    for i, p in enumerate(ids[:6]):
        files |= {f"pictures/{p}-{day}.png": png(10 * i + day) for day in (0, 50)}
    files["slides.npz"] = npz(**{p: np.full(4, i, dtype=np.float32) for i, p in enumerate(ids[:8])})
    rows = [f"{p},{200 + 10 * i},{i % 3}" for i, p in enumerate(ids)]
    files["outcome.csv"] = "\n".join(["id,days,status", *rows, ""])
    return files


@dataclass
class Folder:
    """Files of a cohort, kept in memory until they are written."""

    files: dict[str, str | bytes] = field(default_factory=_sound)

    def edit(self, name: str, old: str, new: str) -> Folder:
        """Replace a text that occurs once."""
        text = self.files[name]
        assert isinstance(text, str)
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in {name}"
        self.files[name] = text.replace(old, new)
        return self

    def manifest(self, old: str, new: str) -> Folder:
        """Replace a text of the manifest that occurs once."""
        return self.edit("cohort.toml", old, new)

    def cell(self, name: str, row: int, column: str, value: str) -> Folder:
        """Set a cell of a csv by its data row (from 1)."""
        text = self.files[name]
        assert isinstance(text, str)
        lines = text.split("\n")
        cells = lines[row].split(",")
        cells[lines[0].split(",").index(column)] = value
        lines[row] = ",".join(cells)
        self.files[name] = "\n".join(lines)
        return self

    def append(self, name: str, line: str) -> Folder:
        """Add a line to a csv."""
        self.files[name] = f"{self.files[name]}{line}\n"
        return self

    def put(self, name: str, content: str | bytes) -> Folder:
        """Set a file."""
        self.files[name] = content
        return self

    def remove(self, name: str) -> Folder:
        """Take a file away."""
        del self.files[name]
        return self

    def write(self, path: Path) -> Path:
        """Write all files below ``path`` and return it."""
        for name, content in self.files.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
