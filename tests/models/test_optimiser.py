from __future__ import annotations

import numpy as np
import torch

from osler.models.optimiser import CommitteeAdamW


def _loss(tensor: torch.Tensor) -> torch.Tensor:
    return ((tensor - torch.tensor([1.0, -2.0, 3.0])) ** 2 * torch.tensor([1.0, 10.0, 0.1])).sum()


def test_steps_equal_those_of_torch():
    mine = torch.tensor([[0.5, 0.1, -0.3], [2.0, 0.0, 1.0]], requires_grad=True)
    theirs = mine.detach().clone().requires_grad_()
    own, reference = CommitteeAdamW([mine], decay=0.1), torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.1)
    for _ in range(50):
        _loss(mine).backward()
        own.step(0.05)
        reference.zero_grad()
        _loss(theirs).backward()
        reference.step()
    np.testing.assert_allclose(mine.detach(), theirs.detach(), rtol=2e-5)


def test_members_that_stop_do_not_disturb_the_others():
    whole = torch.tensor([[0.5, 0.1, -0.3], [2.0, 0.0, 1.0]], requires_grad=True)
    optimiser = CommitteeAdamW([whole], decay=0.1)
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
    idle = torch.ones(1, 2, requires_grad=True)
    CommitteeAdamW([idle], decay=0.5).step(0.1)
    assert (idle == 1).all()
