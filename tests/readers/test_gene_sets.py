"""Gene sets in GMT format."""

from __future__ import annotations

import gzip

import pytest

from osler.errors import DataError
from osler.readers.files import Folder
from osler.readers.gene_sets import read_gene_sets


def _read(tmp_path, text, name="sets.gmt"):
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return read_gene_sets(Folder(tmp_path), name)[0]


def test_names_and_members(tmp_path):
    text = "HYPOXIA\thttp://x\tA\tB\tA\t\n\nREPAIR\t\t C\n"
    assert _read(tmp_path, text) == {"HYPOXIA": ("A", "B"), "REPAIR": ("C",)}
    assert _read(tmp_path, text, "sets.gmt.gz") == _read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no line"),
        ("HYPOXIA\thttp://x\n", "other lines"),
        ("\tx\tA\n", "other lines"),
        ("HYPOXIA A B\n", "other lines"),
        ("S\tx\tA\nS\tx\tB\n", "names again"),
    ],
)
def test_what_is_no_gmt_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        _read(tmp_path, text)


def test_other_bytes_are_refused(tmp_path):
    (tmp_path / "sets.gmt").write_bytes(b"S\tx\t\xff\xfe\n")
    with pytest.raises(DataError, match="UTF-8"):
        read_gene_sets(Folder(tmp_path), "sets.gmt")
