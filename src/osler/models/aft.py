"""Weibull accelerated failure time model, cause-specific where causes compete, over all landmarks stacked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from lifelines import WeibullAFTFitter
from lifelines.exceptions import ConvergenceError
from numpy.typing import NDArray
from scipy.optimize import brentq

from osler.cohort.cohort import Cohort
from osler.cohort.landmark import Landmark
from osler.config import Question
from osler.features.design import HISTORY, Design
from osler.features.grid import training_landmarks
from osler.features.scale import dot_rows
from osler.models.base import RiskModel
from osler.models.rows import by_chunks, training_rows
from osler.survival.competing import fine_grid, incidence_band, incidence_from_hazards
from osler.survival.ridge import RidgeCox, fit_ridge_cox

__all__ = ["WeibullAFT"]

Floats = NDArray[np.float64]
_ROWS = 20_000  # more rows make lifelines slow and hardly move a parametric fit
_LEAST_EVENTS = 3
_ATTEMPTS = 3
_CRUSHING = 100.0  # a penalty of this many times the events leaves about one percent of a coefficient: no column needed
_STEEPEST = 50.0  # shape of events that all come at one time, as when an outcome is known by a fixed day


class WeibullAFT(RiskModel):
    """log T = x beta + intercept + error / shape for every cause, with a ridge penalty per modality.

    lifelines' ``WeibullAFTFitter`` fits it to the rows of all training landmarks, censored at the longest horizon, with
    terms s and s^2 of the landmark. A Weibull model is one of proportional hazards too, so the penalties are those
    that marginal likelihood chooses for a Cox model of the same rows. Where lifelines does not converge the penalty is
    raised, and in the end the coefficients are those of the Cox model; a note says so. Incidences come from all
    cause-specific hazards by numerical integration on an eighth of the grid's steps.

    Args:
        question: landmarks and horizons.
        penalty: ridge penalty of every column on the log-likelihood; None has one per modality chosen in the fold.
        history: summaries of visit variables among "last", "mean", "slope".
        components: most principal components of a genomic or embedding block; lifelines is slow on many.
        random_state: not used; fitting draws nothing.
    """

    name = "aft"
    label = "Weibull AFT"

    def __init__(
        self,
        question: Question,
        *,
        penalty: float | None = None,
        history: tuple[str, ...] = HISTORY,
        components: int = 20,
        random_state: int = 0,
    ) -> None:
        super().__init__(question, random_state=random_state)
        self.penalty = penalty
        self.history = tuple(history)
        self.components = components

    def _fit(self, cohort: Cohort) -> None:
        rows = cohort.at(training_landmarks(cohort, self.question, rows=_ROWS))
        self._design = self._new_design()
        X = self._design.fit(rows).transform(rows)
        horizon = float(self.question.grid[-1])
        time, event, _ = training_rows(rows, horizon)
        groups = self._design.penalty_groups()
        self._causes = []
        for code, name in enumerate(self.causes_, 1):
            happened = event == code
            ridge = fit_ridge_cox(
                X,
                time,
                happened,
                groups,
                cluster=rows.patient,
                penalty=self.penalty,
                doubted=self._design.wide_groups(),
            )
            # A log hazard ratio is minus the shape times the coefficient on log time.
            exchange = ridge.design_effect * _crude_shape(time / horizon, happened) ** 2
            penalties = _by_column(ridge.penalty, groups, X.shape[1]) * exchange
            weibull, attempts = _fit_weibull(X, time / horizon, happened, penalties, ridge)
            self._causes.append(weibull)
            if attempts > 1:
                taken = "its coefficients are those of a Cox model over a Weibull baseline"
                remedy = taken if attempts > _ATTEMPTS else "its penalty was raised"
                self.notes_.append(f"{self.label}: the fit for {name!r} did not converge; {remedy}.")

    def _new_design(self) -> Design:
        return Design(history=self.history, components=self.components)

    def _predict(self, landmark: Landmark) -> tuple[Floats, Floats, Floats]:
        incidence, lower, upper = by_chunks(self._answer, self._design.transform(landmark))
        return incidence, lower, upper

    def _answer(self, X: Floats) -> tuple[Floats, Floats, Floats]:
        grid = self.question.grid / self.question.grid[-1]
        edges = fine_grid(grid)
        every = (len(edges) - 1) // (len(grid) - 1)
        cumulative = np.stack([cause.cumulative_hazard(X, edges) for cause in self._causes], axis=1)
        incidence = incidence_from_hazards(np.diff(cumulative, axis=2), every)
        steps = np.diff(cumulative[:, :, ::every], axis=2)
        lower, upper = incidence_band(
            lambda shift: incidence_from_hazards(np.exp(shift)[:, None] * steps),
            np.stack([cause.log_variance(X, grid) for cause in self._causes], axis=1),
        )
        return incidence, np.minimum(lower, incidence), np.maximum(upper, incidence)

    def state(self) -> dict[str, Any]:
        """Design and the coefficients of each cause."""
        return {"design": self._design.state(), "causes": [cause.state() for cause in self._causes]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._design = self._new_design().restore(state["design"])
        self._causes = [_Weibull(**cause) for cause in state["causes"]]


@dataclass(frozen=True, eq=False)
class _Weibull:
    """Cumulative hazard (t / exp(intercept + x beta))^shape, with t in units of the longest horizon.

    ``intercept`` is None when the cause never happened. ``covariance`` (P + 2, P + 2): of beta, intercept, log shape.
    """

    beta: Floats
    intercept: float | None
    shape: float
    covariance: Floats

    def cumulative_hazard(self, X: Floats, time: Floats) -> Floats:
        """(R, T) cumulative hazard of (R, P) rows at ``time`` (T,), zero at time zero."""
        out = np.zeros((len(X), len(time)))
        if self.intercept is not None:
            later = time > 0
            out[:, later] = np.exp(np.clip(self.shape * self._log_distance(X, time[later]), -60, 30))
        return out

    def log_variance(self, X: Floats, time: Floats) -> Floats:
        """(R, T) variance of the log cumulative hazard (delta method); zero at time zero."""
        out = np.zeros((len(X), len(time)))
        if self.intercept is None:
            return out
        later = time > 0
        Z = np.column_stack([X, np.ones(len(X))])
        level, cross, shape = self.covariance[:-1, :-1], self.covariance[:-1, -1], self.covariance[-1, -1]
        distance = self._log_distance(X, time[later])
        of_level = (dot_rows(Z, level) * Z).sum(axis=1)[:, None]
        with_shape = dot_rows(Z, cross[:, None])
        variance = of_level - 2 * distance * with_shape + distance**2 * shape
        out[:, later] = self.shape**2 * np.maximum(variance, 0.0)
        return out

    def _log_distance(self, X: Floats, time: Floats) -> Floats:
        assert self.intercept is not None
        return np.log(time)[None, :] - (self.intercept + dot_rows(X, self.beta[:, None]))

    def taking(self, kept: NDArray[np.int64]) -> _Weibull:
        """The same hazard of some columns."""
        rows = np.append(kept, [len(self.beta), len(self.beta) + 1])
        return _Weibull(self.beta[kept], self.intercept, self.shape, self.covariance[np.ix_(rows, rows)])

    def among(self, kept: NDArray[np.int64], p: int) -> _Weibull:
        """The inverse of ``taking``: zeros for the columns left out."""
        beta, covariance, rows = np.zeros(p), np.zeros((p + 2, p + 2)), np.append(kept, [p, p + 1])
        beta[kept], covariance[np.ix_(rows, rows)] = self.beta, self.covariance
        return _Weibull(beta, self.intercept, self.shape, covariance)

    def state(self) -> dict[str, Any]:
        """Arrays and numbers, by the names of the attributes."""
        return {name: getattr(self, name) for name in ("beta", "intercept", "shape", "covariance")}


def _fit_weibull(
    X: Floats, time: Floats, event: NDArray[np.bool_], penalty: Floats, ridge: RidgeCox
) -> tuple[_Weibull, int]:
    """The fit and the number of attempts it took; one more than allowed means that none succeeded."""
    if not event.any():
        return _Weibull(np.zeros(X.shape[1]), None, 1.0, np.zeros((X.shape[1] + 2,) * 2)), 1
    start = _with_coefficients_of(ridge, time, event)
    if len(np.unique(time[event])) >= _LEAST_EVENTS:
        kept = np.flatnonzero(penalty < _CRUSHING * event.sum())
        for attempt in range(_ATTEMPTS):
            stronger = penalty[kept] * 10.0**attempt
            fitted = _lifelines_fit(X[:, kept], time, event, stronger, start.taking(kept), ridge.design_effect)
            if fitted is not None:
                return fitted.among(kept, X.shape[1]), attempt + 1
    return start, _ATTEMPTS + 1


def _lifelines_fit(
    X: Floats, time: Floats, event: NDArray[np.bool_], penalty: Floats, start: _Weibull, effect: float
) -> _Weibull | None:
    """The fit, sought from ``start``; None when lifelines does not converge to a sensible fit."""
    names = [f"x{i:06d}" for i in range(X.shape[1])]  # lifelines sorts columns by name, penalties not
    table = pd.DataFrame(X, columns=names).assign(time=time, event=event)
    # lifelines penalises the mean log-likelihood and the coefficients of columns divided by their spread. It would
    # draw the log shape to zero too, unless told not to: that distorts every risk.
    spread = table[names].std(axis=0).to_numpy()
    fitter = WeibullAFTFitter(penalizer=np.append(penalty / spread**2 / len(X), 0.0))
    assert start.intercept is not None
    first = np.concatenate([start.beta * spread, [start.intercept, np.log(start.shape)]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fitter.fit(table, "time", "event", initial_point=first)
        except (ConvergenceError, np.linalg.LinAlgError):
            return None
    order = [("lambda_", name) for name in [*names, "Intercept"]] + [("rho_", "Intercept")]
    value = fitter.params_[order].to_numpy(dtype=float)
    covariance = fitter.variance_matrix_.loc[order, order].to_numpy(dtype=float) * effect
    if not (np.isfinite(value).all() and np.isfinite(covariance).all() and abs(value[-1]) < 2):
        return None
    if (np.diag(covariance) < 0).any() or np.abs(value[:-2]).max(initial=0.0) > 10:
        return None
    return _Weibull(value[:-2], float(value[-2]), float(np.exp(value[-1])), covariance)


def _with_coefficients_of(ridge: RidgeCox, time: Floats, event: NDArray[np.bool_]) -> _Weibull:
    """A Weibull baseline of crude shape under the log hazard ratios of a Cox model, equal to it at the horizon."""
    shape = _crude_shape(time, event, most=_STEEPEST)
    at_horizon = float(ridge.hazard.sum())
    log_rate = np.log(at_horizon)
    # log hazard = log rate + (x - centre) beta: as a form in (x, 1), and per unit of shape.
    form = np.column_stack([np.eye(len(ridge.beta)), -ridge.centre])
    level = form.T @ ridge.covariance @ form
    level[-1, -1] += ridge.variance.sum() / at_horizon**2
    covariance = np.zeros((len(ridge.beta) + 2,) * 2)
    covariance[:-1, :-1] = level / shape**2
    return _Weibull(-ridge.beta / shape, float((ridge.centre @ ridge.beta - log_rate) / shape), shape, covariance)


def _crude_shape(time: Floats, event: NDArray[np.bool_], most: float = 3.0) -> float:
    """Maximum likelihood shape of a Weibull distribution without covariates, from 1/3 to ``most``; 1 without events."""
    if not event.any():
        return 1.0
    logs = np.log(time)

    def excess(shape: float) -> float:
        power = np.exp(shape * logs)
        return float((power * logs).sum() / power.sum() - 1 / shape - logs[event].mean())

    low, high = 1 / 3, most
    if excess(low) > 0 or excess(high) < 0:
        return low if excess(low) > 0 else high
    return float(brentq(excess, low, high))


def _by_column(penalties: Mapping[str, float], groups: Mapping[str, NDArray[np.int64]], p: int) -> Floats:
    out = np.zeros(p)
    for name, members in groups.items():
        out[members] = penalties[name]
    return out
