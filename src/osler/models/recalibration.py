"""Recalibration: the slope and level that held-out predictions of a hazard lack, where that is shown.

A log hazard ``x`` of cause k becomes ``centre + shift + slope (x - centre)``: slope 1 and shift 0 are right already; a
slope below 1 draws predictions together that were too far apart. Cox DR. Biometrika 1958;45:562-565, on hazards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.models.hazard import FollowUp

__all__ = ["HazardRecalibration"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SHOWN = 2.0  # standard errors by which left-out patients must be predicted better
_NEWTON, _LARGEST = 25, 30.0
_SLOPES = (0.2, 3.0)


@dataclass(frozen=True, eq=False)
class HazardRecalibration:
    """By cause, each (K,): centre, shift and slope."""

    centre: Floats
    shift: Floats
    slope: Floats

    @classmethod
    def learn(cls, log_hazard: Floats, seen: FollowUp, patient: Ints, fold: Ints) -> Self:
        """From predictions that never saw the patients they are of.

        A cause is recalibrated only where slope and shift learned from the other folds predict the patients of a fold
        better than they are predicted without, by two standard errors over patients.

        Args:
            log_hazard: (R, K, B) held-out.
            seen: follow-up of the rows.
            patient: (R,) whose row it is.
            fold: (R,) of the patient.
        """
        K = log_hazard.shape[1]
        found = cls(np.zeros(K), np.zeros(K), np.ones(K))
        for k in range(K):
            x, event = log_hazard[:, k], (seen.cause == k + 1).astype(float)
            if not event.any() or not np.isfinite(x).all():
                continue
            centre = float(np.average(x, weights=seen.exposure))
            found.centre[k] = centre
            gain = np.zeros(len(x))
            for out in np.unique(fold):
                inside, outside = fold != out, fold == out
                theta = _fitted(x[inside] - centre, seen.take(inside), event[inside], centre)
                mine = x[outside] - centre, seen.take(outside), event[outside], centre
                gain[outside] = _likelihood(*mine, theta) - _likelihood(*mine, np.array([0.0, 1.0]))
            each = np.bincount(patient, weights=gain)
            if each.sum() > _SHOWN * np.sqrt(((each - each.mean()) ** 2).sum()):
                found.shift[k], found.slope[k] = _fitted(x - centre, seen, event, centre)
        return found

    def applied(self, log_hazard: Floats) -> Floats:
        """(R, K, B) of predictions made likewise."""
        centre, shift, slope = (part[:, None] for part in (self.centre, self.shift, self.slope))
        with np.errstate(invalid="ignore"):
            moved = centre + shift + slope * (log_hazard - centre)
        return np.where((slope == 1) & (shift == 0), log_hazard, moved)

    def state(self) -> dict[str, Any]:
        """Arrays."""
        return {"centre": self.centre, "shift": self.shift, "slope": self.slope}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(state["centre"], state["shift"], state["slope"])


def _expected(x: Floats, seen: FollowUp, centre: float, theta: Floats) -> Floats:
    return seen.exposure * np.exp(np.minimum(centre + theta[0] + theta[1] * x, _LARGEST))


def _likelihood(x: Floats, seen: FollowUp, event: Floats, centre: float, theta: Floats) -> Floats:
    """(R,) log-likelihood of the rows at a shift and a slope."""
    at_event = centre + theta[0] + theta[1] * x[np.arange(len(x)), seen.bin]
    return event * at_event - _expected(x, seen, centre, theta).sum(axis=1)


def _fitted(x: Floats, seen: FollowUp, event: Floats, centre: float) -> Floats:
    """Shift and slope of the largest likelihood, by Newton's steps; one event is lent to none and to a slope of one."""
    theta, at_event = np.array([0.0, 1.0]), x[np.arange(len(x)), seen.bin]
    for _ in range(_NEWTON):
        expected = _expected(x, seen, centre, theta)
        away = theta - np.array([0.0, 1.0])
        gradient = np.array([event.sum() - expected.sum(), event @ at_event - (expected * x).sum()]) - away
        mixed = (expected * x).sum()
        hessian = np.array([[expected.sum(), mixed], [mixed, (expected * x * x).sum()]]) + np.eye(2)
        step = np.clip(np.linalg.solve(hessian, gradient), -0.5, 0.5)
        theta = theta + step
        theta[1] = np.clip(theta[1], *_SLOPES)
        if np.abs(step).max() < 1e-9:
            break
    return theta
