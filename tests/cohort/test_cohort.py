import numpy as np
import pandas as pd
import pytest

from cohorts import YEAR, make_cohort
from osler.cohort.schema import Schema
from osler.cohort.split import assign_folds, folds
from osler.errors import ModelError, UsageError


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(150, seed=3)


def test_rows_of_a_landmark_see_their_own_past_and_nothing_else(cohort):
    landmark = cohort.at(["0y", "1y", "2.5y"])
    known = landmark.known.visits
    assert landmark.known.outcome is None
    for row in range(len(landmark)):
        mine = known.iloc[landmark.start[row] : landmark.stop[row]]
        visits = cohort.visits
        past = visits[(visits["patient"] == landmark.patient[row]) & (visits["time"] <= landmark.time[row])]
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), past.reset_index(drop=True))


def test_only_patients_at_risk_are_predicted_for_and_follow_up_counts_from_the_landmark(cohort):
    landmark = cohort.at("2y")
    np.testing.assert_array_equal(landmark.patient, np.flatnonzero(cohort.outcome.time > 2 * YEAR))
    np.testing.assert_allclose(landmark.outcome.time, cohort.outcome.time[landmark.patient] - 2 * YEAR)
    assert len(cohort.at("2y", at_risk=False)) == len(cohort)


def test_what_is_known_ends_at_the_latest_landmark_of_each_patient(cohort):
    known = cohort.at(["0y", "1y"]).known.visits
    assert known["time"].max() <= YEAR
    gone = np.flatnonzero(cohort.outcome.time <= YEAR)
    assert known.loc[known["patient"].isin(gone), "time"].max() <= 0


def test_images_follow_their_visits_through_subset(cohort):
    part = cohort.subset([5, 0, 5])
    for name, block in part.images.items():
        whole = cohort.images[name]
        owner = part.visits["patient"].to_numpy()[block.visit]
        for at, image in zip(owner, block.values, strict=True):
            original = whole.visit[[cohort.visits["patient"][v] == [5, 0, 5][at] for v in whole.visit]]
            np.testing.assert_array_equal(image, whole.values[np.searchsorted(whole.visit, original[0])])


def test_pseudonyms_are_unique_stay_with_the_patient_and_do_not_show_the_identifier(cohort):
    assert len(set(cohort.pseudonyms)) == len(cohort)
    part = cohort.subset([7, 3])
    assert part.pseudonyms.tolist() == cohort.pseudonyms[[7, 3]].tolist()
    assert cohort.patient(cohort.pseudonyms[9]).cohort.patients[0] == cohort.patients[9]


def test_an_unknown_patient_is_refused_without_being_named(cohort):
    with pytest.raises(UsageError) as error:
        cohort.patient("secret-77")
    assert "secret-77" not in str(error.value)


def test_digest_sees_every_part(cohort):
    changed = make_cohort(150, seed=3)
    changed.visits.loc[0, "pressure"] += 1e-9
    assert changed.digest != cohort.digest
    assert make_cohort(150, seed=3).digest == cohort.digest


def test_conform_brings_a_poorer_cohort_into_the_form_of_the_model(cohort):
    schema = Schema.of(cohort)
    poor = schema.conform(cohort.without("visits", "rna", "scan"))
    assert Schema.of(poor) == schema
    assert poor.visits["marker"].isna().all()
    assert not poor.genomics["rna"].available.any()
    assert Schema.from_json(schema.to_json()) == schema


def test_conform_names_every_difference_at_once(cohort):
    other = make_cohort(20, image_size=8)
    other.variables["age"] = type(other.variables["age"])("age", "Age", "number", "record", "mo")
    with pytest.raises(ModelError, match=r"(?s)'age'.*images 'scan'"):
        Schema.of(cohort).conform(other)


def test_folds_split_patients_evenly_in_size_and_events(cohort):
    fold = assign_folds(cohort.outcome, 5, random_state=1)
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= 1
    for code in (0, 1, 2):
        events = np.bincount(fold[cohort.outcome.event == code], minlength=5)
        assert events.max() - events.min() <= 1
    assert np.array_equal(fold, assign_folds(cohort.outcome, 5, random_state=1))
    assert not np.array_equal(fold, assign_folds(cohort.outcome, 5, random_state=2))


def test_every_patient_is_held_out_once_a_repeat(cohort):
    held_out = [test for _, _, _, test in folds(cohort.outcome, 4, 2, random_state=0)]
    assert np.bincount(np.concatenate(held_out)).tolist() == [2] * len(cohort)


def test_more_folds_than_patients_is_refused(cohort):
    with pytest.raises(UsageError, match="at most 3 folds"):
        assign_folds(cohort.subset([0, 1, 2]).outcome, 5, random_state=0)
