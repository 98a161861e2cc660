"""What the models of a study rely on, as nested plain values in which no small group can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.cohort.cohort import Cohort
from osler.reporting.frames import given, numbers, whole
from osler.reporting.table_one import modality_label
from osler.reporting.words import count, number, since

__all__ = ["importance_told"]

#: Beside the chosen model, the first that there is of each kind.
_KINDS = (("recurrent",), ("boosted_cox", "boosted_hazard"), ("cox", "stacked_cox"))


def importance_told(
    importance: pd.DataFrame | None,
    agreement: pd.DataFrame | None,
    labels: Mapping[str, str],
    chosen: str,
    cohort: Cohort,
) -> dict[str, Any] | None:
    """Mean absolute contributions of the chosen model, of trees and of Cox, on the same patients; None without any.

    Args:
        importance: mean absolute contributions, as ``osler.importance.importance`` gives them.
        agreement: rank correlations between folds, likewise.
        labels: words of the models.
        chosen: the model told first.
        cohort: knows the words of variables and modalities.

    Returns:
        ``{"when", "horizon", "patients", "models": [{"model", "label"}], "modalities", "variables": [{"label",
        "modality", "values": {model: {"value", "lower", "upper", "withheld"}}}], "agreement": [{"label", "by_patient",
        "lowest_tenth", "overall", "folds"}]}``; the largest of the first model come first.
    """
    frame = given(importance)
    if not len(frame):
        return None
    present = list(dict.fromkeys(frame["model"]))
    models = _shown(present, chosen)
    first = frame.iloc[0]
    return {
        "when": since(float(first["landmark"])),
        "horizon": float(first["horizon"]),
        "patients": count(int(first["patients"])),
        "models": [{"model": name, "label": labels.get(name, name)} for name in models],
        "modalities": _entries(frame[frame["kind"] == "modality"], models, cohort),
        "variables": _entries(frame[frame["kind"] == "variable"], models, cohort),
        "agreement": _agreement(given(agreement), models, labels),
    }


def _shown(present: Sequence[str], chosen: str) -> list[str]:
    """The chosen model, the recurrent one, one of trees, and one Cox model: those that there are."""
    kinds = [[name for name in kind if name in present] for kind in ((chosen,), *_KINDS)]
    return list(dict.fromkeys(kind[0] for kind in kinds if kind))


def _entries(frame: pd.DataFrame, models: list[str], cohort: Cohort) -> list[dict[str, Any]]:
    by_name: dict[tuple[str, str], dict[str, Any]] = {}
    for row in frame[frame["model"].isin(models)].to_dict("records"):
        entry = by_name.setdefault(
            (row["modality"], row["variable"]),
            {"label": _label(row, cohort), "modality": modality_label(cohort, row["modality"]), "values": {}},
        )
        entry["values"][row["model"]] = {
            **numbers(row, "value", "lower", "upper"),
            "withheld": bool(row["suppressed"]),
        }
    return sorted(by_name.values(), key=lambda entry: -(entry["values"][models[0]]["value"] or 0.0))


def _label(row: Mapping[Any, Any], cohort: Cohort) -> str:
    variable = cohort.variables.get(row["variable"])
    return variable.label if variable is not None else modality_label(cohort, row["modality"])


def _agreement(frame: pd.DataFrame, models: list[str], labels: Mapping[str, str]) -> list[dict[str, Any]]:
    by_model = {row["model"]: row for row in frame.to_dict("records")}
    return [
        {
            "label": labels.get(name, name),
            **{key: number(by_model[name][key], 2) for key in ("by_patient", "lowest_tenth", "overall")},
            "folds": whole(by_model[name]["folds"]),
        }
        for name in models
        if name in by_model and (whole(by_model[name]["folds"]) or 0) > 1
    ]
