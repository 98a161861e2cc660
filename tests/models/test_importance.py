"""Contributions of many patients at once, and how far two models agree about them."""

import numpy as np
import pytest

from cohorts import QUESTION, make_cohort
from osler.models import create
from osler.models.blend import Part
from osler.models.explain import explain
from osler.models.importance import Contributions, contributions_of, rank_agreement, sample


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(120, seed=2, image_size=None)


def test_many_patients_together_are_explained_as_each_alone(cohort):
    model = create("cox", QUESTION).fit(cohort)
    chosen = cohort.subset(sample(cohort, QUESTION.landmarks[1], 6, 1))
    told = contributions_of(model, chosen, "1y", horizon="4y", pairs=64)
    names = [part.name for part in told.parts]
    assert told.values.shape == (6, len(names))
    for i, name in enumerate(chosen.patients):
        alone = explain(model, chosen.patient(name), "1y", horizon="4y").frame.set_index("variable")
        assert set(alone.index) == {names[j] for j in np.flatnonzero(told.differs[i])}
        for j in np.flatnonzero(told.differs[i]):
            assert told.values[i, j] == pytest.approx(alone.loc[names[j], "contribution"], abs=1e-12)
    assert (told.values[~told.differs] == 0).all()
    np.testing.assert_allclose(told.importance, np.abs(told.values).mean(axis=0))


def test_who_is_explained_is_drawn_once_from_those_at_risk(cohort):
    drawn = sample(cohort, 400.0, 10, 7)
    assert len(set(drawn)) == 10
    assert (cohort.outcome.time[drawn] > 400.0).all()
    assert (drawn == sample(cohort, 400.0, 10, 7)).all()
    assert not (drawn == sample(cohort, 400.0, 10, 8)).all()
    assert len(sample(cohort, 400.0, 1000, 7)) == (cohort.outcome.time > 400.0).sum()


def test_rank_agreement_is_one_in_the_same_order_and_minus_one_in_the_reverse():
    parts = tuple(Part("record", name, "record") for name in "abcd")
    differs = np.array([[True] * 4, [True, True, True, False], [True, True, False, False]])
    values = np.array([[0.4, 0.1, -0.2, 0.3], [0.1, 0.2, 0.3, 0.0], [0.5, 0.1, 0.0, 0.0]])
    one = Contributions(parts, values, differs)
    each, _ = rank_agreement(one, Contributions(parts, np.sign(values) * values**2, differs))
    assert each[:2] == pytest.approx(1.0)
    assert np.isnan(each[2])
    assert rank_agreement(one, Contributions(parts, 3 * values, differs))[1] == pytest.approx(1.0)
    each, _ = rank_agreement(one, Contributions(parts, -values, differs))
    assert each[:2] == pytest.approx(-1.0)
