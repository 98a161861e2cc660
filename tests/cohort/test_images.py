"""Image blocks: several images of a visit, volumes, and vectors of a network trained elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from cohorts import make_cohort
from osler.cohort.images import Images
from osler.cohort.schema import Schema
from osler.errors import ModelError, UsageError


def _block(visit, **more) -> Images:
    visit = np.asarray(visit, dtype=np.int64)
    values = np.arange(len(visit), dtype=np.float32)[:, None] + np.zeros((1, 3), np.float32)
    return Images("slide", "embedding", visit, values, **more)


def test_images_of_a_visit_go_where_it_goes():
    block = _block([0, 2, 2, 2, 5])
    moved = block.at_visits(np.array([2, 1, 5, 2, 0]))
    assert moved.visit.tolist() == [0, 0, 0, 2, 3, 3, 3, 4]
    assert moved.values[:, 0].tolist() == [1, 2, 3, 4, 1, 2, 3, 0]
    assert len(block.at_visits(np.array([1, 3])).visit) == 0
    assert len(_block([]).at_visits(np.array([1, 3])).visit) == 0


def test_one_vector_per_visit_is_the_mean_and_leaves_single_images_alone():
    block = _block([0, 2, 2, 2, 5])
    mean = block.per_visit()
    assert mean.visit.tolist() == [0, 2, 5]
    assert mean.values[:, 1].tolist() == [0, 2, 4]
    single = _block([0, 2, 5])
    assert single.per_visit() is single


def test_vectors_follow_their_pixels():
    pixels = np.zeros((3, 1, 8, 8, 8), np.float32)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    block = Images("ct", "pixels", np.array([0, 0, 1]), pixels, embedding=vectors, origin="abc")
    moved = block.at_visits(np.array([1, 0]))
    assert moved.embedding.tolist() == [[4, 5], [0, 1], [2, 3]]
    assert moved.vectors.per_visit().values.tolist() == [[4, 5], [1, 2]]
    assert block.take(np.array([False, True, True])).embedding.tolist() == [[2, 3], [4, 5]]
    assert Images("ct", "pixels", np.array([0, 0, 1]), pixels).vectors is None


@pytest.mark.parametrize(
    ("visit", "more", "told"),
    [
        ([1, 0], {}, "may not descend"),
        ([0, 1], {"embedding": np.zeros((3, 2), np.float32)}, "one vector"),
    ],
)
def test_blocks_that_do_not_fit_together(visit, more, told):
    with pytest.raises(UsageError, match=told):
        Images("xray", "pixels", np.array(visit), np.zeros((2, 1, 8, 8), np.float32), **more)


def test_a_cohort_read_by_another_network_does_not_fit_the_model():
    cohort = make_cohort(20, seed=0)
    block = cohort.images["scan"]
    vectors = np.zeros((len(block.visit), 4), np.float32)

    def with_vectors(**more):
        images = {**cohort.images, "scan": Images("scan", "pixels", block.visit, block.values, **more)}
        return type(cohort)(**{**cohort.__dict__, "images": images})

    mine = with_vectors(embedding=vectors, origin="one")
    schema = Schema.from_json(Schema.of(mine).to_json())
    assert schema.conform(mine).images["scan"].origin == "one"
    for other in (with_vectors(embedding=vectors, origin="two"), with_vectors()):
        with pytest.raises(ModelError, match="network trained elsewhere"):
            schema.conform(other)
    nothing = schema.conform(mine.without("scan")).images["scan"]
    assert nothing.embedding.shape == (0, 4)
