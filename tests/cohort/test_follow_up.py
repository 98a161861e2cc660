"""Outcomes in every form in which tables hold them."""

# ruff: noqa: E501 (an inline table of TOML must stay on one line)

from __future__ import annotations

import numpy as np
import pytest

from folders import Folder
from osler.cohort.tables import read_cohort
from osler.errors import DataError

HEAD = '[cohort]\nname = "x"\npatient_id = "id"\n{unit}[record]\ntable = "t.csv"\n{where}variables = [{{ name = "age", type = "number" }}]\n[outcome]\n'


def follow_up(tmp_path, outcome, rows, unit="", where="", **files):
    """Times and events by identifier."""
    folder = Folder({"cohort.toml": HEAD.format(unit=unit, where=where) + outcome, "t.csv": "\n".join(rows)})
    for name, content in files.items():
        folder.put(f"{name}.csv", "\n".join(content))
    cohort = read_cohort(folder.write(tmp_path))
    times = cohort.outcome.time.round(6).tolist()
    found = dict(zip(cohort.patients, zip(times, cohort.outcome.event.tolist(), strict=True), strict=True))
    return found, cohort


def test_one_status_column_with_a_competing_code(tmp_path):
    outcome = 'name = "death"\ntime = "years"\ntime_unit = "y"\nevent = "status"\ncodes = ["dead"]\ncensored = ["alive"]\ncompeting = [{ name = "transplant", codes = ["tx"] }]\n'
    found, cohort = follow_up(tmp_path, outcome, ["id,age,years,status", "a,1,1,dead", "b,1,2,tx", "c,1,4,alive"])
    assert found == {"a": (365.25, 1), "b": (730.5, 2), "c": (1461, 0)}
    assert cohort.outcome.causes == ("death", "transplant")


def test_inverted_codes_and_months(tmp_path):
    outcome = 'name = "death"\ntime = "m"\nevent = "alive"\ncodes = [0]\ncensored = [1]\n'
    found, _ = follow_up(tmp_path, outcome, ["id,age,m,alive", "a,1,12,0", "b,1,24,1.0"], unit='time_unit = "months"\n')
    assert found == {"a": (365.25, 1), "b": (730.5, 0)}


OWN = 'name = "cvd"\ntime = "t"\nevent = "e"\ncompeting = [{ name = "death", time = "td", event = "d" }]\n'


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("5,1,9,1", (5, 1)),  # the event of interest came first
        ("5,1,3,1", (3, 2)),  # death came first
        ("5,1,5,1", (5, 1)),  # a tie goes to the event of interest
        ("5,0,5,1", (5, 2)),  # death ended the follow-up
        ("5,0,9,1", (5, 0)),  # after a censored follow-up nobody looked for the event
        ("5,0,3,1", (3, 2)),
        ("5,0,9,0", (5, 0)),
        ("5,1,9,0", (5, 1)),
    ],
)
def test_own_columns_of_a_competing_event(tmp_path, row, expected):
    found, _ = follow_up(tmp_path, OWN, ["id,age,t,e,td,d", f"a,1,{row}"])
    assert found == {"a": expected}


def test_three_causes_the_earliest_wins(tmp_path):
    outcome = OWN.replace("]\n", ', { name = "move", event = "m", codes = ["Y"], censored = ["N"] }]\n')
    rows = ["id,age,t,e,td,d,m", "a,1,5,0,4,1,Y", "b,1,5,0,7,0,Y", "c,1,5,1,5,0,Y", "d,1,5,0,5,1,N"]
    found, cohort = follow_up(tmp_path, outcome, rows)
    assert found == {"a": (4, 2), "b": (5, 3), "c": (5, 1), "d": (5, 2)}
    assert cohort.outcome.causes == ("cvd", "death", "move")


