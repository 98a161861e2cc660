"""Errors that a user can act on: what, where, expected, found, how many, and what to do.

No message ever contains a patient's value or identifier: rows are named by their number in the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["BeyondSupport", "DataError", "ModelError", "OslerError", "TrainingError", "UsageError", "Violation"]

_ROWS_SHOWN = 10


class OslerError(Exception):
    """Base of every error that Osler raises on purpose; the command line turns it into exit code 2."""


class UsageError(OslerError):
    """The request itself cannot be answered: an unknown model, a malformed duration, a missing file."""


class ModelError(OslerError):
    """A model cannot be fitted, read or applied: a damaged file, a cohort that lacks what it needs."""


class TrainingError(ModelError):
    """Training a network failed a sanity check.

    Attributes:
        check: its name: "inputs", "loss", "gradient", "dead network" or "held-out loss".
    """

    def __init__(self, check: str, message: str) -> None:
        self.check = check
        super().__init__(f"training of the recurrent network failed (check: {check}): {message}")


class BeyondSupport(OslerError):  # noqa: N818  (what happened, as statisticians say it)
    """A horizon lies past what was observed or predicted; named, so that one cell fails and not a study."""


@dataclass(frozen=True)
class Violation:
    """One broken rule of the data contract.

    ``rows`` are 1-based data row numbers of the table (the header is not counted); ``count`` is how many
    rows, columns or files break the rule, and may exceed ``len(rows)``.
    """

    table: str
    rule: str
    expected: str
    found: str
    remedy: str
    column: str | None = None
    rows: tuple[int, ...] = field(default=())
    count: int = 1

    def __str__(self) -> str:
        where = self.table if self.column is None else f"{self.table}, column {self.column!r}"
        shown = ", ".join(str(row) for row in self.rows[:_ROWS_SHOWN])
        more = ", ..." if self.rows and self.count > len(self.rows[:_ROWS_SHOWN]) else ""
        rows = f" (row {shown}{more})" if shown else ""
        return (
            f"{where}: {self.rule}: expected {self.expected}; found {self.found}, "
            f"{self.count} in all{rows}. {self.remedy}"
        )


class DataError(OslerError):
    """The data break the contract; ``violations`` holds every broken rule, not only the first."""

    def __init__(self, violations: Iterable[Violation]) -> None:
        self.violations: tuple[Violation, ...] = tuple(violations)
        n = len(self.violations)
        lines = "\n".join(f"  {i}. {violation}" for i, violation in enumerate(self.violations, 1))
        super().__init__(f"{n} violation{'s' if n != 1 else ''} of the data contract:\n{lines}")
