"""The ``[outcome]`` block of ``cohort.toml``: follow-up to events, an event within a stated time, or a class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from osler.cohort.specs import Code, ColumnName, Levels, Name, RowsSpec, Spec, TimeUnit
from osler.config import Duration

__all__ = ["AlsoSpec", "CompetingSpec", "OutcomeSpec"]


class CompetingSpec(Spec):
    """A competing event: own columns, or a further code of the outcome's event column."""

    name: Name
    time: ColumnName | None = None
    time_unit: TimeUnit | None = None
    event: ColumnName | None = None
    codes: tuple[Code, ...] = Field(("1",), min_length=1)
    censored: tuple[Code, ...] = Field(("0",), description="With an own event column: codes of no event.")

    @model_validator(mode="after")
    def _own_columns(self) -> CompetingSpec:
        if self.time is not None and self.event is None:
            raise ValueError("a competing event with its own time needs its own event column")
        return self


class AlsoSpec(Spec):
    """Further columns in which the event of interest is told, such as death beside recurrence."""

    event: ColumnName
    time: ColumnName | None = Field(None, description="The time of the outcome if not given.")
    time_unit: TimeUnit | None = None
    codes: tuple[Code, ...] = Field(("1",), min_length=1)
    censored: tuple[Code, ...] = Field(("0",), description="Codes of no event.")

    @model_validator(mode="after")
    def _codes_apart(self) -> AlsoSpec:
        if set(self.codes) & set(self.censored):
            raise ValueError("a code means one thing: event or none")
        return self


class OutcomeSpec(RowsSpec):
    """The ``[outcome]`` block: follow-up and events."""

    kind: Literal["survival", "fixed", "class"] = Field(
        "survival", description="Follow-up to an event; an event within a stated time; or a class, without time."
    )
    name: Name = Field(description="The event of interest, or what the classes tell apart, as reports call it.")
    table: str | None = Field(None, min_length=1, description="The first record table (its own rows) if not given.")
    time: ColumnName | None = None
    time_unit: TimeUnit | None = None
    event: ColumnName = Field(description="Column of the event codes, or of the classes.")
    levels: Levels = Field(default_factory=dict, description="Kind class: codes and names of the classes, in order.")
    positive: str | None = Field(
        None, min_length=1, description="Kind class: the class that is looked for; the last if not given."
    )
    codes: tuple[Code, ...] = Field(("1",), min_length=1, description="Codes of the event of interest.")
    censored: tuple[Code, ...] = Field(("0",), min_length=1, description="Codes of no event.")
    missing: tuple[Code, ...] = Field((), description="Codes of an unknown outcome.")
    also: tuple[AlsoSpec, ...] = Field((), description="A composite event: further columns of it; the earliest counts.")
    competing: tuple[CompetingSpec, ...] = ()
    within: Duration | None = Field(None, description="Kind fixed: the time by which the event happened or did not.")
    unknown: Literal["error", "exclude", "keep"] = Field(
        "error", description="Patients whose outcome is not known; keep is for kind class."
    )
    zero_time: Literal["error", "exclude"] = Field("error", description="Follow-up of zero or less.")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in order; several codes may share one."""
        return tuple(dict.fromkeys(self.levels.values()))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns the outcome is read from."""
        others: tuple[AlsoSpec | CompetingSpec, ...] = (*self.also, *self.competing)
        asked = [self.time, self.event, *(name for other in others for name in (other.time, other.event))]
        return tuple(dict.fromkeys(name for name in asked if name is not None))

    @model_validator(mode="after")
    def _fits_kind(self) -> OutcomeSpec:
        if self.kind == "survival" and (self.time is None or self.within is not None):
            raise ValueError('kind "survival" needs time, a column of follow-up times, and has no within')
        if self.kind == "fixed" and (self.within is None or self.time is not None):
            raise ValueError('kind "fixed" needs within, such as "30d", and has no time')
        if self.kind == "fixed" and (self.within or 0) <= 0:
            raise ValueError("within must be longer than nothing")
        if self.kind == "fixed" and any(c.event for c in self.competing):
            raise ValueError('kind "fixed" takes competing events as further codes of its own event column')
        if self.kind == "fixed" and self.also:
            raise ValueError('also belongs to kind "survival": the earliest of several events needs their times')
        if self.table is None and (self.where or self.patient_id or self.id_prefix):
            raise ValueError("where, patient_id and id_prefix of the outcome belong to its own table")
        return self

    @model_validator(mode="after")
    def _fits_class(self) -> OutcomeSpec:
        if self.kind != "class":
            if self.levels or self.positive or self.unknown == "keep":
                raise ValueError('levels, positive and unknown = "keep" belong to kind "class"')
            return self
        of_events = {"codes", "censored", "also", "competing", "within", "time", "time_unit", "zero_time"}
        given = sorted(of_events & self.model_fields_set)
        if given:
            raise ValueError(f'kind "class" has no events and no time: leave out {", ".join(given)}')
        if len(self.classes) < 2:
            raise ValueError('kind "class" needs levels, the codes and names of two classes or more')
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError("positive names one of the levels")
        return self
