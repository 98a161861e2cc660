"""The cohorts and divisions of ``same_folds.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from osler.cohort.cohort import Cohort, Genomics, Variable
from osler.cohort.outcome import Outcome
from osler.cohort.tables import read_cohort
from osler.config import Question

__all__ = ["YEAR", "Case", "View", "make_cases"]

ROOT = Path(__file__).resolve().parent.parent
YEAR = 365.25
Split = tuple[int, int, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class View:
    """One moment of prediction: a cohort, the landmark and horizons in days, and who is judged (n,)."""

    label: str
    cohort: Cohort
    landmark: float
    horizons: tuple[float, ...]
    judged: np.ndarray


@dataclass(frozen=True, eq=False)
class Case:
    """A cohort to learn from, the moments asked, and the divisions: (repeat, fold, training, test).

    ``rival`` names the peers' predictions of it, ``identifiers`` are the patients' names there.
    """

    name: str
    told: str
    cohort: Cohort
    question: Question
    views: tuple[View, ...]
    splits: tuple[Split, ...]
    static: bool = False
    rival: str = ""
    identifiers: tuple[Any, ...] = ()


def make_cases(peers: ModuleType, harness: ModuleType, data: Path, breast: Path) -> dict[str, Callable[[], Case]]:
    """Every case by name, made when it is asked for."""

    def pbc2(name: str, causes: int, landmarks: tuple, horizons: tuple, repeats: int, rival: str = "") -> Case:
        told = "PBC, death or transplantation" if causes == 1 else "PBC, death, transplantation competing"
        panel = harness.pbc2()
        cohort = _of_panel(panel, name, causes)
        assert cohort.outcome is not None
        views = tuple(
            View(f"{s}y", cohort, s * YEAR, tuple(h * YEAR for h in horizons), cohort.outcome.time > s * YEAR)
            for s in landmarks
        )
        question = Question(tuple(s * YEAR for s in landmarks), tuple(h * YEAR for h in horizons))
        ids = panel.T.index
        splits = tuple(_landmark_splits(peers, panel.cause[ids].to_numpy(), repeats))
        return Case(name, told, cohort, question, views, splits, rival=rival, identifiers=tuple(ids))

    def static(name: str, told: str, cohort: Cohort, horizons: tuple, rival: str = "") -> Case:
        assert cohort.outcome is not None
        asked = tuple(h * YEAR for h in horizons)
        view = View("0", cohort, 0.0, asked, np.ones(len(cohort), dtype=bool))
        splits = tuple(peers.folds(cohort.outcome.event == 1, 5, 2, 20240))
        question = Question((0.0,), asked, grid_size=60)
        return Case(name, told, cohort, question, (view,), splits, static=True, rival=rival)

    def of_peers(name: str, told: str) -> Case:
        s = peers.SETS[name]()
        outcome = Outcome(s.t * YEAR, s.e.astype(np.int64), ("event",))
        return static(f"{name}_static", told, cohort_of(name, s.X, outcome), tuple(s.horizons), name)

    hancock = "HANCOCK, death of any cause, from the record, pathology and blood"
    cases: dict[str, Callable[[], Case]] = {
        "pbc2_windows": lambda: pbc2("pbc2_windows", 1, (3, 5, 7), (3,), 5),
        "pbc2_composite": lambda: pbc2("pbc2_composite", 1, (1, 3, 5), (2, 5), 2, "pbc2:composite"),
        "pbc2_competing": lambda: pbc2("pbc2_competing", 2, (1, 3, 5), (2, 5), 2, "pbc2:competing"),
        "framingham": lambda: _framingham(peers, harness, 2),
        "metabric": lambda: static(
            "metabric", "METABRIC, death of any cause, treatment included", _overall("metabric", data), (5, 10, 15)
        ),
        "hancock": lambda: static(
            "hancock", f"{hancock}, and embeddings of 8 stains", _overall("hancock", data), (2, 5)
        ),
        "hancock_no_images": lambda: static("hancock_no_images", hancock, _plain(_overall("hancock", data)), (2, 5)),
        "tcga_luad": lambda: static("tcga_luad", "TCGA-LUAD, death", _overall("tcga_luad", data), (2, 5)),
        "gbsg2": lambda: static("gbsg2", "GBSG, recurrence or death", _gbsg2(data), (1, 2, 5), "gbsg2"),
        "support2": lambda: of_peers("support2", "SUPPORT, death"),
        "framingham_static": lambda: of_peers("framingham", "Framingham, deaths censored, first examination"),
    }
    if breast.exists():
        cases["breast76"] = lambda: static(
            "breast76", "76 genes, metastasis", _breast76(breast), (3, 5, 10), "breast76"
        )
    return cases


def cohort_of(
    name: str,
    record: pd.DataFrame,
    outcome: Outcome,
    visits: pd.DataFrame | None = None,
    genomics: Mapping[str, pd.DataFrame] | None = None,
) -> Cohort:
    """A cohort of frames: columns of text are categories, of zeros and ones flags, others numbers; days throughout."""
    visits = pd.DataFrame({"patient": np.empty(0, np.int64), "time": np.empty(0)}) if visits is None else visits
    variables: dict[str, Variable] = {}
    tables = {"record": record.reset_index(drop=True).copy(), "visits": visits.reset_index(drop=True).copy()}
    for modality, table in tables.items():
        for column in [c for c in table if c not in ("patient", "time")]:
            values = table[column]
            if values.dtype.kind not in "fiub":
                text = [None if pd.isna(v) else str(v) for v in values]
                levels = tuple(sorted({v for v in text if v is not None}))
                table[column] = pd.Categorical(text, categories=levels)
                variables[column] = Variable(column, column, "category", modality, levels=levels)
            else:
                table[column] = values.astype(float)
                flag = set(values.dropna().unique()) <= {0, 1}
                variables[column] = Variable(column, column, "flag" if flag else "number", modality)
    return Cohort(
        name=name,
        patients=np.array([str(i) for i in range(len(record))], dtype=object),
        record=tables["record"],
        visits=tables["visits"],
        variables=variables,
        genomics={
            key: Genomics(key, "expression", tuple(map(str, frame.columns)), frame.to_numpy(np.float32))
            for key, frame in (genomics or {}).items()
        },
        outcome=outcome,
    )


def _of_panel(panel: Any, name: str, causes: int) -> Cohort:
    ids = panel.T.index
    place = pd.Series(np.arange(len(ids)), ids)
    long = panel.long[panel.long["id"].isin(ids)]
    visits = long[panel.vars].assign(patient=place[long["id"]].to_numpy(), time=long["time"].to_numpy() * YEAR)
    visits = visits.sort_values(["patient", "time"], kind="stable")[["patient", "time", *panel.vars]]
    event, days = panel.cause[ids].to_numpy().astype(np.int64), panel.T[ids].to_numpy() * YEAR
    if causes == 1:
        return cohort_of(name, panel.static.loc[ids], Outcome(days, (event > 0).astype(np.int64), ("event",)), visits)
    return cohort_of(name, panel.static.loc[ids], Outcome(days, event, ("event", "competing")), visits)


def _landmark_splits(peers: ModuleType, cause: np.ndarray, repeats: int) -> Iterator[Split]:
    for repeat in range(repeats):
        for _, fold, train, test in peers.folds(cause, 5, 1, 4000 + repeat):
            yield repeat, fold, train, test


def _framingham(peers: ModuleType, harness: ModuleType, repeats: int) -> Case:
    """From each examination at which people are free of the disease; everybody's own examination is the landmark."""
    panel = harness.framingham()
    everyone = _of_panel(panel, "framingham", 2)
    assert everyone.outcome is not None
    exams = [moments.to_numpy(dtype=float) * YEAR for moments in harness.POOL]
    started = np.isfinite(exams[0])
    views = []
    for number, moment in enumerate(exams, 1):
        judged = np.isfinite(moment) & started
        nominal = float(np.round(np.nanmedian(moment)))
        view = _shifted(everyone, np.where(judged, nominal - moment, 0.0))
        views.append(View(f"exam{number}", view, nominal, (5 * YEAR, 10 * YEAR), judged))
    question = Question(tuple(view.landmark for view in views), (5 * YEAR, 10 * YEAR))
    ids = panel.T.index
    splits = [
        (repeat, fold, train[started[train]], test[started[test]])
        for repeat, fold, train, test in _landmark_splits(peers, panel.cause[ids].to_numpy(), repeats)
    ]
    told = "Framingham, cardiovascular disease, death without it competing, from each examination"
    names = tuple(ids)
    rival = "framingham:competing"
    return Case("framingham", told, everyone, question, tuple(views), tuple(splits), rival=rival, identifiers=names)


