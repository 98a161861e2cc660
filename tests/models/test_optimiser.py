from __future__ import annotations

import numpy as np
import torch

from osler.models.optimiser import AdamW


def _loss(tensor: torch.Tensor) -> torch.Tensor:
    return ((tensor - torch.tensor([1.0, -2.0, 3.0])) ** 2 * torch.tensor([1.0, 10.0, 0.1])).sum()


def test_steps_equal_those_of_torch():
    mine = torch.tensor([[0.5, 0.1, -0.3], [2.0, 0.0, 1.0]], requires_grad=True)
    theirs = mine.detach().clone().requires_grad_()
    own, reference = AdamW([mine], decay=0.1), torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    for _ in range(50):
        _loss(mine).backward()
        own.step(0.05)
        reference.zero_grad()
        _loss(theirs).backward()
        reference.step()
    np.testing.assert_allclose(mine.detach(), theirs.detach(), rtol=2e-5)


def test_members_that_stop_do_not_disturb_the_others():
    whole = torch.tensor([[0.5, 0.1, -0.3], [2.0, 0.0, 1.0]], requires_grad=True)
    optimiser = AdamW([whole], decay=0.1, members=2)
    part, few = None, None
    for step in range(20):
        if step == 8:
            part = whole.detach()[[1]].requires_grad_()
            few = optimiser.of_members([part], torch.tensor([1]))
        _loss(whole).backward()
        optimiser.step(0.05)
        if few is not None:
            _loss(part).backward()
            few.step(0.05)
    np.testing.assert_allclose(part.detach()[0], whole.detach()[1], rtol=1e-6)


def test_a_tensor_without_gradient_stays():
    idle = torch.ones(2, requires_grad=True)
    AdamW([idle], decay=0.5).step(0.1)
    assert (idle == 1).all()


def test_tensors_of_any_shape_and_layout_are_stepped():
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(size, generator=generator) for size in ((), (3,), (2, 3, 4))]
    start[2] = start[2].permute(2, 0, 1)
    mine, theirs = ([tensor.clone().requires_grad_() for tensor in start] for _ in range(2))
    own, reference = AdamW(mine, decay=0.1), torch.optim.AdamW(theirs, lr=0.05, weight_decay=0.1)
    for _ in range(5):
        sum((tensor**2).sum() for tensor in mine).backward()
        own.step(0.05)
        reference.zero_grad()
        sum((tensor**2).sum() for tensor in theirs).backward()
        reference.step()
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-5)


def test_gradients_are_shortened_member_by_member():
    tensors = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 1, requires_grad=True)]
    optimiser = AdamW(tensors, decay=0.0, members=2)
    tensors[0].grad, tensors[1].grad = torch.tensor([[3.0, 0.0, 0.0], [0.3, 0.0, 0.0]]), torch.tensor([[4.0], [0.4]])
    np.testing.assert_allclose(optimiser.step(0.1, most=1.0), [5.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(optimiser.mean[:, [0, 3]], [[0.06, 0.08], [0.03, 0.04]], rtol=1e-5)
