"""Plan: the actions ranked for one patient, in absolute terms, with intervals, sources and warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm

from osler.cohort.cohort import Patient
from osler.errors import UsageError
from osler.models.base import RiskModel
from osler.planning.action import Action, Judgement, actions_of, last_known
from osler.planning.effect import apply_effects, scale_hazard
from osler.survival.curve import RiskCurve
from osler.units import days

__all__ = ["Interval", "Plan", "PlannedAction", "plan"]

Floats = NDArray[np.float64]
_TINY = 1e-9
#: Log hazard factors are looked for between minus and plus this.
_FURTHEST = 8.0


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; None is "no limit" or "undefined" (a number needed to treat)."""

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class PlannedAction:
    """What one action (or a pair) would do for the patient; the numbers are None when it is not for them.

    Attributes:
        risk_without, risk_with: absolute risk of the cause of interest within the horizon.
        reduction: their difference; positive is a benefit.
        nnt: number needed to treat to avert one event within the horizon; fewer is better.
        event_free_days_gained: days without any event gained within the horizon.
    """

    name: str
    source: str
    citation: str
    note: str
    eligible: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    risk_without: Interval | None = None
    risk_with: Interval | None = None
    reduction: Interval | None = None
    nnt: Interval | None = None
    event_free_days_gained: Interval | None = None


@dataclass(frozen=True)
class Plan:
    """Actions for one patient, the largest expected reduction first, then those that are not for them.

    Attributes:
        pseudonym: who; never an identifier.
        cause: the event of interest.
        landmark_days, horizon_days: moment of prediction, and how far ahead.
        risk: absolute risk without any action.
        actions, pairs: single actions, and pairs of those that are for this patient.
        verdict: in words; may say that no action is credibly better.
        level: of every interval.
    """

    pseudonym: str
    cause: str
    landmark_days: float
    horizon_days: float
    risk: Interval
    actions: tuple[PlannedAction, ...]
    pairs: tuple[PlannedAction, ...]
    verdict: str
    warnings: tuple[str, ...]
    level: float

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and text, as in schemas/plan.schema.json."""
        return _plain(asdict(self))


def plan(
    model: RiskModel,
    patient: Patient,
    at: float | str,
    *,
    horizon: float | str | None = None,
    actions: Sequence[Action] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    random_state: int = 0,
) -> Plan:
    """Absolute risk with and without each action for one patient.

    The published relative effect is applied to the predicted absolute risk. Intervals combine the effect's own
    uncertainty (log-normal, from its published interval) with the model's: its 90% band is read as a log-normal factor
    on the hazard of the cause of interest. Pairs multiply on the log scale, as if their effects were independent.

    Args:
        model: fitted.
        patient: at risk at ``at``.
        at: landmark, days or "6y".
        horizon: days ahead or "10y"; by default the model's longest.
        actions: by default those of the patient's manifest.
        draws: how many, of the uncertainty.
        level: of every interval.
        random_state: seed of the draws.

    Raises:
        UsageError: no action is declared, or the patient's follow-up ended before the landmark.
        BeyondSupport: the horizon lies past the model's curve.
    """
    curve = model.predict(patient, at)
    listed = actions_of(patient.cohort, curve.causes) if actions is None else tuple(actions)
    ahead = curve.horizon if horizon is None else days(horizon)
    person = _Person.of(curve, ahead, listed, draws=draws, level=level, random_state=random_state)
    schema_labels = {name: variable.label for name, variable in patient.cohort.variables.items()}
    known = last_known(patient.cohort.at(at))
    judged = [(action, action.judge(known, schema_labels)) for action in listed]

    singles = [_planned(person, (action,), judgement) for action, judgement in judged]
    able = [action for action, judgement in judged if judgement.eligible]
    pairs = [_planned(person, pair, Judgement(True)) for pair in combinations(able, 2)]
    singles.sort(key=_benefit, reverse=True)
    pairs.sort(key=_benefit, reverse=True)
    return Plan(
        pseudonym=patient.pseudonym,
        cause=curve.causes[0],
        landmark_days=curve.landmark,
        horizon_days=ahead,
        risk=person.interval(person.risk(person.incidence)),
        actions=tuple(singles),
        pairs=tuple(pairs),
        verdict=_verdict(singles),
        warnings=_warnings(curve, bool(pairs)),
        level=level,
    )


@dataclass(frozen=True)
class _Person:
    """One patient's curve as 1 + D draws (the first is the estimate itself), cut at the horizon."""

    times: Floats
    incidence: Floats
    normal: dict[str, Floats]
    level: float

    @classmethod
    def of(
        cls, curve: RiskCurve, horizon: float, actions: Sequence[Action], *, draws: int, level: float, random_state: int
    ) -> _Person:
        if len(curve) != 1:
            raise UsageError(f"a plan is for one patient at a landmark; {len(curve)} are at risk there")
        times = np.append(curve.times[curve.times < horizon - _TINY], horizon)
        causes = range(1, len(curve.causes) + 1)
        own = np.stack([curve.risk(times, cause)[0] for cause in causes])[None]
        rng = np.random.default_rng(random_state)
        centre, spread = _hazard_deviation(curve, own, horizon)
        factor = np.exp(np.append(0.0, centre + spread * rng.standard_normal(draws)))
        normal = {action.name: np.append(0.0, rng.standard_normal(draws)) for action in actions}
        return cls(times, scale_hazard(own, 0, factor), normal, level)

    def treated(self, actions: Sequence[Action]) -> Floats:
        values = [action.effect.draws(self.normal[action.name]) for action in actions]
        return apply_effects(self.incidence, [action.effect for action in actions], values)

    def risk(self, incidence: Floats) -> Floats:
        return incidence[:, 0, -1]

    def event_free_days(self, incidence: Floats) -> Floats:
        return np.trapezoid(1 - incidence.sum(axis=1), self.times, axis=1)

    def interval(self, values: Floats) -> Interval:
        lower, upper = np.quantile(values[1:], [0.5 - self.level / 2, 0.5 + self.level / 2])
        return Interval(float(values[0]), float(lower), float(upper))


