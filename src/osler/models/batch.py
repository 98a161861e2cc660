"""Batch: the tensors that a training step, or a check on patients left out, is computed from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

__all__ = ["Batch", "Check", "Masks"]


@dataclass(frozen=True, eq=False)
class Masks:
    """Which inputs belong together, and how an absent modality looks.

    Attributes:
        visit_modality: (D,) number of each visit input's modality, -1 for those never dropped.
        row_modality: (P,) likewise of the row inputs.
        absent: (P,) the row inputs of a patient of whom nothing is known.
        modalities: how many there are.
    """

    visit_modality: Tensor
    row_modality: Tensor
    absent: Tensor
    modalities: int


@dataclass(frozen=True, eq=False)
class Batch:
    """Some patients with all their visits, rows and forecast pairs.

    Attributes:
        sizes: of the packed visits.
        visits: (V, D) inputs. last: (R,). rows: (R, P).
        offset, drift: (E, R, K) added to the level and to the slope in time. base: (E, K, B) starting log hazards.
        gain: (E, 1, 1) of level and slope.
        exposure: (R, B). where: (R,). events: (R, K). weight: (E, R).
        time: (B,) of ``hazard.steps``.
        origin: (Q,) packed positions. ahead: (Q, F). target, known: (Q, J). mean, spread: (Q, J) the forecast path's
            expectation and log standard deviation. pair_weight: (E, Q).
    """

    sizes: tuple[int, ...]
    visits: Tensor
    last: Tensor
    rows: Tensor
    offset: Tensor
    drift: Tensor
    base: Tensor
    gain: Tensor
    exposure: Tensor
    where: Tensor
    events: Tensor
    weight: Tensor
    time: Tensor
    origin: Tensor
    ahead: Tensor
    target: Tensor
    known: Tensor
    mean: Tensor
    spread: Tensor
    pair_weight: Tensor

    def on(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        tensors = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "sizes"}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})

    def of_members(self, members: Tensor) -> Batch:
        """The same rows for some of the members, by position."""
        of_each = ("offset", "drift", "base", "gain", "weight", "pair_weight")
        mine = {name: getattr(self, name)[members] for name in of_each}
        return replace(self, **mine)


@dataclass(frozen=True, eq=False)
class Check:
    """The patients that ``members`` (positions among those that are learning) never train on."""

    members: Tensor
    batch: Batch

    def on(self, device: torch.device) -> Check:
        """The same check on a device."""
        return Check(self.members, self.batch.on(device))

    def among(self, active: Tensor) -> Check:
        """The same check when only the members ``active`` are learning."""
        mine = torch.isin(self.members, active)
        return Check(torch.searchsorted(active, self.members[mine]), self.batch.of_members(mine))
