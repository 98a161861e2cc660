from dataclasses import replace
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from cohorts import QUESTION, make_cohort
from osler.errors import UsageError
from osler.models import create
from osler.models.base import RiskModel
from osler.models.blend import typical_state
from osler.models.explain import explain, known_of


class Additive(RiskModel):
    """Risk of the first cause at the end of the grid: a sum of terms whose Shapley values are the terms."""

    name, label = "additive", "Additive"

    def __init__(self, question, *, random_state=0, interaction=0.0):
        super().__init__(question, random_state=random_state)
        self.interaction = interaction

    def _fit(self, cohort):
        pass

    def _predict(self, landmark):
        known = landmark.known
        record, visits = known.record, known.visits
        male = (record["sex"] == "male").to_numpy(dtype=float)
        last = np.zeros(len(known))
        last[landmark.patient] = visits["marker"].to_numpy()[np.maximum(landmark.stop - 1, 0)]
        genes = known.genomics["rna"].available
        images = np.bincount(visits["patient"].to_numpy()[known.images["scan"].visit], minlength=len(known)) > 0
        terms = 0.002 * record["age"] + 0.05 * record["smoker"] + 0.03 * male + 0.01 * last
        final = terms + 0.04 * genes + 0.06 * images + self.interaction * record["smoker"] * male
        curve = final.to_numpy()[landmark.patient, None, None] * (self.question.grid / self.question.grid[-1])
        return np.concatenate([curve, np.zeros_like(curve)], axis=1), None, None

    def state(self):
        return {}

    def restore(self, state):
        pass


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(80, seed=2, missing=0.0)


def somebody(cohort, model, *, genome=True):
    """A patient at risk at 1 y who differs from the typical one in sex and smoking, and has a genome and a scan."""
    known = cohort.at("1y")
    scanned = set(cohort.visits["patient"].to_numpy()[cohort.images["scan"].visit]) if genome else None
    for position in known.patient:
        row = cohort.record.iloc[position]
        if (
            row["sex"] != model.typical_["sex"]
            and row["smoker"] != model.typical_["smoker"]
            and (not genome or (cohort.genomics["rna"].available[position] and position in scanned))
        ):
            return cohort.patient(cohort.patients[position])
    raise AssertionError("nobody to explain")


def test_the_terms_of_an_additive_model_come_back(cohort):
    model = Additive(QUESTION).fit(cohort)
    patient = somebody(cohort, model)
    found = explain(model, patient, "1y", horizon="4y").frame.set_index("variable")["contribution"]
    typical, own = model.typical_, patient.record
    assert found["age"] == pytest.approx(0.002 * (own["age"] - typical["age"]))
    assert found["smoker"] == pytest.approx(0.05 * (own["smoker"] - typical["smoker"]))
    assert found["rna"] == pytest.approx(0.04)
    assert found["scan"] == pytest.approx(0.06)
    last = patient.visits.query("time <= 365.25")["marker"].iloc[-1]
    assert found["marker"] == pytest.approx(0.01 * (last - typical["marker"]))
    assert found.get("pressure", 0.0) == pytest.approx(0.0)


def test_an_interaction_is_shared_equally(cohort):
    plain, crossed = (Additive(QUESTION, interaction=x).fit(cohort) for x in (0.0, 0.02))
    patient = somebody(cohort, plain)
    frames = [explain(m, patient, "1y", horizon="4y").frame.set_index("variable") for m in (plain, crossed)]
    change = frames[1]["contribution"] - frames[0]["contribution"]
    smoker, male = patient.record["smoker"], float(patient.record["sex"] == "male")
    both_differ = 0.02 * (smoker * male - plain.typical_["smoker"] * float(plain.typical_["sex"] == "male"))
    assert change["smoker"] + change["sex"] == pytest.approx(both_differ)


def test_drawn_orders_agree_with_all_coalitions_and_always_sum_to_the_difference(cohort):
    model = Additive(QUESTION, interaction=0.05).fit(cohort)
    patient = somebody(cohort, model)
    exact = explain(model, patient, "1y", horizon="4y")
    drawn = explain(model, patient, "1y", horizon="4y", permutations=2, random_state=1)
    assert len(exact.frame) >= 7
    # With interactions of two at most, a single pair of an order and its reverse is exact.
    merged = exact.frame.merge(drawn.frame, on="variable")
    np.testing.assert_allclose(merged["contribution_x"], merged["contribution_y"], atol=1e-12)
    assert (exact.frame["error"] == 0).all()
    assert exact.error < 1e-12
    assert drawn.error < 1e-12
    again = explain(model, patient, "1y", horizon="4y", permutations=2, random_state=1)
    assert drawn.frame.equals(again.frame)


