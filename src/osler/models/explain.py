"""Explanation: what makes a patient's predicted risk differ from that of the typical patient.

Baseline Shapley values (Shapley 1953; Strumbelj and Kononenko 2014; Sundararajan and Najmi 2020): every variable is a
player that is either the patient's own or the typical patient's; a player's contribution is its mean effect on the
predicted risk over the orders in which players may join. Contributions sum to the difference exactly. They describe the
model, not causes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort, Patient, Variable
from osler.errors import UsageError
from osler.models.base import RiskModel
from osler.units import days

__all__ = ["Explanation", "explain"]

#: With so many players or fewer, all coalitions are evaluated and the values are exact.
_EXACT = 8
#: Synthetic patients predicted at a time, so that images of many coalitions fit in memory.
_BATCH = 512

Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explanation:
    """Contributions to one patient's risk of one cause at one horizon.

    Attributes:
        frame: modality, variable, label, value and typical (text), contribution (absolute risk; positive raises it),
            error (standard error of sampling, 0 when exact); the largest contribution first.
        patient_risk, typical_risk: their difference is the sum of the contributions.
    """

    frame: pd.DataFrame
    patient_risk: float
    typical_risk: float

    @property
    def by_modality(self) -> pd.DataFrame:
        """Sum of contributions by modality, the largest first."""
        summed = self.frame.groupby("modality", sort=False)["contribution"].sum().reset_index()
        return summed.sort_values("contribution", key=np.abs, ascending=False, ignore_index=True)

    @property
    def error(self) -> float:
        """How far the contributions are from summing to the difference; rounding only."""
        return float(abs(self.frame["contribution"].sum() - (self.patient_risk - self.typical_risk)))


@dataclass(frozen=True)
class _Player:
    """A variable, a genomic block or an image block that differs from the typical patient's."""

    kind: str
    name: str
    modality: str
    label: str
    value: str
    typical: str


def explain(
    model: RiskModel,
    patient: Patient,
    at: float | str,
    *,
    horizon: float | str,
    cause: int = 1,
    permutations: int = 16,
    random_state: int = 0,
) -> Explanation:
    """Contributions of every variable, genomic block and image to a patient's risk, against the typical patient.

    A visit variable's whole course is replaced by the typical value at the patient's own visits; a genomic block or
    an image is present or absent. What equals the typical patient's contributes nothing and is not listed.

    Args:
        model: fitted.
        patient: at risk at ``at``.
        at: landmark, days or "6y".
        horizon: days ahead or "5y".
        cause: 1-based position among the model's causes.
        permutations: orders drawn, each used forwards and backwards; not needed with few players.
        random_state: seed of the orders.

    Raises:
        UsageError: the patient's follow-up ended before the landmark.
        BeyondSupport: the horizon lies past the model's curve.
    """
    landmark = model.schema_.conform(patient.cohort).at(at)
    if not len(landmark):
        raise UsageError(f"the follow-up of patient {patient.pseudonym} ended before the landmark")
    own = landmark.known
    players = list(_players(own, model.typical_))

    def value(coalitions: Masks) -> Floats:
        parts = [coalitions[i : i + _BATCH] for i in range(0, len(coalitions), _BATCH)]
        curves = (model.predict(_mixed(own, players, part, model.typical_), at) for part in parts)
        return np.concatenate([curve.risk(days(horizon), cause) for curve in curves])

    coalitions, contributions_of = (
        _exact(len(players))
        if len(players) <= _EXACT
        else _sampled(len(players), permutations, np.random.default_rng(random_state))
    )
    unique, inverse = np.unique(coalitions, axis=0, return_inverse=True)
    values = value(unique)[inverse.ravel()]
    contribution, error = contributions_of(values)
    frame = pd.DataFrame([_described(player) for player in players], columns=list(_DESCRIBED))
    frame = frame.assign(contribution=contribution, error=error)
    return Explanation(
        frame=frame.sort_values("contribution", key=np.abs, ascending=False, ignore_index=True, kind="stable"),
        patient_risk=float(values[-1]),
        typical_risk=float(values[0]),
    )


_DESCRIBED = ("modality", "variable", "label", "value", "typical")


def _described(player: _Player) -> tuple[str, ...]:
    return player.modality, player.name, player.label, player.value, player.typical


