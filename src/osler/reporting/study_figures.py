"""The study report's charts, drawn from its summary alone."""

from __future__ import annotations

from typing import Any

from osler.reporting.added_figures import added_charts
from osler.reporting.calibration_figures import calibration_charts
from osler.reporting.chart import Chart
from osler.reporting.decision_figures import decision_charts
from osler.reporting.dots import dot, dots, told
from osler.reporting.forecast_figures import forecast_charts
from osler.reporting.importance_figures import importance_charts
from osler.reporting.incidence_figures import incidence_charts
from osler.reporting.measures import MEASURES, Measure, measure_of
from osler.reporting.optimism_figures import optimism_charts
from osler.reporting.positions import completed, key, place, start, state, switch, when
from osler.reporting.subgroup_figures import subgroup_charts
from osler.reporting.words import known

__all__ = ["study_charts"]

_ACCURACY = ("integrated_brier", "brier")
_HEADINGS = {"auc": "Does it rank patients rightly?", "ipa": "Is it nearer the truth than the average risk?"}


def study_charts(summary: dict[str, Any]) -> dict[str, list[Chart]]:
    """Charts by the section that shows them."""
    return {
        "incidence": incidence_charts(summary),
        "models": [chart for name in _HEADINGS if (chart := _skill(summary, name)) is not None],
        "paired": _paired(summary),
        "calibration": calibration_charts(summary),
        "usefulness": decision_charts(summary),
        "added": added_charts(summary),
        "importance": importance_charts(summary),
        "forecasts": forecast_charts(summary),
        "subgroups": subgroup_charts(summary),
        "optimism": optimism_charts(summary),
    }


def _role(summary: dict[str, Any], row: dict[str, Any]) -> str:
    return "chosen" if row["model"] == summary["chosen"]["model"] else "other"


def _skill(summary: dict[str, Any], name: str) -> Chart | None:
    """One measure of every model as a dot with its interval."""
    measure = MEASURES[name]
    cells = [c for c in summary["cells"] if name in c["measures"] and c["horizon"] is not None]
    if not cells:
        return None
    switches = when(summary["primary"], cells)
    data, findings = [], {}
    for cell in cells:
        at = state(cell)
        values = [(row, row["values"][name]) for row in cell["rows"] if name in row["values"]]
        answered = [(row, value) for row, value in values if known(value["value"])]
        data += [
            dot(row["label"], value, measure.show, measure.scale, at, _role(summary, row)) for row, value in answered
        ]
        findings[key(switches, at)] = _skill_finding(measure, cell, answered)
    findings = completed(findings, switches)
    title = f"{measure.label} ({summary['confidence']} interval)"
    return Chart(
        id=f"models-{name.replace('_', '-')}",
        spec=dots(data, switches, list(summary["labels"].values()), title, measure.nothing, measure.scale),
        title=_HEADINGS[name],
        finding=findings[start(switches)],
        group="models",
        switches=switches,
        findings=findings,
    )


def _skill_finding(measure: Measure, cell: dict[str, Any], answered: list[Any]) -> str:
    if not answered:
        return f"{place(cell)}: not answered{': ' + '; '.join(cell['notes']) if cell['notes'] else ''}."
    row, value = max(answered, key=lambda pair: pair[1]["value"])
    return f"{place(cell)}: {measure.label} is highest for {row['label']}, {told(measure.show, value)}."


def _paired(summary: dict[str, Any]) -> list[Chart]:
    """Paired differences in accuracy against the average risk and against Cox, switched together."""
    compared = summary["comparisons"]
    name = next((m for m in _ACCURACY if any(m in cell["measures"] for cell in compared)), None)
    cells = [cell for cell in compared if name in cell["measures"]]
    if name is None or not cells:
        return []
    measure = measure_of(name)
    opponents = switch("versus", "Against", [(c["label"], c["label"]) for c in cells], None)
    switches = (opponents, *when(summary["primary"], cells))
    data, findings = [], {}
    for cell in cells:
        at = state(cell, versus=cell["label"])
        answered = [(r, r["values"][name]) for r in cell["rows"] if known(r["values"].get(name, {}).get("value"))]
        data += [
            dot(row["label"], value, measure.show_difference, 1.0, at, _role(summary, row)) for row, value in answered
        ]
        none = {"value": 0.0, "lower": None, "upper": None}
        data.append({**at, **none, "name": cell["label"], "role": "opponent", "told": "the opponent itself"})
        findings[key(switches, at)] = f"{place(cell)}, against {cell['label']}: {_paired_finding(cell, answered)}."
    findings = completed(findings, switches)
    title = [f"Difference in {measure.label} ({summary['confidence']} interval)", "left of zero is better"]
    return [
        Chart(
            id="paired",
            spec=dots(data, switches, list(summary["labels"].values()), title, 0.0, 1.0),
            title="Is the difference more than chance?",
            finding=findings[start(switches)],
            group="paired",
            switches=switches,
            findings=findings,
        )
    ]


def _paired_finding(cell: dict[str, Any], answered: list[Any]) -> str:
    better = [row["label"] for row, value in answered if value["verdict"] == "better"]
    if not better:
        return "no model is credibly better"
    still = [row["label"] for row, value in answered if value["verdict"] == "better" and value["together"]]
    which = "the same" if still == better else ", ".join(still) or "none"
    also = f"; for all comparisons read together: {which}" if cell["together"] else ""
    return f"credibly better: {', '.join(better)}{also}"
