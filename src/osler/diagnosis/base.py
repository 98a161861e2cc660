"""Classifier: one interface for everything that tells classes apart, whatever is inside."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Patient
from osler.cohort.landmark import Landmark
from osler.cohort.schema import Schema
from osler.cohort.split import balanced_folds
from osler.diagnosis.risk import ClassRisk
from osler.errors import ModelError

__all__ = ["Classifier", "inner_folds"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Classifier(ABC):
    """Fits on a cohort with classes, answers with probabilities.

    Constructors store; ``fit`` learns from the patients whose class is known, and from what is known of them at the
    moment ``at``; what it learned ends in an underscore. Everything drawn comes from ``random_state``.

    Args:
        at: moment of prediction, in days from the time origin: nothing measured after it is used.
        random_state: seed of whatever is drawn at random.

    Attributes:
        name: short name, the key in configurations and tables.
        label: what reports call it.
        classes_: names of the C classes, after fitting.
        diagnosis_: what is diagnosed.
        positive_: code of the class that is looked for.
        present_: (P,) codes of the classes that occurred in training; others have probability zero.
        shares_: (C,) share of each class among the training patients.
        notes_: remarks that a report must show.
        schema_: the variables, features and image shapes it was fitted on.
    """

    name: ClassVar[str]
    label: ClassVar[str]

    def __init__(self, *, at: float = 0.0, random_state: int = 0) -> None:
        self.at = at
        self.random_state = random_state

    def fit(self, cohort: Cohort) -> Self:
        """Learn from every patient of known class; raises ModelError when fewer than two classes occur."""
        told = cohort.diagnosis
        if told is None:
            raise ModelError(f"{self.label} cannot be fitted: the cohort {cohort.name!r} has no classes")
        known = cohort.subset(told.known)
        assert known.diagnosis is not None
        label = known.diagnosis.label
        counts = np.bincount(label, minlength=len(told.classes))
        self.present_ = np.flatnonzero(counts)
        if len(self.present_) < 2:
            raise ModelError(f"{self.label} cannot be fitted: fewer than two classes occur among the training patients")
        self.classes_, self.diagnosis_, self.positive_ = told.classes, told.name, told.positive
        self.shares_ = counts / counts.sum()
        self.notes_: list[str] = [
            f"No training patient is of class {told.classes[code]!r}: its probability is taken as zero."
            for code in np.flatnonzero(counts == 0)
        ]
        self.schema_ = Schema.of(known)
        self._fit(known.at(self.at), np.searchsorted(self.present_, label))
        return self

    def predict(self, cohort: Cohort | Patient) -> ClassRisk:
        """Probabilities of the classes for every patient, by what is known at ``at``.

        A patient's row depends on nobody else in ``cohort``, on no row order, on no identifier, on no class that the
        cohort tells, and on nothing measured after ``at``. Raises ModelError before ``fit``.
        """
        self._check_fitted()
        everyone = cohort.cohort if isinstance(cohort, Patient) else cohort
        probability = np.zeros((len(everyone), len(self.classes_)))
        if len(everyone):
            found = self._predict(self.schema_.conform(everyone).at(self.at, at_risk=False))
            probability[:, self.present_] = found / found.sum(axis=1, keepdims=True)
        return ClassRisk(everyone.patients, self.classes_, probability)

    def settings(self) -> dict[str, Any]:
        """Hyper-parameters as given to the constructor (JSON values)."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names if name not in ("at", "random_state")}

    def _check_fitted(self) -> None:
        if not hasattr(self, "schema_"):
            raise ModelError(f"{self.label} has not been fitted")

    @abstractmethod
    def _fit(self, landmark: Landmark, label: Ints) -> None:
        """Learn from R rows, a patient each, and their (R,) codes 0 to P - 1, each of which occurs."""

    @abstractmethod
    def _predict(self, landmark: Landmark) -> Floats:
        """(R, P) probabilities."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything learned beyond the base: nested dicts and lists of JSON values, arrays and bytes."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""


def inner_folds(label: Ints, count: int, random_state: int) -> Ints:
    """(n,) fold of every training patient, balanced over classes; fewer folds where there are fewer patients."""
    return balanced_folds(label, max(2, min(count, len(label))), random_state)
