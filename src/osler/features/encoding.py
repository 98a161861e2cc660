"""Encoding: one variable's values as the columns of a design (a number, levels, splines, a missing flag)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Variable
from osler.features.column import Column
from osler.features.scale import MISSING_SHARE, Scale

__all__ = ["Encoding", "MissingFlags", "raw_values"]

Floats = NDArray[np.float64]


def raw_values(column: Any, variable: Variable, n: int) -> Floats:
    """(n,) float64 of a table's column: numbers and flags as they are, categories as level codes; NaN is missing."""
    if column is None:
        return np.full(n, np.nan)
    if variable.type == "category":
        codes = column.cat.codes.to_numpy().astype(float)
        return np.where(codes < 0, np.nan, codes)
    return column.to_numpy(dtype=float)


@dataclass
class Encoding:
    """Columns of one variable.

    Attributes:
        variable: its meaning.
        summary: "value" for what is measured once, "last" for the latest of several.
        keep_missing: leave NaN, for models that know what to do with it; otherwise missing becomes 0, the average.
        scales: of the value itself, then of each hinge; or of the indicator of each kept level.
        levels: codes of the levels seen in training; of two, one column says it all, of more each has its own.
        knots: of the linear splines, on the scaled value.
    """

    variable: Variable
    summary: str
    keep_missing: bool
    scales: list[Scale] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    knots: list[float] = field(default_factory=list)

    def fit(self, values: Floats, *, clip: float, splines: int = 0) -> Self:
        """Learn from (R,) raw values; a variable without two different values leaves no columns."""
        if self.variable.type == "category":
            self._fit_levels(values)
        elif self.variable.type == "flag":
            scale = Scale.of_indicator(values)
            self.scales = [scale] if scale else []
        else:
            scale = Scale.fit(values, clip=clip, logs=True)
            self.scales = [scale] if scale else []
            if scale and splines:
                self._fit_splines(scale(values), splines, clip)
        return self

    def _fit_levels(self, values: Floats) -> None:
        present = [int(code) for code in np.unique(values[np.isfinite(values)])]
        if len(present) < 2:
            return
        self.levels = present
        scales = [Scale.of_indicator(indicator) for indicator in self._indicators(values)]
        self.scales = [scale for scale in scales if scale is not None]

    @property
    def _shown(self) -> list[int]:
        return self.levels[1:] if len(self.levels) == 2 else self.levels

    def _indicators(self, values: Floats) -> list[Floats]:
        known = np.isin(values, self.levels)
        return [np.where(known, (values == code).astype(float), np.nan) for code in self._shown]

    def _fit_splines(self, z: Floats, splines: int, clip: float) -> None:
        known = z[np.isfinite(z)]
        knots = np.unique(np.quantile(known, np.arange(1, splines + 1) / (splines + 1)))
        for knot in knots:
            scale = Scale.fit(np.maximum(known - knot, 0.0), clip=clip)
            if scale is not None and knot > known.min():
                self.knots.append(float(knot))
                self.scales.append(scale)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The meaning of each column of ``transform``."""
        v = self.variable
        if v.type == "category":
            labels = [v.levels[code] for code in self._shown]
            return tuple(Column(f"{v.name}={label}", v.modality, v.name, f"level={label}") for label in labels)
        if not self.scales:
            return ()
        name = v.name if self.summary == "value" else f"{v.name}.{self.summary}"
        hinges = range(1, len(self.knots) + 1)
        return (
            Column(name, v.modality, v.name, self.summary),
            *(Column(f"{v.name}.spline{k}", v.modality, v.name, f"spline{k}") for k in hinges),
        )

    def transform(self, values: Floats) -> Floats:
        """(R, p) columns of (R,) raw values; a level never seen in training counts as missing."""
        if self.variable.type == "category":
            seen = [scale(x) for x, scale in zip(self._indicators(values), self.scales, strict=True)]
            out = np.column_stack(seen) if seen else np.empty((len(values), 0))
        elif not self.scales:
            return np.empty((len(values), 0))
        else:
            z = self.scales[0](values)
            hinges = [s(np.maximum(z - k, 0.0)) for k, s in zip(self.knots, self.scales[1:], strict=True)]
            out = np.column_stack([z, *hinges])
        return out if self.keep_missing else np.where(np.isnan(out), 0.0, out)

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"scales": [s.to_json() for s in self.scales], "levels": self.levels, "knots": self.knots}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.scales = [Scale.from_json(s) for s in state["scales"]]
        self.levels, self.knots = list(state["levels"]), list(state["knots"])
        return self


@dataclass
class MissingFlags:
    """Indicators of missing values, for sources that more than 5 % of the training rows lack.

    Sources are missing together more often than alone: of equal patterns within a modality the first is kept.
    """

    kept: list[int] = field(default_factory=list)
    scales: list[Scale] = field(default_factory=list)

    def fit(self, missing: NDArray[np.bool_], modalities: list[str]) -> Self:
        """Learn from (R, sources) what was missing."""
        seen: set[tuple[str, bytes]] = set()
        for i, modality in enumerate(modalities):
            pattern = (modality, np.packbits(missing[:, i]).tobytes())
            if MISSING_SHARE < missing[:, i].mean() < 1 and pattern not in seen:
                scale = Scale.of_indicator(missing[:, i].astype(float))
                assert scale is not None
                self.kept.append(i)
                self.scales.append(scale)
                seen.add(pattern)
        return self

    def transform(self, missing: NDArray[np.bool_]) -> Floats:
        """(R, kept) scaled indicators."""
        flags = [scale(missing[:, i].astype(float)) for i, scale in zip(self.kept, self.scales, strict=True)]
        return np.column_stack(flags) if flags else np.empty((len(missing), 0))

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {"kept": self.kept, "scales": [s.to_json() for s in self.scales]}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.kept, self.scales = list(state["kept"]), [Scale.from_json(s) for s in state["scales"]]
        return self
