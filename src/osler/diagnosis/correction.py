"""Correction: small networks of columns, each of which leaves a part of the patients out, over a ridge path or free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from osler.errors import ModelError
from osler.features.scale import dot_rows
from osler.models.optimiser import AdamW

__all__ = ["Correction"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BATCH, _CHECK = 128, 2


@dataclass
class Correction:
    """One hidden layer for each part of the patients; it starts by saying nothing.

    Args:
        units: of the hidden layer.
        rate, decay: of AdamW.
        dropout: share of hidden units dropped in a step.
        epochs: at most; patience: epochs without a better held-out loss after which the weights of the best are taken.
    """

    units: int = 16
    rate: float = 5e-3
    decay: float = 0.1
    dropout: float = 0.3
    epochs: int = 120
    patience: int = 16
    members: tuple[dict[str, Floats], ...] = ()

    def fit(self, X: Floats, offset: Floats, label: Ints, part: Ints, seed: int) -> Self:
        """Train one member without each part.

        Args:
            X: (n, Q) columns of spread about one.
            offset: (n, P) log odds that members correct; those of somebody who did not see the row.
            label: (n,) codes 0 to P - 1.
            part: (n,) of each row.
            seed: of first weights, batches and dropout.
        """
        columns, start, target = _tensor(X), _tensor(offset), torch.from_numpy(label)
        self.members = tuple(
            self._member(columns, start, target, torch.from_numpy(part == number), seed + number)
            for number in range(int(part.max()) + 1)
        )
        return self

    def _member(self, X: Tensor, offset: Tensor, target: Tensor, out: Tensor, seed: int) -> dict[str, Floats]:
        generator = torch.Generator().manual_seed(seed)
        size, classes = X.shape[1], offset.shape[1]
        first = (torch.rand(size, self.units, generator=generator) * 2 - 1) / max(size, 1) ** 0.5
        weights = [first, torch.zeros(self.units), torch.zeros(self.units, classes), torch.zeros(classes)]
        for tensor in weights:
            tensor.requires_grad_()
        optimiser = AdamW(weights, decay=self.decay)
        inside, outside = torch.nonzero(~out)[:, 0], torch.nonzero(out)[:, 0]
        best, kept, since = np.inf, [tensor.detach().clone() for tensor in weights], 0
        for epoch in range(self.epochs):
            order = inside[torch.randperm(len(inside), generator=generator)]
            for rows in order.split(_BATCH):
                hidden = torch.relu(X[rows] @ weights[0] + weights[1])
                keep = (torch.rand(hidden.shape, generator=generator) >= self.dropout) / (1 - self.dropout)
                logits = offset[rows] + (hidden * keep) @ weights[2] + weights[3]
                loss = functional.cross_entropy(logits, target[rows])
                if not torch.isfinite(loss):
                    raise ModelError("training of the network failed: the loss is not finite")
                loss.backward()
                nn.utils.clip_grad_norm_(weights, 1.0)
                optimiser.step(self.rate)
            if epoch % _CHECK:
                continue
            with torch.no_grad():
                said = offset[outside] + torch.relu(X[outside] @ weights[0] + weights[1]) @ weights[2] + weights[3]
                now = float(functional.cross_entropy(said, target[outside])) if len(outside) else -float(epoch)
            if now < best:
                best, kept, since = now, [tensor.detach().clone() for tensor in weights], 0
            elif (since := since + _CHECK) >= self.patience:
                break
        names = ("first", "first_bias", "second", "second_bias")
        return {name: tensor.double().numpy() for name, tensor in zip(names, kept, strict=True)}

    def log_odds(self, X: Floats, member: int) -> Floats:
        """(n, P) that one member adds; each row by itself to the bit."""
        weights = self.members[member]
        hidden = np.maximum(dot_rows(X, weights["first"]) + weights["first_bias"], 0.0)
        return dot_rows(hidden, weights["second"]) + weights["second_bias"]

    def state(self) -> dict[str, Any]:
        """Arrays."""
        return {"members": [dict(member) for member in self.members]}

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave."""
        self.members = tuple(state["members"])
        return self


def _tensor(values: Floats) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)
