"""Cause-specific hazards that are constant within bins of time: likelihood, exposure, cumulative incidence.

With hazard h_k in a bin, a row that spends e days in it and has events d_k at its end contributes
``sum_k d_k log h_k - e sum_k h_k`` to the log-likelihood: that of a Poisson count with exposure e, which is the
complementary log-log model of discrete time when the bin is fully observed. The exposure is the true one, so a
patient censored within a bin counts for the part that was seen. Holford, Biometrics 1980;36:299-305; Prentice and
Gloeckler, Biometrics 1978;34:57-67.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from osler.cohort.outcome import Outcome

__all__ = ["FollowUp", "HazardLoss", "bin_edges", "event_rates", "follow_up", "incidence", "steps"]

Floats = NDArray[np.float64]

_EVENTS_PER_BIN = 8
_LARGEST = 30.0  # log hazards are capped here: exp(30) events per horizon is certainty, and stays finite


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Follow-up of R rows cut at B bins of time.

    Attributes:
        exposure: (R, B) share of the longest horizon spent at risk in each bin; a row's sum is at most 1,
            unless it stands for several rows (``counting``).
        bin: (R,) bin in which follow-up ends.
        cause: (R,) 0 for no event within the bins, else 1..K.
    """

    exposure: Floats
    bin: NDArray[np.int64]
    cause: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> FollowUp:
        """Some rows."""
        return FollowUp(self.exposure[rows], self.bin[rows], self.cause[rows])

    def counting(self, weight: Floats) -> FollowUp:
        """The same rows, the exposure of each counted ``weight`` (R,) times: they stand for rows left out."""
        return FollowUp(self.exposure * weight[:, None], self.bin, self.cause)

    def counts(self, n_causes: int) -> NDArray[np.float64]:
        """(K, B) events by cause and bin."""
        table = np.zeros((n_causes + 1, self.exposure.shape[1]))
        np.add.at(table, (self.cause, self.bin), 1.0)
        return table[1:]


