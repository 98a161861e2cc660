"""Everything that comes from data is text on the page, whatever it looks like."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from evaluated import LEVELS, evaluated
from pages import CONFIG, Page, choice, explanation_frame, forecast_frame, frames, plan_dict, study_cohort

from cohorts import QUESTION
from osler.cohort.cohort import FlowStep, Genomics
from osler.cohort.outcome import Outcome
from osler.models import create
from osler.reporting import write_patient_report, write_study_report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script><script>alert(3)//<!--",
    "' onmouseover='alert(4)",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(5)",
    "]]>&lt;b&gt;\u2028\x00",
    "datum.constructor.constructor('alert(6)')()",
]


def _hostile(i: int) -> str:
    return f"{HOSTILE[i % len(HOSTILE)]} no{i}"


@pytest.fixture(scope="module")
def hostile_cohort():
    cohort = study_cohort(150)
    variables = {
        name: replace(v, label=_hostile(i), unit=_hostile(i + 1))
        for i, (name, v) in enumerate(cohort.variables.items())
    }
    levels = (_hostile(2), _hostile(3))
    record = cohort.record.assign(sex=cohort.record["sex"].cat.rename_categories(list(levels)))
    variables["sex"] = replace(variables["sex"], levels=levels)
    rna = cohort.genomics["rna"]
    return replace(
        cohort,
        name=_hostile(1),
        record=record,
        variables=variables,
        genomics={_hostile(5): Genomics(_hostile(5), "other", rna.features, rna.values)},
        outcome=Outcome(cohort.outcome.time, cohort.outcome.event, (_hostile(0), _hostile(7))),
        flow=tuple(FlowStep(_hostile(i), 20, 300 - 20 * i) for i in range(len(HOSTILE))),
    )


@pytest.fixture(scope="module")
def pages(hostile_cohort, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    levels = {
        name: tuple((_hostile(i + k), n, events) for k, (_, n, events) in enumerate(found))
        for i, (name, found) in enumerate(LEVELS.items())
    }
    found = frames() | evaluated(
        levels=levels, steps=(("record", ""), (_hostile(1), _hostile(0)), (_hostile(3), _hostile(2)))
    )
    found["metrics"]["note"] = _hostile(2)
    found["subgroups"]["note"] = _hostile(3)
    found["added_verdict"] = [told | {"sentence": _hostile(7)} for told in found["added_verdict"]]
    study = write_study_report(
        folder / "study.html",
        cohort=hostile_cohort,
        config=CONFIG,
        **found,
        choice=replace(choice(), sentence=_hostile(1)),
        run={
            "labels": {"cox": _hostile(0), "recurrent": _hostile(2)},
            "notes": {"cox": [_hostile(1)]},
            _hostile(3): {_hostile(0): _hostile(1)},
            "files": {_hostile(2): "aa"},
        },
        description=_hostile(2),
        as_of=_hostile(0),
    )
    plan = json.loads(json.dumps(plan_dict()).replace("Stop smoking", "</script><img src=x onerror=alert(9)>"))
    for action in plan["actions"]:
        action |= {"source": _hostile(0), "citation": _hostile(1), "note": _hostile(2), "warnings": [_hostile(3)]}
    model = create("reference", QUESTION).fit(hostile_cohort)
    model.notes_ = [_hostile(4)]
    frame = explanation_frame().assign(label=_hostile(2), value=_hostile(0), typical=_hostile(1), modality=_hostile(2))
    at_risk = next(i for i, t in enumerate(hostile_cohort.outcome.time) if t > 900)
    patient = write_patient_report(
        folder / "patient.html",
        patient=hostile_cohort.patient(hostile_cohort.patients[at_risk]),
        model=model,
        cohort=hostile_cohort,
        at="1y",
        plan=plan | {"verdict": _hostile(0), "warnings": [_hostile(1)]},
        explanation=frame,
        forecast=pd.concat([forecast_frame()]),
        run={_hostile(0): _hostile(2)},
        as_of=_hostile(2),
    )
    return [Page(path.read_text(encoding="utf-8")) for path in (study, patient)]


def test_the_page_has_the_elements_of_a_harmless_one(pages):
    for page in pages:
        assert page.problems == []
        assert len(page.all("script")) == 3
        assert all(str(e.attributes["src"]).startswith("data:") for e in page.all("img"))
        assert not [e for e in page.elements if any(name.startswith("on") for name in e.attributes)]
        assert not page.all("b", "iframe")


def test_hostile_text_is_shown_as_it_is(pages):
    for page in pages:
        shown = "".join(e.text for e in page.all("body"))
        assert "<script>alert(1)</script>" in shown
        assert "{{ 7 * 7 }}" in shown
        assert "49{" not in shown


def test_the_data_of_charts_cannot_end_their_element(pages):
    for page in pages:
        assert "<" not in page.data
        assert ">" not in page.data
        assert "alert(1)" in json.dumps(json.loads(page.data))


def test_pictures_hold_hostile_text_as_text(pages):
    for page in pages:
        for svg in page.pictures:
            assert "<script" not in svg
            assert "<img" not in svg


def test_expressions_of_charts_hold_nothing_from_data(pages):
    """Vega evaluates expressions: no label may stand in one."""

    def expressions(value):
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("filter", "test", "expr", "labelExpr", "calculate", "signal"):
                    yield item
                yield from expressions(item)
        elif isinstance(value, list):
            for item in value:
                yield from expressions(item)

    for page in pages:
        found = [text for chart in json.loads(page.data) for text in expressions(chart["spec"])]
        assert found
        assert not [text for text in found if "alert" in str(text)]
