"""Pages of both reports, written once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluated import evaluated
from pages import CONFIG, RUN, Page, choice, explanation_frame, forecast_frame, frames, plan_dict, study_cohort

from cohorts import QUESTION
from osler.models import create
from osler.models.base import RiskModel
from osler.reporting import write_patient_report, write_study_report


@pytest.fixture(scope="session")
def cohort():
    return study_cohort()


@pytest.fixture(scope="session")
def model(cohort) -> RiskModel:
    return create("reference", QUESTION).fit(cohort)


@pytest.fixture(scope="session")
def study_path(cohort, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("study") / "report.html"
    return write_study_report(
        path,
        cohort=cohort,
        config=CONFIG,
        **frames() | evaluated(),
        choice=choice(),
        run=RUN,
        description="Simulated patients.",
    )


@pytest.fixture(scope="session")
def plain_path(cohort, tmp_path_factory) -> Path:
    """A study with no more than the measures, differences and groups of calibration."""
    path = tmp_path_factory.mktemp("plain") / "report.html"
    return write_study_report(path, cohort=cohort, config=CONFIG, **frames(), choice=choice(), run=RUN)


@pytest.fixture(scope="session")
def patient(cohort):
    seen = cohort.visits.groupby("patient").size()
    at_risk = cohort.outcome.time > 900
    return cohort.patient(cohort.patients[next(i for i in seen.index if seen[i] >= 4 and at_risk[i])])


@pytest.fixture(scope="session")
def patient_path(cohort, model, patient, tmp_path_factory) -> Path:
    return write_patient_report(
        tmp_path_factory.mktemp("patient") / "patient.html",
        patient=patient,
        model=model,
        cohort=cohort,
        at="1y",
        plan=plan_dict(),
        explanation=explanation_frame(),
        forecast=forecast_frame(),
        run=RUN,
        as_of="2025-01-31",
    )


@pytest.fixture(scope="session", params=["study", "plain study", "patient"])
def page(request, study_path, plain_path, patient_path) -> Page:
    path = {"study": study_path, "plain study": plain_path, "patient": patient_path}[request.param]
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def plain_page(plain_path) -> Page:
    return Page(plain_path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def study_page(study_path) -> Page:
    return Page(study_path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def patient_page(patient_path) -> Page:
    return Page(patient_path.read_text(encoding="utf-8"))
