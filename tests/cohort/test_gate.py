"""The inner gate: frames that break the contract do not get past it, whoever made them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cohorts import make_cohort
from osler.cohort.findings import Findings
from osler.cohort.gate import check_frames


@pytest.fixture
def cohort():
    return make_cohort(30, seed=1)


def broken(cohort, record=None, visits=None):
    findings = Findings()
    frames = (cohort.record if record is None else record, cohort.visits if visits is None else visits)
    check_frames(findings, *frames, cohort.variables, len(cohort))
    return [(v.table, v.found) for v in findings.violations]


def test_sound(cohort):
    assert broken(cohort) == []


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("age", 5.0, "greater_than_or_equal_to"),
        ("age", 500.0, "less_than_or_equal_to"),
        ("smoker", 2.0, "isin"),
        ("sex", "male", "dtype"),
    ],
)
def test_cells_of_the_record(cohort, column, value, said):
    record = cohort.record.copy()
    if column == "sex":
        record[column] = "male"
    else:
        record.loc[3, column] = value
    ((table, found),) = broken(cohort, record=record)
    assert (table, said in found) == ("record", True)


def test_rows_of_the_record(cohort):
    assert broken(cohort, record=cohort.record.iloc[:-1])[0][0] == "record"


def test_order_and_twins_of_visits(cohort):
    assert "sorted" in broken(cohort, visits=cohort.visits.iloc[::-1].reset_index(drop=True))[0][1]
    twins = pd.concat([cohort.visits, cohort.visits.iloc[-1:]], ignore_index=True)
    assert broken(cohort, visits=twins)[0][0] == "visits"


def test_keys_of_visits(cohort):
    for column, value in (("patient", 30), ("time", np.inf)):
        visits = cohort.visits.copy()
        visits.loc[len(visits) - 1, column] = value
        assert broken(cohort, visits=visits)[0][0] == "visits"
    visits = cohort.visits.copy()
    visits["patient"] = visits["patient"].astype(float)
    assert broken(cohort, visits=visits)[0][0] == "visits"
