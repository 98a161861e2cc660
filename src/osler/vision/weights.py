"""Weights: the named tensors of a network trained elsewhere, from a file in which nothing can run."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from osler.errors import DataError, Violation

__all__ = ["fit_weights", "parse_weights"]

_SHOWN = 3
_LARGEST = 4 * 1024**3  # bytes of tensors after unpacking
_REMEDY = "Save the network's state_dict with safetensors.torch.save_file."


def parse_weights(data: bytes, name: str) -> dict[str, Tensor]:
    """Tensors by name.

    ``.safetensors`` holds numbers alone. ``.pt`` and ``.pth`` are read by ``torch.load(weights_only=True)``, which
    builds tensors and plain containers and calls nothing else that the file may name; what is not a plain, dense tensor
    of numbers is refused. A state_dict may lie under "state_dict", its names may begin with "module." (as
    ``DataParallel`` writes them).

    Args:
        data: content of the file; the kind is told by its first bytes.
        name: what messages call it.

    Raises:
        DataError: another kind of file, damaged, too large, or with other things than tensors.
    """
    try:
        if data[:1] == b"\x80" or data[:2] == b"PK":
            _check_size(data, name)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # remarks on old ways of writing
                held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        else:
            held = load_safetensors(data)
    except DataError:
        raise
    except (SafetensorError, pickle.UnpicklingError, zipfile.BadZipFile, *_BROKEN):
        raise _refuse(name, "weights can be read", "a whole .safetensors, .pt or .pth file", "another kind") from None
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):
        held = held["state_dict"]
    if not (isinstance(held, Mapping) and held and all(_is_plain(k, v) for k, v in held.items())):
        raise _refuse(name, "weights are a state_dict", "dense tensors by name", "something else")
    return {key.removeprefix("module."): tensor for key, tensor in held.items()}


def fit_weights(network: torch.nn.Module, given: Mapping[str, Tensor], name: str, spare: tuple[str, ...] = ()) -> None:
    """Load ``given`` into ``network``, every tensor or none.

    Args:
        network: names and shapes wanted.
        given: tensors by name.
        name: what messages call the file.
        spare: beginnings of names that may be there without being wanted, such as ("fc.",) for a head.

    Raises:
        DataError: all tensors that are missing, not expected, of another shape or not finite, in one message.
    """
    wanted = network.state_dict()
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}  # of no use, and not in every file
    held = {k: v for k, v in given.items() if not k.startswith(spare) and not k.endswith("num_batches_tracked")}
    shared = [key for key in wanted if key in held]
    wrong = [
        f"{key} {tuple(held[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in shared
        if held[key].shape != wanted[key].shape
    ]
    problems = {
        "missing": [key for key in wanted if key not in held and key not in counters],
        "not expected": [key for key in held if key not in wanted],
        "of another shape": wrong,
        "not finite": [key for key in shared if not torch.isfinite(held[key]).all()],
    }
    found = [f"{len(keys)} {what} ({_some(keys)})" for what, keys in problems.items() if keys]
    if found:
        count = sum(map(len, problems.values()))
        expected = f"the {len(wanted) - len(counters)} tensors of the network"
        told = f"{len(held)} tensors: " + "; ".join(found)
        remedy = "Name the network that the weights are of, or other weights."
        raise DataError([Violation(name, "weights fit the network", expected, told, remedy, count=count)])
    network.load_state_dict({**{key: wanted[key] for key in counters}, **{key: held[key] for key in shared}})


_BROKEN = (OSError, ValueError, EOFError, RuntimeError, KeyError, TypeError, IndexError, AttributeError, MemoryError)


def _is_plain(name: object, value: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and not value.is_quantized
        and not value.is_complex()
    )


def _check_size(data: bytes, name: str) -> None:
    """A zip archive may say that it unpacks to more than it should."""
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(member.file_size for member in archive.infolist()) > _LARGEST:
                raise _refuse(name, "weights stay within limits", f"at most {_LARGEST:,} bytes", "more")


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def _refuse(name: str, rule: str, expected: str, found: str) -> DataError:
    return DataError([Violation(name, rule, expected, found, _REMEDY)])
