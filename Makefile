# The two main targets: make lab, make test. All changes are made in this folder and in Docker.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LABKIT := $(BIN)/labkit
MODES := --mode insecure --mode hardened
PROFILES := oidc hook logs cloud
IMAGES := provider reviewer monitor cloud
UNIT := $(BIN)/python -m pytest tests labkit -m "not lab"
MATRIX := --json docs/matrix.json --picture docs/matrix.png --table docs/matrix.md \
          --html docs/matrix.html
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout=600 \
         --nbval-sanitize-with=notebooks/sanitize.cfg
LIVE := $(BIN)/python -m pytest tests labkit notebooks $(NBVAL) --durations=40 --durations-min=8
# Jupyter does not start as root without this option; it listens on this machine only.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: help
help: ## Show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -nE 's/^([a-z-]+):.*## (.*)/make \1  \2/p' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml requirements.lock scripts/python-env
	@scripts/python-env $(VENV)
	@touch $@

.PHONY: env
env: $(STAMP) ## Create the Python environment in .venv

.PHONY: engine
engine: $(STAMP)
	@scripts/docker-engine $(BIN)/python

.PHONY: browser
browser: $(STAMP)
	@scripts/chromium || echo "the tests in a browser cannot run" >&2

.PHONY: lab
lab: engine ## Bring up both clusters, check the model in them, show the results
	@$(LABKIT) up $(MODES)
	@$(LABKIT) verify $(MODES)
	@echo
	@echo "Open the notebooks:  make notebooks"
	@echo "Use kubectl:         $(LABKIT) kubectl --mode insecure -- get pods -A"
	@echo "Remove the clusters: make down"

.PHONY: notebooks
notebooks: $(STAMP) ## Open the notebooks in JupyterLab, on this machine only
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=notebooks $(AS_ROOT)

.PHONY: test
test: engine browser ## Run all tests: unit tests, tests in a browser, lab tests and notebooks
	@# the images wait for the network half of the time, and the unit tests need none of them
	@log=$$(mktemp); \
	{ $(LABKIT) image build && for image in $(IMAGES); do $(LABKIT) image build --image $$image || exit; done \
	  && echo "images built in $$SECONDS s" >&2; } >/dev/null 2>"$$log" & building=$$!; \
	status=0; \
	$(UNIT) --numprocesses auto --dist loadfile --max-worker-restart 0 -o faulthandler_timeout=180 $(PYTEST) || status=$$?; \
	while kill -0 $$building 2>/dev/null; do tail -n 1 "$$log"; sleep 5; done; \
	wait $$building || { cat "$$log"; exit 1; }; \
	tail -n 1 "$$log"; \
	: tests with labs of their own run beside those of the usual pair; \
	LABKIT_TEST_NAME=$${LABKIT_TEST_NAME:+$$LABKIT_TEST_NAME-2} \
	  $(LIVE) -m apart $(PYTEST) >"$$log" 2>&1 & apart=$$!; \
	$(LIVE) -m "lab and not apart" $(PYTEST) || status=$$?; \
	while kill -0 $$apart 2>/dev/null; do tail -n 1 "$$log"; sleep 5; done; \
	wait $$apart || status=$$?; \
	cat "$$log"; \
	rm "$$log"; \
	exit $$status

.PHONY: unit
unit: $(STAMP) ## Run the tests that need no Docker
	@$(UNIT) $(PYTEST)

.PHONY: fuzz
fuzz: SEED := 1
fuzz: ROUNDS := 10000
fuzz: $(STAMP) ## Read thousands of broken folders: SEED=1 ROUNDS=10000
	@$(BIN)/python tests/cluster/fuzz.py $(SEED) $(ROUNDS)

.PHONY: secrets
secrets: engine ## Look for the lab's secrets in process lists and outputs of all techniques
	@LABKIT_ALL_SECRETS=1 $(BIN)/python -m pytest tests/lab/test_secrets.py -s $(PYTEST)

.PHONY: differential
differential: SEED := 1
differential: COUNT := 10000
differential: KIND := differential
differential: $(STAMP) ## Ask a lab and the model who may do what: SEED=1 COUNT=10000 KIND=opens, etcd or pods (needs make lab)
	@$(BIN)/python tests/differential/test_$(KIND).py $(SEED) $(COUNT)

