"""Schema: which variables, features and image shapes a model was fitted on, and a cohort brought into that form."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import VISIT_KEYS, Cohort, Genomics, Images, Variable
from osler.errors import ModelError

__all__ = ["Schema"]


@dataclass(frozen=True)
class Schema:
    """The shape of a cohort without its patients; JSON-able through ``to_json`` and ``from_json``.

    Attributes:
        record, visits: variables in column order.
        genomics: block name -> (kind, feature names).
        images: block name -> (form, shape of one image).
        encoders: block name -> (length, origin) of the vectors that a network trained elsewhere made of its pixels.
    """

    record: tuple[Variable, ...]
    visits: tuple[Variable, ...]
    genomics: dict[str, tuple[str, tuple[str, ...]]]
    images: dict[str, tuple[str, tuple[int, ...]]]
    encoders: dict[str, tuple[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, cohort: Cohort) -> Schema:
        """The schema of ``cohort``."""
        return cls(
            record=cohort.record_variables,
            visits=cohort.visit_variables,
            genomics={name: (g.kind, g.features) for name, g in cohort.genomics.items()},
            images={name: (b.form, tuple(b.values.shape[1:])) for name, b in cohort.images.items()},
            encoders={name: encoder for name, b in cohort.images.items() if (encoder := _encoder(b)) is not None},
        )

    def conform(self, cohort: Cohort) -> Cohort:
        """``cohort`` with exactly these columns, in this order; what it lacks becomes missing, what is new is left out.

        Raises:
            ModelError: a variable is of another type, unit or level set, a genomic block or image of another shape;
                all differences are named at once.
        """
        problems = [
            f"variable {mine.name!r}: the model knows {_meaning(mine)}, the cohort has {_meaning(yours)}"
            for mine in (*self.record, *self.visits)
            if (yours := cohort.variables.get(mine.name)) is not None
            and ((mine.type, mine.unit) != (yours.type, yours.unit) or not set(yours.levels) <= set(mine.levels))
        ]
        problems += [
            f"images {name!r}: the model knows {form} of shape {shape}, the cohort has {b.form} of {b.values.shape[1:]}"
            for name, (form, shape) in self.images.items()
            if (b := cohort.images.get(name)) is not None and (b.form, b.values.shape[1:]) != (form, shape)
        ]
        problems += [
            f"images {name!r}: the model reads them by a network trained elsewhere ({origin[:12]}), the cohort by "
            f"{'another' if b.embedding is not None else 'none'}: name the same network and weights in its manifest"
            for name, (length, origin) in self.encoders.items()
            if (b := cohort.images.get(name)) is not None and _encoder(b) != (length, origin)
        ]
        if problems:
            raise ModelError("the cohort does not fit the model:\n  " + "\n  ".join(problems))
        n = len(cohort)
        return replace(
            cohort,
            record=_columns(cohort.record, self.record),
            visits=_columns(cohort.visits, self.visits, keep=VISIT_KEYS),
            variables={v.name: v for v in (*self.record, *self.visits)},
            genomics={name: _block(cohort.genomics.get(name), name, spec, n) for name, spec in self.genomics.items()},
            images={name: cohort.images.get(name, self._no_images(name)) for name in self.images},
        )

    def to_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return {
            "record": [asdict(v) for v in self.record],
            "visits": [asdict(v) for v in self.visits],
            "genomics": {k: {"kind": kind, "features": list(names)} for k, (kind, names) in self.genomics.items()},
            "images": {k: {"form": form, "shape": list(shape)} for k, (form, shape) in self.images.items()},
            "encoders": {k: {"length": length, "origin": origin} for k, (length, origin) in self.encoders.items()},
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        """The inverse of ``to_json``."""
        return cls(
            record=tuple(_variable(v) for v in data["record"]),
            visits=tuple(_variable(v) for v in data["visits"]),
            genomics={k: (g["kind"], tuple(g["features"])) for k, g in data["genomics"].items()},
            images={k: (b["form"], tuple(b["shape"])) for k, b in data["images"].items()},
            encoders={k: (e["length"], e["origin"]) for k, e in data["encoders"].items()},
        )

    def _no_images(self, name: str) -> Images:
        form, shape = self.images[name]
        visit, values = np.empty(0, dtype=np.int64), np.empty((0, *shape), dtype=np.float32)
        length, origin = self.encoders.get(name, (None, ""))
        embedding = None if length is None else np.empty((0, length), dtype=np.float32)
        return Images(name, form, visit, values, embedding=embedding, origin=origin)  # type: ignore[arg-type]


def _encoder(block: Images) -> tuple[int, str] | None:
    return None if block.embedding is None else (block.embedding.shape[1], block.origin)


def _meaning(variable: Variable) -> str:
    levels = f" of {', '.join(variable.levels)}" if variable.levels else ""
    return f"a {variable.type}{levels} in {variable.unit or 'no unit'}"


def _variable(data: dict[str, Any]) -> Variable:
    return Variable(**{**data, "levels": tuple(data["levels"])})


def _columns(table: pd.DataFrame, variables: tuple[Variable, ...], keep: tuple[str, ...] = ()) -> pd.DataFrame:
    columns: dict[str, Any] = {name: table[name] for name in keep}
    for v in variables:
        if v.type == "category":
            values = table[v.name].astype(object) if v.name in table else [None] * len(table)
            columns[v.name] = pd.Categorical(values, categories=list(v.levels))
        else:
            columns[v.name] = table[v.name].astype(float) if v.name in table else np.full(len(table), np.nan)
    return pd.DataFrame(columns, index=table.index)


def _block(block: Genomics | None, name: str, spec: tuple[str, tuple[str, ...]], n: int) -> Genomics:
    kind, features = spec
    if block is not None and block.features == features:
        return block
    values = np.full((n, len(features)), np.nan, dtype=np.float32)
    if block is not None:
        at = {feature: i for i, feature in enumerate(block.features)}
        shared = [(i, at[feature]) for i, feature in enumerate(features) if feature in at]
        if shared:
            mine, theirs = np.array(shared).T
            values[:, mine] = block.values[:, theirs]
    return Genomics(name=name, kind=kind, features=features, values=values)  # type: ignore[arg-type]