def _hazard_deviation(curve: RiskCurve, own: Floats, horizon: float) -> tuple[float, float]:
    """Mean and standard deviation of the log hazard ratio, patient's own to predicted, that give the model's band.

    The band's ends at the horizon are met by multiplying the hazard of the cause of interest alone, competing causes as
    they are. The mean is below zero: a predicted risk is the mean of skewed risks, above their middle.
    """
    band = curve.band(horizon)
    if band is None:
        return 0.0, 0.0

    def factor(bound: float) -> float:
        def excess(log_factor: float) -> float:
            return float(scale_hazard(own, 0, np.exp([log_factor]))[0, 0, -1]) - bound

        low, high = excess(-_FURTHEST), excess(_FURTHEST)
        if low >= 0 or high <= 0:
            return -_FURTHEST if low >= 0 else _FURTHEST
        return float(brentq(excess, -_FURTHEST, _FURTHEST))

    risk = float(own[0, 0, -1])
    if risk <= _TINY:
        return 0.0, 0.0
    low, high = (factor(float(bound[0])) for bound in band)
    return (low + high) / 2, max(high - low, 0.0) / (2 * float(norm.ppf(0.5 + curve.level / 2)))


def _planned(person: _Person, actions: Sequence[Action], judgement: Judgement) -> PlannedAction:
    described = PlannedAction(
        name=" + ".join(action.name for action in actions),
        source=actions[0].source,
        citation="; ".join(dict.fromkeys(action.citation for action in actions)),
        note=" ".join(action.note for action in actions if action.note),
        eligible=judgement.eligible,
        reasons=judgement.reasons,
        warnings=judgement.warnings,
    )
    if not judgement.eligible:
        return described
    treated = person.treated(actions)
    without, with_it = person.risk(person.incidence), person.risk(treated)
    reduction = person.interval(without - with_it)
    gained = person.event_free_days(treated) - person.event_free_days(person.incidence)
    nnt, warning = _number_needed_to_treat(reduction)
    return replace(
        described,
        warnings=(*judgement.warnings, *warning),
        risk_without=person.interval(without),
        risk_with=person.interval(with_it),
        reduction=reduction,
        nnt=nnt,
        event_free_days_gained=person.interval(gained),
    )


def _number_needed_to_treat(reduction: Interval) -> tuple[Interval, tuple[str, ...]]:
    """One over the reduction; without an upper limit when no reduction is inside the interval (Altman, BMJ 1998)."""
    value, lower, upper = reduction.value, reduction.lower, reduction.upper
    assert value is not None
    assert lower is not None
    assert upper is not None
    if lower > _TINY:
        return Interval(1 / value, 1 / upper, 1 / lower), ()
    warning = ("The interval includes no benefit and harm: the number needed to treat has no upper limit.",)
    return Interval(1 / value if value > _TINY else None, 1 / upper if upper > _TINY else None, None), warning


def _benefit(planned: PlannedAction) -> float:
    return -np.inf if planned.reduction is None or planned.reduction.value is None else planned.reduction.value


def _verdict(singles: Sequence[PlannedAction]) -> str:
    able = [planned for planned in singles if planned.eligible]
    if not able:
        return "None of the declared actions is for this patient."
    credible = [p for p in able if p.reduction is not None and p.reduction.lower is not None and p.reduction.lower > 0]
    if not credible:
        return "No action is credibly better than none for this patient: every interval includes no benefit."
    best = credible[0]
    assert best.reduction is not None
    assert best.reduction.value is not None
    others = len(credible) - 1
    more = f" {others} further action{'s are' if others > 1 else ' is'} credibly better than none." if others else ""
    return (
        f"{best.name}: the largest expected benefit, {100 * best.reduction.value:.1f} fewer events per 100 such "
        f"patients if the published effect holds for them.{more}"
    )


def _warnings(curve: RiskCurve, pairs: bool) -> tuple[str, ...]:
    warnings = [
        "The relative effects come from other populations; that they hold for this patient is an assumption.",
        "The predicted risk is that of patients treated as the cohort was: who already has the treatment gains less.",
    ]
    if curve.lower is None:
        warnings.append("The model states no band for its risks: intervals hold the uncertainty of the effects only.")
    if pairs:
        warnings.append("Pairs assume that their effects are independent and multiply.")
    return tuple(warnings)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
