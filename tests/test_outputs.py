from __future__ import annotations

import json

import pandas as pd
import pytest

from osler.outputs import folder_name, write_frame, write_json, write_whole


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    assert write_whole(path, lambda part: part.write_text("old")) == 3

    def half(part):
        part.write_text("ne")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_whole(path, half)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_frame_that_there_is_no_more_leaves_no_file(tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.0], "b": ["x", "y"]})
    write_frame(tmp_path, "found", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "found.parquet"), frame)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "found.csv"), frame)
    for nothing in (None, pd.DataFrame()):
        write_frame(tmp_path, "found", nothing)
        assert not list(tmp_path.iterdir())
    write_frame(tmp_path, "found", frame, csv=False)
    assert [file.name for file in tmp_path.iterdir()] == ["found.parquet"]


def test_names_and_json(tmp_path):
    assert folder_name("PBC, death (1974)", "study") == "pbc-death-1974"
    assert folder_name("???", "study") == "study"
    write_json(tmp_path / "run.json", {"b": 1, "a": "\u00fc"})
    assert (tmp_path / "run.json").read_text(encoding="utf-8").startswith('{\n  "a": "\u00fc"')
    assert json.loads((tmp_path / "run.json").read_text(encoding="utf-8")) == {"a": "\u00fc", "b": 1}
