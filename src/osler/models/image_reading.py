"""Image reading: the pixel blocks of training patients read by networks that never saw the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from osler.cohort.cohort import Cohort
from osler.cohort.split import assign_folds
from osler.models.hazard import follow_up
from osler.models.image_reader import ImageReader
from osler.models.inputs import read_images

__all__ = ["Reading", "learn_to_read"]

Floats = NDArray[np.float64]

_READERS = 3  # networks that read an image block, each without a third of the patients
_LEAST_EVENTS = 10  # patients with an event after an image, from which pixels are learned from
_LEARNED_EVENTS = 100  # the same where a network trained elsewhere read the images already


@dataclass(frozen=True, eq=False)
class Reading:
    """What came of reading.

    Attributes:
        readers: by image block, of those whose pixels are read.
        cohort: the training patients, with scores or given vectors in place of pixels.
        notes: what a report must say of blocks that were not read, or told nothing.
    """

    readers: dict[str, ImageReader]
    cohort: Cohort
    notes: tuple[str, ...]


def learn_to_read(cohort: Cohort, edges: Floats, random_state: int) -> Reading:
    """Train readers of every pixel block with events enough; other blocks give their vectors, or leave.

    Args:
        cohort: training patients, with their outcome.
        edges: of the bins of follow-up, days.
        random_state: seed of the parts of the patients and of the networks.
    """
    assert cohort.outcome is not None
    readers: dict[str, ImageReader] = {}
    scores: dict[str, Floats] = {}
    images, notes, causes = dict(cohort.images), [], len(cohort.outcome.causes)
    owner, when = cohort.visits["patient"].to_numpy(), cohort.visits["time"].to_numpy(dtype=float)
    part = assign_folds(cohort.outcome, min(_READERS, len(cohort)), random_state, cohort.patients)
    for name in [name for name, block in cohort.images.items() if block.form == "pixels"]:
        block = images[name]
        patient = owner[block.visit]
        after = cohort.outcome.take(patient).since(when[block.visit])
        use = np.flatnonzero(after.time > 0)
        events = len(np.unique(patient[use][after.event[use] > 0]))
        if events < (_LEAST_EVENTS if block.vectors is None else _LEARNED_EVENTS):
            notes.append(_unread(name, events, block.vectors is not None))
            del images[name]
            if block.vectors is not None:
                images[name] = block.vectors
            continue
        reader = ImageReader(block.values.shape[1:], causes, block.augment)
        scores[name] = np.zeros((len(patient), causes))
        seen = follow_up(after.take(use), edges)
        scores[name][use] = reader.fit(block.values[use], seen, edges, part[patient[use]], random_state)
        readers[name] = reader
        if not any(reader.useful):
            notes.append(f"Images {name!r} told nothing of patients left out of their reading.")
    return Reading(readers, read_images(replace(cohort, images=images), scores), tuple(notes))


def _unread(name: str, events: int, embedded: bool) -> str:
    """Why no network was trained on a block's pixels, and what was done instead."""
    few = f"{events} training patient{'s' if events != 1 else ''} with one had an event"
    if embedded:
        return f"Images {name!r} were read by the network trained elsewhere: {few}, too few to train one here."
    return f"Images {name!r} were not read: {few}, too few to train a network; one trained elsewhere could be named."
