"""Updating: monotone maps that bring a model's risks to what happens among other patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import exp1

from osler.errors import UsageError
from osler.evaluation.follow_up import FollowUp, Status, told
from osler.evaluation.smooth import pseudo_values
from osler.units import duration

__all__ = [
    "METHODS",
    "Method",
    "RiskMap",
    "Updating",
    "cross_fitted",
    "design",
    "estimating_parts",
    "fit_map",
    "fit_updating",
    "risk_at",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: How risks may be updated, each a special case of the next.
Method = Literal["as_is", "in_the_large", "slope", "flexible"]
METHODS: tuple[Method, ...] = get_args(Method)
#: Risks of exactly 0 or 1 have no place on the scale; those that are fitted on are moved this far inside.
_EDGE = 1e-6
#: A map keeps the order of patients, and nobody's risk depends on a slope that a few patients drew.
_FLATTEST, _STEEPEST = 0.05, 10.0
#: Fewest events, and fewest patients known to be without the event, from which each method is fitted.
_FEWEST: dict[Method, int] = {"as_is": 0, "in_the_large": 10, "slope": 20, "flexible": 50}
#: Quantiles of the predicted risk at which the slope of a flexible map may change, by what there is to learn from.
_KNOTS_FEW, _KNOTS_MANY, _MANY = (0.1, 0.5, 0.9), (0.05, 0.35, 0.65, 0.95), 500
_SPREAD = 1e-6
_SAME = 1e-9  # relative: two times closer than this are one
_STEPS, _HALVINGS, _DONE = 100, 40, 1e-10
_TOP = 30.0  # on the scale of a map; beyond it a risk is 1


@dataclass(frozen=True)
class RiskMap:
    """A strictly increasing map of risks at one horizon: g on the scale x = log(-log(1 - risk)).

    g(x) = intercept + integral from 0 to x of a slope that is linear between the knots and constant outside them. With
    one slope and no knots it is a line; with intercept 0 and slope 1 it leaves risks as they are.

    Attributes:
        method: the family it was fitted in.
        intercept: shift; above 0 risks were too low where x is 0.
        slopes: (m,) slope at every knot, above 0; below 1 risks were too extreme there.
        knots: (m,) ascending; empty when there is one slope.
        errors: (1 + m,) standard errors of intercept and slopes that were fitted; NaN where they are not free.
    """

    method: Method = "as_is"
    intercept: float = 0.0
    slopes: tuple[float, ...] = (1.0,)
    knots: tuple[float, ...] = ()
    errors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        numbers = np.array([self.intercept, *self.slopes, *self.knots], dtype=float)
        if self.method not in METHODS or not np.isfinite(numbers).all() or min(self.slopes, default=0.0) <= 0:
            raise UsageError("a map of risks has a known method, finite numbers and slopes above 0")
        if len(self.slopes) != max(1, len(self.knots)) or list(self.knots) != sorted(set(self.knots)):
            raise UsageError("a map of risks has one slope, or as many slopes as ascending knots")

    def shift(self, risk: Floats) -> Floats:
        """By how much each risk moves on the scale log(-log(1 - risk)); same shape as ``risk``."""
        x = _scale(np.clip(risk, _EDGE, 1 - _EDGE))
        moved = self.intercept + _columns(x.ravel(), self.knots) @ np.asarray(self.slopes)
        return np.asarray(moved.reshape(x.shape) - x)

    def apply(self, risk: Floats) -> Floats:
        """Updated risks in [0, 1], of any shape, in the same order; 0 stays 0 and 1 stays 1."""
        return _shifted(np.asarray(risk, dtype=float), self.shift(np.asarray(risk, dtype=float)))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        errors = [error if np.isfinite(error) else None for error in self.errors]
        return {
            "method": self.method,
            "intercept": self.intercept,
            "slopes": list(self.slopes),
            "knots": list(self.knots),
            "standard_errors": errors,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RiskMap:
        """The inverse of ``to_json``; raises UsageError for what is no such map."""
        try:
            errors = tuple(np.nan if error is None else float(error) for error in data["standard_errors"])
            slopes, knots = (tuple(float(number) for number in data[name]) for name in ("slopes", "knots"))
            return cls(data["method"], float(data["intercept"]), slopes, knots, errors)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(f"this is no map of risks ({type(error).__name__})") from None


@dataclass(frozen=True)
class Updating:
    """One method's maps at the horizons of a landmark, for whole curves.

    Attributes:
        method: the method asked for; where a horizon has too few events for it, its map is a simpler one.
        horizons: (H,) days since the landmark, ascending.
        maps: one for each horizon.
        notes: what was simplified, and why.
    """

    method: Method
    horizons: tuple[float, ...] = ()
    maps: tuple[RiskMap, ...] = ()
    notes: tuple[str, ...] = ()

    def apply(self, risk: Floats, times: Floats) -> Floats:
        """Updated curves (n, T) of risks (n, T) at ``times`` (T,): at each horizon the map of that horizon.

        Between horizons a curve is shifted, on the scale log(-log(1 - risk)), by what lies between the shifts of its
        two horizons, and kept between its values there; before the first and after the last by their shifts. A curve
        never decreases: where the map of a later horizon would bring it below an earlier one, it stays level.
        """
        risk, times = np.asarray(risk, dtype=float), np.asarray(times, dtype=float)
        if not self.maps:
            return risk.copy()
        pairs = list(zip(self.horizons, self.maps, strict=True))
        at = np.column_stack([each.apply(risk_at(risk, times, horizon)) for horizon, each in pairs])
        ends = np.concatenate([np.zeros((len(risk), 1)), np.maximum.accumulate(at, axis=1), np.ones((len(risk), 1))], 1)
        before = np.searchsorted(np.asarray(self.horizons) * (1 + _SAME), times, "right")
        within = np.clip(_shifted(risk, self.shifts(risk, times)), ends[:, before], ends[:, before + 1])
        for k, (horizon, _) in enumerate(pairs):
            within[:, np.isclose(times, horizon, rtol=_SAME, atol=0.0)] = ends[:, [k + 1]]
        return np.asarray(np.maximum.accumulate(within, axis=1))

    def shifts(self, risk: Floats, times: Floats) -> Floats:
        """(n, T) by how much ``apply`` moves each risk on the scale log(-log(1 - risk))."""
        at = np.asarray(self.horizons)
        known = [each.shift(risk_at(risk, times, h)) for h, each in zip(self.horizons, self.maps, strict=True)]
        shifts = np.column_stack(known)
        right = np.clip(np.searchsorted(at, times, "left"), 1, max(len(at) - 1, 1))
        if len(at) == 1:
            return np.repeat(shifts, len(times), axis=1)
        share = np.clip((times - at[right - 1]) / (at[right] - at[right - 1]), 0.0, 1.0)
        return np.asarray(shifts[:, right - 1] * (1 - share) + shifts[:, right] * share)

    def at(self, horizon: float) -> RiskMap | None:
        """The map of a horizon, or None."""
        near = [m for h, m in zip(self.horizons, self.maps, strict=True) if np.isclose(h, horizon)]
        return near[0] if near else None


def fit_map(follow_up: FollowUp, risk: Floats, horizon: float, method: Method) -> RiskMap | str:
    """The map of a family under which predicted risks agree best with what happened by a horizon.

    Args:
        follow_up: outcomes of n patients.
        risk: (n,) risks of the event of interest by the horizon.
        horizon: days since the landmark.
        method: "in_the_large" (one shift), "slope" (a line) or "flexible" (a slope that changes at three quantiles of
            the risk; four from 500 events on); "as_is" is the map that changes nothing.

    Returns:
        The map; or, in words, why there is none: too few events, too few different risks, no support.

    Pseudo-observations of the event by the horizon stand for what happened; a competing event is without the event of
    interest. The map solves sum((pseudo-observation - updated risk) z) = 0 over its columns z, so that its mean risk is
    the Aalen-Johansen incidence. On its scale a shift multiplies the cumulative (subdistribution) hazard. Standard
    errors are of the sandwich type. Slopes are kept between 0.05 and 10: the order of patients stays.

    Cox DR. Biometrika 1958;45:562-565. van Houwelingen HC. Stat Med 2000;19:3401-3415. Andersen PK, Klein JP, Rosthoj
    S. Biometrika 2003;90:15-27. Ramsay JO. Stat Sci 1988;3:425-441 (slopes that are sums of positive splines).
    """
    if method not in METHODS:
        raise UsageError(f"no update is called {method!r}; there are {', '.join(METHODS)}")
    if method == "as_is":
        return RiskMap()
    refused = follow_up.unsupported(horizon)
    if refused:
        return refused
    status = follow_up.status(horizon)
    scarce = too_few(status, method)
    if scarce:
        return scarce
    x = _scale(np.clip(risk, _EDGE, 1 - _EDGE))
    knots = _knots(x, status) if method == "flexible" else ()
    if method != "in_the_large" and np.ptp(x) < _SPREAD:
        return "the predicted risks are all equal: there is no slope to find"
    if method == "flexible" and not knots:
        return "too few different predicted risks for a slope that changes"
    return _fit(pseudo_values(follow_up, horizon), x, method, knots)


def too_few(status: Status, method: Method) -> str:
    """Why there is too little to fit a method on, or an empty string."""
    events, others = int(status.case.sum()), int((status.free | status.competing).sum())
    least = _FEWEST[method]
    if min(events, others) >= least:
        return ""
    what, count = ("events", events) if events <= others else ("patients without the event", others)
    return f"{told(count)} {what}; expected {least} or more"


def fit_updating(
    follow_up: FollowUp, risk: Floats, times: Floats, horizons: Sequence[float], method: Method
) -> Updating:
    """Maps at every horizon that can be answered, for curves of risk.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, T) risks of the event of interest at ``times``.
        times: (T,) days since the landmark, ascending.
        horizons: days since the landmark; those past the follow-up or past ``times`` get no map.
        method: as for ``fit_map``; where a horizon has too little for it, the richest simpler method takes its place.
    """
    if method == "as_is":
        return Updating(method)
    found, notes = {}, []
    for horizon in sorted(horizons):
        if horizon > times[-1] * (1 + _SAME) or follow_up.unsupported(horizon):
            continue
        here = risk_at(risk, times, horizon)
        for simpler in METHODS[METHODS.index(method) : 0 : -1]:
            fitted = fit_map(follow_up, here, horizon, simpler)
            if isinstance(fitted, RiskMap):
                found[horizon] = fitted
                break
            notes.append(f"{duration(horizon)}: {simpler.replace('_', ' ')} not fitted ({fitted})")
    return Updating(method, tuple(found), tuple(found.values()), tuple(notes))


def cross_fitted(
    follow_up: FollowUp, risk: Floats, times: Floats, horizons: Sequence[float], method: Method, fold: Integers
) -> Floats:
    """Updated curves (n, T) in which nobody's own outcome took part in the update of their risk.

    Args:
        follow_up: outcomes of n patients.
        risk: (n, T) risks of the event of interest at ``times``.
        times: (T,) days since the landmark, ascending.
        horizons: days since the landmark, as for ``fit_updating``.
        method: as for ``fit_updating``.
        fold: (n,) which part each patient belongs to; a part is updated by maps fitted on all the others.
    """
    updated = np.array(risk, dtype=float)
    for part in np.unique(fold):
        out = fold == part
        others = FollowUp(follow_up.time[~out], follow_up.event[~out], follow_up.cause)
        updating = fit_updating(others, risk[~out], times, horizons, method)
        updated[out] = updating.apply(risk[out], times)
    return updated


def risk_at(risk: Floats, times: Floats, at: float) -> Floats:
    """(n,) risks at one time from curves (n, T) at ``times``: linear in between, from 0 at time 0."""
    right = min(int(np.searchsorted(times, at, "left")), len(times) - 1)
    if right == 0 or np.isclose(times[right], at, rtol=_SAME, atol=0.0):
        later, share = risk[:, right], 1.0 if right else at / times[0] if times[0] > 0 else 0.0
        return np.asarray(later * min(share, 1.0))
    share = float(np.clip((at - times[right - 1]) / (times[right] - times[right - 1]), 0.0, 1.0))
    return np.asarray(risk[:, right - 1] * (1 - share) + risk[:, right] * share)


def design(x: Floats, knots: Sequence[float]) -> Floats:
    """(n, 1 + m) intercept and the columns of the slopes."""
    return np.column_stack([np.ones(len(x)), _columns(x, tuple(knots))])


def estimating_parts(X: Floats, eta: Floats, seen: Floats) -> tuple[Floats, Floats]:
    """Contributions (n, p) of pseudo-observations ``seen`` to the equations of design ``X``; slope (p, p) of these."""
    hazard = np.exp(np.minimum(eta, _TOP))
    p = -np.expm1(-hazard)
    return X * (seen - p)[:, None], (X * (hazard * (1 - p))[:, None]).T @ X


def _fit(seen: Floats, x: Floats, method: Method, knots: tuple[float, ...]) -> RiskMap | str:
    shift = method == "in_the_large"
    X, offset = (np.ones((len(x), 1)), x) if shift else (design(x, knots), np.zeros(len(x)))
    fitted = _solve(X, offset, seen, np.zeros(1) if shift else np.array([0.0, *np.ones(X.shape[1] - 1)]))
    if fitted is None:
        return "the fit did not settle"
    b, score, slope = fitted
    influence = np.linalg.solve(slope, score.T)
    bound = (b[1:] <= _FLATTEST + _DONE) | (b[1:] >= _STEEPEST - _DONE)
    errors = np.where(bound.any(), np.nan, np.sqrt((influence**2).sum(axis=1)))
    slopes = (1.0,) if shift else tuple(map(float, b[1:]))
    return RiskMap(method, float(b[0]), slopes, knots, tuple(map(float, errors)))


def _solve(X: Floats, offset: Floats, seen: Floats, start: Floats) -> tuple[Floats, Floats, Floats] | None:
    """Coefficients (p,) within their bounds, contributions (n, p) and slope (p, p); None if it does not settle.

    The equations are the derivative of a convex loss, whose least value within the bounds Newton steps find.
    """
    lower = np.r_[-np.inf, np.full(len(start) - 1, _FLATTEST)]
    upper = np.r_[np.inf, np.full(len(start) - 1, _STEEPEST)]
    b, loss = start, _loss(X @ start + offset, seen)
    for _ in range(_STEPS):
        score, slope = estimating_parts(X, X @ b + offset, seen)
        if not np.isfinite(slope).all() or np.linalg.cond(slope) > 1e13:
            return None
        # The best step within the bounds is a least-squares problem in the root of the slope.
        root = np.linalg.cholesky(slope)
        wanted = np.linalg.solve(root, score.sum(axis=0))
        step = lsq_linear(root.T, wanted, (lower - b, upper - b), method="bvls", tol=1e-14).x
        for _ in range(_HALVINGS):
            moved = _loss(X @ (b + step) + offset, seen)
            if moved <= loss + 1e-12 * abs(loss):
                break
            step = step / 2
        b, loss = b + step, moved
        if np.abs(step).max() < _DONE * (1 + np.abs(b).max()):
            return b, *estimating_parts(X, X @ b + offset, seen)
    return None


def _loss(eta: Floats, seen: Floats) -> float:
    """The loss whose derivative in the linear predictor is risk minus pseudo-observation."""
    top = np.minimum(eta, _TOP)
    return float((eta + exp1(np.exp(top)) - seen * eta).sum())


def _knots(x: Floats, status: Status) -> tuple[float, ...]:
    """Knots at quantiles; empty where they would not differ."""
    many = min(int(status.case.sum()), int((status.free | status.competing).sum())) >= _MANY
    at = np.unique(np.quantile(x, _KNOTS_MANY if many else _KNOTS_FEW))
    apart = len(at) >= len(_KNOTS_FEW) and np.diff(at).min() > _SPREAD
    return tuple(map(float, at)) if apart else ()


def _columns(x: Floats, knots: tuple[float, ...]) -> Floats:
    """(n, m) integrals from 0 to x of the hat functions of the knots; together they are x."""
    if not knots:
        return x[:, None]
    return _integrals(x, np.asarray(knots)) - _integrals(np.zeros(1), np.asarray(knots))


def _integrals(x: Floats, knots: Floats) -> Floats:
    """(n, m) integrals from the first knot to x; the outer hats are 1 beyond their knots."""
    out = np.zeros((len(x), len(knots)))
    for j in range(len(knots) - 1):
        width = knots[j + 1] - knots[j]
        u = np.clip((x - knots[j]) / width, 0.0, 1.0)
        out[:, j] += width * (u - u**2 / 2)
        out[:, j + 1] += width * u**2 / 2
    out[:, 0] += np.minimum(x - knots[0], 0.0)
    out[:, -1] += np.maximum(x - knots[-1], 0.0)
    return out


def _scale(risk: Floats) -> Floats:
    return np.asarray(np.log(-np.log1p(-risk)))


def _shifted(risk: Floats, shift: Floats) -> Floats:
    inside = (risk > 0) & (risk < 1)
    x = _scale(np.where(inside, risk, 0.5)) + shift
    return np.where(inside, -np.expm1(-np.exp(np.minimum(x, 700.0))), risk)
