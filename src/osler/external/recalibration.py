"""Recalibration: the maps that bring a model's risks to another cohort, as a file and for whole curves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osler.config import digest
from osler.errors import UsageError
from osler.evaluation.updating import METHODS, Method, RiskMap, Updating
from osler.outputs import write_whole
from osler.survival.curve import RiskCurve
from osler.units import duration

__all__ = ["Recalibration", "recalibrate"]

Floats = NDArray[np.float64]
_FORMAT, _VERSION = "osler-recalibration", 1
_LARGEST = 16 * 1024**2  # bytes; a file of maps has a few thousand


@dataclass(frozen=True)
class Recalibration:
    """Maps of one model's risks, fitted on every patient of another cohort.

    Attributes:
        model: name of the model.
        model_digest: of its file; empty when it was given as an object or a table.
        cause: the event whose risk is updated.
        cohort: where the maps were fitted.
        data_digest: of that cohort.
        recommended: the method to use, by the closed test.
        landmarks: days from the time origin.
        updatings: for each landmark the maps of each method.
    """

    model: str
    model_digest: str
    cause: str
    cohort: str
    data_digest: str
    recommended: Method
    landmarks: tuple[float, ...]
    updatings: tuple[dict[Method, Updating], ...] = field(repr=False)

    def updating(self, landmark: float, method: Method | None = None) -> Updating:
        """The maps of a landmark; of the recommended method where none is named.

        A method that had too few events at a landmark is answered by the richest simpler one there.

        Raises:
            UsageError: there is no such method, or no map for the landmark.
        """
        wanted = self.recommended if method is None else method
        if wanted not in METHODS:
            raise UsageError(f"no update is called {wanted!r}; there are {', '.join(METHODS)}")
        for moment, known in zip(self.landmarks, self.updatings, strict=True):
            if np.isclose(moment, landmark):
                simpler = METHODS[METHODS.index(wanted) :: -1]
                return next((known[name] for name in simpler if name in known), Updating("as_is"))
        there = ", ".join(duration(moment) for moment in self.landmarks)
        raise UsageError(f"risks were updated for predictions at {there}, not at {duration(landmark)}")

    def save(self, path: Path) -> None:
        """Write the file, whole; the same maps give the same bytes."""
        text = json.dumps(self.to_json(), indent=2, allow_nan=False)
        write_whole(path, lambda part: part.write_text(text + "\n", encoding="utf-8"))

    @classmethod
    def load(cls, path: str | Path, model: str | Path | None = None) -> Recalibration:
        """Read a file of maps.

        Args:
            path: ``recalibration.json``.
            model: the file of the model whose risks are to be updated, to make sure that the maps are for it.

        Raises:
            UsageError: there is no such file, it holds no maps, or they are for another model.
        """
        path = Path(path)
        if not path.is_file():
            raise UsageError(f"there is no file {path.name!r} in {path.parent}")
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path.name} is larger than a file of maps can be")
        try:
            found = cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UsageError) as error:
            reason = error if isinstance(error, UsageError) else type(error).__name__
            raise UsageError(f"{path.name} is no file of maps as `osler evaluate` writes it ({reason})") from None
        if model is not None and found.model_digest != digest(Path(model).read_bytes()):
            raise UsageError(
                f"the maps of {path.name} were fitted for another model file: evaluate {Path(model).name} first"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "format": _FORMAT,
            "format_version": _VERSION,
            "scale": "log(-log(1 - risk))",
            "model": self.model,
            "model_digest": self.model_digest,
            "cause": self.cause,
            "cohort": self.cohort,
            "data_digest": self.data_digest,
            "recommended": self.recommended,
            "landmarks": [
                {"landmark_days": moment, "methods": {name: _maps(updating) for name, updating in known.items()}}
                for moment, known in zip(self.landmarks, self.updatings, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recalibration:
        """The inverse of ``to_json``; raises UsageError for another format or version."""
        found = data["format"], data["format_version"]
        if found != (_FORMAT, _VERSION):
            raise UsageError(f"expected format {_FORMAT!r}, version {_VERSION}")
        if data["recommended"] not in METHODS or any(set(p["methods"]) - set(METHODS) for p in data["landmarks"]):
            raise UsageError(f"expected methods {', '.join(METHODS)}")
        return cls(
            **{name: str(data[name]) for name in ("model", "model_digest", "cause", "cohort", "data_digest")},
            recommended=data["recommended"],
            landmarks=tuple(float(part["landmark_days"]) for part in data["landmarks"]),
            updatings=tuple(
                {name: _updating(name, rows) for name, rows in part["methods"].items()} for part in data["landmarks"]
            ),
        )


def recalibrate(curve: RiskCurve, recalibration: Recalibration, method: Method | None = None) -> RiskCurve:
    """Risk curves of new patients, updated.

    Args:
        curve: what the model predicts at one of the landmarks of ``recalibration``.
        recalibration: maps for that model.
        method: of ``osler.evaluation.updating.METHODS``; the recommended one if not given.

    Returns:
        The curves with the risk of the updated cause, and its band, moved. Other causes stay as they are; where all
        together would exceed one, a patient's other causes are scaled down by one factor. The event-free probability
        takes what is left.

    Raises:
        UsageError: the curve knows no such cause or landmark.
    """
    if recalibration.cause not in curve.causes:
        raise UsageError(f"these curves are of {', '.join(curve.causes)}; the maps are for {recalibration.cause!r}")
    k = curve.causes.index(recalibration.cause)
    updating = recalibration.updating(curve.landmark, method)
    if not updating.maps:
        return curve
    before = curve.incidence[:, k]
    after = updating.apply(before, curve.times)
    others = np.delete(np.arange(len(curve.causes)), k)
    room = _room(1.0 - after, curve.incidence[:, others].sum(axis=1))
    shift = updating.shifts(before, curve.times)
    bands: dict[str, Any] = {}
    for name, band, side in (("lower", curve.lower, np.minimum), ("upper", curve.upper, np.maximum)):
        if band is not None:
            moved = np.maximum.accumulate(_moved(band[:, k], shift), axis=1)
            bands[name] = _put(band, k, side(moved, after), others, room)
    return replace(curve, incidence=_put(curve.incidence, k, after, others, room), **bands)


def _room(left: Floats, rest: Floats) -> Floats:
    """(n,) factor by which other causes (n, T in all) shrink to fit into what is left at every time."""
    share = np.divide(left, rest, out=np.ones_like(rest), where=rest > left)
    return np.asarray(share.min(axis=1, initial=1.0))


def _put(values: Floats, k: int, cause: Floats, others: NDArray[np.int64], room: Floats) -> Floats:
    out = values.copy()
    out[:, others] *= room[:, None, None]
    out[:, k] = cause
    return out


def _moved(risk: Floats, shift: Floats) -> Floats:
    inside = (risk > 0) & (risk < 1)
    hazard = -np.log1p(-np.where(inside, risk, 0.5)) * np.exp(shift)
    return np.asarray(np.where(inside, -np.expm1(-hazard), risk))


def _maps(updating: Updating) -> list[dict[str, Any]]:
    return [
        {"horizon_days": horizon, **each.to_json()}
        for horizon, each in zip(updating.horizons, updating.maps, strict=True)
    ]


def _updating(method: Method, rows: list[Mapping[str, Any]]) -> Updating:
    horizons = tuple(float(row["horizon_days"]) for row in rows)
    if list(horizons) != sorted(set(horizons)):
        raise UsageError("horizons ascend")
    return Updating(method, horizons, tuple(RiskMap.from_json(row) for row in rows))
