"""One contract for every risk model: what a user may rely on, whatever is inside."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from cohorts import QUESTION, YEAR, make_cohort
from osler.cohort.cohort import Cohort, Images
from osler.cohort.outcome import Outcome
from osler.config import MODEL_NAMES, Question
from osler.errors import ModelError, UsageError
from osler.models import MODELS, create, model_class
from osler.models.base import RiskModel
from osler.models.store import load_model, save_model
from osler.survival.curve import RiskCurve

NAMES = [name for name in MODEL_NAMES if name != "recurrent" or find_spec("osler.models.recurrent")]
# A small committee and few epochs: the contract is about behaviour, not about accuracy.
SETTINGS: dict[str, dict] = {"recurrent": {"members": 2, "epochs": 8}}
LANDMARKS = (0.0, 200.0, YEAR, 2 * YEAR)
TOLERANCE = {"recurrent": 1e-5}

every_model = pytest.mark.parametrize("name", NAMES)


def _new(name: str, question: Question = QUESTION, seed: int = 0) -> RiskModel:
    return create(name, question, random_state=seed, **SETTINGS.get(name, {}))


@cache
def _cohort() -> Cohort:
    """Images of both forms at every other visit, so that some lie after any landmark."""
    cohort = make_cohort(190, seed=3)
    visit = np.arange(0, len(cohort.visits), 2)
    rng = np.random.default_rng(5)
    pixels = rng.random((len(visit), 1, 12, 12)).astype(np.float32)
    vectors = rng.normal(size=(len(visit), 6)).astype(np.float32)
    images = {"scan": Images("scan", "pixels", visit, pixels), "slide": Images("slide", "embedding", visit, vectors)}
    return replace(cohort, images=images)


@cache
def _train() -> Cohort:
    return _cohort().subset(np.arange(130))


@cache
def _test() -> Cohort:
    return _cohort().subset(np.arange(130, 190))


@cache
def _fitted(name: str) -> RiskModel:
    return _new(name).fit(_train())


def _check(curve: RiskCurve) -> None:
    """Finite, within 0 and 1, never decreasing, at most one in sum; the band holds the curve."""
    assert np.isfinite(curve.incidence).all()
    assert curve.incidence.min(initial=0.0) >= 0
    assert np.diff(curve.incidence, axis=2).min(initial=0.0) >= -1e-12
    total = curve.incidence.sum(axis=1) + curve.event_free
    np.testing.assert_allclose(total, 1.0, atol=1e-9)
    assert (curve.incidence[:, :, 0] == 0).all()
    if curve.lower is not None and curve.upper is not None:
        assert curve.level == 0.9
        assert (curve.lower <= curve.incidence + 1e-9).all()
        assert (curve.incidence <= curve.upper + 1e-9).all()


def _same(one: RiskCurve, other: RiskCurve) -> None:
    np.testing.assert_array_equal(one.incidence, other.incidence)
    assert (one.lower is None) == (other.lower is None)
    if one.lower is not None:
        np.testing.assert_array_equal(one.lower, other.lower)
        np.testing.assert_array_equal(one.upper, other.upper)


@every_model
@pytest.mark.parametrize("landmark", LANDMARKS)
def test_curves_are_probabilities(name, landmark):
    curve = _fitted(name).predict(_test(), landmark)
    _check(curve)
    at_risk = _test().outcome.time > landmark
    assert list(curve.patients) == list(_test().patients[at_risk])
    np.testing.assert_array_equal(curve.times, QUESTION.grid)
    assert curve.causes == ("progression", "death")


@every_model
def test_models_say_who_they_are(name):
    assert model_class(name).name == name
    assert model_class(name).label == MODELS[name]


@every_model
def test_save_and_load_give_the_same_bits(name, tmp_path):
    model = _fitted(name)
    path = save_model(model, tmp_path / "model.osler")
    loaded = load_model(path)
    for landmark in LANDMARKS:
        _same(model.predict(_test(), landmark), loaded.predict(_test(), landmark))
    assert loaded.settings() == model.settings()
    assert (loaded.causes_, loaded.notes_, loaded.typical_) == (model.causes_, model.notes_, model.typical_)
    assert loaded.schema_ == model.schema_
    np.testing.assert_array_equal(loaded.average_, model.average_)
    again = save_model(loaded, tmp_path / "again.osler")
    assert again.read_bytes() == path.read_bytes()


@every_model
def test_row_order_does_not_matter(name):
    order = np.random.default_rng(0).permutation(len(_test()))
    for landmark in (0.0, YEAR):
        straight = _fitted(name).predict(_test(), landmark, at_risk=False)
        mixed = _fitted(name).predict(_test().subset(order), landmark, at_risk=False)
        np.testing.assert_allclose(mixed.incidence, straight.incidence[order], atol=TOLERANCE.get(name, 1e-9))


@every_model
def test_batch_mates_do_not_matter(name):
    together = _fitted(name).predict(_test(), YEAR, at_risk=False)
    for i in (0, 17, 59):
        alone = _fitted(name).predict(_test().subset([i]), YEAR, at_risk=False)
        np.testing.assert_allclose(alone.incidence[0], together.incidence[i], atol=TOLERANCE.get(name, 1e-9))
        if alone.lower is not None:
            np.testing.assert_allclose(alone.lower[0], together.lower[i], atol=TOLERANCE.get(name, 1e-9))


@every_model
def test_identifiers_do_not_matter(name):
    renamed = replace(_test(), patients=np.array([f"zz{i * 7919 % 60}" for i in range(60)], dtype=object))
    _same(_fitted(name).predict(_test(), YEAR), _fitted(name).predict(renamed, YEAR))


def _other_future(cohort: Cohort, moment: float) -> Cohort:
    """Everything after ``moment`` altered: values, categories, images, the number of visits, and the outcome."""
    rng = np.random.default_rng(11)
    later = cohort.visits["time"].to_numpy() > moment
    visits = cohort.visits.copy()
    visits.loc[later, "marker"] = 50 * rng.normal(size=later.sum())
    visits.loc[later, "pressure"] = np.nan
    visits.loc[later, "stage"] = "high"
    images = {}
    for key, block in cohort.images.items():
        values = block.values.copy()
        values[later[block.visit]] = rng.random((later[block.visit].sum(), *values.shape[1:]))
        images[key] = replace(block, values=values)
    outcome = cohort.outcome
    past = outcome.time > moment
    time = np.where(past, moment + rng.uniform(1, 3000, len(cohort)), outcome.time)
    event = np.where(past, rng.integers(0, 3, len(cohort)), outcome.event)
    altered = replace(cohort, visits=visits, images=images, outcome=Outcome(time, event, outcome.causes))
    dropped = later & (rng.random(len(later)) < 0.3)
    return altered.keep_visits(~dropped)


@every_model
@pytest.mark.parametrize("moment", [0.0, YEAR])
def test_the_future_moves_nothing_by_one_bit(name, moment):
    altered = _other_future(_test(), moment)
    assert len(altered.visits) < len(_test().visits)
    _same(_fitted(name).predict(_test(), moment), _fitted(name).predict(altered, moment))


@every_model
def test_the_past_does_matter(name):
    """The guard of the test above: a model that answered without looking would pass it."""
    if name == "reference":
        pytest.skip("the reference looks at nobody")
    visits = _test().visits.copy()
    visits["marker"] += 2.0
    record = _test().record.assign(age=_test().record["age"] + 20)
    changed = replace(_test(), visits=visits, record=record)
    before, after = (_fitted(name).predict(c, YEAR).risk(4 * YEAR).mean() for c in (_test(), changed))
    assert after > before + 0.02


@every_model
@pytest.mark.parametrize("gone", ["record", "visits", "rna", "scan", "slide", "visits rna scan slide"])
def test_a_modality_may_be_missing_at_prediction(name, gone):
    curve = _fitted(name).predict(_test().without(*gone.split()), YEAR)
    _check(curve)
    assert len(curve) == (_test().outcome.time > YEAR).sum()


@every_model
def test_modalities_may_be_missing_in_training(name):
    bare = _train().without("visits", "rna", "scan", "slide")
    curve = _new(name).fit(bare).predict(_test(), YEAR)
    _check(curve)
    if name != "reference":
        assert np.ptp(curve.risk(4 * YEAR)) > 0.01


@every_model
def test_patients_with_one_visit_or_none(name):
    visits = _test().visits
    keep = (visits["patient"] % 3 == 0) | ((visits["patient"] % 3 == 1) & ~visits["patient"].duplicated())
    sparse = _test().keep_visits(keep.to_numpy())
    counts = np.bincount(sparse.visits["patient"], minlength=60)
    assert set(counts[:3]) >= {0, 1}
    _check(_fitted(name).predict(sparse, 2 * YEAR))


@every_model
def test_no_event_of_one_cause_in_training(name):
    outcome = _train().outcome
    event = np.where(outcome.event == 2, 0, outcome.event)
    model = _new(name).fit(replace(_train(), outcome=Outcome(outcome.time, event, outcome.causes)))
    curve = model.predict(_test(), YEAR)
    _check(curve)
    np.testing.assert_allclose(curve.incidence[:, 1], 0.0, atol=1e-6)
    assert curve.incidence[:, 0, -1].min() > 0
    assert any("death" in note for note in model.notes_)


@every_model
def test_one_landmark_only(name):
    question = Question(landmarks=(0.0,), horizons=(3 * YEAR,), grid_size=12)
    model = _new(name, question).fit(_train())
    _check(model.predict(_test(), 0.0))
    _check(model.predict(_test(), YEAR))


@every_model
def test_nobody_at_risk_at_a_later_landmark(name):
    question = Question(landmarks=(0.0, 40 * YEAR), horizons=(3 * YEAR,), grid_size=12)
    model = _new(name, question).fit(_train())
    _check(model.predict(_test(), 40 * YEAR, at_risk=False))
    assert len(model.predict(_test(), 40 * YEAR)) == 0


@every_model
def test_a_small_odd_training_set(name):
    """Twenty patients, a level nobody has, a variable and a gene nobody was measured for."""
    few = _train().subset(np.arange(20))
    few = few.keep_visits((few.visits["stage"] != "high").to_numpy())
    record = few.record.assign(age=np.nan)
    genes = few.genomics["rna"].values.copy()
    genes[:, 3] = np.nan
    few = replace(few, record=record, genomics={"rna": replace(few.genomics["rna"], values=genes)})
    model = _new(name).fit(few)
    for landmark in (0.0, YEAR):
        _check(model.predict(_test(), landmark))


@every_model
def test_patients_without_an_outcome_are_scored(name):
    scored = _fitted(name).predict(replace(_test(), outcome=None), YEAR)
    assert len(scored) == len(_test())
    known = _fitted(name).predict(_test(), YEAR)
    at_risk = _test().outcome.time > YEAR
    np.testing.assert_allclose(scored.incidence[at_risk], known.incidence, atol=TOLERANCE.get(name, 1e-9))


@every_model
def test_the_same_seed_gives_the_same_model(name):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    again = _new(name).fit(_train())
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    _same(_fitted(name).predict(_test(), YEAR), again.predict(_test(), YEAR))


@every_model
def test_unfitted_and_unfittable(name):
    with pytest.raises(ModelError, match="has not been fitted"):
        _new(name).predict(_test(), 0.0)
    with pytest.raises(ModelError, match="has no outcome"):
        _new(name).fit(replace(_train(), outcome=None))


@every_model
def test_a_cohort_of_another_kind_is_refused(name):
    variables = dict(_test().variables)
    variables["age"] = replace(variables["age"], unit="mo")
    with pytest.raises(ModelError, match="age"):
        _fitted(name).predict(replace(_test(), variables=variables), 0.0)


@every_model
def test_a_cohort_without_predictors(name):
    blank = replace(
        _train(), record=pd.DataFrame(index=range(130)), visits=_train().visits[["patient", "time"]],
        variables={}, genomics={}, images={},
    )  # fmt: skip
    curve = _new(name).fit(blank).predict(blank, 0.0)
    _check(curve)
    np.testing.assert_allclose(np.ptp(curve.incidence, axis=0), 0.0, atol=1e-6)


def test_names_and_settings_are_checked():
    with pytest.raises(UsageError, match="no model is called"):
        create("magic", QUESTION)
    with pytest.raises(UsageError, match="no setting 'depht'"):
        create("boosted_cox", QUESTION, depht=3)
    assert create("cox", QUESTION, penalty=3.0).settings()["penalty"] == 3.0
