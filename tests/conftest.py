"""Where tests find the package's neighbours: real cohorts are used in place and skipped where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("OSLER_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cohorts, or a skip."""
    if not REAL.is_dir():
        pytest.skip("the real cohorts are not on this machine (set OSLER_DATA)")
    return REAL
