"""Training landmarks: the moments, between those asked too, from which models learn."""

from __future__ import annotations

import numpy as np

from osler.cohort.cohort import Cohort
from osler.config import Question
from osler.errors import ModelError

__all__ = ["training_landmarks"]

_STEPS = 12
_ROWS = 60_000
_LEAST_AT_RISK = 10


def training_landmarks(
    cohort: Cohort, question: Question, *, steps: int = _STEPS, rows: int = _ROWS, beyond: float = 0.0
) -> tuple[float, ...]:
    """Moments (days, ascending) at which to stack the patients at risk when a model learns from every landmark.

    The landmarks asked and, where there are visits after the time origin, up to ``steps`` even steps from that origin
    to the last of them: moments between visits teach what an old value is worth; and on, in tenths of the longest
    horizon, to ``beyond`` of that horizon past the last, or half as far again as the last is from the origin, whichever
    is nearer: later patients are patients like the others. Steps are no shorter than the longest horizon over
    ``steps``, and fewer when the stack would exceed about ``rows`` rows. Moments with fewer than 10 patients at risk,
    or with no event of any cause within the longest horizon, are left out, unless nothing would be left. Raises
    ModelError when nobody is at risk at any landmark.
    """
    if cohort.outcome is None:
        raise ModelError(f"training landmarks cannot be laid: the cohort {cohort.name!r} has no outcome")
    asked = np.asarray(question.landmarks, dtype=float)
    moments = asked
    if (cohort.visits["time"] > 0).any() and asked.max() > 0:
        affordable = rows // max(len(cohort), 1) - len(asked)
        distinct = int(np.ceil(asked.max() / max(question.horizons) * steps))
        count = max(min(steps, affordable, distinct), 0)
        moments = np.union1d(asked, np.linspace(0.0, asked.max(), count + 1)) if count else asked
        horizon = max(question.horizons)
        later = asked.max() + horizon / 10 * np.arange(1, round(10 * beyond) + 1)
        later = later[later <= 1.5 * asked.max()]  # where landmarks are early, what is known so late is another matter
        affordable -= count
        moments = np.union1d(moments, later[: max(affordable, 0)])
        apart = np.abs(moments[:, None] - asked).min(axis=1)
        moments = moments[(apart == 0) | (apart > 1e-6 * asked.max())]
    time, event = cohort.outcome.time, cohort.outcome.event
    at_risk = time > moments[:, None]
    events = at_risk & (time <= moments[:, None] + max(question.horizons)) & (event > 0)
    useful = (at_risk.sum(axis=1) >= _LEAST_AT_RISK) & events.any(axis=1)
    chosen = moments[useful] if useful.any() else moments[at_risk.any(axis=1)]
    if not len(chosen):
        raise ModelError("no patient is at risk at any landmark")
    return tuple(float(moment) for moment in chosen)
