"""CoxCensoring: the censoring of patients who differ, by a Cox model of the censoring time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osler.errors import UsageError
from osler.evaluation.censoring import CensoringModel, FittedCensoring, Rows
from osler.survival.ridge import fit_ridge_cox

__all__ = ["CoxCensoring", "FittedCoxCensoring"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Penalties on the coefficients of standardised columns, the first that will do: the least is without weight in a fit
#: that exists, the others hold one that does not.
_PENALTIES = (1e-8, 1e-6, 1e-4, 1e-2, 1.0, 100.0)
#: Columns that spread by less than this share of their size do not vary but by rounding.
_CONSTANT = 1e-12
#: Limit of the logarithm of a relative hazard.
_STEEPEST = 50.0
#: A log hazard ratio per standard deviation beyond this one is what the penalty holds, not what the data say.
_SEPARATED = 8.0
#: The score of a fit that came to its end, for each censoring.
_ENDED = 1e-7


@dataclass(frozen=True, eq=False)
class CoxCensoring(CensoringModel):
    """Censoring whose hazard depends on covariates, by a Cox model.

    Args:
        covariates: (n, p) finite numbers known at the landmark, of any scale: they are standardised. Columns that do
            not vary are left out. A ridge penalty of 1e-8 on the standardised coefficients lets columns repeat each
            other; it is raised, with a note, where covariates foretell the censoring so well that the fit has no end.

    The probability of not being censored before t is exp(-Lambda(t-) exp(x b)), with Efron's form for tied censorings
    in the likelihood and in the baseline Lambda; a patient whose event falls on a day of censorings is not at risk of
    them. Without ties this is ``cens.model = "cox"`` of riskRegression, which counts such patients as at risk.

    Cox DR. J R Stat Soc B 1972;34:187-220. Efron B. J Am Stat Assoc 1977;72:557-565. Gerds TA, Schumacher M. Biom J
    2006;48:1029-1040.
    """

    covariates: ArrayLike

    def fit(self, time: Floats, event: Integers) -> FittedCoxCensoring:
        """Fit to n patients. Raises UsageError for covariates that are missing, not numbers, or of another n."""
        columns, note = _standardised(_numbers(self.covariates, len(time)))
        return FittedCoxCensoring(columns, time, event, note)

    def take(self, rows: Rows) -> CoxCensoring:
        """The covariates of some of the patients."""
        return CoxCensoring(np.asarray(self.covariates)[rows])


class FittedCoxCensoring(FittedCensoring):
    """A Cox model of the censoring time, and how it moves with every patient.

    Args:
        X: (n, p) standardised covariates.
        time: (n,) days.
        event: (n,) 0 censored, 1.. causes.
        note: what happened to the covariates.
    """

    def __init__(self, X: Floats, time: Floats, event: Integers, note: str = "") -> None:
        self.time, self.event = time, event
        censored = event == 0
        _, moment = np.unique(time, return_inverse=True)
        # Events come before the censorings of the same day: those patients have left when the censorings happen.
        key = (2 * moment + censored).astype(float)
        self.X = X
        for penalty in _PENALTIES:
            if self._settle(key, censored, penalty):
                break
        self.own = np.exp(-self.relative * self._cumulative[self._before])
        held = "covariates of the censoring model foretell the censoring (nearly) perfectly: they are held by a penalty"
        self.note = "; ".join(part for part in (note, held if penalty > _PENALTIES[0] else "") if part)

    def at(self, time: float) -> Floats:
        """(n,) G(t-) of every patient."""
        return np.exp(-self.relative * self._cumulative[np.searchsorted(self._moments, time, "left")])

    def lacking(self, horizon: float) -> int:
        """1 when nobody is followed to the horizon and the last to leave was censored, else 0."""
        last = float(self.time.max())
        return int(last < horizon and bool((self.event[self.time == last] == 0).any()))

    def term(self, score: Floats, horizon: float) -> Floats:
        """What estimating G adds to the influences: through the coefficients, and through the baseline hazard.

        The log weight of patient i is r_i Lambda(t_i-), with relative hazard r_i. Its derivative in the weight of
        patient k is r_i (x_i Lambda - H) b_k + r_i Lambda_k, where b_k (score residual times inverse information)
        moves the coefficients, -H is the derivative of Lambda in the coefficients, and Lambda_k that of Lambda at
        fixed coefficients in the weight of k. O(n p) for each column of ``score``.
        """
        until = int(np.searchsorted(self._moments, horizon, "left"))
        if until == 0:
            return np.zeros_like(score)
        columns = (score if score.ndim == 2 else score[:, None]) * self.relative[:, None]
        seen = np.minimum(self._before, until)
        slope = self.X.T @ (columns * self._cumulative[seen, None]) - self._drift[seen].T @ columns
        running = np.concatenate([np.zeros((1, columns.shape[1])), np.cumsum(columns[self._order], axis=0)])
        later = running[-1] - running[self._gone[:until]]  # (until, M) of those who see each moment pass
        lived = np.concatenate([np.zeros((1, columns.shape[1])), np.cumsum(later * self._square[:until, None], axis=0)])
        term = self._beta_moves @ slope - self.relative[:, None] * lived[np.minimum(self._through, until)]
        left = np.flatnonzero((self.event == 0) & (self.time < horizon))
        where = self._before[left]
        term[left] += later[where] * (self._share[where] + self.relative[left] * self._spared_square[where])[:, None]
        return term.reshape(score.shape)

    def _settle(self, key: Floats, censored: NDArray[np.bool_], penalty: float) -> bool:
        """Fit at one penalty; whether the fit came to its end at coefficients that data could have shown."""
        fit = fit_ridge_cox(self.X, key, censored, {"covariates": np.arange(self.X.shape[1])}, penalty=penalty)
        self.beta = fit.beta
        self.relative = np.exp(np.clip(self.X @ fit.beta, -_STEEPEST, _STEEPEST))
        self._baseline(key, censored)
        # The penalty counts as sharing in the weights of the patients, so that what they move sums to zero.
        residual = self._score_residuals(censored) - penalty * fit.beta / max(len(self.X), 1)
        self._beta_moves = residual @ fit.covariance
        ended = np.abs(residual.sum(axis=0)).max(initial=0.0) <= _ENDED * max(int(censored.sum()), 1)
        return bool(ended and np.abs(fit.beta).max(initial=0.0) <= _SEPARATED)

    def _baseline(self, key: Floats, censored: NDArray[np.bool_]) -> None:
        """Sums over risk sets at the J distinct times of censoring, and where every patient stands among them."""
        self._moments, tie, count = np.unique(self.time[censored], return_inverse=True, return_counts=True)
        steps = np.unique(key[censored])
        order = np.argsort(-key, kind="stable")
        size = np.searchsorted(-key[order], -steps, "right")
        weighted = self.relative[:, None] * np.column_stack([np.ones(len(key)), self.X])
        at_risk = np.cumsum(weighted[order], axis=0)[size - 1]
        leaving = _by_tie(weighted[censored], tie, len(steps))
        # The l-th of d tied censorings (from 0) sees the share 1 - l / d of those who leave with it.
        self._tie = np.repeat(np.arange(len(steps)), count)
        self._spared = (np.arange(len(self._tie)) - (np.cumsum(count) - count)[self._tie]) / count[self._tie]
        sums = at_risk[self._tie] - self._spared[:, None] * leaving[self._tie]
        self._total, self._mean = sums[:, 0], sums[:, 1:] / sums[:, :1]
        self._count = count
        hazard, self._square, self._spared_square = (
            self._of_moment(values) for values in (1 / self._total, self._total**-2, self._spared * self._total**-2)
        )
        self._share = hazard / count
        self._cumulative = np.concatenate([[0.0], np.cumsum(hazard)])
        drift = self._of_moment(self._mean / self._total[:, None])
        self._drift = np.concatenate([np.zeros((1, self.X.shape[1])), np.cumsum(drift, axis=0)])
        self._before = np.searchsorted(self._moments, self.time, "left")
        self._through = np.searchsorted(steps, key, "right")
        self._order = np.argsort(self.time, kind="stable")
        self._gone = np.searchsorted(self.time[self._order], self._moments, "right")

    def _score_residuals(self, censored: NDArray[np.bool_]) -> Floats:
        """(n, p) what each patient contributes to the score of the partial likelihood."""
        lived = self.X * self._cumulative[self._through, None] - self._drift[self._through]
        residual = -self.relative[:, None] * lived
        where, X = self._before[censored], self.X[censored]
        spared = self._of_moment(self._spared / self._total)[where, None] * X
        spared -= self._of_moment((self._spared / self._total)[:, None] * self._mean)[where]
        met = self._of_moment(self._mean)[where] / self._count[where, None]
        residual[censored] += X - met + self.relative[censored, None] * spared
        return residual

    def _of_moment(self, values: Floats) -> Floats:
        """Sums of values of all censorings (E, ...) over those at the same time (J, ...)."""
        return _by_tie(values, self._tie, len(self._moments))


def _by_tie(values: Floats, tie: Integers, count: int) -> Floats:
    out = np.zeros((count, *values.shape[1:]))
    np.add.at(out, tie, values)
    return out


def _numbers(covariates: ArrayLike, n: int) -> Floats:
    try:
        X = np.asarray(covariates, dtype=float)
    except (TypeError, ValueError):
        raise UsageError(
            "covariates of censoring must be numbers, found something else. Give categories as indicators (0 or 1), "
            "or use StratifiedCensoring."
        ) from None
    if X.ndim != 2 or len(X) != n:
        raise UsageError(f"covariates of censoring have shape {X.shape}; expected {n} patients by columns")
    missing = int((~np.isfinite(X)).any(axis=1).sum())
    if missing:
        raise UsageError(
            f"covariates of censoring are missing or infinite for {missing} of {n} patients; expected a finite number "
            "for everybody. Fill them in, with an indicator of what was missing."
        )
    return X


def _standardised(X: Floats) -> tuple[Floats, str]:
    """Columns of mean 0 and standard deviation 1, and what was left out."""
    if not len(X):
        return X, ""
    size = np.abs(X).max(axis=0)
    X = X / np.where(size > 0, size, 1.0)
    spread = X.std(axis=0)
    varies = spread > _CONSTANT
    constant = int((~varies).sum())
    note = f"{constant} of {X.shape[1]} covariates of the censoring model do not vary and are left out"
    return (X[:, varies] - X[:, varies].mean(axis=0)) / spread[varies], note if constant else ""
