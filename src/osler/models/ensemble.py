"""Ensemble: the mean of several models' risks, with equal weights or with those that suit held-out patients best.

The squared error of a mean of predictions is at most the mean of their squared errors, whatever the outcomes. Weights
that are learned seldom beat equal ones on small cohorts, where their own error is paid for: equal is the default. A
model that is a mean of unlike answers itself counts as each of them (``RiskModel.answers``): the recurrent one as 3.
With ``weights="convex"`` they minimise the inverse-probability-of-censoring-weighted Brier score of predictions whose
patients were left out (van der Laan, Polley and Hubbard, Stat Appl Genet Mol Biol 2007;6:25; for censored outcomes
Graf et al., Stat Med 1999;18:2529-2545), and then are drawn half way towards equal ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from osler.cohort.cohort import Cohort
from osler.cohort.landmark import Landmark
from osler.cohort.split import assign_folds
from osler.config import Question
from osler.errors import ModelError, UsageError
from osler.evaluation.follow_up import FollowUp
from osler.models import create
from osler.models.bands import risk_band, scaled
from osler.models.base import RiskModel
from osler.models.forecaster import Forecasts
from osler.survival.curve import RiskCurve

__all__ = ["MEMBERS", "Ensemble", "convex_weights"]

Floats = NDArray[np.float64]

#: Of an ensemble of which nothing else is asked.
MEMBERS = ("boosted_hazard", "recurrent")
_FOLDS = 5
_TOWARDS_EQUAL = 0.5  # share of the way from learned weights to equal ones
_LEVEL = 1.6449  # normal quantile of a 90 % band


class Ensemble(RiskModel):
    """The mean of the incidences of several models.

    Causes and the event-free probability still sum to one, as they do for each member. The band is about the mean: the
    mean variance (of the log cumulative hazard) that members with a band state, and their disagreement.

    Args:
        question: landmarks and horizons.
        members: names of two or more other models.
        weights: "equal", or "convex": learned from predictions of patients left out.
        member_settings: hyper-parameters of the members, by name; those not given keep their defaults.
        random_state: seed of the members and of the folds.

    Attributes:
        fitted: members that were fitted to the same patients already, by name: they are not fitted again.
        members_: the fitted models, by name.
        weight_: (M,) weights of the members, at least 0; they sum to one.
    """

    name: ClassVar[str] = "ensemble"
    label: ClassVar[str] = "Ensemble (Osler)"

    def __init__(
        self,
        question: Question,
        *,
        members: tuple[str, ...] = MEMBERS,
        weights: str = "equal",
        member_settings: Mapping[str, Mapping[str, Any]] | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(question, random_state=random_state)
        self.members, self.weights = tuple(members), weights
        self.member_settings = {name: dict(given) for name, given in (member_settings or {}).items()}
        self.fitted: dict[str, RiskModel] = {}
        wrong = [name for name in self.members if name == self.name or self.members.count(name) > 1]
        if wrong or len(self.members) < 2:
            raise UsageError(f"members of an ensemble are two or more other models, each once; found {self.members}")
        if weights not in ("equal", "convex"):
            raise UsageError(f'weights of an ensemble are "equal" or "convex", not {weights!r}')
        strangers = sorted(set(self.member_settings) - set(self.members))
        if strangers:
            raise UsageError(f"settings are given for {', '.join(strangers)}, which are no members of the ensemble")
        for name in self.member_settings:
            self._member(name)  # a setting that it does not have is named here

    def _fit(self, cohort: Cohort) -> None:
        self.members_ = {name: self.fitted.get(name) or self._member(name).fit(cohort) for name in self.members}
        for model in self.members_.values():
            self.notes_ += [note for note in model.notes_ if note not in self.notes_]
        answers = np.array([model.answers for model in self.members_.values()], dtype=float)
        self.weight_ = answers / answers.sum()
        if self.weights == "convex":
            self.weight_ = _TOWARDS_EQUAL * self.weight_ + (1 - _TOWARDS_EQUAL) * self._learned(cohort)

    def _member(self, name: str) -> RiskModel:
        settings = self.member_settings.get(name, {})
        model = create(name, self.question, random_state=self.random_state, **settings)
        model.checkpoint = self.checkpoint
        return model

    def _learned(self, cohort: Cohort) -> Floats:
        """Weights that suit predictions of patients left out, at all landmarks and horizons of the question."""
        assert cohort.outcome is not None
        fold = assign_folds(cohort.outcome, min(_FOLDS, len(cohort)), self.random_state, cohort.patients)
        horizons, landmarks = self.question.horizons, self.question.landmarks
        said = np.full((len(landmarks), len(cohort), len(horizons), len(self.members)), np.nan)
        for out in np.unique(fold):
            inside, outside = cohort.subset(fold != out), np.flatnonzero(fold == out)
            try:
                models = [self._member(name).fit(inside) for name in self.members]
            except ModelError:  # nobody at risk, or the like, in so small a part: it has no say
                continue
            for s, landmark in enumerate(landmarks):
                who = outside[cohort.outcome.time[outside] > landmark]
                for m, model in enumerate(models):
                    said[s, who, :, m] = model.predict(cohort.subset(who), at=landmark).risk(horizons)
        pieces = [piece for s, landmark in enumerate(landmarks) for piece in self._judged(cohort, landmark, said[s])]
        if not pieces:
            return self.weight_
        risk, happened, weight = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        return convex_weights(risk, happened, weight)

    def _judged(self, cohort: Cohort, landmark: float, said: Floats) -> list[tuple[Floats, Floats, Floats]]:
        """For each horizon that follow-up reaches: risks (n, M), whether the event happened, and censoring weights."""
        assert cohort.outcome is not None
        who = np.flatnonzero(np.isfinite(said[:, 0, 0]))
        if not len(who):
            return []
        own = cohort.outcome.take(who).since(landmark)
        follow_up, found = FollowUp(own.time, own.event, 1), []
        for h, horizon in enumerate(self.question.horizons):
            if not follow_up.unsupported(horizon):
                status = follow_up.status(horizon)
                found.append((said[who, h], np.asarray(status.case, dtype=float), status.weight))
        return found

    def _predict(self, landmark: Landmark) -> tuple[Floats, Floats | None, Floats | None]:
        answers = [model._predict(landmark) for model in self.members_.values()]
        mean = sum(w * answer[0] for w, answer in zip(self.weight_, answers, strict=True))
        assert not isinstance(mean, int)
        stated = [_variance(lower, upper) for _, lower, upper in answers if lower is not None and upper is not None]
        if not stated:
            return mean, None, None
        each = np.stack([scaled(answer[0]) for answer in answers])
        weight = self.weight_[:, None, None, None]
        apart = (weight * (each - (weight * each).sum(axis=0)) ** 2).sum(axis=0)
        return mean, *risk_band(mean, np.mean(stated, axis=0) + apart)

    @property
    def parts(self) -> tuple[RiskModel, ...]:
        """The members."""
        return tuple(self.members_.values())

    @property
    def forecaster(self) -> Forecasts | None:
        """The first member that forecasts biomarkers."""
        return next((model.forecaster for model in self.parts if model.forecaster is not None), None)

    def event_times(self, curve: RiskCurve) -> tuple[Floats, Floats] | None:
        """As the first member that can tell reads the ensemble's own curve.

        Its bounds were learned from its own held-out curves, not from the ensemble's, which are drawn to the middle by
        the other members: coverage is near what is claimed, without the guarantee that the member has.
        """
        return next((found for model in self.parts if (found := model.event_times(curve))), None)

    def state(self) -> dict[str, Any]:
        """The members' own states, and the weights."""
        return {"weight": self.weight_, "members": {name: model.state() for name, model in self.members_.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` gave."""
        self.weight_ = np.asarray(state["weight"])
        self.members_ = {}
        for name in self.members:
            model = self._member(name)
            for learned in ("causes_", "notes_", "schema_", "typical_", "average_"):
                setattr(model, learned, getattr(self, learned))
            model.restore(state["members"][name])
            self.members_[name] = model


def convex_weights(risk: Floats, happened: Floats, weight: Floats) -> Floats:
    """(M,) weights at least 0, of sum one, that minimise the weighted squared error of the mean of M risks (n, M).

    Args:
        risk: (n, M) in [0, 1].
        happened: (n,) 1 where the event happened by the horizon, 0 where not.
        weight: (n,) inverse probability of censoring; 0 where it is not known what happened.
    """
    error = np.sqrt(weight)[:, None] * (risk - happened[:, None])
    gram = error.T @ error / max(float(weight.sum()), 1e-12)  # of sum-one weights a, a @ gram @ a is the Brier score
    M = risk.shape[1]
    found = minimize(
        lambda a: (float(a @ gram @ a), 2 * gram @ a),
        np.full(M, 1.0 / M),
        jac=True,
        bounds=[(0.0, 1.0)] * M,
        constraints={"type": "eq", "fun": lambda a: a.sum() - 1.0, "jac": lambda a: np.ones_like(a)},
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    best = np.clip(found.x, 0.0, None)
    return best / best.sum()


def _variance(lower: Floats, upper: Floats) -> Floats:
    """Of log(-log(1 - F)), as a 90 % band states it."""
    return ((scaled(upper) - scaled(lower)) / (2 * _LEVEL)) ** 2
