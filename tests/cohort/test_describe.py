"""Describe: the right numbers, none of which points to a person."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from cohorts import make_cohort
from osler.cohort.cells import SMALL, SMALL_CELL, WITHHELD, parts, steps
from osler.cohort.cohort import FlowStep
from osler.cohort.describe import describe, reverse_kaplan_meier
from osler.cohort.outcome import Outcome


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(240, seed=3)


def test_is_json_with_every_section(cohort):
    found = describe(cohort)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ["cohort", "flow", "modalities", "variables", "visits", "follow_up", "events"]
    assert found["cohort"]["patients"] == 240
    assert found["cohort"]["visits"] == len(cohort.visits)
    assert [row["modality"] for row in found["modalities"]] == list(cohort.modalities)


def test_variables(cohort):
    rows = {row["variable"]: row for row in describe(cohort)["variables"]}
    age = cohort.record["age"]
    assert rows["age"]["missing"] == int(age.isna().sum())
    assert rows["age"]["missing_percent"] == round(100 * age.isna().mean(), 1)
    assert rows["age"]["median"] == pytest.approx(age.median())
    assert rows["age"]["upper_quartile"] == pytest.approx(age.quantile(0.75))
    women = (cohort.record["sex"] == "female").mean()
    assert rows["sex"]["levels"] == f"female {100 * women:.1f} %; male {100 - 100 * women:.1f} %"
    measured = cohort.visits[["marker", "pressure", "stage"]].notna().any(axis=1)
    assert rows["marker"]["rows"] == int(measured.sum())
    assert rows["marker"]["missing"] == int(cohort.visits.loc[measured, "marker"].isna().sum())


def test_modalities(cohort):
    rows = {row["modality"]: row for row in describe(cohort)["modalities"]}
    has = cohort.genomics["rna"].available.sum()
    assert (rows["rna"]["patients_with"], rows["rna"]["patients_without"]) == (has, 240 - has)
    owners = cohort.visits["patient"].to_numpy()[cohort.images["scan"].visit]
    assert rows["scan"]["patients_with"] == len(set(owners))
    assert rows["scan"]["kind"] == "pixels"


def test_follow_up_and_events(cohort):
    found = describe(cohort)
    km = KaplanMeierFitter().fit(cohort.outcome.time, cohort.outcome.event == 0)
    assert found["follow_up"]["median_days"] == pytest.approx(km.median_survival_time_)
    assert {row["event"]: row["patients"] for row in found["events"]} == {
        **cohort.outcome.events(),
        "censored": int((cohort.outcome.event == 0).sum()),
    }


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=30), st.sampled_from([0.25, 0.5]))
def test_reverse_kaplan_meier_is_the_curve_of_the_censored(pairs, level):
    time, event = np.array(pairs, dtype=float).T
    found = reverse_kaplan_meier(Outcome(time, event.astype(np.int64), ("a", "b")), level)
    expected, followed = None, 1.0
    for t in sorted(set(time)):
        followed *= 1 - ((time == t) & (event == 0)).sum() / (time >= t).sum()
        if expected is None and followed <= 1 - level + 1e-12:
            expected = t
    assert found == expected


def test_nobody_censored_has_no_median():
    assert reverse_kaplan_meier(Outcome(np.array([1.0, 2.0]), np.array([1, 1]), ("a",))) is None


def test_without_outcome_visits_or_images():
    cohort = make_cohort(40, genes=0, image_size=None, embedding=None)
    bare = cohort.keep_visits(np.zeros(len(cohort.visits), dtype=bool))
    found = describe(bare)
    assert "visits" not in found
    rows = {row["modality"]: row for row in found["modalities"]}
    assert (rows["visits"]["patients_with"], rows["visits"]["patients_without"]) == (0, 40)


def test_a_handful_of_patients_shows_nothing(cohort):
    few = cohort.subset(np.arange(7))
    found = describe(few)
    assert found["cohort"]["patients"] == SMALL
    assert all(row["median"] is None and row["levels"] is None for row in found["variables"])
    assert found["follow_up"]["median_days"] is None
    assert all(row["patients"] in (SMALL, WITHHELD, 0) for row in found["events"])


def test_many_visits_of_few_patients_are_few(cohort):
    visits = cohort.visits.copy()
    visits.loc[visits["patient"] >= 5, "marker"] = np.nan
    visits["stage"] = pd.Categorical(["high"] * 20 + ["low"] * (len(visits) - 20), categories=["low", "high"])
    rows = {row["variable"]: row for row in describe(replace(cohort, visits=visits))["variables"]}
    assert (visits["marker"].notna().sum() > 10, rows["marker"]["median"]) == (True, None)
    assert rows["stage"]["levels"] == f"low {WITHHELD}; high {WITHHELD}"


def test_small_levels_are_withheld(cohort):
    record = cohort.record.copy()
    record["sex"] = pd.Categorical(["male"] * 4 + ["female"] * 236, categories=["female", "male"])
    few = replace(cohort, record=record)
    rows = {row["variable"]: row for row in describe(few)["variables"]}
    assert rows["sex"]["levels"] == f"female {WITHHELD}; male {SMALL}"


@given(st.lists(st.integers(0, 60), max_size=6))
def test_parts_cannot_be_found_by_subtraction(counts):
    shown = parts(counts)
    hidden = [count for count, cell in zip(counts, shown, strict=True) if isinstance(cell, str)]
    assert all(cell == SMALL for count, cell in zip(counts, shown, strict=True) if 0 < count < SMALL_CELL)
    assert all(cell == count for count, cell in zip(counts, shown, strict=True) if not isinstance(cell, str))
    if hidden and any(count >= SMALL_CELL for count in counts):
        assert len(hidden) > 1
        assert sum(hidden) >= SMALL_CELL
    if not any(0 < count < SMALL_CELL for count in counts):
        assert not hidden


@given(st.lists(st.integers(0, 40), max_size=7))
def test_no_step_of_the_flow_gives_a_small_count_away(left):
    total = 1000
    flow = [FlowStep("start", 0, total)]
    for i, count in enumerate(left):
        total -= count
        flow.append(FlowStep(f"reason {i}", count, total))
    rows = steps((*flow, FlowStep("dropped", 3, 9, "rows")))
    assert rows[-1] == {"step": "dropped", "excluded": 3, "remaining": 9, "unit": "rows"}
    previous = 1000
    for row in rows[1:-1]:
        if isinstance(row["remaining"], int):
            assert previous - row["remaining"] == row["excluded"]
            assert row["excluded"] == 0 or row["excluded"] >= SMALL_CELL
            previous = row["remaining"]
    assert "; ".join(row["step"] for row in rows[:-1]) == "; ".join(step.reason for step in flow)
