"""Prior shift: other class shares than in training, noticed without labels, and put right by Bayes' theorem.

If within each class patients look as they did in training, and only the shares of the classes differ, then the
probability of class c moves by the ratio of its new share to its old one, and all rows are brought back to sum one.
The new shares can be had from the probabilities themselves: they are the shares under which the new patients, whose
classes nobody need know, are likeliest. Saerens M, Latinne P, Decaestecker C. Neural Comput 2002;14:21-41.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import chi2

from osler.errors import UsageError

__all__ = ["PriorShift", "estimate_shares", "given_shares", "parse_shares", "rescale"]

Floats = NDArray[np.float64]
_ROUNDS, _CLOSE = 10_000, 1e-10
_SURE = 0.05


@dataclass(frozen=True, eq=False)
class PriorShift:
    """Class shares of new patients beside those of training.

    Attributes:
        training: (C,) shares in training.
        shares: (C,) shares among the new patients, by maximum likelihood; their classes were not used.
        lower, upper: (C,) interval of each, from the observed information; NaN at the edge of the possible.
        statistic: twice the gain in log-likelihood over the shares of training.
        df: its degrees of freedom, one less than there are classes.
        p: of the likelihood ratio test that nothing has shifted; it takes the model's probabilities as right.
        n: new patients.
    """

    training: Floats
    shares: Floats
    lower: Floats
    upper: Floats
    statistic: float
    df: int
    p: float
    n: int

    @property
    def noticed(self) -> bool:
        """Whether the shares differ by more than chance, at the 5% level."""
        return self.p < _SURE

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        arrays = {name: [float(v) for v in getattr(self, name)] for name in ("training", "shares", "lower", "upper")}
        bounds = {name: [None if np.isnan(v) else v for v in arrays[name]] for name in ("lower", "upper")}
        return {**arrays, **bounds, "statistic": self.statistic, "df": self.df, "p": self.p, "n": self.n}


def estimate_shares(probability: ArrayLike, training: ArrayLike, *, level: float = 0.95) -> PriorShift:
    """Class shares of new patients, from their probabilities by a model whose training shares are known.

    Args:
        probability: (n, C) of the new patients, rows sum to one; calibrated where the shares are those of training.
        training: (C,) shares in training; classes of share 0 stay at 0.
        level: of the intervals.

    The EM algorithm of Saerens and others; its likelihood is concave, so that the maximum is the only one. A model that
    was badly calibrated in training looks like a shift: the estimate is as good as the probabilities.

    Raises:
        UsageError: there is nobody, or arrays do not fit together or hold no probabilities.
    """
    p, old = _checked(probability, training)
    present = old > 0
    ratio = np.zeros_like(p)
    ratio[:, present] = p[:, present] / old[present]
    shares = old.copy()
    for _ in range(_ROUNDS):
        mixed = ratio @ shares
        moved = shares * (ratio / np.maximum(mixed, 1e-300)[:, None]).mean(axis=0)
        moved /= moved.sum()
        done = np.abs(moved - shares).max() < _CLOSE
        shares = moved
        if done:
            break
    gain = np.log(np.maximum(ratio @ shares, 1e-300)) - np.log(np.maximum(ratio @ old, 1e-300))
    statistic, df = max(0.0, 2 * float(gain.sum())), int(present.sum()) - 1
    half = ndtri(0.5 + level / 2) * _errors(ratio, shares, present)
    lower, upper = np.clip(shares - half, 0, 1), np.clip(shares + half, 0, 1)
    return PriorShift(old, shares, lower, upper, statistic, df, float(chi2.sf(statistic, df)), len(p))


def given_shares(shares: Mapping[str, float], classes: tuple[str, ...]) -> Floats:
    """(C,) shares told by name, in the order of ``classes``, brought to sum one.

    Raises:
        UsageError: a class is missing or unknown, or a share is no number above 0, or they do not sum to about one.
    """
    if set(shares) != set(classes):
        raise UsageError(f"shares are given for each class once: {', '.join(classes)}")
    values = np.array([float(shares[name]) for name in classes])
    if not (np.isfinite(values).all() and (values > 0).all() and abs(values.sum() - 1) < 0.01):
        raise UsageError("shares of classes are above 0 and sum to one")
    return values / values.sum()


def parse_shares(text: str | None) -> dict[str, float] | None:
    """Class shares from text such as "normal=0.9,pneumonia=0.1"; None from None. Raises UsageError for other text."""
    if text is None:
        return None
    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            name = ""
        if not name.strip():
            raise UsageError(
                f"shares are written as class=share, separated by commas, such as a=0.9,b=0.1; found {part!r}"
            )
    return found


def rescale(probability: ArrayLike, training: ArrayLike, shares: ArrayLike) -> Floats:
    """(n, C) probabilities under other class shares: each times the ratio of new to old share, rows brought to one.

    Args:
        probability: (n, C) under the shares of training.
        training: (C,) those shares.
        shares: (C,) the others.

    Raises:
        UsageError: arrays do not fit together, or hold no probabilities.
    """
    p, old = _checked(probability, training)
    new = np.asarray(shares, dtype=float)
    if new.shape != old.shape or not np.isfinite(new).all() or (new < 0).any():
        raise UsageError(f"new class shares have shape {new.shape}; expected one of 0 or more for each class")
    weight = np.where(old > 0, new / np.where(old > 0, old, 1.0), 0.0)
    moved = p * weight
    total = moved.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, moved / np.where(total > 0, total, 1.0), p), dtype=float)


def _errors(ratio: Floats, shares: Floats, present: NDArray[np.bool_]) -> Floats:
    """(C,) standard errors of shares inside the simplex, by the observed information; NaN where one is at its edge."""
    out = np.full(len(shares), np.nan)
    inside = np.flatnonzero(present)
    if (shares[inside] < 1e-6).any():
        return out
    last, rest = inside[-1], inside[:-1]
    mixed = (ratio @ shares)[:, None]
    slope = (ratio[:, rest] - ratio[:, [last]]) / mixed
    information = slope.T @ slope
    if np.linalg.matrix_rank(information) < len(rest):
        return out
    covariance = np.linalg.inv(information)
    out[rest] = np.sqrt(np.diag(covariance))
    out[last] = np.sqrt(covariance.sum())
    return out


def _checked(probability: ArrayLike, training: ArrayLike) -> tuple[Floats, Floats]:
    p, old = np.asarray(probability, dtype=float), np.asarray(training, dtype=float)
    if p.ndim != 2 or not len(p) or old.shape != p.shape[1:]:
        raise UsageError(f"probabilities {p.shape} and training shares {old.shape} do not fit together")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum(axis=1), 1, rtol=0, atol=1e-6)):
        raise UsageError("probabilities lie between 0 and 1 and sum to one in every row")
    if not (np.isfinite(old).all() and (old >= 0).all() and abs(old.sum() - 1) < 1e-6 and (old > 0).sum() > 1):
        raise UsageError("training shares of two classes or more sum to one")
    return p, old
