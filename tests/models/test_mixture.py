from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.models.hazard import incidence
from osler.models.mixture import Mixture

EDGES = np.array([0.0, 100.0, 400.0])
GRID = np.linspace(0, 400, 9)


def _risks(seed: int, models: int = 4, rows: int = 5):
    rng = np.random.default_rng(seed)
    return [incidence(rng.normal(0, 2, (rows, 2, 2)), EDGES, GRID) for _ in range(models)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 4))
def test_bands_hold_the_mean_and_never_turn_back(seed, doubt):
    mixture = Mixture((5, 2, 9))
    for risk in _risks(seed):
        mixture.add(risk, 0.5)
    mean = mixture.mean()
    lower, upper = mixture.band(np.full((5, 2, 1), doubt))
    assert (lower <= mean).all()
    assert (mean <= upper).all()
    assert (lower >= 0).all()
    assert (upper <= 1).all()
    assert (np.diff(lower, axis=2) >= 0).all()
    assert (np.diff(upper, axis=2) >= 0).all()
    assert (mean.sum(axis=1) <= 1 + 1e-12).all()


def test_mean_is_weighted():
    one, two = _risks(1, models=2)
    mixture = Mixture(one.shape)
    mixture.add(one, 1.0)
    mixture.add(two, 3.0)
    np.testing.assert_allclose(mixture.mean(), (one + 3 * two) / 4)


def test_models_that_agree_leave_the_doubt_of_estimation():
    (risk,) = _risks(2, models=1)
    mixture = Mixture(risk.shape)
    for _ in range(3):
        mixture.add(risk, 1.0)
    np.testing.assert_allclose(mixture.band(np.zeros((5, 2, 1)))[0], risk, atol=1e-6)
    lower, upper = mixture.band(np.full((5, 2, 1), 0.25))
    later = risk[:, :, 1:]
    hazard = -np.log1p(-later)  # a band of half a unit of log hazard, at 90 %
    np.testing.assert_allclose(upper[:, :, 1:], -np.expm1(-hazard * np.exp(1.6449 * 0.5)), rtol=1e-6)
    np.testing.assert_allclose(lower[:, :, 1:], -np.expm1(-hazard * np.exp(-1.6449 * 0.5)), rtol=1e-6)


def test_what_never_happens_has_no_band():
    mixture = Mixture((1, 1, 3))
    mixture.add(np.zeros((1, 1, 3)), 1.0)
    lower, upper = mixture.band(np.ones((1, 1, 1)))
    assert (lower == 0).all()
    assert (upper == 0).all()
