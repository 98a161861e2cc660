"""Inputs of the recurrent model: columns for the ridge path, rows for the network's head, and packed visits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from osler.cohort.availability import available
from osler.cohort.cohort import Cohort, Images
from osler.cohort.landmark import Landmark
from osler.cohort.schema import Schema
from osler.features.completion import Completion
from osler.features.design import Design
from osler.features.history import running_sum
from osler.features.sequence import Sequences, VisitEncoder
from osler.models.image_reader import ImageReader

__all__ = ["Fused", "HeadRows", "Inputs", "read_images"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEADING = 20
_SCORE_GAIN = 2.0  # log hazard ratios have spreads of about a half; other inputs of about one


@dataclass(frozen=True, eq=False)
class Fused:
    """What is known of R rows.

    Attributes:
        columns: (R, P) float64 for the ridge path, those of absent modalities completed (see ``Completion``).
        sequences: the visits.
        available: modality -> (R,) whether anything of it is known.
    """

    columns: Floats
    sequences: Sequences
    available: dict[str, NDArray[np.bool_]]


def read_images(cohort: Cohort, scores: dict[str, Floats]) -> Cohort:
    """The cohort with pixels replaced by what a network read from them.

    ``scores`` (m, K) of the images of a block become one embedding (2 K) at each visit: the mean scores of the images
    taken there, and those of all the patient's images so far.
    """
    images = dict(cohort.images)
    owner = cohort.visits["patient"].to_numpy()
    for name, own in scores.items():
        block = images[name]
        patient = owner[block.visit]
        ordinal = np.arange(len(patient)) - np.searchsorted(patient, patient, "left")
        so_far = running_sum(own, ordinal) / (ordinal + 1.0)[:, None]
        last = np.flatnonzero(np.diff(block.visit, append=-1))
        here = Images(name, "embedding", block.visit, np.asarray(own, dtype=np.float32)).per_visit()
        both = np.hstack([here.values, so_far[last].astype(np.float32)])
        images[name] = Images(name, "embedding", here.visit, both)
    return replace(cohort, images=images)


class Inputs:
    """Everything that stands between a landmark and the numbers: readers of images, design, scales of visits.

    Args:
        readers: of the image blocks whose pixels are read.
        components: most principal components of a genomic or embedding block; None: as ``Design`` has it.
        unit: days that count as one unit of time between visits.
        splines: knots of linear splines on numbers.

    Attributes:
        columns_: meaning of the P columns.
    """

    def __init__(
        self, readers: dict[str, ImageReader], *, components: int | None, unit: float, splines: int = 0
    ) -> None:
        self.readers, self.components, self.unit, self.splines = readers, components, unit, splines

    def fit(self, landmark: Landmark) -> Self:
        """Learn from training rows whose images were read already (by networks that did not see the patient)."""
        self.design = Design(components=self.components, splines=self.splines).fit(landmark)
        self.visits = VisitEncoder(self.unit).fit(landmark.known, self._readings(landmark))
        self.columns_ = self.design.columns_
        columns, patients = self.design.transform(landmark), len(np.unique(landmark.patient))
        self.completion = Completion().fit(columns, self.columns_, self.blocks(), available(landmark), patients)
        return self

    def read(self, landmark: Landmark) -> Landmark:
        """The landmark with its images read; of blocks without a reader, vectors made elsewhere are taken if any."""
        known = landmark.known
        given = {name: block if name in self.readers else block.vectors for name, block in known.images.items()}
        images = {name: block for name, block in given.items() if block is not None}
        scores = {name: reader.scores(known.images[name].values) for name, reader in self.readers.items()}
        return replace(landmark, known=read_images(replace(known, images=images), scores))

    def transform(self, landmark: Landmark) -> Fused:
        """Columns and sequences of a landmark whose images were read."""
        there = available(landmark)
        columns = self.completion.complete(self.design.transform(landmark), there)
        return Fused(columns, self.sequences(landmark), there)

    def sequences(self, landmark: Landmark) -> Sequences:
        """The visits of a landmark whose images were read."""
        return self.visits.transform(landmark, self._readings(landmark))

    def _readings(self, landmark: Landmark) -> dict[str, Floats]:
        """Scores at visits, (V, K) by block; NaN where no image was taken."""
        out = {}
        for name, reader in self.readers.items():
            block = landmark.known.images[name]
            at_visits = np.full((len(landmark.known.visits), reader.outputs), np.nan)
            at_visits[block.visit] = block.values[:, : reader.outputs]
            out[name] = at_visits
        return out

    def absent(self, schema: Schema, landmark: Landmark) -> Floats:
        """(P,) columns of a patient of whom nothing is known."""
        one = landmark.known.subset([0])
        nothing = schema.conform(one.without(*one.modalities)).at(float(landmark.time[0]), at_risk=False)
        return self.transform(self.read(nothing)).columns[0]

    def blocks(self) -> dict[str, Ints]:
        """Columns by modality."""
        return self.design.penalty_groups()

    def groups(self, *, splines: bool) -> dict[str, Ints]:
        """Columns that share a penalty, with or without the splines."""
        groups = self.design.penalty_groups(by_kind=True)
        return {name: columns for name, columns in groups.items() if splines or not name.endswith(".spline")}

    def doubted(self) -> set[str]:
        """Groups of wide blocks, which may well be all noise; scores that a network read are no such thing."""
        read = {f"{name}.level" for name in self.readers}
        return set(self.design.wide_groups(by_kind=True)) - read

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        readers = {name: reader.state() for name, reader in self.readers.items()}
        return {
            "components": self.components,
            "unit": self.unit,
            "splines": self.splines,
            "readers": readers,
            "design": self.design.state(),
            "completion": self.completion.state(),
            "visits": self.visits.state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], schema: Schema) -> Self:
        """The inverse of ``state``."""
        readers = {name: ImageReader.from_state(data) for name, data in state["readers"].items()}
        inputs = cls(readers, components=state["components"], unit=state["unit"], splines=state["splines"])
        inputs.design = Design(components=state["components"], splines=state["splines"]).restore(state["design"])
        inputs.completion = Completion.from_state(state["completion"])
        inputs.visits = VisitEncoder.from_state(state["visits"], schema.visits)
        inputs.columns_ = inputs.design.columns_
        return inputs


@dataclass
class HeadRows:
    """What the network's head is told of a row beside the state.

    Every modality enters as the log hazard ratios that the ridge path makes of it, one per cause. Those of narrow
    modalities enter beside their columns as they are; of wide ones (genomics, embeddings) nothing else does: given
    fifty components, a network learns less. Trees, which choose, are also told the first of them.

    Attributes:
        narrow: columns of the ridge path taken as they are.
        leading: columns of wide blocks that trees are told too: the first 20 of each.
        scored: blocks of which the ridge scores are taken.
        modality: modality of each input.
    """

    narrow: Ints
    leading: Ints
    scored: tuple[str, ...]
    modality: tuple[str, ...]

    @classmethod
    def of(cls, inputs: Inputs, wide: list[str], n_causes: int) -> Self:
        """Decide by modality; ``wide`` names the wide ones."""
        narrow = [i for i, c in enumerate(inputs.columns_) if c.modality not in wide and c.kind != "spline"]
        blocks = inputs.blocks()
        scored = tuple(name for name in blocks if name != "landmark")
        of_block = [inputs.columns_[blocks[name][0]].modality for name in scored]
        modality = [inputs.columns_[i].modality for i in narrow] + [name for name in of_block for _ in range(n_causes)]
        of_wide = [[i for i, c in enumerate(inputs.columns_) if c.modality == name][:_LEADING] for name in wide]
        leading = np.array([i for members in of_wide for i in members], dtype=np.int64)
        return cls(np.array(narrow, dtype=np.int64), leading, scored, tuple(modality))

    def transform(self, columns: Floats, parts: dict[str, Floats]) -> Floats:
        """(R, Q) inputs from (R, P) columns and the (R, K) ridge scores of each block."""
        return np.hstack([columns[:, self.narrow], *(parts[name] * _SCORE_GAIN for name in self.scored)])

    def of_trees(self, columns: Floats, head: Floats) -> Floats:
        """(R, Q') what trees are told: the (R, Q) inputs of ``transform``, and the leading columns of wide blocks."""
        return np.hstack([head, columns[:, self.leading]])

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        return {
            "narrow": self.narrow,
            "leading": self.leading,
            "scored": list(self.scored),
            "modality": list(self.modality),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        return cls(state["narrow"], state["leading"], tuple(state["scored"]), tuple(state["modality"]))
