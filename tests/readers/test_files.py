"""The folder is the only way to files, and nothing leads out of it."""

from __future__ import annotations

import gzip
import os

import pytest

from osler.errors import DataError
from osler.readers.files import Folder, Limits, Source, gunzip

SMALL = Limits(file_bytes=1000)


def rules(caught):
    return [violation.rule for violation in caught.value.violations]


def test_reads_with_digest(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"abc")
    source = Folder(tmp_path).read("a.csv")
    assert (source.name, source.data) == ("a.csv", b"abc")
    assert source.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_inside_through_a_folder_and_back(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.csv").write_bytes(b"abc")
    assert Folder(tmp_path).read("sub/../a.csv").data == b"abc"


def test_a_link_that_stays_inside_is_followed(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"abc")
    (tmp_path / "b.csv").symlink_to("a.csv")
    assert Folder(tmp_path).read("b.csv").data == b"abc"


@pytest.mark.parametrize("name", ["../secret.csv", "sub/../../secret.csv", "link.csv", "away/secret.csv", "absolute"])
def test_leading_out_is_refused(tmp_path, name):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    secret = tmp_path / "secret.csv"
    secret.write_text("id\n1\n")
    (root / "link.csv").symlink_to(secret)
    (root / "away").symlink_to(tmp_path)
    with pytest.raises(DataError) as caught:
        Folder(root).read(str(secret) if name == "absolute" else name)
    assert rules(caught) == ["files lie inside the root folder"]


def test_a_folder_whose_name_begins_like_the_root_is_outside(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "a.csv").write_text("x")
    with pytest.raises(DataError, match="leads out"):
        Folder(tmp_path / "root").read("../root2/a.csv")


@pytest.mark.parametrize("name", ["", "a\0.csv"])
def test_names_that_are_none(tmp_path, name):
    with pytest.raises(DataError, match="name must be readable"):
        Folder(tmp_path).read(name)


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(DataError):
        Folder(tmp_path).read("a" * 5000)


def test_missing_file_and_what_is_near(tmp_path):
    (tmp_path / "patients.csv").write_text("x")
    with pytest.raises(DataError, match=r"near it: patients\.csv"):
        Folder(tmp_path).read("patient.csv")


def test_missing_file_that_names_a_patient_is_not_told(tmp_path):
    (tmp_path / "SENTINEL1.png").write_text("x")
    with pytest.raises(DataError) as caught:
        Folder(tmp_path).read("SENTINEL2.png", shown="index.csv")
    assert "SENTINEL" not in str(caught.value)


def test_folders_pipes_and_circles(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    for name in ("folder.csv", "pipe.csv", "circle.csv"):
        with pytest.raises(DataError):
            Folder(tmp_path).read(name)


def test_large_file(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x" * 1001)
    with pytest.raises(DataError, match="at most 1,000 bytes"):
        Folder(tmp_path, SMALL).read("a.csv")


def test_gunzip_keeps_the_digest_of_the_file_and_reads_all_members():
    data = gzip.compress(b"ab", mtime=0) + gzip.compress(b"cd", mtime=0)
    assert gunzip(Source("a", data, "digest"), SMALL) == Source("a", b"abcd", "digest")


def test_gzip_bomb_stops_at_the_limit():
    with pytest.raises(DataError, match="after decompression"):
        gunzip(Source("a", gzip.compress(bytes(50_000_000)), ""), SMALL)


@pytest.mark.parametrize(
    "data", [b"plain text", gzip.compress(b"x" * 500, mtime=0)[:-9], gzip.compress(b"x" * 500, mtime=0)[:15]]
)
def test_damaged_gzip(data):
    with pytest.raises(DataError, match="damaged or truncated"):
        gunzip(Source("a", data, ""), SMALL)
