"""Course: a patient's own level and slope of a variable, as a random intercept and slope (Laird and Ware, 1982).

What few visits say of a patient's slope is drawn towards the slope of all patients, as far as the spread of slopes and
the noise of measurements in training suggest. Laird NM, Ware JH. Biometrics 1982;38:963-974; fitted by maximum
likelihood with the mean and the noise profiled out (Pinheiro JC, Bates DM. Mixed-Effects Models in S and S-PLUS, 2000,
section 2.2), which six sums over each patient's measurements suffice for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

__all__ = ["Course", "Own"]

Floats = NDArray[np.float64]

_LEAST = 1e-3  # least variance of noise, in squares of a variable's spread
_LEAST_SPREAD = 1e-9  # variance of levels and slopes that is never zero, so that they have an inverse
_PATIENTS = 5000  # more tell five numbers no better; they are taken evenly
#: Log standard deviation of levels, its share in slopes, log standard deviation of what is left of slopes; all relative
#: to the noise.
_START = np.array([0.0, 0.0, -1.5])
_BOUNDS = ((-6.0, 6.0), (-20.0, 20.0), (-9.0, 4.0))


@dataclass(frozen=True, eq=False)
class Own:
    """Posterior of level and slope of each of V visits: mean (V, 2) and covariance (V, 2, 2)."""

    mean: Floats
    covariance: Floats

    def ahead(self, time: Floats) -> tuple[Floats, Floats]:
        """(V,) mean and variance of the true value at ``time`` (V,), in the units of fitting."""
        level, slope = self.mean.T
        own, both, steep = self.covariance[:, 0, 0], self.covariance[:, 0, 1], self.covariance[:, 1, 1]
        return level + slope * time, own + 2 * both * time + steep * time * time


@dataclass
class Course:
    """Population of one variable: mean (2,) and covariance (2, 2) of level and slope, and variance of the noise."""

    mean: Floats
    covariance: Floats
    noise: float

    @classmethod
    def fit(cls, sums: Floats, near: Course | None = None) -> Self:
        """Learn from (n, 6) sums over each patient's measurements: 1, t, t^2, z, t z, z^2.

        ``near`` is where to start from: the course of most of the same patients is soon found from that of all.
        """
        sums = sums[sums[:, 0] > 0]
        if len(sums) < 2:
            return cls(np.zeros(2), np.diag([1.0, 0.05]), 0.5)
        if len(sums) > _PATIENTS:
            sums = sums[np.linspace(0, len(sums) - 1, _PATIENTS).astype(np.int64)]
        start = _START if near is None else near._relative()
        likelihood = partial(_profiled, sums=sums)
        options = {"ftol": 1e-9}
        found = minimize(lambda at: likelihood(at)[0], start, method="L-BFGS-B", bounds=_BOUNDS, options=options)
        _, mean, relative, noise = likelihood(found.x)
        return cls(mean, relative * noise + _LEAST_SPREAD * np.eye(2), noise)

    def _relative(self) -> Floats:
        """The numbers that are searched for; see ``_START``."""
        lower = np.linalg.cholesky(self.covariance / self.noise)
        low, high = np.array(_BOUNDS).T
        return np.clip([np.log(lower[0, 0]), lower[1, 0], np.log(lower[1, 1])], low, high)

    def given(self, sums: Floats) -> Own:
        """The posterior given (V, 6) sums over what was measured so far; the population where nothing was."""
        n, t, tt, z, tz, _ = sums.T
        prior = np.linalg.inv(self.covariance)
        precision = np.empty((len(sums), 2, 2))
        precision[:, 0, 0], precision[:, 1, 1] = n / self.noise, tt / self.noise
        precision[:, 0, 1] = precision[:, 1, 0] = t / self.noise
        precision += prior
        right = np.stack([z, tz], axis=1) / self.noise + prior @ self.mean
        covariance = _inverse(precision)
        return Own((covariance * right[:, None, :]).sum(axis=2), covariance)

    def state(self) -> dict[str, Any]:
        """Arrays and numbers."""
        return {"mean": self.mean, "covariance": self.covariance, "noise": self.noise}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(**state)


def _profiled(at: Floats, sums: Floats) -> tuple[float, Floats, Floats, float]:
    """Minus twice the log likelihood per measurement (but for a constant), and the mean and noise that maximise it.

    With D the covariance of level and slope relative to the noise, and A'A, A'z of each patient from the sums, the
    inverse of I + A D A' is I - A D (I + A'A D)^-1 A'.

    Returns:
        The value, the mean (2,), D (2, 2), the noise.
    """
    lower = np.array([[np.exp(at[0]), 0.0], [at[1], np.exp(at[2])]])
    D = lower @ lower.T
    n, t, tt, z, tz, zz = sums.T
    square = np.stack([n, t, t, tt], axis=1).reshape(-1, 2, 2)
    spread = np.eye(2) + square @ D
    solved = _inverse(spread)
    information = (solved @ square).sum(axis=0)
    score = (solved @ np.stack([z, tz], axis=1)[:, :, None])[:, :, 0]
    mean = np.linalg.solve(information + _LEAST_SPREAD * np.eye(2), score.sum(axis=0))
    explained = np.einsum("ni,ij,nj->", np.stack([z, tz], axis=1), D, score)
    total = float(zz.sum() - explained - mean @ score.sum(axis=0))
    count = float(n.sum())
    noise = max(total / count, _LEAST)
    determinant = spread[:, 0, 0] * spread[:, 1, 1] - spread[:, 0, 1] * spread[:, 1, 0]
    value = np.log(noise) + total / count / noise + np.log(determinant).sum() / count
    return float(value), mean, D, noise


def _inverse(matrices: Floats) -> Floats:
    """Inverses of (V, 2, 2), each with the same bits whoever else is there."""
    determinant = matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0]
    out = np.empty_like(matrices)
    out[:, 0, 0], out[:, 1, 1] = matrices[:, 1, 1], matrices[:, 0, 0]
    out[:, 0, 1], out[:, 1, 0] = -matrices[:, 0, 1], -matrices[:, 1, 0]
    return np.asarray(out / determinant[:, None, None])
