"""The chart of forecasts of biomarkers: how much better than the last value carried forward."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import Chart
from osler.reporting.dots import dot, forest
from osler.reporting.measures import measure_of
from osler.reporting.positions import start, switch
from osler.reporting.words import known

__all__ = ["forecast_charts"]

_MEASURES = ("interval_score", "rmse")


def forecast_charts(summary: dict[str, Any]) -> list[Chart]:
    """Each variable's difference from the last value carried forward, with its interval; readers pick the measure."""
    told = summary["forecasts"]
    rows = [row for row in told["rows"] if row["differences"]] if told else []
    if not rows:
        return []
    switches = (switch("measure", "Measure", [(name, measure_of(name).label) for name in _MEASURES], None),)
    data: list[dict[str, Any]] = []
    for name in _MEASURES:
        measure = measure_of(name)
        data.append({"measure": name, "at": 0.0})
        for i, row in enumerate(rows):
            value = row["differences"].get(name)
            if value and known(value["value"]):
                role = "other" if value["verdict"] == "undecided" else "chosen"
                drawn = dot(row["label"], value, measure.show_difference, 1.0, {"measure": name}, role)
                data.append({**drawn, "row": i})
    titles = {
        name: (
            measure_of(name),
            [
                f"Difference in {measure_of(name).label}, in spreads",
                f"({summary['confidence']} interval)",
                "left is better",
            ],
        )
        for name in _MEASURES
    }
    findings = dict.fromkeys(_MEASURES, told["finding"])
    return [
        Chart(
            id="forecasts",
            spec=forest(data, switches, [row["label"] for row in rows], [False] * len(rows), titles),
            title="Are they foreseen better than by their last value?",
            finding=findings[start(switches)],
            group="forecasts",
            switches=switches,
            findings=findings,
        )
    ]
