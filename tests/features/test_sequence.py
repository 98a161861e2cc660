from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cohorts import YEAR, make_cohort
from osler.features.sequence import VisitEncoder, carried_forward, pack

COHORT = make_cohort(60, seed=2, image_size=None, embedding=None)
LANDMARK = COHORT.at([0.0, YEAR, 2 * YEAR])
ENCODER = VisitEncoder(unit=YEAR / 2).fit(LANDMARK.known)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=0, max_size=12))
def test_packing_goes_step_by_step_through_patients_with_most_visits_first(counts):
    patient = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
    packing = pack(patient)
    assert list(packing.sizes) == [sum(c > t for c in counts) for t in range(max(counts, default=0))]
    np.testing.assert_array_equal(packing.order[packing.place], np.arange(len(patient)))
    rank = sorted(range(len(counts)), key=lambda i: -counts[i])
    first = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    naive = [first[i] + t for t in range(max(counts, default=0)) for i in rank if counts[i] > t]
    np.testing.assert_array_equal(packing.order, naive)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.floats(-5, 5)), max_size=25))
def test_carried_forward_equals_a_loop(pairs):
    pairs = sorted(pairs, key=lambda pair: pair[0])
    patient = np.array([p for p, _ in pairs], dtype=np.int64)
    values = np.array([[np.nan if v is None else v] for _, v in pairs]).reshape(len(pairs), 1)
    expected = values.copy()
    for i in range(1, len(pairs)):
        if patient[i] == patient[i - 1] and np.isnan(expected[i, 0]):
            expected[i] = expected[i - 1]
    np.testing.assert_array_equal(carried_forward(values, patient), expected)


def test_every_row_finds_its_own_last_visit():
    sequences = ENCODER.transform(LANDMARK)
    visits = LANDMARK.known.visits
    for row in range(len(LANDMARK)):
        mine = (visits["patient"] == LANDMARK.patient[row]) & (visits["time"] <= LANDMARK.time[row])
        where = sequences.last[row]
        if not mine.any():
            assert where == -1
        else:
            assert sequences.packing.order[where] == np.flatnonzero(mine)[-1]
            assert sequences.time[where] == visits["time"][mine].max()
            assert sequences.patient[where] == LANDMARK.patient[row]


def test_inputs_are_values_carried_forward_masks_gap_and_time():
    sequences = ENCODER.transform(LANDMARK)
    names = [column.name for column in ENCODER.columns]
    visits = LANDMARK.known.visits
    inputs = sequences.inputs[sequences.packing.place]
    marker = visits["marker"].to_numpy()
    observed = np.isfinite(marker)
    np.testing.assert_array_equal(inputs[:, names.index("marker.observed")], observed)
    scaled = ENCODER.scale("marker")(marker)
    np.testing.assert_allclose(inputs[observed, names.index("marker.last")], scaled[observed], rtol=1e-6)
    first = ~visits["patient"].duplicated().to_numpy()
    gap = inputs[:, names.index("visit.gap")]
    assert (gap[first] == 0).all()
    later = np.flatnonzero(~first)
    days = visits["time"].to_numpy()[later] - visits["time"].to_numpy()[later - 1]
    np.testing.assert_allclose(gap[later], np.log1p(days / (YEAR / 2)), rtol=1e-5)
    assert np.isfinite(inputs).all()


def test_some_patients_are_cut_out_as_if_they_were_alone():
    chosen = np.zeros(len(COHORT), dtype=bool)
    chosen[[3, 11, 12, 40]] = True
    rows = np.flatnonzero(chosen[LANDMARK.patient])
    part = ENCODER.transform(LANDMARK).of_patients(chosen, rows)
    alone = COHORT.subset(np.flatnonzero(chosen)).at([0.0, YEAR, 2 * YEAR])
    expected = ENCODER.transform(alone)
    assert part.packing.sizes == expected.packing.sizes
    np.testing.assert_array_equal(part.packing.order, expected.packing.order)
    np.testing.assert_array_equal(part.packing.place, expected.packing.place)
    np.testing.assert_array_equal(part.inputs, expected.inputs)
    np.testing.assert_array_equal(part.last, expected.last)


def test_extra_measurements_are_inputs_and_their_absence_is_a_mask():
    scores = np.full((len(LANDMARK.known.visits), 2), np.nan)
    scores[::3] = np.random.default_rng(0).normal(size=scores[::3].shape)
    encoder = VisitEncoder(unit=YEAR / 2).fit(LANDMARK.known, {"scan": scores})
    names = [column.name for column in encoder.columns]
    with_scores = encoder.transform(LANDMARK, {"scan": scores})
    inputs = with_scores.inputs[with_scores.packing.place]
    np.testing.assert_array_equal(inputs[:, names.index("scan.observed")], np.isfinite(scores[:, 0]))
    without = encoder.transform(LANDMARK)
    assert (without.inputs[:, names.index("scan.score1")] == 0).all()


def test_a_cohort_without_visits_has_empty_sequences():
    nobody = COHORT.keep_visits(np.zeros(len(COHORT.visits), dtype=bool)).at([0.0, YEAR])
    sequences = VisitEncoder(unit=YEAR).fit(nobody.known).transform(nobody)
    assert sequences.packing.sizes == ()
    assert sequences.inputs.shape == (0, 2)
    assert (sequences.last == -1).all()


def test_state_round_trip_through_json():
    again = VisitEncoder.from_state(json.loads(json.dumps(ENCODER.state())), COHORT.visit_variables)
    np.testing.assert_array_equal(again.transform(LANDMARK).inputs, ENCODER.transform(LANDMARK).inputs)
    assert again.columns == ENCODER.columns
