"""Action: something that can be done for a patient, for whom, and the source of its effect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.cohort.landmark import Landmark
from osler.errors import UsageError
from osler.planning.effect import Effect
from osler.readers.where import Where, parse_where

__all__ = ["Action", "Judgement", "actions_of", "last_known"]


_MISSING_TEST = re.compile(r"(`[^`]+`|[\w.]+)\s+is\s+(not\s+)?missing\b")


@dataclass(frozen=True)
class Judgement:
    """Whether an action is for this patient; ``reasons`` say why not, ``warnings`` what could not be checked."""

    eligible: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """One thing that can be done.

    Attributes:
        name: what reports call it.
        source: where the effect comes from; "evidence" is a published relative effect.
        effect: the effect on one cause.
        citation: the publication.
        note: what else a reader must know.
        condition: who it is for, on the values known last at the landmark; None is everyone.
        contraindications: conditions against it, each with its reason in words.
    """

    name: str
    source: Literal["evidence"]
    effect: Effect
    citation: str
    note: str = ""
    condition: Where | None = None
    contraindications: tuple[tuple[Where, str], ...] = ()

    def judge(self, known: pd.DataFrame, labels: dict[str, str]) -> Judgement:
        """Whether the action is for the patient whose last known values are the one row of ``known``."""
        reasons, warnings = [], []
        if self.condition is not None:
            absent = _absent(self.condition, known, labels, told=True)
            if absent:
                reasons.append(f"cannot be judged: {absent} not measured")
            elif not self.condition.evaluate(known)[0]:
                reasons.append(f"for patients with {_words(self.condition, labels)}")
        for condition, reason in self.contraindications:
            absent = _absent(condition, known, labels, told=False)
            if condition.evaluate(known)[0]:
                reasons.append(f"contraindicated: {reason}")
            elif absent:
                warnings.append(f"A contraindication could not be checked ({reason}): {absent} not measured.")
        return Judgement(not reasons, tuple(reasons), tuple(warnings))


def actions_of(cohort: Cohort, causes: tuple[str, ...]) -> tuple[Action, ...]:
    """The actions that the cohort's manifest declares, in its order.

    Raises:
        UsageError: none is declared, or one acts on a cause that the model does not know.
    """
    if not cohort.actions:
        raise UsageError(
            f"no action is declared for the cohort {cohort.name!r}: add [[actions]] with a published effect "
            "and its citation to cohort.toml"
        )
    return tuple(_action(spec, causes) for spec in cohort.actions)


def last_known(landmark: Landmark) -> pd.DataFrame:
    """One row: the record, and of each visit variable the last value measured on or before the landmark."""
    known = landmark.known
    row = known.record.iloc[landmark.patient[:1]].reset_index(drop=True)
    visits = known.visits.iloc[landmark.start[0] : landmark.stop[0]]
    for variable in known.visit_variables:
        measured = visits[variable.name].dropna()
        value = measured.iloc[-1] if len(measured) else None
        row[variable.name] = pd.Series([value], dtype=object if variable.type == "category" else float)
    return row


def _action(spec: Any, causes: tuple[str, ...]) -> Action:
    cause = spec.cause or causes[0]
    if cause not in causes:
        raise UsageError(f"the action {spec.name!r} acts on {cause!r}; the model knows {', '.join(causes)}")
    effect = spec.effect
    return Action(
        name=spec.name,
        source=spec.source,
        effect=Effect(causes.index(cause), effect.measure, effect.value, effect.lower, effect.upper, effect.confidence),
        citation=spec.citation,
        note=spec.note,
        condition=None if spec.where is None else parse_where(spec.where),
        contraindications=tuple((parse_where(c.where), c.reason) for c in spec.contraindicated),
    )


def _absent(condition: Where, known: pd.DataFrame, labels: dict[str, str], *, told: bool) -> str:
    """Labels of the variables that the condition needs and nobody measured.

    A test for "is missing" needs no value. ``told``: a variable so tested anywhere in the condition is provided for by
    its author; otherwise it counts where its value is asked for as well.
    """
    rest = _MISSING_TEST.sub(" ", condition.text)
    needed = []
    for name in condition.names:
        tested = re.search(rf"`?(?<![\w.]){re.escape(name)}`?\s+is\s+(not\s+)?missing\b", condition.text)
        asked = re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", rest)
        if not tested or (asked and not told):
            needed.append(name)
    return ", ".join(labels.get(name, name) for name in needed if name not in known or pd.isna(known[name].iloc[0]))


def _words(condition: Where, labels: dict[str, str]) -> str:
    text = condition.text
    for name in sorted(condition.names, key=len, reverse=True):
        text = text.replace(f"`{name}`", labels.get(name, name)).replace(name, labels.get(name, name))
    return text
