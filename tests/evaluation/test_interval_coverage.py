"""Intervals hold the truth about as often as they say; benchmarks/interval_coverage.py is the long form."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from osler.evaluation import evaluate
from osler.evaluation.follow_up import FollowUp

PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "interval_coverage.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("interval_coverage", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("competing events, 60% censored", "marginal"),
        ("censoring depends on risk", "Cox"),
        ("censoring depends on group", "by group"),
    ],
)
def test_intervals_hold_the_truth(bench, name, weights):
    scenario = next(s for s in bench.SCENARIOS if (s.name, s.weights) == (name, weights))
    found = bench.coverage(scenario, 200, 3, 200, workers=1, many=100_000)
    assert found["measure"].tolist() == list(bench.LABELS)
    assert (found["refused"] <= 2).all()
    sigma = np.sqrt(0.95 * 0.05 / 200)
    assert found["coverage"].between(0.95 - 4 * sigma, 1.0).all(), found
    assert found["ratio"].between(0.8, 1.2).all(), found


@pytest.mark.slow
def test_marginal_weights_miss_the_truth_where_censoring_depends_on_the_patients(bench):
    scenario = next(s for s in bench.SCENARIOS if (s.depends, s.weights) == ("group", "marginal"))
    found = bench.coverage(scenario, 60, 3, 400, workers=1, many=100_000).set_index("measure")["coverage"]
    assert found["brier"] < 0.75
    assert found["auc"] < 0.85


def test_the_simulation_asks_what_evaluate_answers(bench):
    scenario = next(s for s in bench.SCENARIOS if s.competing and s.depends == "nothing")
    rate = bench.censoring_rate(scenario, 7)
    rows = bench.replicate(scenario, rate, np.random.default_rng(5), 300)
    time, event, x, seen = bench.cohort(scenario, rate, np.random.default_rng(5), 300)
    curves = np.stack([bench.risks(x, seen, t) for t in bench.TIMES], axis=1)
    measures = [name for name in bench.LABELS if not name.endswith("_difference")]
    found = evaluate(
        time,
        event,
        {"informed": curves[:, :, 0], "noisy": curves[:, :, 1]},
        times=bench.TIMES,
        horizons=[bench.HORIZON],
        measures=measures,
    )
    for row in rows:
        measure = row["measure"].removesuffix("_difference")
        if measure == row["measure"]:
            cells = found.metrics.query("model == 'informed' and measure == @measure")
        else:
            cells = found.differences.query("model == 'noisy' and versus == 'informed' and measure == @measure")
        for column in ("value", "lower", "upper", "se"):
            assert cells[column].to_numpy() == pytest.approx([row[column]], rel=1e-9), (row["measure"], column)
    assert FollowUp(time, event).effective(bench.HORIZON) == pytest.approx(rows[0]["effective"])
