from __future__ import annotations

import numpy as np

from osler.models.bands import scaled
from osler.models.hazard import incidence
from osler.models.mixture import Mixture

EDGES = np.array([0.0, 100.0, 400.0])
GRID = np.linspace(0, 400, 9)


def _risks(seed: int, models: int = 4, rows: int = 5):
    rng = np.random.default_rng(seed)
    return [incidence(rng.normal(0, 2, (rows, 2, 2)), EDGES, GRID) for _ in range(models)]


def test_mean_is_weighted_and_never_more_than_one():
    one, two = _risks(1, models=2)
    mixture = Mixture(one.shape)
    mixture.add(one, 1.0)
    mixture.add(two, 3.0)
    np.testing.assert_allclose(mixture.mean(), (one + 3 * two) / 4)
    assert (mixture.mean().sum(axis=1) <= 1 + 1e-12).all()


def test_disagreement_is_a_variance_on_the_scale_of_hazards():
    risks = _risks(2)
    mixture = Mixture(risks[0].shape)
    for risk in risks:
        mixture.add(risk, 0.5)
    np.testing.assert_allclose(mixture.disagreement(), np.var([scaled(risk) for risk in risks], axis=0), atol=1e-9)


def test_models_that_agree_leave_none():
    (risk,) = _risks(3, models=1)
    mixture = Mixture(risk.shape)
    for _ in range(3):
        mixture.add(risk, 1.0)
    np.testing.assert_allclose(mixture.disagreement(), 0.0, atol=1e-9)
