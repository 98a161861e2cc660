"""Contributions of many patients at once: what a model relies on in a cohort, and whether two models rely on the same.

Global importance is the mean absolute contribution (Lundberg SM et al. Nat Mach Intell 2020;2:56-67). Like the
contributions themselves it describes models: an association is not an effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from osler.cohort.cohort import Cohort
from osler.cohort.schema import Schema
from osler.models.base import RiskModel
from osler.models.blend import Part, Step, typical_state, worth
from osler.units import days

__all__ = ["Contributions", "contributions_of", "parts_of", "rank_agreement", "sample"]

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]

#: Pairs of orders drawn for each patient: with two, ranks are those of 64 (demo cohort).
_PAIRS = 2


@dataclass(frozen=True, eq=False)
class Contributions:
    """Contributions to the risks of m patients, of everything that a model knows.

    Attributes:
        parts: J variables, genomic blocks and image blocks.
        values: (m, J) contribution to absolute risk against the typical patient; 0 where the patient is like that.
        differs: (m, J) whether the patient differs from the typical one.
    """

    parts: tuple[Part, ...]
    values: Floats
    differs: Masks

    @property
    def importance(self) -> Floats:
        """(J,) mean absolute contribution."""
        found: Floats = np.abs(self.values).mean(axis=0)
        return found


def contributions_of(
    model: RiskModel,
    cohort: Cohort,
    at: float | str,
    *,
    horizon: float | str,
    cause: int = 1,
    pairs: int = _PAIRS,
    random_state: int = 0,
) -> Contributions:
    """Contributions to the risk of every patient of ``cohort`` who is at risk at the landmark, in their order.

    Args:
        model: fitted.
        cohort: the patients to explain.
        at: landmark, days or "6y".
        horizon: days ahead or "5y".
        cause: 1-based position among the model's causes.
        pairs: of orders drawn for a patient who differs in many things.
        random_state: seed of the orders.

    Raises:
        BeyondSupport: the horizon lies past the model's curve.
    """
    landmark = model.schema_.conform(cohort).at(at)
    rng = np.random.default_rng(random_state)
    steps = []
    for position in landmark.patient:
        own = landmark.known.subset([int(position)])
        steps.append(Step.between(typical_state(own, model.typical_), own, pairs, rng))
    parts = parts_of(model.schema_)
    place = {(part.kind, part.name): j for j, part in enumerate(parts)}
    values = np.zeros((len(steps), len(parts)))
    differs = np.zeros(values.shape, dtype=bool)
    for i, (step, risk) in enumerate(zip(steps, worth(model, steps, at, days(horizon), cause), strict=True)):
        own_parts = [place[part.kind, part.name] for part in step.parts]
        values[i, own_parts], _ = step.game.contributions(risk)
        differs[i, own_parts] = True
    return Contributions(parts, values, differs)


def parts_of(schema: Schema) -> tuple[Part, ...]:
    """Everything that may differ between patients of a schema."""
    record = [Part("record", variable.name, variable.modality) for variable in schema.record]
    visits = [Part("visits", variable.name, variable.modality) for variable in schema.visits]
    genomics = [Part("genomics", name, name) for name in schema.genomics]
    return (*record, *visits, *genomics, *(Part("images", name, name) for name in schema.images))


def sample(cohort: Cohort, at: float, patients: int, random_state: int) -> NDArray[np.int64]:
    """(k,) ascending positions of so many patients, or all if there are fewer, drawn from those at risk at ``at``."""
    at_risk = cohort.at(at).patient
    rng = np.random.default_rng(random_state)
    return np.sort(rng.permutation(at_risk)[:patients])


def rank_agreement(one: Contributions, other: Contributions) -> tuple[Floats, float]:
    """Spearman's rank correlation of two models' contributions to the risks of the same patients.

    Returns:
        (m,) of each patient, over what differs from the typical patient for both models (missing where that is fewer
        than three things, or all contribute the same); and that of the global importances.
    """
    both = one.differs & other.differs
    rows = zip(one.values, other.values, both, strict=True)
    each = np.array([_spearman(mine[there], yours[there]) for mine, yours, there in rows])
    return each, _spearman(one.importance, other.importance)


def _spearman(one: Floats, other: Floats) -> float:
    if len(one) < 3 or _constant(one) or _constant(other):
        return float("nan")
    return float(spearmanr(one, other).statistic)


def _constant(values: Iterable[float]) -> bool:
    return len(set(values)) < 2
