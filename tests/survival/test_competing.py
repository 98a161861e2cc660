"""Cumulative incidence from hazards against closed forms."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from osler.survival.competing import fine_grid, incidence_band, incidence_from_hazards, onto_cells

GRID = np.linspace(0.0, 10.0, 21)


def test_constant_hazards_have_a_closed_form():
    rates = np.array([[0.1, 0.05], [0.4, 0.3], [0.0, 0.2]])
    edges = fine_grid(GRID)
    incidence = incidence_from_hazards(rates[:, :, None] * np.diff(edges), every=8)
    total = rates.sum(axis=1)[:, None]
    expected = (rates / total)[:, :, None] * -np.expm1(-total * GRID)[:, None, :]
    np.testing.assert_allclose(incidence, expected, rtol=1e-12, atol=1e-15)


def test_crossing_hazards_are_integrated_closely():
    """Weibull hazards with shapes 1/2 and 2, against a grid ten thousand times finer."""
    edges, finest = fine_grid(GRID), np.linspace(0, 10, 200_001)

    def cumulative(t):
        return np.stack([0.3 * np.sqrt(t), 0.01 * t**2])[None]

    ours = incidence_from_hazards(np.diff(cumulative(edges), axis=2), every=8)
    exact = incidence_from_hazards(np.diff(cumulative(finest), axis=2), every=10_000)
    np.testing.assert_allclose(ours, exact, atol=2e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1e4), min_size=6, max_size=6), min_size=2, max_size=2))
def test_incidences_never_exceed_one(hazards):
    incidence = incidence_from_hazards(np.array(hazards)[None])
    assert np.isfinite(incidence).all()
    assert (np.diff(incidence, axis=2) >= 0).all()
    free = np.exp(-np.concatenate([[0.0], np.cumsum(np.sum(hazards, axis=0))]))
    np.testing.assert_allclose(incidence.sum(axis=1)[0], 1 - free, atol=1e-9)


def test_events_fall_into_the_cell_that_they_end():
    edges = np.array([0.0, 1.0, 2.0])
    got = onto_cells(np.array([0.5, 1.0, 1.5, 2.0, 2.5]), np.array([1.0, 2.0, 4.0, 8.0, 16.0]), edges)
    assert got.tolist() == [3.0, 12.0]
    assert onto_cells(np.empty(0), np.empty(0), edges).tolist() == [0.0, 0.0]


def test_fine_grid_keeps_the_grid():
    uneven = np.array([0.0, 1.0, 5.0])
    edges = fine_grid(uneven)
    np.testing.assert_allclose(edges[::8], uneven)
    assert len(edges) == 17


def test_the_band_is_that_of_the_log_hazard():
    """One cause: a shift of the log hazard is a shift of log(-log(1 - incidence))."""
    hazard = np.full((1, 1, 5), 0.1)
    variance = np.full((1, 1, 6), 0.04)
    lower, upper = incidence_band(lambda shift: incidence_from_hazards(hazard * np.exp(shift)[:, None]), variance)
    at = 0.1 * np.arange(6)
    np.testing.assert_allclose(lower[0, 0], -np.expm1(-at * np.exp(-1.6448536 * 0.2)), atol=1e-8)
    np.testing.assert_allclose(upper[0, 0], -np.expm1(-at * np.exp(1.6448536 * 0.2)), atol=1e-8)


def test_the_band_against_simulation():
    rng = np.random.default_rng(0)
    hazard = np.array([0.08, 0.05])[None, :, None] * np.ones((1, 2, 10))
    spread = np.array([0.15, 0.3])
    lower, upper = incidence_band(
        lambda shift: incidence_from_hazards(hazard * np.exp(shift)[:, None]),
        np.broadcast_to((spread**2)[None, :, None], (1, 2, 11)),
    )
    draws = np.stack([incidence_from_hazards(hazard * np.exp(rng.normal(0, spread))[:, None])[0] for _ in range(4000)])
    low, high = np.quantile(draws, (0.05, 0.95), axis=0)
    np.testing.assert_allclose(lower[0], low, atol=0.012)
    np.testing.assert_allclose(upper[0], high, atol=0.012)
