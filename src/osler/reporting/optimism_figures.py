"""The chart of apparent performance and its correction."""

from __future__ import annotations

from typing import Any

from osler.reporting.chart import Chart
from osler.reporting.dots import dot, forest, told
from osler.reporting.measures import measure_of, ordered
from osler.reporting.positions import completed, key, place, start, state, switch, when
from osler.reporting.words import known

__all__ = ["optimism_charts"]


def optimism_charts(summary: dict[str, Any]) -> list[Chart]:
    """For each model an open circle (apparent) and a dot with its interval (corrected); readers pick the measure."""
    cells = summary["optimism"]
    if not cells:
        return []
    names = ordered(name for cell in cells for name in cell["measures"])
    switches = (
        switch("measure", "Measure", [(name, measure_of(name).label) for name in names], None),
        *when(summary["primary"], cells),
    )
    models = list(dict.fromkeys((found["model"], found["label"]) for cell in cells for found in cell["models"]))
    rows = {model: i for i, (model, _) in enumerate(models)}
    data: list[dict[str, Any]] = []
    findings = {}
    for cell in cells:
        for name in cell["measures"]:
            at = state(cell, measure=name)
            answered = [(found, line) for found in cell["models"] for line in found["rows"] if line["measure"] == name]
            answered = [(found, line) for found, line in answered if known(line["value"])]
            data += [{**_row(summary, found, line, at), "row": rows[found["model"]]} for found, line in answered]
            findings[key(switches, at)] = f"{place(cell)}, {measure_of(name).label}: {_finding(name, answered)}."
    findings = completed(findings, switches)
    confidence = summary["confidence"]
    titles = {
        name: (measure_of(name), [measure_of(name).label, f"apparent (ring), corrected (dot, {confidence} interval)"])
        for name in names
    }
    labels = [label for _, label in models]
    return [
        Chart(
            id="optimism",
            spec=forest(data, switches, labels, [False] * len(labels), titles),
            title="How much is lost on patients it has not seen?",
            finding=findings[start(switches)],
            group="optimism",
            switches=switches,
            findings=findings,
        )
    ]


def _row(summary: dict[str, Any], found: dict[str, Any], line: dict[str, Any], at: dict[str, str]) -> dict[str, Any]:
    measure = measure_of(line["measure"])
    role = "chosen" if found["model"] == summary["chosen"]["model"] else "other"
    row = dot(found["label"], line, measure.show, measure.scale, at, role)
    before = line["apparent"]
    return row if before is None else {**row, "before": round(measure.scale * before, 6)}


def _finding(name: str, answered: list[Any]) -> str:
    measure = measure_of(name)
    known_loss = [(found, line) for found, line in answered if known(line["optimism"])]
    if not known_loss:
        return "not answered"
    found, line = max(known_loss, key=lambda pair: abs(pair[1]["optimism"]))
    return (
        f"{found['label']} loses most when corrected, from {measure.show(line['apparent'])} to "
        f"{told(measure.show, line)}"
    )
