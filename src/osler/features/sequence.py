"""Sequence: visits as the inputs of a recurrent network, packed so that each visit is computed once.

A landmark of R rows holds V visits of some patients. The state after a visit depends on that visit and on earlier
ones alone, so one pass over the visits serves every row: a row picks the state of its own last visit. Visits are laid
out step by step (the first visits of all patients, then the second ones, ...), patients with the most visits first:
step t touches the first ``sizes[t]`` patients, and nothing is padded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Variable
from osler.cohort.landmark import Landmark
from osler.features.column import Column, columns_from_json, columns_to_json
from osler.features.encoding import Encoding, raw_values
from osler.features.scale import Scale

__all__ = ["Packing", "Sequences", "VisitEncoder", "carried_forward", "pack"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CLIP = 4.0


@dataclass(frozen=True, eq=False)
class Packing:
    """Where each visit lies when visits are laid out step by step.

    Attributes:
        order: (V,) positions of the visits in the table, in packed order.
        place: (V,) the inverse: packed position of each row of the table.
        sizes: for each step, how many patients have a visit of that rank; never increasing.
    """

    order: Ints
    place: Ints
    sizes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Visits of a landmark as the inputs of a recurrent network.

    Attributes:
        packing: the order of the visits.
        inputs: (V, D) float32 in packed order: values carried forward, observed masks, gap and time.
        values: (V, J) float64 in packed order: scaled numeric variables, carried forward, NaN before the first one.
        measured: (V, J) whether ``values`` were measured at that very visit.
        time: (V,) days from the time origin, in packed order.
        patient: (V,) whose visit it is, in packed order.
        last: (R,) packed position of the last visit of each row, -1 when there was none yet.
    """

    packing: Packing
    inputs: NDArray[np.float32]
    values: Floats
    measured: NDArray[np.bool_]
    time: Floats
    patient: Ints
    last: Ints

    @property
    def final(self) -> Ints:
        """(patients,) packed position of the last visit of everybody who has one."""
        place = self.packing.place
        owner = self.patient[place]
        return place[np.flatnonzero(np.r_[owner[1:] != owner[:-1], True])] if len(owner) else place

    def of_patients(self, chosen: NDArray[np.bool_], rows: Ints) -> Sequences:
        """The visits of the patients ``chosen`` (mask over positions), and ``rows``, positions of rows of theirs."""
        keep = chosen[self.patient]
        renumbered = np.cumsum(keep) - 1
        step = np.repeat(np.arange(len(self.packing.sizes)), self.packing.sizes)[keep]
        sizes = tuple(int(size) for size in np.bincount(step)) if keep.any() else ()
        place = np.argsort(self.packing.order[keep], kind="stable")
        order = np.empty_like(place)
        order[place] = np.arange(len(place))
        last = self.last[rows]
        last = np.where(last < 0, -1, renumbered[np.maximum(last, 0)]) if len(renumbered) else last
        return Sequences(
            Packing(order, place, sizes),
            self.inputs[keep],
            self.values[keep],
            self.measured[keep],
            self.time[keep],
            self.patient[keep],
            last,
        )


def pack(patient: Ints) -> Packing:
    """The packing of visits whose owners are ``patient`` (V,), sorted, each patient's visits in time order."""
    V = len(patient)
    if V == 0:
        return Packing(np.empty(0, np.int64), np.empty(0, np.int64), ())
    first = np.flatnonzero(np.r_[True, patient[1:] != patient[:-1]])
    counts = np.diff(np.r_[first, V])
    step = np.arange(V) - np.repeat(first, counts)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(first))
    order = np.lexsort((np.repeat(rank, counts), step)).astype(np.int64)
    place = np.empty(V, dtype=np.int64)
    place[order] = np.arange(V)
    return Packing(order, place, tuple(int(size) for size in np.bincount(step)))


def carried_forward(values: Floats, patient: Ints) -> Floats:
    """(V, J) the latest known value of each column within a patient, up to and including each visit; NaN before it."""
    V = len(patient)
    if V == 0 or values.shape[1] == 0:
        return values.copy()
    first = np.flatnonzero(np.r_[True, patient[1:] != patient[:-1]])
    start = np.repeat(first, np.diff(np.r_[first, V]))
    here = np.where(np.isfinite(values), np.arange(V)[:, None], -1)
    latest = np.maximum.accumulate(here, axis=0)
    known = latest >= start[:, None]
    return np.where(known, np.take_along_axis(values, np.maximum(latest, 0), axis=0), np.nan)


