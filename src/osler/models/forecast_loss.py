"""ForecastLoss: minus the log-density of what later visits measured, under normal forecasts that a network corrects."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["ForecastLoss"]

_LEAST, _MOST = -5.0, 3.0  # bounds of the log standard deviation, in spreads of a variable


class ForecastLoss(torch.autograd.Function):
    """Mean over what was measured of ``0.5 ((y - mean) / sd)^2 + log sd``, with its gradient in closed form."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        shift: Tensor,
        spread: Tensor,
        residual: Tensor,
        log_sd: Tensor,
        known: Tensor,
        weight: Tensor,
    ) -> Tensor:
        """(E,) loss per measured value and unit of weight.

        Args:
            ctx: where the gradient is kept.
            shift: (E, Q, J) correction of the expected value.
            spread: (E, Q, J) correction of the log standard deviation.
            residual: (Q, J) measured less expected values before correction.
            log_sd: (Q, J) log standard deviations before correction.
            known: (Q, J) 1 where a value was measured.
            weight: (E, Q) of the pairs; pairs with weight 0 do not count.
        """
        # Pairs come last, (E, J, Q), as the network gives them: memory is contiguous.
        counted = (weight @ known).sum(dim=1).clamp_min(1.0)
        share = (weight / counted.unsqueeze(1)).unsqueeze(1) * known.t().contiguous()
        asked = spread.transpose(1, 2) + log_sd.t().contiguous()
        log = asked.clamp(_LEAST, _MOST)
        precision = log.neg().exp_()
        z = (residual.t().contiguous() - shift.transpose(1, 2)).mul_(precision)
        square = z.square()
        loss = torch.addcmul(log, square, torch.full_like(log[:1, :1, :1], 0.5)).mul_(share).sum(dim=(1, 2))
        by_shift = precision.mul_(z).mul_(share).neg_()
        by_spread = square.sub_(1.0).neg_().mul_(share).mul_(torch.eq(asked, log, out=torch.empty_like(log)))
        ctx.save_for_backward(by_shift.transpose(1, 2), by_spread.transpose(1, 2))
        return loss

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients of shift and spread."""
        by_shift, by_spread = ctx.saved_tensors  # type: ignore[attr-defined]
        each = grad.view(-1, 1, 1)
        return by_shift * each, by_spread * each, None, None, None, None
