"""Codes: one form in which declared codes and cells are compared."""

from __future__ import annotations

import re

__all__ = ["canonical"]

_DECIMAL = re.compile(r"([+-]?(?:0|[1-9]\d*))\.(\d*)", re.ASCII)


def canonical(code: str) -> str:
    """The form of a code: "1.0" and "1." are "1", "2.50" is "2.5"; "01" stays, for it may be a label."""
    match = _DECIMAL.fullmatch(code)
    if match is None:
        return code
    fraction = match[2].rstrip("0")
    return f"{match[1]}.{fraction}" if fraction else match[1]
