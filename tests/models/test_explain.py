import numpy as np
import pytest

from cohorts import QUESTION, make_cohort
from osler.errors import UsageError
from osler.models.base import RiskModel
from osler.models.explain import explain


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


def somebody(cohort, model, **wanted):
    """A patient at risk at 1 y who differs from the typical one in everything, and has a genome and a scan."""
    known = cohort.at("1y")
    scanned = set(cohort.visits["patient"].to_numpy()[cohort.images["scan"].visit])
    for position in known.patient:
        row = cohort.record.iloc[position]
        if (
            row["sex"] != model.typical_["sex"]
            and row["smoker"] != model.typical_["smoker"]
            and cohort.genomics["rna"].available[position]
            and position in scanned
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


def test_sampling_agrees_with_enumeration_and_always_sums_to_the_difference(cohort, monkeypatch):
    model = Additive(QUESTION, interaction=0.05).fit(cohort)
    patient = somebody(cohort, model)
    exact = explain(model, patient, "1y", horizon="4y")
    monkeypatch.setattr("osler.models.explain._EXACT", 0)
    sampled = explain(model, patient, "1y", horizon="4y", permutations=200, random_state=1)
    merged = exact.frame.merge(sampled.frame, on="variable")
    np.testing.assert_allclose(merged["contribution_x"], merged["contribution_y"], atol=5e-3)
    assert exact.error < 1e-12
    assert sampled.error < 1e-12
    again = explain(model, patient, "1y", horizon="4y", permutations=200, random_state=1)
    assert sampled.frame.equals(again.frame)


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
