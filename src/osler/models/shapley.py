"""Shapley values of a game: what each player brings, on average over the orders in which players may join.

Shapley LS. A value for n-person games. 1953. Orders are drawn in pairs, each with its reverse (Mitchell et al. J Mach
Learn Res 2022;23(43)): a single pair is exact where no more than two players interact.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import comb
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Game", "game"]

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Game(Protocol):
    """The coalitions to ask about, and what follows from the answers."""

    @property
    def coalitions(self) -> Masks:
        """(m, n) who has joined, all different; the first is nobody, the last everybody."""

    def contributions(self, worth: Floats) -> tuple[Floats, Floats]:
        """(n,) contributions and (n,) standard errors of drawing, from the (m,) worth of each coalition.

        Contributions sum to the worth of everybody minus that of nobody, but for rounding.
        """


def game(players: int, pairs: int, rng: np.random.Generator) -> Game:
    """All coalitions where there are no more of them than ``pairs`` of orders would ask about, else drawn orders.

    Args:
        players: n, at least 0.
        pairs: of orders, at least 2, so that their spread tells the error.
        rng: draws the orders.
    """
    drawn = 2 * pairs * max(players - 1, 0) + 2
    return _Enumerated(players) if 2**players <= drawn else _Drawn(players, pairs, rng)


@dataclass(frozen=True, init=False)
class _Enumerated:
    """All coalitions: contributions without error."""

    coalitions: Masks

    def __init__(self, players: int) -> None:
        every = np.array(list(product([False, True], repeat=players)), dtype=bool).reshape(2**players, players)
        object.__setattr__(self, "coalitions", every)

    def contributions(self, worth: Floats) -> tuple[Floats, Floats]:
        n = self.coalitions.shape[1]
        size = self.coalitions.sum(axis=1)
        found = np.zeros(n)
        for player in range(n):
            without = np.flatnonzero(~self.coalitions[:, player])
            weight = [1 / (n * comb(n - 1, s)) for s in size[without]]
            # Coalitions count in binary, the first player as the highest digit.
            found[player] = np.dot(weight, worth[without + 2 ** (n - 1 - player)] - worth[without])
        return found, np.zeros(n)


@dataclass(frozen=True, init=False)
class _Drawn:
    """Coalitions along drawn orders and their reverses; contributions with their standard error over the pairs."""

    coalitions: Masks
    _rank: NDArray[np.int64]
    _asked: NDArray[np.int64]

    def __init__(self, players: int, pairs: int, rng: np.random.Generator) -> None:
        forward = np.array([rng.permutation(players) for _ in range(pairs)])
        rank = np.argsort(np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, players), axis=1)
        along = rank[:, None, :] < np.arange(players + 1)[None, :, None]
        # Sorted, so that nobody comes first and everybody last; orders meet in the same coalitions.
        different, asked = np.unique(along.reshape(-1, players), axis=0, return_inverse=True)
        object.__setattr__(self, "coalitions", different)
        object.__setattr__(self, "_rank", rank)
        object.__setattr__(self, "_asked", asked.reshape(len(rank), players + 1))

    def contributions(self, worth: Floats) -> tuple[Floats, Floats]:
        gains = np.diff(worth[self._asked], axis=1)
        each = np.take_along_axis(gains, self._rank, axis=1)
        pairs = each.reshape(-1, 2, each.shape[1]).mean(axis=1)
        return pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))
