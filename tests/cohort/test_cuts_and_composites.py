"""A category read from a number (cuts), and an event told in several pairs of columns (also)."""

from __future__ import annotations

import pytest

from folders import Folder
from osler.cohort.manifest import read_manifest
from osler.cohort.tables import read_cohort
from osler.errors import DataError

HEAD = """\
[cohort]
name = "Cuts"
patient_id = "id"

[record]
table = "record.csv"
variables = [{ name = "size", type = "category", cuts = [20, 50], levels = ["small", "middle", "large"]%s }]
"""
OUTCOME = """
[outcome]
name = "recurrence or death"
time = "rtime"
event = "recur"
also = [{ time = "dtime", event = "death" }]
competing = [{ name = "emigration", time = "etime", event = "gone" }]
"""


def cohort(tmp_path, rows, *, more="", outcome="", header="id,size"):
    (tmp_path / "cohort.toml").write_text(HEAD % more + outcome)
    (tmp_path / "record.csv").write_text("\n".join([header, *rows, ""]))
    return read_cohort(tmp_path)


def test_a_number_at_a_cut_belongs_below(tmp_path):
    sizes = ["5", "20", "20.1", "50", "51", ""]
    found = cohort(tmp_path, [f"p{i},{size}" for i, size in enumerate(sizes)])
    assert found.record["size"].tolist()[:5] == ["small", "small", "middle", "middle", "large"]
    assert found.record["size"].isna().tolist() == [False] * 5 + [True]
    variable = found.variables["size"]
    assert (variable.type, variable.levels) == ("category", ("small", "middle", "large"))
    assert variable.minimum is None


def test_cuts_know_unit_and_plausible_range(tmp_path):
    found = cohort(tmp_path, ["p0,1.9", "p1,2.1"], more=', factor = 10, unit = "mm"')
    assert found.record["size"].tolist() == ["small", "middle"]
    with pytest.raises(DataError, match="values are plausible"):
        cohort(tmp_path, ["p0,-3"], more=", min = 0")
    with pytest.raises(DataError, match="numbers are numbers"):
        cohort(tmp_path, ["p0,big"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cuts = [20, 50]", "cuts = [50, 20]", "cuts increase"),
        ("cuts = [20, 50]", "cuts = [20]", "one level more than cuts"),
        ('type = "category"', 'type = "number"', "levels belong to type"),
        ("cuts = [20, 50], ", "min = 1, ", "or to a category with cuts"),
    ],
)
def test_cuts_that_do_not_fit_their_levels_are_refused(tmp_path, old, new, message):
    (tmp_path / "cohort.toml").write_text((HEAD % "").replace(old, new))
    with pytest.raises(DataError, match=message):
        read_manifest(tmp_path)


ROWS = {
    "recurrence first": ("100,1,300,1,300,0", 100, 1),
    "death without recurrence": ("200,0,200,1,200,0", 200, 1),
    "death after the end of looking": ("200,0,250,1,200,0", 200, 0),
    "death before the end of looking": ("200,0,150,1,200,0", 150, 1),
    "neither": ("200,0,300,0,300,0", 200, 0),
    "emigration first": ("200,0,300,1,150,1", 150, 2),
    "death and emigration at once": ("200,0,150,1,150,1", 150, 1),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_earliest_of_several_columns_counts(tmp_path, name):
    cells, time, event = ROWS[name]
    found = cohort(
        tmp_path, [f"p0,10,{cells}"], outcome=OUTCOME, header="id,size,rtime,recur,dtime,death,etime,gone"
    ).outcome
    assert (found.time[0], found.event[0]) == (time, event)
    assert found.causes == ("recurrence or death", "emigration")


def test_columns_of_a_composite_are_no_predictors(tmp_path):
    leak = (HEAD % "").replace('[{ name = "size"', '[{ name = "dtime", type = "number" }, { name = "size"')
    (tmp_path / "cohort.toml").write_text(leak + OUTCOME)
    with pytest.raises(DataError, match="the outcome is no predictor"):
        read_manifest(tmp_path)


def test_codes_of_a_composite_are_declared(tmp_path):
    folder = Folder()
    folder.edit("outcome.csv", "id,days,status", "id,days,status,gone").manifest(
        "censored = [0]", 'censored = [0]\nalso = [{ event = "gone", codes = ["yes"], censored = ["no"] }]'
    )
    lines = folder.files["outcome.csv"].split("\n")
    lines[1:-1] = [f"{line},{'maybe' if i == 0 else 'no'}" for i, line in enumerate(lines[1:-1])]
    folder.files["outcome.csv"] = "\n".join(lines)
    folder.write(tmp_path)
    with pytest.raises(DataError, match="column 'gone': event codes are declared"):
        read_cohort(tmp_path)
    text = (tmp_path / "cohort.toml").read_text()
    (tmp_path / "cohort.toml").write_text(text.replace('censored = ["no"]', 'censored = ["yes"]'))
    with pytest.raises(DataError, match="a code means one thing"):
        read_manifest(tmp_path)
    fixed = text.replace('name = "stroke"\ntime = "days"', 'name = "stroke"\nkind = "fixed"\nwithin = "1y"')
    (tmp_path / "cohort.toml").write_text(fixed)
    with pytest.raises(DataError, match="also belongs to kind"):
        read_manifest(tmp_path)
