"""The truth of a simulated cohort: event times drawn from its hazards, and risks and effects integrated from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from osler.cohort.latent import ACTIONS, CAUSES, Latent, log_hazards
from osler.cohort.simulation import Simulation
from osler.errors import UsageError
from osler.units import DAYS_PER, days

__all__ = ["draw_events", "effect_table", "incidence", "read_true_risk", "risk_table", "true_risk"]

Floats = NDArray[np.float64]
Hazard = Callable[[Floats], Floats]
YEAR = DAYS_PER["y"]

#: Gauss-Legendre nodes and weights on [0, 1], and the matrix that integrates from 0 to each node.
_NODES, _GAUSS = np.polynomial.legendre.leggauss(8)
_NODES, _GAUSS = (_NODES + 1) / 2, _GAUSS / 2
_POWERS = np.arange(8)
_TO_NODE = (_NODES[:, None] ** (_POWERS + 1) / (_POWERS + 1)) @ np.linalg.inv(_NODES[:, None] ** _POWERS)


def incidence(hazard: Hazard, edges: Floats) -> tuple[Floats, Floats]:
    """Cumulative incidence of each cause and event-free probability, from cause-specific hazards.

    Args:
        hazard: years (T,) -> hazards per year (n, K, T), smooth in time.
        edges: (E,) ascending years; everybody is event-free at ``edges[0]``.

    Returns:
        Incidence (n, K, E) and event-free probability (n, E). Each panel is integrated with eight Gauss-Legendre
        nodes, exact to about 1e-12 for panels of half a year and the hazards of this module.
    """
    free, risk = [], []
    cumulative: Floats | None = None
    for left, width in zip(edges[:-1], np.diff(edges), strict=True):
        rate = hazard(left + width * _NODES)
        total = rate.sum(axis=1)
        if cumulative is None:
            cumulative = np.zeros(len(rate))
            free.append(np.ones(len(rate)))
            risk.append(np.zeros(rate.shape[:2]))
        survival = np.exp(-(cumulative[:, None] + width * total @ _TO_NODE.T))
        risk.append(risk[-1] + width * (rate * survival[:, None] * _GAUSS).sum(axis=2))
        cumulative = cumulative + width * total @ _GAUSS
        free.append(np.exp(-cumulative))
    return np.stack(risk, axis=2), np.stack(free, axis=1)


def true_risk(
    latent: Latent,
    simulation: Simulation,
    landmark: float,
    *,
    treated: Floats | None = None,
    log_hr: float | Floats = 0.0,
) -> Floats:
    """(n, 2, H) probability of each cause within each horizon of patients event-free at ``landmark`` years.

    Args:
        latent: the patients.
        simulation: the effects, and ``horizons`` in years.
        landmark: years since the time origin.
        treated: (n,) 0 or 1 in place of the treatment really given.
        log_hr: log hazard ratio on progression from the landmark on (an action), one number or (n,).
    """
    shift = np.zeros((len(latent), 2, 1))
    shift[:, 0, 0] = log_hr
    ends = landmark + np.asarray(simulation.horizons)
    edges = np.unique(np.concatenate([np.arange(landmark, ends[-1], 0.5), [landmark], ends]))
    risk, _ = incidence(lambda years: np.exp(log_hazards(latent, simulation, years, treated) + shift), edges)
    return risk[:, :, np.searchsorted(edges, ends)]


def draw_events(
    latent: Latent, simulation: Simulation, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Years to the first event (at most ``simulation.years``) and its cause: 1, 2, or 0 when nothing happened by then.

    The all-cause cumulative hazard is inverted on a fortnightly grid, linearly inside a step: an error far below a day.
    """
    edges = np.linspace(0, simulation.years, int(np.ceil(simulation.years * 26)) + 1)
    years, event = np.empty(len(latent)), np.zeros(len(latent), dtype=np.int64)
    target, coin = rng.exponential(size=len(latent)), rng.random(len(latent))
    for first in range(0, len(latent), 2000):
        part = slice(first, first + 2000)
        rate = np.exp(log_hazards(latent.take(np.arange(len(latent))[part]), simulation, edges))
        total = rate.sum(axis=1)
        steps = (total[:, 1:] + total[:, :-1]) / 2 * np.diff(edges)
        reached = np.concatenate([np.zeros((len(rate), 1)), np.cumsum(steps, axis=1)], axis=1)
        at = np.minimum((reached < target[part, None]).sum(axis=1), len(edges) - 1)
        row = np.arange(len(rate))
        share = np.clip((target[part] - reached[row, at - 1]) / steps[row, at - 1], 0, 1)
        years[part] = edges[at - 1] + share * (edges[at] - edges[at - 1])
        by_progression = coin[part] < rate[row, 0, at] / total[row, at]
        event[part] = np.where(target[part] > reached[:, -1], 0, np.where(by_progression, 1, 2))
    return years, event


