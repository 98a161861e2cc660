"""Genomic features: a wide block known from the start, as in-fold principal components, and those of its gene sets."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.landmark import Landmark
from osler.features.column import Column
from osler.features.components import Components
from osler.features.gene_sets import GeneSetFeatures
from osler.features.leading import leading_features
from osler.features.scale import MISSING_SHARE, Scale

__all__ = ["GenomicFeatures"]

Floats = NDArray[np.float64]
_CONTINUOUS = ("expression", "other")  # of counts with few carriers a score test finds too many


class GenomicFeatures:
    """One genomic block: its features scaled by what they are (``BlockScale``) as components, for mutations the burden
    log(1 + mutated features), components of its gene sets, and a flag where more than 5 % lack the block.

    With ``leading``, the features of expression that stand out by themselves, if they are few, enter once more as they
    are (``leading_features``) where a block enters as components. They, and the gene sets, are penalty groups of their
    own beside the block's components: how much each counts the data tell.
    """

    def __init__(
        self, name: str, *, components: int, keep_missing: bool, clip: float, leading: bool = False, whole: int = 0
    ) -> None:
        self.name, self.components_limit, self.keep_missing, self.clip = name, components, keep_missing, clip
        self.seek_leading, self.whole = leading, whole

    def fit(self, landmark: Landmark) -> Self:
        """Learn from the patients who have a row, each counted once."""
        block = landmark.known.genomics[self.name]
        values = block.values[np.unique(landmark.patient)]
        self.kind, self.features = block.kind, block.features
        self.components = self._new_components().fit(values)
        self.burden = Scale.fit(_burden(values), clip=self.clip) if self.kind == "mutation" else None
        missing = ~np.isfinite(values).any(axis=1)
        flagged = not self.keep_missing and MISSING_SHARE < missing.mean() < 1
        self.flag = Scale.of_indicator(missing.astype(float)) if flagged else None
        self.sets = GeneSetFeatures(self.kind, self.clip).fit(values, block.sets, self.features)
        self.leading = np.empty(0, dtype=np.int64)
        if self.seek_leading and self.components.axes is not None and self.kind in _CONTINUOUS:
            self.leading = leading_features(landmark, block.values, self.components.scale)
        return self

    def _new_components(self) -> Components:
        return Components(limit=self.components_limit, clip=self.clip, kind=self.kind, whole=self.whole)

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
        for i in self.components.kept[self.leading]:
            name = self.features[i]
            columns.append(Column(f"{self.name}.{name}", self.name, name, "value", f"{self.name} leading"))
        group = f"{self.name} sets"
        for of_set, k in self.sets.columns:
            columns.append(Column(f"{self.name}.{of_set}.component{k}", self.name, of_set, "set", group))
        if self.flag:
            columns.append(Column(f"{self.name}.missing", self.name, self.name, "missing"))
        return tuple(columns)

    def transform(self, landmark: Landmark) -> Floats:
        """(R, p) features of the rows."""
        block = landmark.known.genomics.get(self.name)
        n = len(landmark.known)
        values = np.full((n, self.components.width), np.nan, dtype=np.float32) if block is None else block.values
        parts = [self.components.transform(values)]
        if self.burden:
            parts.append(self.burden(_burden(values))[:, None])
        parts.append(self.components.scaled(values, self.leading))
        out = np.column_stack([*parts, self.sets.transform(values)])
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
            "leading": self.leading,
            "sets": self.sets.state(),
            "flag": None if self.flag is None else self.flag.to_json(),
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.kind, self.features = state["kind"], tuple(state["features"])
        self.components = self._new_components().restore(state["components"])
        self.burden = None if state["burden"] is None else Scale.from_json(state["burden"])
        self.leading = state["leading"]
        self.sets = GeneSetFeatures(self.kind, self.clip).restore(state["sets"])
        self.flag = None if state["flag"] is None else Scale.from_json(state["flag"])
        return self


def _burden(values: NDArray[np.floating[Any]]) -> Floats:
    known = np.isfinite(values)
    mutated = ((values > 0) & known).sum(axis=1)
    return np.where(known.any(axis=1), np.log1p(mutated), np.nan)
