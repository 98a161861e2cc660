"""Completion: the columns of an absent modality as the other modalities lead one to expect them.

Columns of a design are taken as jointly normal over the training rows. Where a whole modality is absent, its columns
are set to their conditional mean given those that are there: a linear model then loses no more than one that was
fitted without that modality, whose coefficients are those means (the omitted-variable formula).

Means and covariances come from the EM algorithm for normal data with missing blocks (Little and Rubin, Statistical
Analysis with Missing Data, ch. 11): exact when blocks are missing at random given what is there. Covariances between
two blocks are shrunken towards none by the rule of Schaefer and Strimmer (Stat Appl Genet Mol Biol 2005;4:32), so that
blocks that have nothing to do with each other predict nothing of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.features.column import Column
from osler.features.scale import MISSING_SHARE, dot_rows

__all__ = ["Completion"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ROUNDS = 4  # of EM: few rows lack a block that is worth learning from, and each round is a pass over the rows
_FEWEST = 20  # rows that lack nothing, from which EM starts
_LEAST = 1e-3  # least eigenvalue of the covariance: columns have spreads of about one


class Completion:
    """Conditional means of absent blocks.

    Flags of a block that more than 5 % of the training rows lack are left as they are: what it means that the block is
    absent was learned from those rows.

    Attributes:
        blocks: name -> columns of a block that are completed.
        learned: names of the blocks that more than 5 % of the training rows lack.
        mean, covariance: (P,), (P, P) of the training rows; of columns never completed the covariances are zero.
    """

    def fit(
        self,
        columns: Floats,
        meaning: Sequence[Column],
        blocks: Mapping[str, Ints],
        available: Mapping[str, Mask],
        patients: int,
    ) -> Self:
        """Learn from training rows.

        Args:
            columns: (R, P) design, absent values at the training average.
            meaning: of the P columns.
            blocks: name -> its columns.
            available: name -> (R,) whether anything of the block is known; a name that is missing is always there.
            patients: how many the rows are of; they, not rows, are what correlations are estimated from.
        """
        lacking = {name: 1 - float(available[name].mean()) for name in blocks if name in available}
        self.learned = tuple(name for name, share in lacking.items() if share > MISSING_SHARE)
        self.blocks = {name: _completed(meaning, members, name in self.learned) for name, members in blocks.items()}
        used = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *self.blocks.values()]))
        self.mean, self.covariance = np.zeros(columns.shape[1]), np.zeros((columns.shape[1],) * 2)
        complete = np.all([np.ones(len(columns), dtype=bool), *(available[name] for name in lacking)], axis=0)
        first = columns[complete] if complete.sum() >= _FEWEST else columns
        self.mean[used] = first[:, used].mean(axis=0)
        centred = first[:, used] - self.mean[used]
        self._keep(centred.T @ centred / max(len(first), 1), used, patients)
        for _ in range(_ROUNDS if any(lacking.values()) else 0):
            self._maximise(columns, available, used, patients)
        return self

    def _maximise(self, columns: Floats, available: Mapping[str, Mask], used: Ints, patients: int) -> None:
        """One round of EM: complete the rows as is now thought, add what that leaves open, take moments."""
        filled, left_open = columns.copy(), np.zeros_like(self.covariance)
        for rows, names in self._absences(available, len(columns)):
            if names:
                members, slope, left = self._given(names)
                filled[np.ix_(rows, members)] = self._expected(columns[rows], members, slope)
                left_open[np.ix_(members, members)] += left * len(rows)
        self.mean[used] = filled[:, used].mean(axis=0)
        centred = filled[:, used] - self.mean[used]
        moments = (centred.T @ centred + left_open[np.ix_(used, used)]) / len(columns)
        self._keep(moments, used, patients)

    def _keep(self, moments: Floats, used: Ints, patients: int) -> None:
        self.covariance[np.ix_(used, used)] = self._shrunken(moments, used, patients)

    def _shrunken(self, covariance: Floats, used: Ints, patients: int) -> Floats:
        """Covariances between blocks shrunken pair by pair, then made positive definite."""
        place = np.full(int(used.max(initial=0)) + 1, -1)
        place[used] = np.arange(len(used))
        spread = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        correlation = covariance / spread / spread[:, None]
        for one, other in combinations(self.blocks.values(), 2):
            here, mirrored = np.ix_(place[one], place[other]), np.ix_(place[other], place[one])
            squares = correlation[here] ** 2
            noise = float(((1 - squares) ** 2).sum()) / max(patients - 1, 1)
            correlation[here] *= max(1.0 - noise / max(float(squares.sum()), 1e-12), 0.0)
            correlation[mirrored] = correlation[here].T
        values, vectors = np.linalg.eigh(correlation)
        positive = (vectors * np.maximum(values, _LEAST)) @ vectors.T
        return positive * spread * spread[:, None]

    def complete(self, columns: Floats, available: Mapping[str, Mask]) -> Floats:
        """(R, P) columns with absent blocks at their conditional means; other rows keep their bits."""
        out = columns
        for rows, names in self._absences(available, len(columns)):
            if names:
                out = out.copy() if out is columns else out
                members, slope, _ = self._given(names)
                out[np.ix_(rows, members)] = self._expected(columns[rows], members, slope)
        return out

    def without(self, columns: Floats, available: Mapping[str, Mask], name: str) -> Floats:
        """(R, P) completed columns as they would be without the block ``name``, its flags left as they are."""
        return self.complete(columns, {**available, name: np.zeros(len(columns), dtype=bool)})

    def _absences(self, available: Mapping[str, Mask], n: int) -> Iterator[tuple[Ints, tuple[str, ...]]]:
        """Rows that lack the same blocks, with the names of these; each row is looked at by itself."""
        names = [name for name in self.blocks if name in available]
        absent = np.column_stack([np.zeros((n, 0), dtype=bool), *(~available[name] for name in names)])
        patterns, which = np.unique(absent, axis=0, return_inverse=True)
        for p, pattern in enumerate(patterns):
            gone = tuple(name for name, absent_here in zip(names, pattern, strict=True) if absent_here)
            yield np.flatnonzero(np.ravel(which) == p), gone

    def _members(self, names: Sequence[str]) -> Ints:
        return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *(self.blocks[name] for name in names)]))

    def _given(self, names: Sequence[str]) -> tuple[Ints, Floats, Floats]:
        """Columns of the absent blocks, their slopes on all P columns, and what these leave of their covariance."""
        members = self._members(names)
        others = np.setdiff1d(np.flatnonzero(np.diag(self.covariance) > 0), members)
        between = self.covariance[np.ix_(others, members)]
        slope = np.zeros((len(self.mean), len(members)))
        slope[others] = np.linalg.solve(self.covariance[np.ix_(others, others)], between) if len(others) else 0.0
        return members, slope, self.covariance[np.ix_(members, members)] - between.T @ slope[others]

    def _expected(self, columns: Floats, members: Ints, slope: Floats) -> Floats:
        return self.mean[members] + dot_rows(columns - self.mean, slope)

    def state(self) -> dict[str, Any]:
        """Arrays by name."""
        return {
            "blocks": dict(self.blocks),
            "learned": list(self.learned),
            "mean": self.mean,
            "covariance": self.covariance,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        completion = cls()
        completion.blocks = {name: np.asarray(members) for name, members in state["blocks"].items()}
        completion.learned = tuple(state["learned"])
        completion.mean, completion.covariance = state["mean"], state["covariance"]
        return completion


def _completed(meaning: Sequence[Column], members: Ints, learned: bool) -> Ints:
    """Columns of a block that its absence leaves open: all, or all but the flags that learned what absence means."""
    if not learned:
        return members
    return np.array([i for i in members if meaning[i].summary != "missing"], dtype=np.int64)