def risk_table(latent: Latent, simulation: Simulation, patients: NDArray[np.object_], end: Floats) -> pd.DataFrame:
    """True risks of patients in follow-up past each landmark; ``end`` (n,) is their last day.

    Columns: patient, landmark_days, horizon_days, cause, risk (given the hidden traits and the treatment given),
    risk_untreated, risk_treated, and risk_stop_smoking, risk_lower_pressure (the action taken at the landmark).
    """
    tables = []
    for landmark in simulation.landmarks:
        here = np.flatnonzero(end > landmark * YEAR)
        some = latent.take(here)
        none, all_ = np.zeros(len(here)), np.ones(len(here))
        risks = {
            "risk": true_risk(some, simulation, landmark),
            "risk_untreated": true_risk(some, simulation, landmark, treated=none),
            "risk_treated": true_risk(some, simulation, landmark, treated=all_),
            "risk_stop_smoking": true_risk(some, simulation, landmark, log_hr=ACTIONS["stop_smoking"] * some.smoker),
            "risk_lower_pressure": true_risk(some, simulation, landmark, log_hr=ACTIONS["lower_pressure"]),
        }
        shape = (len(here), len(CAUSES), len(simulation.horizons))
        keys = {
            "patient": np.broadcast_to(patients[here][:, None, None], shape),
            "landmark_days": np.full(shape, landmark * YEAR),
            "horizon_days": np.broadcast_to(np.asarray(simulation.horizons) * YEAR, shape),
            "cause": np.broadcast_to(np.array(CAUSES, dtype=object)[:, None], shape),
        }
        tables.append(pd.DataFrame({name: values.ravel() for name, values in {**keys, **risks}.items()}))
    return pd.concat(tables, ignore_index=True)


def effect_table(latent: Latent, simulation: Simulation, patients: NDArray[np.object_]) -> pd.DataFrame:
    """True effect of treatment on progression from the time origin, for every patient and horizon.

    Columns: patient, horizon_days, hazard_ratio, risk_untreated, risk_treated, and risk_difference (treated minus
    untreated: negative is benefit).
    """
    n, horizons = len(latent), np.asarray(simulation.horizons)
    without = true_risk(latent, simulation, 0.0, treated=np.zeros(n))[:, 0]
    treated = true_risk(latent, simulation, 0.0, treated=np.ones(n))[:, 0]
    return pd.DataFrame(
        {
            "patient": np.repeat(patients, len(horizons)),
            "horizon_days": np.tile(horizons * YEAR, n),
            "hazard_ratio": np.repeat(np.exp(latent.log_hr), len(horizons)),
            "risk_untreated": without.ravel(),
            "risk_treated": treated.ravel(),
            "risk_difference": (treated - without).ravel(),
        }
    )


def read_true_risk(
    folder: str | Path,
    patients: Iterable[str],
    landmark: float | str,
    horizon: float | str,
    *,
    cause: str = CAUSES[0],
    column: str = "risk",
) -> NDArray[np.float64]:
    """(n,) true risks of ``patients`` in the order asked, from the ``truth/`` of a simulated cohort.

    Args:
        folder: what ``simulate`` wrote.
        patients: identifiers of patients at risk at the landmark.
        landmark: days, or a duration such as "2y"; one of the simulation's.
        horizon: likewise.
        cause: "progression" or "death".
        column: "risk", or the risk under another treatment or an action, such as "risk_untreated".

    Raises:
        UsageError: there is no truth here, or it does not hold what is asked, for somebody.
    """
    file = Path(folder) / "truth" / "true_risk.csv"
    if not file.is_file():
        raise UsageError(f"no truth here: expected the file truth/true_risk.csv of a simulated cohort at {folder}")
    table = pd.read_csv(file, dtype={"patient": str})
    moments = (table["landmark_days"] - days(landmark)).abs() + (table["horizon_days"] - days(horizon)).abs()
    rows = table[(moments < 1e-3) & (table["cause"] == cause)]
    if column not in table or not len(rows):
        raise UsageError(f"the truth at {folder} does not hold {column!r} of {cause!r} at {landmark} and {horizon}")
    found = rows.set_index("patient")[column].reindex(list(patients)).to_numpy(dtype=np.float64)
    if np.isnan(found).any():
        raise UsageError(
            f"{int(np.isnan(found).sum())} of {len(found)} patients were not at risk at the landmark, or unknown"
        )
    return found
