"""Image blocks inside models: several images of a visit, vectors of a network trained elsewhere, saliency."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cohorts import QUESTION, make_cohort
from osler.cohort.images import Images
from osler.errors import UsageError
from osler.models import create
from osler.models import image_reading as module
from osler.models.image_saliency import salient_images
from osler.models.inputs import read_images
from osler.models.store import load_model, save_model

SETTINGS = {"members": 2, "epochs": 8, "units": 4}


def _twice(block: Images) -> Images:
    """Every image of a block two times."""
    every = np.repeat(np.arange(len(block.visit)), 2)
    return block.take(every)


@pytest.fixture(scope="module")
def cohort():
    return make_cohort(150, seed=5, genes=0, embedding=None)


@pytest.fixture(scope="module")
def pixels_model(cohort):
    return create("recurrent", QUESTION, **SETTINGS).fit(cohort)


@pytest.fixture(scope="module")
def embedded(cohort):
    """The cohort whose pixels a network trained elsewhere read already: it sees the brightness."""
    block = cohort.images["scan"]
    bright = block.values.mean(axis=(1, 2, 3))
    vectors = np.stack([10 * bright, np.random.default_rng(0).normal(size=len(bright))], axis=1).astype(np.float32)
    return replace(cohort, images={"scan": replace(block, embedding=vectors, origin="elsewhere")})


def test_scores_of_a_visit_are_their_mean_and_those_so_far_of_all_images():
    cohort = make_cohort(6, seed=0, genes=0, embedding=None)
    owner = cohort.visits["patient"].to_numpy()
    first = int(np.flatnonzero(owner[1:] == owner[:-1])[0])  # of two visits of one patient
    visit = np.array([first, first, first + 1])
    block = Images("scan", "pixels", visit, np.zeros((3, 1, 12, 12), np.float32))
    read = read_images(replace(cohort, images={"scan": block}), {"scan": np.array([[1.0], [3.0], [8.0]])})
    assert read.images["scan"].visit.tolist() == visit[1:].tolist()
    assert read.images["scan"].values.tolist() == [[2.0, 2.0], [8.0, 4.0]]


@pytest.mark.parametrize("name", ["stacked_cox", "boosted_hazard"])
def test_an_image_taken_twice_is_one_vector(embedded, name):
    vectors = {"scan": embedded.images["scan"].vectors}
    once = replace(embedded, images=vectors)
    doubled = replace(embedded, images={"scan": _twice(vectors["scan"])})
    one, two = (create(name, QUESTION).fit(c).predict(c, 0.0).incidence for c in (once, doubled))
    np.testing.assert_array_equal(one, two)


def test_several_pictures_of_a_visit_are_read(cohort, pixels_model):
    doubled = replace(cohort, images={"scan": _twice(cohort.images["scan"])})
    curves = [pixels_model.predict(c, 0.0).incidence for c in (cohort, doubled)]
    np.testing.assert_allclose(curves[0], curves[1], atol=1e-6)
    other = create("recurrent", QUESTION, **SETTINGS).fit(doubled).predict(doubled, 0.0)
    assert np.isfinite(other.incidence).all()


def test_every_model_uses_vectors_of_pixels(embedded, cohort):
    for name in ("cox", "boosted_cox"):
        with_vectors = create(name, QUESTION).fit(embedded).predict(embedded, 0.0).incidence
        without = create(name, QUESTION).fit(cohort).predict(cohort, 0.0).incidence
        assert np.abs(with_vectors - without).max() > 0.01


def test_few_events_leave_the_reading_to_the_network_trained_elsewhere(embedded, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LEARNED_EVENTS", 200)
    model = create("recurrent", QUESTION, **SETTINGS).fit(embedded)
    assert any("read by the network trained elsewhere" in note for note in model.notes_)
    assert not model.inputs_.readers
    curve = model.predict(embedded, 0.0)
    again = load_model(save_model(model, tmp_path / "m.osler"))
    np.testing.assert_array_equal(again.predict(embedded, 0.0).incidence, curve.incidence)
    blind = model.predict(embedded.without("scan"), 0.0)
    assert np.abs(blind.incidence - curve.incidence).max() > 0.01


def test_many_events_train_a_network_here(embedded, monkeypatch):
    monkeypatch.setattr(module, "_LEARNED_EVENTS", 20)
    model = create("recurrent", QUESTION, **SETTINGS).fit(embedded)
    assert set(model.inputs_.readers) == {"scan"}
    assert not any("elsewhere" in note for note in model.notes_)


def test_too_few_events_and_no_network_is_said(cohort):
    block = cohort.images["scan"]
    few = replace(cohort, images={"scan": block.take(np.arange(8))})
    model = create("recurrent", QUESTION, **SETTINGS).fit(few)
    assert any("too few to train a network" in note for note in model.notes_)
    assert np.isfinite(model.predict(few, 0.0).incidence).all()


def test_saliency_of_the_latest_images_before_the_landmark(cohort, pixels_model):
    assert pixels_model.inputs_.readers["scan"].useful[0]
    doubled = replace(cohort, images={"scan": _twice(cohort.images["scan"])})
    owner = cohort.visits["patient"].to_numpy()
    seen = str(cohort.patients[owner[cohort.images["scan"].visit[0]]])
    found = salient_images(pixels_model, doubled.patient(seen), 0.0)
    assert [image.block for image in found] == ["scan", "scan"]
    assert found[0].map.shape == found[0].pixels.shape[1:] == (12, 12)
    assert found[0].map.sum() == pytest.approx(found[0].score, abs=found[0].error + 1e-9)
    np.testing.assert_array_equal(found[0].map, found[1].map)
    assert salient_images(create("stacked_cox", QUESTION).fit(cohort), cohort.patient(seen), 0.0) == []
    assert salient_images(pixels_model, cohort.patient(seen).cohort.without("scan").patient(seen), 0.0) == []
    with pytest.raises(UsageError, match="cause 3 of 2"):
        salient_images(pixels_model, cohort.patient(seen), 0.0, cause=3)
