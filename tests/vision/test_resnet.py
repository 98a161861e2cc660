"""Weights by name: both namings, strict checks, files in which nothing runs."""

from __future__ import annotations

import io
import pickle

import pytest
import torch
from monai.networks.nets.resnet import resnet10, resnet18
from safetensors.torch import save
from torch import nn

from osler.errors import DataError
from osler.vision.resnet import make_resnet, vector_length
from osler.vision.weights import parse_weights


class TorchvisionBlock(nn.Module):
    """The basic block as torchvision names it."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        if stride > 1 or before != width:
            self.downsample = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (out + (self.downsample(x) if hasattr(self, "downsample") else x)).relu()


class TorchvisionResNet18(nn.Module):
    """The published network, built here from its description: first stride 2, no bias in shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = 64
        for i, width in enumerate((64, 128, 256, 512), 1):
            stride = 1 if i == 1 else 2
            blocks = [TorchvisionBlock(before, width, stride), TorchvisionBlock(width, width, 1)]
            setattr(self, f"layer{i}", nn.Sequential(*blocks))
            before = width
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return x.mean(dim=(2, 3))


def _some(network: nn.Module, seed: int = 0) -> nn.Module:
    """Every tensor drawn, running statistics too."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            scale = 0.05 if name.endswith("weight") and tensor.ndim > 1 else 0.3
            drawn = torch.randn(tensor.shape, generator=generator) * scale
            tensor.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return network.eval()


@pytest.fixture(scope="module")
def published():
    with torch.random.fork_rng():
        return _some(TorchvisionResNet18())


@pytest.fixture(scope="module")
def monai3d():
    with torch.random.fork_rng():
        return _some(resnet10(spatial_dims=3, n_input_channels=1, conv1_t_stride=2, num_classes=2))


def _torch_file(content, **options) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def test_torchvision_weights_give_what_torchvision_gives(published):
    network = make_resnet("resnet18", parse_weights(save(published.state_dict()), "w"), 2, "w")
    pixels = torch.randn(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(network(pixels), published(pixels), rtol=1e-4, atol=1e-5)
    assert vector_length("resnet18") == 512
    assert not network.training


def test_monai_weights_of_volumes_give_what_monai_gives(monai3d):
    network = make_resnet("resnet10", parse_weights(save(monai3d.state_dict()), "w"), 3, "w")
    voxels = torch.randn(1, 1, 16, 24, 24, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = monai3d(voxels)
        assert torch.allclose(monai3d.fc(network(voxels)), expected, rtol=1e-4, atol=1e-5)


def test_shortcuts_without_weights_and_first_stride_one():
    with torch.random.fork_rng():
        other = _some(resnet18(spatial_dims=2, n_input_channels=1, shortcut_type="A", feed_forward=False))
    network = make_resnet("resnet18", other.state_dict(), 2, "w", first_stride=1)
    pixels = torch.randn(1, 1, 24, 24, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert torch.equal(network(pixels), other(pixels))


def test_names_as_data_parallel_writes_them(published):
    read = parse_weights(save({f"module.{k}": v for k, v in published.state_dict().items()}), "w")
    assert read.keys() == published.state_dict().keys()
    assert all(torch.equal(read[k], v) for k, v in published.state_dict().items())


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_torch_save_are_refused_with_the_way_out(published, legacy):
    data = _torch_file(published.state_dict(), _use_new_zipfile_serialization=not legacy)
    with pytest.raises(DataError, match=r"which is a pickle(.|\n)*safetensors.torch.save_file"):
        parse_weights(data, "w.pth")


def test_everything_that_does_not_fit_is_told_at_once(published):
    state = dict(published.state_dict())
    for gone in ("layer1.0.conv1.weight", "layer1.0.bn1.weight", "bn1.bias", "bn1.weight"):
        del state[gone]
    state["extra.weight"] = torch.zeros(2)
    state["layer2.0.conv1.weight"] = torch.zeros(128, 64, 5, 5)
    state["layer3.0.bn1.bias"] = torch.full((256,), torch.nan)
    with pytest.raises(DataError) as refused:
        make_resnet("resnet18", state, 2, "mine.safetensors")
    message = str(refused.value)
    assert len(refused.value.violations) == 1
    assert "the 100 tensors of the network" in message
    for told in (
        "mine.safetensors",
        "4 missing (bn1.weight, bn1.bias, layer1.0.conv1.weight, ...)",
        "1 not expected (extra.weight)",
        "1 of another shape (layer2.0.conv1.weight (128, 64, 5, 5), not (128, 64, 3, 3))",
        "1 not finite (layer3.0.bn1.bias)",
        "7 in all",
    ):
        assert told in message


def test_weights_of_another_depth_or_of_pictures(published, monai3d):
    with pytest.raises(DataError, match="missing"):
        make_resnet("resnet34", published.state_dict(), 2, "w")
    with pytest.raises(DataError, match="not expected"):
        make_resnet("resnet10", published.state_dict(), 2, "w")
    with pytest.raises(DataError, match="weights of pictures"):
        make_resnet("resnet18", published.state_dict(), 3, "w")
    with pytest.raises(DataError, match="weights of volumes"):
        make_resnet("resnet10", monai3d.state_dict(), 2, "w")


class _Runs:
    """What a hostile pickle would do: call something when it is read."""

    def __reduce__(self):
        return (print, ("SENTINEL ran",))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not weights at all",
        b"PK\x03\x04broken",
        b"\x80\x02broken",
        save({"a": torch.zeros(4)})[:-4],
        pickle.dumps(_Runs()),
        _torch_file({"a": _Runs()}),
        _torch_file([1, 2]),
        _torch_file({"a": 1}),
        _torch_file({"a": torch.zeros(3).to_sparse()}),
        save({}),
    ],
    ids=["empty", "text", "zip", "pickle", "cut", "runs", "runs inside", "a list", "numbers", "sparse", "nothing"],
)
def test_other_files_are_refused_and_nothing_runs(data, capsys):
    with pytest.raises(DataError, match="weights"):
        parse_weights(data, "w")
    assert "SENTINEL" not in capsys.readouterr().out


def test_the_global_stream_is_left_alone(published):
    before = torch.get_rng_state()
    make_resnet("resnet18", published.state_dict(), 2, "w")
    assert torch.equal(torch.get_rng_state(), before)
