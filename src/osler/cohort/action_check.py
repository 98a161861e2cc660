"""Checks of declared actions against the variables that the cohort really has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from osler.cohort.actions import ActionSpec
from osler.cohort.cohort import Variable
from osler.cohort.findings import Findings
from osler.readers.where import parse_where

__all__ = ["check_actions"]


def check_actions(
    findings: Findings, file: str, actions: tuple[ActionSpec, ...], variables: Mapping[str, Variable]
) -> None:
    """Note actions that speak of variables or labels that are not there: such an action would be for nobody."""
    for i, action in enumerate(actions, 1):
        if action.modifies is not None:
            _known(findings, file, f"actions.{i}.modifies", action.modifies, variables)
        conditions = [("where", action.where)] if action.where else []
        conditions += [(f"contraindicated.{j}.where", c.where) for j, c in enumerate(action.contraindicated, 1)]
        for key, text in conditions:
            _check_condition(findings, file, f"actions.{i}.{key}", text, variables)


def _known(findings: Findings, file: str, place: str, name: str, variables: Mapping[str, Variable]) -> bool:
    if name in variables:
        return True
    near = difflib.get_close_matches(name, variables, n=2)
    remedy = f"Did you mean {' or '.join(near)}?" if near else "Name a variable of the record or the visits."
    findings.add(file, "actions speak of variables", "a declared variable", f"{name!r}", remedy, column=place)
    return False


def _check_condition(findings: Findings, file: str, place: str, text: str, variables: Mapping[str, Variable]) -> None:
    condition = parse_where(text)
    unknown = [name for name in condition.names if not _known(findings, file, place, name, variables)]
    for name, literal in condition.literals:
        if name in unknown:
            continue
        variable = variables[name]
        if variable.type == "category" and str(literal) not in variable.levels and not _numeric(literal, variable):
            expected = f"one of its labels, {', '.join(map(repr, variable.levels[:20]))}"
        elif variable.type != "category" and isinstance(literal, str):
            expected = "a number"
        else:
            continue
        findings.add(
            file,
            "conditions of actions compare with values that occur",
            f"{name!r} compared with {expected}",
            f"{literal!r}",
            "Conditions of actions use variable names and category labels, not the codes of the tables.",
            column=place,
        )


def _numeric(literal: float | str, variable: Variable) -> bool:
    """Whether a category has labels that are numbers, so that a number may stand against them (grade >= 2)."""
    return isinstance(literal, float) and any(label.replace(".", "", 1).isdigit() for label in variable.levels)
