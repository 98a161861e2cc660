"""Gradient boosted trees over all landmarks stacked: a Cox model with a baseline hazard, and a discrete-time hazard."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.landmark import Landmark
from osler.cohort.split import assign_folds
from osler.config import Question
from osler.features.design import HISTORY, Design
from osler.features.grid import training_landmarks
from osler.models.base import RiskModel
from osler.models.rows import by_chunks, training_rows
from osler.models.trees import best_rounds, booster_from, raw_bytes, tree_parameters, with_a_column
from osler.survival.competing import fine_grid, incidence_from_hazards, onto_cells
from osler.survival.ridge import baseline_hazard, fit_ridge_cox

__all__ = ["BoostedCox", "BoostedHazard"]

Floats = NDArray[np.float64]
_FOLDS = 3
_LEAST_EVENTS = 15
_BINS = 8
_ONE_COLUMN = {"margin": np.array([0])}


class _Boosted(RiskModel):
    """Settings and training rows of both.

    Trees see what is missing as missing. The number of rounds is that with the least mean loss on three patient-grouped
    folds of the training patients, each with early stopping; then all of them are used. No bands are stated.

    Args:
        question: landmarks and horizons.
        depth: of the trees.
        eta: learning rate.
        rounds: at most.
        history: summaries of visit variables among "last", "mean", "slope".
        components: most principal components of a genomic or embedding block.
        whole: genomic blocks of up to so many features enter as they are: trees choose among genes, and seldom find
            the few that matter in mixtures of all.
        random_state: seed of folds and of the rows and columns that each tree sees.
    """

    _rows: int

    def __init__(
        self,
        question: Question,
        *,
        depth: int = 2,
        eta: float = 0.1,
        rounds: int = 400,
        history: tuple[str, ...] = HISTORY,
        components: int = 20,
        whole: int = 200,
        random_state: int = 0,
    ) -> None:
        super().__init__(question, random_state=random_state)
        self.depth = depth
        self.eta = eta
        self.rounds = rounds
        self.history = tuple(history)
        self.components = components
        self.whole = whole

    def _fit(self, cohort: Cohort) -> None:
        assert cohort.outcome is not None
        rows = cohort.at(training_landmarks(cohort, self.question, rows=self._rows))
        self._design = self._new_design()
        X = with_a_column(self._design.fit(rows).transform(rows))
        folds = min(_FOLDS, len(cohort))
        fold = (
            assign_folds(cohort.outcome, folds, self.random_state, cohort.patients)[rows.patient] if folds > 1 else None
        )
        time, event, _ = training_rows(rows, float(self.question.grid[-1]))
        self._learn(X, time, event, fold)

    @abstractmethod
    def _learn(self, X: Floats, time: Floats, event: NDArray[np.int64], fold: NDArray[np.int64] | None) -> None:
        """Grow trees on (R, P) rows, whose patients lie in ``fold``."""

    def _new_design(self) -> Design:
        return Design(missing="keep", history=self.history, components=self.components, whole=self.whole)

    def _parameters(self, **more: Any) -> dict[str, Any]:
        told = {"min_child_weight": 5, **more}
        return tree_parameters(depth=self.depth, eta=self.eta, random_state=self.random_state, **told)

    def _predict(self, landmark: Landmark) -> tuple[Floats, None, None]:
        X = with_a_column(self._design.transform(landmark))
        (incidence,) = by_chunks(lambda part: (self._incidence(part),), X)
        return incidence, None, None

    @abstractmethod
    def _incidence(self, X: Floats) -> Floats:
        """(R, K, T) incidence of (R, P) rows."""


class BoostedCox(_Boosted):
    """XGBoost's Cox objective for every cause, with Breslow's baseline hazard of the training rows.

    Log hazard ratios are shrunk by the slope that they have on the held-out folds, at most one: in small cohorts trees
    promise more than they keep. Chen T, Guestrin C. KDD 2016:785-794. Incidences come from all cause-specific hazards.
    """

    name = "boosted_cox"
    label = "Boosted Cox (XGBoost)"
    _rows = 20_000

    def _learn(self, X: Floats, time: Floats, event: NDArray[np.int64], fold: NDArray[np.int64] | None) -> None:
        edges = fine_grid(self.question.grid)
        self._boosters: list[xgb.Booster | None] = []
        self._slopes: list[float] = []
        hazards = []
        for code, name in enumerate(self.causes_, 1):
            happened = event == code
            booster, slope = None, 1.0
            if happened.sum() >= _LEAST_EVENTS:
                booster, slope = self._grow(X, time, happened, fold)
            elif happened.any():
                self.notes_.append(
                    f"{self.label}: fewer than {_LEAST_EVENTS} events of cause {name!r} among the training rows; "
                    "its hazard does not depend on the patient."
                )
            self._boosters.append(booster)
            self._slopes.append(slope)
            hazards.append(onto_cells(*baseline_hazard(slope * _margin(booster, X), time, happened), edges))
        self._hazard = np.stack(hazards)

    def _grow(
        self, X: Floats, time: Floats, happened: NDArray[np.bool_], fold: NDArray[np.int64] | None
    ) -> tuple[xgb.Booster | None, float]:
        label = np.where(happened, time, -time)

        def data(rows: NDArray[np.bool_]) -> xgb.DMatrix:
            return xgb.DMatrix(X[rows], label=label[rows])

        parameters = self._parameters(objective="survival:cox", eval_metric="cox-nloglik")
        rounds, held_out = best_rounds(parameters, data, self.rounds, happened, fold)
        if not rounds:
            return None, 1.0
        margin, seen = np.zeros(len(X)), np.zeros(len(X), dtype=bool)
        for rows, booster in held_out:
            part = _margin(booster, X[rows], rounds)
            margin[rows], seen[rows] = part - part.mean(), True
        slope = fit_ridge_cox(margin[seen, None], time[seen], happened[seen], _ONE_COLUMN, penalty=1e-6).beta[0]
        return xgb.train(parameters, data(np.ones(len(X), dtype=bool)), rounds), float(np.clip(slope, 0.0, 1.0))

    def _incidence(self, X: Floats) -> Floats:
        pairs = zip(self._boosters, self._slopes, strict=True)
        margins = np.stack([slope * _margin(booster, X) for booster, slope in pairs], axis=1)
        every = self._hazard.shape[1] // (len(self.question.grid) - 1)
        return incidence_from_hazards(np.exp(margins)[:, :, None] * self._hazard, every)

    def state(self) -> dict[str, Any]:
        """Design, trees and baseline hazards."""
        return {
            "design": self._design.state(),
            "boosters": [raw_bytes(booster) for booster in self._boosters],
            "slopes": self._slopes,
            "hazard": self._hazard,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._design = self._new_design().restore(state["design"])
        self._boosters = [booster_from(raw) for raw in state["boosters"]]
        self._slopes, self._hazard = list(state["slopes"]), state["hazard"]


class BoostedHazard(_Boosted):
    """Discrete-time hazards of all causes at once: multi-class probabilities of what happens in each interval.

    Every row is repeated for each interval that it entered, with the interval as a column (so effects may change with
    time) and with the log odds of everybody in that interval as the starting margin. A row censored within an interval
    counts for the share of it that was seen. Within an interval the hazards of the causes keep their proportion and
    follow the course of everybody's hazard.
    """

    name = "boosted_hazard"
    label = "Boosted hazard (XGBoost)"
    _rows = 10_000

    def _learn(self, X: Floats, time: Floats, event: NDArray[np.int64], fold: NDArray[np.int64] | None) -> None:
        self._edges = _interval_edges(self.question.grid)
        row, interval, label, weight = _person_periods(time, event, self._edges)
        self._profile = self._profile_within_intervals(time, event)
        self._start = _starting_margins(interval, label, weight, len(self._edges) - 1, len(self.causes_))
        Z, start = np.column_stack([X[row], interval]), self._start[interval]

        def data(rows: NDArray[np.bool_]) -> xgb.DMatrix:
            return xgb.DMatrix(Z[rows], label=label[rows], weight=weight[rows], base_margin=start[rows])

        parameters = self._parameters(
            objective="multi:softprob", eval_metric="mlogloss", num_class=len(self.causes_) + 1, min_child_weight=1
        )
        rounds = 0
        if (event > 0).sum() >= _LEAST_EVENTS:
            rounds, _ = best_rounds(parameters, data, self.rounds, label > 0, None if fold is None else fold[row])
        else:
            self.notes_.append(f"{self.label}: fewer than {_LEAST_EVENTS} events in training; no trees were grown.")
        self._booster = xgb.train(parameters, data(np.ones(len(Z), dtype=bool)), rounds) if rounds else None

    def _incidence(self, X: Floats) -> Floats:
        bins, kinds = self._start.shape
        start = np.tile(self._start, (len(X), 1))
        margins = start
        if self._booster is not None and len(X):
            Z = np.column_stack([np.repeat(X, bins, axis=0), np.tile(np.arange(bins), len(X))])
            margins = self._booster.predict(xgb.DMatrix(Z, base_margin=start), output_margin=True).astype(float)
        odds = np.exp(margins - margins.max(axis=1, keepdims=True))
        chance = (odds / odds.sum(axis=1, keepdims=True)).reshape(len(X), bins, kinds).transpose(0, 2, 1)
        any_event = np.clip(1 - chance[:, 0], 0.0, 1 - 1e-12)
        total = -np.log1p(-any_event)
        share = chance[:, 1:] / np.maximum(any_event, 1e-300)[:, None]
        hazards = (share * total[:, None, :])[:, :, self._interval_of_cell()] * self._profile
        return incidence_from_hazards(hazards, len(self._profile) // (len(self.question.grid) - 1))

    def _interval_of_cell(self) -> NDArray[np.int64]:
        return np.searchsorted(self._edges, fine_grid(self.question.grid)[1:], "left") - 1

    def _profile_within_intervals(self, time: Floats, event: NDArray[np.int64]) -> Floats:
        """(C,) share of its interval's hazard that falls into each cell, from everybody's events; even without any."""
        cells = fine_grid(self.question.grid)
        hazard = onto_cells(*baseline_hazard(np.zeros(len(time)), time, event > 0), cells)
        of_cell = self._interval_of_cell()
        sums = np.bincount(of_cell, weights=hazard)[of_cell]
        even = np.diff(cells) / np.diff(self._edges)[of_cell]
        return np.divide(hazard, sums, out=even, where=sums > 0)

    def state(self) -> dict[str, Any]:
        """Design, intervals, starting margins and trees."""
        return {
            "design": self._design.state(),
            "edges": self._edges,
            "start": self._start,
            "profile": self._profile,
            "booster": raw_bytes(self._booster),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self._design = self._new_design().restore(state["design"])
        self._edges, self._start, self._profile = state["edges"], state["start"], state["profile"]
        self._booster = booster_from(state["booster"])


def _interval_edges(grid: Floats) -> Floats:
    """(B + 1,) days: up to 8 intervals, about even, that begin and end at times of the grid."""
    return grid[np.unique(np.round(np.linspace(0, len(grid) - 1, _BINS + 1)).astype(int))]


def _person_periods(
    time: Floats, event: NDArray[np.int64], edges: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """Every interval (edges[b], edges[b + 1]] that a row entered: row, interval, what happened, the share seen."""
    final = np.clip(np.searchsorted(edges, time, "left") - 1, 0, len(edges) - 2)
    row = np.repeat(np.arange(len(time)), final + 1)
    interval = np.arange(len(row)) - np.repeat(np.cumsum(final + 1) - (final + 1), final + 1)
    ends = interval == final[row]
    label = np.where(ends, event[row], 0)
    seen = (time[row] - edges[interval]) / (edges[interval + 1] - edges[interval])
    weight = np.where(ends & (label == 0), seen, 1.0)
    keep = weight > 0
    return row[keep], interval[keep], label[keep], weight[keep]


def _starting_margins(
    interval: NDArray[np.int64], label: NDArray[np.int64], weight: Floats, bins: int, causes: int
) -> Floats:
    """(B, K + 1) log probabilities of each kind of end in each interval, drawn a little to those of all intervals."""
    counts = np.zeros((bins, causes + 1))
    np.add.at(counts, (interval, label), weight)
    overall = counts.sum(axis=0) / counts.sum()
    chance = (counts + overall) / (counts + overall).sum(axis=1, keepdims=True)
    return np.log(np.maximum(chance, 1e-30))


def _margin(booster: xgb.Booster | None, X: Floats, rounds: int | None = None) -> Floats:
    """(R,) log relative hazard of all trees, or of the first ``rounds``."""
    if booster is None or not len(X):
        return np.zeros(len(X))
    last = booster.num_boosted_rounds() if rounds is None else min(rounds, booster.num_boosted_rounds())
    return booster.predict(xgb.DMatrix(X), output_margin=True, iteration_range=(0, last)).astype(float)
