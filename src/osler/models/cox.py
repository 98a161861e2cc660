"""Cox models, cause-specific where causes compete: one per landmark, or one over all landmarks stacked."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.landmark import Landmark
from osler.config import Question
from osler.features.design import HISTORY, Design
from osler.features.grid import training_landmarks
from osler.features.scale import dot_rows
from osler.models.base import RiskModel
from osler.models.rows import by_chunks, nearest, training_rows
from osler.survival.competing import fine_grid, incidence_band, incidence_from_hazards, onto_cells
from osler.survival.ridge import RidgeCox, fit_ridge_cox
from osler.units import duration

__all__ = ["Cox", "StackedCox"]

Floats = NDArray[np.float64]
_LEAST_EVENTS = 5
_STEEPEST = 30.0  # log hazard ratios beyond this are certainty; exp() stays finite


class CauseSpecificCox:
    """A ridge Cox hazard for every cause on one design: the part that both models share."""

    _LEARNED = ("beta", "centre", "root", "hazard", "variance", "penalties")

    def __init__(self, grid: Floats, design: Design) -> None:
        self.grid, self.edges, self.design = grid, fine_grid(grid), design

    def fit(self, landmark: Landmark, penalty: float | None) -> Self:
        """Learn from rows with an outcome, censored at the end of the grid; ``penalty`` None has it chosen."""
        X = self.design.fit(landmark).transform(landmark)
        time, event, causes = training_rows(landmark, self.grid[-1])
        groups, wide = self.design.penalty_groups(), self.design.wide_groups()
        fits = [
            fit_ridge_cox(X, time, event == code, groups, cluster=landmark.patient, penalty=penalty, doubted=wide)
            for code in range(1, len(causes) + 1)
        ]
        self.beta = np.stack([fit.beta for fit in fits])
        self.centre = np.stack([fit.centre for fit in fits])
        self.root = np.stack([_root(fit.covariance) for fit in fits])
        self.hazard = np.stack([onto_cells(fit.time, fit.hazard, self.edges) for fit in fits])
        self.variance = np.stack([_log_variance(fit, self.grid) for fit in fits])
        self.penalties = [fit.penalty for fit in fits]
        return self

    def predict(self, landmark: Landmark) -> tuple[Floats, Floats, Floats]:
        """Incidence (R, K, T) on the grid and its band."""
        incidence, lower, upper = by_chunks(self._predict, self.design.transform(landmark))
        return incidence, lower, upper

    def _predict(self, X: Floats) -> tuple[Floats, Floats, Floats]:
        causes = list(zip(self.beta, self.centre, self.root, strict=True))
        eta = np.stack([dot_rows(X - centre, beta[:, None])[:, 0] for beta, centre, _ in causes], axis=1)
        relative = np.exp(np.clip(eta, -_STEEPEST, _STEEPEST))[:, :, None]
        every = (len(self.edges) - 1) // (len(self.grid) - 1)
        incidence = incidence_from_hazards(relative * self.hazard, every)

        doubt = np.stack([(dot_rows(X - centre, root) ** 2).sum(axis=1) for _, centre, root in causes], axis=1)
        steps = self.hazard.reshape(len(self.hazard), -1, every).sum(axis=2)
        lower, upper = incidence_band(
            lambda shift: incidence_from_hazards(relative * np.exp(shift)[:, None] * steps),
            doubt[:, :, None] + self.variance,
        )
        # The band is computed on whole steps of the grid; it may not leave the curve itself outside.
        return incidence, np.minimum(lower, incidence), np.maximum(upper, incidence)

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {"design": self.design.state(), **{name: getattr(self, name) for name in self._LEARNED}}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.design.restore(state["design"])
        for name in self._LEARNED:
            setattr(self, name, state[name])
        return self


class _CoxModel(RiskModel):
    """Settings and storage of both Cox models.

    Args:
        question: landmarks and horizons.
        penalty: ridge penalty of every column; None has one per modality chosen by marginal likelihood in the fold.
        history: summaries of visit variables among "last", "mean", "slope".
        components: most principal components of a genomic or embedding block; None: as ``Design`` has it.
        splines: knots of linear splines on numbers.
        leading: as ``Design`` has it.
        random_state: not used; fitting draws nothing.
    """

    _landmark_terms: bool

    def __init__(
        self,
        question: Question,
        *,
        penalty: float | None = None,
        history: tuple[str, ...] = HISTORY,
        components: int | None = None,
        splines: int = 0,
        leading: bool = False,
        random_state: int = 0,
    ) -> None:
        super().__init__(question, random_state=random_state)
        self.penalty = penalty
        self.history = tuple(history)
        self.components = components
        self.splines = splines
        self.leading = leading

    @abstractmethod
    def _parts(self, cohort: Cohort) -> dict[float, tuple[float, ...]]:
        """Landmark that a part stands for -> moments whose rows it learns from."""

    def _new(self) -> CauseSpecificCox:
        design = Design(
            history=self.history,
            components=self.components,
            splines=self.splines,
            leading=self.leading,
            landmark_terms=self._landmark_terms,
        )
        return CauseSpecificCox(self.question.grid, design)

    def _fit(self, cohort: Cohort) -> None:
        self._fitted = {
            moment: self._new().fit(cohort.at(moments), self.penalty) for moment, moments in self._parts(cohort).items()
        }

    def _predict(self, landmark: Landmark) -> tuple[Floats, Floats, Floats]:
        shape = (len(landmark), len(self.causes_), len(self.question.grid))
        incidence, lower, upper = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        part_of = nearest(list(self._fitted), landmark.time)
        for i, part in enumerate(self._fitted.values()):
            rows = np.flatnonzero(part_of == i)
            if len(rows):
                incidence[rows], lower[rows], upper[rows] = part.predict(landmark.take(rows))
        return incidence, lower, upper

    def state(self) -> dict[str, Any]:
        """The fitted parts, by landmark."""
        return {"landmarks": list(self._fitted), "parts": [part.state() for part in self._fitted.values()]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        parts = zip(state["landmarks"], state["parts"], strict=True)
        self._fitted = {float(moment): self._new().restore(part) for moment, part in parts}


class Cox(_CoxModel):
    """A ridge Cox model of every cause at each landmark of the question; between them that of the nearest answers.

    Cox DR. J R Stat Soc B 1972;34:187-220; baseline hazards after Breslow; incidences from all cause-specific hazards.
    """

    name = "cox"
    label = "Cox"
    _landmark_terms = False

    def _parts(self, cohort: Cohort) -> dict[float, tuple[float, ...]]:
        assert cohort.outcome is not None
        time, event, horizon = cohort.outcome.time, cohort.outcome.event, max(self.question.horizons)
        events = {
            moment: int(((time > moment) & (time <= moment + horizon) & (event > 0)).sum())
            for moment in self.question.landmarks
        }
        enough = [moment for moment, count in events.items() if count >= _LEAST_EVENTS]
        chosen = enough or [max(events, key=lambda moment: events[moment])]
        for moment in set(events) - set(chosen):
            self.notes_.append(
                f"{self.label}: fewer than {_LEAST_EVENTS} events after the landmark {duration(moment)} among the "
                "training patients; the model of the nearest other landmark answers there."
            )
        self.notes_.sort()
        return {moment: (moment,) for moment in chosen}


class StackedCox(_CoxModel):
    """One ridge Cox model of every cause over all landmarks stacked: the landmark supermodel.

    Rows of all patients at risk at every training landmark, censored at the longest horizon, share coefficients and a
    baseline, with terms s and s^2 of the landmark; patients count once in penalties and bands (design effect).
    van Houwelingen HC. Scand J Stat 2007;34:70-85.
    """

    name = "stacked_cox"
    label = "Stacked Cox"
    _landmark_terms = True

    def _parts(self, cohort: Cohort) -> dict[float, tuple[float, ...]]:
        return {min(self.question.landmarks): training_landmarks(cohort, self.question)}


def _root(covariance: Floats) -> Floats:
    """(P, P) factor A of the covariance A A'."""
    if not len(covariance):
        return covariance
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))


def _log_variance(fit: RidgeCox, grid: Floats) -> Floats:
    """(T,) variance of the log baseline cumulative hazard at the times of the grid; 0 before the first event."""
    lived = np.searchsorted(fit.time, grid, "right")
    hazard = np.concatenate([[0.0], np.cumsum(fit.hazard)])[lived]
    variance = np.concatenate([[0.0], np.cumsum(fit.variance)])[lived]
    return np.divide(variance, hazard**2, out=np.zeros_like(hazard), where=hazard > 0)