def bin_edges(outcome: Outcome, horizon: float, most: int) -> Floats:
    """(B + 1,) days from 0 to ``horizon``: half way between even steps and equal numbers of events; B <= ``most``.

    ``outcome`` counts from the landmarks. There are at least 3 bins, and about 8 events in each when there are more.
    """
    times = np.sort(outcome.time[(outcome.event > 0) & (outcome.time <= horizon)])
    n_bins = int(np.clip(len(times) // _EVENTS_PER_BIN, 3, most))
    fine = np.linspace(0.0, 1.0, 2001)
    share = np.searchsorted(times, fine * horizon, side="right") / max(len(times), 1)
    mixed = 0.5 * fine + 0.5 * share if len(times) else fine
    edges = np.interp(np.linspace(0.0, mixed[-1], n_bins + 1), mixed, fine) * horizon
    edges[0], edges[-1] = 0.0, horizon
    return edges


def steps(edges: Floats) -> Floats:
    """(B,) the time that changing effects are linear in: the bins, evenly on [-1, 1].

    As bins lie half way between even steps and equal numbers of events, so does this clock: where many events come
    early, effects may change early.
    """
    n_bins = len(edges) - 1
    return (2.0 * np.arange(n_bins) + 1.0) / n_bins - 1.0


def follow_up(outcome: Outcome, edges: Floats) -> FollowUp:
    """Exposure and event of every row of ``outcome`` (days from the landmark), cut off at the last edge."""
    horizon = edges[-1]
    time = np.minimum(outcome.time, horizon)
    exposure = np.clip(time[:, None] - edges[:-1], 0.0, np.diff(edges)) / horizon
    where = np.clip(np.searchsorted(edges, time, side="left") - 1, 0, len(edges) - 2)
    cause = np.where(outcome.time <= horizon, outcome.event, 0)
    return FollowUp(exposure, where.astype(np.int64), cause.astype(np.int64))


def event_rates(seen: FollowUp, n_causes: int) -> Floats:
    """(K, B) log of events per exposure, each bin borrowing one event from the overall rate; -inf without any event."""
    counts, exposure = seen.counts(n_causes), seen.exposure.sum(axis=0)
    overall = counts.sum(axis=1, keepdims=True) / max(exposure.sum(), 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.log((counts + 1.0) / (exposure + 1.0 / overall))
    return np.where(overall > 0, rates, -np.inf)


def incidence(log_hazard: Floats, edges: Floats, grid: Floats) -> Floats:
    """(R, K, T) cumulative incidence at ``grid`` days of (R, K, B) log hazards per horizon; exact, no quadrature.

    Within a bin the share of cause k among all events is h_k / h, so F_k grows by S(start) h_k / h (1 - exp(-h e)).
    The causes and ``exp(-cumulative hazard)`` sum to one.
    """
    horizon = edges[-1]
    hazard = np.exp(np.minimum(log_hazard, _LARGEST))
    total = hazard.sum(axis=1)  # (R, B)
    width = np.diff(edges) / horizon
    cumulative = np.concatenate([np.zeros((len(total), 1)), np.cumsum(total * width, axis=1)], axis=1)
    share = hazard / np.maximum(total, 1e-300)[:, None]
    start = np.exp(-cumulative[:, :-1])  # (R, B) event-free at the start of each bin
    gained = share * (start * -np.expm1(-total * width))[:, None]
    before = np.concatenate([np.zeros((*gained.shape[:2], 1)), np.cumsum(gained, axis=2)], axis=2)
    at = np.clip(np.searchsorted(edges, grid, side="right") - 1, 0, len(width) - 1)
    into = (grid - edges[at]) / horizon
    within = start[:, at] * -np.expm1(-total[:, at] * into)
    return before[:, :, at] + share[:, :, at] * within[:, None]


class HazardLoss(torch.autograd.Function):
    """Minus the mean log-likelihood of E members, with its gradient in closed form: one pass instead of five.

    The log hazard of cause k in bin b is ``base[e, k, b] + level[e, r, k] + slope[e, r, k] * steps[b]``.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: torch.autograd.function.FunctionCtx,
        level: Tensor,
        slope: Tensor,
        base: Tensor,
        exposure: Tensor,
        where: Tensor,
        events: Tensor,
        weight: Tensor,
        time: Tensor,
    ) -> Tensor:
        """(E,) loss per unit of weight.

        Args:
            ctx: where the gradient is kept.
            level: (E, R, K).
            slope: (E, R, K).
            base: (E, K, B).
            exposure: (R, B) of ``FollowUp``.
            where: (R,) int64, ``FollowUp.bin``.
            events: (R, K) one where the row ends with that cause.
            weight: (E, R) of the rows; rows with weight 0 do not count.
            time: (B,) of ``steps``.
        """
        E, R, K = level.shape
        B = base.shape[2]
        # Rows come last, (E, K, B, R): what is done to every row runs along contiguous memory.
        by_row = level.transpose(1, 2).contiguous(), slope.transpose(1, 2).contiguous(), events.t().contiguous()
        expected = torch.addcmul(by_row[0].unsqueeze(2) + base.unsqueeze(3), by_row[1].unsqueeze(2), time.view(B, 1))
        expected.clamp_(max=_LARGEST).exp_().mul_(exposure.t().contiguous())
        share = weight / weight.sum(dim=1, keepdim=True).clamp_min(1e-12)
        moments = torch.stack([torch.ones_like(time), time]) @ expected  # (E, K, 2, R): sum, and sum by time
        summed, timed = moments.unbind(dim=2)
        end = time[where]
        at_event = (base[:, :, where] + by_row[0] + by_row[1] * end) * by_row[2]
        loss = ((summed - at_event).sum(dim=1) * share).sum(dim=1)
        observed = torch.nn.functional.one_hot(where, B).to(events.dtype).unsqueeze(1) * events.unsqueeze(2)
        grad_base = (share.unsqueeze(1) @ expected.view(E, K * B, R).transpose(1, 2)).view(E, K, B)
        grad_base -= (share @ observed.view(R, K * B)).view(E, K, B)
        grad_level = ((summed - by_row[2]) * share.unsqueeze(1)).transpose(1, 2)
        grad_slope = ((timed - by_row[2] * end) * share.unsqueeze(1)).transpose(1, 2)
        ctx.save_for_backward(grad_level, grad_slope, grad_base)
        return loss

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients of level, slope and base."""
        level, slope, base = ctx.saved_tensors  # type: ignore[attr-defined]
        each = grad.view(-1, 1, 1)
        return level * each, slope * each, base * each, None, None, None, None, None
