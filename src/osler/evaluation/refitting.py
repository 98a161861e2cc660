"""Refitting: how much a cross-validated measure would move if the models were fitted to other patients as well.

An influence function tells how a measure moves with the patients who are judged, for models that stay as they are. In
a cross-validation the models are drawn too, and share most of their training patients, so that their errors are
correlated. The corrected resampled variance of Nadeau and Bengio allows for that correlation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osler.evaluation.estimate import standard_error

__all__ = ["error_of", "refitted_error"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def error_of(influences: Floats, folds: Integers | None, clusters: Integers | None = None) -> Floats:
    """(C,) standard errors from influences (R, n, C): with folds (R, n) refitting included, without them not.

    Where a measure could be had in some repeats only, nothing is known of the variation between the models of folds.
    """
    if folds is None or len(influences) != len(folds):
        return standard_error(influences.mean(axis=0), clusters)
    return refitted_error(influences, folds, clusters)


def refitted_error(influences: Floats, folds: Integers, clusters: Integers | None = None) -> Floats:
    """(C,) standard errors of measures that are means over R repeats of a cross-validation, refitting included.

    Args:
        influences: (R, n, C) influence of every patient on each of C measures in each repeat.
        folds: (R, n) codes from 0: in which fold each patient was held out.
        clusters: (n,) codes of rows that belong together and lie in one fold.

    The variance is a sum of two. That of the patients judged comes from their influences, averaged over repeats: folds
    of one repeat share no patient, and what repeats share is in the average. That of fitting comes from the folds: the
    measure of fold j is, to first order, the pooled one plus the mean of the influences in it, and what J such measures
    vary beyond the chance of their own patients, t2, is the models'. As these share training patients, the variance of
    their mean is (1/J + n2/n1) t2, with n2 patients held out for n1 to learn from. Nadeau and Bengio correct the whole
    variance, because their test sets overlap; for folds, which do not, that makes errors up to twice what they are
    (``benchmarks/refitting.py`` compares). Never below the error for fixed models. A handful of folds tell t2 roughly:
    errors of five folds are uneven, those of several repeats less so.

    Nadeau C, Bengio Y. Mach Learn 2003;52:239-281. Bouckaert RR, Frank E. PAKDD 2004:3-12.
    """
    fixed = standard_error(influences.mean(axis=0), clusters)
    within, between = np.zeros(influences.shape[2]), np.zeros(influences.shape[2])
    count = degrees = 0
    for influence, fold in zip(influences, folds, strict=True):
        held = [np.flatnonzero(fold == j) for j in np.unique(fold)]
        held = [rows for rows in held if len(rows) > 1]
        if len(held) < 2:
            continue
        mean = np.stack([influence[rows].mean(axis=0) for rows in held])
        within += sum(_own_variance(influence[rows], None if clusters is None else clusters[rows]) for rows in held)
        between += ((mean - mean.mean(axis=0)) ** 2).sum(axis=0)
        count += len(held)
        degrees += len(held) - 1
    if not degrees:
        return fixed
    fitting = np.maximum(0.0, between / degrees - within / count)
    corrected = np.sqrt(fixed**2 + (1 / count + _share(folds)) * fitting)
    return np.where(fixed == 0, 0.0, corrected)


def _share(folds: Integers) -> float:
    """Patients held out over patients learned from, mean over folds: all that are not held out are learned from."""
    shares: list[float] = []
    for fold in folds:
        size = np.unique(fold, return_counts=True)[1]
        shares += list(size / np.maximum(len(fold) - size, 1))
    return float(np.mean(shares))


def _own_variance(influence: Floats, clusters: Integers | None) -> Floats:
    """(C,) variance of the mean of the influences of one fold, around that mean."""
    centred = influence - influence.mean(axis=0)
    codes = None if clusters is None else np.unique(clusters, return_inverse=True)[1].astype(np.int64)
    return np.asarray(np.nan_to_num(standard_error(centred, codes)) ** 2, dtype=float)
