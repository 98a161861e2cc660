"""Committee: E small recurrent networks trained side by side, as slices of the same tensors.

At 16 hidden units a network is too small to keep a processor busy: the time goes into calling. The gates of all
members come from one batched product per step, and visits are packed step by step (``features.sequence``), so that
ten members cost less than ten networks one after another. Members share no weight: the gradient of one slice is zero
in the others, and AdamW treats every number on its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

__all__ = ["Committee", "Shape", "gru"]


def gru(
    inputs: Tensor,
    sizes: Sequence[int],
    initial: Tensor,
    weight_input: Tensor,
    weight_state: Tensor,
    bias_input: Tensor,
    bias_state: Tensor,
) -> Tensor:
    """States of E gated recurrent units after each of V packed visits: (E, V, H).

    The cell is that of ``torch.nn.GRU`` with gates in its order (reset, update, new); Cho et al., EMNLP 2014.

    Args:
        inputs: (E, V, D), step by step, step t holding ``sizes[t]`` patients in a fixed order.
        sizes: never increasing; they sum to V.
        initial: (E, 1, H) state before the first visit.
        weight_input: (E, D, 3 H).
        weight_state: (E, H, 3 H).
        bias_input: (E, 1, 3 H).
        bias_state: (E, 1, 3 H).
    """
    gates = torch.baddbmm(bias_input, inputs, weight_input)
    return _Scan.apply(gates, initial, weight_state, bias_state, tuple(sizes))


class _Scan(torch.autograd.Function):
    """The recurrence over steps, with its gradient by hand: what does not depend on later steps is done at once."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, gates: Tensor, initial: Tensor, weight: Tensor, bias: Tensor, sizes: tuple[int, ...]
    ) -> Tensor:
        E, V, H = gates.shape[0], gates.shape[1], initial.shape[2]
        before, own, after = gates.new_empty(E, V, H), gates.new_empty(E, V, H), gates.new_empty(E, V, H)
        both, new = gates.new_empty(E, V, 2 * H), gates.new_empty(E, V, H)
        state, start = initial.expand(-1, sizes[0] if sizes else 0, -1), 0
        for size in sizes:
            here = slice(start, start + size)
            before[:, here] = state[:, :size]
            recurrent = torch.baddbmm(bias, before[:, here], weight)
            own[:, here] = recurrent[:, :, 2 * H :]
            both[:, here] = torch.sigmoid(gates[:, here, : 2 * H] + recurrent[:, :, : 2 * H])
            reset, update = both[:, here, :H], both[:, here, H:]
            new[:, here] = torch.tanh(torch.addcmul(gates[:, here, 2 * H :], reset, own[:, here]))
            state = torch.lerp(new[:, here], before[:, here], update)
            after[:, here] = state
            start += size
        ctx.save_for_backward(before, own, both, new, weight)
        ctx.sizes = sizes
        return after

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        before, own, both, new, weight = ctx.saved_tensors
        H = new.shape[2]
        reset, update = both.split(H, dim=2)
        by_new = (1 - update) * (1 - new * new)  # of the state by the new gate's sum, and so on
        by_update = (before - new) * update * (1 - update)
        by_reset = own * reset * (1 - reset)
        given = grad.new_empty(*grad.shape[:2], 3 * H)  # gradient of the gates; of the recurrent part but for ``reset``
        back = weight.transpose(1, 2)
        later, start = grad.new_zeros(grad.shape[0], 0, H), grad.shape[1]
        for size in reversed(ctx.sizes):
            here = slice(start - size, start)
            flow = grad[:, here].clone()
            flow[:, : later.shape[1]] += later
            to_new = flow * by_new[:, here]
            given[:, here, 2 * H :] = to_new
            given[:, here, :H] = to_new * by_reset[:, here]
            given[:, here, H : 2 * H] = flow * by_update[:, here]
            recurrent = torch.cat([given[:, here, : 2 * H], to_new * reset[:, here]], dim=2)
            later = torch.baddbmm(flow * update[:, here], recurrent, back)
            start -= size
        recurrent = torch.cat([given[:, :, : 2 * H], given[:, :, 2 * H :] * reset], dim=2)
        to_weight = before.transpose(1, 2) @ recurrent
        to_bias = recurrent.sum(dim=1, keepdim=True)
        return given, later.sum(dim=1, keepdim=True), to_weight, to_bias, None


@dataclass(frozen=True)
class Shape:
    """Sizes of a committee: members, inputs of a visit and of a row, units, causes, bins, forecast variables."""

    members: int
    visit_inputs: int
    row_inputs: int
    state: int
    head: int
    causes: int
    bins: int
    forecasts: int
    forecast_inputs: int