.PHONY: fuzz-targets
fuzz-targets: $(STAMP) ## Try 5,000 times to make a command act on what is not the lab's own
	@LABKIT_FUZZ_ROUNDS=5000 $(BIN)/python -m pytest tests/lab/test_only_its_own.py $(PYTEST)

.PHONY: coverage
coverage: $(STAMP) ## Run the tests that need no Docker, and list the lines and branches they miss
	@$(UNIT) --numprocesses auto --dist loadfile --cov $(PYTEST)

.PHONY: lint
lint: $(STAMP) ## Check code and texts: ruff, mypy, import rules, shellcheck, word list
	@$(BIN)/python scripts/check-words
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/shellcheck --shell=sh labkit/agents/*.sh

.PHONY: format
format: $(STAMP) ## Format the code, and fix what ruff can fix
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: docs
docs: $(STAMP) ## Build the documentation site in site/; needs no network
	@$(BIN)/python docs/build.py
	@echo "Open site/index.html"

.PHONY: regenerate
regenerate: $(STAMP) ## Run the notebooks again, store their output, draw the README's picture (needs make lab)
	@$(BIN)/python scripts/regenerate-notebooks
	@$(BIN)/python scripts/readme-picture

.PHONY: screenshots
screenshots: browser ## Photograph the living diagram in JupyterLab for the documentation
	@LABKIT_SCREENSHOTS=docs $(BIN)/python -m pytest -q tests/diagram/test_jupyterlab.py $(PYTEST)

.PHONY: matrix
matrix: $(STAMP) ## Fill the truth matrix in docs/ (needs make lab); continues an interrupted run
	@$(LABKIT) matrix $(MATRIX)
	@$(LABKIT) matrix --combinations 30 --json docs/combinations.json
	@$(BIN)/python scripts/regenerate-notebooks $$(grep -l "Matrix.read()" notebooks/*.ipynb)

.PHONY: detection
detection: $(STAMP) ## Fill the detection column in docs/, with each control flipped (needs make lab)
	@for mode in insecure hardened; do \
	  $(LABKIT) detect --mode $$mode --flips --json > docs/detection-$$mode.json || exit; \
	done

.PHONY: profiles
profiles: $(STAMP) ## Bring up the labs of each profile, fill their matrix and detection column in docs/
	@for profile in $(PROFILES); do \
	  pair="--mode $$profile-insecure --mode $$profile-hardened"; \
	  $(LABKIT) up $$pair && $(LABKIT) matrix $$pair $(MATRIX) || exit; \
	  for mode in $$profile-insecure $$profile-hardened; do \
	    $(LABKIT) detect --mode $$mode --flips --json > docs/detection-$$mode.json || exit; \
	  done; \
	  $(LABKIT) down $$pair || exit; \
	done

.PHONY: campaign
campaign: SEED := 1
campaign: MINUTES := 10
campaign: $(STAMP) ## Try configurations at random, and store them in docs/campaign.json: SEED=1 MINUTES=10 (needs make lab)
	@$(LABKIT) campaign --seed $(SEED) --minutes $(MINUTES) --json docs/campaign.json --overlays tests/campaign/found

.PHONY: kills
kills: engine ## Kill COUNT commands at random moments (SEED), reset, and compare with the new lab
	@COUNT=$(or $(COUNT),500) SEED=$(or $(SEED),1) $(BIN)/python -m pytest -q -s -o faulthandler_timeout=0 \
	  tests/lab/test_killed.py

.PHONY: eight-labs
eight-labs: engine ## Verify eight labs at once: every claim must be probed (10 GB of memory)
	@LABKIT_EIGHT_LABS=1 $(BIN)/python -m pytest -q -s -o faulthandler_timeout=3600 \
	  tests/verification/test_eight_labs.py

.PHONY: flags
flags: engine ## Rewrite the tables of known flags and keys from the node image's programs (2 min)
	@$(BIN)/python -m labkit.lab.flag_tables

.PHONY: lock
lock: $(STAMP) ## Rewrite requirements.lock with the newest versions that pyproject.toml allows
	@scripts/lock

.PHONY: down
down: $(STAMP) ## Remove both clusters
	@$(LABKIT) down $(MODES)

.PHONY: clean
clean: ## Remove both clusters and all generated files in this folder; keep the images
	@if [ -x $(LABKIT) ]; then $(LABKIT) down $(MODES) || echo "labs not removed, see above" >&2; fi
	@rm -rf $(VENV) build site .ci/logs .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find labkit tests notebooks -name __pycache__ -type d -prune -exec rm -rf {} +
