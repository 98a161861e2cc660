from __future__ import annotations

import numpy as np
import pytest
import torch

from osler.cohort.outcome import Outcome
from osler.models.hazard import bin_edges, follow_up
from osler.models.image_reader import ImageReader

SIZE = 16


def _images(n: int, seed: int, effect: float = 1.0):
    """Discs whose radius drives the hazard of cause 1, anywhere in a noisy picture of random brightness."""
    rng = np.random.default_rng(seed)
    trait = rng.normal(size=n)
    centre = rng.uniform(-2, 2, (2, n, 1, 1))
    axis = np.arange(SIZE) - (SIZE - 1) / 2
    distance = np.hypot(axis[None, None, :] - centre[0], axis[None, :, None] - centre[1])
    disc = (distance < 3.5 * np.exp(0.3 * trait)[:, None, None]).astype(float)
    picture = 0.4 * disc + rng.uniform(0.1, 0.5, (n, 1, 1)) + 0.05 * rng.normal(size=disc.shape)
    times = np.column_stack(
        [rng.exponential(400 * np.exp(-effect * trait)), rng.exponential(900, n), rng.uniform(200, 800, n)]
    )
    which = times.argmin(axis=1)
    outcome = Outcome(times.min(axis=1) + 1, np.where(which == 2, 0, which + 1).astype(np.int64), ("a", "b"))
    return np.clip(picture, 0, 1)[:, None].astype(np.float32), outcome, trait


def _read(n: int, seed: int, effect: float = 1.0):
    pixels, outcome, trait = _images(n, seed, effect)
    edges = bin_edges(outcome, 800.0, 6)
    reader = ImageReader((1, SIZE, SIZE), 2)
    scores = reader.fit(pixels, follow_up(outcome, edges), edges, np.arange(n) % 3, seed=1)
    return reader, scores, trait


@pytest.fixture(scope="module")
def fitted():
    return _read(600, 0)


def test_what_is_seen_in_left_out_patients_is_the_trait(fitted):
    reader, scores, trait = fitted
    assert np.corrcoef(scores[:, 0], trait)[0, 1] > 0.5
    pixels, _, new = _images(200, 9)
    assert np.corrcoef(reader.scores(pixels)[:, 0], new)[0, 1] > 0.6


def test_a_unit_of_score_is_worth_the_same_in_training_and_later(fitted):
    reader, scores, trait = fitted
    pixels, _, new = _images(600, 10)
    later = reader.scores(pixels)[:, 0]
    slope = np.cov(scores[:, 0], trait)[0, 1] / scores[:, 0].var()
    after = np.cov(later, new)[0, 1] / later.var()
    assert after / slope == pytest.approx(1.0, abs=0.25)


def test_images_that_tell_nothing_say_nothing():
    silent = [_read(150, seed, effect=0.0)[0].useful for seed in (1, 2, 3)]
    assert np.mean(silent) <= 1 / 6
    reader, scores, _ = _read(150, 1, effect=0.0)
    for k in np.flatnonzero(~np.array(reader.useful)):
        assert (scores[:, k] == 0).all()


def test_scores_depend_on_the_image_alone(fitted):
    reader, _, _ = fitted
    pixels, _, _ = _images(40, 11)
    together = reader.scores(pixels)
    alone = np.concatenate([reader.scores(pixels[i : i + 1]) for i in range(40)])
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(reader.scores(pixels[::-1]), together[::-1])
    some = np.concatenate([reader.scores(pixels[i : i + 7]) for i in range(0, 40, 7)])
    np.testing.assert_array_equal(some, together)


def test_training_is_repeatable_and_leaves_the_global_stream_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, scores, _ = _read(60, 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    other, again, _ = _read(60, 3)
    np.testing.assert_array_equal(scores, again)
    pixels, _, _ = _images(5, 12)
    np.testing.assert_array_equal(one.scores(pixels), other.scores(pixels))


def test_state_round_trip_gives_the_same_bits(fitted):
    reader, _, _ = fitted
    pixels, _, _ = _images(20, 13)
    np.testing.assert_array_equal(ImageReader.from_state(reader.state()).scores(pixels), reader.scores(pixels))


def test_no_image_no_score(fitted):
    assert fitted[0].scores(np.empty((0, 1, SIZE, SIZE), dtype=np.float32)).shape == (0, 2)


def test_shares_of_pixels_add_up_to_the_score_and_lie_on_the_disc(fitted):
    reader, _, _ = fitted
    pixels, _, trait = _images(30, 14)
    found = reader.attribute(pixels[np.argsort(-np.abs(trait))[:6]], 1)
    assert found.maps.shape == (6, SIZE, SIZE)
    assert (found.error <= 0.05 * np.abs(found.maps).sum(axis=(1, 2))).all()
    middle = np.abs(found.maps[:, 3:-3, 3:-3]).sum() / np.abs(found.maps).sum()
    assert middle > 1.3 * (SIZE - 6) ** 2 / SIZE**2
    assert (reader.attribute(pixels[:1], 2).maps == 0).all() or reader.useful[1]


def test_volumes_are_read_as_pictures_are():
    pixels, outcome, trait = _images(240, 15)
    edges = bin_edges(outcome, 800.0, 6)
    volumes = np.repeat(pixels[:, :, None], 8, axis=2)
    reader = ImageReader((1, 8, SIZE, SIZE), 2)
    reader.fit(volumes, follow_up(outcome, edges), edges, np.arange(240) % 3, seed=1)
    assert reader.useful[0]
    scores = reader.scores(volumes[:20])
    np.testing.assert_array_equal(ImageReader.from_state(reader.state()).scores(volumes[:20]), scores)
    np.testing.assert_array_equal(reader.scores(volumes[3:4])[0], scores[3])
    assert np.corrcoef(reader.scores(volumes)[:, 0], trait)[0, 1] > 0.5
    assert reader.attribute(volumes[:1]).maps.shape == (1, 8, SIZE, SIZE)
