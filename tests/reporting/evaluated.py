"""Every frame of an evaluation, made up: inputs of the study report for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pages import CONFIG

from cohorts import YEAR
from osler.config import StudyConfig
from osler.evaluation.forecasting import Forecast, score_forecasts

Row = dict[str, Any]
#: Value of a model that knows nothing, what skill adds to it, and standard error.
SCALES = {
    "auc": (0.5, 0.25, 0.02),
    "c_index": (0.5, 0.22, 0.018),
    "harrell_c": (0.5, 0.21, 0.017),
    "antolini_c": (0.5, 0.22, 0.018),
    "brier": (0.2, -0.04, 0.005),
    "integrated_brier": (0.1, -0.02, 0.004),
    "ipa": (0.0, 0.2, 0.03),
    "royston_d": (0.0, 1.4, 0.12),
    "royston_r2": (0.0, 0.32, 0.04),
}
#: Value, standard error, and half the width of the range under perfect calibration around the ideal.
CALIBRATION = {
    "observed_expected": (1.05, 0.06, 1.0, 0.11),
    "calibration_intercept": (0.31, 0.09, 0.0, 0.18),
    "calibration_slope": (0.93, 0.08, 1.0, 0.16),
    "ici": (0.021, 0.006, 0.016, 0.012),
    "e50": (0.018, 0.005, 0.014, 0.011),
    "e90": (0.044, 0.012, 0.03, 0.025),
    "d_calibration": (11.2, 3.4, 9.0, 7.5),
}
COMPARED = ("auc", "c_index", "harrell_c", "brier", "integrated_brier", "ici")
LEVELS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "sex": (("female", 140, 38), ("male", 155, 44)),
    "age": (("under 55", 90, 14), ("55 to 65", 120, 31), ("65 and over", 81, 34), ("missing", 4, 3)),
    "smoker": (("no", 205, 50), ("yes", 90, 32)),
}
STEPS = (("record", ""), ("record + visits", "visits"), ("record + visits + rna", "rna"))


def evaluated(
    config: StudyConfig = CONFIG,
    skill: dict[str, float] | None = None,
    levels: dict[str, tuple[tuple[str, int, int], ...]] = LEVELS,
    steps: tuple[tuple[str, str], ...] = STEPS,
) -> dict[str, Any]:
    """What ``write_study_report`` may be given besides groups of calibration; ``skill`` is 0 for nothing."""
    skill = skill or {"reference": 0.0, "cox": 1.0, "recurrent": 1.02}
    places = [{"landmark": a, "horizon": b} for a in config.landmarks for b in config.horizons]
    richest = [name for name in config.models if name != "reference"][-1:]
    added, gains, verdicts = _added(places, richest, steps)
    subgroups, apart = _subgroups(places, list(config.models), levels)
    return {
        "metrics": pd.DataFrame([row for place in places for row in _metrics(place, skill)]),
        "differences": pd.DataFrame([row for place in places for row in _differences(place, skill)]),
        "importance": _importance(list(skill)),
        "agreement": _rank_agreement(list(skill)),
        **_forecasts(),
        "smooth": pd.DataFrame([row for place in places for row in _smooth(place, skill)]),
        "decision": pd.DataFrame([row for place in places for row in _decision(place, skill, config)]),
        "overall": _overall(config, skill),
        "overall_differences": pd.DataFrame(
            [row for horizon in config.horizons for row in _differences({"horizon": horizon}, skill)]
        ).drop(columns=["simultaneous_lower", "simultaneous_upper"]),
        "subgroups": subgroups,
        "subgroup_differences": apart,
        "added": added,
        "added_differences": gains,
        "added_verdict": verdicts,
        "availability": _availability(places, list(config.models)),
        "optimism": pd.DataFrame([row for place in places for row in _optimism(place, skill)]),
    }


def _forecasts() -> dict[str, pd.DataFrame]:
    """Forecasts of two variables, the second too seldom measured to be shown, by the recurrent model."""
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(62), 3)
    variable = np.where(patient < 4, "pressure", "marker").astype(object)
    y = rng.normal(size=len(patient))
    bands = {"recurrent": (0.6 * y, 1.4), "last_value": (0.1 * y, 1.7)}
    told = {name: Forecast(centre, centre - half, centre + half) for name, (centre, half) in bands.items()}
    return score_forecasts(y, told, variables=variable, patients=patient).frames


def spread(value: float, se: float) -> Row:
    """A value with its interval."""
    return {"value": value, "lower": value - 1.96 * se, "upper": value + 1.96 * se, "se": se}


def _metrics(place: Row, skill: dict[str, float]) -> list[Row]:
    rows = []
    for model, s in skill.items():
        support = {**place, "model": model, "at_risk": 120, "events": 60, "effective": 171.4, "note": ""}
        nothing = {"calibrated_lower": np.nan, "calibrated_upper": np.nan}
        for measure, (base, gain, se) in SCALES.items():
            rows.append({**support, "measure": measure, **spread(base + gain * s, se), **nothing})
        for measure, (value, se, ideal, half) in CALIBRATION.items():
            chance = {"calibrated_lower": ideal - half, "calibrated_upper": ideal + half}
            rows.append({**support, "measure": measure, **spread(value, se), **chance})
    return rows


def _differences(place: Row, skill: dict[str, float]) -> list[Row]:
    rows = []
    for model, s in skill.items():
        for other, t in skill.items():
            for measure in COMPARED if model != other else ():
                gain, se = (SCALES[measure][1], 0.4 * SCALES[measure][2]) if measure in SCALES else (0.05, 0.01)
                value = gain * (s - t)
                wide = {"simultaneous_lower": value - 2.7 * se, "simultaneous_upper": value + 2.7 * se}
                rows.append({**place, "model": model, "versus": other, "measure": measure, **spread(value, se), **wide})
    return rows


def _smooth(place: Row, skill: dict[str, float]) -> list[Row]:
    rows = []
    for k, model in enumerate(skill):
        for p in np.linspace(0.03, 0.62 + 0.02 * k, 40):
            observed = p + 0.05 * np.sin(6 * p) + 0.01 * k
            half, chance = 0.03 + 0.09 * p, 0.02 + 0.06 * p
            ends = {"observed": observed, "lower": max(0, observed - half), "upper": observed + half}
            around = {"calibrated_lower": max(0, p - chance), "calibrated_upper": p + chance}
            rows.append({**place, "model": model, "predicted": p, **ends, **around})
    return rows


def _decision(place: Row, skill: dict[str, float], config: StudyConfig) -> list[Row]:
    rows = []
    prevalence = 0.28
    for t in getattr(config, "thresholds", (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)):
        every = prevalence - (1 - prevalence) * t / (1 - t)
        best = max(every, 0.0)
        values = {m: (best + 0.045 * s * np.exp(-(((t - 0.25) / 0.12) ** 2)), 0.009) for m, s in skill.items()}
        for model, (value, se) in {**values, "treat all": (every, 0.012), "treat none": (0.0, 0.0)}.items():
            wide = {"simultaneous_lower": value - 2.6 * se, "simultaneous_upper": value + 2.6 * se}
            rows.append({**place, "model": model, "threshold": t, **spread(value, se), **wide})
    return rows


def _overall(config: StudyConfig, skill: dict[str, float]) -> pd.DataFrame:
    kept = ["model", "horizon", "measure", "value", "lower", "upper", "se"]
    rows = [row for horizon in config.horizons for row in _metrics({"horizon": horizon}, skill)]
    return pd.DataFrame(rows)[kept].assign(landmarks=len(config.landmarks))


def _subgroups(
    places: list[Row], models: list[str], levels: dict[str, tuple[tuple[str, int, int], ...]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, apart = [], []
    for place in places:
        for model in models:
            for measure, ideal, gain in (("auc", 0.75, 0.04), ("integrated_brier", 0.08, 0.01), ("ipa", 0.2, 0.05)):
                for variable, found in levels.items():
                    for k, (level, n, events) in enumerate(found):
                        here = {**place, "model": model, "measure": measure, "variable": variable, "level": level}
                        value, small = ideal + gain * (k - 0.5), n < 10
                        told = spread(np.nan if small else value, 0.4 / np.sqrt(n) * (0.1 if ideal < 0.1 else 1))
                        size = {"n": n, "events": events, "suppressed": small, "note": ""}
                        rows.append({**here, **told, **size})
                        chance = {
                            "p": 0.00004 if level == "male" else 0.21,
                            "p_adjusted": 0.01 if level == "male" else 1.0,
                        }
                        if not small:
                            apart.append({**here, **spread(2 * gain * (k - 0.5), 0.03), **chance})
    return pd.DataFrame(rows), pd.DataFrame(apart)


def _availability(places: list[Row], models: list[str]) -> pd.DataFrame:
    patterns = {"Modalities known": (("record + visits", 250, 70), ("record, no visits", 45, 12))}
    frame = _subgroups(places, models, patterns)[0]
    held = frame.drop_duplicates(["landmark", "level", "model"]).assign(horizon=np.nan, measure="event_time_coverage")
    held = held[held["model"] == models[-1]].assign(value=0.913, lower=0.88, upper=0.94)
    return pd.concat([frame, held], ignore_index=True)


def _added(
    places: list[Row], models: list[str], steps: tuple[tuple[str, str], ...]
) -> tuple[pd.DataFrame, pd.DataFrame, list[Row]]:
    rows, gains, verdicts = [], [], []
    measures = {
        "auc": (0.7, 0.04, 0.01),
        "integrated_brier": (0.09, -0.006, 0.0015),
        "net_benefit@0.10": (0.1, 0.01, 0.004),
    }
    for place in places:
        for k, (step, added) in enumerate(steps):
            share = k if k < 2 else 1.1
            for model in models:
                for measure, (base, gain, se) in measures.items():
                    here = {**place, "model": model, "step": step, "added": added, "measure": measure}
                    rows.append({**here, **spread(base + gain * share, 2 * se)})
                    if k:
                        gains.append({**here, **spread(gain * (1.0 if k == 1 else 0.1), se)})
            if k:
                helped = "helps" if k == 1 else "not shown"
                sentence = f"Adding {added} {'makes predictions more accurate' if k == 1 else 'was not shown to help'}."
                verdicts.append({**place, "added": added, "sentence": sentence, "verdict": helped})
    return pd.DataFrame(rows), pd.DataFrame(gains), verdicts


def _optimism(place: Row, skill: dict[str, float]) -> list[Row]:
    rows = []
    for model, s in skill.items():
        for measure in ("auc", "integrated_brier", "ipa"):
            base, gain, se = SCALES[measure]
            apparent, lost = base + gain * s * 1.15, 0.12 * gain * s
            told = spread(apparent - lost, se)
            ends = {"lower": told["lower"], "upper": told["upper"]}
            cell = {**place, "model": model, "measure": measure, "apparent": apparent, "optimism": lost}
            rows.append({**cell, "corrected": apparent - lost, **ends})
    return rows


def _importance(models: list[str]) -> pd.DataFrame:
    """Of 30 patients; few of them smoke, so that what smoking contributes is withheld."""
    sizes = {
        ("modality", "record", ""): 0.021,
        ("modality", "visits", ""): 0.034,
        ("variable", "record", "age"): 0.02,
        ("variable", "record", "smoker"): np.nan,
        ("variable", "visits", "marker"): 0.03,
        ("variable", "visits", "pressure"): 0.004,
    }
    rows = []
    for model in models[1:]:
        for (kind, modality, variable), value in sizes.items():
            names = {"model": model, "kind": kind, "modality": modality, "variable": variable}
            place = {"landmark": YEAR, "horizon": 4 * YEAR}
            size = {"differ": np.nan if np.isnan(value) else 25.0, "patients": 30, "suppressed": bool(np.isnan(value))}
            rows.append({**names, **place, **spread(value, 0.001), **size})
    return pd.DataFrame(rows)


def _rank_agreement(models: list[str]) -> pd.DataFrame:
    told = {"by_patient": 0.93, "lowest_tenth": 0.71, "overall": 0.98, "patients": 30, "folds": 3}
    return pd.DataFrame([{"model": model, "landmark": YEAR, "horizon": 4 * YEAR, **told} for model in models[1:]])
