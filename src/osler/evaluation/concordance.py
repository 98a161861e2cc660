"""Concordance: of two patients, does the one whose event comes first have the higher predicted risk?"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp

__all__ = ["concordance"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def concordance(follow_up: FollowUp, risk: Floats, horizon: float, *, weighted: bool = True) -> Measured | str:
    """C-index of predicted risks, of events up to the horizon; 0.5 is chance, higher is better.

    A pair counts when one patient has the event of interest by the horizon and the other is still free of any event
    then, or has had a competing event before (and so will never have the event of interest). Equal risks count a half.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, M) risks predicted by M models, higher meaning an earlier event.
        horizon: days since the landmark; later events do not count.
        weighted: by inverse probability of censoring (Uno's C, which does not depend on the censoring; with competing
            events Wolbers'), or not (Harrell's C).

    Returns:
        Values and influences, those of the estimated weights included; or, in words, why there is none. O(n log n).

    Harrell FE et al. JAMA 1982;247:2543-2546. Uno H et al. Stat Med 2011;30:1105-1117. Wolbers M et al. Biostatistics
    2014;15:526-539.
    """
    case = (follow_up.event == follow_up.cause) & (follow_up.time <= horizon)
    rival = (follow_up.event > 0) & (follow_up.event != follow_up.cause)
    if not case.any():
        return "no event of interest by the horizon"
    own = 1.0 / follow_up.censoring(follow_up.time, left_limit=True) if weighted else np.ones(len(follow_up))
    _, moment = np.unique(follow_up.time, return_inverse=True)
    later = _Pairs(case, 2 * moment, own**2, np.ones(len(case), bool), 2 * moment + (follow_up.event == 0), None)
    before = _Pairs(case, -2 * moment - 1, own, rival, -2 * moment, own)
    value, influence = np.empty(risk.shape[1]), np.empty_like(risk)
    for m in range(risk.shape[1]):
        _, rank = np.unique(risk[:, m], return_inverse=True)
        parts = [pairs.count(rank) for pairs in (later, before)]
        total = sum(float(part.total_first.sum()) for part in parts)
        if total == 0:
            return "no two patients can be compared"
        value[m] = sum(float(part.won_first.sum()) for part in parts) / total
        score = np.zeros(len(case))
        weights = np.zeros(len(case))
        for part, powers in zip(parts, ((2, 0), (1, 1)), strict=True):
            first = part.won_first - value[m] * part.total_first
            second = part.won_second - value[m] * part.total_second
            score += first + second
            weights += powers[0] * first + powers[1] * second
        adjusted = follow_up.censoring_term(weights, horizon) if weighted else 0.0
        influence[:, m] = (score + adjusted) * len(case) / total
    return Measured(value, influence)


class _Counted:
    """Weighted pairs of every patient as the one whose event comes first, and as the other."""

    def __init__(self, won_first: Floats, total_first: Floats, won_second: Floats, total_second: Floats) -> None:
        self.won_first, self.total_first = won_first, total_first
        self.won_second, self.total_second = won_second, total_second


class _Pairs:
    """All pairs of a first and a second patient with key(second) > key(first)."""

    def __init__(
        self,
        first: NDArray[np.bool_],
        first_key: Integers,
        first_weight: Floats,
        second: NDArray[np.bool_],
        second_key: Integers,
        second_weight: Floats | None,
    ) -> None:
        self.n = len(first)
        self.first, self.second = np.flatnonzero(first), np.flatnonzero(second)
        self.first_key, self.second_key = first_key[self.first], second_key[self.second]
        self.first_weight = first_weight[self.first]
        self.second_weight = np.ones(len(self.second)) if second_weight is None else second_weight[self.second]
        self.first_order = np.argsort(-self.first_key, kind="stable")
        self.second_order = np.argsort(-self.second_key, kind="stable")

    def count(self, rank: Integers) -> _Counted:
        """Pairs won (higher rank of the first; a half for equal ones) and all pairs, for both roles."""
        a, b = self.first[self.first_order], self.second[self.second_order]
        ka, kb = self.first_key[self.first_order], self.second_key[self.second_order]
        wa, wb = self.first_weight[self.first_order], self.second_weight[self.second_order]
        size = int(rank.max()) + 1
        won_a, total_a = _below(ka, rank[a], kb, rank[b], wb, size)
        flip = slice(None, None, -1)
        won_b, total_b = _below(
            -kb[flip], size - 1 - rank[b][flip], -ka[flip], size - 1 - rank[a][flip], wa[flip], size
        )
        out = [np.zeros(self.n) for _ in range(4)]
        out[0][a], out[1][a] = wa * won_a, wa * total_a
        out[2][b], out[3][b] = wb * won_b[flip], wb * total_b[flip]
        return _Counted(*out)


@njit(cache=True)
def _below(
    query_key: Integers, query_rank: Integers, key: Integers, rank: Integers, weight: Floats, size: int
) -> tuple[Floats, Floats]:
    """For each query the weight of items with a higher key: of lower rank (a half of equal ones), and of any.

    Queries and items come in falling order of key. A Fenwick tree over ranks holds the items seen so far.
    """
    tree, same = np.zeros(size + 1), np.zeros(size)
    won, total = np.zeros(len(query_key)), np.zeros(len(query_key))
    seen, added = 0, 0.0
    for q in range(len(query_key)):
        while seen < len(key) and key[seen] > query_key[q]:
            added += weight[seen]
            same[rank[seen]] += weight[seen]
            i = rank[seen] + 1
            while i <= size:
                tree[i] += weight[seen]
                i += i & -i
            seen += 1
        lower, i = 0.0, query_rank[q]
        while i > 0:
            lower += tree[i]
            i -= i & -i
        won[q], total[q] = lower + 0.5 * same[query_rank[q]], added
    return won, total
