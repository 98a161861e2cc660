from __future__ import annotations

import numpy as np
import pytest

from cohorts import YEAR, make_cohort
from osler.features.sequence import VisitEncoder
from osler.models.forecast import ForecastPath, pairs, past

COHORT = make_cohort(400, seed=4, genes=0, image_size=None, embedding=None)
LANDMARK = COHORT.at([4 * YEAR], at_risk=False)
ENCODER = VisitEncoder(unit=YEAR / 2).fit(LANDMARK.known)
SEQUENCES = ENCODER.transform(LANDMARK)


def test_past_equals_a_loop_over_visits():
    before = past(SEQUENCES, YEAR / 2)
    visits = LANDMARK.known.visits
    j = ENCODER.forecastable.index("marker")
    z = ENCODER.scale("marker")(visits["marker"].to_numpy())
    for packed in range(0, len(SEQUENCES.time), 37):
        row = SEQUENCES.packing.order[packed]
        mine = np.flatnonzero(visits["patient"].to_numpy()[: row + 1] == visits["patient"].iloc[row])
        known = mine[np.isfinite(z[mine])]
        assert before.known[packed, j] == (len(known) > 0)
        if len(known):
            t = visits["time"].to_numpy()[known] / (YEAR / 2)
            assert before.last[packed, j] == pytest.approx(z[known[-1]])
            assert before.mean[packed, j] == pytest.approx(z[known].mean())
            np.testing.assert_allclose(
                before.sums[packed, :, j],
                [len(t), t.sum(), (t**2).sum(), z[known].sum(), (t * z[known]).sum(), (z[known] ** 2).sum()],
                atol=1e-9,
            )


def test_pairs_are_of_one_patient_and_forward_in_time():
    seen = pairs(SEQUENCES)
    assert (seen.ahead > 0).all()
    for q in range(0, len(seen.origin), 101):
        target = np.flatnonzero(
            (SEQUENCES.patient == SEQUENCES.patient[seen.origin[q]])
            & np.isclose(SEQUENCES.time, SEQUENCES.time[seen.origin[q]] + seen.ahead[q])
        )
        assert len(target) == 1
        expected = np.where(SEQUENCES.measured[target[0]], SEQUENCES.values[target[0]], np.nan)
        np.testing.assert_array_equal(seen.target[q], expected)


def test_forecasts_of_new_patients_beat_the_last_value_and_the_mean():
    before, seen = past(SEQUENCES, YEAR / 2), pairs(SEQUENCES)
    path = ForecastPath(YEAR / 2).fit(before, seen, SEQUENCES.final)
    new = make_cohort(300, seed=5, genes=0, image_size=None, embedding=None).at([4 * YEAR], at_risk=False)
    sequences = ENCODER.transform(new)
    new_past, new_seen = past(sequences, YEAR / 2), pairs(sequences)
    mean, variance = path.predict(new_past, new_seen.origin, new_seen.ahead)
    j = ENCODER.forecastable.index("marker")
    use = np.isfinite(new_seen.target[:, j])
    y, u, v = new_seen.target[use, j], mean[use, j], variance[use, j]

    last = new_past.last[new_seen.origin, j][use]
    often = new_past.sums[new_seen.origin, 0, j][use] >= 3

    def error(forecast, rows=slice(None)):
        return np.mean(((forecast - y) ** 2)[rows])

    assert error(u) < 0.97 * error(last)
    assert error(u, often) < 0.8 * error(last, often)
    assert error(u) < 0.5 * error(np.zeros_like(y))
    assert 0.85 < np.mean(np.abs(y - u) < 1.6449 * np.sqrt(v)) < 0.95
    p = ENCODER.forecastable.index("pressure")  # pure noise about one mean: nothing to learn, and no harm
    use = np.isfinite(new_seen.target[:, p])
    assert np.mean((mean[use, p] - new_seen.target[use, p]) ** 2) < 1.05 * new_seen.target[use, p].var()


def test_uncertainty_grows_with_time_ahead():
    path = ForecastPath(YEAR / 2).fit(past(SEQUENCES, YEAR / 2), pairs(SEQUENCES), SEQUENCES.final)
    origin = np.zeros(4, dtype=np.int64)
    _, variance = path.predict(past(SEQUENCES, YEAR / 2), origin, np.array([0.0, 100.0, 400.0, 1600.0]))
    j = ENCODER.forecastable.index("marker")
    assert (np.diff(variance[:, j]) > 0).all()
