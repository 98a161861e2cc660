"""Split: patients, never rows, are divided: at random, by whole sites or by time of entry; alike for every model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Variable
from osler.cohort.outcome import Outcome
from osler.config import StudyConfig
from osler.errors import UsageError

__all__ = ["Split", "assign_folds", "balanced_folds", "folds", "split_variable", "splits", "told_split"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """One division of a cohort: positions of the patients to learn from and of those to predict.

    Attributes:
        repeat: number of the repeat, from 0; test parts of one repeat share no patient.
        fold: number of the fold within the repeat, from 0.
        train, test: positions in the cohort, ascending; they share no patient.
    """

    repeat: int
    fold: int
    train: Ints
    test: Ints


def splits(cohort: Cohort, config: StudyConfig) -> list[Split]:
    """Every division that a study asks for, by repeat and fold.

    - ``split = "random"``: ``config.folds`` folds balanced over outcomes, ``config.repeats`` times.
    - ``split = "sites"``: each site is left out in turn; where there are more sites than folds, whole sites are dealt
      to the folds, the largest first, each to the fold with the fewest patients so far. A site is never on both
      sides. Nothing is drawn at random.
    - ``split = "time"``: patients are ordered by entry and cut into ``config.folds`` + 1 blocks, about equal, that keep
      equal times together; fold k learns from blocks 0 to k and predicts block k + 1. The first block is never
      predicted. Patients of earlier blocks keep their whole follow-up, also what of it lies after a later entry.

    Raises:
        UsageError: the patients cannot be divided so: too few, no outcome, a variable that is not in the record, of the
            wrong type or not known of everybody, fewer than two sites, too few distinct times; or nobody is at risk at
            the first landmark in some training part.
    """
    if cohort.outcome is None:
        raise UsageError(f"the cohort {cohort.name!r} has no outcome: it cannot be divided for a study")
    if config.split == "random":
        found = [Split(*part) for part in folds(cohort.outcome, config.folds, config.repeats, config.seed)]
    elif config.split == "sites":
        site = _sites(cohort, split_variable(cohort, config))
        found = _in_turn(_deal_sites(site, config.folds))
    else:
        entry = _entries(cohort, split_variable(cohort, config))
        found = _forward(_blocks(entry, config.folds + 1), config.folds)
    for split in found:
        if not (cohort.outcome.time[split.train] > min(config.landmarks)).any():
            raise UsageError(
                f"fold {split.fold + 1} of {len(found)} would be learned from patients of whom none is at risk at the "
                "first landmark: use fewer folds, another split or an earlier landmark"
            )
    return found


def told_split(config: StudyConfig, count: int) -> str:
    """One sentence on how the patients were divided into ``count`` parts to predict; no number of patients."""
    if config.split == "sites":
        return (
            f"Whole sites ({config.split_by}) were left out, in {count} parts: every patient was predicted by models "
            "that saw nobody of the same site."
        )
    if config.split == "time":
        return (
            f"Patients were ordered by entry ({config.split_by}) and cut into {count + 1} blocks; each block was "
            "predicted by models that learned from all blocks before it. The first block was never predicted."
        )
    again = f", {config.repeats} times" if config.repeats > 1 else ""
    return f"Patients were divided at random into {config.folds} folds{again}."


def split_variable(cohort: Cohort, config: StudyConfig) -> Variable:
    """The record variable that patients are divided by; raises UsageError when there is none or its type is wrong."""
    name, known = config.split_by, [v.name for v in cohort.record_variables]
    if name is None or name not in known:
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise UsageError(f"split_by: {name!r} is no record variable of the cohort; there are {shown or 'none'}")
    variable = cohort.variables[name]
    if config.split == "time" and variable.type != "number":
        raise UsageError(
            f'split_by: {name!r} is a {variable.type}; split = "time" needs a number, such as the year of entry'
        )
    return variable


def assign_folds(outcome: Outcome, n_folds: int, random_state: int, groups: NDArray[np.object_] | None = None) -> Ints:
    """(n,) fold of every patient, 0 to ``n_folds - 1``: balanced over event codes and, within a code, over time.

    Patients of one event code are ordered by follow-up time, dealt in blocks of ``n_folds``, and each block is
    shuffled: every fold sees early and late events. Raises UsageError when there are fewer patients than folds.

    Args:
        outcome: follow-up of n patients.
        n_folds: how many folds.
        random_state: seed.
        groups: (n,) labels; all of one label go to one fold, that of the first of them. Pass the identifiers of a
            bootstrap sample, where a patient may occur several times, lest copies lie on both sides.
    """
    if groups is not None:
        _, first, group = np.unique(groups.astype(str), return_index=True, return_inverse=True)
        if len(first) < len(groups):
            # In the order of their first appearance, as they would be without their copies.
            order = np.argsort(first, kind="stable")
            place = np.empty(len(order), dtype=np.int64)
            place[order] = np.arange(len(order))
            return assign_folds(outcome.take(np.sort(first)), n_folds, random_state)[place[group]]
    n = len(outcome)
    if n < n_folds:
        raise UsageError(f"{n} patients cannot be split into {n_folds} folds: use at most {n} folds")
    rng = np.random.default_rng(random_state)
    fold = np.empty(n, dtype=np.int64)
    offset = 0
    for code in np.unique(outcome.event):
        members = np.flatnonzero(outcome.event == code)
        members = members[np.argsort(outcome.time[members], kind="stable")]
        for first_of_block in range(0, len(members), n_folds):
            block = members[first_of_block : first_of_block + n_folds]
            # An incomplete block starts where the last one stopped, so that fold sizes differ by one at most.
            free = (np.arange(len(block)) + offset) % n_folds
            fold[block] = rng.permutation(free)
            offset = (offset + len(block)) % n_folds
    return fold


def balanced_folds(label: Ints, n_folds: int, random_state: int) -> Ints:
    """(n,) fold of every patient, balanced over class codes (n,) of 0 or more; otherwise like ``assign_folds``."""
    causes = tuple(f"class {code}" for code in range(1, int(label.max(initial=0)) + 1))
    return assign_folds(Outcome(np.zeros(len(label)), label, causes), n_folds, random_state)


def folds(outcome: Outcome, n_folds: int, repeats: int, random_state: int) -> Iterator[tuple[int, int, Ints, Ints]]:
    """Repeat, fold, training positions and held-out positions of a repeated cross-validation."""
    for repeat in range(repeats):
        assigned = assign_folds(outcome, n_folds, random_state + repeat)
        for fold in range(n_folds):
            yield repeat, fold, np.flatnonzero(assigned != fold), np.flatnonzero(assigned == fold)


def _in_turn(fold: Ints) -> list[Split]:
    """Each fold is predicted from all others."""
    return [Split(0, k, np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(int(fold.max()) + 1)]


def _forward(block: Ints, n_folds: int) -> list[Split]:
    """Each block but the first is predicted from those before it."""
    return [Split(0, k, np.flatnonzero(block <= k), np.flatnonzero(block == k + 1)) for k in range(n_folds)]


def _sites(cohort: Cohort, variable: Variable) -> Ints:
    """(n,) code of each patient's site, in the order of its labels."""
    column = cohort.record[variable.name]
    _refuse_missing(column, "site", len(cohort))
    codes = column.cat.codes if variable.type == "category" else column
    labels, site = np.unique(codes.to_numpy(), return_inverse=True)
    if len(labels) < 2:
        raise UsageError(
            f'split_by: all {len(cohort)} patients are of one site ({column.name!r}); split = "sites" needs two'
        )
    return site.astype(np.int64)


