"""The reference model is the Aalen-Johansen estimator of the training patients at risk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.outcome import Outcome
from osler.models.reference import Reference
from osler.survival.nonparametric import aalen_johansen


def test_curve_and_band_at_a_landmark():
    cohort = make_cohort(150, seed=8)
    curve = Reference(QUESTION).fit(cohort).predict(cohort, YEAR)
    outcome = cohort.at(YEAR).outcome
    incidence, error = aalen_johansen(outcome.time, outcome.event, QUESTION.grid, 2)
    np.testing.assert_array_equal(curve.incidence, np.broadcast_to(incidence, curve.incidence.shape))
    p, se = incidence[:, -1], error[:, -1]
    log_error = se / (-np.log(1 - p) * (1 - p))
    for bound, sign in ((curve.lower, -1), (curve.upper, 1)):
        expected = 1 - (1 - p) ** np.exp(sign * 1.6448536 * log_error)
        np.testing.assert_allclose(bound[0, :, -1], expected, rtol=1e-6)


def test_bands_cover_the_truth():
    """Two constant hazards, whose incidence is known: bands at 90% hold it in about 90% of 200 samples."""
    rng, grid = np.random.default_rng(0), QUESTION.grid / YEAR
    truth = 0.2 / 0.3 * -np.expm1(-0.3 * grid[-1])
    from_model = Reference(QUESTION)
    cohort = make_cohort(80, seed=0)
    hits = 0
    for _ in range(200):
        t1, t2, c = (rng.exponential(1 / rate, 80) for rate in (0.2, 0.1, 0.05))
        time = np.minimum(np.minimum(t1, t2), c) * YEAR
        event = np.where(c * YEAR <= time, 0, np.where(t1 < t2, 1, 2))
        curve = _refit(from_model, cohort, time, event).predict(cohort, 0.0, at_risk=False)
        hits += curve.lower[0, 0, -1] <= truth <= curve.upper[0, 0, -1]
    assert 0.85 <= hits / 200 <= 0.94


def _refit(model, cohort, time, event):
    empty = cohort.keep_visits(np.zeros(len(cohort.visits), dtype=bool))
    return model.fit(replace(empty, outcome=Outcome(time, event, ("a", "b"))))
