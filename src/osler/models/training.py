"""Training of a committee: full batches, AdamW, dropout, and a check on the inner fold that each member leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from osler.errors import ModelError
from osler.models.committee import Committee
from osler.models.forecast_loss import ForecastLoss
from osler.models.hazard import HazardLoss
from osler.models.optimiser import AdamW

__all__ = ["Batch", "Check", "History", "Masks", "Recipe", "losses", "step", "train"]

Progress = Callable[[int, int], None]
_CLIP = 1.0  # largest norm of a member's gradient
_DAMPING = 0.2  # of the learning rate when training starts again


@dataclass(frozen=True)
class Recipe:
    """How to train; the meaning of each number is in ``RecurrentSettings``."""

    learning_rate: float
    weight_decay: float
    dropout: float
    input_dropout: float
    modality_dropout: float
    forecast_weight: float
    epochs: int
    patience: int
    check_every: int


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
        offset: (E, R, K) added to the level. base: (E, K, B) starting log hazards. gain: (E, 1, 1) of level and slope.
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

    def of_members(self, members: Tensor) -> Batch:
        """The same rows for some of the members, by position."""
        mine = {name: getattr(self, name)[members] for name in ("offset", "base", "gain", "weight", "pair_weight")}
        return replace(self, **mine)


@dataclass(frozen=True, eq=False)
class Check:
    """The patients that ``members`` (positions among those that are learning) never train on."""

    members: Tensor
    batch: Batch

    def among(self, active: Tensor) -> Check:
        """The same check when only the members ``active`` are learning."""
        mine = torch.isin(self.members, active)
        return Check(torch.searchsorted(active, self.members[mine]), self.batch.of_members(mine))


@dataclass(frozen=True)
class History:
    """What training did: held-out loss of each member before and at its best, and the epoch of the best."""

    first: tuple[float, ...]
    best: tuple[float, ...]
    epoch: tuple[int, ...]


class _DivergedError(Exception):
    pass


def train(
    make: Callable[[], Committee],
    batches: Sequence[Batch],
    checks: Sequence[Check],
    masks: Masks,
    recipe: Recipe,
    generator: torch.Generator,
    progress: Progress | None = None,
) -> tuple[Committee, History]:
    """Train a committee from ``make``; every member ends as it was when its own check was best.

    A loss or gradient that is not finite starts training again, once, with a fifth of the learning rate.

    Raises:
        ModelError: it happened again.
    """
    try:
        return _train(make(), batches, checks, masks, recipe, generator, progress)
    except _DivergedError:
        slower = replace(recipe, learning_rate=recipe.learning_rate * _DAMPING)
    try:
        return _train(make(), batches, checks, masks, slower, generator, progress)
    except _DivergedError as error:
        raise ModelError(
            f"training of the recurrent network failed: {error}, also with the learning rate lowered to "
            f"{slower.learning_rate:g}. Look for variables of extreme range with `osler describe`, or lower "
            "learning_rate under [study.settings.recurrent]"
        ) from None


def _train(
    whole: Committee,
    batches: Sequence[Batch],
    checks: Sequence[Check],
    masks: Masks,
    recipe: Recipe,
    generator: torch.Generator,
    progress: Progress | None,
) -> tuple[Committee, History]:
    first = _held_out(whole, checks)
    best, when = first.clone(), torch.zeros(len(first), dtype=torch.int64)
    active = torch.arange(len(first))  # members still learning; the others are dropped from the tensors
    learner, batches = whole.of_members(active, learning=True), list(batches)
    optimiser = AdamW(learner.parameters(), decay=recipe.weight_decay)
    for epoch in range(1, recipe.epochs + 1):
        for number in torch.randperm(len(batches), generator=generator).tolist():
            step(learner, optimiser, batches[number], masks, recipe, generator)
        if epoch % recipe.check_every:
            continue
        now = _held_out(learner, [check.among(active) for check in checks])
        better = now < best[active]
        whole.keep(active[better], learner, better)
        best[active[better]], when[active[better]] = now[better], epoch
        if progress is not None:
            progress(epoch, recipe.epochs)
        going = (epoch - when[active] < recipe.patience).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) < len(active):
            active = active[going]
            learner = learner.of_members(going, learning=True)
            optimiser = optimiser.of_members(learner.parameters(), going)
            batches = [batch.of_members(going) for batch in batches]
    return whole, History(tuple(first.tolist()), tuple(best.tolist()), tuple(when.tolist()))


def step(
    committee: Committee,
    optimiser: AdamW,
    batch: Batch,
    masks: Masks,
    recipe: Recipe,
    generator: torch.Generator,
) -> None:
    hazard, forecast = losses(committee, batch, _drawn(committee, batch, masks, recipe, generator))
    loss = hazard.sum() + recipe.forecast_weight * forecast.sum()
    if not torch.isfinite(loss):
        raise _DivergedError("the loss is not finite")
    loss.backward()
    if not torch.isfinite(optimiser.step(recipe.learning_rate, most=_CLIP)).all():
        raise _DivergedError("a gradient is not finite")


@dataclass(frozen=True, eq=False)
class _Dropout:
    """Multipliers (E, D, 1), (E, P, 1) of input weights, (E, R, M) of units; (E, 1, P) stand in for the absent."""

    visit: Tensor
    row: Tensor
    absent: Tensor
    units: Tensor


def _drawn(committee: Committee, batch: Batch, masks: Masks, recipe: Recipe, generator: torch.Generator) -> _Dropout:
    """Inputs are dropped for a member's whole batch at once, so that weights are masked and no (E, R, P) is made."""
    E, M = committee.shape.members, committee.shape.head

    def kept(share: float, *size: int) -> Tensor:
        drawn = torch.rand(*size, generator=generator)
        return torch.ge(drawn, share, out=drawn)

    modality = torch.cat([kept(recipe.modality_dropout, E, masks.modalities), torch.ones(E, 1)], dim=1)
    survive = 1.0 / (1.0 - recipe.input_dropout)
    visit = kept(recipe.input_dropout, E, committee.shape.visit_inputs) * survive * modality[:, masks.visit_modality]
    present = modality[:, masks.row_modality]
    row = kept(recipe.input_dropout, E, committee.shape.row_inputs) * survive * present
    absent = ((1 - present) * masks.absent).unsqueeze(1)
    units = kept(recipe.dropout, E, len(batch.last), M).mul_(1.0 / (1.0 - recipe.dropout))
    return _Dropout(visit.unsqueeze(2), row.unsqueeze(2), absent, units)


