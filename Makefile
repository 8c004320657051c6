# The commands that people type. Each makes the environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
DATA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-faults check audit docs format bench bench-% notebooks clean

help: ## list these commands
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/' | sort

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Foreshock needs Python 3.11.5 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11, 5) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[postgres,embeddings]' --group dev
	touch $@

demo: $(READY) ## the whole path on a made-up fleet: train, serve, score, explain, alert
	$(BIN)/foreshock demo $(ARGS)

test: $(READY) ## all tests, against real servers where they are installed
	sh tests/servers/install.sh
	$(BIN)/python -m tests.together $(ARGS)

test-fast: $(READY) ## unit tests: no Ray, no server
	$(BIN)/python -m pytest -q -n 2 tests/unit $(ARGS)

test-faults: $(READY) ## kill everything, many times, and count what was lost
	sh tests/servers/install.sh
	$(BIN)/python -m tests.faults $(ARGS)
	$(BIN)/python -m tests.faults.escalation

check: $(READY) ## lint, types, import rules, dependencies, prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy platform pipelines models
	$(BIN)/lint-imports
	$(BIN)/deptry platform pipelines models
	$(BIN)/python docs/prose.py

audit: ## ask PyPI for known faults of the pinned packages; what cannot be looked up is an error
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install -q pip-audit
	build/audit/bin/pip-audit -r constraints.txt --no-deps --disable-pip --strict --progress-spinner off

docs: $(READY) ## the documentation site, in build/site; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: $(READY) ## put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(READY) ## run the notebooks, and save them with their pictures
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.timeout=600 $(or $(NOTEBOOKS),$(wildcard notebooks/*.ipynb))
	$(BIN)/python -m tests.e2e.notebooks.picture

bench: $(READY) ## speed, beside the peers, in one table
	$(BIN)/python -m tests.bench $(ARGS)

bench-quality: $(READY) ## detection quality, beside the peers (DATA=folder)
	$(BIN)/python -m tests.bench.quality --data $(DATA) $(ARGS)

bench-tuning: $(READY) ## what tuning without labels gains over defaults (DATA=folder)
	$(BIN)/python -m tests.bench.tuning --data $(DATA) $(ARGS)

bench-forecast: $(READY) ## forecast accuracy and coverage, beside seasonal-naive
	$(BIN)/python -m tests.bench.forecast --data $(DATA) $(ARGS)

bench-capacity: $(READY) ## what large installations would cost, from what make bench measured
	$(BIN)/python -m tests.bench.capacity $(ARGS)

bench-rca: $(READY) ## root-cause rankings on known faults, beside simple orders (DATA=folder)
	$(BIN)/python -m tests.bench.rootcause --data $(DATA) $(ARGS)

bench-incident-texts: $(READY) ## classes of incidents from their texts, five-fold (DATA=folder)
	$(BIN)/python -m tests.bench.texts --data $(DATA) $(ARGS)

bench-incidents: $(READY) ## correlation of alerts into incidents, on known faults (DATA=folder)
	$(BIN)/python -m tests.bench.incidents --data $(DATA) $(ARGS)

bench-attribution: $(READY) ## SHAP and LIME on events with known causes (DATA=folder)
	$(BIN)/python -m tests.bench.attribution --data $(DATA) $(ARGS)

bench-scale: $(READY) ## passes of the light tier over up to 100,000 entities
	$(BIN)/python -m tests.bench.scale $(ARGS)

bench-%: $(READY) ## one part of it: bench-forest, bench-scoring ...
	$(BIN)/python -m tests.bench $* $(ARGS)

clean: ## remove what make made here
	rm -rf $(VENV) build dist bench-out
