import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osler.planning.effect import Effect, apply_effects, scale_hazard

TIMES = np.linspace(0, 10, 41)


def constant(a, b):
    """(1, 2, T) incidence under constant hazards a and b."""
    total = a + b
    reached = 1 - np.exp(-total * TIMES)
    return np.stack([a / total * reached, b / total * reached])[None]


@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.8, 1.0, 2.0])
def test_a_hazard_ratio_under_constant_competing_hazards_has_a_closed_form(ratio):
    changed = scale_hazard(constant(0.08, 0.03), 0, np.array([ratio]))
    np.testing.assert_allclose(changed, constant(0.08 * ratio, 0.03), atol=1e-12)


def test_acting_on_the_competing_cause_raises_the_other():
    changed = scale_hazard(constant(0.08, 0.05), 1, np.array([0.5]))
    np.testing.assert_allclose(changed, constant(0.08, 0.025), atol=1e-12)


def test_draws_are_log_normal_around_the_estimate_with_the_published_interval():
    effect = Effect(0, "hazard ratio", 0.8, 0.7, 0.9142857, 0.95)
    drawn = effect.draws(np.random.default_rng(0).standard_normal(200_000))
    np.testing.assert_allclose(np.quantile(drawn, [0.025, 0.5, 0.975]), [0.7, 0.8, 0.9143], rtol=0.005)


def test_risk_and_odds_ratios_act_on_the_cumulative_incidence():
    own = constant(0.08, 0.03)
    risk = apply_effects(own, [Effect(0, "risk ratio", 0.5, 0.4, 0.6)], [np.array([0.5])])
    np.testing.assert_allclose(risk[:, 0], own[:, 0] * 0.5)
    odds = apply_effects(own, [Effect(0, "odds ratio", 0.5, 0.4, 0.6)], [np.array([0.5])])
    np.testing.assert_allclose(odds[:, 0] / (1 - odds[:, 0]), 0.5 * own[:, 0] / (1 - own[:, 0]))
    for changed in (risk, odds):
        np.testing.assert_allclose(changed[:, 1] / (1 - changed[:, 0]), own[:, 1] / (1 - own[:, 0]))


def test_two_hazard_ratios_multiply():
    effects = [Effect(0, "hazard ratio", 0.8, 0.7, 0.9), Effect(0, "hazard ratio", 0.5, 0.4, 0.6)]
    changed = apply_effects(constant(0.08, 0.03), effects, [np.array([0.8]), np.array([0.5])])
    np.testing.assert_allclose(changed, constant(0.032, 0.03), atol=1e-12)


@given(
    st.lists(st.floats(0, 0.3), min_size=6, max_size=6),
    st.lists(st.floats(0, 0.3), min_size=6, max_size=6),
    st.sampled_from(["hazard ratio", "risk ratio", "odds ratio"]),
    st.floats(0.05, 20),
)
def test_whatever_the_effect_the_result_is_a_risk_curve(first, second, measure, ratio):
    left, steps = 1.0, np.zeros((2, 7))
    for j, (a, b) in enumerate(zip(first, second, strict=True), 1):
        steps[:, j] = left * a, left * b
        left *= 1 - a - b
    changed = apply_effects(
        steps.cumsum(axis=1)[None], [Effect(0, measure, ratio, ratio / 2, ratio * 2)], [np.array([ratio])]
    )
    assert (np.diff(changed, axis=2) >= -1e-9).all()
    assert (changed >= 0).all()
    assert (changed.sum(axis=1) <= 1 + 1e-9).all()


def test_a_certain_event_stays_finite():
    certain = np.array([[[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]]])
    assert np.isfinite(scale_hazard(certain, 0, np.array([0.5]))).all()
