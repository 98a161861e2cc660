"""Training of a committee: AdamW, dropout, and a check on the inner fold that each member leaves out.

Every member ends as it was when its own check was best. Random numbers come from one generator; the state of a long
training is kept at its checks (``checkpoint``), generator included, so that an interrupted one ends with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from osler.config import code_digest, digest
from osler.errors import TrainingError
from osler.models.batch import Batch, Check, Masks
from osler.models.checkpoint import Checkpoint, Saved
from osler.models.committee import Committee, Shape
from osler.models.dropout import Dropout
from osler.models.forecast_loss import ForecastLoss
from osler.models.hazard import HazardLoss
from osler.models.optimiser import AdamW

__all__ = ["History", "Progress", "Recipe", "losses", "step", "train"]

Progress = Callable[[int, int], None]
_CLIP = 1.0  # largest norm of a member's gradient
_STEPS = 4  # in an epoch, up to which epochs are counted; beyond it they are shortened
_RATES = (1.0, 0.2)  # of the learning rate: training that diverges starts again, once
_EXPLODED = 1e4  # held-out log-likelihood per row: nobody loses as much by learning too much
_CPU = torch.device("cpu")


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

    def paced(self, batches: int) -> Recipe:
        """The same for epochs of so many steps: from a few on, steps are what counts, whatever the cohort's size."""
        longer = max(batches / _STEPS, 1.0)
        shorter = {name: max(round(getattr(self, name) / longer), 1) for name in ("epochs", "patience", "check_every")}
        return replace(self, **shorter)


@dataclass(frozen=True)
class History:
    """What training did: held-out loss of each member before and at its best, and the epoch of the best."""

    first: tuple[float, ...]
    best: tuple[float, ...]
    epoch: tuple[int, ...]


class _DivergedError(Exception):
    """A sanity check that failed: its name, and what was found."""

    def __init__(self, check: str, found: str) -> None:
        self.check = check
        super().__init__(found)


def train(
    shape: Shape,
    batches: Sequence[Batch],
    checks: Sequence[Check],
    masks: Masks,
    recipe: Recipe,
    generator: torch.Generator,
    progress: Progress | None = None,
    *,
    device: torch.device = _CPU,
    checkpoint: Checkpoint | None = None,
) -> tuple[Committee, History]:
    """Train a committee from random weights; every member ends as it was when its own check was best.

    A loss or gradient that is not finite, and a held-out loss that explodes, start training again, once, with a fifth
    of the learning rate.

    Args:
        shape: sizes of the committee.
        batches: patients to learn from; one step each in every epoch, in random order.
        checks: patients that members leave out.
        masks: which inputs belong to a modality.
        recipe: how to train.
        generator: on the processor, whatever the device.
        progress: called with (epoch, epochs) after every check.
        device: where to compute; the committee is given back on the processor.
        checkpoint: where to leave the state of a long training, and to find that of an interrupted one.

    Raises:
        TrainingError: it diverged again, or no weight ever had a gradient.
    """
    kept = checkpoint or Checkpoint(None)
    recipe, begun = recipe.paced(len(batches)), generator.get_state()
    saved = kept.read(lambda: _key(shape, batches, checks, masks, recipe, begun, device))
    steps, tests = [batch.on(device) for batch in batches], [check.on(device) for check in checks]
    problem = None
    for attempt, factor in enumerate(_RATES):
        if saved is not None and saved.numbers["attempt"] > attempt:
            continue
        slower = replace(recipe, learning_rate=recipe.learning_rate * factor)
        try:
            if saved is not None:
                state = _State.resumed(saved, shape, slower, generator, device)
            else:
                state = _State.begun(Committee.create(shape, generator).on(device), tests, slower, attempt)
            saved = None
            _run(state, steps, tests, masks, slower, generator, progress, kept)
        except _DivergedError as error:
            problem = error
            continue
        kept.remove()
        return state.whole.on(_CPU), state.history
    assert problem is not None
    raise TrainingError(
        problem.check,
        f"{problem}, also with the learning rate lowered to {slower.learning_rate:g}. Look for variables of extreme "
        "range with `osler describe`, or lower learning_rate under [study.settings.recurrent]",
    )


