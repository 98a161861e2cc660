"""The chart of what each kind of data adds."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import Chart
from osler.reporting.dots import dot, forest
from osler.reporting.measures import measure_of, ordered
from osler.reporting.positions import completed, key, place, start, state, switch, when
from osler.reporting.words import joined, known

__all__ = ["added_charts"]


def added_charts(summary: dict[str, Any]) -> list[Chart]:
    """Each step's difference from the step before it, with its interval; readers pick the measure."""
    cells = [cell for cell in summary["added"] if cell["gained"]]
    if not cells:
        return []
    names = ordered(name for cell in cells for name in cell["gained"])
    labels = list(dict.fromkeys(step["added"] for cell in cells for step in cell["steps"] if step["gains"]))
    models = [(cell["label"], cell["label"]) for cell in cells]
    switches = (
        switch("measure", "Measure", [(name, measure_of(name).label) for name in names], None),
        switch("model", "Model", models, summary["told_first"]),
        *when(summary["primary"], cells),
    )
    data: list[dict[str, Any]] = []
    findings = {}
    for cell in cells:
        for name in cell["gained"]:
            at = state(cell, measure=name, model=cell["label"])
            data += _rows(cell, name, at, labels)
            findings[key(switches, at)] = _finding(cell, name)
    findings = completed(findings, switches)
    titles = {name: (measure_of(name), _title(name, summary["confidence"])) for name in names}
    words = [f"+ {label}" for label in labels]
    return [
        Chart(
            id="added",
            spec=forest(data, switches, words, [False] * len(words), titles),
            title="Does more data make it better?",
            finding=findings[start(switches)],
            group="added",
            switches=switches,
            findings=findings,
        )
    ]


def _rows(cell: dict[str, Any], name: str, at: dict[str, str], labels: list[str]) -> list[dict[str, Any]]:
    measure = measure_of(name)
    rows: list[dict[str, Any]] = [{**at, "at": 0.0}]
    for step in cell["steps"]:
        gain = step["gains"].get(name)
        if gain and known(gain["value"]):
            role = "other" if gain["verdict"] == "undecided" else "chosen"
            drawn = dot(f"+ {step['added']}", gain, measure.show_difference, measure.scale, at, role)
            rows.append({**drawn, "row": labels.index(step["added"])})
    return rows


def _title(name: str, confidence: str) -> list[str]:
    measure = measure_of(name)
    side = {"higher is better": "right of zero is better", "lower is better": "left of zero is better"}
    lines = [f"Difference in {measure.label}", f"from the step before ({confidence} interval)"]
    return [*lines, side[measure.direction]] if measure.direction else lines


def _finding(cell: dict[str, Any], name: str) -> str:
    told = {
        verdict: [
            step["added"]
            for step in cell["steps"]
            if name in step["gains"] and step["gains"][name]["verdict"] == verdict
        ]
        for verdict in ("better", "worse")
    }
    said = [f"adding {joined(steps)} is credibly {verdict}" for verdict, steps in told.items() if steps]
    nothing = "no kind of data makes a credible difference"
    return f"{place(cell)}, {cell['label']}, {measure_of(name).label}: {'; '.join(said) or nothing}."