def _shifted(cohort: Cohort, by: np.ndarray) -> Cohort:
    """The same patients with every time moved by ``by`` (n,) days: a landmark of one's own becomes a common one."""
    assert cohort.outcome is not None
    visits = cohort.visits.copy()
    visits["time"] += by[visits["patient"].to_numpy()]
    outcome = Outcome(cohort.outcome.time + by, cohort.outcome.event, cohort.outcome.causes)
    return replace(cohort, visits=visits, outcome=outcome)


def _overall(recipe: str, data: Path) -> Cohort:
    """The cohort of a recipe with death of any cause as its outcome, from the time origin."""
    cohort = read_cohort(ROOT / "data" / recipe, root=data)
    assert cohort.outcome is not None
    outcome = Outcome(cohort.outcome.time, (cohort.outcome.event > 0).astype(np.int64), ("death",))
    return replace(cohort, outcome=outcome)


def _plain(cohort: Cohort) -> Cohort:
    return cohort.without(*cohort.images)


def _gbsg2(data: Path) -> Cohort:
    table = pd.read_csv(data / "gbsg" / "gbsg.csv")
    outcome = Outcome(table["rfstime"].to_numpy(float), table["status"].to_numpy(np.int64), ("event",))
    return cohort_of("gbsg2", table[["age", "meno", "size", "grade", "nodes", "pgr", "er", "hormon"]], outcome)


def _breast76(path: Path) -> Cohort:
    table = pd.read_csv(path)
    genes = [column for column in table if column.startswith("X")]
    outcome = Outcome(table["time"].to_numpy(float), table["event"].to_numpy(np.int64), ("event",))
    return cohort_of(
        "breast76", table.drop(columns=[*genes, "time", "event"]), outcome, genomics={"genes": table[genes]}
    )
