"""Measures of classes: how well probabilities of C classes tell n patients apart, and how near they lie to the truth.

Arrays in; each measure is a value for each of M models with the influence of every patient (``Measured``), or a
sentence that says why there is none.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.discrimination import auc as auc_at_horizon
from osler.evaluation.estimate import Measured
from osler.evaluation.follow_up import FollowUp

__all__ = [
    "MEASURES",
    "RANGES",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "brier",
    "log_score",
    "one_vs_rest",
    "precision",
    "recall",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Measures of all classes together, in the order in which they are told.
MEASURES = ("auc", "accuracy", "balanced_accuracy", "brier", "log_score")
#: What values are possible, to which intervals are cut.
RANGES = {
    "auc": (0.0, 1.0),
    "auc_one_vs_rest": (0.0, 1.0),
    "accuracy": (0.0, 1.0),
    "balanced_accuracy": (0.0, 1.0),
    "recall": (0.0, 1.0),
    "precision": (0.0, 1.0),
    "brier": (0.0, 1.0),
    "log_score": (0.0, np.inf),
}
#: A class that was given no probability at all and happened has this one: its log score would be infinite.
_LEAST = 1e-12


def auc(label: Ints, probability: Floats, strata: Ints | None = None) -> Measured | str:
    """AUC; for many classes Hand and Till's M, the mean over pairs of classes. 0.5 is chance, higher is better.

    Args:
        label: (n,) codes 0 to C - 1.
        probability: (n, C, M) by M models.
        strata: (n,) codes; only patients of one stratum (a fold) are compared.

    For two classes the standard error is DeLong's. Hand DJ, Till RJ. Mach Learn 2001;45:171-186. DeLong ER, DeLong DM,
    Clarke-Pearson DL. Biometrics 1988;44:837-845.
    """
    n, models = len(label), probability.shape[2]
    value, influence, pairs = np.zeros(models), np.zeros((n, models)), 0
    for first, second in combinations(np.unique(label), 2):
        rows = np.flatnonzero((label == first) | (label == second))
        within = None if strata is None else strata[rows]
        for case in (first, second):
            found = _compared(label[rows] == case, probability[rows, case], within)
            if isinstance(found, str):
                return found
            value += found.value
            influence[rows] += found.influence * (n / len(rows))
            pairs += 1
    return Measured(value / pairs, influence / pairs) if pairs else "all patients are of one class"


def one_vs_rest(label: Ints, probability: Floats, code: int, strata: Ints | None = None) -> Measured | str:
    """AUC of the probability (n, M) of one class, for telling it from all others; arguments as for ``auc``."""
    return _compared(label == code, probability, strata)


def _compared(case: NDArray[np.bool_], risk: Floats, strata: Ints | None) -> Measured | str:
    """AUC with influences scaled so that, in one stratum, their sum of squares gives DeLong's variance."""
    counts = {True: int(case.sum()), False: int((~case).sum())}
    if min(counts.values()) == 0:
        return "all patients are of one class"
    found = auc_at_horizon(_known(case), np.ascontiguousarray(risk), 1.0, strata=strata)
    if isinstance(found, str):
        return "no fold holds patients of both classes"
    n = len(case)
    factor = {key: np.sqrt(m / max(m - 1, 1) * (n - 1) / n) for key, m in counts.items()}
    return Measured(found.value, found.influence * np.where(case, factor[True], factor[False])[:, None])


def _known(case: NDArray[np.bool_]) -> FollowUp:
    """Classes as follow-up: the class is an event at time 1; of everybody else it is known that none happened by 1."""
    return FollowUp(np.where(case, 1.0, 2.0), case.astype(np.int64), 1)


def accuracy(label: Ints, probability: Floats) -> Measured:
    """Share of patients whose most probable class is their own; higher is better. Arguments as for ``auc``."""
    return _mean((probability.argmax(axis=1) == label[:, None]).astype(float))


def balanced_accuracy(label: Ints, probability: Floats) -> Measured:
    """Mean over classes of the share found among their patients: what is common does not count more."""
    right = (probability.argmax(axis=1) == label[:, None]).astype(float)
    present = np.unique(label)
    value, influence = np.zeros(right.shape[1]), np.zeros(right.shape)
    for code in present:
        part = recall(label, probability, code)
        value += part.value / len(present)
        influence += part.influence / len(present)
    return Measured(value, influence)


def recall(label: Ints, probability: Floats, code: int) -> Measured:
    """Share of the patients of a class whose most probable class it is (sensitivity); higher is better."""
    mine = label == code
    return _share(
        (probability.argmax(axis=1) == code) & mine[:, None], np.repeat(mine[:, None], probability.shape[2], 1)
    )


def precision(label: Ints, probability: Floats, code: int) -> Measured:
    """Share of the patients whose most probable class it is who are of a class (predictive value); higher is better."""
    said = probability.argmax(axis=1) == code
    return _share(said & (label == code)[:, None], said)


def brier(label: Ints, probability: Floats) -> Measured:
    """Half the squared distance between probabilities and what was the case; 0 is best, 1 worst.

    For two classes this is the usual Brier score of either. Brier GW. Mon Weather Rev 1950;78:1-3.
    """
    truth = np.eye(probability.shape[1])[label]
    return _mean(((probability - truth[:, :, None]) ** 2).sum(axis=1) / 2)


def log_score(label: Ints, probability: Floats) -> Measured:
    """Mean negative logarithm of the probability of what was the case; 0 is best. Good IJ. J R Stat Soc B 1952;14."""
    given = probability[np.arange(len(label)), label]
    return _mean(-np.log(np.maximum(given, _LEAST)))


def _mean(values: Floats) -> Measured:
    value = values.mean(axis=0)
    return Measured(value, values - value)


def _share(hit: NDArray[np.bool_], among: NDArray[np.bool_]) -> Measured:
    """Hits (n, M) among those counted (n, M), as a ratio of means; NaN where nobody is counted."""
    share = among.mean(axis=0)
    safe = np.where(share > 0, share, np.nan)
    value = hit.mean(axis=0) / safe
    return Measured(value, (hit - value * among) / safe)
