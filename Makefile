# Osler: `make demo` and `make test` need only Python 3.11+ and make; they set up .venv themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATA   ?= $(if $(OSLER_DATA),$(OSLER_DATA),../shared/data)
BIN    := .venv/bin
READY  := .venv/.ready
# Processes are the unit of parallelism; threads on top of them slow one another down.
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint bench example schemas reference studies clean help
.DEFAULT_GOAL := help

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Osler needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Setting up .venv (once; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(READY)

demo: $(READY) data/demo/cohort.toml ## simulate a cohort, run the whole study on it, write its reports to reports/demo
	@$(BIN)/osler run data/demo --out reports/demo --patients 3

data/demo/cohort.toml: | $(READY)
	@$(BIN)/osler simulate data/demo --patients 1000

test: $(READY) ## every test
	@$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY) ## style, docstrings and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

schemas: $(READY) ## write schemas/*.json anew from the models
	@$(BIN)/python -m osler.schemas

example: demo ## rebuild reports/example, the committed reports of the demo cohort
	@mkdir -p reports/example/patients
	@cp reports/demo/report.html reports/example/report.html
	@rm -f reports/example/patients/*.html
	@cp reports/demo/patients/*.html reports/example/patients/

bench: $(READY) ## speed and accuracy on simulated and real cohorts, and against peers (an hour); PARTS=speed,refitting for some
	@$(BIN)/python benchmarks/run.py --data $(DATA) $(if $(PARTS),--parts $(PARTS))

reference: ## compute tests/reference/*.json anew; needs R with the packages named in tests/reference/README.md
	@cd tests/reference && for script in make_*.R; do echo $$script; Rscript $$script || exit 1; done

clean: ## remove what was built; reports and data stay
	rm -rf .venv .bench-env build .pytest_cache .mypy_cache .ruff_cache .hypothesis
