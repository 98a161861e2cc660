"""Draws: possible own curves of patients, from the bands of a risk curve.

A band is read as one normal deviation of log(-log(1 - F)) for each patient and cause, the same at all times and under
all actions, independent between causes and between patients. So what one patient's curve is unsure of cancels in
differences within the patient (between two horizons, with and without an action), and adds up between two patients.
Between patients that is cautious: errors of a model that both share would cancel in part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

if TYPE_CHECKING:
    from osler.survival.curve import RiskCurve

__all__ = ["DRAWS", "band_of", "deviations", "drawn"]

Floats = NDArray[np.float64]

#: Draws that bands of derived quantities rest on: their quantiles then err by about 2 % of the band's width.
DRAWS = 401
_LEAST, _MOST = 1e-12, 1 - 1e-12
_CHUNK = 64  # patients drawn at once
#: Their square roots share no multiple, so that no two causes or patients run in step.
_PRIMES = np.array([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71])


def deviations(causes: int, draws: int = DRAWS, stream: int = 0) -> Floats:
    """(draws, causes) standard normal numbers, evenly spread and fixed: the same for everybody, and at every call.

    A lattice (each cause steps by its own irrational number) fills the space more evenly than chance would.
    ``stream`` 0 and 1 go together as two independent patients do.
    """
    step = np.sqrt(np.take(_PRIMES, 2 * np.arange(causes) + stream, mode="wrap"))
    even = (0.5 + np.arange(draws)[:, None] * step) % 1.0
    return ndtri(np.clip(even, 0.5 / draws, 1 - 0.5 / draws))


def drawn(curve: RiskCurve, normal: Floats) -> Iterator[tuple[slice, Floats]]:
    """Some patients (a slice of positions) after another, and their (D, m, K, T) incidences for D deviations (D, K).

    Curves never decrease and the causes of a patient never exceed one in sum. The deviation zero is the middle of the
    band, which lies below the mean risk. Without bands, every draw is the curve itself.
    """
    for first in range(0, len(curve), _CHUNK):
        here = slice(first, first + _CHUNK)
        mean = curve.incidence[here]
        if curve.lower is None or curve.upper is None:
            yield here, np.broadcast_to(mean, (len(normal), *mean.shape))
            continue
        low, high = _scaled(curve.lower[here]), _scaled(curve.upper[here])
        spread = (high - low) / (2 * ndtri(0.5 + curve.level / 2))
        value = (low + high) / 2 + spread * normal[:, None, :, None]
        risk = np.where(mean > _LEAST, -np.expm1(-np.exp(np.minimum(value, 30.0))), 0.0)
        risk = np.maximum.accumulate(risk, axis=3)
        # Independent deviations of causes may claim more patients than there are: from there on nobody is left.
        total = risk.sum(axis=2, keepdims=True)
        yield here, _capped(risk, total)


def band_of(curve: RiskCurve, normal: Floats, quantity: Callable[[slice, Floats], Floats]) -> tuple[Floats, Floats]:
    """Lower and upper (n,) of what ``quantity`` makes (D, m) of the incidences (D, m, K, T) of some patients."""
    tails = [0.5 - curve.level / 2, 0.5 + curve.level / 2]
    parts = [np.quantile(quantity(here, risks), tails, axis=0) for here, risks in drawn(curve, normal)]
    lower, upper = np.concatenate([np.empty((2, 0)), *parts], axis=1)
    return lower, upper


def _capped(risk: Floats, total: Floats) -> Floats:
    """Curves whose sum stays at one once it is reached: later steps of all causes are dropped."""
    if not (total > 1.0).any():
        return risk
    steps = np.diff(risk, axis=3, prepend=0.0)
    before = np.concatenate([np.zeros_like(total[..., :1]), total[..., :-1]], axis=3)
    room = np.clip(1.0 - before, 0.0, None)
    size = steps.sum(axis=2, keepdims=True)
    share = np.minimum(np.divide(room, size, out=np.ones_like(size), where=size > 0), 1.0)
    return np.cumsum(steps * share, axis=3)


def _scaled(risk: Floats) -> Floats:
    return np.log(-np.log1p(-np.clip(risk, _LEAST, _MOST)))
