"""Levels: the groups into which a variable divides patients, as text in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from osler.cells import SMALLEST
from osler.errors import UsageError

__all__ = ["NOT_KNOWN", "cut", "levels"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: The level of patients whose value is missing; always the last.
NOT_KNOWN = "not known"
#: More groups than this are no groups.
_MOST = 30
#: Thirds of fewer patients than three times the smallest cell would be withheld.
_FEWEST = 3 * SMALLEST
_THIRDS = ("lowest third", "middle third", "highest third")


def levels(labels: ArrayLike | pd.Categorical, n: int, variable: str) -> tuple[list[str], Integers]:
    """Names of the levels of one variable, and the level (n,) of every patient.

    Args:
        labels: (n,) of any kind. A categorical keeps its levels and their order, whether or not somebody is in them;
            others are put in rising order. Missing ones are a level of their own, "not known". True and False are
            "yes" and "no".
        n: patients.
        variable: what it is called in an error.

    Raises:
        UsageError: another number of labels, or more than 30 levels.
    """
    if np.shape(labels) != (n,):
        raise UsageError(f"labels of {variable!r} have shape {np.shape(labels)}; expected one for each of {n} patients")
    given = pd.Series(labels)
    found = given.array if isinstance(given.array, pd.Categorical) else _categorical(given)
    if len(found.categories) > _MOST:
        raise UsageError(
            f"{variable!r} has {len(found.categories)} levels; expected at most {_MOST} to compare patients by. "
            "Cut a number into ranges (cuts), or join levels."
        )
    names = [_text(level) for level in found.categories]
    if len(set(names)) < len(names):
        raise UsageError(f"two levels of {variable!r} are called the same; found {', '.join(sorted(names))}")
    codes = np.asarray(found.codes, dtype=np.int64)
    if (codes < 0).any():
        names = names if NOT_KNOWN in names else [*names, NOT_KNOWN]
        codes = np.where(codes < 0, names.index(NOT_KNOWN), codes)
    return names, codes


def cut(values: ArrayLike, cuts: Sequence[float] = (), label: str = "values") -> pd.Categorical:
    """Ranges of a number as labels for ``levels``: "< 50", "50 to 64", ">= 65".

    Args:
        values: (n,) numbers; NaN is missing.
        cuts: ascending; a value at a cut belongs to the range above. Without any: thirds of the known values, with
            bounds rounded to about two digits of their spread, and called thirds in the label: "< 54 (lowest third)".
        label: what the numbers are called in an error.

    Returns:
        (n,) categorical with the ranges from low to high; also those that nobody is in, if their cuts were given.
        "50 to 64" where all values and cuts are whole numbers, "50 to < 65" otherwise. Without cuts, fewer than 30
        known values are one range, "known".

    Raises:
        UsageError: values are no numbers, or cuts are not finite and ascending.
    """
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise UsageError(f"{label} cannot be cut into ranges: expected numbers, found something else") from None
    edges = np.asarray(cuts, dtype=float)
    if edges.ndim != 1 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise UsageError(f"cuts of {label} must be finite numbers, each above the one before; found {list(cuts)}")
    known = numbers[~np.isnan(numbers)]
    thirds = not len(edges)
    if thirds and len(known) < _FEWEST:
        return _labelled(np.where(np.isnan(numbers), -1, 0), ["known"])
    edges = _thirds(known) if thirds else edges
    names = _ranges(edges, whole=bool((known == np.floor(known)).all() and (edges == np.floor(edges)).all()))
    if thirds and len(names) == len(_THIRDS):
        names = [f"{name} ({which})" for name, which in zip(names, _THIRDS, strict=True)]
    codes = np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, "right"))
    return _labelled(codes, names)


def _labelled(codes: Integers, names: list[str]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object), ordered=True)


def _thirds(known: Floats) -> Floats:
    """Cuts near the tertiles that leave somebody on either side; none where all values are equal."""
    low, high = np.quantile(known, [0.05, 0.95])
    spread = high - low if high > low else np.ptp(known)
    if spread == 0:
        return np.zeros(0)
    digits = 1 - int(np.floor(np.log10(spread)))
    rounded = np.round(np.quantile(known, [1 / 3, 2 / 3]), digits)
    edges = np.unique(rounded[(rounded > known.min()) & (rounded <= known.max())])
    return edges if len(edges) else np.unique(known)[1:2]  # most values are the smallest: the others are one range


def _ranges(edges: Floats, *, whole: bool) -> list[str]:
    if not len(edges):
        return ["known"]
    low, high = [f"{edge:.10g}" for edge in edges], [f"{edge - 1:.10g}" for edge in edges]
    pairs = zip(low[:-1], high[1:] if whole else low[1:], strict=True)
    between = [a if whole and a == b else f"{a} to {b}" if whole else f"{a} to < {b}" for a, b in pairs]
    return [f"< {low[0]}", *between, f">= {low[-1]}"]


def _categorical(labels: pd.Series) -> pd.Categorical:
    try:
        return pd.Categorical(labels)
    except TypeError:  # labels of several kinds have no order but that of their text
        return pd.Categorical(labels.where(labels.isna(), labels.map(_text)))


def _text(level: Any) -> str:
    if isinstance(level, (bool, np.bool_)):
        return "yes" if level else "no"
    return f"{level:.10g}" if isinstance(level, (float, np.floating)) else str(level)
