"""Blend: synthetic patients between two states of one patient, as explanations ask models about.

Both states are cohorts of one patient with the same visits. Whatever differs between them (a variable of the record,
the course of a visit variable, a genomic block, the images of a block) is taken from the one or from the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import VISIT_KEYS, Cohort
from osler.cohort.images import Images
from osler.models.base import RiskModel
from osler.models.shapley import Game, game

__all__ = ["Part", "Step", "blend", "differences", "filled", "typical_state", "worth"]

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Synthetic patients predicted at a time, fewer of them where they hold much.
_ROWS, _BYTES = 2_048, 256 * 1024**2


@dataclass(frozen=True)
class Part:
    """Something that may differ between two states: its kind, its name, and the modality it belongs to."""

    kind: Literal["record", "visits", "genomics", "images"]
    name: str
    modality: str


def typical_state(own: Cohort, typical: dict[str, float | str | None]) -> Cohort:
    """The typical patient, seen at the visits of ``own``: typical values throughout, no genome and no image."""
    record = {v.name: filled(own.record[v.name], typical[v.name]) for v in own.record_variables}
    visits = {v.name: filled(own.visits[v.name], typical[v.name]) for v in own.visit_variables}
    keys = {name: own.visits[name] for name in VISIT_KEYS}
    genomics = {name: replace(g, values=np.full_like(g.values, np.nan)) for name, g in own.genomics.items()}
    images = {name: b.take(np.zeros(len(b.visit), dtype=bool)) for name, b in own.images.items()}
    record_table = pd.DataFrame(record, index=own.record.index)
    return replace(own, record=record_table, visits=pd.DataFrame(keys | visits), genomics=genomics, images=images)


def filled(column: pd.Series, value: float | str | None) -> pd.Series:
    """A column of the same type and length with one value throughout; missing if that is None."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        code = -1 if value is None else column.dtype.categories.get_loc(value)
        codes = np.full(len(column), code, dtype=np.int64)
        return pd.Series(pd.Categorical.from_codes(codes, dtype=column.dtype), index=column.index)
    return pd.Series(np.full(len(column), np.nan if value is None else value, dtype=float), index=column.index)


def differences(before: Cohort, after: Cohort) -> list[Part]:
    """What differs between two states, in the order of the columns and blocks."""
    parts = [
        Part("record", v.name, v.modality) for v in after.record_variables if _differ(before.record, after.record, v)
    ]
    parts += [
        Part("visits", v.name, v.modality) for v in after.visit_variables if _differ(before.visits, after.visits, v)
    ]
    parts += [
        Part("genomics", name, name)
        for name, block in after.genomics.items()
        if not np.array_equal(block.values, before.genomics[name].values, equal_nan=True)
    ]
    parts += [
        Part("images", name, name)
        for name, block in after.images.items()
        if len(block.visit) != len(before.images[name].visit)
    ]
    return parts


def _differ(before: pd.DataFrame, after: pd.DataFrame, variable: Any) -> bool:
    return not before[variable.name].equals(after[variable.name])


def blend(before: Cohort, after: Cohort, parts: Sequence[Part], joined: Masks) -> Cohort:
    """One synthetic patient per row of ``joined`` (m, parts): each part as ``after`` where true, else as ``before``.

    Images of ``before`` are among those of ``after``, at the same visits.
    """
    m, v = len(joined), len(after.visits)
    has = {(part.kind, part.name): column for part, column in zip(parts, joined.T, strict=True)}
    owner, place, only = np.repeat(np.arange(m), v), np.tile(np.arange(v), m), np.zeros(m, dtype=np.int64)
    record = {
        name: _either(before.record[name], after.record[name], only, has.get(("record", name)))
        for name in after.record.columns
    }
    visits: dict[str, Any] = {"patient": owner, "time": after.visits["time"].to_numpy()[place]}
    for name in (variable.name for variable in after.visit_variables):
        mine = has.get(("visits", name))
        visits[name] = _either(before.visits[name], after.visits[name], place, None if mine is None else mine[owner])
    genomics = {
        name: replace(
            block, values=_either_row(before.genomics[name].values, block.values, m, has.get(("genomics", name)))
        )
        for name, block in after.genomics.items()
    }
    images = {}
    for name, block in after.images.items():
        images[name] = block.at_visits(place)
        if (mine := has.get(("images", name))) is not None:
            already = np.isin(place[images[name].visit], before.images[name].visit)
            images[name] = images[name].take(already | mine[owner[images[name].visit]])
    return replace(
        after,
        patients=np.repeat(after.patients, m),
        pseudonyms=np.repeat(after.pseudonyms, m),
        record=pd.DataFrame(record, index=pd.RangeIndex(m)),
        visits=pd.DataFrame(visits),
        genomics=genomics,
        images=images,
    )


