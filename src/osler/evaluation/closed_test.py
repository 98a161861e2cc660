"""Closed test: how much updating do the data of new patients ask for, and no more?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import chi2

from osler.evaluation.follow_up import FollowUp
from osler.evaluation.smooth import pseudo_values
from osler.evaluation.updating import METHODS, Method, RiskMap, design, estimating_parts, fit_map

__all__ = ["TEST_COLUMNS", "Recommendation", "closed_test", "recommend"]

Floats = NDArray[np.float64]
TEST_COLUMNS = ("landmark", "horizon", "method", "against", "statistic", "df", "p", "note")
_EDGE = 1e-6


@dataclass(frozen=True)
class Recommendation:
    """How much to update.

    Attributes:
        method: the simplest method that is not rejected in favour of the richest.
        p: for each method that was tested, in their order: its p-value over all cells, adjusted for their number.
        level: below it a method is rejected.
        cells: how many landmarks and horizons were tested.
    """

    method: Method
    p: dict[Method, float]
    level: float
    cells: int


def closed_test(follow_up: FollowUp, risk: Floats, horizon: float, *, landmark: float = 0.0) -> pd.DataFrame:
    """Test each method of updating within the richest that these patients can bear, at one horizon.

    Args:
        follow_up: outcomes of n patients.
        risk: (n,) risks of the event of interest by the horizon.
        horizon: days since the landmark.
        landmark: days from the time origin; a label of the rows.

    Returns:
        One row per method simpler than the richest, in the order in which a closed procedure reads them: landmark,
        horizon, method, against, statistic, df, p, note. A small p: the method leaves something that the richer one
        mends. When nothing can be fitted there is one row, of "as_is", whose p is missing and whose note says why.

    The order of the tests is that of the closed procedure. They are generalised score tests, for pseudo-observations
    have no likelihood. The variance of a pseudo-observation is taken from the method tested, as a quadratic of its risk
    that is fitted to the squared residuals: single residuals would make it far too small where events are rare.

    Vergouwe Y et al. Stat Med 2017;36:4529-4539. Boos DD. Am Stat 1992;46:327-333.
    """
    richest, why = None, ""
    for method in METHODS[:0:-1]:
        fitted = fit_map(follow_up, risk, horizon, method)
        if isinstance(fitted, RiskMap):
            richest = fitted
            break
        why = fitted
    if richest is None:
        row = (landmark, horizon, METHODS[0], "", np.nan, 0, np.nan, why)
        return pd.DataFrame([row], columns=list(TEST_COLUMNS))
    rows = []
    for method in METHODS[: METHODS.index(richest.method)]:
        null = fit_map(follow_up, risk, horizon, method)
        if isinstance(null, str):
            continue
        statistic, df = _score_test(follow_up, risk, horizon, null, richest)
        p = float(chi2.sf(statistic, df))
        rows.append((landmark, horizon, method, richest.method, statistic, df, p, ""))
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS))


def recommend(tests: Sequence[pd.DataFrame] | pd.DataFrame, *, level: float = 0.05) -> Recommendation:
    """The simplest method that no landmark and horizon rejects, with p-values adjusted for their number (Bonferroni).

    The first method is tested in every cell; when one cell rejects it the next is tested, and so on. The procedure is
    closed: whatever the truth, a method that suffices is rejected with a probability of at most ``level``.
    A method richer than all that could be fitted is never recommended; with no test at all risks stay as they are.
    """
    table = tests if isinstance(tests, pd.DataFrame) else pd.concat(list(tests), ignore_index=True)
    table = table[table["p"].notna()]
    cells = len(table[["landmark", "horizon"]].drop_duplicates())
    adjusted: dict[Method, float] = {}
    for method in METHODS[:-1]:
        here = table[table["method"] == method]
        if not len(here):
            break
        adjusted[method] = min(1.0, cells * float(here["p"].min()))
        if adjusted[method] > level:
            return Recommendation(method, adjusted, level, cells)
    richest = table["against"].map(METHODS.index).max() if len(table) else 0
    return Recommendation(METHODS[int(richest)], adjusted, level, cells)


def _score_test(
    follow_up: FollowUp, risk: Floats, horizon: float, null: RiskMap, richest: RiskMap
) -> tuple[float, int]:
    """Score statistic of a map within a richer family, and its degrees of freedom."""
    risk = np.clip(risk, _EDGE, 1 - _EDGE)
    x = np.log(-np.log1p(-risk))
    X = np.ones((len(x), 1)) if richest.method == "in_the_large" else design(x, richest.knots)
    seen, eta = pseudo_values(follow_up, horizon), x + null.shift(risk)
    score, slope = estimating_parts(X, eta, seen)
    m = X.shape[1] - 1
    # Directions in which the null was fitted: none, the shift, or the shift and one slope common to all knots.
    fitted = {"as_is": 0, "in_the_large": 1, "slope": 2}[null.method]
    along = np.column_stack([np.r_[1.0, np.zeros(m)], np.r_[0.0, np.ones(m)]])[:, :fitted]
    across = _complement(along)
    project = across.T
    if fitted:
        bread = slope @ along
        project = across.T - across.T @ bread @ np.linalg.solve(along.T @ bread, along.T)
    variance = (X * _variances(seen, null.apply(risk))[:, None]).T @ X
    total, spread = project @ score.sum(axis=0), project @ variance @ project.T
    return float(total @ np.linalg.solve(spread, total)), len(total)


def _variances(seen: Floats, p: Floats) -> Floats:
    """(n,) variances of pseudo-observations around their risks, as a quadratic that is nowhere negative."""
    basis = np.column_stack([p * (1 - p), p**2, (1 - p) ** 2])
    return np.asarray(basis @ nnls(basis, (seen - p) ** 2)[0])


def _complement(along: Floats) -> Floats:
    """Columns that span what is orthogonal to the columns of ``along``."""
    if not along.shape[1]:
        return np.eye(len(along))
    q, _ = np.linalg.qr(along, mode="complete")
    return np.asarray(q[:, along.shape[1] :])
