"""PixelNetwork: a small convolutional network of pictures or volumes, in which no image sees another."""

from __future__ import annotations

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn

__all__ = ["PixelNetwork", "plain_features"]

_WIDTHS = (8, 16, 32, 32)  # channels after each halving
_SMALLEST = 8  # halving stops at a map of about this many pixels across
_GROUPS = 4


class PixelNetwork(nn.Module):
    """Halving convolutions (MONAI blocks, group-normalised), the mean and the maximum of their maps, one linear layer.

    Mean and spread of the picture itself go round the convolutions, whose normalisation would take them away. Nothing
    is normalised over a batch: what is said of an image depends on that image alone. It starts by saying zero of all.

    Args:
        channels: of the images.
        sides: height and width, or depth, height and width.
        outputs: numbers said of each image.
        generator: of the first weights; the global stream is not touched.
        widths: channels after each halving.
        smallest: halving stops at maps of about this many pixels across.
    """

    def __init__(
        self,
        channels: int,
        sides: tuple[int, ...],
        outputs: int,
        generator: torch.Generator,
        *,
        widths: tuple[int, ...] = _WIDTHS,
        smallest: int = _SMALLEST,
    ) -> None:
        super().__init__()
        self.channels, self.sides, self.outputs = channels, tuple(sides), outputs
        blocks: list[nn.Module] = []
        width, across = channels, self.sides
        with torch.random.fork_rng(devices=[]):  # library layers draw their first weights from the global stream
            for wider in widths:
                strides = _strides(across)
                norm = ("group", {"num_groups": _GROUPS})
                blocks.append(Convolution(len(sides), width, wider, strides=strides, norm=norm, act="RELU"))
                width, across = wider, tuple(-(-side // stride) for side, stride in zip(across, strides, strict=True))
                if min(across) <= smallest and max(across) <= 4 * smallest:
                    break
            self.features = nn.Sequential(*blocks)
            self.output = nn.Linear(2 * width + 2 * channels, outputs)
        for module in self.features.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, pixels: Tensor, plain: Tensor) -> Tensor:
        """(m, outputs) of (m, channels, *sides) float32 pixels, and of what ``plain_features`` says of them."""
        return self.output(self.describe(pixels, plain))

    def describe(self, pixels: Tensor, plain: Tensor) -> Tensor:
        """(m, features) that the outputs are linear in."""
        maps = self.features(pixels).flatten(2)
        return torch.cat([maps.mean(dim=2), maps.amax(dim=2), plain], dim=1)


def plain_features(pixels: Tensor) -> Tensor:
    """(m, 2 channels) mean and spread of each picture or volume."""
    flat = pixels.flatten(2)
    return torch.cat([flat.mean(dim=2), flat.std(dim=2)], dim=1)


def _strides(across: tuple[int, ...]) -> tuple[int, ...]:
    """Halve every side; in volumes of thick slices the short side waits until the others are as short."""
    return tuple(2 if len(across) == 2 or 2 * side > max(across) else 1 for side in across)
