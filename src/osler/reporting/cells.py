"""Small cells in words: what a report says instead of a count that ``osler.cells`` hides.

One word for a small cell and for one hidden to protect it: telling them apart would narrow the small one down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from osler.cells import SMALLEST, WITHHELD, reveal, small
from osler.reporting.words import count

__all__ = ["SMALLEST", "WITHHELD", "FlowGroup", "group_flow", "reveal", "shown"]


def shown(n: int | None) -> str:
    """A count that belongs to no visible total, as text."""
    return WITHHELD if n is None or small(n) else count(n)


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
    return small(sum(step[1] for step in group))
