"""Leading features: the few of thousands that stand out by themselves, where only a few do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from osler.cohort.landmark import Landmark
from osler.features.block_scale import BlockScale

__all__ = ["leading_features"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_FALSE_SHARE = 0.05  # expected share of features that stand out by chance
_MOST = 30  # more than these are no longer few: the signal is spread, and components carry it


def leading_features(landmark: Landmark, values: NDArray[np.floating[Any]], scale: BlockScale) -> Ints:
    """Positions among ``scale.kept`` of the features that a score test finds, ascending; none where more than 30 pass.

    Each feature is tested alone for each cause (a Cox model's score at no effect), and those are taken that a
    Benjamini-Hochberg procedure passes at a false discovery rate of 5 %, shared by the causes. Where nothing is to be
    found, mostly none is; where many features share a signal, a ridge on their components does better without.

    Args:
        landmark: training rows; every patient counts once, at the first of them. Without an outcome nothing leads.
        values: (n, p) of all patients that the landmark knows, NaN where not measured.
        scale: fitted to them.

    Benjamini Y, Hochberg Y. J R Stat Soc B 1995;57:289-300.
    """
    if landmark.outcome is None:
        return np.empty(0, dtype=np.int64)
    _, first = np.unique(landmark.known.patients[landmark.patient].astype(str), return_index=True)
    first = first[np.isfinite(values[landmark.patient[first]]).any(axis=1)]
    rows, outcome = values[landmark.patient[first]], landmark.outcome.take(first)
    causes = np.unique(outcome.event[outcome.event > 0])
    found = []
    for cause in causes:
        score = _score_statistics(rows, scale, outcome.time, outcome.event == cause)
        passed = _discoveries(2 * norm.sf(np.abs(score)), _FALSE_SHARE / len(causes))
        found.append(passed if len(passed) <= _MOST else passed[:0])
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def _score_statistics(
    rows: NDArray[np.floating[Any]], scale: BlockScale, time: Floats, event: NDArray[np.bool_]
) -> Floats:
    """(q,) standardised scores; positive where higher values go with earlier events."""
    order = np.argsort(-time, kind="stable")
    dead = np.flatnonzero(event[order])
    # Everybody whose time is not shorter is at risk: a head of the rows by descending time.
    at_risk = np.searchsorted(-time[order], -time[order][dead], "right")
    out = np.zeros(len(scale.kept))
    for part, z in scale.chunks(rows[order]):
        mean = np.cumsum(z, axis=0)[at_risk - 1] / at_risk[:, None]
        variance = np.cumsum(z**2, axis=0)[at_risk - 1] / at_risk[:, None] - mean**2
        information = variance.sum(axis=0)
        score = (z[dead] - mean).sum(axis=0)
        out[part] = np.divide(score, np.sqrt(information), out=np.zeros_like(score), where=information > 1e-9)
    return out


def _discoveries(p: Floats, share: float) -> Ints:
    """Positions that the Benjamini-Hochberg procedure rejects at the false discovery rate ``share``."""
    order = np.argsort(p, kind="stable")
    below = np.flatnonzero(p[order] <= share * np.arange(1, len(p) + 1) / len(p))
    return order[: below[-1] + 1] if len(below) else order[:0]