def losses(committee: Committee, batch: Batch, dropout: _Dropout | None = None) -> tuple[Tensor, Tensor]:
    """(E,) hazard loss and (E,) forecast loss of a batch."""
    states = committee.states(batch.visits, batch.sizes, None if dropout is None else dropout.visit)
    level, slope = committee.head(
        states,
        batch.last,
        batch.rows,
        keep_rows=None if dropout is None else dropout.row,
        absent=None if dropout is None else dropout.absent,
        keep_units=None if dropout is None else dropout.units,
    )
    hazard = HazardLoss.apply(
        level * batch.gain + batch.offset,
        slope * batch.gain,
        committee.tensors["base"] + batch.base,
        batch.exposure,
        batch.where,
        batch.events,
        batch.weight,
        batch.time,
    )
    if not len(batch.origin):
        return hazard, torch.zeros_like(hazard)
    shift, spread = committee.ahead(states, batch.origin, batch.ahead)
    residual = batch.target - batch.mean
    return hazard, ForecastLoss.apply(shift, spread, residual, batch.spread, batch.known, batch.pair_weight)


@torch.no_grad()
def _held_out(committee: Committee, checks: Sequence[Check]) -> Tensor:
    """(E,) hazard loss of each member on the patients it leaves out."""
    out = torch.empty(committee.shape.members)
    for check in checks:
        if len(check.members):
            out[check.members] = losses(committee.of_members(check.members), check.batch)[0]
    if not torch.isfinite(out).all():
        raise _DivergedError("the held-out loss is not finite")
    return out
