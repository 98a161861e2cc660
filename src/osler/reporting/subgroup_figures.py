"""The chart of subgroups: one measure of one model, level by level."""

from __future__ import annotations

from typing import Any

from osler.reporting.cells import WITHHELD
from osler.reporting.chart import Chart
from osler.reporting.dots import dot, forest, told
from osler.reporting.measures import measure_of, ordered
from osler.reporting.positions import completed, key, place, start, state, switch, when
from osler.reporting.words import known

__all__ = ["subgroup_charts"]


def subgroup_charts(summary: dict[str, Any]) -> list[Chart]:
    """A forest plot by level with intervals; an upright line is the value in all patients."""
    cells = summary["subgroups"]
    if not cells:
        return []
    names = ordered(cell["measure"] for cell in cells)
    switches = (
        switch("measure", "Measure", [(name, measure_of(name).label) for name in names], None),
        *when(summary["primary"], cells),
    )
    rows, labels, heads = _layout(cells)
    data: list[dict[str, Any]] = []
    findings = {}
    for cell in cells:
        at = state(cell, measure=cell["measure"])
        data += _rows(summary, cell, at, rows)
        findings[key(switches, at)] = _finding(summary, cell)
    findings = completed(findings, switches)
    titles = {
        name: (measure_of(name), [f"{measure_of(name).label} ({summary['confidence']} interval)"]) for name in names
    }
    return [
        Chart(
            id="subgroups",
            spec=forest(data, switches, labels, heads, titles),
            title="Is it as good for everybody?",
            finding=findings[start(switches)],
            group="subgroups",
            switches=switches,
            findings=findings,
        )
    ]


def _layout(cells: list[dict[str, Any]]) -> tuple[dict[tuple[str, str], int], list[str], list[bool]]:
    """Rows of the plot: each variable as a heading, with its levels below."""
    levels: dict[str, dict[str, None]] = {}
    words: dict[str, str] = {}
    for group in (group for cell in cells for group in cell["groups"]):
        words[group["variable"]] = group["label"]
        levels.setdefault(group["variable"], {}).update(dict.fromkeys(level["level"] for level in group["levels"]))
    rows: dict[tuple[str, str], int] = {}
    labels: list[str] = []
    heads: list[bool] = []
    for variable, found in levels.items():
        labels.append(words[variable])
        heads.append(True)
        for level in found:
            rows[variable, level] = len(labels)
            labels.append(level)
            heads.append(False)
    return rows, labels, heads


def _rows(
    summary: dict[str, Any], cell: dict[str, Any], at: dict[str, str], rows: dict[tuple[str, str], int]
) -> list[dict[str, Any]]:
    measure = measure_of(cell["measure"])
    everybody = _everybody(summary, cell)
    data: list[dict[str, Any]] = [] if everybody is None else [{**at, "at": round(measure.scale * everybody, 6)}]
    for group in cell["groups"]:
        for level in group["levels"]:
            row = {"row": rows[group["variable"], level["level"]]}
            value = level["value"]
            if value is None or not known(value["value"]):
                data.append({**at, **row, "text": WITHHELD if level["withheld"] else "not answered"})
            else:
                role = "apart" if _apart(summary, level) else "level"
                label = f"{group['label']}: {level['level']}"
                data.append({**dot(label, value, measure.show, measure.scale, at, role), **row})
    return data


def _everybody(summary: dict[str, Any], cell: dict[str, Any]) -> float | None:
    """The model's value among all patients, where it is known."""
    for told_cell in summary["cells"]:
        if told_cell["landmark"] == cell["landmark"] and told_cell["horizon"] == cell["horizon"]:
            for row in told_cell["rows"]:
                if row["model"] == cell["model"]:
                    value = row["values"].get(cell["measure"], {}).get("value")
                    return value if known(value) else None
    return None


def _apart(summary: dict[str, Any], level: dict[str, Any]) -> bool:
    return level["chance"] is not None and level["chance"] < summary["chance"]


def _finding(summary: dict[str, Any], cell: dict[str, Any]) -> str:
    measure = measure_of(cell["measure"])
    where = f"{place(cell)}, {measure.label} of {summary['labels'].get(cell['model'], cell['model'])}"
    levels = [(group, level) for group in cell["groups"] for level in group["levels"]]
    answered = [(g, level) for g, level in levels if level["value"] and known(level["value"]["value"])]
    if not answered:
        return f"{where}: no subgroup could be answered."
    apart = [f"{group['label']}: {level['level']}" for group, level in answered if _apart(summary, level)]
    if apart:
        found = (
            f"after adjustment for the number of comparisons, these differ from the other patients: {'; '.join(apart)}"
        )
    else:
        found = (
            "no subgroup differs from the other patients by more than chance, adjusted for the number of comparisons"
        )
    low, high = (pick(answered, key=lambda pair: pair[1]["value"]["value"]) for pick in (min, max))
    ends = " to ".join(
        f"{told(measure.show, level['value'])} for {g['label']}: {level['level']}" for g, level in (low, high)
    )
    return f"{where}: from {ends}; {found}."
