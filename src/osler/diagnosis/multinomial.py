"""Multinomial ridge: logistic regression for two classes or more, its penalties chosen inside the training part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from osler.features.scale import dot_rows

__all__ = ["MultinomialRidge", "log_loss"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Penalties tried, as the inverse variance of a coefficient's normal prior, for columns of spread about one.
PENALTIES = tuple(float(10.0**k) for k in np.arange(0.0, 4.01, 0.5))
_FACTORS = (0.1, 10.0)  # by which the penalty of one group is moved at a time
_PASSES = 2
_LEAST_GAIN = 1e-4  # of the mean held-out log-likelihood, for which one penalty is given up for another


@dataclass
class MultinomialRidge:
    """Coefficients of scikit-learn's L2-penalised multinomial logistic regression.

    Attributes:
        coefficients: (Q, P) of Q columns and P classes; a binary model has zeros for the first class.
        intercept: (P,), not penalised.
        penalty: (Q,) of each column.
        held_out: (n, P) log probabilities of the training rows, each from coefficients fitted without its fold.
    """

    coefficients: Floats
    intercept: Floats
    penalty: Floats
    held_out: Floats

    @classmethod
    def fit(cls, X: Floats, label: Ints, fold: Ints, groups: list[Ints] | None = None) -> Self:
        """Choose penalties by the held-out log-likelihood over ``fold``, then fit on all rows.

        Args:
            X: (n, Q) finite columns of spread about one.
            label: (n,) codes 0 to P - 1.
            fold: (n,) fold of each row.
            groups: positions of columns that share a penalty; one for all of them if not given. With several groups
                the best common penalty is moved group by group, as long as that helps.
        """
        classes = int(label.max()) + 1
        every = [np.arange(X.shape[1])] if groups is None else [group for group in groups if len(group)]

        def tried(penalty: Floats) -> tuple[float, Floats]:
            held_out = _held_out(X, label, fold, penalty, classes)
            return -log_loss(held_out, label), held_out

        def spread(values: list[float]) -> Floats:
            penalty = np.ones(X.shape[1])
            for group, value in zip(every, values, strict=True):
                penalty[group] = value
            return penalty

        found = [(*tried(spread([value] * len(every))), [value] * len(every)) for value in PENALTIES]
        score, held_out, best = max(found, key=lambda item: item[0])
        for _ in range(_PASSES if len(every) > 1 else 0):
            before = score
            for g in range(len(every)):
                for factor in _FACTORS:
                    moved = float(np.clip(best[g] * factor, PENALTIES[0], PENALTIES[-1]))
                    values = [moved if i == g else value for i, value in enumerate(best)]
                    now, parts = tried(spread(values))
                    if now > score + _LEAST_GAIN:
                        score, held_out, best = now, parts, values
            if score == before:
                break
        penalty = spread(best)
        return cls(*_fitted(X, label, penalty, classes), penalty, held_out)

    def log_odds(self, X: Floats) -> Floats:
        """(n, P) linear predictors, of which the softmax is the probability; each row by itself to the bit."""
        return dot_rows(X, self.coefficients) + self.intercept

    def log_probability(self, X: Floats) -> Floats:
        """(n, P) log probabilities."""
        return log_softmax(self.log_odds(X), axis=1)

    def state(self) -> dict[str, Any]:
        """Arrays."""
        return {"coefficients": self.coefficients, "intercept": self.intercept, "penalty": self.penalty}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``; held-out predictions are not kept."""
        return cls(state["coefficients"], state["intercept"], state["penalty"], np.empty((0, len(state["intercept"]))))


def log_loss(log_probability: Floats, label: Ints) -> float:
    """Mean negative log probability of what was the case; lower is better."""
    return float(-log_probability[np.arange(len(label)), label].mean())


def _held_out(X: Floats, label: Ints, fold: Ints, penalty: Floats, classes: int) -> Floats:
    out = np.empty((len(X), classes))
    for part in np.unique(fold):
        inside = fold != part
        coefficients, intercept = _fitted(X[inside], label[inside], penalty, classes)
        out[~inside] = log_softmax(X[~inside] @ coefficients + intercept, axis=1)
    return out


def _fitted(X: Floats, label: Ints, penalty: Floats, classes: int) -> tuple[Floats, Floats]:
    """(Q, P) coefficients and (P,) intercept; a class that is absent among these rows gets almost no probability."""
    present = np.unique(label)
    coefficients, intercept = np.zeros((X.shape[1], classes)), np.full(classes, -30.0)
    if len(present) < 2 or not X.shape[1]:
        intercept[present] = np.log(np.bincount(label, minlength=classes)[present] / len(label))
        return coefficients, intercept
    scale = 1 / np.sqrt(penalty)
    model = LogisticRegression(C=1.0, solver="lbfgs", tol=1e-6, max_iter=1000).fit(X * scale, label)
    if len(present) == 2:
        coefficients[:, present[1]] = model.coef_[0] * scale
        intercept[present] = [0.0, model.intercept_[0]]
    else:
        coefficients[:, present] = model.coef_.T * scale[:, None]
        intercept[present] = model.intercept_
    return coefficients, intercept
