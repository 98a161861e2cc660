"""Manifests: what may be declared, and how mistakes are told."""

# ruff: noqa: E501 (an inline table of TOML must stay on one line)

from __future__ import annotations

import pytest

from folders import MANIFEST
from osler.cohort.manifest import ActionSpec, Manifest, read_manifest
from osler.errors import DataError, UsageError
from osler.readers.codes import canonical


def read(tmp_path, text):
    (tmp_path / "cohort.toml").write_text(text)
    return read_manifest(tmp_path)


def mistakes(tmp_path, text):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    return caught.value.violations


SMALL = '[cohort]\nname = "x"\npatient_id = "id"\n[record]\ntable = "t.csv"\n'


def test_sound(tmp_path):
    manifest = read(tmp_path, MANIFEST)
    assert isinstance(manifest, Manifest)
    assert manifest.record[0].variables[1].levels == {"1": "male", "2": "female"}
    assert manifest.visits[0].before_zero == "error"
    assert [images.name for images in manifest.images] == ["scan", "slide"]
    assert manifest.outcome.competing[0].codes == ("2",)
    assert isinstance(manifest.actions[0], ActionSpec)
    assert manifest.study.folds == 5


def test_by_folder_or_by_file(tmp_path):
    assert read(tmp_path, SMALL) == read_manifest(tmp_path / "cohort.toml")
    with pytest.raises(UsageError, match="no cohort here"):
        read_manifest(tmp_path / "elsewhere")


def test_blocks_may_be_given_once_or_several_times(tmp_path):
    several = SMALL.replace("[record]", "[[record]]") + '[[record]]\nname = "blood"\ntable = "b.csv"\n'
    assert [block.name for block in read(tmp_path, several).record] == ["record", "blood"]


def test_codes_of_any_kind_become_text(tmp_path):
    text = (
        SMALL + 'variables = [{ name = "v", type = "category", levels = ["a", 1, 2.0], missing = [9, true, 1.50] }]\n'
    )
    (variable,) = read(tmp_path, text).record[0].variables
    assert variable.levels == {"a": "a", "1": "1", "2": "2"}
    assert variable.missing == ("9", "true", "1.5")


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("1.", "1"),
        ("-2.50", "-2.5"),
        ("0.0", "0"),
        ("01", "01"),
        ("01.0", "01.0"),
        ("1e0", "1e0"),
        ("V600E", "V600E"),
    ],
)
def test_codes_are_compared_in_one_form(code, form):
    assert canonical(code) == form


def test_durations_instead_of_a_policy(tmp_path):
    text = SMALL + '[visits]\ntable = "v.csv"\ntime = "t"\nmissing_time = "2wk"\n'
    assert read(tmp_path, text).visits[0].missing_time == 14.0
    (found,) = mistakes(tmp_path, text.replace("2wk", "later"))[:1]
    assert found.column == "visits.1.missing_time"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[cohort\nname = "x"\n', 1),
        ("[cohort]\nname = x\n", 2),
        ('[cohort]\nname = "x"\nname = "y"\n', 3),
        ("[cohort]\n\n\nlevels = { a = 1\n", 4),
    ],
)
def test_toml_mistakes_name_the_line(tmp_path, text, line):
    (found,) = mistakes(tmp_path, text)
    assert f"line {line}" in found.found


