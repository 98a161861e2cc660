"""Small cells: counts of fewer than ten patients are withheld, and so are the counts that would give them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osler.reporting.words import count

__all__ = ["SMALLEST", "WITHHELD", "FlowGroup", "group_flow", "reveal", "shown"]

#: Counts from 1 to one less than this are withheld.
SMALLEST = 10
#: What stands in a table instead. One word for a small cell and for one hidden to protect it: telling them apart
#: would narrow the small one down.
WITHHELD = "withheld"


def reveal(counts: Sequence[int], *, rather: int | None = None) -> list[int | None]:
    """``counts`` that add up to a known total, with None where a count is withheld.

    A count of 1 to 9 is withheld. Because readers can subtract from the total, the smallest further counts are
    withheld too until at least two are hidden and together reach ten; a zero stays visible and protects nobody.
    If there is nothing left to hide with, everything but zeros is withheld. ``rather`` is the position of a count
    to hide with before any other, because readers need the others more.
    """
    hidden = {i for i, n in enumerate(counts) if 0 < n < SMALLEST}
    spare = sorted((i != rather, n, i) for i, n in enumerate(counts) if n >= SMALLEST)
    while hidden and spare and (len(hidden) < 2 or sum(counts[i] for i in hidden) < SMALLEST):
        hidden.add(spare.pop(0)[2])
    return [None if i in hidden else n for i, n in enumerate(counts)]


def shown(n: int | None) -> str:
    """A count that belongs to no visible total, as text."""
    return WITHHELD if n is None or 0 < n < SMALLEST else count(n)


@dataclass(frozen=True)
class FlowGroup:
    """One or several consecutive steps of the participant flow, told together so that no small count shows.

    Attributes:
        reasons: why patients left.
        excluded: how many left for these reasons, or None when withheld.
        remaining: how many stayed.
    """

    reasons: tuple[str, ...]
    excluded: int | None
    remaining: int


def group_flow(steps: Sequence[tuple[str, int, int]]) -> tuple[int | None, list[FlowGroup]]:
    """Participant flow that reveals no small count: the number at the start, and the steps.

    Args:
        steps: reason, number excluded, number remaining; in order.

    Returns:
        The starting number (None when it would give a small count away) and the steps, each told with its
        neighbours where its own count is below ten.
    """
    groups: list[list[tuple[str, int, int]]] = []
    for step in steps:
        groups.append([step])
        while len(groups) > 1 and _small(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    while len(groups) > 1 and _small(groups[-1]):
        groups[-2:] = [groups[-2] + groups[-1]]
    start: int | None = steps[0][1] + steps[0][2] if steps else None
    told = []
    for group in groups:
        excluded = None if _small(group) else sum(step[1] for step in group)
        start = None if excluded is None else start
        told.append(FlowGroup(tuple(step[0] for step in group), excluded, group[-1][2]))
    return start, told


def _small(group: list[tuple[str, int, int]]) -> bool:
    """Whether the group's own total is below ten (or, grouped with a zero, would name who they were)."""
    return 0 < sum(step[1] for step in group) < SMALLEST
