"""Small cells: a count of one to nine patients could point to a person; it is not shown, nor what gives it away."""

from __future__ import annotations

from collections.abc import Sequence

from osler.cohort.cohort import FlowStep

__all__ = ["SMALL", "SMALL_CELL", "WITHHELD", "parts", "small", "steps"]

#: Counts from 1 to one less than this are not shown.
SMALL_CELL = 10
#: What stands for such a count, and for one that is hidden to protect it.
SMALL, WITHHELD = f"<{SMALL_CELL}", "withheld"


def small(count: int) -> bool:
    """Whether a count of patients is too small to show; nobody is nobody, and may be shown."""
    return 0 < count < SMALL_CELL


def parts(counts: Sequence[int], people: Sequence[int] | None = None) -> list[int | str]:
    """Counts that add up to a total which is shown too.

    A small one becomes "<10". While the hidden ones could still be found by subtraction (a single one, or several that
    together are fewer than ten), the smallest of the others is withheld with them. ``people`` says how many patients
    stand behind each count, where it counts something else, such as visits.
    """
    people = counts if people is None else people
    hidden = {i for i, count in enumerate(people) if small(count)}
    others = sorted((count, i) for i, count in enumerate(counts) if count >= SMALL_CELL and i not in hidden)
    while hidden and others and (len(hidden) == 1 or sum(people[i] for i in hidden) < SMALL_CELL):
        hidden.add(others.pop(0)[1])
    return [SMALL if small(count) else WITHHELD if i in hidden else int(count) for i, count in enumerate(counts)]


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
