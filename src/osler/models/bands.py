"""Bands: between which bounds a patient's own risk lies.

A predicted risk is the mean risk of all patients who look the same. The risk of one of them differs from it for four
reasons, whose variances (of the log hazard) are added:

- estimation: the posterior variance of the ridge path;
- disagreement of the models that are averaged;
- absent modalities: what they would have shown (``models/absence.py``);
- what is in no predictor of anybody (``residual_variance`` of ``models/heterogeneity.py``).

What is guaranteed. No band of an individual risk can be guaranteed from outcomes alone: a patient has the event or not,
and risks that differ within every group of equals give the same outcomes as risks that do not (Barber, Electron J Stat
2020;14:3487-3524). The first three variances are estimated from training data and the last from the shape of hazards in
time, under the assumptions told there; bands are calibrated as far as these hold. What is observed, the time to the
event, has intervals with a guarantee: see ``models/conformal.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.config import Question
from osler.models.conformal import EventTimes
from osler.models.hazard import FollowUp, follow_up
from osler.models.heterogeneity import residual_variance

__all__ = ["Bands", "risk_band", "scaled"]

Floats = NDArray[np.float64]

_LEVEL = 1.6449  # normal quantile of a 90 % band
_LEAST, _MOST = 1e-12, 1 - 1e-12
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_STEPS = 6  # of Newton: from the start below, errors are then far below any risk that is printed
_WIDEST = 4.0  # standard deviations of a log hazard beyond this are cut: the band is (0, 1) already


@dataclass(frozen=True, eq=False)
class Bands:
    """What was learned of the errors of a model, from predictions that never saw the patients they are of.

    Attributes:
        residual: (K,) variance of the log hazard of each cause that is in no predictor.
        times: bounds of the time to the first event.
    """

    residual: Floats
    times: EventTimes

    @classmethod
    def learn(
        cls,
        question: Question,
        asked: Landmark,
        seen: FollowUp,
        edges: Floats,
        proportional: Floats,
        variance: Floats,
        free: Floats,
    ) -> Self:
        """From R training rows at the landmarks asked, and what held-out models said of them.

        Args:
            question: landmarks, and the time grid (T,).
            asked: the rows, with their outcome.
            seen: their follow-up; exposures that count several times stand for rows left out.
            edges: of its bins.
            proportional: (R, K, B) log hazards whose effects do not change with time.
            variance: (R, K) known already: estimation, disagreement, absence.
            free: (R, T) probability of no event.
        """
        assert asked.outcome is not None
        own = follow_up(asked.outcome, edges)
        weight = seen.exposure.sum(axis=1) / own.exposure.sum(axis=1)
        residual = [
            residual_variance(proportional[:, k], variance[:, k], own, k + 1, asked.patient, weight)
            for k in range(variance.shape[1])
        ]
        stood_for = np.repeat(np.arange(len(weight)), np.diff(np.floor(np.cumsum(weight) + 0.5), prepend=0).astype(int))
        outcome, landmark = asked.outcome.take(stood_for), asked.time[stood_for]
        times = EventTimes.learn(free[stood_for], question.grid, outcome, landmark, question.landmarks)
        return cls(np.array(residual), times)

    def of(self, mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """Lower and upper 90 % band (R, K, T) of incidences ``mean``, of which ``variance`` is known already."""
        return risk_band(mean, variance + self.residual[:, None])

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {"residual": self.residual, "times": self.times.state()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(state["residual"], EventTimes.from_state(state["times"]))


def scaled(risk: Floats) -> Floats:
    """log(-log(1 - F)), on which a proportional change of a hazard is a shift."""
    return np.log(-np.log1p(-np.clip(risk, _LEAST, _MOST)))


def risk_band(mean: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Lower and upper (R, K, T), pointwise at 90 %, never excluding the mean.

    The own log(-log(1 - F)) of patients is normal with ``variance``, around the value that makes their mean risk
    ``mean``: as risks are skewed, that lies below the log(-log(1 - F)) of the mean.

    Args:
        mean: (R, K, T) incidence, never decreasing in T.
        variance: broadcastable to it; of log(-log(1 - F)).
    """
    spread = np.minimum(np.sqrt(variance), _WIDEST) + np.zeros_like(mean)
    centre = _centre(mean, spread)
    # A band whose width changes with time may turn back; incidence cannot.
    lower = np.maximum.accumulate(_risk(centre - _LEVEL * spread), axis=2)
    upper = np.maximum.accumulate(_risk(centre + _LEVEL * spread), axis=2)
    never = mean <= _LEAST
    lower, upper = np.where(never, 0.0, lower), np.where(never, 0.0, upper)
    return np.minimum(lower, mean), np.maximum(upper, mean)


def _centre(mean: Floats, spread: Floats) -> Floats:
    """Mean of a normal log(-log(1 - F)) whose F has the mean ``mean``; Newton's steps on the scale of the answer."""
    wanted = scaled(mean)
    centre = wanted - spread**2 / 2 * (1 - np.clip(mean, _LEAST, _MOST))
    for _ in range(_STEPS):
        hazard = [np.exp(np.clip(centre + spread * node, -40.0, 30.0)) for node in _NODES]
        reached = sum(weight * -np.expm1(-h) for h, weight in zip(hazard, _WEIGHTS, strict=True))
        slope = sum(weight * h * np.exp(-h) for h, weight in zip(hazard, _WEIGHTS, strict=True))
        reached = np.clip(reached, _LEAST, _MOST)
        rise = slope / ((1 - reached) * -np.log1p(-reached))  # derivative of scaled(reached)
        centre = centre - np.clip((scaled(reached) - wanted) / np.maximum(rise, 0.05), -1.0, 1.0)
    return centre


def _risk(value: Floats) -> Floats:
    return -np.expm1(-np.exp(np.minimum(value, 30.0)))
