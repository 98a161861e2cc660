"""Absence: what the absence of a modality does to a hazard whose other columns are known.

The columns of an absent modality are set to what the others lead one to expect (``features/completion.py``). The mean
hazard is not the hazard of that mean patient: it is higher at first, as exp() is convex, and falls behind as those
with high hazards have their events. And the patient's own hazard may lie far from both. By how much is learned from
training patients who have the modality, by withholding it: nothing else is known of those who lack it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.features.completion import Completion
from osler.models.hazard import FollowUp, steps
from osler.models.hazard_ridge import CauseRidge
from osler.models.heterogeneity import marginal_log_hazards

__all__ = ["Absence", "Withheld"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FEWEST = 10  # rows with a modality at a landmark, from which its absence there is judged


@dataclass(frozen=True, eq=False)
class Withheld:
    """What absent modalities do to R rows, by cause: each (R, K).

    Attributes:
        variance: of the log hazard that the modalities would have shown.
        level: what their absence adds to the log of the mean hazard, less what it adds on average in training: the
            baseline was learned from patients some of whom lacked something.
        doubt: variance of the estimation of their effects.
    """

    variance: Floats
    level: Floats
    doubt: Floats

    def applied(self, log_hazard: Floats, edges: Floats) -> Floats:
        """(R, K, B) log hazards of the mean over what is absent."""
        return marginal_log_hazards(log_hazard + self.level[:, :, None], edges, self.variance)


@dataclass(frozen=True, eq=False)
class Absence:
    """By modality, landmark and cause: variance, level and doubt as in ``Withheld``.

    They are interpolated between landmarks, and those of several absent modalities are added. Where more than 5 % of
    the training rows lack a modality, its level is zero: its missing flag learned it.

    Attributes:
        blocks: M names.
        moments: (S,) landmarks in days, ascending.
        effects: (3, M, S, K): variance, level, doubt.
        average: (S, K) what the levels add to the log of the mean hazard of the training patients.
    """

    blocks: tuple[str, ...]
    moments: Floats
    effects: Floats
    average: Floats

    @classmethod
    def learn(
        cls,
        completion: Completion,
        columns: Floats,
        available: Mapping[str, Mask],
        time: Floats,
        moments: Sequence[float],
        seen: FollowUp,
        edges: Floats,
        causes: Sequence[CauseRidge],
    ) -> Self:
        """Withhold one modality after another from training rows.

        Args:
            completion: fitted on these rows.
            columns: (R, P), completed.
            available: modality -> (R,).
            time: (R,) landmark of each row.
            moments: landmarks at which to look; those without rows enough are passed over.
            seen: follow-up of the rows.
            edges: of its bins.
            causes: the ridge path.
        """
        blocks = tuple(name for name in completion.blocks if name in available)
        found = np.zeros((3, len(blocks), len(moments), len(causes)))
        for m, name in enumerate(blocks):
            without = completion.without(columns, available, name)
            for s, moment in enumerate(moments):
                rows = np.flatnonzero(available[name] & (time == moment))
                for k, cause in enumerate(causes):
                    effect = _effect(cause, columns[rows], without[rows], seen.take(rows), edges)
                    found[:, m, s, k] = effect if name not in completion.learned else (effect[0], 0.0, effect[2])
        absence = cls(blocks, np.asarray(moments, dtype=float), _filled(found), np.zeros((len(moments), len(causes))))
        return replace(absence, average=absence._added(columns, available, time, seen, edges, causes))

    def _added(
        self,
        columns: Floats,
        available: Mapping[str, Mask],
        time: Floats,
        seen: FollowUp,
        edges: Floats,
        causes: Sequence[CauseRidge],
    ) -> Floats:
        """(S, K) log of the events expected of the training rows with the levels, over those without."""
        out = np.zeros_like(self.average)
        for s, moment in enumerate(self.moments):
            rows = np.flatnonzero(time == moment)
            absent = self.of(available, time, rows)
            plain = np.stack([cause.log_hazard(columns[rows], steps(edges)) for cause in causes], axis=1)
            exposure = seen.exposure[rows][:, None]
            before = (exposure * np.exp(plain)).sum(axis=(0, 2))
            after = (exposure * np.exp(absent.applied(plain, edges))).sum(axis=(0, 2))
            there = before > 0
            out[s, there] = np.log(after[there] / before[there])
        return out

    def of(self, available: Mapping[str, Mask], time: Floats, rows: Ints) -> Withheld:
        """What is absent from some ``rows`` of those with landmarks ``time`` does to them."""
        here, K = time[rows], self.effects.shape[3]
        out = np.zeros((3, len(rows), K))
        for k in range(K if self.average.any() else 0):
            out[1, :, k] -= np.interp(here, self.moments, self.average[:, k])
        for m, name in enumerate(self.blocks):
            lacking = np.flatnonzero(~available[name][rows])
            for part in range(3):
                for k in range(K if len(lacking) else 0):
                    out[part, lacking, k] += np.interp(here[lacking], self.moments, self.effects[part, m, :, k])
        return Withheld(*out)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        learned = {"effects": self.effects, "average": self.average}
        return {"blocks": list(self.blocks), "moments": self.moments, **learned}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(tuple(state["blocks"]), state["moments"], state["effects"], state["average"])


def _effect(
    cause: CauseRidge, known: Floats, without: Floats, seen: FollowUp, edges: Floats
) -> tuple[float, float, float]:
    """Variance, level and doubt of one cause: rows as they are against the same rows without the modality."""
    if len(known) < _FEWEST:
        return np.nan, np.nan, np.nan
    if np.isneginf(cause.alpha).all():
        return 0.0, 0.0, 0.0
    full, rest = cause.log_hazard(known, steps(edges)), cause.log_hazard(without, steps(edges))
    variance = float((full - rest).mean(axis=1).var())
    doubt = max(float((cause.variance(known) - cause.variance(without)).mean()), 0.0)
    level = 0.0
    for _ in range(3):
        blurred = marginal_log_hazards((rest + level)[:, None], edges, np.full((len(rest), 1), variance))[:, 0]
        expected = (seen.exposure * np.exp(full)).sum()
        level += float(np.log(expected / max(float((seen.exposure * np.exp(blurred)).sum()), 1e-300)))
    return variance, level, doubt


def _filled(effects: Floats) -> Floats:
    """Landmarks that were passed over are as the nearest that was not; nothing is known where all were."""
    out = effects.copy()
    for m in range(out.shape[1]):
        known = np.flatnonzero(np.isfinite(out[0, m, :, 0]))
        for s in np.flatnonzero(np.isnan(out[0, m, :, 0])):
            out[:, m, s] = out[:, m, known[np.argmin(np.abs(known - s))]] if len(known) else 0.0
    return out
