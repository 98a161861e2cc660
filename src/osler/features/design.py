"""Design: the rows of a landmark as a matrix whose every column has a name, a modality and a meaning."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Variable
from osler.cohort.landmark import Landmark
from osler.errors import ModelError
from osler.features.column import Column
from osler.features.components import most_components
from osler.features.genomics import GenomicFeatures
from osler.features.history import HistoryFeatures
from osler.features.imaging import ImagingFeatures
from osler.features.record import RecordFeatures
from osler.features.scale import Scale

__all__ = ["Column", "Design"]

Floats = NDArray[np.float64]
HISTORY = ("last", "mean", "slope")
_MANY_PATIENTS = 1000


class Design:
    """Record, visits so far, genomics and image embeddings of each row as float64 columns of spread about one.

    Everything is fitted on the rows given to ``fit``. ``transform`` looks at one row at a time: its result does not
    depend, not by a bit, on the other rows, on identifiers, or on anything after the row's landmark.

    Args:
        missing: "impute" puts 0, the training average, with flags where more than 5 % is missing; "keep" leaves NaN.
        history: which of "last", "mean", "slope" to take of visit variables.
        components: most principal components of a genomic or embedding block; None: of a genomic one as many as linear
            models afford (``most_components``), of embeddings 50 where there are 1,000 patients or more, otherwise 20.
        landmark_terms: columns s and s^2 of the landmark itself, where landmarks differ.
        splines: knots of linear splines on numbers ("value" and "last"); 0 for none.
        clip: bound of the scaled values.
        leading: whether the few genes that stand out by themselves enter beside the components of their block: for
            signals of which it is known that few genes carry them.
        whole: genomic blocks of up to so many features enter as they are, whatever ``components``.

    Attributes:
        columns_: P columns, grouped by modality.
    """

    def __init__(
        self,
        *,
        missing: Literal["impute", "keep"] = "impute",
        history: tuple[str, ...] = HISTORY,
        components: int | None = None,
        landmark_terms: bool = True,
        splines: int = 0,
        clip: float = 4.0,
        leading: bool = False,
        whole: int = 0,
    ) -> None:
        self.missing = missing
        self.history = tuple(history)
        self.components = components
        self.landmark_terms = landmark_terms
        self.splines = splines
        self.clip = clip
        self.leading = leading
        self.whole = whole

    def fit(self, landmark: Landmark) -> Self:
        """Learn scales, levels, components and flags from R training rows; raises ModelError when there are none."""
        if not len(landmark):
            raise ModelError("a design cannot be fitted: nobody is at risk at the landmarks")
        known = landmark.known
        embeddings = [name for name, block in known.images.items() if block.vectors is not None]
        patients = len(np.unique(landmark.patient))
        self._prepare(
            known.record_variables, known.visit_variables, list(known.genomics), embeddings, patients, len(landmark)
        )
        for part in self._parts:
            part.fit(landmark)
        self.moment_scales = [Scale.fit(moment, clip=np.inf) for moment in self._moments(landmark)]
        self._collect()
        return self

    def _prepare(
        self,
        record: tuple[Variable, ...],
        visits: tuple[Variable, ...],
        genomics: list[str],
        embeddings: list[str],
        patients: int = 0,
        rows: int = 0,
    ) -> None:
        self._variables = (record, visits)
        keep = self.missing == "keep"
        common: dict[str, Any] = {"keep_missing": keep, "clip": self.clip}
        self._record = RecordFeatures(splines=self.splines, **common)
        self._history = HistoryFeatures(history=self.history, splines=self.splines, **common)
        most = self.components if self.components is not None else most_components(rows)
        self._genomics = [
            GenomicFeatures(name, components=most, leading=self.leading, whole=self.whole, **common)
            for name in genomics
        ]
        few = self.components if self.components is not None else 50 if patients >= _MANY_PATIENTS else 20
        self._imaging = [ImagingFeatures(name, components=few, **common) for name in embeddings]

    @property
    def _parts(self) -> list[RecordFeatures | HistoryFeatures | GenomicFeatures | ImagingFeatures]:
        return [self._record, self._history, *self._genomics, *self._imaging]

    def _moments(self, landmark: Landmark) -> list[Floats]:
        return [landmark.time, landmark.time**2] if self.landmark_terms else []

    def _collect(self) -> None:
        terms = [Column(name, "landmark", "landmark", name) for name in ("landmark", "landmark^2")]
        self.columns_: tuple[Column, ...] = (
            *(column for part in self._parts for column in part.columns),
            *(term for term, scale in zip(terms, self.moment_scales, strict=False) if scale is not None),
        )

    def transform(self, landmark: Landmark) -> Floats:
        """(R, P) float64 features, finite with missing="impute"; modalities that the cohort lacks count as missing."""
        moments = [
            scale(moment)[:, None]
            for scale, moment in zip(self.moment_scales, self._moments(landmark), strict=True)
            if scale is not None
        ]
        return np.column_stack([*(part.transform(landmark) for part in self._parts), *moments])

    def record(self, landmark: Landmark) -> NDArray[np.float64]:
        """(R, S) the columns of what was known at the time origin, first among those of ``transform``."""
        return self._record.transform(landmark)

    def penalty_groups(self, *, by_kind: bool = False) -> dict[str, NDArray[np.int64]]:
        """Modality, or gene sets of one -> positions of its columns, ascending; each may have a penalty of its own.

        With ``by_kind`` a modality's levels, splines, means, slopes and rhythm are groups of their own.
        """
        groups: dict[str, list[int]] = {}
        for i in range(len(self.columns_)):
            groups.setdefault(self._group(i, by_kind), []).append(i)
        return {name: np.array(members, dtype=np.int64) for name, members in groups.items()}

    def wide_groups(self, *, by_kind: bool = False) -> frozenset[str]:
        """The penalty groups made of genomic blocks and embeddings."""
        blocks = {*(part.name for part in self._genomics), *(part.name for part in self._imaging)}
        wide = (i for i, column in enumerate(self.columns_) if column.modality in blocks)
        return frozenset(self._group(i, by_kind) for i in wide)

    def _group(self, position: int, by_kind: bool) -> str:
        column = self.columns_[position]
        name = column.group or column.modality
        return f"{name}.{column.kind}" if by_kind and column.modality != "landmark" else name

    def state(self) -> dict[str, Any]:
        """Everything learned: JSON values and numpy arrays."""
        record, visits = self._variables
        return {
            "record_variables": [asdict(v) for v in record],
            "visit_variables": [asdict(v) for v in visits],
            "record": self._record.state(),
            "history": self._history.state(),
            "genomics": {part.name: part.state() for part in self._genomics},
            "imaging": {part.name: part.state() for part in self._imaging},
            "moments": [None if scale is None else scale.to_json() for scale in self.moment_scales],
        }

    def restore(self, state: dict[str, Any]) -> Self:
        """Take back what ``state`` gave, in a design made with the same arguments."""
        record, visits = (
            tuple(Variable(**{**v, "levels": tuple(v["levels"])}) for v in state[key])
            for key in ("record_variables", "visit_variables")
        )
        self._prepare(record, visits, list(state["genomics"]), list(state["imaging"]))
        self._record.restore(state["record"], record)
        self._history.restore(state["history"], visits)
        for part in self._genomics:
            part.restore(state["genomics"][part.name])
        for image_part in self._imaging:
            image_part.restore(state["imaging"][image_part.name])
        self.moment_scales = [None if s is None else Scale.from_json(s) for s in state["moments"]]
        self._collect()
        return self
