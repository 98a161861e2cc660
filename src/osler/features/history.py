"""History features: the visits up to a landmark summarised, one pass over the visits for all rows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Variable
from osler.cohort.landmark import Landmark
from osler.features.column import Column
from osler.features.encoding import Encoding, MissingFlags, raw_values
from osler.features.scale import Scale
from osler.units import DAYS_PER

__all__ = ["HistoryFeatures", "running_sum"]

Floats = NDArray[np.float64]
_SHRINK = 0.5  # added to the sum of squared times (years^2): the slope of few or close visits is drawn to zero


class HistoryFeatures:
    """Of every visit variable the last value, of numbers also mean and slope; per block how often and how long ago.

    - "last": last value carried forward, however old; categories as indicators of their last level.
    - "mean": mean of all known values, on the scale of the values (logarithm included), re-standardised.
    - "slope": least squares slope per year, shrunken: Sxy / (Sxx + 0.5); zero after a single visit. Not of flags.
    - "count": log(1 + number of visits at which anything of the block was known); "since": log(1 + days since the last
      of them / the median of those days in training).

    Missing values become 0, the training average, with a flag where more than 5 % of the training rows have none; with
    ``keep_missing`` they stay NaN.
    """

    def __init__(self, *, history: tuple[str, ...], keep_missing: bool, splines: int, clip: float) -> None:
        self.history, self.keep_missing, self.splines, self.clip = history, keep_missing, splines, clip

    def fit(self, landmark: Landmark) -> Self:
        """Learn from the rows; scales of raw values from every visit that some row may use."""
        self._prepare(landmark.known.visit_variables)
        known = landmark.known
        values = _values(known, self.variables)
        used = values[_used(landmark)]
        self.value_scales = [
            Scale.fit(used[:, i], clip=self.clip, logs=True) if v.type == "number" else None
            for i, v in enumerate(self.variables)
        ]
        last = _last(values, landmark)
        for i, encoding in enumerate(self.encodings):
            if "last" in self.history or self.variables[i].type == "category":
                encoding.fit(last[:, i], clip=self.clip, splines=self.splines)
        if not self.keep_missing:
            self.flags.fit(np.isnan(last), [v.modality for v in self.variables])
        gaps = self._gaps(values, landmark)
        self.gap_units = [_median_of_positive(gaps[:, b]) for b in range(gaps.shape[1])]
        named = self._named_summaries(values, landmark)
        scales = {column: Scale.fit(x, clip=self.clip) for column, x in named}
        self.summary_scales = {column: scale for column, scale in scales.items() if scale is not None}
        return self

    def _prepare(self, variables: tuple[Variable, ...]) -> None:
        self.variables = variables
        self.blocks = tuple(dict.fromkeys(v.modality for v in variables))
        self.encodings = [Encoding(v, "last", self.keep_missing) for v in variables]
        self.flags = MissingFlags()

    @property
    def columns(self) -> tuple[Column, ...]:
        """The meaning of each column of ``transform``."""
        missing = [self.variables[i] for i in self.flags.kept]
        return (
            *(column for encoding in self.encodings for column in encoding.columns),
            *self.summary_scales,
            *(Column(f"{v.name}.missing", v.modality, v.name, "missing") for v in missing),
        )

    def transform(self, landmark: Landmark) -> Floats:
        """(R, p) features of the rows."""
        values = _values(landmark.known, self.variables)
        last = _last(values, landmark)
        parts = [encoding.transform(last[:, i]) for i, encoding in enumerate(self.encodings)]
        for column, x in self._named_summaries(values, landmark):
            if column in self.summary_scales:
                z = self.summary_scales[column](x)
                parts.append(z[:, None] if self.keep_missing else np.where(np.isnan(z), 0.0, z)[:, None])
        return np.column_stack([np.empty((len(landmark), 0)), *parts, self.flags.transform(np.isnan(last))])

    def _named_summaries(self, values: Floats, landmark: Landmark) -> list[tuple[Column, Floats]]:
        """Every summary but the last value, with its column, in a fixed order."""
        z = np.full(values.shape, np.nan)
        for i, v in enumerate(self.variables):
            scale = self.value_scales[i]
            z[:, i] = values[:, i] if v.type == "flag" else scale(values[:, i]) if scale is not None else np.nan
        mean, slope = _mean_and_slope(z, landmark)
        named = []
        for i, v in enumerate(self.variables):
            if "mean" in self.history and v.type != "category":
                named.append((Column(f"{v.name}.mean", v.modality, v.name, "mean"), mean[:, i]))
            if "slope" in self.history and v.type == "number":
                named.append((Column(f"{v.name}.slope", v.modality, v.name, "slope"), slope[:, i]))
        gaps, counts = self._gaps(values, landmark), self._counts(values, landmark)
        for b, block in enumerate(self.blocks):
            since = np.log1p(np.maximum(gaps[:, b], 0.0) / self.gap_units[b])
            named.append((Column(f"{block}.since", block, block, "since"), since))
            named.append((Column(f"{block}.count", block, block, "count"), np.log1p(counts[:, b])))
        return named

    def _measured(self, values: Floats) -> NDArray[np.bool_]:
        """(V, blocks) whether anything of the block was known at the visit."""
        known = np.isfinite(values)
        members = [[i for i, v in enumerate(self.variables) if v.modality == block] for block in self.blocks]
        return np.column_stack([np.empty((len(values), 0), dtype=bool), *(known[:, m].any(axis=1) for m in members)])

    def _gaps(self, values: Floats, landmark: Landmark) -> Floats:
        """(R, blocks) days since the last visit of the block; NaN when there was none."""
        when = landmark.known.visits["time"].to_numpy(dtype=float)
        times = np.where(self._measured(values), when[:, None], np.nan)
        return landmark.time[:, None] - _last(times, landmark)

    def _counts(self, values: Floats, landmark: Landmark) -> Floats:
        """(R, blocks) visits of the block so far."""
        measured = self._measured(values).astype(float)
        return np.nan_to_num(_at_rows(running_sum(measured, _ordinal(landmark.known)), landmark))

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "encodings": [e.state() for e in self.encodings],
            "flags": self.flags.state(),
            "value_scales": [None if s is None else s.to_json() for s in self.value_scales],
            "gap_units": self.gap_units,
            "summaries": [
                [[c.name, c.modality, c.variable, c.summary], s.to_json()] for c, s in self.summary_scales.items()
            ],
        }

    def restore(self, state: dict[str, Any], variables: tuple[Variable, ...]) -> Self:
        """Take back what ``state`` gave, for the same variables."""
        self._prepare(variables)
        for encoding, data in zip(self.encodings, state["encodings"], strict=True):
            encoding.restore(data)
        self.flags.restore(state["flags"])
        self.value_scales = [None if s is None else Scale.from_json(s) for s in state["value_scales"]]
        self.gap_units = list(state["gap_units"])
        self.summary_scales = {Column(*column): Scale.from_json(scale) for column, scale in state["summaries"]}
        return self


def running_sum(values: Floats, ordinal: NDArray[np.int64]) -> Floats:
    """(V, m) sums of each patient's values up to and including each visit.

    Adds visit k to visit k - 1 for all patients at once: unlike a difference of cumulative sums over the whole
    table, a patient's sum has the same bits whoever else is in it. ``ordinal`` (V,) counts a patient's visits from 0.
    """
    total = values.copy()
    order = np.argsort(ordinal, kind="stable")
    bounds = np.searchsorted(ordinal[order], np.arange(1, (int(ordinal.max()) if len(ordinal) else 0) + 2))
    for first, last in pairwise(bounds):
        rows = order[first:last]
        total[rows] += total[rows - 1]
    return total


def _ordinal(known: Cohort) -> NDArray[np.int64]:
    owner = known.visits["patient"].to_numpy()
    return np.arange(len(owner)) - np.searchsorted(owner, owner, "left")


def _used(landmark: Landmark) -> NDArray[np.bool_]:
    """(V,) whether some row may use the visit."""
    edges = np.zeros(len(landmark.known.visits) + 1, dtype=np.int64)
    np.add.at(edges, landmark.start, 1)
    np.add.at(edges, landmark.stop, -1)
    return np.cumsum(edges)[:-1] > 0


def _at_rows(running: Floats, landmark: Landmark) -> Floats:
    """(R, m) what had been gathered at each row's latest visit; NaN where there was none."""
    out = np.full((len(landmark), running.shape[1]), np.nan)
    has = landmark.stop > landmark.start
    out[has] = running[landmark.stop[has] - 1]
    return out


