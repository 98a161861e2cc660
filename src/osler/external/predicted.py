"""Predicted: risks of a cohort's patients, by a model or from a table, ready to be judged; and what hinders it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.errors import ModelError, UsageError
from osler.evaluation.follow_up import told
from osler.evaluation.table import parts_of, tidy
from osler.models.base import RiskModel
from osler.readers.files import Folder
from osler.readers.tabular import read_table
from osler.units import duration

__all__ = [
    "Predicted",
    "cause_code",
    "fitted_here",
    "lacking",
    "made_elsewhere",
    "obstacles",
    "predicted_by",
    "predicted_in",
    "read_predictions",
]

Floats = NDArray[np.float64]
#: Patients predicted at a time: bounded memory, whatever the size of the cohort.
_BATCH = 10_000
_ONCE = 2  # dimensions of risks that are given once for each patient
_NAMES_SHOWN, _NAME_LENGTH = 10, 60
_COLUMNS = ("patient", "landmark", "landmark_days", "horizon", "horizon_days", "model", "cause", "risk")
_RESAMPLING = ("fold", "repeat")


@dataclass(frozen=True, eq=False)
class Predicted:
    """Risks of the event of interest for the patients at risk at one landmark.

    Attributes:
        landmark: days from the time origin.
        patient: (n,) positions in the cohort, ascending.
        times: (T,) days since the landmark.
        curves: for each model (n, T) risks, or (R, n, T) of R repeats of a cross-validation.
        folds: (R, n) which fold held each patient out; None for models that saw none of them.
        between: whether risks between two of ``times`` may be read off the curve; a table tells of its times alone.
    """

    landmark: float
    patient: NDArray[np.int64]
    times: Floats
    curves: dict[str, Floats]
    folds: NDArray[Any] | None = None
    between: bool = True

    @property
    def once(self) -> bool:
        """Whether each patient has one risk, by models that had not seen them in any fold."""
        return self.folds is None and all(curve.ndim == _ONCE for curve in self.curves.values())

    def answerable(self, horizons: Sequence[float]) -> tuple[float, ...]:
        """Those of ``horizons`` that the curves can be asked about; one past their end is refused by name later."""
        return tuple(h for h in horizons if self.between or np.isclose(h, self.times).any())


def obstacles(model: RiskModel, cohort: Cohort, landmarks: Sequence[float]) -> list[str]:
    """Everything that keeps a model from being judged on a cohort, in words; empty when nothing does."""
    found = []
    outcome = cohort.outcome
    if outcome is None:
        found.append(f"the cohort {cohort.name!r} has no outcome: declare [outcome] in its cohort.toml")
    else:
        if _same(model.causes_[0]) not in map(_same, outcome.causes):
            theirs = ", ".join(map(repr, outcome.causes))
            found.append(
                f"the model predicts {model.causes_[0]!r}, the cohort's events are {theirs}: "
                "if they are the same event, give it the same name in the cohort's [outcome]"
            )
        if not any((outcome.time > moment).any() for moment in landmarks):
            listed = ", ".join(duration(moment) for moment in landmarks)
            found.append(f"nobody is at risk at {listed}: choose an earlier landmark with --at")
    try:
        model.schema_.conform(cohort.subset([]))
    except ModelError as error:
        found.append(str(error))
    if not _known(model, cohort):
        found.append("the cohort has none of the variables that the model reads")
    return found


def cause_code(cohort: Cohort, event: str) -> int:
    """The cohort's code of an event, by its name."""
    assert cohort.outcome is not None
    return [_same(cause) for cause in cohort.outcome.causes].index(_same(event)) + 1


def lacking(model: RiskModel, cohort: Cohort) -> list[str]:
    """What the model reads and the cohort lacks, and what else a reader of the numbers must know; sentences."""
    found = []
    gone: dict[str, list[str]] = {}
    schema = model.schema_
    for variable in (*schema.record, *schema.visits):
        if variable.name not in _measured(cohort):
            gone.setdefault(variable.modality, []).append(variable.name)
    for name, (_, features) in schema.genomics.items():
        block = cohort.genomics.get(name)
        missing = len(set(features) - set(block.features)) if block is not None else len(features)
        if missing:
            gone.setdefault(name, []).append(f"{missing:,} of {len(features):,} features")
    for name in schema.images:
        if name not in cohort.images:
            gone.setdefault(name, []).append("all images")
    for modality, names in gone.items():
        more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
        listed = ", ".join(names[:_NAMES_SHOWN]) + more
        found.append(f"The model reads what this cohort lacks, taken as missing ({modality}): {listed}.")
    if cohort.outcome is not None:
        mine, theirs = ({_same(cause): cause for cause in causes} for causes in (model.causes_, cohort.outcome.causes))
        found += [
            f"The model knows the competing event {mine[name]!r}, which this cohort does not tell apart."
            for name in mine
            if name not in theirs
        ]
        found += [
            f"This cohort has the competing event {theirs[name]!r}, which the model took for censoring or did not know."
            for name in theirs
            if name not in mine
        ]
    return found


def predicted_by(model: RiskModel, cohort: Cohort, landmarks: Sequence[float]) -> list[Predicted]:
    """A model's curves at each landmark, batch by batch."""
    assert cohort.outcome is not None
    found = []
    for landmark in landmarks:
        patient = np.flatnonzero(cohort.outcome.time > landmark)
        curves = [
            model.predict(cohort.subset(patient[first : first + _BATCH]), landmark).incidence[:, 0]
            for first in range(0, len(patient), _BATCH)
        ]
        empty = np.zeros((0, len(model.question.grid)))
        found.append(Predicted(landmark, patient, model.question.grid, {model.name: np.concatenate([empty, *curves])}))
    return found