@dataclass
class VisitEncoder:
    """Scales of the visit variables, fitted on training patients, and visits brought into ``Sequences``.

    Args:
        unit: days that count as one unit of time in gaps: about the step at which the course is followed.
        minimum: least number of known training values for a variable to be used.

    Attributes:
        columns: what each of the D inputs means; masks have the summary "observed", the last two are of the modality
            "landmark" (gap since the visit before, and time).
        forecastable: names of the numeric variables of ``Sequences.values``, J of them.
    """

    unit: float
    minimum: int = 10
    encodings: list[Encoding] = field(default_factory=list)
    extras: dict[str, list[Scale | None]] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    clock: Scale | None = None

    def fit(self, known: Cohort, extras: dict[str, Floats] | None = None) -> Self:
        """Learn from the visits of ``known``.

        ``extras`` are further measurements taken at visits, by modality: (V, d) with NaN where there was none, such
        as what a network read from an image.
        """
        for variable in known.visit_variables:
            raw = raw_values(known.visits[variable.name], variable, len(known.visits))
            if np.isfinite(raw).sum() < self.minimum:
                continue
            encoding = Encoding(variable, "last", keep_missing=True).fit(raw, clip=_CLIP)
            if encoding.scales:
                self.encodings.append(encoding)
        for name, values in (extras or {}).items():
            scales = [Scale.fit(values[:, j], clip=_CLIP) for j in range(values.shape[1])]
            if any(scale is not None for scale in scales):
                self.extras[name] = scales
        self.clock = Scale.fit(known.visits["time"].to_numpy(dtype=float), clip=_CLIP)
        self.columns = self._columns()
        return self

    def _columns(self) -> tuple[Column, ...]:
        columns: list[Column] = []
        for encoding in self.encodings:
            v = encoding.variable
            columns += [*encoding.columns, Column(f"{v.name}.observed", v.modality, v.name, "observed")]
        for name, scales in self.extras.items():
            kept = [j for j, scale in enumerate(scales) if scale is not None]
            columns += [Column(f"{name}.score{j + 1}", name, name, "component") for j in kept]
            columns.append(Column(f"{name}.observed", name, name, "observed"))
        columns.append(Column("visit.gap", "landmark", "time", "since"))
        columns.append(Column("visit.time", "landmark", "time", "value"))
        return tuple(columns)

    @property
    def forecastable(self) -> tuple[str, ...]:
        """Numeric visit variables."""
        return tuple(e.variable.name for e in self.encodings if e.variable.type == "number")

    def scale(self, name: str) -> Scale:
        """The scale of a numeric visit variable."""
        return next(e.scales[0] for e in self.encodings if e.variable.name == name)

    def transform(self, landmark: Landmark, extras: dict[str, Floats] | None = None) -> Sequences:
        """The visits that ``landmark`` knows; extras as in ``fit``, absent ones count as never measured."""
        visits = landmark.known.visits
        owner, time = visits["patient"].to_numpy(), visits["time"].to_numpy(dtype=float)
        packing = pack(owner)
        blocks: list[Floats] = []
        values, measured = [np.empty((len(owner), 0))], [np.empty((len(owner), 0), dtype=bool)]
        for encoding in self.encodings:
            z = encoding.transform(raw_values(visits[encoding.variable.name], encoding.variable, len(owner)))
            seen = np.isfinite(z[:, :1])
            filled = carried_forward(z, owner)
            blocks += [np.nan_to_num(filled), seen]
            if encoding.variable.type == "number":
                values.append(filled[:, :1])
                measured.append(seen)
        blocks += self._extra_blocks(extras or {}, owner)
        blocks.append(self._clock_blocks(owner, time))
        inputs = np.concatenate(blocks, axis=1)[packing.order].astype(np.float32)
        last = np.full(len(landmark), -1, dtype=np.int64)
        has = landmark.stop > landmark.start
        last[has] = packing.place[landmark.stop[has] - 1]
        order = packing.order
        return Sequences(
            packing,
            inputs,
            np.hstack(values)[order],
            np.hstack(measured)[order].astype(bool),
            time[order],
            owner[order],
            last,
        )

    def _extra_blocks(self, extras: dict[str, Floats], owner: Ints) -> list[Floats]:
        blocks: list[Floats] = []
        for name, scales in self.extras.items():
            raw = extras.get(name, np.full((len(owner), len(scales)), np.nan))
            z = np.column_stack([scale(raw[:, j]) for j, scale in enumerate(scales) if scale is not None])
            blocks += [np.nan_to_num(carried_forward(z, owner)), np.isfinite(z[:, :1])]
        return blocks

    def _clock_blocks(self, owner: Ints, time: Floats) -> Floats:
        gap = np.zeros(len(owner))
        same = owner[1:] == owner[:-1]
        gap[1:][same] = (time[1:] - time[:-1])[same]
        clock = np.zeros(len(owner)) if self.clock is None else self.clock(time)
        return np.column_stack([np.log1p(np.maximum(gap, 0.0) / self.unit), clock])

    def state(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "unit": self.unit,
            "minimum": self.minimum,
            "encodings": [{"variable": e.variable.name, **e.state()} for e in self.encodings],
            "extras": {k: [None if s is None else s.to_json() for s in v] for k, v in self.extras.items()},
            "columns": columns_to_json(self.columns),
            "clock": None if self.clock is None else self.clock.to_json(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], variables: tuple[Variable, ...]) -> Self:
        """The inverse of ``state``; ``variables`` are the visit variables of the schema."""
        known = {v.name: v for v in variables}
        encoder = cls(unit=state["unit"], minimum=state["minimum"])
        for item in state["encodings"]:
            encoder.encodings.append(Encoding(known[item["variable"]], "last", keep_missing=True).restore(item))
        encoder.extras = {k: [None if s is None else Scale.from_json(s) for s in v] for k, v in state["extras"].items()}
        encoder.columns = columns_from_json(state["columns"])
        encoder.clock = None if state["clock"] is None else Scale.from_json(state["clock"])
        return encoder
