"""RiskModel: one interface, whatever is inside."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Patient
from osler.cohort.landmark import Landmark
from osler.cohort.schema import Schema
from osler.config import Question
from osler.errors import ModelError, UsageError
from osler.survival.curve import RiskCurve
from osler.units import days, duration

if TYPE_CHECKING:
    from osler.models.forecaster import Forecasts

__all__ = ["RiskModel"]

Floats = NDArray[np.float64]

_PART = 20_000  # patients predicted at once
_AVERAGED = 100_000  # patients, evenly from the cohort, whose mean stands for that of everybody


class RiskModel(ABC):
    """Fits on a cohort, answers with risk curves.

    Constructors store; ``fit`` checks, learns from training patients alone and returns self; what it learned ends
    in an underscore. Fitting and predicting are deterministic given ``random_state`` and touch no global state.

    Attributes:
        name: short name, the key in configurations and tables.
        label: what reports call it.
        answers: of how many unlike predictors its risk is the mean; an ensemble counts it so often.
        question: landmarks and horizons that will be asked; ``question.grid`` is the time grid of the curves.
        random_state: seed of whatever is drawn at random.
        checkpoint: folder where a long training leaves its state, so that a killed one goes on; not stored. None: it
            leaves nothing. Models that fit in seconds ignore it.
        causes_: names of the causes, after fitting.
        notes_: remarks that a report must show, such as "no event of cause X among the training patients".
        schema_: the variables, features and image shapes it was fitted on; cohorts are brought into this form.
        typical_: variable -> median (number, flag) or most frequent level (category) of the training patients:
            the typical patient that explanations compare with.
        average_: (L, K, T) mean incidence of the training patients (at most 100,000 of them) at each landmark of the
            question.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    answers: ClassVar[int] = 1
    checkpoint: Path | None = None

    def __init__(self, question: Question, *, random_state: int = 0) -> None:
        self.question = question
        self.random_state = random_state

    def fit(self, cohort: Cohort) -> Self:
        """Learn from every patient of ``cohort``; raises ModelError when there is no outcome or nobody is at risk."""
        if cohort.outcome is None:
            what = "a class, which has no time, as its outcome" if cohort.diagnosis is not None else "no outcome"
            raise ModelError(f"{self.label} cannot be fitted: the cohort {cohort.name!r} has {what}")
        if not (cohort.outcome.time > min(self.question.landmarks)).any():
            raise ModelError(f"{self.label} cannot be fitted: no patient is at risk at the first landmark")
        self.causes_: tuple[str, ...] = cohort.outcome.causes
        self.notes_: list[str] = [
            f"No event of cause {name!r} among the training patients: its risk is taken as zero."
            for name, count in cohort.outcome.events().items()
            if count == 0
        ]
        self.schema_ = Schema.of(cohort)
        self.typical_ = _typical(cohort)
        self._fit(cohort)
        self.average_ = np.stack([self._average(cohort, moment) for moment in self.question.landmarks])
        return self

    def predict(self, cohort: Cohort | Patient, at: float | str, *, at_risk: bool = True) -> RiskCurve:
        """Risk curves of the patients at risk at the landmark ``at`` (days, or a duration such as "6y").

        A patient's curve depends on nobody else in ``cohort``, on no row order, on no identifier and on nothing
        measured after the landmark. Raises ModelError before ``fit``, and UsageError for a single patient whose
        follow-up ended before the landmark.
        """
        if not hasattr(self, "causes_"):
            raise ModelError(f"{self.label} has not been fitted")
        everyone = cohort.cohort if isinstance(cohort, Patient) else cohort
        moment = days(at)
        patients, *answers = zip(*self._in_parts(everyone, moment, at_risk=at_risk), strict=True)
        patient = np.concatenate(patients)
        if isinstance(cohort, Patient) and not len(patient):
            raise UsageError(
                f"the follow-up of patient {cohort.pseudonym} ended before the landmark {duration(moment)}"
            )
        incidence, lower, upper = (_joined(answer) for answer in answers)
        assert incidence is not None
        return RiskCurve(
            patients=everyone.patients[patient],
            landmark=moment,
            times=self.question.grid,
            causes=self.causes_,
            incidence=incidence,
            lower=lower,
            upper=upper,
        )

    @property
    def parts(self) -> tuple[RiskModel, ...]:
        """The fitted models whose answers it puts together: itself alone, or its members."""
        return (self,)

    @property
    def forecaster(self) -> Forecasts | None:
        """What forecasts the biomarkers: the model itself, a part of it, or None where nothing does."""
        return None

    def event_times(self, curve: RiskCurve) -> tuple[Floats, Floats] | None:
        """When the first event of any cause comes: (n,) days after the landmark, lower and upper; None if not known.

        ``curve`` is an answer of this model. Intervals hold the time of 90 % of patients like those of training, 5 % on
        either side, whatever the model is worth; infinite bounds lie past the longest horizon. That a patient's own
        risk lies in the band of the curve rests on assumptions; this does not.
        """
        return None

    def _in_parts(
        self, cohort: Cohort, moment: float, *, at_risk: bool = True
    ) -> Iterator[tuple[NDArray[np.int64], Floats, Floats | None, Floats | None]]:
        """Positions, incidence and band of the patients at a landmark, some thousands at a time: memory is bounded."""
        for first in range(0, max(len(cohort), 1), _PART):
            whole = len(cohort) <= _PART
            some = cohort if whole else cohort.subset(np.arange(first, min(first + _PART, len(cohort))))
            landmark = self.schema_.conform(some).at(moment, at_risk=at_risk)
            yield first + landmark.patient, *self._predict(landmark)

    def average(self, at: float | str) -> Floats:
        """(K, T) mean incidence of the training patients at the landmark of the question nearest to ``at``."""
        nearest = np.argmin(np.abs(np.asarray(self.question.landmarks) - days(at)))
        return self.average_[nearest]

    def settings(self) -> dict[str, Any]:
        """Hyper-parameters as given to the constructor (JSON values)."""
        names = list(inspect.signature(type(self).__init__).parameters)[2:]
        return {name: getattr(self, name) for name in names if name != "random_state"}

    def _average(self, cohort: Cohort, moment: float) -> Floats:
        if len(cohort) > _AVERAGED:
            cohort = cohort.subset(np.linspace(0, len(cohort) - 1, _AVERAGED).astype(np.int64))
        total, count = np.zeros((len(self.causes_), len(self.question.grid))), 0
        for patient, incidence, _, _ in self._in_parts(cohort, moment):
            total, count = total + incidence.sum(axis=0), count + len(patient)
        return total / max(count, 1)

    @abstractmethod
    def _fit(self, cohort: Cohort) -> None:
        """Learn; ``cohort.outcome`` is present, somebody is at risk, ``causes_`` and ``schema_`` are set."""

    @abstractmethod
    def _predict(self, landmark: Landmark) -> tuple[Floats, Floats | None, Floats | None]:
        """Incidence (R, K, T) on ``question.grid`` and, or None, the lower and upper 90% band of the same shape.

        ``landmark.known`` has exactly the columns of ``schema_``; absent modalities are missing values.
        """

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything learned: nested dicts and lists of JSON values, numpy arrays and bytes; no live objects."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""


def _joined(parts: Sequence[Floats | None]) -> Floats | None:
    found = [part for part in parts if part is not None]
    return None if len(found) < len(parts) else found[0] if len(found) == 1 else np.concatenate(found)


def _typical(cohort: Cohort) -> dict[str, float | str | None]:
    tables = [(v, cohort.record[v.name]) for v in cohort.record_variables]
    tables += [(v, cohort.visits[v.name]) for v in cohort.visit_variables]
    typical: dict[str, float | str | None] = {}
    for variable, column in tables:
        known = column.dropna()
        if not len(known):
            typical[variable.name] = None
        elif variable.type == "category":
            typical[variable.name] = str(known.astype(str).mode().iloc[0])
        elif variable.type == "flag":
            typical[variable.name] = float(known.mean() >= 0.5)
        else:
            typical[variable.name] = float(known.median())
    return typical
