from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from osler.cells import SMALLEST
from osler.errors import UsageError
from osler.evaluation.availability import COVERAGE, coverage_rows, event_time_coverage, risk_coverage

PATTERNS = np.array(["everything"] * 60 + ["record, no visits"] * 36 + ["nothing"] * 4, dtype=object)


def test_coverage_of_known_risks_is_counted_by_pattern_and_small_ones_are_withheld():
    truth = np.full(100, 0.3)
    lower, upper = np.full(100, 0.2), np.full(100, 0.4)
    upper[:6], lower[60:78] = 0.25, 0.35
    table = risk_coverage(truth, lower, upper, PATTERNS).set_index("pattern")
    assert table.loc["all patients", "coverage"] == pytest.approx(0.76)
    assert table.loc["everything", "coverage"] == pytest.approx(0.9)
    assert table.loc["everything", "above"] == pytest.approx(0.1)
    hidden = table[table["n"].isna()].index
    assert set(hidden) == {"nothing", "record, no visits"}  # the second would give away the first
    assert table.loc[hidden].isna().all(axis=None)
    assert SMALLEST == 10


def test_event_times_are_counted_although_censored():
    rng = np.random.default_rng(0)
    n = 20_000
    event, censoring = rng.exponential(1.0, n), rng.exponential(1.5, n)
    time, code = np.minimum(event, censoring), (event < censoring).astype(int)
    low, high = -np.log(0.95), -np.log(0.1)  # 5 % before, 10 % after
    bounds = np.full(n, low), np.where(np.arange(n) % 2 == 0, high, np.inf)
    labels = np.where(np.arange(n) % 2 == 0, "bounded", "open").astype(object)
    table = event_time_coverage(time, code, *bounds, labels).set_index("pattern")
    assert table.loc["bounded", "below"] == pytest.approx(0.05, abs=0.01)
    assert table.loc["bounded", "above"] == pytest.approx(0.10, abs=0.03)
    assert table.loc["open", "above"] == 0
    assert table.loc["open", "coverage"] == pytest.approx(0.95, abs=0.01)
    assert np.isnan(table.loc["open", "width"])
    assert table.loc["bounded", "width"] == pytest.approx(high - low)


def test_rows_for_the_table_of_a_study():
    rng = np.random.default_rng(1)
    time, code = rng.uniform(1, 10, 100), np.ones(100, dtype=int)
    bounds = np.stack([np.column_stack([np.zeros(100), np.full(100, 5.5)]), np.tile([0.0, np.inf], (100, 1))])
    rows = coverage_rows(time, code, bounds, PATTERNS, landmark=0.0, model="recurrent")
    assert set(rows["measure"]) == {COVERAGE}
    told = rows.set_index("level").loc["everything"]
    assert told["value"] == pytest.approx(1 - 0.5 * (time[:60] > 5.5).mean())
    assert told["lower"] < told["value"] < told["upper"]
    assert told["n"] == 60
    assert rows.set_index("level").loc["nothing", "suppressed"]
    assert pd.isna(rows.set_index("level").loc["nothing", "value"])


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="100, 99, 100"):
        risk_coverage(np.zeros(100), np.zeros(99), np.zeros(100), PATTERNS)