@dataclass(eq=False)
class _State:
    """A training at one of its checks.

    Attributes:
        attempt: learning rates that were tried before this one.
        epoch: of the check.
        whole: every member as it was at its best.
        learner: the members still learning. active: (A,) their positions in ``whole``.
        optimiser: of the learner.
        first, best: (E,) held-out loss before training, and at its best. when: (E,) epoch of the best.
    """

    attempt: int
    epoch: int
    whole: Committee
    learner: Committee
    optimiser: AdamW
    active: Tensor
    first: Tensor
    best: Tensor
    when: Tensor

    @classmethod
    def begun(cls, whole: Committee, checks: Sequence[Check], recipe: Recipe, attempt: int) -> Self:
        """Nothing learned so far."""
        first = _held_out(whole, checks)
        active = torch.arange(len(first))
        learner = whole.of_members(active, learning=True)
        optimiser = AdamW(learner.parameters(), decay=recipe.weight_decay, members=len(active))
        return cls(attempt, 0, whole, learner, optimiser, active, first, first.clone(), torch.zeros_like(active))

    @classmethod
    def resumed(
        cls, saved: Saved, shape: Shape, recipe: Recipe, generator: torch.Generator, device: torch.device
    ) -> Self:
        """As it was when it was ``saved``; the generator is set back, too."""
        arrays = {name: torch.tensor(array) for name, array in saved.arrays.items()}
        active = arrays["active"]

        def committee(name: str, members: int) -> Committee:
            tensors = {k.removeprefix(name): v for k, v in arrays.items() if k.startswith(name)}
            ordered = {k: tensors[k] for k in saved.numbers["tensors"]}
            return Committee(replace(shape, members=members), ordered).on(device)

        learner = committee("learner.", len(active))
        learner = learner.of_members(torch.arange(len(active)), learning=True)
        optimiser = AdamW(learner.parameters(), decay=recipe.weight_decay, members=len(active))
        optimiser.count = saved.numbers["steps"]
        optimiser.mean, optimiser.square = arrays["mean"].to(device), arrays["square"].to(device)
        generator.set_state(arrays["generator"])
        told = saved.numbers["attempt"], saved.numbers["epoch"]
        losses_ = arrays["first"], arrays["best"], arrays["when"]
        return cls(*told, committee("whole.", shape.members), learner, optimiser, active, *losses_)

    def saved(self, generator: torch.Generator) -> Saved:
        """Everything that the rest of training depends on."""
        tensors = {f"whole.{name}": tensor for name, tensor in self.whole.tensors.items()}
        tensors |= {f"learner.{name}": tensor for name, tensor in self.learner.tensors.items()}
        tensors |= {"mean": self.optimiser.mean, "square": self.optimiser.square, "generator": generator.get_state()}
        tensors |= {"active": self.active, "first": self.first, "best": self.best, "when": self.when}
        numbers = {"attempt": self.attempt, "epoch": self.epoch, "steps": self.optimiser.count}
        names = list(self.whole.tensors)
        return Saved({k: v.detach().cpu().numpy() for k, v in tensors.items()}, {**numbers, "tensors": names})

    def check(self, epoch: int, checks: Sequence[Check]) -> None:
        """Keep members that are better than ever."""
        now = _held_out(self.learner, [check.among(self.active) for check in checks])
        if (now > self.first[self.active] + _EXPLODED).any():
            raise _DivergedError("held-out loss", "the loss of patients left out exploded")
        better = now < self.best[self.active]
        improved = self.active[better]
        self.whole.keep(improved, self.learner, better)
        self.best[improved], self.when[improved], self.epoch = now[better], epoch, epoch

    def drop_those_that_wait(self, patience: int) -> Tensor:
        """Positions, among those that were learning, of the members that go on: others were not better for long."""
        going = (self.epoch - self.when[self.active] < patience).nonzero()[:, 0]
        if 0 < len(going) < len(self.active):
            self.active = self.active[going]
            self.learner = self.learner.of_members(going, learning=True)
            self.optimiser = self.optimiser.of_members(self.learner.parameters(), going)
        return going

    @property
    def history(self) -> History:
        """What training did so far."""
        return History(tuple(self.first.tolist()), tuple(self.best.tolist()), tuple(self.when.tolist()))


