# What a person types. Needs Python >= 3.11, git >= 2.38 and a package registry; `make demo` also Node >= 20.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 3
PYTEST_ARGS ?=
RUNS ?= 10
LOAD ?= 0
QUICK := $(addprefix tests/,core policy table text)

# The first Python that is new enough; PYTHON=... overrides it.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$python; exit; }; done)

# With PYTHONDONTWRITEBYTECODE set, each of thousands of Python processes would compile its modules again.
ifdef PYTHONDONTWRITEBYTECODE
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/bytecode
endif

.DEFAULT_GOAL := help
.PHONY: help js-tools install test test-quick test-all steady check lint types docs site wheel demo review knowledge-base migrate migrate-table bench world battery histories crash-points mutants agents test-agents record-agents clean

help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv with agentjobs and its tools

$(STAMP): pyproject.toml
	@$(or $(PYTHON),false) -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'make: needs Python 3.11 or newer with venv; PYTHON=... names one' >&2; exit 1; }
	@git version 2>/dev/null | awk '{ split($$3, v, "."); new = v[1] > 2 || (v[1] == 2 && v[2] >= 38) } \
		END { exit !new }' || { echo 'make: needs git 2.38 or newer' >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

test: $(STAMP) ## run the tests, of long series a fixed sample (five minutes)
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m 'not slow' $(PYTEST_ARGS)

test-quick: $(STAMP) ## run the tests of the rooms that start no processes (20 seconds)
	$(BIN)/pytest -n 2 -m 'not slow and not program' $(PYTEST_ARGS) $(QUICK)

test-all: $(STAMP) ## run every test (half an hour); before a release, and each night
	$(BIN)/pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

steady: $(STAMP) ## run the tests RUNS times beside LOAD busy loops (10, 0): which ever fail?
	$(BIN)/python -m tests.steady --runs $(RUNS) --load $(LOAD) -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

check: $(STAMP) ## what CI runs: lint, types, docs, the wheel, tests, two of the real agents among them
	@failed=; \
	$(MAKE) --keep-going -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) agents types lint site wheel || failed=1; \
	$(MAKE) test || failed=1; \
	test -z "$$failed"

test-agents: $(STAMP) ## all ten of the real agent CLIs, pinned, against a mock model (npm and PyPI; ten minutes)
	$(BIN)/python -m tests.realagents.install
	$(BIN)/pytest $(PYTEST_ARGS) tests/realagents/test_real_agents.py

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

js-tools: .cache/js-tools/node_modules ## the pinned compiler, for the tests of the js-to-ts tools

.cache/js-tools/node_modules: templates/js-to-ts/tools/package.json
	mkdir -p .cache/js-tools
	cp templates/js-to-ts/tools/package.json .cache/js-tools/
	npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix .cache/js-tools
	@touch $@

docs: $(STAMP) ## write docs/commands.md anew from --help, and the table of docs/agents.md from the presets
	$(BIN)/python -m tests.command_reference > docs/commands.md.new
	mv docs/commands.md.new docs/commands.md
	$(BIN)/python -m tests.agent_reference

site: $(VENV)/.site ## build the docs as a site (site/index.html) and check every link
	$(BIN)/python -m tests.site

$(VENV)/.site: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

wheel: $(STAMP) ## build the wheel and look whether all that runs is in it
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(BIN)/python -m zipfile -e dist/*.whl dist/unpacked
	cd dist/unpacked && PYTHONPATH=. ../../$(BIN)/python -m agentjobs init --list

demo: $(STAMP) ## convert a real JavaScript package to TypeScript, offline but for the registry
	PATH="$(CURDIR)/$(BIN):$$PATH" bash templates/js-to-ts/demo.sh

review: $(STAMP) ## review the source of PKG (a package of PyPI) with a script without a model: report.md
	PATH="$(CURDIR)/$(BIN):$$PATH" sh templates/code-review/demo.sh $(or $(PKG),$(error PKG=... names a package))

migrate: $(STAMP) ## convert PKG (of tests/migrate/packages.toml) from the registry, or from a checkout FROM
	$(BIN)/python -m tests.migrate.migrate $(or $(PKG),$(error PKG=... names a package)) $(if $(FROM),--from '$(FROM)') $(MIGRATE_ARGS)

knowledge-base: $(STAMP) ## one document out of 267 real ones (PyPI), offline, killed ten times on the way
	$(BIN)/python -m tests.knowledge.prove

migrate-table: $(STAMP) ## write docs/migrations.md from the results
	$(BIN)/python -m tests.migrate.table

bench: $(STAMP) ## measure
	$(BIN)/python tests/bench/bench.py

world: $(STAMP) ## play all combinations of the cases of tests/world: what was met outside, and the end that is right
	WORLD=all $(BIN)/pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS) tests/world

histories: $(STAMP) ## 200 random histories of the merge queue, polls killed at random (five minutes)
	HISTORIES=100 $(BIN)/python -m pytest -n $(JOBS) tests/run/landing/test_histories.py

battery: $(STAMP) ## SEEDS (1-50) of what agents leave in trees, in KIND (worktree, clone) and SANDBOX (none, bwrap)
	nice $(BIN)/python -m tests.battery --seeds $(or $(SEEDS),1-50) $(if $(KIND),--kind $(KIND)) $(if $(SANDBOX),--sandbox $(SANDBOX))

agents: $(STAMP) ## Claude Code and Codex, pinned, into .cache/agents (npm)
	$(BIN)/python -m tests.realagents.install claude codex

record-agents: $(STAMP) ## what they say to a mock model in each case, into tests/fixtures/agents
	$(BIN)/python -m tests.realagents.install
	$(BIN)/python -m tests.realagents.record $(CASES)

crash-points: $(STAMP) ## kill poll and dispatch after every single effect of a run, in six variants (over an hour)
	ALL_CRASH_POINTS=1 KILLS=200 $(BIN)/python -m pytest -n $(JOBS) tests/whole/test_crash_points.py tests/whole/test_kills.py

mutants: $(STAMP) ## plant bugs in the core: the tests must find every one (three minutes)
	$(BIN)/python -m tests.plant_bugs

clean: ## remove what make made
	rm -rf $(VENV) .cache dist site
