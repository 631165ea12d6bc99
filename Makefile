# One line says what each target does: make help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The version that is tested; an unpinned torch is another one every month.
TORCH := torch==2.13.0
# So many tests at a time.
JOBS ?= 2
SOURCES := pyproject.toml README.md $(shell find src -type f -not -path '*/__pycache__/*')

DEMO := .demo
# The demo's region keeps its state under the project, away from a region of the user's own.
DEMO_ENV := HOTFIRE_HOME="$(CURDIR)/$(DEMO)/home" MPLCONFIGDIR="$(CURDIR)/$(DEMO)/matplotlib" PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help demo demo-stop test conformance lint bench clean
.DEFAULT_GOAL := help

help:  ## say what each target does
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/demo  ## make a project, train it, deploy it to the local region, ask it two headlines
	@$(DEMO_ENV) sh scripts/demo.sh "$(DEMO)"

demo-stop:  ## end the demo's region
	@if [ -x $(BIN)/hotfire ]; then $(DEMO_ENV) hotfire down; else echo "There is no demo: make demo"; fi

test: $(VENV)/test  ## ruff, mypy and pytest, against the built wheel
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@folder=$$(mktemp -d) && export MPLCONFIGDIR="$$folder/matplotlib" && \
	{ $(BIN)/pytest --numprocesses=$(JOBS) --basetemp="$$folder/tests" $(ARGS); code=$$?; rm -rf "$$folder"; exit $$code; }

conformance: $(VENV)/test  ## hold every target to AWS's recorded answers, and AWS's own stack too (long)
	$(BIN)/pytest -q --whole tests/test_conformance.py tests/test_ray_app.py

lint: $(VENV)/test  ## format, and show what ruff and mypy find
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

bench: $(VENV)/test  ## run every program under benchmarks/ (long)
	for program in benchmarks/*.py; do $(BIN)/python $$program || exit 1; done

clean:  ## remove all that make made
	@$(MAKE) --no-print-directory demo-stop
	rm -rf $(VENV) $(DEMO) dist build .pytest_cache .mypy_cache .ruff_cache

$(VENV)/created:
	$(PYTHON) -m venv --upgrade-deps $(VENV)
	@touch $@

dist/built: $(SOURCES) | $(VENV)/created
	@rm -rf dist && mkdir dist
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@touch $@

# What a handler needs, apart: it is large, and does not change with our sources.
$(VENV)/handlers: | $(VENV)/created
	$(BIN)/pip install --quiet --disable-pip-version-check "$(TORCH)" sagemaker-pytorch-inference
	@touch $@

$(VENV)/hotfire: dist/built $(VENV)/handlers
	$(BIN)/pip install --quiet --disable-pip-version-check dist/hotfire-*.whl
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/hotfire-*.whl
	@touch $@

$(VENV)/demo: $(VENV)/hotfire
	$(BIN)/pip install --quiet --disable-pip-version-check matplotlib tqdm
	@touch $@

$(VENV)/test: $(VENV)/hotfire pyproject.toml
	$(BIN)/pip install --quiet --disable-pip-version-check --group test
	@touch $@
