"""Saliency: which pixels make a network say what it says of a picture or volume.

Integrated gradients (Sundararajan, Taly and Yan, ICML 2017): what is said of an image minus what is said of a baseline
is shared among the pixels by adding up gradients along the straight way from one to the other. One baseline makes a map
of its own peculiarities; the mean over several that look like the image from afar, blurred and with grain of their own
(Erion et al., Nature Machine Intelligence 2021;3:620-631), does not. The shares add up to the difference but for the
error of the steps, which is told. They describe the network, not the disease.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from osler.vision.network import PixelNetwork, plain_features

__all__ = ["Attribution", "integrated_gradients", "saliency"]

Floats = NDArray[np.float64]

_BASELINES = 8
_STEPS = 24
_TOGETHER = 4_000_000  # pixels that pass through the network at a time
_COARSE = 4  # a baseline keeps what can be seen in so many pixels along a side


@dataclass(frozen=True, eq=False)
class Attribution:
    """Shares of the pixels of m images in what is said of them.

    Attributes:
        maps: (m, *sides) float64, summed over channels; positive where a pixel raises the output.
        difference: (m,) output for the image minus its mean over the baselines; about the sum of the map.
        error: (m,) how far the sum of the map is from it: what the steps miss.
    """

    maps: Floats
    difference: Floats
    error: Floats


def integrated_gradients(
    say: Callable[[Tensor], Tensor],
    pixels: Tensor,
    *,
    baselines: int = _BASELINES,
    steps: int = _STEPS,
    seed: int = 0,
) -> Attribution:
    """Shares of pixels in one output of any differentiable function of images, each image for itself.

    Args:
        say: (b,) output of each of (b, channels, *sides) images; no image may see another.
        pixels: (m, channels, *sides), 2-D or 3-D.
        baselines: pictures started from, the mean of whose maps is taken.
        steps: of each way, at the nodes of Gauss and Legendre.
        seed: of the grain of the baselines; no global stream is touched.
    """
    parts = [_one(say, image, baselines, steps, seed) for image in pixels]
    maps = [part[0] for part in parts]
    shape = (0, *pixels.shape[2:])
    difference, error = (np.array([part[i] for part in parts], dtype=np.float64) for i in (1, 2))
    return Attribution(np.stack(maps) if maps else np.empty(shape), difference, error)


def saliency(
    network: PixelNetwork,
    pixels: Tensor,
    output: int,
    *,
    baselines: int = _BASELINES,
    steps: int = _STEPS,
    seed: int = 0,
) -> Floats:
    """(m, *sides) float64 shares of the pixels of (m, channels, *sides) scaled images in one output of a network."""

    def say(images: Tensor) -> Tensor:
        return network(images, plain_features(images))[:, output]

    network.eval()
    return integrated_gradients(say, pixels, baselines=baselines, steps=steps, seed=seed).maps


def _one(
    say: Callable[[Tensor], Tensor], image: Tensor, baselines: int, steps: int, seed: int
) -> tuple[Floats, float, float]:
    starts = _starts(image, baselines, torch.Generator().manual_seed(seed))
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    along = torch.as_tensor((nodes + 1) / 2, dtype=image.dtype).view(-1, *[1] * image.ndim)
    share = torch.as_tensor(weights / 2, dtype=image.dtype).view(-1, *[1] * image.ndim)
    together = max(1, _TOGETHER // image.numel())
    total = torch.zeros_like(image)
    for start in starts:
        for at, weight in zip(along.split(together), share.split(together), strict=True):
            way = (start + at * (image - start)).requires_grad_(True)
            (gradient,) = torch.autograd.grad(say(way).sum(), way)
            total += (gradient * weight).sum(dim=0) * (image - start) / baselines
    with torch.no_grad():
        said = torch.cat([say(part) for part in torch.cat([image[None], starts]).split(together)])
    difference = float(said[0] - said[1:].mean())
    found = total.sum(dim=0).double().numpy()
    return found, difference, abs(float(found.sum()) - difference)


def _starts(image: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count, channels, *sides): the image blurred until only its slow changes stay, with grain of its own spread."""
    sides = tuple(image.shape[1:])
    small = tuple(min(side, _COARSE) for side in sides)
    if len(sides) == 2:
        means, mode = functional.adaptive_avg_pool2d(image[None], small), "bilinear"  # type: ignore[arg-type]
    else:
        means, mode = functional.adaptive_avg_pool3d(image[None], small), "trilinear"  # type: ignore[arg-type]
    coarse = functional.interpolate(means, size=sides, mode=mode, align_corners=False)
    grain = torch.randn((count, *image.shape), generator=generator, dtype=image.dtype)
    rest = (image - coarse[0]).flatten(1).std(dim=1).view(-1, *[1] * len(sides))
    return coarse + grain * rest
