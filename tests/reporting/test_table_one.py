"""Table 1 and what was measured of whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cohorts import YEAR, make_cohort
from osler.reporting.table_one import modality_label, modality_rows, table_one


def _rows(cohort, landmark=0.0):
    return {row["label"]: row for group in table_one(cohort, landmark) for row in group["rows"]}


def test_levels_and_missing_add_up_to_all_patients():
    cohort = make_cohort(300)
    sex = _rows(cohort)["Sex"]["levels"]
    assert sum(int(level["value"]) for level in sex) == 300
    stage = _rows(cohort)["Stage"]["levels"]
    assert [level["label"] for level in stage] == ["low", "high", "missing"]
    assert sum(int(level["value"]) for level in stage) == 300


def test_numbers_are_told_by_median_and_quartiles():
    cohort = make_cohort(300, missing=0.0)
    told = _rows(cohort)["Age"]["levels"]
    q1, median, q3 = np.quantile(cohort.record["age"], [0.25, 0.5, 0.75])
    assert told[0]["value"] == f"{median:.1f} ({q1:.1f} to {q3:.1f})"
    assert len(told) == 1


def test_visits_after_the_landmark_do_not_count():
    cohort = make_cohort(120)
    later = cohort.visits["time"] > YEAR
    visits = cohort.visits.copy()
    visits.loc[later, "marker"] = 1e6
    assert table_one(replace(cohort, visits=visits), YEAR) == table_one(cohort, YEAR)
    assert table_one(replace(cohort, visits=visits), 3 * YEAR) != table_one(cohort, 3 * YEAR)


def test_a_rare_level_is_withheld_with_another():
    cohort = make_cohort(60)
    record = cohort.record.copy()
    record["sex"] = pd.Categorical(["male"] * 57 + ["female"] * 3, categories=["female", "male"])
    told = _rows(replace(cohort, record=record))["Sex"]["levels"]
    assert [level["value"] for level in told] == ["withheld", "withheld"]
    assert [level["share"] for level in told] == ["", ""]


def test_few_known_values_have_no_median():
    cohort = make_cohort(60)
    record = cohort.record.copy()
    record["age"] = np.where(np.arange(60) < 9, 60.0, np.nan)
    told = _rows(replace(cohort, record=record))["Age"]["levels"]
    assert [level["value"] for level in told] == ["withheld", "withheld"]


def test_few_missing_values_are_not_counted():
    cohort = make_cohort(60, missing=0.0)
    record = cohort.record.copy()
    record.loc[:3, "age"] = np.nan
    told = _rows(replace(cohort, record=record))["Age"]["levels"]
    assert told[1]["value"] == "fewer than 10"
    assert told[1]["share"] == ""


def test_a_variable_never_measured_is_told_as_such():
    cohort = make_cohort(60)
    told = _rows(replace(cohort, record=cohort.record.assign(age=np.nan)))["Age"]["levels"]
    assert [level["value"] for level in told] == ["–", "60"]


def test_modalities_count_patients_known_by_the_landmark():
    cohort = make_cohort(300)
    rows = {row["name"]: row for row in modality_rows(cohort, 0.0)}
    assert list(rows) == list(cohort.modalities)
    assert rows["rna"]["patients"] == int(cohort.genomics["rna"].available.sum())
    assert rows["scan"]["patients"] == len(cohort.images["scan"].visit)
    assert rows["record"]["share"] == 1.0


def test_a_handful_of_missing_cells_is_not_counted():
    cohort = make_cohort(60, missing=0.0)
    record = cohort.record.copy()
    record.loc[:3, "age"] = np.nan
    few = {row["name"]: row for row in modality_rows(replace(cohort, record=record), 0.0)}["record"]
    assert few["missing_values"] is None
    record.loc[:29, "age"] = np.nan
    many = {row["name"]: row for row in modality_rows(replace(cohort, record=record), 0.0)}["record"]
    assert many["missing_values"] == 30 / 180


def test_modalities_go_by_their_labels():
    cohort = make_cohort(60)
    images = {**cohort.images, "scan": replace(cohort.images["scan"], label="Chest x-ray")}
    assert "Chest x-ray" in {row["name"] for row in modality_rows(replace(cohort, images=images), 0.0)}
    assert modality_label(cohort, "mri_volume") == "mri volume"


def test_a_modality_that_few_lack_is_withheld():
    cohort = make_cohort(300)
    values = cohort.genomics["rna"].values.copy()
    values[:] = 0.0
    values[:4] = np.nan
    genomics = {"rna": replace(cohort.genomics["rna"], values=values)}
    told = {row["name"]: row for row in modality_rows(replace(cohort, genomics=genomics), 0.0)}["rna"]
    assert told["patients"] is None
    assert told["share"] is None
