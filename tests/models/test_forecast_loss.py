from __future__ import annotations

import numpy as np
import torch

from osler.models.forecast_loss import ForecastLoss


def _arguments(seed: int = 0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    free = normal(2, 9, 3).requires_grad_(), (4 * normal(2, 9, 3)).requires_grad_()
    known, weight = (normal(9, 3) > -0.5).double(), (normal(2, 9) > -0.5).double()
    return free, (normal(9, 3), normal(9, 3), known, weight)


def _plainly(shift, spread, residual, log_sd, known, weight):
    log = (log_sd + spread).clamp(-5.0, 3.0)
    each = (0.5 * ((residual - shift) / log.exp()) ** 2 + log) * known
    return (each.sum(dim=2) * weight).sum(dim=1) / (known.sum(dim=1) * weight).sum(dim=1)


def test_the_loss_is_minus_the_mean_log_density_but_for_a_constant():
    (shift, spread), rest = _arguments()
    within = spread.detach().clamp(-1, 1)
    got = ForecastLoss.apply(shift.detach(), within, *rest)
    residual, log_sd, known, weight = rest
    density = torch.distributions.Normal(shift.detach(), (log_sd + within).exp()).log_prob(residual)
    counted = known * weight.unsqueeze(2)
    expected = -(density * counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)) - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_the_gradient_is_that_of_autograd_at_the_bounds_too():
    free, rest = _arguments(1)
    bounded = (rest[1] + free[1]).detach()
    assert ((bounded < -5) | (bounded > 3)).any()
    one, other = (torch.autograd.grad(f(*free, *rest).sum(), free) for f in (ForecastLoss.apply, _plainly))
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)


def test_what_was_not_measured_does_not_count():
    (shift, spread), (residual, log_sd, known, weight) = _arguments(2)
    wild = torch.where(known > 0, residual, 1e6)
    one, other = (ForecastLoss.apply(shift, spread, y, log_sd, known, weight) for y in (residual, wild))
    np.testing.assert_array_equal(one.detach(), other.detach())
    nothing = ForecastLoss.apply(shift, spread, residual, log_sd, known, torch.zeros_like(weight))
    assert (nothing == 0).all()
