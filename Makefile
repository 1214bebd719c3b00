# The two that matter: make lab, make test. Everything happens in this folder and in Docker.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LABKIT := $(BIN)/labkit
MODES := --mode insecure --mode hardened
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=120 \
         --nbval-sanitize-with=notebooks/sanitize.cfg
# Jupyter does not start as root unless it is told to; it listens on this machine only.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help
help: ## Say what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -nE 's/^([a-z-]+):.*## (.*)/make \1  \2/p' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements.lock scripts/python-env
	@scripts/python-env $(VENV)
	@touch $@

.PHONY: env
env: $(STAMP) ## Make the Python environment in .venv

.PHONY: engine
engine: $(STAMP)
	@scripts/docker-engine $(BIN)/python

.PHONY: lab
lab: engine ## Bring up both clusters, hold the model against them, show the table
	@$(LABKIT) up $(MODES)
	@$(LABKIT) verify $(MODES)
	@echo
	@echo "Open the notebooks:  make notebooks"
	@echo "Look inside:         $(LABKIT) kubectl --mode insecure -- get pods -A"
	@echo "Remove the clusters: make down"

.PHONY: notebooks
notebooks: $(STAMP) ## Open the notebooks in JupyterLab, on this machine only
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=notebooks $(AS_ROOT)

.PHONY: test
test: engine ## Every test: unit, lab and notebooks, with one summary
	@$(LABKIT) image build >/dev/null
	@$(BIN)/python -m pytest tests labkit notebooks $(NBVAL) $(PYTEST)

.PHONY: unit
unit: $(STAMP) ## The tests that need no Docker
	@$(BIN)/python -m pytest tests labkit -m "not lab" $(PYTEST)

.PHONY: coverage
coverage: $(STAMP) ## The tests that need no Docker, and which lines and branches they miss
	@$(BIN)/python -m pytest tests labkit -m "not lab" --cov $(PYTEST)

.PHONY: lint
lint: $(STAMP) ## Ruff, mypy, who imports whom, shellcheck, and the words of the texts
	@$(BIN)/python scripts/check-words
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/shellcheck labkit/agents/*.sh

.PHONY: format
format: $(STAMP) ## Let ruff mend what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: docs
docs: $(STAMP) ## Build the documentation site in site/, offline
	@$(BIN)/python docs/build.py
	@echo "Open site/index.html"

.PHONY: regenerate
regenerate: $(STAMP) ## Execute the notebooks anew, in place, and draw the README's picture
	@$(BIN)/python scripts/regenerate-notebooks
	@$(BIN)/python scripts/readme-picture

.PHONY: matrix
matrix: $(STAMP) ## Fill the truth matrix in docs/ (both clusters up); it goes on where it ended
	@$(LABKIT) matrix --json docs/matrix.json --picture docs/matrix.png --table docs/matrix.md \
	  --html docs/matrix.html
	@$(LABKIT) matrix --combinations 30 --json docs/combinations.json
	@$(BIN)/python scripts/regenerate-notebooks $$(grep -l "Matrix.read()" notebooks/*.ipynb)

.PHONY: flags
flags: engine ## Write the tables of flags anew, from the node image's own programs
	@$(BIN)/python -m labkit.lab.flag_tables

.PHONY: lock
lock: $(STAMP) ## Write requirements.lock anew, from the newest versions that pyproject.toml allows
	@scripts/lock

.PHONY: down
down: $(STAMP) ## Remove both clusters
	@$(LABKIT) down $(MODES)

.PHONY: clean
clean: ## Remove both clusters and what was made in this folder; images stay
	@if [ -x $(LABKIT) ]; then $(LABKIT) down $(MODES) || echo "labs not removed, see above" >&2; fi
	@rm -rf $(VENV) build site .ci/logs .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find labkit tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +
