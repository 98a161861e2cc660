"""Manifest rules: what must hold between the blocks of a manifest."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from osler.cohort.cohort import VISIT_KEYS
from osler.cohort.outcome_specs import OutcomeSpec
from osler.cohort.specs import RecordSpec, VisitsSpec
from osler.errors import Violation

if TYPE_CHECKING:
    from osler.cohort.manifest import Manifest

__all__ = ["clashes_of"]


def clashes_of(manifest: Manifest, file: str) -> Iterator[Violation]:
    """Rules between blocks, which no single block can see."""
    dated_or_not: list[RecordSpec | VisitsSpec] = [*manifest.record, *manifest.visits]
    variables = [v for block in dated_or_not for v in block.variables]
    yield from _twice(
        file, "variable", [v.name for v in variables], 'Give one of them another name and say column = "...".'
    )
    blocks = [
        *(block.name for block in dated_or_not),
        *(genomics.title for genomics in manifest.genomics),
        *(images.name for images in manifest.images),
    ]
    yield from _twice(file, "block", blocks, 'Give each block its own name = "...".')
    for name in sorted({v.name for v in variables} & set(VISIT_KEYS)):
        yield Violation(
            file, "variable names are free", "another name", f"{name!r}", 'Say name = "..." and column = "...".'
        )
    yield from _twice(file, "action", [action.name for action in manifest.actions], "Name the actions apart.")
    outcome = manifest.outcome
    yield from _questions(file, manifest)
    if outcome is not None:
        yield from _outcome_clashes(file, outcome)
        yield from _leaks(file, manifest, outcome)
        causes = [outcome.name, *(c.name for c in outcome.competing)]
        for action in manifest.actions:
            if action.cause is not None and action.cause not in causes:
                near = difflib.get_close_matches(action.cause, causes, n=1)
                yield Violation(
                    file,
                    "an action acts on a declared event",
                    ", ".join(causes),
                    f"{action.cause!r}",
                    f"Did you mean {near[0]!r}?" if near else "Name one of these.",
                    column="actions.cause",
                )


def _questions(file: str, manifest: Manifest) -> Iterator[Violation]:
    """Classes are asked by ``[diagnosis]``, times to an event by ``[study]``."""
    of_class = manifest.outcome is not None and manifest.outcome.kind == "class"
    if manifest.study is not None and of_class:
        yield Violation(
            file,
            "[study] is of an outcome with a time",
            "[diagnosis], for classes",
            "[study] with an outcome of kind class",
            "A class has no landmarks and horizons: say folds, repeats and seed in [diagnosis].",
            column="study",
        )
    if manifest.diagnosis is not None and not of_class:
        yield Violation(
            file,
            "[diagnosis] is of classes",
            'an outcome of kind = "class"',
            "another outcome, or none",
            'Declare [outcome] kind = "class" with its levels, or ask a [study] instead.',
            column="diagnosis",
        )


def _leaks(file: str, manifest: Manifest, outcome: OutcomeSpec) -> Iterator[Violation]:
    """Columns of the outcome may not be predictors."""
    table, columns = outcome.table or manifest.record[0].table, set(outcome.columns)
    blocks: list[RecordSpec | VisitsSpec] = [*manifest.record, *manifest.visits]
    for block in blocks:
        sources = [name for v in block.variables for name in ([m.column for m in v.columns] or [v.source])]
        for name in sorted(columns & set(sources)) if block.table == table else ():
            yield Violation(
                file,
                "the outcome is no predictor",
                "columns known at the time",
                f"the outcome's column {name!r}",
                "Remove the variable.",
                column=block.name,
            )


def _outcome_clashes(file: str, outcome: OutcomeSpec) -> Iterator[Violation]:
    yield from _twice(file, "event", [outcome.name, *(c.name for c in outcome.competing)], "Name the events apart.")
    shared = [c for c in outcome.competing if c.event is None]
    codes = [*outcome.codes, *outcome.censored, *outcome.missing, *(code for c in shared for code in c.codes)]
    yield from _twice(
        file, "outcome code", codes, "A code means one thing: event, competing event, censored or missing."
    )
    for c in outcome.competing:
        if c.event is not None:
            yield from _twice(
                file, f"code of {c.name}", [*c.codes, *c.censored], "A code means one thing: event or none."
            )


def _twice(file: str, what: str, names: list[str], remedy: str) -> Iterator[Violation]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Violation(
                file, f"a {what} is declared once", "one declaration", f"{name!r} more than once", remedy, count=count
            )
