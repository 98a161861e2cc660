import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest


def osler(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "osler", *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "small"
    done = osler("simulate", folder, "--patients", "120")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def study(cohort):
    out = cohort.parent / "study"
    done = osler("run", cohort, "--out", out, "--models", "reference,cox", "--folds", "3", "--patients", "1")
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout
    assert "AUC" in done.stdout
    return out


def test_help_needs_no_heavy_library():
    code = "import sys, osler.cli; print(sorted({'numpy', 'pandas', 'torch', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["simulate", "validate", "describe", "run", "evaluate", "score", "report", "plan"])
def test_every_command_teaches_by_example(command):
    done = osler(command, "--help")
    assert done.returncode == 0
    assert f"osler {command}" in done.stdout
    assert "Examples" in done.stdout


def test_validate_and_describe(cohort):
    done = osler("validate", cohort)
    assert done.returncode == 0, done.stderr
    assert "No violation" in done.stdout
    done = osler("describe", cohort)
    assert done.returncode == 0, done.stderr
    assert "120" in done.stdout


def test_score_writes_pseudonyms_and_keeps_the_key_apart(cohort, study, tmp_path):
    out, key = tmp_path / "risks.csv", tmp_path / "key.csv"
    done = osler("score", study / "model.osler", cohort, "--at", "0y", "--out", out, "--key", key)
    assert done.returncode == 0, done.stderr
    risks, names = pd.read_csv(out), pd.read_csv(key, dtype=str)
    assert risks["risk"].between(0, 1).all()
    assert set(risks["patient"]) <= set(names["pseudonym"])
    assert key.stat().st_mode & 0o077 == 0
    studied = pd.read_parquet(study / "predictions.parquet")["patient"]
    assert set(studied) <= set(names["pseudonym"])


def test_report_and_plan_of_a_patient(cohort, study, tmp_path):
    who = next((study / "patients").glob("*.html")).stem
    out = tmp_path / "patient.html"
    done = osler("report", study / "model.osler", cohort, "--patient", who, "--at", "0y", "--out", out)
    assert done.returncode == 0, done.stderr
    assert who in out.read_text()
    done = osler("plan", study / "model.osler", cohort, "--patient", who, "--at", "0y")
    assert done.returncode == 0, done.stderr
    assert "without" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "nowhere"),
        ("run", "{cohort}", "--models", "oracle"),
        ("run", "{cohort}", "--folds", "100"),
        ("score", "nothing.osler", "{cohort}", "--at", "0y", "--out", "x.csv"),
        ("score", "{study}/model.osler", "{cohort}", "--at", "soon", "--out", "x.csv"),
        ("score", "{study}/model.osler", "{cohort}", "--at", "0y", "--out", "x.docx"),
        ("report", "{study}/model.osler", "{cohort}", "--at", "0y", "--patient", "secret-1", "--out", "x.html"),
        ("plan", "{study}/run.json", "{cohort}", "--at", "0y", "--patient", "P0001"),
        ("simulate", "{cohort}/cohort.toml"),
        ("simulate", "{cohort}-other", "--assignment", "by whim"),
    ],
)
def test_a_wrong_request_exits_with_2_says_why_and_writes_nothing(cohort, study, tmp_path, arguments):
    filled = [argument.format(cohort=cohort, study=study) for argument in arguments]
    done = osler(*filled, cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    assert "secret-1" not in done.stderr
    assert not [path for path in Path(tmp_path).rglob("*") if path.is_file()]