def _last(values: Floats, landmark: Landmark) -> Floats:
    """(R, m) last known value on or before each row's landmark; NaN where there is none."""
    if not len(values):
        return np.full((len(landmark), values.shape[1]), np.nan)
    position = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    latest = np.maximum.accumulate(position, axis=0)[np.maximum(landmark.stop - 1, 0)]
    own = (latest >= landmark.start[:, None]) & (landmark.stop > landmark.start)[:, None]
    return np.where(own, np.take_along_axis(values, np.maximum(latest, 0), axis=0), np.nan)


def _mean_and_slope(z: Floats, landmark: Landmark) -> tuple[Floats, Floats]:
    """(R, m) each: mean of the known values, and their shrunken slope per year."""
    known = np.isfinite(z)
    x = np.where(known, z, 0.0)
    t = known * (landmark.known.visits["time"].to_numpy(dtype=float)[:, None] / DAYS_PER["y"])
    sums = running_sum(np.hstack([known.astype(float), x, t, t * t, t * x]), _ordinal(landmark.known))
    n, sx, st, stt, stx = np.split(_at_rows(sums, landmark), 5, axis=1)
    some = n > 0
    count = np.where(some, n, 1.0)
    within = np.maximum(stt - st * st / count, 0.0)
    slope = (stx - st * sx / count) / (within + _SHRINK)
    return np.where(some, sx / count, np.nan), np.where(some, slope, np.nan)


def _median_of_positive(gaps: Floats) -> float:
    positive = gaps[np.isfinite(gaps) & (gaps > 0)]
    return float(np.median(positive)) if positive.size else 1.0


def _values(known: Cohort, variables: tuple[Variable, ...]) -> Floats:
    """(V, variables) raw values at every visit; a variable that the cohort lacks is missing."""
    out = np.empty((len(known.visits), len(variables)))
    for i, variable in enumerate(variables):
        column = known.visits.get(variable.name)
        out[:, i] = raw_values(column, variable, len(out))
    return out
