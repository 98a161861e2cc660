"""Forecasting: forecasts of measurements, with their bands, held against what was measured.

Arrays in, frames out, whoever made the forecasts. A row is one value that was measured; a patient has many, so that
intervals count patients and not rows. Forecasts are held as they are: intervals do not hold what fitting the
forecaster anew would change.

The scores are proper: no forecaster gains by stating another band or distribution than the one it believes in.
Gneiting T, Raftery AE. J Am Stat Assoc 2007;102:359-378.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from osler.cells import SMALLEST
from osler.errors import UsageError
from osler.evaluation.arguments import codes
from osler.evaluation.estimate import Measured, interval, standard_error

__all__ = ["ALL_VARIABLES", "FORECAST_MEASURES", "Forecast", "ForecastScores", "normal_crps", "score_forecasts",
           "score_interval"]  # fmt: skip

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Scores of forecasts. Of all but coverage, which should be the level of the bands, lower is better.
FORECAST_MEASURES = ("interval_score", "coverage", "width", "rmse", "mae", "crps")
#: The name under which the mean over variables stands, each variable counting the same.
ALL_VARIABLES = "all variables"
_SCORES = ["variable", "method", "measure", "value", "lower", "upper", "se", "values", "patients", "note"]
_DIFFERENCES = ["variable", "method", "versus", "measure", "value", "lower", "upper", "se"]


@dataclass(frozen=True, eq=False)
class Forecast:
    """One method's forecasts of Q values: expected, and the lower and upper bound of the band; (Q,) each."""

    expected: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, eq=False)