def _deal_sites(site: Ints, n_folds: int) -> Ints:
    """(n,) fold of each patient: one site each, or, when there are more sites, whole sites in balanced folds."""
    sizes = np.bincount(site)
    if len(sizes) <= n_folds:
        return site
    fold_of = np.empty(len(sizes), dtype=np.int64)
    filled = np.zeros(n_folds, dtype=np.int64)
    for largest in np.argsort(-sizes, kind="stable"):
        fold_of[largest] = filled.argmin()
        filled[fold_of[largest]] += sizes[largest]
    return fold_of[site]


def _entries(cohort: Cohort, variable: Variable) -> NDArray[np.float64]:
    column = cohort.record[variable.name]
    _refuse_missing(column, "time of entry", len(cohort))
    return column.to_numpy(dtype=float)


def _blocks(entry: NDArray[np.float64], count: int) -> Ints:
    """(n,) block of each patient by entry, 0 the earliest; equal times are never parted."""
    ordered = np.sort(entry)
    edges = np.flatnonzero(np.diff(ordered) > 0) + 1  # where a cut would part no equal times
    if len(edges) < count - 1:
        raise UsageError(
            f"split_by: {len(edges) + 1} distinct times of entry cannot be cut into {count} blocks, one more than "
            "there are folds: lower [study] folds, or split at random"
        )
    cuts: list[int] = []
    for k in range(1, count):
        # The cut nearest to an even share that leaves enough places for the cuts after it.
        free = np.arange(cuts[-1] + 1 if cuts else 0, len(edges) - (count - 1 - k))
        cuts.append(int(free[np.abs(edges[free] - k * len(entry) / count).argmin()]))
    return np.searchsorted(ordered[edges[cuts]], entry, "right").astype(np.int64)


def _refuse_missing(column: pd.Series, what: str, n: int) -> None:
    missing = int(column.isna().sum())
    if missing:
        raise UsageError(
            f"split_by: the {what} ({column.name!r}) must be known of every patient; it is missing for {missing} of "
            f"{n}. Leave them out with an eligibility criterion ([[cohort.exclude]]), or fill in the table."
        )
