"""Tuning: hyper-parameters searched inside a training part, without a look at anybody who is held out of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.split import assign_folds
from osler.config import Question, Tuning
from osler.errors import ModelError
from osler.evaluation import evaluate
from osler.models import MODELS, create, model_class

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Among", "Span", "Tuned", "search_space", "tune"]

#: Inner folds of one search.
_FOLDS = 3


@dataclass(frozen=True)
class Span:
    """A number from ``low`` to ``high``; with ``log`` small values are as likely as large ones.

    ``whole`` numbers are integers; with ``automatic`` the value None is tried too: the model then finds its own.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    automatic: bool = False


@dataclass(frozen=True)
class Among:
    """One of some values, none nearer to another."""

    values: tuple[Any, ...]


Space = dict[str, Span | Among]

_PENALTY = Span(1.0, 1000.0, log=True, automatic=True)
_TREES: Space = {"depth": Span(1, 4, whole=True), "eta": Span(0.02, 0.3, log=True)}
_SPACES: dict[str, Space] = {
    "reference": {},
    "cox": {"penalty": _PENALTY, "splines": Among((0, 3, 5))},
    "stacked_cox": {"penalty": _PENALTY, "splines": Among((0, 3, 5))},
    "aft": {"penalty": _PENALTY},
    "boosted_cox": _TREES,
    "boosted_hazard": _TREES,
    "recurrent": {
        "units": Among((8, 16, 32)),
        "learning_rate": Span(2e-3, 3e-2, log=True),
        "weight_decay": Span(0.02, 0.6, log=True),
        "dropout": Span(0.0, 0.6),
    },
    "ensemble": {"weights": Among(("equal", "convex"))},
}


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        settings: all hyper-parameters to create the model with; those it had before, unless others were better.
        trace: of every trial in turn, from the model's own settings on: "settings" (the searched ones alone) and
            "score", the inner integrated Brier score (lower is better; None where the model could not be fitted).
        note: why the search ended early or found nothing; empty otherwise.
    """

    settings: dict[str, Any]
    trace: list[dict[str, Any]]
    note: str = ""


def search_space(name: str) -> Space:
    """Hyper-parameters of the model called ``name`` that are searched, with their ranges; the default lies within."""
    return dict(_SPACES[name])


def tune(
    cohort: Cohort, question: Question, name: str, settings: dict[str, Any], tuning: Tuning, *, random_state: int
) -> Tuned:
    """Settings with the least inner Brier score, if less than that of the model's own.

    Optuna's tree-structured Parzen estimator proposes; each proposal is fitted on three patient-grouped folds of
    ``cohort``, the training part, and scored by the integrated Brier score of the patients left out, up to the longest
    horizon that their follow-up supports, as a mean over landmarks. Trial 0 is the model as it is.

    Args:
        cohort: training patients with an outcome; copies of a patient (a bootstrap sample) stay in one inner fold.
        question: landmarks and horizons.
        name: of the model.
        settings: hyper-parameters that the user gave; they are kept, and only the others are searched.
        tuning: how many trials beside trial 0; no new one begins after ``tuning.seconds``.
        random_state: seed of folds, proposals and fits.

    Bergstra J et al. NeurIPS 2011;24:2546-2554. Akiba T et al. KDD 2019:2623-2631.
    """
    space = {key: spec for key, spec in search_space(name).items() if key not in settings}
    identifiers = cohort.patients
    if not space or not tuning.trials or len(set(identifiers)) < _FOLDS:
        return Tuned(dict(settings), [])
    assert cohort.outcome is not None
    fold = assign_folds(cohort.outcome, _FOLDS, random_state, identifiers)
    scorer = _Scorer(cohort, question, name, fold, random_state)
    began, trace, note = time.monotonic(), [], ""
    with _searching(random_state) as search:
        own = model_class(name)(question).settings()
        search.enqueue_trial(_as_parameters(space, own))
        for number in range(tuning.trials + 1):
            if number and tuning.seconds is not None and time.monotonic() - began > tuning.seconds:
                note = f"{MODELS[name]}: the search for settings ended early, after {tuning.seconds:g} seconds."
                break
            trial = search.ask()
            proposed = _proposed(space, trial)
            score = scorer({**settings, **proposed})
            trace.append({"settings": proposed, "score": score})
            _tell(search, trial, score)
            if not number and score is None:
                note = f"{MODELS[name]}: its settings could not be scored inside the training part; none were searched."
                break
    return Tuned({**settings, **_better(trace)}, trace, note)


def _better(trace: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings with the least score, or none when the first trial, the model's own settings, has it."""
    scores = [np.inf if trial["score"] is None else trial["score"] for trial in trace]
    best = int(np.argmin(scores))
    return trace[best]["settings"] if best else {}