def test_contributions_are_the_means_over_all_orders_counted_by_hand(cohort):
    """Trees, on their own margin, against a plain loop over the orders of three variables."""
    small = make_cohort(120, seed=4, missing=0.0, genes=0, image_size=None, embedding=None).without("visits")
    model = create("boosted_cox", QUESTION, rounds=60, random_state=3).fit(small)
    patient = somebody(small, model, genome=False)
    typical = {name: model.typical_[name] for name in small.record}

    @cache
    def margin(joined):
        record = small.record.iloc[[0]].reset_index(drop=True).copy()
        for name in small.record:
            record.loc[0, name] = patient.record[name] if name in joined else typical[name]
        one = replace(patient.cohort, record=record)
        return float(np.log(-np.log1p(-model.predict(one, "0y").risk("4y"))[0]))

    orders = list(permutations(small.record))
    by_hand = dict.fromkeys(small.record, 0.0)
    for order in orders:
        for i, name in enumerate(order):
            gain = margin(frozenset(order[: i + 1])) - margin(frozenset(order[:i]))
            by_hand[name] += gain / len(orders)
    found = explain(model, patient, "0y", horizon="4y", scale="log_hazard")
    assert found.error < 1e-12
    assert dict(zip(found.frame["variable"], found.frame["contribution"], strict=True)) == pytest.approx(by_hand)
    assert max(map(abs, by_hand.values())) > 0.01


def test_on_the_log_hazard_a_cox_model_gives_coefficient_times_difference():
    cohort = make_cohort(200, seed=5, causes=("progression",), genes=0, image_size=None, embedding=None)
    model = create("cox", QUESTION).fit(cohort)
    patient = cohort.patient(cohort.patients[int(np.argmax(cohort.outcome.time))])
    found = explain(model, patient, "1y", horizon="4y", scale="log_hazard").frame.set_index("variable")

    part = model._fitted[QUESTION.landmarks[1]]
    own = known_of(model, patient, "1y")
    states = [state.at("1y") for state in (typical_state(own, model.typical_), own)]
    terms = part.beta[0] * np.diff(np.vstack([part.design.transform(state) for state in states]), axis=0)[0]
    by_variable = pd.Series(terms).groupby([column.variable for column in part.design.columns_]).sum()
    assert (by_variable.abs() > 1e-3).sum() >= 4
    for name, term in by_variable.items():
        assert found["contribution"].get(name, 0.0) == pytest.approx(term, abs=1e-9)


def test_a_scale_that_there_is_not_is_refused(cohort):
    model = Additive(QUESTION).fit(cohort)
    with pytest.raises(UsageError, match="'risk' and 'log_hazard'"):
        explain(model, somebody(cohort, model), "1y", horizon="4y", scale="odds")


def test_values_are_shown_with_units_beside_the_typical_ones(cohort):
    model = Additive(QUESTION).fit(cohort)
    found = explain(model, somebody(cohort, model), "1y", horizon="4y")
    frame = found.frame.set_index("variable")
    assert frame.loc["age", "value"].endswith(" a")
    assert frame.loc["rna", "typical"] == "not measured"
    assert frame.loc["smoker", "value"] in ("yes", "no")
    assert set(found.by_modality["modality"]) >= {"record", "visits", "rna", "scan"}
    assert found.by_modality["contribution"].sum() == pytest.approx(found.patient_risk - found.typical_risk)


def test_a_missing_value_is_a_player_too(cohort):
    model = Additive(QUESTION).fit(cohort)
    gap = make_cohort(80, seed=2, missing=0.0)
    patient = somebody(cohort, model)
    position = int(np.flatnonzero(cohort.patients == patient.cohort.patients[0])[0])
    gap.visits.loc[gap.visits["patient"] == position, "stage"] = np.nan
    frame = explain(model, gap.patient(cohort.patients[position]), "1y", horizon="4y").frame.set_index("variable")
    assert frame.loc["stage", "value"] == "not measured"


def test_somebody_no_longer_at_risk_is_refused(cohort):
    model = Additive(QUESTION).fit(cohort)
    gone = cohort.patients[int(np.argmin(cohort.outcome.time))]
    with pytest.raises(UsageError):
        explain(model, cohort.patient(gone), "5y", horizon="4y")
