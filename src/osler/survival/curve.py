"""RiskCurve: what every model answers with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osler.errors import BeyondSupport, ModelError
from osler.survival.draws import band_of, deviations, drawn
from osler.units import days, duration

__all__ = ["Difference", "RiskCurve"]

_TOLERANCE = 1e-6
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Difference:
    """A difference of n pairs with its band.

    Attributes:
        value: (n,).
        lower, upper: (n,) at ``level``, or None when a model states no band.
        level: coverage that the band aims at.
    """

    value: Floats
    lower: Floats | None
    upper: Floats | None
    level: float

    @classmethod
    def of(cls, value: Floats, band: tuple[Floats, Floats], level: float) -> Difference:
        """A band that never excludes the value."""
        return cls(value, np.minimum(band[0], value), np.maximum(band[1], value), level)


@dataclass(frozen=True, eq=False)
class RiskCurve:
    """Cumulative incidence of each cause after a landmark, for n patients, K causes and T times.

    Attributes:
        patients: (n,) identifiers as in the cohort.
        landmark: days from the time origin at which the prediction is made; time on the curve counts from it.
        times: (T,) days since the landmark, strictly increasing, ``times[0] == 0``.
        causes: K names; the first is the event of interest. Higher cumulative incidence is higher risk.
        incidence: (n, K, T) in [0, 1], zero at time 0, never decreasing; the sum over causes never exceeds one.
        lower, upper: bands of the same shape at ``level`` (pointwise), or None when the model states none: between
            them lies the patient's own risk, which the mean of patients who look the same is not.
        level: coverage that the bands aim at.

    Raises:
        ModelError: the arrays do not fit together, are not finite, decrease, or exceed one.
    """

    patients: NDArray[np.object_]
    landmark: float
    times: Floats
    causes: tuple[str, ...]
    incidence: Floats
    lower: Floats | None = None
    upper: Floats | None = None
    level: float = 0.9

    def __post_init__(self) -> None:
        shape = (len(self.patients), len(self.causes), len(self.times))
        if self.incidence.shape != shape:
            raise ModelError(f"cumulative incidence has shape {self.incidence.shape}, expected {shape}")
        if len(self.times) < 2 or self.times[0] != 0 or not np.all(np.diff(self.times) > 0):
            raise ModelError("the time grid of a risk curve must start at 0 and increase strictly")
        bands = [band for band in (self.lower, self.upper) if band is not None]
        if len(bands) == 1 or any(band.shape != shape for band in bands):
            raise ModelError("bands need a lower and an upper array of the shape of the incidence")
        for values in (self.incidence, *bands):
            if not np.isfinite(values).all():
                raise ModelError("a risk curve must be finite")
            if values.size and (values.min() < -_TOLERANCE or values.max() > 1 + _TOLERANCE):
                raise ModelError("a cumulative incidence must lie between 0 and 1")
        if self.incidence.size:
            if np.diff(self.incidence, axis=2).min() < -_TOLERANCE:
                raise ModelError("a cumulative incidence must not decrease with time")
            if self.incidence.sum(axis=1).max() > 1 + _TOLERANCE:
                raise ModelError("the causes of a risk curve sum to more than one")

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def event_free(self) -> Floats:
        """(n, T) probability of no event of any cause; one minus the sum over causes, by construction."""
        return np.maximum(1.0 - self.incidence.sum(axis=1), 0.0)

    @property
    def horizon(self) -> float:
        """The last time of the grid, in days after the landmark."""
        return float(self.times[-1])

    def risk(self, horizon: float | str | ArrayLike, cause: int = 1) -> Floats:
        """Cumulative incidence of ``cause`` (1-based) ``horizon`` days (or "5y") after the landmark, linear in between.

        Returns (n,) for one horizon, (n, H) for several. Raises BeyondSupport past the grid.
        """
        return self._interpolate(self.incidence[:, cause - 1], horizon)

    def event_free_at(self, horizons: ArrayLike) -> Floats:
        """(n, H) probability of no event of any cause within ``horizons`` (H,) days; NaN past the grid."""
        wanted = np.atleast_1d(np.asarray(horizons, dtype=float))
        inside = (wanted >= 0) & (wanted <= self.horizon)
        free = np.full((len(self), len(wanted)), np.nan)
        free[:, inside] = self._interpolate(self.event_free, wanted[inside])
        return free

    def band(self, horizon: float | str, cause: int = 1) -> tuple[Floats, Floats] | None:
        """Lower and upper (n,) bounds of the risk at ``horizon``, or None when the model states none."""
        if self.lower is None or self.upper is None:
            return None
        return (
            self._interpolate(self.lower[:, cause - 1], horizon),
            self._interpolate(self.upper[:, cause - 1], horizon),
        )

    def event_free_time(self, horizon: float | str) -> Floats:
        """(n,) restricted mean event-free time in days up to ``horizon``; more is better."""
        return self._free_time(self.incidence, days(horizon))

    def event_free_time_band(self, horizon: float | str) -> tuple[Floats, Floats] | None:
        """Lower and upper (n,) of ``event_free_time``, at ``level``; None when the model states no band.

        What may lie anywhere in the band is the patient's own mean event-free time, not the day of their event. Causes
        deviate independently (``osler.survival.draws``).
        """
        if self.lower is None:
            return None
        ahead = days(horizon)
        value = self.event_free_time(ahead)
        lower, upper = band_of(self, deviations(len(self.causes)), lambda here, risks: self._free_time(risks, ahead))
        return np.minimum(lower, value), np.maximum(upper, value)

    def rise(self, start: float | str, end: float | str, cause: int = 1) -> Difference:
        """Risk of ``cause`` (1-based) between two horizons, each patient's errors at both being the same."""
        value = self.risk(end, cause) - self.risk(start, cause)
        if self.lower is None:
            return Difference(value, None, None, self.level)

        def quantity(here: slice, risks: Floats) -> Floats:
            return self._at(risks[:, :, cause - 1], end) - self._at(risks[:, :, cause - 1], start)

        return Difference.of(value, band_of(self, deviations(len(self.causes)), quantity), self.level)

    def minus(
        self,
        other: RiskCurve,
        horizon: float | str,
        *,
        cause: int = 1,
        of: Literal["risk", "event_free_time"] = "risk",
        same_patients: bool = False,
    ) -> Difference:
        """This curve's value at ``horizon`` minus the other's, row by row, with a band.

        Args:
            other: curves of as many patients on the same causes and times.
            horizon: days after the landmark, or "5y".
            cause: 1-based, of risks.
            of: "risk", or "event_free_time" in days.
            same_patients: the rows are the same patients twice (with and without an action, at one landmark): what is
                not known of a patient is then the same in both and cancels. Otherwise rows are two patients, whose
                errors are independent.

        Raises:
            ModelError: the curves do not go together.
        """
        if other.incidence.shape != self.incidence.shape or not np.array_equal(other.times, self.times):
            raise ModelError(
                f"curves of shape {self.incidence.shape} and {other.incidence.shape} cannot be compared: expected the "
                "same number of patients, the same causes and the same times"
            )
        ahead = days(horizon)
        mine, theirs = (
            curve.risk(ahead, cause) if of == "risk" else curve.event_free_time(ahead) for curve in (self, other)
        )
        if self.lower is None or other.lower is None:
            return Difference(mine - theirs, None, None, self.level)

        def value(curve: RiskCurve, risks: Floats) -> Floats:
            return curve._at(risks[:, :, cause - 1], ahead) if of == "risk" else curve._free_time(risks, ahead)

        K = len(self.causes)
        others = drawn(other, deviations(K, stream=0 if same_patients else 1))

        def quantity(here: slice, risks: Floats) -> Floats:
            return value(self, risks) - value(other, next(others)[1])

        return Difference.of(mine - theirs, band_of(self, deviations(K), quantity), self.level)

    def take(self, positions: Sequence[int] | NDArray[np.int64] | NDArray[np.bool_]) -> RiskCurve:
        """The curves of some patients, by position or mask."""
        index = np.asarray(positions)
        lower = None if self.lower is None else self.lower[index]
        upper = None if self.upper is None else self.upper[index]
        return replace(self, patients=self.patients[index], incidence=self.incidence[index], lower=lower, upper=upper)

    def _free_time(self, incidence: Floats, horizon: float) -> Floats:
        """(...) restricted mean event-free time of incidences (..., K, T)."""
        self._check(np.asarray([horizon]))
        grid = np.unique(np.append(self.times[self.times < horizon], horizon))
        free = np.maximum(1.0 - incidence.sum(axis=-2), 0.0)
        return np.trapezoid(self._interpolate(free, grid), grid, axis=-1)

    def _at(self, values: Floats, horizon: float | str) -> Floats:
        """(...) values (..., T) at one horizon."""
        return self._interpolate(values, days(horizon))

    def _check(self, horizon: Floats) -> None:
        if horizon.size and (horizon.max() > self.horizon * (1 + 1e-9) or horizon.min() < 0):
            raise BeyondSupport(
                f"risk asked at {duration(float(horizon.max()))} after the landmark; "
                f"the curve covers 0 to {duration(self.horizon)}"
            )

    def _interpolate(self, values: Floats, horizon: float | str | ArrayLike) -> Floats:
        at = np.asarray(days(horizon) if isinstance(horizon, str) else horizon, dtype=float)
        wanted = np.atleast_1d(at)
        self._check(wanted)
        right = np.clip(np.searchsorted(self.times, wanted, side="left"), 1, len(self.times) - 1)
        span = self.times[right] - self.times[right - 1]
        weight = np.clip((wanted - self.times[right - 1]) / span, 0.0, 1.0)
        result = values[..., right - 1] * (1 - weight) + values[..., right] * weight
        return result[..., 0] if at.ndim == 0 else result