class ForecastScores:
    """Scores of forecasts.

    Attributes:
        scores: variable (or ``ALL_VARIABLES``), method, measure (of ``FORECAST_MEASURES``), value, lower, upper, se;
            values and patients (how many were forecast), note (why there is no value).
        differences: variable, method, versus, measure, value (that of ``method`` minus that of ``versus``, on the same
            values), lower, upper, se.
    """

    scores: pd.DataFrame
    differences: pd.DataFrame

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Both by the names under which a study writes them."""
        return {"forecasts": self.scores, "forecast_differences": self.differences}

    def value(self, method: str, measure: str, variable: str = ALL_VARIABLES) -> float:
        """One score."""
        rows = self.scores[(self.scores["method"] == method) & (self.scores["measure"] == measure)]
        return float(rows.loc[rows["variable"] == variable, "value"].iloc[0])


def score_interval(observed: Floats, lower: Floats, upper: Floats, level: float) -> Floats:
    """(Q,) interval scores of central bands of that level: their width, and what lies outside at a price.

    ``(u - l) + 2 / (1 - level) * (distance of y from the band)``; lower is better, in the units of the values.
    Gneiting and Raftery 2007, equation 43.
    """
    outside = np.maximum(lower - observed, 0.0) + np.maximum(observed - upper, 0.0)
    return upper - lower + 2.0 / (1.0 - level) * outside


def normal_crps(observed: Floats, mean: Floats, sd: Floats) -> Floats:
    """(Q,) continuous ranked probability scores of normal forecasts; lower is better, in the units of the values.

    Gneiting and Raftery 2007, equation 21 with its sign turned; the absolute error where ``sd`` is 0.
    """
    error = observed - mean
    z = error / np.where(sd > 0, sd, 1.0)
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    score = sd * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return np.where(sd > 0, score, np.abs(error))


def score_forecasts(
    observed: ArrayLike,
    forecasts: Mapping[str, Forecast],
    *,
    variables: Sequence[str] | NDArray[Any],
    patients: ArrayLike,
    level: float = 0.9,
    confidence: float = 0.95,
) -> ForecastScores:
    """Score the forecasts of several methods on the same Q values.

    Args:
        observed: (Q,) measured values. Bring every variable to a scale on which its values have a spread of about
            one, if their mean is to say something; of skewed ones, take logarithms first.
        forecasts: by method, on the same scale.
        variables: (Q,) name of the variable of each value.
        patients: (Q,) labels; rows of one patient are one cluster, whatever the variable.
        level: of the bands.
        confidence: of the intervals of scores and differences.

    Returns:
        For every variable and for the mean over variables: interval score, coverage and mean width of the bands,
        root mean squared and mean absolute error of the expected values, and the continuous ranked probability score
        of the normal distribution with that mean whose central band is as wide as the one stated. Variables measured
        in fewer than 10 patients are withheld and do not enter the mean.

    Raises:
        UsageError: shapes differ, a value is not finite, a band does not hold its bounds in order, no method.
    """
    y = np.asarray(observed, dtype=float)
    checked = _checked(y, forecasts)
    names = np.asarray(variables, dtype=object)
    if names.shape != y.shape:
        raise UsageError(f"variables have shape {names.shape}; expected one for each of {len(y)} values")
    who = codes(patients, len(y), "patients")
    assert who is not None
    methods = list(checked)
    parts = {measure: _each(y, checked, measure, level) for measure in FORECAST_MEASURES}
    groups = [np.flatnonzero(names == name) for name in dict.fromkeys(names)]
    enough = [rows for rows in groups if len(np.unique(who[rows])) >= SMALLEST]
    scores: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    asked = [(str(names[rows[0]]), [rows]) for rows in groups]
    for variable, told in [*asked, (ALL_VARIABLES, enough)]:
        use = np.concatenate(told) if told else np.zeros(0, dtype=np.int64)
        cluster = np.unique(who[use], return_inverse=True)[1]
        people = len(np.unique(cluster))
        seen = {"variable": variable, "values": len(use), "patients": people}
        for measure, each in parts.items():
            if not told or people < SMALLEST:
                note = f"measured in fewer than {SMALLEST} patients"
                scores += [{**seen, "method": m, "measure": measure, **_nothing(), "note": note} for m in methods]
                continue
            found = _measured(each, told, measure)
            for m, told_of in zip(methods, _estimates(found, measure, cluster, confidence), strict=True):
                scores.append({**seen, "method": m, "measure": measure, **told_of, "note": ""})
            differences += _compared(found, methods, variable, measure, cluster, confidence)
    return ForecastScores(pd.DataFrame(scores, columns=_SCORES), pd.DataFrame(differences, columns=_DIFFERENCES))


def _nothing() -> dict[str, float]:
    return dict.fromkeys(("value", "lower", "upper", "se"), np.nan)


def _checked(y: Floats, forecasts: Mapping[str, Forecast]) -> dict[str, Forecast]:
    if not forecasts:
        raise UsageError("there is no method to score: forecasts is empty")
    if y.ndim != 1 or not np.isfinite(y).all():
        raise UsageError("observed values must be a row of finite numbers: leave out what was not measured")
    out = {}
    for name, given in forecasts.items():
        parts = [np.asarray(part, dtype=float) for part in (given.expected, given.lower, given.upper)]
        if any(part.shape != y.shape for part in parts):
            raise UsageError(f"forecasts of {name!r} must have one row for each of {len(y)} values")
        wrong = int((~np.isfinite(np.stack(parts)).all(axis=0)).sum())
        crossed = int((parts[1] > parts[2]).sum())
        if wrong or crossed:
            raise UsageError(
                f"forecasts of {name!r}: {wrong} of {len(y)} are not finite, and the bounds of {crossed} are crossed"
            )
        out[name] = Forecast(*parts)
    return out


def _each(y: Floats, forecasts: Mapping[str, Forecast], measure: str, level: float) -> Floats:
    """(Q, M) what each value adds to a measure; for the root mean squared error, its square."""
    return np.column_stack([_one(y, forecast, measure, level) for forecast in forecasts.values()])


def _one(y: Floats, forecast: Forecast, measure: str, level: float) -> Floats:
    lower, upper, error = forecast.lower, forecast.upper, y - forecast.expected
    if measure == "interval_score":
        return score_interval(y, lower, upper, level)
    if measure == "coverage":
        return ((lower <= y) & (y <= upper)).astype(float)
    if measure == "width":
        return upper - lower
    if measure == "rmse":
        return error * error
    if measure == "mae":
        return np.abs(error)
    return normal_crps(y, forecast.expected, (upper - lower) / (2 * ndtri(0.5 + level / 2)))


def _measured(each: Floats, groups: Sequence[Integers], measure: str) -> Measured:
    """The mean over groups of rows (variables) of their means, or of the roots of these; influences of all rows."""
    total = sum(len(rows) for rows in groups)
    value, influence = np.zeros(each.shape[1]), []
    for rows in groups:
        mean = each[rows].mean(axis=0)
        own = (each[rows] - mean) * (total / len(rows) / len(groups))
        if measure == "rmse":
            mean = np.sqrt(mean)
            own = own / np.where(mean > 0, 2 * mean, 1.0)
        value += mean / len(groups)
        influence.append(own)
    return Measured(value, np.concatenate(influence))


def _estimates(found: Measured, measure: str, cluster: Integers, confidence: float) -> Iterator[dict[str, float]]:
    se = standard_error(found.influence, cluster)
    lower, upper = interval(measure, found.value, se, confidence)
    floor, ceiling = (0.0, 1.0 if measure == "coverage" else np.inf)
    for numbers in zip(found.value, np.clip(lower, floor, ceiling), np.clip(upper, floor, ceiling), se, strict=True):
        yield dict(zip(("value", "lower", "upper", "se"), map(float, numbers), strict=True))


def _compared(
    found: Measured, methods: Sequence[str], variable: str, measure: str, cluster: Integers, confidence: float
) -> Iterator[dict[str, Any]]:
    pairs = list(permutations(range(len(methods)), 2))
    if not pairs:
        return
    one, other = np.array(pairs).T
    value = found.value[one] - found.value[other]
    se = standard_error(found.influence[:, one] - found.influence[:, other], cluster)
    lower, upper = interval("difference", value, se, confidence)
    for k, (i, j) in enumerate(pairs):
        numbers = {"value": value[k], "lower": lower[k], "upper": upper[k], "se": se[k]}
        named = {"variable": variable, "method": methods[i], "versus": methods[j], "measure": measure}
        yield {**named, **{name: float(number) for name, number in numbers.items()}}
