"""Concordance: of two patients, does the one whose event comes first have the higher predicted risk?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.arguments import checked_outcomes
from osler.evaluation.counting import Lineup, pairs_won, weigh_pairs
from osler.evaluation.estimate import Measured, halved_within
from osler.evaluation.follow_up import FollowUp

__all__ = ["concordance", "concordance_index"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]
#: Pairs with weights of their own are visited one by one, for so many patients at most.
_MOST_BY_PAIR = 20_000
_NO_PAIR = "no two patients can be compared"


def concordance_index(
    time: ArrayLike, event: ArrayLike, risk: ArrayLike, *, cause: int = 1, horizon: float | None = None
) -> float:
    """Harrell's C: the share of comparable pairs in which the earlier event has the higher risk; 0.5 is chance.

    A pair is comparable when one patient has the event of interest and the other is then free of any event (one
    censored at that very time counts as free), or has a competing event at any time and so never has the event of
    interest. Equal risks count a half. The value alone, quickly: with its interval it is
    ``concordance(..., weighted=False)``.

    Args:
        time: (n,) days to the first event or the end of follow-up, above 0.
        event: (n,) 0 censored, 1.. causes; or whether there was an event.
        risk: (n,) predicted risks or scores, higher meaning an earlier event.
        cause: code of the event of interest.
        horizon: days; later events of interest do not count as such. None: all count.

    Returns:
        From 0 to 1, higher is better; NaN when no two patients can be compared. O(n log n), O(n) memory.

    Raises:
        UsageError: arrays do not fit together, or hold what cannot be a time, an event code or a risk.

    Harrell FE et al. JAMA 1982;247:2543-2546. Wolbers M et al. Epidemiology 2009;20:555-561.
    """
    moments, codes = checked_outcomes(time, event, cause)
    scores = np.ascontiguousarray(risk, dtype=float)
    if scores.shape != moments.shape:
        raise UsageError(f"risk has shape {scores.shape}; expected one number for each of {len(moments)} patients")
    missing = int(np.isnan(scores).sum())
    if missing:
        raise UsageError(f"risk is missing for {missing} of {len(scores)} patients; expected a number for everybody")
    case = codes == cause
    line = _outlasting(moments, codes, cause)
    first = (case if horizon is None else case & (moments <= horizon))[line.rows]
    pairs = float(_after(line)[first].sum())
    return pairs_won(line, line.ranked(scores), first) / pairs if pairs else float("nan")


def concordance(
    follow_up: FollowUp, risk: Floats, horizon: float, *, weighted: bool = True, strata: Integers | None = None
) -> Measured | str:
    """C-index of predicted risks, of events up to the horizon; 0.5 is chance, higher is better.

    A pair counts when one patient has the event of interest by the horizon and the other is still free of any event
    then, or has had a competing event before (and so will never have the event of interest). Equal risks count a half.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks predicted by M models, higher meaning an earlier event.
        horizon: days since the landmark; later events do not count.
        weighted: by inverse probability of censoring (Uno's C, which does not depend on the censoring; with competing
            events Wolbers'), or not (Harrell's C).
        strata: (n,) codes; only pairs within a stratum are compared. Out-of-fold predictions come from several models:
            compared across folds, a model that knows nothing falls below 0.5.

    Returns:
        Values and influences, those of the estimated weights included; or, in words, why there is none. O(n log n).
        Where censoring depends on covariates a pair weighs 1/(G(T_i- | x_i) G(T_i- | x_j)): that takes every pair, is
        given for at most 20,000 patients, and its influences take the weights as known.

    Harrell FE et al. JAMA 1982;247:2543-2546. Uno H et al. Stat Med 2011;30:1105-1117. Gerds TA et al. Stat Med
    2013;32:2173-2184. Wolbers M et al. Biostatistics 2014;15:526-539.
    """
    case = (follow_up.event == follow_up.cause) & (follow_up.time <= horizon)
    if not case.any():
        return "no event of interest by the horizon"
    parts = [np.arange(len(case))] if strata is None else [np.flatnonzero(strata == code) for code in np.unique(strata)]
    if weighted and follow_up.conditional:
        return _by_pair(follow_up, risk, case, strata)
    found = [_Pairs(follow_up, case, weighted, rows) for rows in parts if case[rows].any()]
    total = sum(pairs.total for pairs in found)
    if total == 0:
        return _NO_PAIR
    value = np.empty(risk.shape[1])
    score, powered = np.zeros(risk.shape), np.zeros(risk.shape)
    for m in range(risk.shape[1]):
        counted = [pairs.count(risk[pairs.patients, m]) for pairs in found]
        value[m] = sum(each.won for each in counted) / total
        for pairs, each in zip(found, counted, strict=True):
            score[pairs.patients, m], powered[pairs.patients, m] = pairs.scores(each, value[m])
    score = halved_within(score, strata)
    if weighted:
        score += follow_up.censoring_term(powered, horizon)
    return Measured(value, score * (len(follow_up) / total))


@dataclass(frozen=True, eq=False)
class _Counted:
    """Pairs of one model's risks, by place in line: won as the case and as the other one, and with earlier rivals."""

    won: float
    lower: Floats
    higher: Floats
    across: Floats