def test_manifest_that_is_none(tmp_path):
    (tmp_path / "cohort.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="other bytes in line 1"):
        read_manifest(tmp_path)
    assert mistakes(tmp_path, "a = " + "[" * 5000)
    assert {v.found for v in mistakes(tmp_path, "")} == {"none"}


def test_misspelt_keys_deep_inside(tmp_path):
    text = (
        SMALL
        + 'variables = [{ name = "v", type = "number", minimum = 1 }]\n[outcome]\nname = "d"\ntime = "t"\nevent = "e"\ncompeting = [{ name = "c", code = [1] }]\n'
    )
    found = {v.column: v.remedy for v in mistakes(tmp_path, text)}
    assert set(found) == {"record.1.variables.1.minimum", "outcome.competing.1.code"}
    assert "min" in found["record.1.variables.1.minimum"]
    assert "codes" in found["outcome.competing.1.code"]


def test_keys_of_no_likeness_list_what_there_is(tmp_path):
    (found,) = mistakes(tmp_path, SMALL + "zzz = 1\n")
    assert "The keys here are" in found.remedy
    assert "patient_id" in found.remedy


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ('variables = [{ name = "a", type = "flag", levels = ["x"] }]', "levels belong to"),
        ('variables = [{ name = "a", type = "category", levels = ["x"], codes = { x = 1 } }]', "levels, not codes"),
        ('variables = [{ name = "a", type = "flag", codes = { Y = 2 } }]', "stand for 0 or 1"),
        ('variables = [{ name = "a", type = "flag", min = 0 }]', "belong to type"),
        ('variables = [{ name = "a", type = "number", factor = 0 }]', "factor"),
        ('variables = [{ name = "a", type = "number", min = nan }]', "finite"),
        ('variables = [{ name = "time", type = "number" }]', "names are free"),
        ('sep = ";;"', "at most 1"),
        ('where = "a ="', "unexpected '='"),
        ('[visits]\ntable = "v"', "long visits need time"),
        (
            '[visits]\ntable = "v"\ntime = "t"\nvariables = [{ name = "a", type = "flag", columns = [{ column = "x", at = "0d" }] }]',
            "layout",
        ),
        ('[visits]\ntable = "v"\nlayout = "wide"\nvariables = [{ name = "a", type = "flag" }]', "lists its columns"),
        ('[visits]\ntable = "v"\nlayout = "wide"\ntime = "t"', "have no time"),
        (
            '[visits]\ntable = "v"\nlayout = "wide"\nvariables = [{ name = "a", type = "flag", columns = [{ column = "x", at = "7d" }, { column = "y", at = "1wk" }] }]',
            "two columns at one time",
        ),
        ('[genomics]\nkind = "expression"', "a table, or a matrix"),
        ('[genomics]\nkind = "expression"\nmatrix = "m.npy"', "needs patients"),
        ('[genomics]\nkind = "expression"\ntable = "g.csv"\nwildtype = [0]', "wildtype belongs to"),
        ('[images]\nindex = "i.csv"', "pixels need index"),
        ('[images]\nindex = "i.csv"\nfile = "f"\nsize = [4, 4]', "from 8 to 1024"),
        ('[images]\nform = "embedding"', "archive"),
        ('[images]\nform = "embedding"\nindex = "i.csv"', "columns"),
        ('[outcome]\nname = "d"\nevent = "e"', "needs time"),
        ('[outcome]\nkind = "fixed"\nname = "d"\nevent = "e"', "needs within"),
        ('[outcome]\nkind = "fixed"\nname = "d"\nevent = "e"\nwithin = "0d"', "longer than nothing"),
        ('[outcome]\nname = "d"\ntime = "t"\nevent = "e"\npatient_id = "p"', "belong to its own table"),
        (
            '[outcome]\nname = "d"\ntime = "t"\nevent = "e"\ncompeting = [{ name = "c", time = "u" }]',
            "own event column",
        ),
        (
            '[outcome]\nname = "d"\ntime = "t"\nevent = "e"\ncompeting = [{ name = "d", codes = [2] }]',
            "event is declared once",
        ),
        ('[outcome]\nname = "d"\ntime = "t"\nevent = "e"\ncensored = [1]', "code is declared once"),
    ],
)
def test_rules_of_the_blocks(tmp_path, block, said):
    found = mistakes(tmp_path, SMALL + block + "\n")
    assert any(said in str(violation) for violation in found), "\n".join(map(str, found))


def test_a_wrong_entry_is_not_also_a_short_list(tmp_path):
    found = mistakes(tmp_path, SMALL.replace("table", "tabel"))
    assert {v.column for v in found} == {"record.1.table", "record.1.tabel"}


def test_values_of_the_manifest_are_not_echoed(tmp_path):
    found = mistakes(tmp_path, SMALL.replace('"t.csv"', "12345") + 'variables = "SENTINEL"\n')
    assert not any("12345" in str(v) or "SENTINEL" in str(v) for v in found)
