"""What a terminal shows of a study."""

from __future__ import annotations

import numpy as np
import pandas as pd

from osler.terminal import print_metrics

MEASURES = ("auc", "c_index", "harrell_c", "antolini_c", "brier", "integrated_brier", "ipa", "observed_expected")
FURTHER = (
    "calibration_intercept",
    "calibration_slope",
    "ici",
    "e50",
    "e90",
    "d_calibration",
    "royston_d",
    "royston_r2",
)
NUMBERS = {"value": 0.123, "lower": 0.1, "upper": 0.15, "at_risk": 120, "events": 60}


def _frame(measures):
    rows = [
        {"model": model, "landmark": 0.0, "horizon": 730.5, "measure": measure, **NUMBERS, "note": ""}
        for model in ("reference", "boosted_hazard")
        for measure in measures
    ]
    return pd.DataFrame(rows)


def test_many_measures_stay_readable(capsys):
    print_metrics(_frame((*MEASURES, *FURTHER)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 140
    head = next(line for line in lines if "AUC" in line)
    assert [word for word in ("AUC", "Brier", "integrated Brier", "IPA", "O/E", "ICI") if word in head] == [
        "AUC",
        "Brier",
        "integrated Brier",
        "IPA",
        "O/E",
        "ICI",
    ]
    assert "Harrell" not in head
    assert any("0.100, 0.150" in line for line in lines)


def test_only_what_was_measured_has_a_column(capsys):
    frame = _frame(("auc", "brier"))
    frame.loc[frame["model"] == "reference", ["value", "lower", "upper"]] = np.nan
    frame.loc[0, "note"] = "no event by the horizon"
    print_metrics(frame)
    out = capsys.readouterr().out
    assert "O/E" not in out
    assert "no event by the horizon" in out
    assert "nan" not in out
