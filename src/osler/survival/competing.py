"""Cumulative incidence of competing causes from their hazards, and bands for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["fine_grid", "incidence_band", "incidence_from_hazards", "onto_cells"]

Floats = NDArray[np.float64]
_CELLS = 8
_Z90 = 1.6448536269514722  # 95% quantile of the normal: a two-sided band of 90%


def fine_grid(grid: Floats) -> Floats:
    """(C + 1,) days from 0: every step of ``grid`` in 8 equal cells, on which hazards of causes keep one proportion."""
    cells = grid[:-1, None] + np.diff(grid)[:, None] * np.arange(_CELLS) / _CELLS
    return np.append(cells.ravel(), grid[-1])


def onto_cells(time: Floats, increments: Floats, edges: Floats) -> Floats:
    """(C,) sums of ``increments`` (J,) at ``time`` (J,) within (edges[c], edges[c + 1]]; later ones do not count."""
    cell = np.searchsorted(edges, time, "left") - 1
    inside = cell < len(edges) - 1
    sums = np.bincount(np.maximum(cell[inside], 0), weights=increments[inside], minlength=len(edges) - 1)
    return sums.astype(float)


def incidence_from_hazards(hazards: Floats, every: int = 1) -> Floats:
    """Cumulative incidence (n, K, C // every + 1), zero first, of cumulative hazard increments (n, K, C) of K causes.

    Within a cell the causes keep their proportion: those who leave are one minus exp(-sum of increments), shared out
    by hazard. All incidences and the event-free probability sum to one whatever the increments are.
    ``every`` returns each that-many-th cell end only.
    """
    total = hazards.sum(axis=1)
    free = np.exp(-np.cumsum(total, axis=1))
    before = np.concatenate([np.ones((len(free), 1)), free[:, :-1]], axis=1)
    leaving = before * -np.expm1(-total)
    share = np.divide(leaving, total, out=np.zeros_like(total), where=total > 0)
    incidence = np.cumsum(hazards * share[:, None, :], axis=2)
    out = np.zeros((*hazards.shape[:2], hazards.shape[2] // every + 1))
    out[:, :, 1:] = incidence[:, :, every - 1 :: every]
    return np.minimum(out, 1.0)


def incidence_band(
    incidence_at: Callable[[Floats], Floats], variance: Floats, step: float = 0.05
) -> tuple[Floats, Floats]:
    """Lower and upper (n, K, T) pointwise 90% band of an incidence whose log hazards are uncertain.

    Args:
        incidence_at: the incidence (n, K, T) when every cause's log hazard is shifted by (K,).
        variance: (n, K, T) variance of each cause's log cumulative hazard; causes are independent.
        step: shift for the numerical derivative.

    The delta method on the scale log(-log(1 - incidence)), on which the band stays within 0 and 1.
    """
    n_causes = variance.shape[1]
    centre = _cloglog(incidence_at(np.zeros(n_causes)))
    spread = np.zeros_like(variance)
    for cause in range(n_causes):
        shift = np.zeros(n_causes)
        shift[cause] = step
        slope = (_cloglog(incidence_at(shift)) - _cloglog(incidence_at(-shift))) / (2 * step)
        spread += slope**2 * variance[:, cause][:, None, :]
    half = _Z90 * np.sqrt(spread)
    return _inverse_cloglog(centre - half), _inverse_cloglog(centre + half)


def _cloglog(p: Floats) -> Floats:
    return np.log(-np.log1p(-np.clip(p, 1e-12, 1 - 1e-12)))


def _inverse_cloglog(x: Floats) -> Floats:
    p = -np.expm1(-np.exp(np.minimum(x, 700.0)))
    return np.where(p < 1e-11, 0.0, p)
