"""Column: what one number of a model's input means."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Column", "columns_from_json", "columns_to_json"]


@dataclass(frozen=True)
class Column:
    """The meaning of one feature.

    Attributes:
        name: unique within a design, such as "AGE", "SEX=male" or "SYSBP.slope".
        modality: the block it belongs to: as ``Variable.modality``, the name of a genomic or image block, or "landmark"
            for the moment of prediction itself.
        variable: the variable, genomic feature, gene set or block that it was made of.
        summary: "value", "level=<label>", "missing", "spline<k>"; of visits "last", "mean", "slope", "since" (the last
            visit), "count"; "component" of a genomic or image block, "set" of a gene set; "landmark", "landmark^2".
        group: the unit of penalties; the modality if not given.
    """

    name: str
    modality: str
    variable: str
    summary: str
    group: str = ""

    @property
    def kind(self) -> str:
        """What of the variable it tells: "level", "spline", "mean", "slope", or "rhythm" (how often, how long ago)."""
        if self.summary.startswith("spline"):
            return "spline"
        return {"mean": "mean", "slope": "slope", "since": "rhythm", "count": "rhythm"}.get(self.summary, "level")


def columns_to_json(columns: tuple[Column, ...]) -> list[dict[str, str]]:
    """Plain dicts."""
    return [asdict(column) for column in columns]


def columns_from_json(data: list[dict[str, Any]]) -> tuple[Column, ...]:
    """The inverse of ``columns_to_json``."""
    return tuple(Column(**item) for item in data)
