"""Small cells: a count of one to nine patients could point to a person; it is hidden, and so is what gives it away.

The one rule of the package, on plain counts; whoever writes a table of patients asks here what may be shown.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["SMALLEST", "WITHHELD", "hidden", "reveal", "small"]

#: Counts from 1 to one less than this are not shown.
SMALLEST = 10
#: What stands in a table instead of a count that is not shown.
WITHHELD = "withheld"


def small(count: float) -> bool:
    """Whether a count of patients is too small to show; nobody is nobody, and may be shown."""
    return 0 < count < SMALLEST


def hidden(
    counts: Sequence[int],
    *,
    people: Sequence[int] | None = None,
    also: Sequence[int] = (),
    rather: int | None = None,
) -> list[bool]:
    """Which of ``counts`` that add up to a known total are hidden.

    A count of 1 to 9 is hidden. Because readers can subtract from the total, the smallest further counts are hidden
    too until at least two are hidden and together reach ten; a zero stays visible and protects nobody. If there is
    nothing left to hide with, everything but zeros is hidden.

    Args:
        counts: of the parts of one whole.
        people: how many patients stand behind each count, where it counts something else, such as visits.
        also: positions of counts that are hidden for another reason, whatever they are.
        rather: position of a count to hide with before any other, because readers need the others more.
    """
    people = counts if people is None else people
    gone = {i for i, n in enumerate(people) if small(n)} | set(also)
    spare = sorted((i != rather, n, i) for i, n in enumerate(counts) if n >= SMALLEST and i not in gone)
    while spare and _given_away([counts[i] for i in gone], sum(people[i] for i in gone)):
        gone.add(spare.pop(0)[2])
    return [i in gone for i in range(len(counts))]


def reveal(counts: Sequence[int], *, rather: int | None = None) -> list[int | None]:
    """``counts`` that add up to a known total, with None where one is ``hidden``."""
    return [None if gone else n for n, gone in zip(counts, hidden(counts, rather=rather), strict=True)]


def _given_away(counts: Sequence[int], people: int) -> bool:
    """Whether what is hidden can be found, or nearly, from its sum."""
    known = sum(count > 0 for count in counts)
    return known > 0 and (known < 2 or people < SMALLEST)
