"""A table of predictions is judged as its arrays are, however its columns are called; what is wrong is told at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from osler.errors import UsageError
from osler.evaluation import evaluate, evaluate_table
from osler.evaluation.table import parts_of, tidy

N = 120


def outcomes(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    first, out = rng.exponential(4 * np.exp(-x)), rng.uniform(1, 9, N)
    known = {h: 1 - np.exp(-h * np.exp(x) / 4) for h in (2.0, 4.0)}
    noisy = {h: np.clip(risk + rng.normal(0, 0.2, N), 0, 1) for h, risk in known.items()}
    frame = pd.DataFrame({"patient": [f"p{i}" for i in range(N)], "time": np.minimum(first, out)})
    return frame.assign(event=(first <= out).astype(int)), {"known": known, "noisy": noisy}


def predictions(risks, **columns):
    frames = [
        pd.DataFrame({"patient": [f"p{i}" for i in range(N)], "landmark": 0.0, "horizon": h, "model": m, "risk": risk})
        for m, by_horizon in risks.items()
        for h, risk in by_horizon.items()
    ]
    return pd.concat(frames, ignore_index=True).assign(**columns)


def values(evaluation):
    keys = ["model", "horizon", "measure"]
    return evaluation.metrics.sort_values(keys).set_index(keys)[["value", "lower", "upper"]]


def test_columns_may_carry_the_names_that_osler_writes():
    told, risks = outcomes()
    plain = predictions(risks)
    days = plain.rename(columns={"landmark": "landmark_days", "horizon": "horizon_days"})
    text = plain.assign(landmark="0y", horizon=plain["horizon"].map("{:g}d".format))
    for other in (days, text, plain.astype({"landmark": object, "horizon": object})):
        pd.testing.assert_frame_equal(values(evaluate_table(other, told)), values(evaluate_table(plain, told)))


def test_a_table_of_one_model_need_not_name_it():
    told, risks = outcomes()
    alone = predictions({"known": risks["known"]}).drop(columns="model")
    assert set(evaluate_table(alone, told).metrics["model"]) == {"predictions"}
    assert set(tidy(alone, nameless="theirs")["model"]) == {"theirs"}


def test_folds_and_repeats_are_those_of_a_cross_validation():
    told, risks = outcomes()
    fold = np.arange(N) % 4
    again = {m: {h: np.clip(r * 0.9, 0, 1) for h, r in by.items()} for m, by in risks.items()}
    rows = [
        predictions(each, repeat=repeat).merge(
            pd.DataFrame({"patient": told["patient"], "fold": (fold + repeat * np.arange(N)) % 4}), on="patient"
        )
        for repeat, each in enumerate((risks, again))
    ]
    found = evaluate_table(pd.concat(rows).sample(frac=1, random_state=0), told)
    stacked = {
        m: np.stack([np.column_stack([each[m][2.0], each[m][4.0]]) for each in (risks, again)])
        for m in ("known", "noisy")
    }
    folds = np.stack([fold, (fold + np.arange(N)) % 4])
    expected = evaluate(told["time"], told["event"], stacked, times=[2.0, 4.0], horizons=[2.0, 4.0], folds=folds)
    pd.testing.assert_frame_equal(values(found), values(expected), rtol=1e-9)


def test_parts_hold_the_patients_at_risk_in_order():
    told, risks = outcomes()
    later = predictions(risks, landmark=1.0)
    part = next(parts_of(tidy(later), told.set_index("patient")["time"]))
    assert set(part.patient) == set(told.loc[told["time"] > 1.0, "patient"])
    assert part.risks["known"].shape == (1, len(part.patient), 2)
    assert part.folds is None
    row = int(part.patient[0][1:])
    np.testing.assert_array_equal(part.risks["known"][0, 0], [risks["known"][2.0][row], risks["known"][4.0][row]])


def test_a_risk_may_be_missing_for_who_is_gone_and_for_nobody_else():
    told, risks = outcomes()
    later = predictions(risks, landmark=1.0)
    gone = later["patient"].isin(told.loc[told["time"] <= 1.0, "patient"])
    assert evaluate_table(later.assign(risk=later["risk"].mask(gone)), told).metrics["value"].notna().any()
    with pytest.raises(UsageError, match="lack a risk for some model or horizon"):
        evaluate_table(later.assign(risk=later["risk"].mask(later.index == np.flatnonzero(~gone)[0])), told)


def test_all_that_is_wrong_with_rows_is_told_at_once_and_no_value_quoted():
    _, risks = outcomes()
    wrong = predictions(risks).astype(object)
    wrong.loc[0, "risk"], wrong.loc[1, "risk"] = 1.7, "secret-risk"
    wrong.loc[2, "horizon"], wrong.loc[3, "landmark"], wrong.loc[4, "patient"] = "secret-time", -1.0, None
    with pytest.raises(UsageError) as caught:
        tidy(pd.concat([wrong, wrong.iloc[[7]]]))
    message = str(caught.value)
    for part in (
        "1 rows have a horizon that is no duration",
        "1 rows lack a patient or a model",
        "2 rows have a risk that is not between 0 and 1",
        "1 rows have a landmark before the time origin",
        "1 rows repeat a patient, landmark, horizon, model and repeat",
    ):
        assert part in message
    assert "secret" not in message
    assert "1.7" not in message


def test_models_of_different_folds_and_empty_tables_are_refused():
    told, risks = outcomes()
    rows = predictions(risks)
    rows["fold"] = np.where(rows["model"] == "known", 0, 1)
    with pytest.raises(UsageError, match="not held out in the same folds"):
        evaluate_table(rows, told)
    with pytest.raises(UsageError, match="lack their fold"):
        evaluate_table(rows.assign(fold=np.nan), told)
    with pytest.raises(UsageError, match="there is no row"):
        tidy(predictions(risks).iloc[:0])
