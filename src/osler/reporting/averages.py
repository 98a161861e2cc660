"""Means over landmarks, and apparent performance corrected for optimism, as nested plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from osler.reporting.comparison import comparisons, values
from osler.reporting.frames import given, numbers, rank, split, whole
from osler.reporting.measures import measure_of, ordered

__all__ = ["average_cells", "optimism_cells"]


def average_cells(
    overall: pd.DataFrame,
    differences: pd.DataFrame | None,
    labels: Mapping[str, str],
    order: Sequence[str],
    opponents: Sequence[str],
) -> list[dict[str, Any]]:
    """Means over landmarks by horizon; only horizons whose means are over several landmarks.

    Returns:
        ``{"horizon", "landmarks": how many, "measures", "rows": [{"model", "label", "values"}], "comparisons"}``, the
        last as of ``osler.reporting.comparison.comparisons``.
    """
    apart = given(differences)
    told = []
    for (horizon,), part in split(overall, ["horizon"]):
        over = whole(part["landmarks"].max()) or 0
        here = apart[apart["horizon"] == horizon].assign(landmark=0.0) if len(apart) else apart
        if over > 1:
            told.append(
                {
                    "horizon": float(horizon),
                    "landmarks": over,
                    "measures": ordered(part["measure"]),
                    "rows": [
                        {"model": name, "label": labels[name], "values": values(part[part["model"] == name])}
                        for name in order
                        if name in set(part["model"])
                    ],
                    "comparisons": comparisons(here, labels, order, opponents),
                }
            )
    return sorted(told, key=lambda cell: cell["horizon"])


def optimism_cells(optimism: pd.DataFrame, labels: Mapping[str, str], order: Sequence[str]) -> list[dict[str, Any]]:
    """Apparent, optimism and corrected values, one entry per landmark and horizon.

    Returns:
        ``{"landmark", "horizon", "measures", "models": [{"model", "label", "rows": [{"measure", "label", "apparent",
        "optimism", "value" (corrected), "lower", "upper"}]}]}``.
    """
    told = []
    for (landmark, horizon), part in split(optimism, ["landmark", "horizon"]):
        models: list[dict[str, Any]] = []
        for (model,), rows in split(part, ["model"]):
            by_measure = {str(row["measure"]): row for row in rows.to_dict("records")}
            lines = [
                {
                    "measure": name,
                    "label": measure_of(name).label,
                    **numbers(by_measure[name], "apparent", "optimism", "lower", "upper"),
                    "value": numbers(by_measure[name], "corrected")["corrected"],
                    "note": "",
                }
                for name in ordered(rows["measure"])
            ]
            models.append({"model": str(model), "label": labels.get(str(model), str(model)), "rows": lines})
        models.sort(key=lambda found: rank(order, found["model"]))
        told.append(
            {
                "landmark": float(landmark),
                "horizon": float(horizon),
                "measures": ordered(part["measure"]),
                "models": models,
            }
        )
    return sorted(told, key=lambda cell: (cell["landmark"], cell["horizon"]))
