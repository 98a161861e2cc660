"""Archive: what was learned as one file, a zip of JSON, arrays and trees, without anything that runs when it is read.

``model.json`` (what it is and everything learned that is not an array), ``arrays.safetensors``, ``blobs/`` (trees as
XGBoost's UBJ) and ``manifest.json`` with the SHA-256 and the size of each. Equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from osler.errors import ModelError, UsageError

__all__ = ["read_archive", "write_archive"]

T = TypeVar("T")
_MANIFEST, _MODEL, _ARRAYS = "manifest.json", "model.json", "arrays.safetensors"
_MEMBER = re.compile(r"model\.json|arrays\.safetensors|blobs/\d{4}\.ubj")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MANIFEST_LIMIT, _JSON_LIMIT, _TOTAL_LIMIT = 2**20, 2**27, 2**31  # bytes; a model is far below, a bomb far above


def write_archive(path: str | Path, content: dict[str, Any], form: str, version: int) -> Path:
    """Write ``content`` to ``path``, which is replaced; identical bytes for identical content.

    Args:
        path: file to write.
        content: nested dicts and lists of JSON values, numpy arrays and bytes.
        form: what the file holds, such as "osler-model"; it is checked on reading.
        version: of what ``content`` looks like; likewise.
    """
    arrays: dict[str, NDArray[Any]] = {}
    blobs: dict[str, bytes] = {}
    members = {_MODEL: _json(_flatten(content, arrays, blobs)), **blobs}
    members[_ARRAYS] = save_arrays(arrays)
    manifest = {
        "format": form,
        "format_version": version,
        "members": {name: {"sha256": _sha256(data), "bytes": len(data)} for name, data in sorted(members.items())},
    }
    path = Path(path)
    path.write_bytes(_zipped({_MANIFEST: _json(manifest), **members}))
    return path


def read_archive(path: str | Path, form: str, version: int, rebuild: Callable[[dict[str, Any]], T]) -> T:
    """What ``rebuild`` makes of the content that ``write_archive`` wrote.

    Raises:
        UsageError: there is no such file.
        ModelError: it holds something else, of an unknown version, is damaged, or larger than a model can be.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no model file {path.name!r} in {path.parent}")
    try:
        members = _members(path, form, version)
        content = _unflatten(json.loads(members[_MODEL]), load_arrays(members[_ARRAYS]), members)
        return rebuild(content)
    except ModelError as error:
        raise ModelError(f"{path.name}: {error}") from error
    except (zipfile.BadZipFile, SafetensorError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ModelError(f"{path.name} is not a readable model file ({type(error).__name__}): save it again") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, UsageError) as error:
        raise ModelError(f"{path.name} does not hold a model as this version writes it: save it again") from error


def _members(path: Path, form: str, version: int) -> dict[str, bytes]:
    """Checked content of every member; nothing is unpacked beyond its declared size."""
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) != len(archive.infolist()) or _MANIFEST not in infos:
            raise ModelError("it is not a model file: expected one manifest.json and no member twice")
        manifest = json.loads(_read(archive, infos.pop(_MANIFEST), _MANIFEST_LIMIT))
        found = manifest.get("format"), manifest.get("format_version")
        if found != (form, version):
            raise ModelError(f"expected format {form!r}, version {version}; found {found[0]!r}, {found[1]!r}")
        declared = manifest["members"]
        unknown = [name for name in infos if not _MEMBER.fullmatch(name)]
        if unknown or set(declared) != set(infos) or not {_MODEL, _ARRAYS} <= set(declared):
            raise ModelError("its members are not those of its manifest: the file is damaged or was altered")
        if sum(entry["bytes"] for entry in declared.values()) > _TOTAL_LIMIT or declared[_MODEL]["bytes"] > _JSON_LIMIT:
            raise ModelError(f"it claims to be larger than {_TOTAL_LIMIT // 2**20} MiB, which no model is")
        content = {name: _read(archive, infos[name], entry["bytes"]) for name, entry in declared.items()}
    for name, data in content.items():
        if _sha256(data) != declared[name]["sha256"]:
            raise ModelError(
                f"the hash of its member {name} is not that of its manifest: the file is damaged or was altered"
            )
    return content


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int) -> bytes:
    with archive.open(info) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise ModelError(f"its member {info.filename} is larger than it may be ({limit} bytes)")
    return data


def _flatten(value: Any, arrays: dict[str, NDArray[Any]], blobs: dict[str, bytes]) -> Any:
    """JSON values; arrays and bytes move to their own members and leave a reference."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays):05d}"
        arrays[name] = value.copy(order="C")
        return {"$array": name}
    if isinstance(value, (bytes, bytearray)):
        name = f"blobs/{len(blobs):04d}.ubj"
        blobs[name] = bytes(value)
        return {"$bytes": name}
    if isinstance(value, dict):
        if not all(isinstance(key, str) and not key.startswith("$") for key in value):
            raise ModelError("a model's state has keys that are not plain text")
        return {key: _flatten(item, arrays, blobs) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_flatten(item, arrays, blobs) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _unflatten(value: Any, arrays: dict[str, NDArray[Any]], members: dict[str, bytes]) -> Any:
    if isinstance(value, list):
        return [_unflatten(item, arrays, members) for item in value]
    if isinstance(value, dict):
        if "$array" in value:
            return arrays[value["$array"]]
        if "$bytes" in value:
            return members[value["$bytes"]]
        return {key: _unflatten(item, arrays, members) for key, item in value.items()}
    return value


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, members[name])
    return buffer.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=False, allow_nan=False, separators=(",", ":")).encode()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
