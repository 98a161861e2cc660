"""Cohort: the patients of a study and everything that was measured of them, as arrays that fit together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.diagnosis import Diagnosis
from osler.cohort.images import Images
from osler.cohort.landmark import Landmark
from osler.cohort.outcome import Outcome
from osler.config import digest
from osler.errors import UsageError
from osler.units import days

__all__ = ["Cohort", "FlowStep", "Genomics", "Images", "Patient", "Variable", "draw_pseudonyms"]

#: Columns of ``Cohort.visits`` that are not measurements.
VISIT_KEYS = ("patient", "time")


@dataclass(frozen=True)
class Variable:
    """What one column means.

    Attributes:
        name: the column in ``Cohort.record`` or ``Cohort.visits``.
        label: the words that reports use.
        type: "number" (float64), "category" (pandas categorical of ``levels``) or "flag" (float64: 0, 1 or missing).
        modality: the block it belongs to, such as "record", "blood" or "visits"; the unit of penalties,
            of missingness and of added value.
        unit: UCUM text; empty when it has none.
        levels: labels of a category, in order.
        minimum, maximum: plausible range, inclusive.
        modifiable: whether a plan may change it.
    """

    name: str
    label: str
    type: Literal["number", "category", "flag"]
    modality: str
    unit: str = ""
    levels: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    modifiable: bool = False


@dataclass(frozen=True)
class FlowStep:
    """One step of the participant flow: why patients (or rows) left, how many, and how many stay."""

    reason: str
    excluded: int
    remaining: int
    unit: Literal["patients", "rows"] = "patients"


@dataclass(frozen=True, eq=False)
class Genomics:
    """One genomic block: ``values`` (n, p) float32, NaN where not measured; a row of NaN is a patient without it.

    ``sets`` are groups of features known beforehand, such as pathways: name -> members, all of them among ``features``;
    ``sets_told`` is a sentence on what was left out of them.
    """

    name: str
    kind: Literal["expression", "mutation", "copy_number", "dosage", "other"]
    features: tuple[str, ...]
    values: NDArray[np.float32]
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sets_told: str = ""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.features):
            shape, features = self.values.shape, len(self.features)
            raise UsageError(f"genomic block {self.name!r}: {shape} values for {features} features")

    @property
    def available(self) -> NDArray[np.bool_]:
        """(n,) whether anything was measured."""
        return np.asarray(np.isfinite(self.values).any(axis=1))


@dataclass(frozen=True, eq=False)
class Cohort:
    """n patients who met the eligibility criteria.

    Attributes:
        name: what reports call it.
        patients: (n,) identifiers as text, unique; they never leave the process (see ``pseudonyms``).
        record: n rows aligned with ``patients``: what was known at the time origin.
        visits: one row per dated encounter at which anything was measured, columns "patient" (int64 position),
            "time" (float64 days from the time origin, may be negative) and the variables; sorted by both, unique.
            Encounters known only from an image are rows too.
        variables: the meaning of every column of ``record`` and ``visits``.
        genomics, images: blocks by name.
        outcome: follow-up; None when it is not known (patients to be scored), or when a class is asked.
        diagnosis: classes, where the manifest's outcome is a class; otherwise None.
        flow: participant flow up to these patients.
        actions: declarations of the manifest's ``[[actions]]``, for plans.
        sources: digest of every file read, by name.
        description: the manifest's words on study, source and licence.
        study: the question that the manifest's ``[study]`` declares, or None.
        question: how classes are to be told apart, as the manifest's ``[diagnosis]`` says, or None.
        pseudonyms: (n,) names for the outside, "P0001"..., which stay a patient's own through ``subset``; the reader
            draws them from the whole record table (see ``draw_pseudonyms``), and by default they come from the content.
    """

    name: str
    patients: NDArray[np.object_]
    record: pd.DataFrame
    visits: pd.DataFrame
    variables: dict[str, Variable]
    genomics: dict[str, Genomics] = field(default_factory=dict)
    images: dict[str, Images] = field(default_factory=dict)
    outcome: Outcome | None = None
    diagnosis: Diagnosis | None = None
    flow: tuple[FlowStep, ...] = ()
    actions: tuple[Any, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    description: str = ""
    study: Any = None
    question: Any = None
    pseudonyms: NDArray[np.object_] = field(default=None, repr=False)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        if self.pseudonyms is None:
            object.__setattr__(self, "pseudonyms", draw_pseudonyms(digest(self.record), self.patients))

    def __len__(self) -> int:
        return len(self.patients)

    def __repr__(self) -> str:
        told = self.outcome.events() if self.outcome else self.diagnosis.counts() if self.diagnosis else None
        events = "no outcome" if told is None else str(told)
        return f"Cohort({self.name!r}: {len(self)} patients, {len(self.visits)} visits, {events})"

    @property
    def record_variables(self) -> tuple[Variable, ...]:
        """Variables measured once, in column order."""
        return tuple(self.variables[name] for name in self.record.columns)

    @property
    def visit_variables(self) -> tuple[Variable, ...]:
        """Variables measured at visits, in column order."""
        return tuple(self.variables[name] for name in self.visits.columns if name not in VISIT_KEYS)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the blocks: record blocks, visit blocks, genomics, images, in this order."""
        variables = (v.modality for v in (*self.record_variables, *self.visit_variables))
        return tuple(dict.fromkeys([*variables, *self.genomics, *self.images]))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all content; two cohorts with the same digest give the same study."""
        images = {k: v.content for k, v in self.images.items()}
        genomics = {k: (v.kind, v.features, v.values, v.sets) for k, v in self.genomics.items()}
        outcome = None if self.outcome is None else (self.outcome.time, self.outcome.event, self.outcome.causes)
        variables = {k: repr(v) for k, v in self.variables.items()}
        parts: list[Any] = [self.name, self.patients, self.record, self.visits, variables, genomics, images, outcome]
        if self.diagnosis is not None:
            parts.append((self.diagnosis.name, self.diagnosis.classes, self.diagnosis.label, self.diagnosis.positive))
        return digest(*parts)

    def at(self, landmark: float | str | Iterable[float | str], *, at_risk: bool = True) -> Landmark:
        """What is known at a landmark, or at each of several: the only door to predictors and to later follow-up.

        Args:
            landmark: days from the time origin or a duration such as "6y"; several give their rows one after another.
            at_risk: keep only patients whose follow-up goes past the landmark (all, when the outcome is unknown).
        """
        several = [landmark] if isinstance(landmark, (str, int, float)) else list(landmark)
        return Landmark.of(self, [days(moment) for moment in several], at_risk=at_risk)

    def positions(self, identifiers: Iterable[str]) -> NDArray[np.int64]:
        """(k,) positions of identifiers; raises UsageError, without naming them, if some are unknown."""
        found = pd.Index(self.patients).get_indexer(pd.Index([str(i) for i in identifiers], dtype=object))
        if (found < 0).any():
            raise UsageError(f"{int((found < 0).sum())} of {len(found)} patients are not in the cohort {self.name!r}")
        return found.astype(np.int64)

    def patient(self, identifier: str) -> Patient:
        """One patient by identifier or by pseudonym."""
        named = np.flatnonzero(self.patients == str(identifier))
        if not len(named):
            named = np.flatnonzero(self.pseudonyms == str(identifier))
        if not len(named):
            raise UsageError(f"no such patient in the cohort {self.name!r} (identifier or pseudonym)")
        return Patient(self.subset(named), pseudonym=str(self.pseudonyms[named[0]]))

    def subset(self, positions: Sequence[int] | NDArray[np.int64] | NDArray[np.bool_]) -> Cohort:
        """The cohort of some patients, by position (in that order, repeats allowed as new patients) or mask."""
        index = np.asarray(positions)
        index = np.flatnonzero(index) if index.dtype == bool else index.astype(np.int64)
        owner = self.visits["patient"].to_numpy()
        start, stop = np.searchsorted(owner, index, "left"), np.searchsorted(owner, index, "right")
        counts = stop - start
        new_owner = np.repeat(np.arange(len(index)), counts)
        rows = np.repeat(start - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
        visits = self.visits.iloc[rows].reset_index(drop=True)
        visits["patient"] = new_owner.astype(np.int64)
        return replace(
            self,
            patients=self.patients[index],
            pseudonyms=self.pseudonyms[index],
            record=self.record.iloc[index].reset_index(drop=True),
            visits=visits,
            genomics={k: replace(g, values=g.values[index]) for k, g in self.genomics.items()},
            images={k: block.at_visits(rows) for k, block in self.images.items()},
            outcome=None if self.outcome is None else self.outcome.take(index),
            diagnosis=None if self.diagnosis is None else self.diagnosis.take(index),
        )

    def keep_visits(self, keep: NDArray[np.bool_]) -> Cohort:
        """The same patients with only the visits (and their images) where ``keep`` is true."""
        rows = np.flatnonzero(keep)
        visits = self.visits.iloc[rows].reset_index(drop=True)
        return replace(self, visits=visits, images={k: block.at_visits(rows) for k, block in self.images.items()})

    def without(self, *modalities: str) -> Cohort:
        """The same patients with whole modalities withheld (absent, as if never measured)."""
        unknown = set(modalities) - set(self.modalities)
        if unknown:
            raise UsageError(f"no such modality: {', '.join(sorted(unknown))}; there are {', '.join(self.modalities)}")
        gone = [v.name for v in self.variables.values() if v.modality in modalities]
        return replace(
            self,
            record=self.record.drop(columns=gone, errors="ignore"),
            visits=self.visits.drop(columns=gone, errors="ignore"),
            variables={k: v for k, v in self.variables.items() if k not in gone},
            genomics={k: v for k, v in self.genomics.items() if k not in modalities},
            images={k: v for k, v in self.images.items() if k not in modalities},
        )


@dataclass(frozen=True)
class Patient:
    """One person: a cohort of one, with the pseudonym that the outside may see."""

    cohort: Cohort
    pseudonym: str

    @property
    def record(self) -> pd.Series:
        """Values known at the time origin."""
        return self.cohort.record.iloc[0]

    @property
    def visits(self) -> pd.DataFrame:
        """Visits in time order, with "time" in days."""
        return self.cohort.visits.drop(columns="patient")


def draw_pseudonyms(key: str, identifiers: Iterable[str]) -> NDArray[np.object_]:
    """(n,) "P0001"...: the order in which digests of ``key`` and identifier fall.

    ``key`` is a digest of the data themselves: the same data give the same names, and somebody without the data
    cannot find out, by trying identifiers, who is meant.
    """
    keys = [hashlib.sha256(f"{key}:{identifier}".encode()).digest() for identifier in identifiers]
    rank = np.empty(len(keys), dtype=int)
    rank[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(1, len(keys) + 1)
    width = max(4, len(str(len(keys))))
    return np.array([f"P{r:0{width}d}" for r in rank], dtype=object)
