import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parent.parent / "README.md"


def _python() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_anybodys_risks_are_judged_as_the_readme_says():
    _, lines = _python()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(lines, "README.md", "exec"), {})
    assert "Estimate(value=0." in printed.getvalue()
    assert "nobody's" in printed.getvalue()


@pytest.mark.slow
def test_the_lines_of_the_readme_run(tmp_path, monkeypatch):
    lines, _ = _python()
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-m", "osler", "simulate", "data/demo", "--patients", "250"], check=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(lines, "README.md", "exec"), {})
    assert (tmp_path / "reports" / "demo" / "report.html").exists()
    assert len(printed.getvalue().strip().splitlines()) >= 3
    assert len([line for line in lines.splitlines() if line.strip()]) <= 10
