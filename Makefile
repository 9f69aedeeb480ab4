# The same small commands for people and CI.  ARGS passes options on: make run ARGS="--port 8123 --no-model"
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=

.PHONY: run test check bench soak setup format lock clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#: //p' Makefile

#: make run      start everything: PostgreSQL, Valkey, the demo's model, proxy, console, worker
run: $(VENV)/.run
	$(BIN)/costhub up $(ARGS)

#: make test     the whole test suite
test: $(VENV)/.dev
	bash tests/run.sh $(ARGS)

#: make check    linters, types, import rules, migrations, templates
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/djlint --check --lint templates --quiet
	$(BIN)/djade --target-version 5.2 --check $$(git ls-files 'templates/*.html')

#: make bench    the figures of the README, peers beside us
bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

#: make soak     the long runs: every fault, many rounds
soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m soak $(ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

setup: $(VENV)/.dev

$(VENV)/bin/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements-dev.lock
	touch $@

# Re-pins everything to the newest versions that pyproject.toml admits.
lock: $(VENV)/bin/uv
	echo 'uv' | $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header --no-emit-index-url -p 3.11 - -o requirements-bootstrap.lock
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header --no-emit-index-url -p 3.11 pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header --no-emit-index-url -p 3.11 --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf $(VENV) var build *.egg-info
