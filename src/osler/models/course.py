"""Course: a patient's own level and slope of a variable, as a random intercept and slope (Laird and Ware, 1982).

What few visits say of a patient's slope is drawn towards the slope of all patients, as far as the spread of slopes and
the noise of measurements in training suggest. Laird NM, Ware JH. Biometrics 1982;38:963-974; fitted by EM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["Course", "Own"]

Floats = NDArray[np.float64]

_ROUNDS = 40
_LEAST = 1e-3  # least variance of noise, in squares of a variable's spread


@dataclass(frozen=True, eq=False)
class Own:
    """Posterior of level and slope of each of V visits: mean (V, 2) and covariance (V, 2, 2)."""

    mean: Floats
    covariance: Floats

    def ahead(self, time: Floats) -> tuple[Floats, Floats]:
        """(V,) mean and variance of the true value at ``time`` (V,), in the units of fitting."""
        x = np.stack([np.ones_like(time), time], axis=1)
        return (x * self.mean).sum(axis=1), np.einsum("vi,vij,vj->v", x, self.covariance, x)


@dataclass
class Course:
    """Population of one variable: mean (2,) and covariance (2, 2) of level and slope, and variance of the noise."""

    mean: Floats
    covariance: Floats
    noise: float

    @classmethod
    def fit(cls, sums: Floats) -> Self:
        """Learn from (n, 6) sums over each patient's measurements: 1, t, t^2, z, t z, z^2."""
        sums = sums[sums[:, 0] > 0]
        course = cls(np.zeros(2), np.diag([1.0, 0.05]), 0.5)
        total = max(float(sums[:, 0].sum()), 1.0)
        for _ in range(_ROUNDS if len(sums) > 1 else 0):
            own = course.given(sums)
            n, t, tt, z, tz, zz = sums.T
            a, b = own.mean.T
            # Expected squared residuals: those of the posterior mean, and the posterior's own spread.
            square = zz - 2 * (a * z + b * tz) + a * a * n + 2 * a * b * t + b * b * tt
            spread = own.covariance[:, 0, 0] * n + 2 * own.covariance[:, 0, 1] * t + own.covariance[:, 1, 1] * tt
            course.noise = max(float((square + spread).sum()) / total, _LEAST)
            course.mean = own.mean.mean(axis=0)
            away = own.mean - course.mean
            course.covariance = own.covariance.mean(axis=0) + away.T @ away / len(away) + 1e-6 * np.eye(2)
        return course

    def given(self, sums: Floats) -> Own:
        """The posterior given (V, 6) sums over what was measured so far; the population where nothing was."""
        n, t, tt, z, tz, _ = sums.T
        prior = np.linalg.inv(self.covariance)
        precision = np.empty((len(sums), 2, 2))
        precision[:, 0, 0], precision[:, 1, 1] = n / self.noise, tt / self.noise
        precision[:, 0, 1] = precision[:, 1, 0] = t / self.noise
        precision += prior
        right = np.stack([z, tz], axis=1) / self.noise + prior @ self.mean
        determinant = precision[:, 0, 0] * precision[:, 1, 1] - precision[:, 0, 1] ** 2
        covariance = np.empty_like(precision)
        covariance[:, 0, 0], covariance[:, 1, 1] = precision[:, 1, 1], precision[:, 0, 0]
        covariance[:, 0, 1] = covariance[:, 1, 0] = -precision[:, 0, 1]
        covariance /= determinant[:, None, None]
        return Own((covariance * right[:, None, :]).sum(axis=2), covariance)

    def state(self) -> dict[str, Any]:
        """Arrays and numbers."""
        return {"mean": self.mean, "covariance": self.covariance, "noise": self.noise}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(**state)
