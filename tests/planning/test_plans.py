import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.actions import ActionSpec
from osler.errors import BeyondSupport, UsageError
from osler.models.base import RiskModel
from osler.planning import actions_of, plan

A, B = 0.10 / YEAR, 0.04 / YEAR


class ConstantHazards(RiskModel):
    """Hazards A and B per day for everyone, with a band when asked for."""

    name, label = "constant", "Constant hazards"

    def __init__(self, question, *, random_state=0, spread=0.0):
        super().__init__(question, random_state=random_state)
        self.spread = spread

    def _fit(self, cohort):
        pass

    def _predict(self, landmark):
        def curves(factor):
            total = A * factor + B
            reached = 1 - np.exp(-total * self.question.grid)
            one = np.stack([A * factor / total * reached, B / total * reached])
            return np.repeat(one[None], len(landmark), axis=0)

        bands = [curves(np.exp(sign * self.spread)) for sign in (-1, 1)] if self.spread else (None, None)
        return curves(1.0), *bands

    def state(self):
        return {}

    def restore(self, state):
        pass


def spec(name="Treat", value=0.5, lower=0.4, upper=0.625, **more):
    return ActionSpec(
        name=name, effect={"value": value, "lower": lower, "upper": upper}, citation=f"Trial of {name}", **more
    )


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(60, seed=1, genes=0, image_size=None, embedding=None, missing=0.0)


def planned(cohort, *actions, spread=0.0, who=None, **options):
    model = ConstantHazards(QUESTION, spread=spread).fit(cohort)
    with_actions = replace(cohort, actions=actions)
    at_risk = np.flatnonzero(cohort.outcome.time > YEAR)
    patient = with_actions.patient(cohort.patients[at_risk[0] if who is None else who])
    return plan(model, patient, "1y", **options)


def closed_form(ratio, years=4.0):
    total = 0.10 * ratio + 0.04
    return 0.10 * ratio / total * (1 - np.exp(-total * years))


def test_absolute_risks_have_the_closed_form_of_constant_competing_hazards(cohort):
    action = planned(cohort, spec()).actions[0]
    assert action.risk_without.value == pytest.approx(closed_form(1.0))
    assert action.risk_with.value == pytest.approx(closed_form(0.5))
    assert action.reduction.value == pytest.approx(closed_form(1.0) - closed_form(0.5))
    assert action.nnt.value == pytest.approx(1 / action.reduction.value)
    np.testing.assert_allclose(
        [action.risk_with.lower, action.risk_with.upper], [closed_form(0.4), closed_form(0.625)], rtol=0.02
    )
    np.testing.assert_allclose(
        [action.nnt.lower, action.nnt.upper], [1 / action.reduction.upper, 1 / action.reduction.lower]
    )


def test_event_free_days_gained_is_the_area_between_the_curves(cohort):
    action = planned(cohort, spec()).actions[0]
    times = np.linspace(0, 4, 2001)
    survival = [np.exp(-(0.10 * ratio + 0.04) * times) for ratio in (0.5, 1.0)]
    assert action.event_free_days_gained.value == pytest.approx(
        YEAR * np.trapezoid(survival[0] - survival[1], times), rel=2e-3
    )


def test_a_shorter_horizon_is_taken_and_one_past_the_curve_refused(cohort):
    assert planned(cohort, spec(), horizon="2y").risk.value == pytest.approx(closed_form(1.0, 2.0))
    with pytest.raises(BeyondSupport):
        planned(cohort, spec(), horizon="30y")


def test_an_effect_on_the_competing_cause_may_raise_the_risk_of_interest(cohort):
    action = planned(cohort, spec(cause="death")).actions[0]
    assert action.reduction.value < 0
    assert action.nnt.value is None
    assert action.nnt.upper is None


def test_an_interval_with_no_benefit_inside_has_no_upper_number_needed_to_treat(cohort):
    found = planned(cohort, spec(value=0.95, lower=0.8, upper=1.13))
    assert found.actions[0].nnt.upper is None
    assert found.actions[0].warnings
    assert "No action is credibly better" in found.verdict


