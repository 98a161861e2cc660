from __future__ import annotations

import numpy as np
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.errors import ModelError, TrainingError
from osler.features.sequence import VisitEncoder
from osler.models.recurrent import Recurrent
from osler.models.sanity import check_inputs, nothing_learned

NAMES = ("age", "marker", "gap")


def test_sane_inputs_pass():
    check_inputs("inputs", np.array([[0.0, -4.0, 20.0]]), NAMES)
    check_inputs("inputs", np.empty((0, 3)), NAMES)


@pytest.mark.parametrize(("value", "how"), [(np.nan, "not finite"), (-np.inf, "not finite"), (12345.0, "beyond 1000")])
def test_others_are_named_and_counted_but_not_told(value, how):
    values = np.zeros((50, 3))
    values[[3, 7], 1], values[9, 2] = value, value
    with pytest.raises(TrainingError, match=how) as found:
        check_inputs("inputs of visits", values, NAMES)
    assert found.value.check == "inputs"
    assert "'marker' (2), 'gap' (1), of 50 rows" in str(found.value)
    assert "age" not in str(found.value)
    assert "12345" not in str(found.value)
    assert isinstance(found.value, ModelError)


def test_a_fit_looks_at_its_inputs(monkeypatch):
    whole = VisitEncoder._clock_blocks
    monkeypatch.setattr(VisitEncoder, "_clock_blocks", lambda *given: whole(*given) * 1e6)
    with pytest.raises(TrainingError, match=r"'visit\.time'"):
        Recurrent(QUESTION, members=2).fit(make_cohort(60, image_size=None, embedding=None))


def test_networks_that_learned_nothing_are_a_note():
    assert nothing_learned((1.0, 2.0), (1.0, 1.9)) == ""
    assert "None of the 2" in nothing_learned((1.0, 2.0), (1.0, 2.0))


def test_thirty_patients_with_five_events_are_fitted():
    cohort = make_cohort(30, seed=3, image_size=None, embedding=None)
    outcome = cohort.outcome
    event = np.zeros(30, dtype=np.int64)
    event[np.argsort(np.where(outcome.time > YEAR, outcome.time, np.inf))[:5]] = 1
    few = type(cohort)(**{**vars(cohort), "outcome": type(outcome)(outcome.time, event, outcome.causes)})
    model = Recurrent(QUESTION).fit(few)
    risk = model.predict(few, 0.0).risk(4 * YEAR)
    assert np.isfinite(risk).all()
    assert 0 < risk.mean() < 0.5
