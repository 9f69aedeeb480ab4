# The same small commands for people and CI.  ARGS passes options on: make run ARGS="--port 8123 --no-model"
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
# what trains language models, apart: PyTorch is 1.4 GB
LEARNING ?= .venv-learning
ARGS   ?=
PIP_QUIET   := --quiet --disable-pip-version-check --no-input
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# where `make lock` finds PyTorch's CPU builds
TORCH_FROM  ?= --extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match
COMPILE      = $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header --no-emit-index-url -p 3.11

.PHONY: run test test-learning check bench soak setup format client lock lock-learning clean sbom audit audit-online advisories
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#: //p' Makefile

#: make run      start everything: PostgreSQL, Valkey, the demo's model, proxy, console, worker
run: $(VENV)/.run
	$(BIN)/costhub up $(ARGS)

#: make test     the whole test suite
test: $(VENV)/.dev
	bash tests/run.sh $(ARGS)

#: make test-learning  tests of what trains language models, with PyTorch in a folder of its own
test-learning: $(LEARNING)/.ready
	$(LEARNING)/bin/python -m pytest tests/learning -m learning -n 0 --durations=10 $(ARGS)

#: make check    linters, types, import rules, migrations, templates, advisories
check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/djlint --check --lint templates --quiet
	$(BIN)/djade --target-version 5.2 --check $$(git ls-files 'templates/*.html')
	$(BIN)/python -m tests.security.advisories

#: make bench    the figures of the README, CostHub and other gateways
bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

#: make soak     the long runs: every fault, many rounds, every generated example
soak: $(VENV)/.dev
	COSTHUB_WHOLE=1 $(BIN)/python -m pytest -m "soak or hypothesis or sampled" $(ARGS)

#: make client   generate the clients of the management API again
client: $(VENV)/.dev
	PATH=$(CURDIR)/$(BIN):$$PATH DJANGO_SETTINGS_MODULE=costhub.settings $(BIN)/python -m costhub.client.generate

#: make sbom     a CycloneDX bill of materials of what is installed, in build/sbom.json
sbom: $(VENV)/.dev
	mkdir -p build
	$(BIN)/cyclonedx-py environment $(BIN)/python --pyproject pyproject.toml --output-reproducible --output-file build/sbom.json

#: make audit    known vulnerabilities of what is pinned, by the snapshot in tests/security; a part of make check
audit: $(VENV)/.dev
	$(BIN)/python -m tests.security.advisories

#: make advisories FROM=all.zip  make that snapshot again, from the records that OSV publishes for PyPI
advisories: $(VENV)/.dev
	$(BIN)/python -m tests.security.advisories --from $(FROM)

#: make audit-online  the same, asked of PyPI itself by pip-audit; needs the open internet
audit-online: $(VENV)/bin/uv
	$(BIN)/uv tool run --from 'pip-audit==2.10.1' pip-audit --strict --no-deps --disable-pip -r requirements.lock

#: make format   ruff's fixes and formatting
format: $(VENV)/.dev
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

#: make setup    .venv with everything in requirements-dev.lock
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

# torch comes by pip alone: a CPU build where pip's own index has one, else PyTorch's index of them. uv would take five
# gigabytes of CUDA.
$(LEARNING)/.ready: requirements-learning.lock $(VENV)/.dev
	test -x $(LEARNING)/bin/python || $(PYTHON) -m venv $(LEARNING)
	$(BIN)/uv pip install --quiet --python $(LEARNING)/bin/python --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/uv pip install --quiet --python $(LEARNING)/bin/python --no-deps --no-build-isolation --editable .
	$(LEARNING)/bin/python -m pip install $(PIP_QUIET) --no-deps --require-hashes -r requirements-learning.lock \
	  || $(LEARNING)/bin/python -m pip install $(PIP_QUIET) --no-deps --require-hashes \
	     --extra-index-url $(TORCH_INDEX) -r requirements-learning.lock
	touch $@

#: make lock     pin everything again, to the newest versions that pyproject.toml admits
lock: $(VENV)/bin/uv
	echo 'uv' | $(COMPILE) - -o requirements-bootstrap.lock
	$(COMPILE) pyproject.toml -o requirements.lock
	$(COMPILE) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(MAKE) lock-learning

# The packages of weights would have llama.cpp compiled; sentence-transformers is wanted here, so that the overrides of
# pyproject.toml are not.
lock-learning: $(VENV)/bin/uv
	mkdir -p build
	printf "llm; python_version < '3'\nllama-cpp-python; python_version < '3'\narcjet; python_version < '3'\nonnxruntime>=1.32\ntorch==2.13.0+cpu\n" > build/overrides.txt
	$(COMPILE) --no-config --override build/overrides.txt $(TORCH_FROM) --extra learning -c requirements-dev.lock \
	  pyproject.toml -o requirements-learning.lock

#: make clean    remove .venv, .venv-learning, var and build files: the stack's data too
clean:
	rm -rf $(VENV) $(LEARNING) var build *.egg-info
