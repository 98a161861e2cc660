"""Validation: what a model's risks are worth among patients of another place or time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig, digest
from osler.errors import UsageError
from osler.external.job import Job
from osler.external.predicted import (
    Predicted,
    fitted_here,
    lacking,
    made_elsewhere,
    obstacles,
    predicted_by,
    predicted_in,
    read_predictions,
)
from osler.external.result import ExternalResult
from osler.models.base import RiskModel
from osler.models.store import load_model
from osler.units import days, duration

__all__ = ["evaluate_external", "evaluate_predictions"]

_FOLDS = 5


def evaluate_external(
    model: RiskModel | str | Path,
    cohort: Cohort,
    *,
    at: Sequence[float | str] | float | str | None = None,
    horizons: Sequence[float | str] | None = None,
    folder: str | Path | None = None,
    update: bool = True,
    folds: int = _FOLDS,
    thresholds: Sequence[float] | None = None,
    confidence: float = 0.95,
    replicates: int = 200,
    random_state: int = 20240,
    progress: Callable[[str, int, int], None] | None = None,
) -> ExternalResult:
    """Judge a model on a cohort that it was not fitted on, as it is and after updating its risks there.

    Args:
        model: a fitted model, or the file of one.
        cohort: patients with an outcome, whose variables carry the names, units and levels of those the model reads.
        at: landmarks; those of the model's question if not given.
        horizons: how far ahead; those of the model's question if not given.
        folder: where to write metrics, predictions, maps and the report; nothing is written if not given.
        update: also update the risks: a shift, shift and slope, a flexible map; cross-fitted inside ``cohort``.
        folds: parts of the cross-fitting.
        thresholds: risks from which one would act, for net benefit; those of the cohort's study if not given.
        confidence: level of intervals; one minus it is the level of the closed test.
        replicates: draws of the bootstrap and of perfectly calibrated outcomes.
        random_state: seed of the division into parts, and of what is drawn.
        progress: told (what, done, total) on the way, for instance ``osler.terminal.Bar``.

    Raises:
        UsageError: the model cannot be judged on this cohort; all reasons at once.
        ModelError: the file is no model.

    Debray TPA et al. J Clin Epidemiol 2015;68:279-289. Royston P, Altman DG. BMC Med Res Methodol 2013;13:33.
    van Houwelingen HC. Stat Med 2000;19:3401-3415. Vergouwe Y et al. Stat Med 2017;36:4529-4539.
    """
    file = None if isinstance(model, RiskModel) else Path(model)
    known = load_model(file) if file is not None else model
    assert isinstance(known, RiskModel)
    landmarks = _moments(at, known.question.landmarks)
    ahead = _moments(horizons, known.question.horizons)
    wrong = obstacles(known, cohort, landmarks)
    if wrong:
        raise UsageError(_all("the model cannot be judged on this cohort", wrong))
    remarks = [*([] if file is None else fitted_here(file, cohort)), *lacking(known, cohort)]
    job = Job(
        cohort=cohort,
        event=known.causes_[0],
        predicted=predicted_by(known, cohort, landmarks),
        horizons=ahead,
        updated=known.name if update else None,
        thresholds=_thresholds(cohort, thresholds),
        remarks=remarks,
        run={
            "model": known.label,
            "model_digest": "" if file is None else digest(file.read_bytes()),
            "model_made_by": getattr(known, "provenance_", {}),
            "notes": {known.name: list(known.notes_)},
        },
        folds=folds,
        confidence=confidence,
        replicates=replicates,
        random_state=random_state,
        training=_training(known),
        progress=progress,
    )
    return job.run_to(folder)


def evaluate_predictions(
    table: pd.DataFrame | str | Path,
    cohort: Cohort,
    *,
    at: Sequence[float | str] | float | str | None = None,
    horizons: Sequence[float | str] | None = None,
    folder: str | Path | None = None,
    update: bool | None = None,
    folds: int = _FOLDS,
    thresholds: Sequence[float] | None = None,
    confidence: float = 0.95,
    replicates: int = 200,
    random_state: int = 20240,
    progress: Callable[[str, int, int], None] | None = None,
) -> ExternalResult:
    """Judge a table of predictions, made by whatever model, against a cohort's outcome.

    Args:
        table: a frame or a file (.csv, .tsv, .txt, .parquet) with columns patient (identifier or pseudonym),
            landmark(_days), horizon(_days), risk; model, cause, fold, repeat where there are such. Several models are
            compared in pairs.
        cohort: patients with an outcome.
        at: of the landmarks in the table those to judge; all if not given.
        horizons: of the horizons in the table those to judge; all if not given.
        folder: where to write metrics, predictions, maps and the report; nothing is written if not given.
        update: also update the risks; if not given, when the table holds one model that no fold or repeat divides.
        folds: parts of the cross-fitting.
        thresholds: risks from which one would act, for net benefit; those of the cohort's study if not given.
        confidence: level of intervals; one minus it is the level of the closed test.
        replicates: draws of the bootstrap and of perfectly calibrated outcomes.
        random_state: seed of the division into parts, and of what is drawn.
        progress: told (what, done, total) on the way, for instance ``osler.terminal.Bar``.

    Raises:
        UsageError: the table cannot be judged on this cohort.
    """
    if cohort.outcome is None:
        raise UsageError(f"the cohort {cohort.name!r} has no outcome: declare [outcome] in its cohort.toml")
    file, sha256 = None, ""
    if not isinstance(table, pd.DataFrame):
        file = Path(table)
        table, sha256 = read_predictions(file)
    nameless = "predictions" if file is None else file.name.split(".")[0]
    predicted, remarks = predicted_in(table, cohort, nameless=nameless)
    predicted, ahead = _chosen(predicted, at, horizons)
    models = list(dict.fromkeys(name for part in predicted for name in part.curves))
    alone = len(models) == 1 and all(part.once for part in predicted)
    if update and not alone:
        raise UsageError(
            "risks are updated for one model that saw none of the patients; this table holds "
            f"{'several models' if len(models) > 1 else 'a cross-validation'}: leave out the others, or say --no-update"
        )
    job = Job(
        cohort=cohort,
        event=cohort.outcome.causes[0],
        predicted=predicted,
        horizons=ahead,
        updated=models[0] if (alone if update is None else update) else None,
        thresholds=_thresholds(cohort, thresholds),
        remarks=[*remarks, *([] if file is None else made_elsewhere(file, cohort))],
        run={"predictions": "" if file is None else file.name, "predictions_digest": sha256 or digest(table)},
        folds=folds,
        confidence=confidence,
        replicates=replicates,
        random_state=random_state,
        training=None,
        progress=progress,
    )
    return job.run_to(folder)


def _training(model: RiskModel) -> dict[str, Any]:
    """What a model tells of the patients it was fitted on."""
    return {
        "typical": model.typical_,
        "variables": [variable.name for variable in (*model.schema_.record, *model.schema_.visits)],
        "times": model.question.grid,
        "average": {moment: model.average(moment)[0] for moment in model.question.landmarks},
    }


def _moments(given: Sequence[float | str] | float | str | None, default: tuple[float, ...]) -> tuple[float, ...]:
    """Durations in days, ascending, each once."""
    if given is None:
        return tuple(default)
    listed = [given] if isinstance(given, (str, int, float)) else list(given)
    if not listed:
        raise UsageError("no moment is given: name at least one, such as 5y")
    return tuple(sorted({days(moment) for moment in listed}))


def _chosen(predicted: list[Predicted], at: Any, horizons: Any) -> tuple[list[Predicted], tuple[float, ...]]:
    """The parts and horizons of a table that are asked for; all by default."""
    there = tuple(sorted({part.landmark for part in predicted}))
    ahead = tuple(sorted({float(h) for part in predicted for h in part.times}))
    landmarks, asked = _moments(at, there), _moments(horizons, ahead)
    for what, wanted, known in (("landmark", landmarks, there), ("horizon", asked, ahead)):
        absent = [moment for moment in wanted if not np.isclose(moment, known).any()]
        if absent:
            raise UsageError(f"predictions: no {what} of {_listed(absent)}; there are {_listed(known)}")
    kept = [part for part in predicted if np.isclose(part.landmark, landmarks).any() and part.answerable(asked)]
    if not kept:
        raise UsageError("predictions: no landmark has any of these horizons")
    return kept, asked


def _thresholds(cohort: Cohort, given: Sequence[float] | None) -> tuple[float, ...]:
    """Thresholds asked for, else those of the cohort's study, else the usual ones."""
    if given is not None:
        return tuple(given)
    study = cohort.study or StudyConfig.model_validate({"horizons": [1.0]})
    return tuple(study.thresholds)


def _listed(moments: Sequence[float]) -> str:
    return ", ".join(duration(moment) for moment in moments)


def _all(what: str, reasons: Sequence[str]) -> str:
    return f"{what}: {reasons[0]}" if len(reasons) == 1 else what + ":\n" + "\n".join(f"  - {r}" for r in reasons)
