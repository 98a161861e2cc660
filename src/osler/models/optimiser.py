"""AdamW: adaptive steps with decoupled weight decay. Loshchilov and Hutter, ICLR 2019.

``torch.optim`` loads a compiler on first use, which costs seconds in every process, and cannot let single members of
a committee stop; the rule itself is five lines.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["AdamW"]

_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8


class AdamW:
    """Steps of ``tensors`` along their gradients; tensors without a gradient stay."""

    def __init__(self, tensors: Sequence[Tensor], *, decay: float) -> None:
        self.tensors, self.decay, self.count = list(tensors), decay, 0
        self.mean = [torch.zeros_like(t) for t in self.tensors]
        self.square = [torch.zeros_like(t) for t in self.tensors]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step at learning rate ``rate``; gradients are forgotten."""
        self.count += 1
        first, second = 1 - _FIRST**self.count, 1 - _SECOND**self.count
        for tensor, mean, square in zip(self.tensors, self.mean, self.square, strict=True):
            gradient = tensor.grad
            if gradient is None:
                continue
            mean.lerp_(gradient, 1 - _FIRST)
            square.mul_(_SECOND).addcmul_(gradient, gradient, value=1 - _SECOND)
            tensor.mul_(1 - rate * self.decay)
            tensor.addcdiv_(mean / first, (square / second).sqrt_().add_(_TINY), value=-rate)
            tensor.grad = None

    def of_members(self, tensors: Sequence[Tensor], members: Tensor) -> AdamW:
        """The same state for some slices of the first dimension, now stepping ``tensors``."""
        other = AdamW(tensors, decay=self.decay)
        other.count = self.count
        other.mean = [m[members] for m in self.mean]
        other.square = [s[members] for s in self.square]
        return other