def test_the_models_own_band_widens_the_interval(cohort):
    narrow, wide = planned(cohort, spec()), planned(cohort, spec(), spread=0.5)
    assert narrow.risk.upper - narrow.risk.lower < 1e-9
    # The band is 90%, the interval 95%: 1.96 / 1.645 times as far on the scale of the log hazard.
    assert wide.risk.upper == pytest.approx(closed_form(np.exp(0.5 * 1.96 / 1.645)), rel=0.02)
    assert wide.risk.lower == pytest.approx(closed_form(np.exp(-0.5 * 1.96 / 1.645)), rel=0.03)
    assert wide.actions[0].reduction.upper - wide.actions[0].reduction.lower > (
        narrow.actions[0].reduction.upper - narrow.actions[0].reduction.lower
    )
    assert any("no band" in warning for warning in narrow.warnings)


def test_pairs_multiply_and_actions_are_ranked_by_their_reduction(cohort):
    found = planned(cohort, spec("Weak", 0.9, 0.85, 0.95), spec("Strong", 0.5, 0.4, 0.625))
    assert [action.name for action in found.actions] == ["Strong", "Weak"]
    assert found.verdict.startswith("Strong")
    (pair,) = found.pairs
    assert pair.risk_with.value == pytest.approx(closed_form(0.45))
    assert "Trial of Strong" in pair.citation
    assert "Trial of Weak" in pair.citation


def test_eligibility_uses_what_was_known_last_at_the_landmark(cohort):
    at_risk = np.flatnonzero(cohort.outcome.time > YEAR)
    mine = cohort.visits[(cohort.visits["patient"] == at_risk[0]) & (cohort.visits["time"] <= YEAR)]
    last = mine["pressure"].iloc[-1]
    found = planned(
        cohort,
        spec("For them", where=f"pressure >= {last - 1:.3f} and sex in ['male', 'female']"),
        spec("Not for them", where=f"pressure < {last - 1:.3f}"),
        spec("Against", contraindicated=[{"where": "age > 0", "reason": "too old for it"}]),
    )
    by_name = {action.name: action for action in found.actions}
    assert by_name["For them"].eligible
    assert not by_name["Not for them"].eligible
    assert by_name["Not for them"].reduction is None
    assert by_name["Against"].reasons == ("contraindicated: too old for it",)


def test_what_was_not_measured_cannot_be_judged(cohort):
    unknown = replace(cohort, visits=cohort.visits.assign(pressure=np.nan))
    found = planned(unknown, spec(where="pressure >= 140", contraindicated=[{"where": "marker > 99", "reason": "x"}]))
    assert found.actions[0].reasons == ("cannot be judged: Systolic blood pressure not measured",)
    assert found.verdict == "None of the declared actions is for this patient."


@pytest.mark.parametrize("named", ["pressure", "age"])
def test_a_contraindication_that_cannot_be_checked_is_told(cohort, named):
    where = f"{named} is not missing and pressure < 110"
    unknown = replace(cohort, visits=cohort.visits.assign(pressure=np.nan))
    action = planned(unknown, spec(contraindicated=[{"where": where, "reason": "low pressure"}])).actions[0]
    assert action.eligible
    assert any("could not be checked (low pressure)" in warning for warning in action.warnings)


def test_a_condition_may_provide_for_what_is_missing(cohort):
    unknown = replace(cohort, visits=cohort.visits.assign(pressure=np.nan))
    action = planned(unknown, spec(where="pressure is missing or pressure >= 140")).actions[0]
    assert action.eligible
    assert not planned(unknown, spec(where="age is not missing and pressure >= 140")).actions[0].eligible


def test_the_plan_shows_a_pseudonym_and_is_json(cohort):
    found = planned(cohort, spec()).to_dict()
    assert found["pseudonym"].startswith("P")
    assert "id-1-" not in json.dumps(found)
    assert found == planned(cohort, spec()).to_dict()


@pytest.mark.parametrize("case", ["no action", "unknown cause", "gone"])
def test_what_cannot_be_planned_is_refused(cohort, case):
    gone = int(np.argmin(cohort.outcome.time))
    with pytest.raises(UsageError):
        {
            "no action": lambda: planned(cohort),
            "unknown cause": lambda: planned(cohort, spec(cause="boredom")),
            "gone": lambda: planned(cohort, spec(), who=gone),
        }[case]()


def test_actions_may_be_given_instead_of_declared(cohort):
    declared = planned(cohort, spec())
    given = actions_of(SimpleNamespace(name="x", actions=(spec(),)), ("progression", "death"))
    assert planned(cohort, actions=given).to_dict() == declared.to_dict()