def _run(
    state: _State,
    batches: Sequence[Batch],
    checks: Sequence[Check],
    masks: Masks,
    recipe: Recipe,
    generator: torch.Generator,
    progress: Progress | None,
    checkpoint: Checkpoint,
) -> None:
    """Epochs, with their checks, until no member is learning any more."""
    if len(state.active) < len(state.first):
        batches = [batch.of_members(state.active) for batch in batches]
    alive = state.epoch > 0
    for epoch in range(state.epoch + 1, recipe.epochs + 1):
        for number in torch.randperm(len(batches), generator=generator).tolist():
            norms = step(state.learner, state.optimiser, batches[number], masks, recipe, generator)
            alive = alive or bool(norms.any())
        if not alive:
            raise TrainingError(
                "dead network",
                "no weight of any network has a gradient. Nothing distinguishes the training patients: look whether "
                "they have any follow-up after the landmarks, and any event, with `osler describe`",
            )
        if epoch % recipe.check_every:
            continue
        state.check(epoch, checks)
        going = state.drop_those_that_wait(recipe.patience)
        if 0 < len(going) < len(batches[0].weight):
            batches = [batch.of_members(going) for batch in batches]
        if len(going) and epoch < recipe.epochs:
            checkpoint.offer(lambda: state.saved(generator))
        if progress is not None:
            progress(epoch, recipe.epochs)
        if not len(going):
            break


def step(
    committee: Committee,
    optimiser: AdamW,
    batch: Batch,
    masks: Masks,
    recipe: Recipe,
    generator: torch.Generator,
) -> Tensor:
    """One step of every member on a batch; (E,) norms of their gradients before these are clipped."""
    dropout = Dropout.draw(
        committee.shape,
        len(batch.last),
        masks,
        generator,
        units=recipe.dropout,
        inputs=recipe.input_dropout,
        modalities=recipe.modality_dropout,
    )
    hazard, forecast = losses(committee, batch, dropout.on(batch.visits.device))
    loss = hazard.sum() + recipe.forecast_weight * forecast.sum()
    loss.backward()
    norms = optimiser.step(recipe.learning_rate, most=_CLIP)
    sums = torch.stack([loss.detach(), norms.sum()])
    if not torch.isfinite(sums).all():
        check = "gradient" if torch.isfinite(sums[0]) else "loss"
        raise _DivergedError(check, f"a {check} is not finite")
    return norms


def losses(committee: Committee, batch: Batch, dropout: Dropout | None = None) -> tuple[Tensor, Tensor]:
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
        slope * batch.gain + batch.drift,
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
    """(E,) hazard loss of each member on the patients it leaves out, on the processor; 0 where it leaves none out."""
    out = torch.zeros(committee.shape.members)
    for check in checks:
        if len(check.members):
            out[check.members] = losses(committee.of_members(check.members), check.batch)[0].cpu()
    if not torch.isfinite(out).all():
        raise _DivergedError("held-out loss", "the loss of patients left out is not finite")
    return out


def _key(
    shape: Shape,
    batches: Sequence[Batch],
    checks: Sequence[Check],
    masks: Masks,
    recipe: Recipe,
    generator: Tensor,
    device: torch.device,
) -> str:
    """Digest of everything that the outcome of training depends on."""

    def arrays(item: Any) -> dict[str, Any]:
        return {k: v.numpy() if isinstance(v, Tensor) else v for k, v in vars(item).items()}

    return digest(
        asdict(shape),
        [arrays(batch) for batch in batches],
        [(check.members.numpy(), arrays(check.batch)) for check in checks],
        arrays(masks),
        asdict(recipe),
        generator.numpy(),
        (device.type, torch.__version__, code_digest()),
    )
