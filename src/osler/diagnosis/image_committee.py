"""Image committee: several convolutional networks, each of which leaves a part of the patients out, say a class."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from osler.models.pixel_training import mean_stretch, say_of, train_pixels
from osler.vision.augmentation import Augmentation
from osler.vision.network import PixelNetwork

__all__ = ["ImageCommittee", "contrasts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Channels after each halving, and how small maps may become. A class has more examples than an event has: networks may
#: be twice as wide and look further than those of a hazard, as cross-validation on small pictures says.
_WIDTHS, _SMALLEST = (16, 32, 64, 64), 4
_RATE, _BATCH = 8e-3, 32
_WORK = 16 * 4_000 * 28 * 28  # most pixels to see in training one network


@dataclass
class ImageCommittee:
    """What the pixels of one block say of P classes.

    A network is trained without its part of the patients, on whom training is stopped; so that a training image can be
    scored by the one network that never saw its patient.

    Args:
        shape: channels and sides of an image.
        classes: P.
        augmentation: of training images; nothing is mirrored unless it says so.
        epochs: most rounds over the images.
        patience: rounds without a better held-out loss after which training stops.

    Attributes:
        centre, spread: of the training pixels.
        networks: one for each part of the patients.
        stopped: rounds after which each was best.
        unit: spread of the scores of training images, by which all scores are divided: a penalty that suits columns of
            spread one then suits them too, and networks that are too sure of themselves are believed no more.
        stretch: (P',) factor of the mean of all networks that makes it worth, unit by unit, what the score of one is.
    """

    shape: tuple[int, ...]
    classes: int
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 60
    patience: int = 12
    centre: float = 0.0
    spread: float = 1.0
    networks: tuple[PixelNetwork, ...] = ()
    stopped: tuple[int, ...] = ()
    unit: float = 1.0
    stretch: Floats = field(default_factory=lambda: np.ones(1))

    def fit(self, pixels: NDArray[np.float32], label: Ints, part: Ints, seed: int) -> Floats:
        """Train, and return (m, P') scores of the training images by the network that did not see their patient.

        Args:
            pixels: (m, *shape) float32.
            label: (m,) codes 0 to P - 1.
            part: (m,) 0, 1, ...: the part of the patients that the image's patient belongs to.
            seed: of first weights, batches and augmentation.
        """
        self.centre, self.spread = float(pixels.mean()), max(float(pixels.std()), 1e-6)
        images, target = self.scaled(pixels), torch.from_numpy(label)
        networks, stopped = [], []
        scores = np.zeros((len(pixels), contrasts(np.zeros((1, self.classes))).shape[1]))
        others = np.zeros_like(scores)
        for number in range(int(part.max()) + 1):
            held_out = np.flatnonzero(part == number)
            generator = torch.Generator().manual_seed(seed + number)
            network = self._network(generator)
            stopped.append(
                train_pixels(
                    network,
                    images,
                    lambda outputs, rows: functional.cross_entropy(outputs, target[rows]),
                    generator,
                    augmentation=self.augmentation,
                    held_out=held_out,
                    epochs=self.epochs,
                    patience=self.patience,
                    rate=_RATE,
                    batch=_BATCH,
                    work=_WORK,
                )
            )
            networks.append(network)
            said, inside = contrasts(say_of(network, images).numpy()), part != number
            scores[~inside] = said[~inside]
            others[inside] += said[inside]
        self.networks, self.stopped = tuple(networks), tuple(stopped)
        self.unit = max(float(scores.std()), 1e-6)
        self.stretch = mean_stretch(scores, others / max(len(networks) - 1, 1), len(networks))
        return scores / self.unit

    def scores(self, pixels: NDArray[np.float32]) -> Floats:
        """(m, P') scores of new images, by all networks; each image by itself, to the bit."""
        images = self.scaled(pixels)
        each = [contrasts(say_of(network, images).numpy()) for network in self.networks]
        return np.mean(each, axis=0) * (self.stretch / self.unit)

    def _network(self, generator: torch.Generator) -> PixelNetwork:
        kind = {"widths": _WIDTHS, "smallest": _SMALLEST}
        return PixelNetwork(self.shape[0], self.shape[1:], self.classes, generator, **kind)  # type: ignore[arg-type]

    def scaled(self, pixels: NDArray[np.float32]) -> Tensor:
        """Pixels as the networks take them."""
        return (torch.from_numpy(np.ascontiguousarray(pixels)) - self.centre) / self.spread

    def state(self) -> dict[str, Any]:
        """Arrays and JSON values."""
        weights = [{name: t.detach().numpy() for name, t in n.state_dict().items()} for n in self.networks]
        return {
            "shape": list(self.shape),
            "classes": self.classes,
            "augmentation": asdict(self.augmentation),
            "epochs": self.epochs,
            "patience": self.patience,
            "centre": self.centre,
            "spread": self.spread,
            "networks": weights,
            "stopped": list(self.stopped),
            "unit": self.unit,
            "stretch": self.stretch,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of ``state``."""
        shape = tuple(state["shape"])
        committee = cls(
            shape,
            state["classes"],
            augmentation=Augmentation(**state["augmentation"]),
            epochs=state["epochs"],
            patience=state["patience"],
            centre=state["centre"],
            spread=state["spread"],
            stopped=tuple(state["stopped"]),
            unit=state["unit"],
            stretch=np.asarray(state["stretch"]),
        )
        networks = []
        for weights in state["networks"]:
            network = committee._network(torch.Generator())
            network.load_state_dict({name: torch.tensor(np.asarray(array)) for name, array in weights.items()})
            networks.append(network.eval())
        committee.networks = tuple(networks)
        return committee


def contrasts(logits: Floats) -> Floats:
    """(m, P') what (m, P) logits say: their one difference for two classes, else each against their mean."""
    if logits.shape[1] == 2:
        return logits[:, 1:] - logits[:, :1]
    return logits - logits.mean(axis=1, keepdims=True)
