"""Division: whom classifiers learn from and whom they are judged on, as the cohort gives it or in folds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.split import Split, balanced_folds
from osler.config import DiagnosisConfig
from osler.errors import UsageError

__all__ = ["Division", "divide", "predictors"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Division:
    """The parts of a cohort.

    Attributes:
        splits: whom to learn from and whom to predict, by repeat and fold.
        tested: (n,) positions of the patients who are judged, ascending; in a repeat each is predicted once.
        folds: (R, n) the fold in which each was predicted; None where the division is given.
        unknown: positions of patients whose class is not known and who come with the tested ones, ascending.
        sentence: in words.
    """

    splits: tuple[Split, ...]
    tested: Ints
    folds: Ints | None
    unknown: Ints
    sentence: str

    @property
    def given(self) -> bool:
        """Whether the cohort itself says who is tested."""
        return self.folds is None


def divide(cohort: Cohort, config: DiagnosisConfig) -> Division:
    """The division that the question asks for.

    Raises:
        UsageError: ``split_by`` is no category of the record, is missing for somebody, or leaves nobody to learn from
            or to test; or there are fewer patients of a class than folds.
    """
    assert cohort.diagnosis is not None
    return _given(cohort, config) if config.split_by is not None else _folds(cohort, config)


def predictors(cohort: Cohort, config: DiagnosisConfig) -> Cohort:
    """The cohort without the variable that patients are divided by."""
    if config.split_by is None:
        return cohort
    variables = {name: variable for name, variable in cohort.variables.items() if name != config.split_by}
    return replace(cohort, record=cohort.record.drop(columns=config.split_by), variables=variables)


def _given(cohort: Cohort, config: DiagnosisConfig) -> Division:
    name = config.split_by
    known = [variable.name for variable in cohort.record_variables if variable.type == "category"]
    if name not in known:
        raise UsageError(f"split_by: {name!r} is no category of the record; there are {', '.join(known) or 'none'}")
    column = cohort.record[name]
    if column.isna().any():
        raise UsageError(f"split_by: {name!r} is missing for {int(column.isna().sum())} of {len(cohort)} patients")
    levels = cohort.variables[name].levels
    strange = [label for label in config.test if label not in levels]
    if strange:
        raise UsageError(f"test: {', '.join(strange)} is no label of {name!r}; there are {', '.join(levels)}")
    held_out, told = column.isin(config.test).to_numpy(), _known(cohort)
    train, test = np.flatnonzero(~held_out & told), np.flatnonzero(held_out & told)
    if not len(train) or not len(test):
        raise UsageError(f"split_by: {name!r} leaves {len(train)} patients to learn from and {len(test)} to test")
    learned = [label for label in levels if label not in config.test]
    sentence = (
        f"The cohort divides itself ({name}): classifiers learned from the {len(train):,} patients of "
        f"{', '.join(learned)}, and were judged once on the {len(test):,} of {', '.join(config.test)}."
    )
    return Division((Split(0, 0, train, test),), test, None, np.flatnonzero(held_out & ~told), sentence)


def _folds(cohort: Cohort, config: DiagnosisConfig) -> Division:
    assert cohort.diagnosis is not None
    tested = np.flatnonzero(_known(cohort))
    label = cohort.diagnosis.label[tested]
    counts = np.bincount(label, minlength=len(cohort.diagnosis.classes))
    smallest = int(counts[counts > 0].min()) if len(label) else 0
    if smallest < config.folds:
        raise UsageError(
            f"a class has {smallest} patients, too few for {config.folds} folds: lower [diagnosis] folds, or join "
            "classes"
        )
    folds = np.stack([balanced_folds(label, config.folds, config.seed + r) for r in range(config.repeats)])
    splits = tuple(
        Split(r, k, tested[fold != k], tested[fold == k]) for r, fold in enumerate(folds) for k in range(config.folds)
    )
    again = f", {config.repeats} times" if config.repeats > 1 else ""
    sentence = (
        f"Patients were divided at random into {config.folds} folds of equal class shares{again}; each was predicted "
        "by classifiers that had not seen them."
    )
    return Division(splits, tested, folds, np.empty(0, dtype=np.int64), sentence)


def _known(cohort: Cohort) -> NDArray[np.bool_]:
    assert cohort.diagnosis is not None
    return cohort.diagnosis.known
