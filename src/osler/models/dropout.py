"""Dropout: what a step leaves out of inputs, of whole modalities and of hidden units. Srivastava et al., JMLR 2014."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor

from osler.models.batch import Masks
from osler.models.committee import Shape

__all__ = ["Dropout"]


@dataclass(frozen=True, eq=False)
class Dropout:
    """Multipliers of what is kept, and what stands in for what is not.

    Attributes:
        visit: (E, D, 1) of input weights of visits. row: (E, P, 1) of those of rows.
        absent: (E, 1, P) stands in for dropped modalities.
        units: (E, R, M) of hidden units.
    """

    visit: Tensor
    row: Tensor
    absent: Tensor
    units: Tensor

    @classmethod
    def draw(
        cls,
        shape: Shape,
        rows: int,
        masks: Masks,
        generator: torch.Generator,
        *,
        units: float,
        inputs: float,
        modalities: float,
    ) -> Self:
        """Drop shares of ``units``, ``inputs`` and ``modalities`` for a batch of so many rows.

        Inputs are dropped for a member's whole batch at once, so that weights are masked and no (E, R, P) is made.
        """
        E = shape.members

        def kept(share: float, *size: int) -> Tensor:
            drawn = torch.rand(*size, generator=generator)
            return torch.ge(drawn, share, out=drawn)

        modality = torch.cat([kept(modalities, E, masks.modalities), torch.ones(E, 1)], dim=1)
        survive = 1.0 / (1.0 - inputs)
        visit = kept(inputs, E, shape.visit_inputs) * survive * modality[:, masks.visit_modality]
        present = modality[:, masks.row_modality]
        row = kept(inputs, E, shape.row_inputs) * survive * present
        absent = ((1 - present) * masks.absent).unsqueeze(1)
        hidden = kept(units, E, rows, shape.head).mul_(1.0 / (1.0 - units))
        return cls(visit.unsqueeze(2), row.unsqueeze(2), absent, hidden)

    def on(self, device: torch.device) -> Self:
        """The same multipliers on a device."""
        return replace(self, **{item.name: getattr(self, item.name).to(device) for item in fields(self)})