def _either(before: pd.Series, after: pd.Series, place: NDArray[np.int64], has: Masks | None) -> Any:
    """The values at ``place`` of ``after`` where true, else of ``before``; of ``after`` alone where None."""
    if isinstance(after.dtype, pd.CategoricalDtype):
        codes = [column.cat.codes.to_numpy()[place] for column in (before, after)]
        return pd.Categorical.from_codes(codes[1] if has is None else np.where(has, *codes[::-1]), dtype=after.dtype)
    values = [column.to_numpy()[place] for column in (before, after)]
    return values[1] if has is None else np.where(has, *values[::-1])


def _either_row(before: NDArray[Any], after: NDArray[Any], m: int, has: Masks | None) -> NDArray[Any]:
    """(m, p) copies of the one row of ``after`` where true, else of ``before``; of ``after`` alone where None."""
    return np.repeat(after, m, axis=0) if has is None else np.where(has[:, None], after, before)


@dataclass(frozen=True)
class Step:
    """The way from one state to another, as a game of what differs between them."""

    before: Cohort
    after: Cohort
    parts: tuple[Part, ...]
    game: Game

    @classmethod
    def between(cls, before: Cohort, after: Cohort, pairs: int, rng: np.random.Generator) -> Step:
        """The game of what differs; ``pairs`` and ``rng`` as in ``osler.models.shapley.game``."""
        parts = tuple(differences(before, after))
        return cls(before, after, parts, game(len(parts), pairs, rng))


def worth(model: RiskModel, steps: Sequence[Step], at: float | str, horizon: float, cause: int) -> list[Floats]:
    """Of every step, the predicted risk of each of its coalitions; those of several steps are predicted together."""
    found: list[list[Floats]] = [[] for _ in steps]
    for batch in _batches(steps):
        cohort = _together([blend(step.before, step.after, step.parts, joined) for _, step, joined in batch])
        predicted = model.predict(cohort, at).risk(horizon, cause)
        ends = np.cumsum([len(joined) for _, _, joined in batch])[:-1]
        for (number, _, _), part in zip(batch, np.split(predicted, ends), strict=True):
            found[number].append(part)
    return [np.concatenate(parts) for parts in found]


def _batches(steps: Sequence[Step]) -> Iterator[list[tuple[int, Step, Masks]]]:
    """Coalitions of the steps, in order, in batches that fit in memory: number of a step, the step, who has joined."""
    batch: list[tuple[int, Step, Masks]] = []
    room = 1.0
    for number, step in enumerate(steps):
        size = 1 / _most(step.after)  # of one synthetic patient, as a share of a batch
        left = step.game.coalitions
        while len(left):
            taken = int(room / size + 1e-9)
            if taken:
                batch.append((number, step, left[:taken]))
                room -= size * min(taken, len(left))
            left = left[taken:]
            if len(left):
                yield batch
                batch, room = [], 1.0
    if batch:
        yield batch


def _most(patient: Cohort) -> int:
    """How many copies of a patient are predicted at a time."""
    held = sum(block.values.nbytes for block in patient.images.values())
    held += sum(block.values.nbytes for block in patient.genomics.values())
    return max(1, min(_ROWS, _BYTES // max(held, 1)))


def _together(cohorts: Sequence[Cohort]) -> Cohort:
    """Synthetic patients of several blends as one cohort."""
    first = cohorts[0]
    patients = np.cumsum([0, *(len(cohort) for cohort in cohorts)])
    visits = np.cumsum([0, *(len(cohort.visits) for cohort in cohorts)])
    tables = [c.visits.assign(patient=c.visits["patient"] + n) for c, n in zip(cohorts, patients[:-1], strict=True)]
    return replace(
        first,
        patients=np.arange(patients[-1]).astype(str).astype(object),
        pseudonyms=np.concatenate([cohort.pseudonyms for cohort in cohorts]),
        record=pd.concat([cohort.record for cohort in cohorts], ignore_index=True),
        visits=pd.concat(tables, ignore_index=True),
        genomics={
            name: replace(block, values=np.concatenate([cohort.genomics[name].values for cohort in cohorts]))
            for name, block in first.genomics.items()
        },
        images={name: _all_images([cohort.images[name] for cohort in cohorts], visits[:-1]) for name in first.images},
    )


def _all_images(blocks: Sequence[Images], offsets: NDArray[np.int64]) -> Images:
    first = blocks[0]
    return replace(
        first,
        visit=np.concatenate([block.visit + n for block, n in zip(blocks, offsets, strict=True)]),
        values=np.concatenate([block.values for block in blocks]),
        embedding=None if first.embedding is None else np.concatenate([block.embedding for block in blocks]),
    )
