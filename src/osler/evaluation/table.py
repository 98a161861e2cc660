"""A table of predictions, made anywhere, evaluated against a table of outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.errors import UsageError
from osler.evaluation.combining import combine
from osler.evaluation.evaluation import Evaluation, evaluate
from osler.units import days, duration

__all__ = ["Part", "evaluate_table", "parts_of", "tidy"]

Floats = NDArray[np.float64]
_KEYS = ["patient", "landmark", "horizon", "model"]
#: Other names under which a column is known: those of ``predictions.parquet`` and of tables of scores.
_ALIASES = {"landmark_days": "landmark", "horizon_days": "horizon"}
#: What a table of one model that does not name it is taken to hold.
_NAMELESS = "predictions"


@dataclass(frozen=True, eq=False)
class Part:
    """Predictions of all models at one landmark.

    Attributes:
        landmark: days from the time origin.
        patient: (n,) as the table names them; all are at risk at the landmark.
        horizons: (H,) days since the landmark, ascending.
        risks: for each model (R, n, H) risks, of R repeats of a cross-validation; one where there is none.
        folds: (R, n) which fold held each patient out, or None.
    """

    landmark: float
    patient: NDArray[Any]
    horizons: Floats
    risks: dict[str, Floats]
    folds: NDArray[Any] | None


def evaluate_table(predictions: pd.DataFrame, outcomes: pd.DataFrame, **options: Any) -> Evaluation:
    """Judge a tidy table of predicted risks, from R or a colleague or ``predictions.parquet``.

    Args:
        predictions: one row per patient, landmark, horizon and model, with columns ``patient``, ``landmark`` and
            ``horizon`` (days, or text such as "5y"; also named ``landmark_days`` and ``horizon_days``), ``model``
            (needless when there is one), ``risk`` (cumulative incidence of the cause from the landmark to the horizon);
            and, for cross-validated predictions, ``fold`` (in which the patient was held out: AUC compares within a
            fold, and intervals hold the variation of fitting anew) and ``repeat``.
        outcomes: one row per patient, with columns ``patient``, ``time`` (days from the time origin to the first event
            or the end of follow-up) and ``event`` (0 censored, 1.. causes).
        options: of ``evaluate``: cause, level, null, controls, groups, measures, thresholds, replicates, random_state.

    Patients of the outcomes without a prediction at a landmark are not evaluated there; predictions for patients no
    longer at risk at their landmark are left aside. The integrated Brier score goes over the horizons in the table.

    Raises:
        UsageError: a column is missing, a risk is none, a key occurs twice, a patient has no outcome, or models of one
            landmark do not predict for the same patients and horizons, or were not held out in the same folds.
    """
    outcomes = _checked(outcomes, ["patient", "time", "event"], "outcomes")
    if outcomes["patient"].duplicated().any():
        raise UsageError(f"outcomes: {int(outcomes['patient'].duplicated().sum())} patients occur more than once")
    known = outcomes.set_index("patient")
    evaluations = []
    for part in parts_of(tidy(predictions), known["time"]):
        outcome = known.loc[part.patient]
        evaluations.append(
            evaluate(
                outcome["time"].to_numpy(dtype=float) - part.landmark,
                outcome["event"].to_numpy(),
                part.risks,
                times=part.horizons,
                horizons=part.horizons,
                folds=part.folds,
                patients=part.patient,
                landmark=part.landmark,
                **options,
            )
        )
    return combine(evaluations)


def tidy(predictions: pd.DataFrame, *, nameless: str = _NAMELESS) -> pd.DataFrame:
    """The table with the columns patient, landmark, horizon (days), model, risk, repeat and, where given, fold.

    Args:
        predictions: as for ``evaluate_table``.
        nameless: the model's name where there is no column of it.

    Raises:
        UsageError: all that is wrong with the columns or with single rows; no value is quoted.
    """
    given = [old for old, new in _ALIASES.items() if old in predictions and new not in predictions]
    table = predictions.rename(columns={old: _ALIASES[old] for old in given})
    if "model" not in table:
        table = table.assign(model=nameless)
    table = _checked(table, [*_KEYS, "risk"], "predictions")
    problems = []
    for name in ("landmark", "horizon"):
        moments, unread = _moments(table[name])
        table[name] = moments
        if unread:
            problems.append(f"{unread} rows have a {name} that is no duration: write days, or text such as '5y'")
    risk = pd.to_numeric(table["risk"], errors="coerce")
    if "repeat" not in table:
        table["repeat"] = 0
    wrong = {
        "lack a patient or a model": table[["patient", "model"]].isna().any(axis=1),
        "have a risk that is not between 0 and 1": table["risk"].notna() & ~risk.between(0, 1),
        "have a landmark before the time origin": table["landmark"] < 0,
        "have a horizon of nothing or less": table["horizon"] <= 0,
        "lack their repeat": table["repeat"].isna(),
        "repeat a patient, landmark, horizon, model and repeat": table.duplicated([*_KEYS, "repeat"]),
    }
    if "fold" in table:
        wrong["lack their fold"] = table["fold"].isna()
    problems += [f"{int(rows.sum())} rows {what}" for what, rows in wrong.items() if rows.any()]
    if not len(table):
        problems.append("there is no row")
    if problems:
        raise UsageError("predictions: " + "; ".join(problems))
    kept = [*_KEYS, "risk", "repeat", *(["fold"] if "fold" in table else [])]
    # Who is no longer at risk may have no risk; whoever should have one is missed when models are compared.
    return table.assign(risk=risk)[kept][risk.notna()].astype({"repeat": np.int64})


def parts_of(table: pd.DataFrame, time: pd.Series) -> Iterator[Part]:
    """The parts of a tidy table, landmark by landmark.

    Args:
        table: as ``tidy`` gives it.
        time: follow-up in days from the time origin, by patient.

    Raises:
        UsageError: a patient has no follow-up, or models are not given for the same patients, horizons, repeats and
            folds.
    """
    unknown = int((~table["patient"].drop_duplicates().isin(time.index)).sum())
    if unknown:
        raise UsageError(f"predictions: {unknown} patients have no outcome: every predicted patient needs one")
    for _, part in table.groupby("landmark", sort=True):
        yield _part(part, time)


def _part(part: pd.DataFrame, time: pd.Series) -> Part:
    """One landmark."""
    landmark = float(part["landmark"].iloc[0])
    models, horizons = list(dict.fromkeys(part["model"])), np.sort(part["horizon"].unique())
    repeats = np.sort(part["repeat"].unique())
    part = part[part["patient"].isin(time.index[time.to_numpy(dtype=float) > landmark])]
    wide = part.pivot(index="patient", columns=["model", "repeat", "horizon"], values="risk")
    wide = wide.reindex(columns=pd.MultiIndex.from_product([models, repeats, horizons]))
    absent = int(wide.isna().to_numpy().any(axis=1).sum())
    where = f"predictions at landmark {duration(landmark)}"
    if absent:
        told = "model, repeat or horizon" if len(repeats) > 1 else "model or horizon"
        raise UsageError(
            f"{where}: {absent} of {len(wide)} patients lack a risk for some {told}: models are compared on the same "
            "patients"
        )
    shape = (len(wide), len(repeats), len(horizons))
    risks = {m: wide[m].to_numpy(dtype=float).reshape(shape).transpose(1, 0, 2) for m in models}
    return Part(landmark, wide.index.to_numpy(), horizons, risks, _folds(part, wide.index, repeats, where))


def _folds(part: pd.DataFrame, patients: pd.Index, repeats: NDArray[Any], where: str) -> NDArray[Any] | None:
    """(R, n) fold of every patient in every repeat, the same for all models."""
    if "fold" not in part:
        return None
    told = part.groupby(["repeat", "patient"])["fold"].agg(["first", "nunique"])
    if (told["nunique"] > 1).any():
        raise UsageError(f"{where}: models were not held out in the same folds; evaluate them one by one")
    return np.stack([told.loc[repeat, "first"].loc[patients].to_numpy() for repeat in repeats])


def _checked(frame: pd.DataFrame, columns: list[str], what: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in frame]
    if missing:
        raise UsageError(f"{what}: missing columns {', '.join(missing)}; found {', '.join(map(str, frame.columns))}")
    return frame.copy()


def _moments(column: pd.Series) -> tuple[pd.Series, int]:
    """Durations in days, NaN where there is none, and how many cells are none."""
    found = pd.to_numeric(column, errors="coerce")
    for text in column[found.isna() & column.notna()].unique():
        try:
            found = found.mask(column == text, days(text))
        except UsageError:
            continue
    found = found.where(np.isfinite(found.to_numpy(dtype=float)))
    return found.astype(float), int(found.isna().sum())
