"""Effect: a relative effect with its uncertainty, applied to a patient's absolute risks.

A hazard ratio acts on the cause-specific hazard of one cause. With cumulative incidences F_k on a grid, the hazard of
cause k in interval j is taken from the curve, ``Lambda_j = -log(1 - sum_k dF_kj / S_{j-1})``, shared between causes as
their increments are; the hazard of the cause treated is multiplied, and the curve is put together again. That is exact
when hazards are constant within an interval, and the competing causes gain what the cause treated loses
(Putter, Fiocco, Geskus, Statistics in Medicine 2007;26:2389-2430).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

__all__ = ["Effect", "apply_effects", "scale_hazard"]

Floats = NDArray[np.float64]
#: A risk of one would have an infinite hazard; this is as near as doubles tell apart from one safely.
_NEARLY_ONE = 1 - 1e-12
#: Below this a step counts as none; quotients of it would overflow.
_NOTHING = 1e-200


@dataclass(frozen=True)
class Effect:
    """A published relative effect on one cause; below 1 the event becomes rarer.

    Attributes:
        cause: position of the cause among the curve's causes, from 0.
        measure: "hazard ratio", "risk ratio" or "odds ratio" (the last two act on the cumulative incidence).
        value, lower, upper: estimate and interval of level ``confidence``, all above 0.
    """

    cause: int
    measure: Literal["hazard ratio", "risk ratio", "odds ratio"]
    value: float
    lower: float
    upper: float
    confidence: float = 0.95

    @property
    def standard_error(self) -> float:
        """Of the logarithm, from the width of the interval."""
        return float(np.log(self.upper / self.lower) / (2 * norm.ppf(0.5 + self.confidence / 2)))

    def draws(self, normal: Floats) -> Floats:
        """(D,) effects: log-normal around ``value``, from (D,) standard normal numbers."""
        return self.value * np.exp(self.standard_error * normal)


def apply_effects(incidence: Floats, effects: Sequence[Effect], values: Sequence[Floats]) -> Floats:
    """Incidence (D, K, T) under effects whose drawn values are (D,) each; several multiply, as if independent.

    Ratios of hazards act first, on hazards; ratios of risks or odds then act on the cumulative incidence.
    """
    hazards = [(e, v) for e, v in zip(effects, values, strict=True) if e.measure == "hazard ratio"]
    risks = [(e, v) for e, v in zip(effects, values, strict=True) if e.measure != "hazard ratio"]
    changed = incidence
    for effect, value in hazards:
        changed = scale_hazard(changed, effect.cause, value)
    for effect, value in risks:
        changed = _scale_risk(changed, effect, value)
    return changed


def scale_hazard(incidence: Floats, cause: int, ratio: Floats) -> Floats:
    """Incidence (D, K, T) with the hazard of ``cause`` multiplied by ``ratio`` (D,); D may broadcast from 1."""
    steps = np.diff(incidence, axis=2)
    before = np.clip(1 - incidence.sum(axis=1)[:, :-1], 0, 1)
    total = steps.sum(axis=1)
    share = np.divide(steps, total[:, None], out=np.zeros_like(steps), where=total[:, None] > _NOTHING)
    chance = np.divide(total, before, out=np.zeros_like(total), where=before > _NOTHING)
    hazard = -np.log1p(-np.minimum(chance, _NEARLY_ONE))[:, None] * share
    factor = np.ones((len(ratio), incidence.shape[1], 1))
    factor[:, cause, 0] = ratio
    hazard = hazard * factor

    total = hazard.sum(axis=1)
    share = np.divide(hazard, total[:, None], out=np.zeros_like(hazard), where=total[:, None] > _NOTHING)
    survival = np.exp(-np.concatenate([np.zeros((len(total), 1)), np.cumsum(total, axis=1)], axis=1))
    steps = (survival[:, :-1] - survival[:, 1:])[:, None] * share
    start = np.zeros((len(steps), steps.shape[1], 1))
    return np.concatenate([start, np.cumsum(steps, axis=2)], axis=2)


def _scale_risk(incidence: Floats, effect: Effect, ratio: Floats) -> Floats:
    """Incidence with the risk or the odds of the effect's cause multiplied.

    Among those without that cause the share with each competing cause is kept, so that all causes and event-free
    still sum to one.
    """
    own = incidence[:, effect.cause]
    if effect.measure == "risk ratio":
        changed = np.minimum(own * ratio[:, None], 1.0)
    else:
        changed = own * ratio[:, None] / (1 - own + own * ratio[:, None])
    rest = np.divide(1 - changed, 1 - own, out=np.zeros_like(changed), where=own < 1)
    result = incidence * rest[:, None]
    result[:, effect.cause] = changed
    return _feasible(result)


def _feasible(target: Floats) -> Floats:
    """The risk curves (D, K, T) that follow ``target`` step by step, never fall, and never exceed one in sum.

    A harmful ratio thins the competing causes as time goes on: their incidence then pauses instead of falling.
    """
    curves = np.zeros_like(target)
    for j in range(1, target.shape[2]):
        before = curves[:, :, j - 1]
        wanted = np.maximum(target[:, :, j] - before, 0.0)
        left = np.maximum(1 - before.sum(axis=1), 0.0)
        total = wanted.sum(axis=1)
        share = np.minimum(np.divide(left, total, out=np.ones_like(total), where=total > _NOTHING), 1.0)
        curves[:, :, j] = before + wanted * share[:, None]
    return curves
