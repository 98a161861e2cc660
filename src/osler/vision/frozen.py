"""Frozen encoder: vectors that a network trained elsewhere makes of images, one image at a time, kept on disk.

A vector depends on its image, the weights and the way pixels are brought to them, on nothing else: normalisation uses
the network's running statistics, and every image passes alone, so that the same image gives the same bits in whatever
cohort it lies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from osler.outputs import write_whole
from osler.vision.resnet import make_resnet, vector_length
from osler.vision.weights import parse_weights

__all__ = ["FrozenEncoder"]

Vectors = NDArray[np.float32]
Normalise = Literal["imagenet", "image"]

#: Mean and spread of red, green and blue in ImageNet, which weights trained there expect.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_VERSION = 1  # of what is done to pixels before the network; a change makes new vectors
_DIGEST = 32  # bytes of SHA-256 at the start of a kept vector


@dataclass(frozen=True, eq=False)
class FrozenEncoder:
    """A network that is only read.

    Attributes:
        network: in evaluation mode.
        inputs: channels that it takes, 1 or 3.
        length: of its vectors.
        normalise: "imagenet", by that collection's mean and spread; "image", each image to mean 0 and spread 1.
        origin: digest of weights, architecture and normalisation.
        folder: where vectors are kept; None to keep none.
    """

    network: nn.Module
    inputs: int
    length: int
    normalise: Normalise
    origin: str
    folder: Path | None = field(default=None)

    @classmethod
    def load(
        cls,
        kind: str,
        data: bytes,
        name: str,
        dims: int,
        *,
        normalise: Normalise | None = None,
        first_stride: int = 2,
        folder: Path | None = None,
    ) -> FrozenEncoder:
        """The encoder of a file of weights.

        Args:
            kind: architecture, such as "resnet18".
            data: content of the file (see ``parse_weights``).
            name: what messages call it.
            dims: 2 for pictures, 3 for volumes.
            normalise: "imagenet" for pictures and "image" for volumes if not given.
            first_stride: of the first convolution.
            folder: where vectors are kept.

        Raises:
            DataError: the file is damaged, or its tensors do not fit.
        """
        network = make_resnet(kind, parse_weights(data, name), dims, name, first_stride=first_stride)
        way: Normalise = normalise or ("imagenet" if dims == 2 else "image")
        made = f"{_VERSION}:{kind}:{dims}:{way}:{first_stride}:".encode()
        origin = hashlib.sha256(made + hashlib.sha256(data).digest()).hexdigest()
        return cls(network, network.conv1.in_channels, vector_length(kind), way, origin, folder)

    def encode(self, images: Vectors) -> Vectors:
        """(m, d) float32 vectors of (m, channels, *sides) float32 images in [0, 1].

        A vector that is kept is read; one whose file is damaged is made again.

        Args:
            images: one or three channels; grey is repeated where colour is expected, colour averaged where grey is.
        """
        vectors = [self._one(np.ascontiguousarray(image, dtype=np.float32)) for image in images]
        return np.stack(vectors) if vectors else np.empty((0, self.length), dtype=np.float32)

    def _one(self, image: Vectors) -> Vectors:
        path = None if self.folder is None else self.folder / self.origin[:16] / f"{_name(image)}.vector"
        kept = None if path is None else _read(path, self.length)
        if kept is not None:
            return kept
        with torch.inference_mode():
            vector = self.network(self._input(torch.from_numpy(image)))[0].numpy().astype(np.float32)
        if path is not None:
            _write(path, vector)
        return vector

    def _input(self, image: Tensor) -> Tensor:
        """(1, inputs, *sides), normalised."""
        pixels = image[None]
        if pixels.shape[1] != self.inputs:
            pixels = pixels.mean(dim=1, keepdim=True).expand(-1, self.inputs, *pixels.shape[2:])
        if self.normalise == "image":
            return (pixels - pixels.mean()) / pixels.std().clamp_min(1e-6)
        axes = (1, -1, *[1] * (pixels.ndim - 2))
        mean, spread = (torch.tensor(v).view(axes) for v in _IMAGENET)
        if self.inputs == 1:
            mean, spread = mean.mean(dim=1, keepdim=True), spread.mean(dim=1, keepdim=True)
        return (pixels - mean) / spread


def _name(image: Vectors) -> str:
    return hashlib.sha256(f"{image.shape}".encode() + image.astype("<f4").tobytes()).hexdigest()


def _read(path: Path, length: int) -> Vectors | None:
    """A kept vector; None if there is none, or none that is whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    check, body = data[:_DIGEST], data[_DIGEST:]
    if len(body) != 4 * length or hashlib.sha256(body).digest() != check:
        return None
    return np.frombuffer(body, dtype="<f4").astype(np.float32)


def _write(path: Path, vector: Vectors) -> None:
    body = vector.astype("<f4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda part: part.write_bytes(hashlib.sha256(body).digest() + body))