class _Scorer:
    """The inner score of any settings on folds of the training part; the same settings are fitted once."""

    def __init__(
        self, cohort: Cohort, question: Question, name: str, fold: NDArray[np.int64], random_state: int
    ) -> None:
        self.cohort, self.question, self.name, self.random_state = cohort, question, name, random_state
        held = [np.flatnonzero(fold == k) for k in range(_FOLDS)]
        self.parts = [(cohort.subset(fold != k), test, cohort.subset(test)) for k, test in enumerate(held)]
        self.known: dict[str, float | None] = {}

    def __call__(self, settings: dict[str, Any]) -> float | None:
        """Mean over landmarks of the integrated Brier score; None where there is none."""
        key = json.dumps(settings, sort_keys=True)
        if key not in self.known:
            try:
                self.known[key] = self._score(settings)
            except ModelError:
                self.known[key] = None
        return self.known[key]

    def _score(self, settings: dict[str, Any]) -> float | None:
        outcome = self.cohort.outcome
        assert outcome is not None
        shape = (len(self.cohort), len(self.question.grid))
        risk = {moment: np.zeros(shape) for moment in self.question.landmarks}
        for train, test, held_out in self.parts:
            model = create(self.name, self.question, random_state=self.random_state, **settings).fit(train)
            for moment, whole in risk.items():
                rows = test[outcome.time[test] > moment]
                if len(rows):
                    whole[rows] = model.predict(held_out, at=moment).incidence[:, 0]
        scores = [self._integrated(moment, whole) for moment, whole in risk.items()]
        found = [score for score in scores if score is not None]
        return float(np.mean(found)) if found else None

    def _integrated(self, moment: float, risk: NDArray[np.float64]) -> float | None:
        """Integrated Brier score at a landmark, up to the longest horizon that can be evaluated."""
        assert self.cohort.outcome is not None
        rows = np.flatnonzero(self.cohort.outcome.time > moment)
        if not len(rows):
            return None
        ahead = self.cohort.outcome.take(rows).since(moment)
        metrics = evaluate(
            ahead.time,
            ahead.event,
            {self.name: risk[rows]},
            times=self.question.grid,
            horizons=self.question.horizons,
            measures=("integrated_brier",),
        ).metrics
        usable = metrics[metrics["value"].notna()].sort_values("horizon")
        return float(usable["value"].iloc[-1]) if len(usable) else None


def _as_parameters(space: Space, values: dict[str, Any]) -> dict[str, Any]:
    """Values of settings as the search's own parameters."""
    parameters: dict[str, Any] = {}
    for name, spec in space.items():
        if isinstance(spec, Span) and spec.automatic:
            parameters[f"{name}: automatic"] = values[name] is None
        if values[name] is not None or isinstance(spec, Among):
            parameters[name] = values[name]
    return parameters


def _proposed(space: Space, trial: Trial) -> dict[str, Any]:
    """Settings that the search proposes."""
    found: dict[str, Any] = {}
    for name, spec in space.items():
        if isinstance(spec, Among):
            found[name] = trial.suggest_categorical(name, spec.values)
        elif spec.automatic and trial.suggest_categorical(f"{name}: automatic", (True, False)):
            found[name] = None
        elif spec.whole:
            found[name] = trial.suggest_int(name, int(spec.low), int(spec.high))
        else:
            found[name] = trial.suggest_float(name, spec.low, spec.high, log=spec.log)
    return found


def _tell(search: Any, trial: Trial, score: float | None) -> None:
    from optuna.trial import TrialState

    if score is None:
        search.tell(trial, state=TrialState.FAIL)
    else:
        search.tell(trial, score)


@contextmanager
def _searching(random_state: int) -> Iterator[Any]:
    """An Optuna study in memory that says nothing; its logging is left as it was."""
    import optuna

    spoken = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield optuna.create_study(sampler=optuna.samplers.TPESampler(seed=random_state))
    finally:
        optuna.logging.set_verbosity(spoken)
