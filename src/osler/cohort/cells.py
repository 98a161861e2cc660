"""Small cells in words: what a description of a cohort says instead of a count that ``osler.cells`` hides."""

from __future__ import annotations

from collections.abc import Sequence

from osler.cells import SMALLEST, WITHHELD, hidden, small
from osler.cohort.cohort import FlowStep

__all__ = ["SMALL", "SMALL_CELL", "WITHHELD", "parts", "small", "steps"]

#: Counts from 1 to one less than this are not shown.
SMALL_CELL = SMALLEST
#: What stands for such a count; one that is hidden to protect it is "withheld".
SMALL = f"<{SMALL_CELL}"


def parts(counts: Sequence[int], people: Sequence[int] | None = None) -> list[int | str]:
    """Counts that add up to a total which is shown too.

    A small one becomes "<10"; others that would give it away are withheld. ``people`` says how many patients stand
    behind each count, where it counts something else, such as visits.
    """
    gone = hidden(counts, people=people)
    return [SMALL if small(n) else WITHHELD if gone[i] else int(n) for i, n in enumerate(counts)]


def steps(flow: Sequence[FlowStep]) -> list[dict[str, int | str]]:
    """The flow as rows of step, excluded, remaining and unit.

    A step that excluded fewer than ten patients is told together with its neighbour, so that it cannot be found by
    subtraction; counts of rows are no counts of patients and stay.
    """
    groups: list[list[FlowStep]] = []
    for step in (step for step in flow if step.unit == "patients"):
        last = groups[-1] if groups else []
        if len(groups) > 1 and (small(_left(last)) or small(step.excluded)) and _left(last) + step.excluded:
            last.append(step)
        else:
            groups.append([step])
    rows = [_row("; ".join(s.reason for s in group), _left(group), group[-1].remaining, "patients") for group in groups]
    return rows + [_row(s.reason, s.excluded, s.remaining, "rows") for s in flow if s.unit == "rows"]


def _left(group: Sequence[FlowStep]) -> int:
    return sum(step.excluded for step in group)


def _row(step: str, excluded: int, remaining: int, unit: str) -> dict[str, int | str]:
    if unit == "patients" and (small(excluded) or small(remaining)):
        hidden = SMALL if small(excluded) else WITHHELD
        return {"step": step, "excluded": hidden, "remaining": SMALL if small(remaining) else WITHHELD, "unit": unit}
    return {"step": step, "excluded": int(excluded), "remaining": int(remaining), "unit": unit}
