"""Reporting: compute, draw, render; one self-contained HTML file each."""

from osler.reporting.patient_report import report_patient, write_patient_report
from osler.reporting.study_report import write_study_report

__all__ = ["report_patient", "write_patient_report", "write_study_report"]