def _exact(n: int) -> tuple[Masks, Any]:
    """All coalitions, the empty one first and the full one last, and the function from values to contributions."""
    coalitions = np.array(list(product([False, True], repeat=n)), dtype=bool).reshape(2**n, n)
    size = coalitions.sum(axis=1)

    def contributions(values: Floats) -> tuple[Floats, Floats]:
        result = np.zeros(n)
        for player in range(n):
            without = np.flatnonzero(~coalitions[:, player])
            weight = [factorial(s) * factorial(n - s - 1) / factorial(n) for s in size[without]]
            result[player] = np.dot(weight, values[without + 2 ** (n - 1 - player)] - values[without])
        return result, np.zeros(n)

    return coalitions, contributions


def _sampled(n: int, permutations: int, rng: np.random.Generator) -> tuple[Masks, Any]:
    """Coalitions along drawn orders and their reverses, and the function from values to contributions."""
    forward = np.array([rng.permutation(n) for _ in range(permutations)])
    orders = np.stack([forward, forward[:, ::-1]], axis=1).reshape(-1, n)
    rank = np.argsort(orders, axis=1)
    coalitions = rank[:, None, :] < np.arange(n + 1)[None, :, None]

    def contributions(values: Floats) -> tuple[Floats, Floats]:
        gains = np.diff(values.reshape(len(orders), n + 1), axis=1)
        each = np.take_along_axis(gains, rank, axis=1)
        pairs = each.reshape(permutations, 2, n).mean(axis=1)
        return each.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(permutations)

    return coalitions.reshape(-1, n), contributions


def _players(own: Cohort, typical: dict[str, float | str | None]) -> Iterator[_Player]:
    for variable in own.record_variables:
        mine, theirs = own.record[variable.name].iloc[0], typical[variable.name]
        if not _same(mine, theirs):
            yield _player("record", variable, _text(variable, mine), _text(variable, theirs))
    for variable in own.visit_variables:
        course, theirs = own.visits[variable.name], typical[variable.name]
        if not all(_same(mine, theirs) for mine in course):
            known = course.dropna()
            last = known.iloc[-1] if len(known) else None
            count = f" (last of {len(known)})" if len(known) > 1 else ""
            yield _player("visits", variable, _text(variable, last) + count, _text(variable, theirs))
    for name, block in own.genomics.items():
        if block.available[0]:
            yield _Player("genomics", name, name, name, f"{len(block.features)} features", "not measured")
    for name, images in own.images.items():
        if len(images.visit):
            taken = len(images.visit)
            yield _Player("images", name, name, name, f"{taken} image{'s' if taken > 1 else ''}", "not measured")


def _player(kind: str, variable: Variable, value: str, typical: str) -> _Player:
    return _Player(kind, variable.name, variable.modality, variable.label, value, typical)


def _same(mine: Any, theirs: Any) -> bool:
    if pd.isna(mine) or theirs is None:
        return bool(pd.isna(mine)) and theirs is None
    return bool(mine == theirs)


def _text(variable: Variable, value: Any) -> str:
    if value is None or pd.isna(value):
        return "not measured"
    if variable.type == "category":
        return str(value)
    if variable.type == "flag":
        return "yes" if value else "no"
    return f"{value:.4g} {variable.unit}".rstrip()


def _mixed(own: Cohort, players: list[_Player], coalitions: Masks, typical: dict[str, float | str | None]) -> Cohort:
    """One synthetic patient per coalition: own values where a player has joined, typical ones elsewhere."""
    n = len(coalitions)
    mixed = own.subset(np.zeros(n, dtype=np.int64))
    record, visits = mixed.record.copy(), mixed.visits.copy()
    genomics, images = dict(mixed.genomics), dict(mixed.images)
    owner = visits["patient"].to_numpy()
    for joined, player in zip(coalitions.T, players, strict=True):
        if player.kind == "record":
            record[player.name] = _replaced(record[player.name], ~joined, typical[player.name])
        elif player.kind == "visits":
            visits[player.name] = _replaced(visits[player.name], ~joined[owner], typical[player.name])
        elif player.kind == "genomics":
            block = genomics[player.name]
            values = np.where(joined[:, None], block.values, np.float32(np.nan))
            genomics[player.name] = replace(block, values=values)
        else:
            images[player.name] = images[player.name].take(joined[owner[images[player.name].visit]])
    return replace(
        mixed,
        patients=np.arange(n).astype(str).astype(object),
        record=record,
        visits=visits,
        genomics=genomics,
        images=images,
    )


def _replaced(column: pd.Series, where: Masks, value: float | str | None) -> pd.Series:
    return column.where(~where, np.nan if value is None else value)
