"""AdamW: adaptive steps with decoupled weight decay. Loshchilov and Hutter, ICLR 2019.

``torch.optim`` loads a compiler on first use, which costs seconds in every process, and cannot let single members of
a committee stop; the rule itself is five lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

__all__ = ["AdamW"]

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


class AdamW:
    """Steps of ``tensors`` along their gradients.

    Moments are kept side by side, (E, N), so that a step is a few operations and not a few for each tensor.

    Args:
        tensors: what is learned; of a committee, the first dimension of each is the member.
        decay: of weights, per unit of the learning rate.
        members: E; 1 for an ordinary network.
    """

    def __init__(self, tensors: Sequence[Tensor], *, decay: float, members: int = 1) -> None:
        self.tensors, self.decay, self.members, self.count = list(tensors), decay, members, 0
        self.mean = self._beside(torch.zeros_like(t) for t in self.tensors)
        self.square = torch.zeros_like(self.mean)

    def _beside(self, tensors: Iterable[Tensor]) -> Tensor:
        E = self.members
        return torch.cat([tensor.reshape(E, tensor.numel() // E) for tensor in tensors], dim=1)

    @torch.no_grad()
    def step(self, rate: float, *, most: float = math.inf) -> Tensor:
        """One step at learning rate ``rate``; gradients are forgotten, and tensors without one stay.

        A member's gradient is shortened to the norm ``most``. Returns the norms (E,) before that.
        """
        gradient = self._beside(torch.zeros_like(t) if t.grad is None else t.grad for t in self.tensors)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        if math.isfinite(most):
            gradient *= (most / norm.clamp_min(most)).unsqueeze(1)
        self.count += 1
        first, second = 1 - _FIRST**self.count, 1 - _SECOND**self.count
        self.mean.lerp_(gradient, 1 - _FIRST)
        self.square.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
        change = self.mean / (self.square / second).sqrt_().add_(_TINY)
        pieces = change.split([t.numel() // self.members for t in self.tensors], dim=1)
        for tensor, piece in zip(self.tensors, pieces, strict=True):
            if tensor.grad is not None:
                tensor.mul_(1 - rate * self.decay).add_(piece.reshape(tensor.shape), alpha=-rate / first)
                tensor.grad = None
        return norm

    def of_members(self, tensors: Sequence[Tensor], members: Tensor) -> AdamW:
        """The same state for some slices of the first dimension, now stepping ``tensors``."""
        other = AdamW(tensors, decay=self.decay, members=len(members))
        other.count, other.mean, other.square = self.count, self.mean[members], self.square[members]
        return other
