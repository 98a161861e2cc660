"""Hazard trees: boosted trees for the hazard of every cause, grown on what the networks' heads are told.

The expected number of events of a row in an interval of time is its exposure times everybody's hazard; trees multiply
it, fitted by the Poisson likelihood (Friedman JH. Ann Stat 2001;29:1189-1232; Chen T, Guestrin C. KDD 2016:785-794).
They see the interval beside the row, so that effects may change with time. Where a linear predictor needs a name for
every bend and every interaction, trees find them; they are coarse where it is exact: the two err differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from osler.models.hazard import FollowUp, event_rates
from osler.models.trees import best_rounds, booster_from, raw_bytes, tree_parameters

__all__ = ["HazardTrees"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_INTERVALS = 4
_ROWS = 10_000  # about the most: trees are shown at fewer landmarks, the last one always among them
_LEAST_EVENTS = 15  # patients with an event
_DEPTH, _ETA = 2, 0.1
_METRIC = "poisson-nloglik"


@dataclass(frozen=True, eq=False)
class HazardTrees:
    """Trees of K causes.

    Attributes:
        base: (K, B) log hazards of everybody; -inf for a cause without events.
        interval: (B,) the interval that each bin lies in, from 0.
        boosters: of each cause; None where there are too few events to grow any.
    """

    base: Floats
    interval: Ints
    boosters: tuple[xgb.Booster | None, ...]

    @classmethod
    def fit(
        cls,
        inputs: Floats,
        seen: FollowUp,
        moment: Floats,
        patient: Ints,
        fold: Ints,
        n_causes: int,
        *,
        most: int,
        random_state: int,
    ) -> tuple[Self, Floats]:
        """Grow trees until those of the other folds no longer get better at predicting a fold.

        Args:
            inputs: (R, Q), finite.
            seen: follow-up of the rows.
            moment: (R,) landmark of the row.
            patient: (R,) position of the row's patient.
            fold: (n,) inner fold of every patient.
            n_causes: K.
            most: rounds; 0 grows none.
            random_state: seed of the rows and inputs that each tree sees.

        Returns:
            The trees, and (R, K, B) log hazards by trees that never saw the row's patient.
        """
        bins = seen.exposure.shape[1]
        interval = np.arange(bins) * min(_INTERVALS, bins) // bins
        base = event_rates(seen, n_causes)
        held_out = np.repeat(base[None], len(inputs), axis=0)
        moments = np.unique(moment)[::-1]
        shown = np.isin(moment, moments[:: int(np.ceil(len(inputs) / _ROWS))])
        boosters = []
        for k in range(n_causes):
            had = np.where(seen.cause == k + 1, interval[seen.bin], -1)
            booster = None
            if most and len(np.unique(patient[shown & (had >= 0)])) >= _LEAST_EVENTS:
                expected = (seen.exposure * np.exp(base[k])) @ (interval[:, None] == np.arange(interval[-1] + 1))
                booster, deviation = _grow(inputs, expected, had, shown, fold[patient], most, random_state)
                held_out[:, k] += deviation[:, interval]
            boosters.append(booster)
        return cls(base, interval, tuple(boosters)), held_out

    def log_hazard(self, inputs: Floats) -> Floats:
        """(R, K, B) log hazards of rows (R, Q)."""
        out = np.repeat(self.base[None], len(inputs), axis=0)
        for k, booster in enumerate(self.boosters):
            if booster is not None and len(inputs):
                out[:, k] += _deviation(booster, inputs, self.interval[-1] + 1)[:, self.interval]
        return out

    def state(self) -> dict[str, Any]:
        """Arrays and bytes."""
        return {"base": self.base, "interval": self.interval, "boosters": [raw_bytes(each) for each in self.boosters]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(state["base"], state["interval"], tuple(booster_from(raw) for raw in state["boosters"]))


def _grow(
    inputs: Floats, expected: Floats, had: Ints, shown: NDArray[np.bool_], fold: Ints, most: int, random_state: int
) -> tuple[xgb.Booster | None, Floats]:
    """Trees of one cause, and the (R, I) log factors of trees that did not see the row's patient.

    Args:
        inputs: (R, Q).
        expected: (R, I) events expected of the row in each interval.
        had: (R,) interval in which it had an event; -1 for none.
        shown: (R,) rows to learn from.
        fold: (R,).
        most: rounds.
        random_state: seed.
    """
    row, at = np.nonzero((expected > 0) & shown[:, None])
    Z, label, margin = np.column_stack([inputs[row], at]), (had[row] == at).astype(float), np.log(expected[row, at])
    parameters = tree_parameters(
        depth=_DEPTH,
        eta=_ETA,
        random_state=random_state,
        objective="count:poisson",
        eval_metric=_METRIC,
        min_child_weight=1,
    )

    def data(rows: NDArray[np.bool_]) -> xgb.DMatrix:
        return xgb.DMatrix(Z[rows], label=label[rows], base_margin=margin[rows])

    rounds, held_out = best_rounds(parameters, data, most, label > 0, fold[row])
    deviation = np.zeros(expected.shape)
    for out, booster in held_out:
        theirs = np.flatnonzero(fold == fold[row[out]][0])
        deviation[theirs] = _deviation(booster, inputs[theirs], expected.shape[1], rounds)
    return (xgb.train(parameters, data(np.ones(len(Z), dtype=bool)), rounds) if rounds else None), deviation


def _deviation(booster: xgb.Booster, inputs: Floats, intervals: int, rounds: int | None = None) -> Floats:
    """(R, I) log factors by which trees multiply the hazard; of all of them, or of the first ``rounds``."""
    last = booster.num_boosted_rounds() if rounds is None else min(rounds, booster.num_boosted_rounds())
    Z = np.column_stack([np.repeat(inputs, intervals, axis=0), np.tile(np.arange(intervals), len(inputs))])
    told = xgb.DMatrix(Z, base_margin=np.zeros(len(Z)))
    margin = booster.predict(told, output_margin=True, iteration_range=(0, last))
    return np.asarray(margin, dtype=float).reshape(-1, intervals)
