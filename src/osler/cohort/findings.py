"""Findings: violations gathered while reading goes on, so that all are told at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from osler.errors import DataError, Violation

__all__ = ["Findings"]

T = TypeVar("T")
_ROWS_KEPT = 10


class Findings:
    """A growing list of violations."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(
        self,
        table: str,
        rule: str,
        expected: str,
        found: str,
        remedy: str,
        *,
        column: str | None = None,
        rows: Any = None,
        count: int | None = None,
    ) -> None:
        """Note a broken rule; ``rows`` are 0-based positions in the table, of which the first are shown."""
        shown: tuple[int, ...] = ()
        if rows is not None:
            positions = np.asarray(rows)
            shown = tuple(int(row) + 1 for row in np.sort(positions)[:_ROWS_KEPT])
            count = len(positions) if count is None else count
        violation = Violation(table, rule, expected, found, remedy, column=column, rows=shown, count=count or 1)
        if violation not in self.violations:
            self.violations.append(violation)

    def attempt(self, work: Callable[[], T]) -> T | None:
        """The result of ``work``, or None after its violations were noted."""
        try:
            return work()
        except DataError as error:
            self.violations += [v for v in error.violations if v not in self.violations]
            return None

    def raise_all(self) -> None:
        """Raise one DataError if anything was found."""
        if self.violations:
            raise DataError(self.violations)
