"""Gene-set features: each set's members as their first principal components, named after the set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.features.block_scale import Kind
from osler.features.components import Components

__all__ = ["GeneSetFeatures"]

Floats = NDArray[np.float64]
_AXES = 2  # components of a set: its common activity, and one contrast within it
_MANY = 100  # sets beyond which each has one component
_FEWEST = 5  # members that vary in training, below which a set says no more than its genes


class GeneSetFeatures:
    """The first two components of every gene set's scaled members, or the first where there are more than 100 sets.

    A set of which fewer than five members vary among the training patients leaves no column. The first component of
    members that rise and fall together is their weighted mean, signed so that the member with the largest weight
    counts upwards (Tomfohr J et al. BMC Bioinformatics 2005;6:225).

    Args:
        kind: of the block.
        clip: bound of the scaled features.

    Attributes:
        parts: set name -> positions of its members among the block's features, and their components.
    """

    def __init__(self, kind: Kind, clip: float) -> None:
        self.kind, self.clip = kind, clip
        self.parts: dict[str, tuple[NDArray[np.int64], Components]] = {}

    def fit(
        self, values: NDArray[np.floating[Any]], sets: Mapping[str, tuple[str, ...]], features: tuple[str, ...]
    ) -> Self:
        """Learn from (n, p) values, NaN where not measured; members that are not among ``features`` are passed over."""
        self.parts = {}
        at = {feature: i for i, feature in enumerate(features)} if sets else {}
        axes = _AXES if len(sets) <= _MANY else 1
        for name, members in sets.items():
            positions = np.array(sorted(at[member] for member in members if member in at), dtype=np.int64)
            components = Components(limit=axes, clip=self.clip, kind=self.kind).fit(values[:, positions])
            if len(components.kept) >= _FEWEST and components.size:
                self.parts[name] = (positions, components)
        return self

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        """Set and number of the component, from 1, of each column."""
        return tuple((name, k) for name, (_, part) in self.parts.items() for k in range(1, part.size + 1))

    def transform(self, values: NDArray[np.floating[Any]]) -> Floats:
        """(n, columns) components; a row that lacks every member of a set is NaN there."""
        parts = [part.transform(values[:, positions]) for positions, part in self.parts.values()]
        return np.column_stack(parts) if parts else np.empty((len(values), 0))

    def state(self) -> list[dict[str, Any]]:
        """Arrays and JSON values, one item per set."""
        return [{"name": name, "at": at, "components": part.state()} for name, (at, part) in self.parts.items()]

    def restore(self, state: list[dict[str, Any]]) -> Self:
        """Take back what ``state`` gave."""
        self.parts = {
            item["name"]: (
                item["at"],
                Components(limit=_AXES, clip=self.clip, kind=self.kind).restore(item["components"]),
            )
            for item in state
        }
        return self
