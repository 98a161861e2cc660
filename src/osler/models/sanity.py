"""Sanity: what must hold of the numbers that a network learns from, and of what it learned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from osler.errors import TrainingError

__all__ = ["check_inputs", "nothing_learned"]

_ABSURD = 1e3  # scaled inputs are clipped near 4 and logarithms of times stay below 20: nothing sane comes near


def check_inputs(what: str, values: NDArray[np.floating], names: Sequence[str]) -> None:
    """Refuse columns that are not finite or absurdly large after scaling; no value is told.

    Args:
        what: the table in words, such as "inputs of visits".
        values: (R, P), scaled.
        names: P names.

    Raises:
        TrainingError: check "inputs", with every such column and how many of its values.
    """
    finite = np.isfinite(values)
    for bad, how in (
        (~finite, "not finite"),
        (finite & (np.abs(values) > _ABSURD), f"beyond {_ABSURD:g} after scaling"),
    ):
        counts = bad.sum(axis=0)
        if counts.any():
            found = ", ".join(f"{name!r} ({count})" for name, count in zip(names, counts, strict=True) if count)
            raise TrainingError(
                "inputs",
                f"{what} are {how} in {found}, of {len(values)} rows. Look at the variable with `osler describe`, and "
                "declare its plausible range (min, max) in the manifest, or leave it out",
            )


def nothing_learned(first: Sequence[float], best: Sequence[float]) -> str:
    """A note when no member's held-out loss ever fell below that of its start; empty otherwise."""
    if any(end < start for start, end in zip(first, best, strict=True)):
        return ""
    return (
        f"None of the {len(first)} recurrent networks predicted the patients it left out better than before training: "
        "the risks are those of the ridge path and of average hazards."
    )