def test_unknown_outcomes_are_excluded_when_asked(tmp_path):
    outcome = OWN + 'unknown = "exclude"\nzero_time = "exclude"\nmissing = [9]\n'
    rows = [
        "id,age,t,e,td,d",
        "a,1,5,1,9,0",
        "b,1,,1,9,0",
        "c,1,5,,9,0",
        "d,1,5,9,9,0",
        "e,1,5,0,9,",
        "f,1,5,0,,1",
        "g,1,0,1,9,0",
        "h,1,-2,1,9,0",
    ]
    found, cohort = follow_up(tmp_path, outcome, rows)
    assert found == {"a": (5, 1)}
    assert [(s.reason, s.excluded, s.remaining) for s in cohort.flow[1:]] == [
        ("without a known outcome", 5, 3),
        ("with a follow-up of zero or less", 2, 1),
    ]


def test_excluded_patients_need_no_sound_outcome(tmp_path):
    outcome = 'name = "cvd"\ntime = "t"\nevent = "e"\n'
    unit = 'exclude = [{ reason = "ill", where = "age == 9" }]\n'
    found, _ = follow_up(tmp_path, outcome, ["id,age,t,e", "a,1,5,1", "b,9,0,1", "c,9,x,7"], unit=unit)
    assert found == {"a": (5, 1)}


def test_own_table_with_agreeing_rows_and_a_prefix(tmp_path):
    outcome = 'name = "cvd"\ntable = "o.csv"\npatient_id = "pid"\nid_prefix = "S"\nwhere = "kind == 1"\ntime = "t"\nevent = "e"\n'
    rows = ["pid,kind,t,e", "Sb,1,7,0", "Sa,1,5,1", "Sa,1,5.0,1.0", "Sa,2,6,0", "Sz,1,1,1"]
    found, _ = follow_up(tmp_path, outcome, ["id,age", "a,1", "b,2"], o=rows)
    assert found == {"a": (5, 1), "b": (7, 0)}


def test_rows_of_the_first_block_unless_a_table_is_named(tmp_path):
    outcome = 'name = "cvd"\ntime = "t"\nevent = "e"\n'
    rows = ["id,age,exam,t,e", "a,1,1,5,1", "a,1,2,3,0"]
    found, _ = follow_up(tmp_path, outcome, rows, where='where = "exam == 1"\n')
    assert found == {"a": (5, 1)}
    with pytest.raises(DataError, match="rows that differ"):
        follow_up(tmp_path, outcome + 'table = "t.csv"\n', rows, where='where = "exam == 1"\n')


def test_event_within_a_fixed_time(tmp_path):
    outcome = (
        'kind = "fixed"\nname = "icu"\nevent = "icu"\ncodes = ["Y"]\ncensored = ["N"]\nwithin = "30d"\nunknown = "exclude"\n'
        'competing = [{ name = "death", codes = ["D"] }]\n[visits]\ntable = "v.csv"\ntime = "t"\nafter_end = "drop"\n'
    )
    rows, visits = (
        ["id,age,icu", "a,1,Y", "b,1,N", "c,1,", "d,1,D"],
        ["id,t", "a,30", "a,30.5", "b,30", "b,30.5", "b,31"],
    )
    found, cohort = follow_up(tmp_path, outcome, rows, v=visits)
    # whoever is event-free is known to be so at the horizon: follow-up goes past it
    assert found == {"a": (30, 1), "b": (31, 0), "d": (30, 2)}
    assert cohort.visits["time"].tolist() == [30, 30]


def test_times_agree_with_the_unit(tmp_path):
    outcome = 'name = "cvd"\ntime = "t"\nevent = "e"\ncompeting = [{ name = "death", time = "td", event = "d", time_unit = "days" }]\n'
    found, _ = follow_up(tmp_path, outcome, ["id,age,t,e,td,d", "a,1,2,0,10,1"], unit='time_unit = "weeks"\n')
    assert found == {"a": (10, 2)}


def test_events_are_counted(tmp_path):
    rng = np.random.default_rng(0)
    events = rng.integers(0, 3, 500)
    rows = ["id,age,t,e", *(f"p{i},1,{i + 1},{e}" for i, e in enumerate(events))]
    outcome = 'name = "a"\ntime = "t"\nevent = "e"\ncompeting = [{ name = "b", codes = [2] }]\n'
    _, cohort = follow_up(tmp_path, outcome, rows)
    assert cohort.outcome.events() == {"a": int((events == 1).sum()), "b": int((events == 2).sum())}
