"""RecurrentSettings: how the recurrent model is built and trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from osler.errors import UsageError
from osler.models.device import DEVICES, DeviceName
from osler.models.training import Recipe

__all__ = ["RecurrentSettings"]

#: Setting -> least and most; whole numbers where both are, and of shares the most is never reached.
_WHOLE = {
    "members": (2, 50),
    "units": (1, 512),
    "bins": (3, 100),
    "patients": (100, 1_000_000),
    "rows": (100, 1_000_000),
    "batch_rows": (100, 1_000_000),
    "epochs": (1, 100_000),
    "patience": (1, 100_000),
    "check_every": (1, 1_000),
    "components": (1, 10_000),
    "splines": (0, 10),
    "trees": (0, 10_000),
}
_NUMBERS = {
    "learning_rate": (1e-6, 1.0),
    "weight_decay": (0.0, 10.0),
    "correction": (0.0, 10.0),
    "forecast_weight": (0.0, 100.0),
    "beyond": (0.0, 2.0),
}
_SHARES = ("dropout", "input_dropout", "modality_dropout")


@dataclass(frozen=True)
class RecurrentSettings:
    """How the recurrent model is built and trained; the defaults were chosen by measurement, once for all cohorts.

    Attributes:
        members: networks over the ridge path, and as many free ones; each leaves one inner fold out.
        units: of the recurrent state, and of the head's hidden layer.
        bins: most bins of time over the longest horizon; there are fewer where events are few.
        patients: most of them; of larger cohorts all with an event, or as many as fill half of the places, and a sample
            of the others (``CaseCohort``): time and memory of fitting stay as they are. Fewer where more than four
            landmarks are asked, or where the patients would have more than a million visits.
        rows: about the most training rows; large cohorts are shown at fewer landmarks.
        batch_rows: about the rows, or visits where there are more, of one training step.
        learning_rate, weight_decay: of AdamW.
        correction: factor of what members over the ridge path say: less than 1, they learn more slowly.
        dropout: share of hidden units dropped in a step; input_dropout: of inputs; modality_dropout: of modalities.
        forecast_weight: of the forecast loss beside the hazard loss.
        epochs: at most. patience: epochs without a better check before a member ends. check_every: epochs. Those of
            large cohorts, of more than four steps, count for several (``Recipe.paced``).
        components: most principal components of a genomic or embedding block in the ridge path, whose score is all that
            the networks see of it; None: as ``Design`` has it.
        splines: knots of the curved ridge path, where at least 100 patients have an event.
        trees: most rounds of boosted trees; 0 leaves them out.
        beyond: share of the longest horizon by which training landmarks go past the last one asked.
        device: where networks are trained: "auto" takes a CUDA device where there is one, and needs none.

    Raises:
        UsageError: values that cannot be, all of them at once.
    """

    members: int = 5
    units: int = 16
    bins: int = 12
    patients: int = 50_000
    rows: int = 20_000
    batch_rows: int = 12_000
    learning_rate: float = 8e-3
    weight_decay: float = 0.15
    correction: float = 0.3
    dropout: float = 0.3
    input_dropout: float = 0.1
    modality_dropout: float = 0.1
    forecast_weight: float = 0.05
    epochs: int = 160
    patience: int = 24
    check_every: int = 4
    components: int | None = None
    splines: int = 2
    trees: int = 400
    beyond: float = 0.5
    device: DeviceName = "auto"

    def __post_init__(self) -> None:
        wrong = [*self._wrong()]
        if wrong:
            lines = "\n".join(f"  {i}. {text}" for i, text in enumerate(wrong, 1))
            raise UsageError(f"{len(wrong)} setting{'s' * (len(wrong) > 1)} of the recurrent model cannot be:\n{lines}")

    def _wrong(self) -> list[str]:
        rules: list[tuple[str, Callable[[Any], bool], str]] = [
            *(
                (name, partial(_is_whole, least=least, most=most), f"a whole number from {least:,} to {most:,}")
                for name, (least, most) in _WHOLE.items()
                if not (name == "components" and self.components is None)
            ),
            *(
                (name, partial(_is_number, least=least, most=most), f"a number from {least:g} to {most:g}")
                for name, (least, most) in _NUMBERS.items()
            ),
            *((name, _is_share, "a share from 0 to less than 1") for name in _SHARES),
        ]
        values = [(name, getattr(self, name), fits, what) for name, fits, what in rules]
        found = [f"{name} is {what}, not {value!r}" for name, value, fits, what in values if not fits(value)]
        if self.device not in DEVICES:
            found.append(f"device is one of {', '.join(DEVICES)}, not {self.device!r}")
        if not found and self.check_every > self.epochs:
            found.append(f"check_every is at most epochs ({self.epochs}), not {self.check_every}")
        return found

    @property
    def recipe(self) -> Recipe:
        """What training needs of them."""
        return Recipe(**{item.name: getattr(self, item.name) for item in fields(Recipe)})


def _is_whole(value: Any, *, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_number(value: Any, *, least: float, most: float) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and math.isfinite(value) and least <= value <= most


def _is_share(value: Any) -> bool:
    return _is_number(value, least=0.0, most=1.0) and value < 1
