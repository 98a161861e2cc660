"""Genomic features: a wide block known from the start, as in-fold principal components."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.features.column import Column
from osler.features.components import Components
from osler.features.scale import MISSING_SHARE, Scale

__all__ = ["GenomicFeatures"]

Floats = NDArray[np.float64]
_COUNTS = ("mutation", "dosage")


class GenomicFeatures:
    """One genomic block: standardised features (counts of mutations and dosages: rare ones are not blown up), their
    components, for mutations the burden log(1 + mutated features), and a flag where more than 5 % lack the block.
    """

    def __init__(self, name: str, *, components: int, keep_missing: bool, clip: float) -> None:
        self.name, self.components_limit, self.keep_missing, self.clip = name, components, keep_missing, clip

    def fit(self, landmark: Landmark) -> Self:
        """Learn from the patients who have a row, each counted once."""
        block = landmark.known.genomics[self.name]
        values = block.values[np.unique(landmark.patient)].astype(float)
        self.kind, self.features = block.kind, block.features
        # A mutation that 1 % carry would otherwise weigh ten standard deviations in its few carriers.
        least = 0.1 if self.kind in _COUNTS else 1e-6
        self.components = Components(limit=self.components_limit, clip=self.clip, least_spread=least).fit(values)
        self.burden = Scale.fit(_burden(values), clip=self.clip) if self.kind == "mutation" else None
        missing = ~np.isfinite(values).any(axis=1)
        flagged = not self.keep_missing and MISSING_SHARE < missing.mean() < 1
        self.flag = Scale.of_indicator(missing.astype(float)) if flagged else None
        return self

    @property
    def columns(self) -> tuple[Column, ...]:
        """The meaning of each column of ``transform``."""
        if self.components.axes is None:
            names = [self.features[i] for i in self.components.kept]
            columns = [Column(f"{self.name}.{name}", self.name, name, "value") for name in names]
        else:
            ranks = range(1, self.components.size + 1)
            columns = [Column(f"{self.name}.component{k}", self.name, self.name, "component") for k in ranks]
        if self.burden:
            columns.append(Column(f"{self.name}.count", self.name, self.name, "count"))
        if self.flag:
            columns.append(Column(f"{self.name}.missing", self.name, self.name, "missing"))
        return tuple(columns)

    def transform(self, landmark: Landmark) -> Floats:
        """(R, p) features of the rows."""
        block = landmark.known.genomics.get(self.name)
        n = len(landmark.known)
        values = np.full((n, self.components.width), np.nan) if block is None else block.values.astype(float)
        parts = [self.components.transform(values)]
        if self.burden:
            parts.append(self.burden(_burden(values))[:, None])
        out = np.column_stack(parts)
        if not self.keep_missing:
            out = np.where(np.isnan(out), 0.0, out)
        if self.flag:
            out = np.column_stack([out, self.flag((~np.isfinite(values).any(axis=1)).astype(float))])
        return out[landmark.patient]

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {
            "kind": self.kind,
            "features": list(self.features),
            "components": self.components.state(),
            "burden": None if self.burden is None else self.burden.to_json(),
            "flag": None if self.flag is None else self.flag.to_json(),
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.kind, self.features = state["kind"], tuple(state["features"])
        self.components = Components(limit=self.components_limit, clip=self.clip).restore(state["components"])
        self.burden = None if state["burden"] is None else Scale.from_json(state["burden"])
        self.flag = None if state["flag"] is None else Scale.from_json(state["flag"])
        return self


def _burden(values: Floats) -> Floats:
    known = np.isfinite(values)
    mutated = ((values > 0) & known).sum(axis=1)
    return np.where(known.any(axis=1), np.log1p(mutated), np.nan)
