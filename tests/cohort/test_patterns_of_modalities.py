from __future__ import annotations

from dataclasses import replace

import numpy as np

from cohorts import YEAR, make_cohort
from osler.cohort.availability import available, pattern_names


def test_a_modality_is_there_when_anything_of_it_is_known_by_then():
    cohort = make_cohort(40, seed=3)
    record = cohort.record.copy()
    record.loc[0] = np.nan
    record.loc[1, "age"] = np.nan
    cohort = replace(cohort, record=record)
    found = available(cohort.at([0.0, YEAR]))
    at_zero = np.flatnonzero(cohort.at([0.0, YEAR]).time == 0)
    assert not found["record"][0]
    assert found["record"][1]
    np.testing.assert_array_equal(found["rna"][at_zero], cohort.genomics["rna"].available)
    owner = cohort.visits["patient"].to_numpy()
    pictured = np.isin(np.arange(40), owner[cohort.images["scan"].visit])
    np.testing.assert_array_equal(found["scan"][at_zero], pictured)


def test_the_future_and_what_was_withheld_are_not_known():
    cohort = make_cohort(40, seed=3)
    late = cohort.keep_visits(cohort.visits["time"].to_numpy() > 0)
    landmark = late.at(0.0)
    assert not available(landmark)["visits"].any()
    assert available(late.at(2 * YEAR))["visits"].any()
    assert "rna" not in available(cohort.without("rna").at(0.0))


def test_patterns_in_words():
    found = {"record": np.array([True, True, False]), "scan": np.array([True, False, False])}
    assert list(pattern_names(found)) == ["record + scan", "record, no scan", "nothing, no record, no scan"]
    assert list(pattern_names(found, {"scan": "chest x-ray"}))[1] == "record, no chest x-ray"