def predicted_in(table: pd.DataFrame, cohort: Cohort, *, nameless: str) -> tuple[list[Predicted], list[str]]:
    """The predictions of a table, and what a reader must know of how its patients were found.

    Args:
        table: as for ``osler.evaluation.evaluate_table``; with a column ``cause``, rows of other events are left aside.
        cohort: with an outcome. Patients are named by identifier or by pseudonym.
        nameless: the model's name where the table has no column of it.

    Raises:
        UsageError: the table is not as it should be, holds no risk of the cohort's event, or none of its patients.
    """
    assert cohort.outcome is not None
    rows = tidy(_of_cause(table, cohort.outcome.causes[0]), nameless=nameless)
    position, remarks = _positions(rows["patient"], cohort)
    rows = rows.assign(patient=position)[position >= 0]
    time = pd.Series(cohort.outcome.time, index=pd.RangeIndex(len(cohort)))
    found = []
    for part in parts_of(rows, time):
        order = np.argsort(part.patient)
        curves = {name: risk[:, order] if len(risk) > 1 else risk[0, order] for name, risk in part.risks.items()}
        folds = None if part.folds is None else part.folds[:, order]
        patient = part.patient[order].astype(np.int64)
        found.append(Predicted(part.landmark, patient, part.horizons, curves, folds, between=False))
    if not any(len(part.patient) for part in found):
        raise UsageError("none of the predicted patients is at risk at the landmark of the prediction")
    return found, remarks


def read_predictions(path: Path) -> tuple[pd.DataFrame, str]:
    """A table of predictions (.csv, .tsv, .txt, .parquet) and the SHA-256 of its file.

    Raises:
        UsageError: there is no such file.
        DataError: it cannot be read as a table.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path.name!r} in {path.parent}: expected a model.osler or a table")
    table = read_table(Folder(path.parent), path.name)
    columns: dict[str, Any] = {}
    for name in table.columns:
        if name not in (*_COLUMNS, *_RESAMPLING):
            continue
        if name in ("patient", "model", "cause", "fold"):
            columns[name] = table.texts(name)
            continue
        numbers, bad = table.numbers(name)
        columns[name] = table.texts(name) if bad.any() else numbers
    return pd.DataFrame(columns, index=pd.RangeIndex(table.rows)), table.sha256


def made_elsewhere(path: Path, cohort: Cohort) -> list[str]:
    """A warning when the study beside a table of predictions was made from other data."""
    if _data_beside(path) in (None, cohort.digest):
        return []
    return ["The run.json beside this table tells of other data than this cohort: pseudonyms may mean other patients."]


def fitted_here(path: Path, cohort: Cohort) -> list[str]:
    """A warning when the study beside a model was made from the very cohort it is to be judged on."""
    if _data_beside(path) != cohort.digest:
        return []
    return ["This model was fitted on these very patients: its numbers are apparent ones, and validate nothing."]


def _data_beside(path: Path) -> Any:
    """The digest of the data of the study in whose folder a file lies, or None."""
    try:
        return json.loads((path.parent / "run.json").read_text(encoding="utf-8")).get("data_digest")
    except (OSError, ValueError, AttributeError):
        return None


def _same(name: str) -> str:
    return " ".join(name.casefold().split())


def _measured(cohort: Cohort) -> set[str]:
    """Variables of which the cohort knows any value."""
    return {
        name
        for table in (cohort.record, cohort.visits)
        for name in table.columns
        if name in cohort.variables and bool(table[name].notna().any())
    }


def _known(model: RiskModel, cohort: Cohort) -> bool:
    """Whether the cohort has anything that the model reads, if it reads anything."""
    schema = model.schema_
    variables = {v.name for v in (*schema.record, *schema.visits)}
    blocks = set(schema.genomics) | set(schema.images)
    if not variables and not blocks:
        return True
    return bool(variables & _measured(cohort)) or bool(blocks & (set(cohort.genomics) | set(cohort.images)))


def _of_cause(table: pd.DataFrame, event: str) -> pd.DataFrame:
    if "cause" not in table:
        return table
    causes = table["cause"].astype(str)
    kept = table[causes.map(_same) == _same(event)]
    if not len(kept):
        names = [name[:_NAME_LENGTH] for name in causes.unique()[:_NAMES_SHOWN]]
        raise UsageError(
            f"predictions: no row is about {event!r}, the cohort's event of interest; causes found: "
            f"{', '.join(map(repr, names)) or 'none'}"
        )
    return kept.drop(columns="cause")


def _positions(names: pd.Series, cohort: Cohort) -> tuple[NDArray[np.int64], list[str]]:
    """Position of every row's patient, -1 for strangers; identifiers are tried first, then pseudonyms."""
    codes, distinct = pd.factorize(names.astype(str))
    found = [
        pd.Index(known).get_indexer(pd.Index(distinct, dtype=object)) for known in (cohort.patients, cohort.pseudonyms)
    ]
    by_name = (found[0] >= 0).sum() >= (found[1] >= 0).sum()
    best = found[0] if by_name else found[1]
    strangers, total = int((best < 0).sum()), len(distinct)
    if strangers == total:
        raise UsageError(
            f"predictions: none of {total:,} patients is in the cohort {cohort.name!r}, by identifier or by pseudonym. "
            "Identifiers are text, exactly as in the record table"
        )
    remarks = []
    if not by_name:
        remarks.append("Patients were found by pseudonym, which holds for predictions from the same record table only.")
    if strangers:
        remarks.append(f"{told(strangers)} of {total:,} predicted patients are not in the cohort and are left aside.")
    return best[codes].astype(np.int64), remarks
