"""Inputs and readers of report pages, for the tests of this folder."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from cohorts import YEAR, make_cohort
from osler.cohort.cohort import Cohort, FlowStep
from osler.config import StudyConfig
from osler.evaluation import Choice

VOID = {"meta", "link", "img", "input", "br", "hr"}
#: Elements and attributes by which a page could fetch something.
FETCHING = ("src", "srcset", "action", "formaction", "data", "poster", "background", "ping", "cite", "manifest")

CONFIG = StudyConfig(
    landmarks=("0y", "1y"), horizons=("2y", "4y"), models=("reference", "cox", "recurrent"), folds=3, repeats=1
)
RUN = {
    "data_digest": "ab" * 32,
    "code_digest": "cd" * 32,
    "python": "3.11",
    "libraries": {"numpy": "2"},
    "files": {"table.csv": "ef" * 32},
    "notes": {"cox": ["No event of cause 'x' among the training patients of a fold."]},
}


def study_cohort(n: int = 300) -> Cohort:
    """A cohort with a flow."""
    flow = (
        FlowStep("event before the start", 40, n + 3),
        FlowStep("no follow-up", 3, n),
        FlowStep("late", 7, 1, "rows"),
    )
    return replace(make_cohort(n), flow=flow)


def frames(skill: dict[str, float] | None = None, config: StudyConfig = CONFIG) -> dict[str, pd.DataFrame]:
    """Metrics, differences and calibration of an evaluation that found this skill (0 is nothing) in each model."""
    skill = skill or {"reference": 0.0, "cox": 1.0, "recurrent": 1.02}
    metrics, differences, calibration = [], [], []
    for landmark in config.landmarks:
        for horizon in config.horizons:
            where = {"landmark": landmark, "horizon": horizon}
            for model in config.models:
                s = skill[model]
                values = {
                    "auc": (0.5 + 0.25 * s, 0.02),
                    "brier": (0.2 - 0.04 * s, 0.005),
                    "integrated_brier": (0.1 - 0.02 * s, 0.004),
                    "ipa": (0.2 * s, 0.03),
                    "observed_expected": (1.05, 0.06),
                }
                for measure, (value, se) in values.items():
                    metrics.append(
                        {**where, "model": model, "measure": measure, **_interval(value, se), "at_risk": 120}
                    )
                for other in config.models:
                    for measure, scale in (("auc", 0.25), ("brier", -0.04), ("integrated_brier", -0.02)):
                        if other != model:
                            found = _interval(scale * (s - skill[other]), 0.002)
                            differences.append({**where, "model": model, "versus": other, "measure": measure, **found})
                for group in range(5):
                    p = 0.1 + 0.15 * group
                    row = {**where, "model": model, "group": group + 1, "predicted": p, "observed": p + 0.01}
                    calibration.append(
                        {**row, "lower": p - 0.05, "upper": p + 0.06, "n": 60, "events": 9, "suppressed": False}
                    )
    told = pd.DataFrame(metrics).assign(events=60, note="")
    return {"metrics": told, "differences": pd.DataFrame(differences), "calibration": pd.DataFrame(calibration)}


def _interval(value: float, se: float) -> dict[str, float]:
    return {"value": value, "lower": value - 1.96 * se, "upper": value + 1.96 * se, "se": se}


def choice(model: str = "cox", best: str = "recurrent") -> Choice:
    """A choice with a sentence."""
    return Choice(model, best, "The simpler model is as good.", simpler_is_as_good=model != best)


def plan_dict(event: str = "progression") -> dict:
    """A plan with an action that is for the patient, one whose benefit is unsure, and one that is not for them."""

    def told(value: float | None, lower: float | None, upper: float | None) -> dict:
        return {"value": value, "lower": lower, "upper": upper}

    def action(name: str, reduction: tuple, nnt: tuple, eligible: bool = True) -> dict:
        numbers = {
            "risk_without": told(0.3, 0.2, 0.4),
            "risk_with": told(0.25, 0.15, 0.35),
            "reduction": told(*reduction),
            "nnt": told(*nnt),
            "event_free_days_gained": told(40.0, 10.0, 70.0),
        }
        return {
            "name": name,
            "source": "evidence",
            "citation": "Somebody. Journal 2016;1:1-2",
            "note": "",
            "eligible": eligible,
            "reasons": [] if eligible else ["pressure already low"],
            "warnings": [],
            **(numbers if eligible else dict.fromkeys(numbers)),
        }

    sure = action("Stop smoking", (0.05, 0.02, 0.08), (20.0, 12.5, 50.0))
    unsure = action("Lower pressure", (0.01, -0.02, 0.04), (100.0, 25.0, None))
    return {
        "cause": event,
        "landmark_days": YEAR,
        "horizon_days": 4 * YEAR,
        "actions": [sure, unsure, action("Raise pressure", (0, 0, 0), (0, 0, 0), eligible=False)],
        "pairs": [{**sure, "name": "Stop smoking + Lower pressure"}],
        "verdict": "Stop smoking: the largest expected benefit.",
        "warnings": ["The relative effects come from other populations."],
        "level": 0.95,
    }


def explanation_frame() -> pd.DataFrame:
    """Contributions of three variables."""
    rows = [
        ("record", "age", "Age", "70 a", "60 a", 0.08),
        ("visits", "marker", "Marker", "2 mg/dL", "0 mg/dL", 0.05),
        ("record", "smoker", "Smoker", "no", "yes", -0.02),
    ]
    return pd.DataFrame(rows, columns=["modality", "variable", "label", "value", "typical", "contribution"])


def forecast_frame() -> pd.DataFrame:
    """A forecast of the marker."""
    time = np.array([0.5, 1.0, 2.0]) * YEAR
    return pd.DataFrame({"variable": "marker", "time": time, "mean": 1.0, "lower": 0.5, "upper": 1.6})


@dataclass
class Element:
    """A start tag with its attributes and the text inside."""

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    parents: tuple[str, ...] = ()


@dataclass
class Page(HTMLParser):
    """A page as a flat list of elements; ``problems`` holds tags that do not close."""

    source: str
    elements: list[Element] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self._open: list[Element] = []
        self.feed(self.source)
        self.close()
        self.problems += [f"<{element.tag}> is not closed" for element in self._open]

    def __hash__(self) -> int:
        return id(self)

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs), parents=tuple(e.tag for e in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(Element(tag, dict(attrs), parents=tuple(e.tag for e in self._open)))

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self._open or self._open[-1].tag != tag:
            self.problems.append(f"</{tag}> closes {self._open[-1].tag if self._open else 'nothing'}")
            return
        self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element.text += data

    def all(self, *tags: str) -> list[Element]:
        """Elements of these kinds, in order."""
        return [element for element in self.elements if element.tag in tags]

    @property
    def words(self) -> str:
        """What a reader without scripts reads: text outside scripts and styles, spaces joined."""
        body = re.sub(r"<(script|style)\b.*?</\1>", " ", self.source, flags=re.S)
        return " ".join(re.sub(r"<[^>]+>", " ", body).split())

    @property
    def pictures(self) -> list[str]:
        """The SVG of every picture."""
        found = [str(image.attributes["src"]) for image in self.all("img")]
        return [base64.b64decode(uri.split(",", 1)[1]).decode() for uri in found]

    @property
    def data(self) -> str:
        """The JSON from which charts are drawn."""
        scripts = [e.text for e in self.all("script") if e.attributes.get("type") == "application/json"]
        return scripts[0] if scripts else ""
