from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from cohorts import QUESTION, make_cohort
from osler.errors import UsageError
from osler.models import device as module
from osler.models import recurrent
from osler.models.batch import Batch
from osler.models.committee import Committee
from osler.models.device import gathered_back, product, training_device
from osler.models.dropout import Dropout
from osler.models.optimiser import AdamW
from osler.models.recurrent import Recurrent
from osler.models.training import losses, train


@pytest.fixture(scope="module")
def given():
    """What a fit hands to training."""
    held = {}

    def hand(*arguments, **where):
        held.update(arguments=arguments, where=where)
        return train(*arguments, **where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "train", hand)
        held["model"] = Recurrent(QUESTION, members=2, epochs=8).fit(
            make_cohort(80, seed=6, image_size=None, embedding=None)
        )
    return held


def test_auto_takes_what_there_is(monkeypatch):
    for there, found in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert training_device("auto").type == found
        assert training_device("cpu").type == "cpu"
    assert training_device("cuda").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="auto"):
        training_device("cuda")
    with pytest.raises(UsageError, match="tpu"):
        training_device("tpu")


def test_everything_that_a_step_touches_is_moved(given):
    """On the device "meta" nothing is computed, but a tensor left on the processor is an error."""
    shape, batches, checks, masks = given["arguments"][:4]
    meta = torch.device("meta")
    batch = batches[0].on(meta)
    assert all(getattr(batch, item.name).is_meta for item in fields(Batch) if item.name != "sizes")
    assert checks[0].on(meta).batch.visits.is_meta
    generator = torch.Generator().manual_seed(0)
    learner = Committee.create(shape, generator).on(meta).of_members(torch.arange(shape.members), learning=True)
    shares = {"units": 0.3, "inputs": 0.1, "modalities": 0.1}
    dropout = Dropout.draw(shape, len(batch.last), masks, generator, **shares)
    hazard, forecast = losses(learner, batch, dropout.on(meta))
    (hazard.sum() + forecast.sum()).backward()
    optimiser = AdamW(learner.parameters(), decay=0.1, members=shape.members)
    assert all(tensor.grad.is_meta for tensor in learner.parameters())
    assert optimiser.step(0.01, most=1.0).is_meta
    going = torch.tensor([0])
    fewer = learner.of_members(going, learning=True)
    assert optimiser.of_members(fewer.parameters(), going).mean.is_meta
    with pytest.raises((RuntimeError, NotImplementedError)):
        losses(learner, batches[0])


def test_the_committee_comes_back_to_the_processor(given):
    assert given["where"]["device"].type == "cpu"
    model = given["model"]
    assert all(tensor.device.type == "cpu" for tensor in model.network_.committee.tensors.values())


def test_naming_the_processor_changes_no_bit(given):
    named = Recurrent(QUESTION, members=2, epochs=8, device="cpu").fit(
        make_cohort(80, seed=6, image_size=None, embedding=None)
    )
    mine, theirs = named.network_.committee.tensors, given["model"].network_.committee.tensors
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_products_of_fewer_bits_are_near_and_only_where_they_belong(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    a, b, bias = (torch.randn(size, generator=generator) for size in ((3, 50, 20), (3, 20, 8), (3, 1, 8)))
    exact = product(a, b, bias)
    np.testing.assert_array_equal(exact, torch.baddbmm(bias, a, b))
    assert set(module._CUT) == {"cuda"}
    monkeypatch.setitem(module._CUT, "cpu", torch.bfloat16)
    near = product(a, b, bias)
    assert near.dtype == torch.float32
    assert not torch.equal(near, exact)
    np.testing.assert_allclose(near, exact, atol=0.1)


def test_training_with_products_of_fewer_bits_learns_the_same(given, monkeypatch):
    """What a CUDA device does, here: weights, optimiser and losses stay float32."""
    shape, batches, checks, masks, recipe = given["arguments"][:5]
    quick = replace(recipe, epochs=24)
    found = []
    for cut in (False, True):
        if cut:
            monkeypatch.setitem(module._CUT, "cpu", torch.bfloat16)
        found.append(train(shape, batches, checks, masks, quick, torch.Generator().manual_seed(0)))
    (exact, one), (near, other) = found
    assert all(tensor.dtype == torch.float32 for tensor in near.tensors.values())
    assert not torch.equal(exact.tensors["weight_input"], near.tensors["weight_input"])
    np.testing.assert_allclose(other.best, one.best, atol=0.01)


def test_sums_by_position_are_the_gradient_of_gathering():
    values = torch.arange(24.0).view(2, 4, 3)
    which = torch.tensor([1, 3, 1, 0])
    states = torch.zeros(2, 5, 3, requires_grad=True)
    (states[:, which] * values).sum().backward()
    assert torch.equal(gathered_back(values, which, 5), states.grad)
