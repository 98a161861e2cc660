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

from osler.models.device import gathered_back, product

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
    """States of E gated recurrent units before the first and after each of V packed visits: (E, 1 + V, H).

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
    return _Scan.apply(inputs, initial, weight_input, weight_state, bias_input, bias_state, tuple(sizes))


def _tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent in place, from the logistic function in a third of the time of ``torch.tanh``."""
    return x.mul_(2).sigmoid_().mul_(2).sub_(1)


class _Scan(torch.autograd.Function):
    """The recurrence over steps, with its gradient by hand: what does not depend on later steps is done at once.

    Gates lie side by side in the order (own part of the new gate, reset, update, new gate): the first three are what
    the state feeds, the last three what the inputs feed. Only results of products need contiguous memory of their own.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        inputs: Tensor,
        initial: Tensor,
        weight_input: Tensor,
        weight_state: Tensor,
        bias_input: Tensor,
        bias_state: Tensor,
        sizes: tuple[int, ...],
    ) -> Tensor:
        E, V, H = inputs.shape[0], inputs.shape[1], initial.shape[2]
        bias_both, bias_own = bias_state[:, :, : 2 * H], bias_state[:, :, 2 * H :]
        bias = torch.cat([bias_input[:, :, : 2 * H] + bias_both, bias_input[:, :, 2 * H :]], dim=2)
        gates = product(inputs, weight_input, bias)
        states, both = gates.new_empty(E, 1 + V, H), gates.new_empty(E, V, 2 * H)
        before, own, new = (gates.new_empty(E, V, H) for _ in range(3))
        states[:, :1] = initial
        to_both, to_own = weight_state[:, :, : 2 * H].contiguous(), weight_state[:, :, 2 * H :].contiguous()
        cut = [part.split(list(sizes), dim=1) for part in (gates[:, :, : 2 * H], gates[:, :, 2 * H :], before, own)]
        out = [part.split(list(sizes), dim=1) for part in (both, both[:, :, :H], both[:, :, H:], new, states[:, 1:])]
        state = initial.expand(-1, sizes[0] if sizes else 0, -1)
        for t, size in enumerate(sizes):
            gate, gate_new, was, mine = (part[t] for part in cut)
            reset_update, reset, update, fresh, state_after = (part[t] for part in out)
            was.copy_(state[:, :size])
            torch.sigmoid(product(was, to_both, gate), out=reset_update)
            mine.copy_(product(was, to_own, bias_own))
            _tanh(torch.addcmul(gate_new, reset, mine, out=fresh))
            state = torch.lerp(fresh, was, update, out=state_after)
        ctx.save_for_backward(inputs, before, own, both, new, weight_input, weight_state)
        ctx.sizes = sizes
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        inputs, before, own, both, new, weight_input, weight_state = ctx.saved_tensors
        E, V, H = new.shape
        reset, update = both.split(H, dim=2)
        flows = grad.new_empty(E, V, 4, H)  # first the slopes of each gate's sum by the state after it
        to_own, to_reset, to_update, to_new = flows.unbind(dim=2)
        left, part = 1 - update, torch.sub(before, new)
        to_update.copy_(part.mul_(update).mul_(left))
        part = torch.mul(new, new, out=part).neg_().add_(1).mul_(left)
        to_new.copy_(part)
        to_own.copy_(part.mul_(reset))
        to_reset.copy_(part.mul_(own).mul_(torch.sub(1, reset, out=left)))
        back = torch.cat([weight_state[:, :, 2 * H :], weight_state[:, :, : 2 * H]], dim=2).transpose(1, 2)
        sizes = list(ctx.sizes)
        cut = [
            part.split(sizes, dim=1) for part in (grad[:, 1:], flows, flows.view(E, V, 4 * H)[:, :, : 3 * H], update)
        ]
        later = grad.new_zeros(E, 0, H)
        for t in reversed(range(len(sizes))):
            given, out, recurrent, kept = (part[t] for part in cut)
            flow = given.clone()
            flow[:, : later.shape[1]] += later
            out *= flow.unsqueeze(2)
            later = product(recurrent, back, flow.mul_(kept))
        flows = flows.view(E, V, 4 * H)
        from_state, from_input = flows[:, :, : 3 * H], flows[:, :, H:]
        to_state = product(before.transpose(1, 2), from_state)
        sums = flows.sum(dim=1, keepdim=True)
        return (
            product(from_input, weight_input.transpose(1, 2)) if ctx.needs_input_grad[0] else None,
            later.sum(dim=1, keepdim=True) + grad[:, :1],
            product(inputs.transpose(1, 2), from_input),
            torch.cat([to_state[:, :, H:], to_state[:, :, :H]], dim=2),
            sums[:, :, H:],
            torch.cat([sums[:, :, H : 3 * H], sums[:, :, :H]], dim=2),
            None,
        )


class _Reading(torch.autograd.Function):
    """A hidden layer that reads a state and further inputs, and linear outputs of it, with its gradient by hand.

    States are multiplied before they are gathered, as there are fewer of them than of rows; outputs come with rows
    last, since products with few columns are slow.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        states: Tensor,
        which: Tensor,
        inputs: Tensor,
        by_state: Tensor,
        by_input: Tensor,
        bias: Tensor,
        keep: Tensor | None,
        output: Tensor,
    ) -> Tensor:
        """(E, C, R) from states (E, S, H), positions in them (R,), inputs (R, P), multipliers of units (E, R, M)."""
        everyone = inputs.expand(len(states), -1, -1)
        hidden = product(states, by_state, bias).index_select(1, which)
        hidden = _tanh(product(everyone, by_input, hidden))
        used = hidden if keep is None else hidden * keep
        ctx.save_for_backward(states, which, inputs, by_state, keep, output, hidden, used)
        return product(output.transpose(1, 2), used.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        states, which, inputs, by_state, keep, output, hidden, used = ctx.saved_tensors
        to_output = product(grad, used).transpose(1, 2)
        flow = product(grad.transpose(1, 2), output.transpose(1, 2))
        if keep is not None:
            flow *= keep
        flow.addcmul_(flow * hidden, hidden, value=-1)
        gathered = gathered_back(flow, which, states.shape[1])
        return (
            product(gathered, by_state.transpose(1, 2)),
            None,
            None,
            product(states.transpose(1, 2), gathered),
            product(inputs.t().expand(len(states), -1, -1), flow),
            gathered.sum(dim=1, keepdim=True),
            None,
            to_output,
        )


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

    def on(self, device: torch.device) -> Self:
        """The same committee on a device."""
        return replace(self, tensors={k: v.to(device) for k, v in self.tensors.items()})

    def keep(self, members: Tensor, other: Committee, chosen: Tensor) -> None:
        """Put the members ``chosen`` (mask) of ``other`` in the places ``members`` of this one."""
        for name, tensor in self.tensors.items():
            tensor[members] = other.tensors[name].detach()[chosen]

    def state(self) -> dict[str, Any]:
        """Shape and arrays."""
        return {"shape": asdict(self.shape), "tensors": {k: v.detach().cpu().numpy() for k, v in self.tensors.items()}}

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
        return gru(inputs, sizes, t["initial"], weight, t["weight_state"], t["bias_input"], t["bias_state"])

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
        bias = t["head_bias"] if absent is None else product(absent, t["head_row"], t["head_bias"])
        out = _Reading.apply(states, last + 1, rows, t["head_state"], weight, bias, keep_units, t["output"])
        level, slope = (out + t["output_bias"].transpose(1, 2)).transpose(1, 2).split(self.shape.causes, dim=2)
        return level, slope

    def ahead(self, states: Tensor, origin: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(E, Q, J) corrections of the mean and the log standard deviation of forecasts.

        ``origin`` (Q,) are packed positions; ``inputs`` (Q, F) say how far ahead and what was known.
        """
        t = self.tensors
        weights = t["ahead_state"], t["ahead_input"], t["ahead_bias"]
        out = _Reading.apply(states, origin + 1, inputs, *weights, None, t["ahead_output"])
        mean, spread = out.transpose(1, 2).split(self.shape.forecasts, dim=2)
        return mean, spread
