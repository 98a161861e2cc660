"""Follow-up of a cohort: how long patients were seen, and how often each event came."""

from __future__ import annotations

from typing import Any

from osler.cohort.cohort import Cohort
from osler.config import StudyConfig

__all__ = ["follow_up"]


def follow_up(cohort: Cohort, config: StudyConfig) -> dict[str, Any]:
    return {"curves": [], "finding": "", "median": None, "rows": []}
