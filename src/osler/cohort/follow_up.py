"""Follow-up: the outcome block becomes a time and an event code for every patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from osler.cohort.decode import lookup, read_times
from osler.cohort.outcome import Outcome
from osler.cohort.outcome_specs import AlsoSpec, CompetingSpec, OutcomeSpec
from osler.cohort.reading import Reading, Rows
from osler.units import unit_in_days

__all__ = ["FollowUp", "read_follow_up"]

#: Two times in days closer than this are one moment (rounding of a time given in years or months).
SAME_MOMENT = 1e-6
_UNKNOWN, _NOTED = -1, -2


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Follow-up of the patients that were asked for, before policies.

    Attributes:
        time: (n,) days; NaN where unknown, infinite where a violation was noted.
        event: (n,) event code; -1 where unknown, -2 where a violation was noted.
        end: (n,) days up to which visits may lie.
    """

    time: NDArray[np.float64]
    event: NDArray[np.int64]
    end: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """(n,) whether time and event are both known."""
        return np.isfinite(self.time) & (self.event >= 0)

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """(n,) whether time or event is missing, and no violation tells of it already."""
        return ~self.known & ~np.isinf(self.time) & (self.event != _NOTED)

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> FollowUp:
        """Some of the patients."""
        return FollowUp(self.time[index], self.event[index], self.end[index])

    def outcome(self, causes: tuple[str, ...]) -> Outcome:
        """The outcome of patients who all are known."""
        return Outcome(self.time, self.event, causes)


def read_follow_up(reading: Reading, spec: OutcomeSpec, rows: Rows) -> FollowUp:
    """Follow-up of ``reading.patients`` from rows of the outcome's table.

    A patient may have several rows if they agree. Further columns of the event of interest (``also``) and own columns
    of competing events: the earliest event counts; a tie goes to the event of interest. An event of them after the end
    of a follow-up that was censored is not counted, for from there on nobody looked for the others.
    """
    at = reading.at(rows.patient)
    rows, at = rows.take(at >= 0), at[at >= 0]
    time, event = _events(reading, spec, rows)
    _, first = np.unique(at, return_index=True)
    n = len(reading.patients)
    times, events = np.full(n, np.nan), np.full(n, -1, dtype=np.int64)
    times[at[first]], events[at[first]] = time[first], event[first]
    differ = (events[at] != event) | ~((times[at] == time) | (np.isnan(times[at]) & np.isnan(time)))
    if differ.any():
        reading.findings.add(
            rows.table.name,
            "a patient has one outcome",
            "rows of one patient that agree",
            "rows that differ",
            "Choose the row that counts with where.",
            column=spec.event,
            rows=rows.position[differ],
        )
    end = times if spec.within is None else np.full(n, float(spec.within))
    return FollowUp(times, events, end)


def _events(reading: Reading, spec: OutcomeSpec, rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Time and event code of every row, in the form of ``FollowUp``."""
    codes = {code: 0.0 for code in spec.censored} | {code: 1.0 for code in spec.codes}
    for number, competing in enumerate(spec.competing, 2):
        if competing.event is None:
            codes |= {code: float(number) for code in competing.codes}
    event = _codes(reading, rows, spec.event, codes, spec.missing)
    if spec.kind == "fixed":
        # An event is known to have happened by then; whoever is event-free is followed past it, and so is known to be
        # event-free at that horizon (a time of exactly ``within`` would count as lost there).
        assert spec.within is not None
        return np.where(event > 0, spec.within, spec.within + 1.0), event
    assert spec.time is not None
    unit = spec.time_unit or reading.manifest.cohort.time_unit
    time = read_times(reading, rows, spec.time, unit_in_days(unit))
    best, code = time.copy(), event.copy()
    others: list[tuple[int, AlsoSpec | CompetingSpec]] = [(1, also) for also in spec.also]
    others += list(enumerate(spec.competing, 2))
    for number, other in others:
        if other.event is None:
            continue
        meaning = dict.fromkeys(other.censored, 0.0) | dict.fromkeys(other.codes, 1.0)
        theirs = _codes(reading, rows, other.event, meaning, spec.missing)
        when = time
        if other.time is not None:
            when = read_times(reading, rows, other.time, unit_in_days(other.time_unit or unit))
        happened = theirs == 1
        earlier = happened & (when < best - SAME_MOMENT)
        at_once = happened & ((code == 0) | (number == 1)) & (when <= best + SAME_MOMENT)
        wins = earlier | at_once
        best, code = np.where(wins, when, best), np.where(wins, number, code)
        code = np.where((theirs == _UNKNOWN) | (happened & np.isnan(when)), _UNKNOWN, code)
        code = np.where((theirs == _NOTED) | np.isinf(when), _NOTED, code)
    return best, code.astype(np.int64)


def _codes(
    reading: Reading, rows: Rows, column: str, codes: dict[str, float], missing: tuple[str, ...]
) -> NDArray[np.int64]:
    values, undeclared = lookup(rows, column, codes, missing)
    if undeclared.any():
        reading.findings.add(
            rows.table.name,
            "event codes are declared",
            f"one of {', '.join(codes)}",
            "other codes",
            "Say which codes are the event (codes), censored, competing or missing.",
            column=column,
            rows=rows.position[undeclared],
        )
    known = np.where(np.isnan(values), _UNKNOWN, values)
    return np.where(undeclared, _NOTED, known).astype(np.int64)
