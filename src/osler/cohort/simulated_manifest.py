"""The manifest of a simulated cohort, as readable TOML: what a user would write for such tables."""

# ruff: noqa: E501 (an inline table of TOML must stay on one line)

from __future__ import annotations

import math
from string import Template

from osler.cohort.latent import ACTIONS
from osler.cohort.simulation import Simulation

__all__ = ["manifest_text"]

_TEMPLATE = Template("""\
# A simulated cohort: nobody is real. The folder truth/ holds what no study may read: the true risks and effects.

[cohort]
name = "Simulated cohort"
description = "$patients imaginary patients, treatment $assignment, seed $seed. Nobody here is real."
patient_id = "patient"
time_unit = "days"                 # since the start of the trial; patients were under surveillance before

[record]
table = "record.csv"
variables = [
  { name = "age", label = "Age", type = "number", unit = "a", min = 18, max = 110 },
  { name = "sex", label = "Sex", type = "category", levels = { F = "female", M = "male" } },
  { name = "smoker", label = "Smoker", type = "flag", modifiable = true },
  { name = "diabetes", label = "Diabetes", type = "flag" },
  { name = "bmi", label = "Body mass index", type = "number", unit = "kg/m2", min = 10, max = 80 },
  { name = "stage", label = "Stage", type = "category", levels = ["I", "II", "III"] },
  { name = "entry_sbp", label = "Systolic pressure at entry", type = "number", unit = "mm[Hg]", min = 50, max = 300 },
  { name = "treated", label = "New treatment", type = "flag" },
]

[visits]
table = "visits.csv"
time = "day"
before_zero = "keep"               # the surveillance before the trial shows the course
variables = [
  { name = "marker", label = "Disease marker", type = "number", unit = "mg/L", min = 0 },
  { name = "albumin", label = "Albumin", type = "number", unit = "g/L", min = 5, max = 80 },
  { name = "creatinine", label = "Creatinine", type = "number", unit = "umol/L", min = 5, max = 2000 },
  { name = "sbp", label = "Systolic pressure", type = "number", unit = "mm[Hg]", min = 50, max = 300, modifiable = true },
]

[[genomics]]
name = "expression"
kind = "expression"
table = "expression.parquet"
columns = ["G*"]

[[images]]
name = "scan"
label = "Scan of the lesion"
index = "images.csv"
file = "file"
folder = "images"
time = "day"
size = [$image_size, $image_size]

[outcome]
table = "outcome.csv"
name = "progression"
time = "days"
event = "event"
codes = ["progression"]
censored = ["censored"]
competing = [{ name = "death", codes = ["death"] }]

# The declared effects are the true hazard ratios of the simulation, so that plans can be held against truth/.
[[actions]]
name = "Stop smoking"
source = "evidence"
modifies = "smoker"
where = "smoker == 1"
cause = "progression"
effect = { measure = "hazard ratio", value = $stop, lower = $stop_lower, upper = $stop_upper, confidence = 0.95 }
citation = "True effect of the simulation"

[[actions]]
name = "Lower systolic blood pressure by 10 mm[Hg]"
source = "evidence"
modifies = "sbp"
where = "sbp >= 130"
contraindicated = [{ where = "sbp < 110", reason = "blood pressure is low already" }]
cause = "progression"
effect = { measure = "hazard ratio", value = $lower, lower = $lower_lower, upper = $lower_upper, confidence = 0.95 }
citation = "True effect of the simulation"

[study]
landmarks = [$landmarks]
horizons = [$horizons]
subgroups = ["sex", "stage", { variable = "age", cuts = [55, 70] }]
""")

#: Standard errors of the declared log hazard ratios: the precision of a good meta-analysis.
_ERROR = {"stop_smoking": 0.06, "lower_pressure": 0.03}


def manifest_text(simulation: Simulation) -> str:
    """The text of ``cohort.toml`` for the files that ``simulate`` writes."""
    stop, lower = (_effect(name) for name in ("stop_smoking", "lower_pressure"))
    return _TEMPLATE.substitute(
        patients=f"{simulation.patients:,}",
        assignment=simulation.assignment,
        seed=simulation.seed,
        image_size=simulation.image_size,
        stop=stop[0],
        stop_lower=stop[1],
        stop_upper=stop[2],
        lower=lower[0],
        lower_lower=lower[1],
        lower_upper=lower[2],
        landmarks=", ".join(f'"{moment:g}y"' for moment in simulation.landmarks),
        horizons=", ".join(f'"{horizon:g}y"' for horizon in simulation.horizons),
    )


def _effect(action: str) -> tuple[str, str, str]:
    log_hr, margin = ACTIONS[action], 1.96 * _ERROR[action]
    return f"{math.exp(log_hr):.6f}", f"{math.exp(log_hr - margin):.6f}", f"{math.exp(log_hr + margin):.6f}"
