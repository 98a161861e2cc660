"""Network: a trained committee, what it starts from, and its hazards; and the batches that train it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from osler.features.sequence import Sequences
from osler.models.batch import Batch, Check
from osler.models.committee import Committee
from osler.models.forecast import ForecastPath, pairs, past
from osler.models.hazard import FollowUp, steps

__all__ = ["Network", "TrainingRows", "checks_of", "make_batch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PAIRS = 3000  # most forecast pairs of a batch


def tensor(values: Any) -> Tensor:
    """A float32 copy."""
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class Network:
    """A committee and the log hazards that its members correct.

    Attributes:
        committee: E members.
        base: (E, K, B) log hazards that members start from; -inf for a cause without event.
        over: (E,) 1 for members over the ridge path, 0 for free ones.
        gain: (E,) factor of what members say.
    """

    committee: Committee
    base: Floats
    over: Floats
    gain: Floats

    @torch.no_grad()
    def log_hazards(self, sequences: Sequences, rows: Floats, eta: Floats, edges: Floats) -> Iterator[Floats]:
        """(R, K, B) of one member after another, from head rows (R, Q) and the ridge path's ``eta`` (R, K, 2)."""
        states = self.committee.states(torch.from_numpy(sequences.inputs), sequences.packing.sizes)
        level, slope = self.committee.head(states, torch.from_numpy(sequences.last), tensor(rows))
        time = steps(edges)
        path = eta[:, :, :1] + eta[:, :, 1:] * time
        learned = self.committee.tensors["base"].detach().double().numpy()
        for e in range(len(self.base)):
            own = level[e].double().numpy()[:, :, None] + slope[e].double().numpy()[:, :, None] * time
            yield self.base[e] + learned[e] + self.gain[e] * own + self.over[e] * path

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {"committee": self.committee.state(), "base": self.base, "over": self.over, "gain": self.gain}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(Committee.from_state(state["committee"]), state["base"], state["over"], state["gain"])


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """R rows of n patients, as every batch is cut from them.

    Attributes:
        patient: (R,) position of the row's patient.
        seen: follow-up of the rows. sequences: their visits. head: (R, Q) inputs of the head.
        held_out: (R, K, 2) level and drift of the ridge path's predictor, by a fit that did not see the patient.
        base, over, gain: of ``Network``, finite.
        fold: (n,) inner fold of every patient. left: (E,) the fold that each member leaves out.
        edges: of the bins. path: forecasts that the network corrects.
    """

    patient: Ints
    seen: FollowUp
    sequences: Sequences
    head: Floats
    held_out: Floats
    base: Floats
    over: Floats
    gain: Floats
    fold: Ints
    left: Ints
    edges: Floats
    path: ForecastPath

    def left_out(self, network: Network, asked: Ints) -> tuple[Floats, Floats, Floats]:
        """(len(asked), K, B) log hazards of some rows by the ridge path, a member over it and a free one.

        None of the three saw the patient; where several members left the patient's fold out, the last one speaks.
        """
        everyone = np.ones(len(self.fold), dtype=bool)
        visits = self.sequences.of_patients(everyone, asked)
        level, drift = np.moveaxis(self.held_out[asked], 2, 0)[:, :, :, None]
        path = network.base[0] + level + drift * steps(self.edges)
        over, free = path.copy(), path.copy()
        spoken = network.log_hazards(visits, self.head[asked], self.held_out[asked], self.edges)
        for e, log_hazard in enumerate(spoken):
            mine = self.fold[self.patient[asked]] == self.left[e]
            (over if self.over[e] else free)[mine] = log_hazard[mine]
        return path, over, free


def make_batch(rows: TrainingRows, chosen: NDArray[np.bool_], *, checking: bool = False) -> Batch:
    """The patients ``chosen`` (n,); each member's own left-out fold has no weight, unless it is for checking."""
    index = np.flatnonzero(chosen[rows.patient])
    visits = rows.sequences.of_patients(chosen, index)
    seen = rows.seen.take(index)
    K = rows.base.shape[1]
    before, after = past(visits, rows.path.unit), pairs(visits)
    known = np.isfinite(after.target)
    pick = np.flatnonzero(known.any(axis=1) & (not checking))
    if len(pick) > _PAIRS:  # evenly over patients and steps: enough to learn from, at a bounded cost
        pick = pick[np.linspace(0, len(pick) - 1, _PAIRS).astype(np.int64)]
    mean, variance = rows.path.predict(before, after.origin[pick], after.ahead[pick])

    def weight(patient: Ints) -> Tensor:
        trained = rows.fold[patient][None, :] != rows.left[:, None]
        return tensor(np.ones_like(trained) if checking else trained)

    return Batch(
        sizes=visits.packing.sizes,
        visits=torch.from_numpy(visits.inputs),
        last=torch.from_numpy(visits.last),
        rows=tensor(rows.head[index]),
        offset=tensor(rows.over[:, None, None] * rows.held_out[index, :, 0]),
        drift=tensor(rows.over[:, None, None] * rows.held_out[index, :, 1]),
        base=tensor(rows.base),
        gain=tensor(rows.gain[:, None, None]),
        exposure=tensor(seen.exposure),
        where=torch.from_numpy(seen.bin),
        events=tensor(seen.cause[:, None] == np.arange(1, K + 1)),
        weight=weight(rows.patient[index]),
        time=tensor(steps(rows.edges)),
        origin=torch.from_numpy(after.origin[pick]),
        ahead=torch.from_numpy(rows.path.inputs(before, after.origin[pick], after.ahead[pick])),
        target=tensor(np.nan_to_num(after.target[pick])),
        known=tensor(known[pick]),
        mean=tensor(mean),
        spread=tensor(0.5 * np.log(variance)),
        pair_weight=weight(visits.patient[after.origin[pick]]),
    )


def checks_of(rows: TrainingRows) -> list[Check]:
    """For every inner fold with rows, its patients and the members that leave it out."""
    checks = []
    for fold in np.unique(rows.fold[rows.patient]):
        members = torch.from_numpy(np.flatnonzero(rows.left == fold))
        if len(members):
            checks.append(Check(members, make_batch(rows, rows.fold == fold, checking=True).of_members(members)))
    return checks