class _Pairs:
    """The comparable pairs of some patients: the weight of the case's moment or, for earlier rivals, of both moments.

    Attributes:
        patients: (p,) positions.
        total: weight of all pairs.
    """

    def __init__(self, follow_up: FollowUp, case: Mask, weighted: bool, patients: Integers) -> None:
        self.patients = patients
        time, event, case = follow_up.time[patients], follow_up.event[patients], case[patients]
        rival = (event > 0) & (event != follow_up.cause)
        self.rivals = weighted and bool(rival.any())
        if weighted:
            self.line, own = Lineup(time, event > 0), follow_up.own_weight[patients]
        else:
            self.line, own = _outlasting(time, event, follow_up.cause), np.ones(len(patients))
        rows, here = self.line.rows, self.line.start[self.line.moment]
        weight = np.where(case, own, 0.0)
        mine = weight[rows]
        # By place in line. Of the pairs with patients later in line: how many, and their weight as the other one.
        self.square = mine**2
        self.later = np.where(mine > 0, _after(self.line), 0)
        self.earlier = _running(self.square)[here]
        self.total = float((self.square * self.later).sum())
        self.weight = mine
        if self.rivals:
            other = np.where(rival, own, 0.0)[rows]
            before, cases = _running(other), _running(mine)
            self.weight = mine - other
            self.across = np.where(mine > 0, before[self.line.start[self.line.moment + 1]], cases[-1] - cases[here])
            self.total += float((mine * self.across).sum())

    def count(self, risk: Floats) -> _Counted:
        """Pairs won by the (p,) risks of one model."""
        lower, higher, across = weigh_pairs(
            self.line, self.line.ranked(risk), self.weight, self.square, rivals=self.rivals
        )
        won = float((self.square * lower).sum())  # a product of vectors would start threads
        if self.rivals:
            won += float((np.maximum(self.weight, 0.0) * across).sum())
        return _Counted(won, lower, higher, across)

    def scores(self, counted: _Counted, c: float) -> tuple[Floats, Floats]:
        """(p,) by patient, the sum over pairs of weight x (won - C), and the same x powers of 1/G."""
        first = self.square * (counted.lower - c * self.later)
        second = counted.higher - c * self.earlier
        both = np.abs(self.weight) * (counted.across - c * self.across) if self.rivals else 0.0
        score, powered = np.empty(len(self.patients)), np.empty(len(self.patients))
        score[self.line.rows] = first + second + both
        powered[self.line.rows] = 2 * first + both
        return score, powered


def _outlasting(time: Floats, event: Integers, cause: int) -> Lineup:
    """The line in which those with a competing event, who never have the event of interest, outlast everybody."""
    rival = (event > 0) & (event != cause)
    return Lineup(np.where(rival, np.inf, time) if rival.any() else time, event == cause)


def _after(line: Lineup) -> Integers:
    """(n,) by place, how many are later in line than everybody of its moment."""
    return len(line) - line.start[line.moment + 1].astype(np.int64)


def _running(values: Floats) -> Floats:
    """(n + 1,) sums of the first 0, 1, .. n values."""
    return np.concatenate([[0.0], np.cumsum(values)])


def _by_pair(follow_up: FollowUp, risk: Floats, case: Mask, strata: Integers | None) -> Measured | str:
    """The C-index with weights of each pair's own."""
    n = len(follow_up)
    if n > _MOST_BY_PAIR:
        return (
            "a C-index with conditional censoring weights needs every pair of patients; it is given for at most "
            f"{_MOST_BY_PAIR:,} patients"
        )
    won, total = np.zeros(risk.shape), np.zeros(n)
    rival = (follow_up.event > 0) & (follow_up.event != follow_up.cause)
    outcomes = follow_up.time, follow_up.event == 0, rival, follow_up.own_weight
    risks, codes = np.ascontiguousarray(risk), np.zeros(n, dtype=np.int64) if strata is None else strata
    for moment in np.unique(follow_up.time[case]):
        at = np.flatnonzero(case & (follow_up.time == moment))
        _add_pairs(at, moment, *outcomes, follow_up.weight_at(float(moment)), codes, risks, won, total)
    if not total.any():
        return _NO_PAIR
    value = won.sum(axis=0) / total.sum()
    return Measured(value, halved_within((won - value * total[:, None]) * (2 * n / total.sum()), strata))


@njit(cache=True)
def _add_pairs(
    cases: Integers,
    moment: float,
    time: Floats,
    censored: Mask,
    rival: Mask,
    own: Floats,
    weight: Floats,
    strata: Integers,
    risk: Floats,
    won: Floats,
    total: Floats,
) -> None:  # pragma: no cover (compiled)
    """Add the pairs of the cases of one moment to what both patients win and to the weight of their pairs."""
    for i in cases:
        for j in range(len(time)):
            if strata[j] != strata[i]:
                continue
            if time[j] > moment or (time[j] == moment and censored[j]):
                pair = own[i] * weight[j]
            elif rival[j]:
                pair = own[i] * own[j]
            else:
                continue
            total[i] += pair
            total[j] += pair
            for m in range(risk.shape[1]):
                if risk[i, m] > risk[j, m]:
                    won[i, m] += pair
                    won[j, m] += pair
                elif risk[i, m] == risk[j, m]:
                    won[i, m] += 0.5 * pair
                    won[j, m] += 0.5 * pair
