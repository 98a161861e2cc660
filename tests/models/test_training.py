from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cohorts import QUESTION, make_cohort
from osler.errors import TrainingError
from osler.models import recurrent as module
from osler.models import training
from osler.models.committee import Committee
from osler.models.recurrent import Recurrent
from osler.models.training import losses, train


@pytest.fixture(scope="module")
def caught():
    """What a fit hands to training: shape, batches, checks, masks, recipe."""
    held = {}

    def stop(shape, batches, checks, masks, recipe, generator, progress, **where):
        held.update(shape=shape, batches=batches, checks=checks, masks=masks, recipe=recipe)
        return train(shape, batches, checks, masks, replace(recipe, epochs=2, check_every=1), generator)

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "train", stop)
    Recurrent(QUESTION, members=3).fit(make_cohort(150, seed=6, image_size=None, embedding=None))
    patch.undo()
    return held


def _train(caught, seed: int = 0, progress=None, checkpoint=None, **changes):
    return train(
        caught["shape"],
        changes.pop("batches", caught["batches"]),
        caught["checks"],
        caught["masks"],
        replace(caught["recipe"], **changes),
        torch.Generator().manual_seed(seed),
        progress,
        checkpoint=checkpoint,
    )


def _fresh(caught) -> Committee:
    return Committee.create(caught["shape"], torch.Generator().manual_seed(0))


def test_free_members_learn_and_none_ends_worse_than_it_began(caught):
    _, history = _train(caught, epochs=30)
    assert all(best <= first for best, first in zip(history.best, history.first, strict=True))
    assert np.mean(history.first[3:]) - np.mean(history.best[3:]) > 0.01


def test_members_end_as_they_were_at_their_best(caught):
    committee, history = _train(caught, epochs=24)
    for check in caught["checks"]:
        now = losses(committee.of_members(check.members), check.batch)[0]
        np.testing.assert_allclose(now, np.array(history.best)[check.members.numpy()], rtol=1e-5)


def test_a_member_does_not_learn_from_the_fold_it_leaves_out(caught):
    (batch,) = caught["batches"]
    learner = _fresh(caught).of_members(torch.arange(6), learning=True)
    for check in caught["checks"]:
        assert len(check.members) == 2
        assert (check.batch.weight == 1).all()
    assert ((batch.weight == 0).sum(dim=0) == 2).all()  # each row is left out by one member of each kind
    hidden = batch.weight == 0
    changed = replace(batch, events=torch.where(hidden[0, :, None], 1 - batch.events, batch.events))
    for tensors in (batch, changed):
        losses(learner, tensors)[0][0].backward()
    grads = [t.grad.clone() for t in learner.tensors.values() if t.grad is not None]
    again = _fresh(caught).of_members(torch.arange(6), learning=True)
    assert grads
    one, other = losses(again, batch)[0], losses(again, changed)[0]
    assert one[0] == other[0]
    assert (one[1:3] != other[1:3]).all()


def test_same_seed_same_bits_and_another_seed_others(caught):
    one, two, three = (_train(caught, seed, epochs=5, check_every=1)[0] for seed in (1, 1, 2))
    assert all(torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors)
    assert not torch.equal(one.tensors["weight_input"], three.tensors["weight_input"])


def test_the_global_stream_is_left_alone(caught):
    before = torch.get_rng_state()
    _train(caught, epochs=2)
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_not_finite_starts_again_once_and_then_says_what_to_do(caught, monkeypatch):
    (batch,) = caught["batches"]
    broken = replace(batch, rows=torch.full_like(batch.rows, torch.nan))
    rates = []
    monkeypatch.setattr(training.AdamW, "step", lambda self, rate, **how: rates.append(rate) or torch.zeros(6))
    with pytest.raises(TrainingError, match="learning_rate") as caught_error:
        _train(caught, batches=[broken])
    assert caught_error.value.check == "loss"
    assert rates == [caught["recipe"].learning_rate, pytest.approx(0.2 * caught["recipe"].learning_rate)]


def test_weights_without_any_gradient_are_named(caught):
    (batch,) = caught["batches"]
    idle = replace(batch, weight=torch.zeros_like(batch.weight), pair_weight=torch.zeros_like(batch.pair_weight))
    with pytest.raises(TrainingError, match="describe") as found:
        _train(caught, batches=[idle])
    assert found.value.check == "dead network"


def test_a_held_out_loss_that_explodes_is_named(caught):
    with pytest.raises(TrainingError) as found:
        _train(caught, learning_rate=400.0, weight_decay=0.0, check_every=1)
    assert found.value.check == "held-out loss"


def test_dropping_everything_is_survived(caught):
    committee, _ = _train(caught, epochs=3, check_every=1, modality_dropout=0.999, dropout=0.9)
    assert all(torch.isfinite(tensor).all() for tensor in committee.tensors.values())


def test_progress_is_told(caught):
    told = []
    _train(caught, epochs=4, check_every=2, progress=lambda epoch, epochs: told.append((epoch, epochs)))
    assert told == [(2, 4), (4, 4)]


def test_long_epochs_count_for_several(caught):
    recipe = replace(caught["recipe"], epochs=160, patience=24, check_every=4)
    assert all(recipe.paced(batches) == recipe for batches in (1, 2, 4))
    eight, many = recipe.paced(8), recipe.paced(400)
    assert (eight.epochs, eight.patience, eight.check_every) == (80, 12, 2)
    assert (many.epochs, many.patience, many.check_every) == (2, 1, 1)
    assert eight.learning_rate == recipe.learning_rate


def test_members_that_leave_nobody_out_stay_as_they_began(caught):
    alone = {**caught, "checks": caught["checks"][1:]}
    committee, history = _train(alone, epochs=8)
    unchecked, start = caught["checks"][0].members, _fresh(caught)
    assert [history.best[e] for e in unchecked] == [0.0, 0.0]
    assert all(
        torch.equal(committee.tensors[name][unchecked], start.tensors[name][unchecked]) for name in start.tensors
    )