@dataclass(frozen=True, eq=False)
class Committee:
    """E members: a GRU over visits, a head over its state and the row's own inputs, and a forecast head.

    Attributes:
        shape: the sizes.
        tensors: every trained number, by name; the first dimension is the member.
    """

    shape: Shape
    tensors: dict[str, Tensor]

    @classmethod
    def create(cls, shape: Shape, generator: torch.Generator) -> Self:
        """Random hidden weights; output layers of zero: an untrained member says exactly what its offset says."""
        E, D, P, H, M, J = shape.members, shape.visit_inputs, shape.row_inputs, shape.state, shape.head, shape.forecasts

        def uniform(fan: int, *size: int) -> Tensor:
            return (torch.rand(E, *size, generator=generator) * 2 - 1) * max(fan, 1) ** -0.5

        def zeros(*size: int) -> Tensor:
            return torch.zeros(E, *size)

        tensors = {
            "initial": zeros(1, H),
            "weight_input": uniform(max(H, D), D, 3 * H),
            "weight_state": uniform(H, H, 3 * H),
            "bias_input": zeros(1, 3 * H),
            "bias_state": zeros(1, 3 * H),
            "head_state": uniform(H + P, H, M),
            "head_row": uniform(H + P, P, M),
            "head_bias": zeros(1, M),
            "output": zeros(M, 2 * shape.causes),
            "output_bias": zeros(1, 2 * shape.causes),
            "base": zeros(shape.causes, shape.bins),
            "ahead_state": uniform(H + shape.forecast_inputs, H, M),
            "ahead_input": uniform(H + shape.forecast_inputs, shape.forecast_inputs, M),
            "ahead_bias": zeros(1, M),
            "ahead_output": zeros(M, 2 * J),
        }
        return cls(shape, tensors)

    def parameters(self) -> list[Tensor]:
        """All tensors, in a fixed order."""
        return list(self.tensors.values())

    def of_members(self, members: Tensor, *, learning: bool = False) -> Self:
        """A copy of some of the members, by position; with ``learning`` its tensors gather gradients."""
        tensors = {k: v.detach()[members].requires_grad_(learning) for k, v in self.tensors.items()}
        return replace(self, shape=replace(self.shape, members=len(members)), tensors=tensors)

    def keep(self, members: Tensor, other: Committee, chosen: Tensor) -> None:
        """Put the members ``chosen`` (mask) of ``other`` in the places ``members`` of this one."""
        for name, tensor in self.tensors.items():
            tensor[members] = other.tensors[name].detach()[chosen]

    def state(self) -> dict[str, Any]:
        """Shape and arrays."""
        return {"shape": asdict(self.shape), "tensors": {k: v.detach().numpy() for k, v in self.tensors.items()}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        tensors = {name: torch.tensor(np.asarray(array)) for name, array in state["tensors"].items()}
        return cls(Shape(**state["shape"]), tensors)

    def states(self, visits: Tensor, sizes: Sequence[int], keep: Tensor | None = None) -> Tensor:
        """(E, 1 + V, H): the initial state, then the state after each packed visit.

        ``visits`` (V, D) serve every member; ``keep`` (E, D, 1) multiplies input weights (dropout).
        """
        t = self.tensors
        weight = t["weight_input"] if keep is None else t["weight_input"] * keep
        inputs = visits.expand(self.shape.members, -1, -1)
        after = gru(inputs, sizes, t["initial"], weight, t["weight_state"], t["bias_input"], t["bias_state"])
        return torch.cat([t["initial"], after], dim=1)

    def head(
        self,
        states: Tensor,
        last: Tensor,
        rows: Tensor,
        *,
        keep_rows: Tensor | None = None,
        absent: Tensor | None = None,
        keep_units: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """(E, R, K) level and slope in time of the log hazards of R rows.

        Args:
            states: of ``states``.
            last: (R,) packed position of the row's last visit, -1 for none.
            rows: (R, P) the rows' own inputs.
            keep_rows: (E, P, 1) multipliers of input weights (dropout).
            absent: (E, 1, P) what is put in place of dropped inputs.
            keep_units: (E, R, M) multipliers of hidden units (dropout).
        """
        t = self.tensors
        weight = t["head_row"] if keep_rows is None else t["head_row"] * keep_rows
        bias = t["head_bias"] if absent is None else torch.baddbmm(t["head_bias"], absent, t["head_row"])
        hidden = torch.baddbmm(bias, rows.expand(self.shape.members, -1, -1), weight)
        hidden = torch.tanh(torch.baddbmm(hidden, states.index_select(1, last + 1), t["head_state"]))
        if keep_units is not None:
            hidden = hidden * keep_units
        level, slope = torch.baddbmm(t["output_bias"], hidden, t["output"]).split(self.shape.causes, dim=2)
        return level, slope

    def ahead(self, states: Tensor, origin: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(E, Q, J) corrections of the mean and the log standard deviation of forecasts.

        ``origin`` (Q,) are packed positions; ``inputs`` (Q, F) say how far ahead and what was known.
        """
        t = self.tensors
        hidden = torch.baddbmm(t["ahead_bias"], inputs.expand(self.shape.members, -1, -1), t["ahead_input"])
        hidden = torch.tanh(torch.baddbmm(hidden, states.index_select(1, origin + 1), t["ahead_state"]))
        mean, spread = (hidden @ t["ahead_output"]).split(self.shape.forecasts, dim=2)
        return mean, spread
