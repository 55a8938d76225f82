# Everything runs from .venv, created here from the hashed locks. `make` alone lists the targets.

PYTHON ?= python3
ARGS ?=
JOBS ?= 2

VENV_PYTHON := .venv/bin/python
PIP := PIP_USER=0 $(VENV_PYTHON) -m pip --disable-pip-version-check --quiet
# A lock names everything, so there is nothing to resolve. Compiling all of it takes longer than the rest of the
# install; what is used is compiled once, by the import at its end.
LOCKED := --require-hashes --no-deps --no-compile
LOCK := $(VENV_PYTHON) -m uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url --no-emit-find-links

# Without bytecode every process of a test compiles all of its modules again: seconds each.
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## List the targets (this)
	@echo 'Usage: make TARGET [PYTHON=python3.13] [ARGS="..."]'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done
	@echo
	@echo '  PYTHON  the interpreter .venv is made from, 3.11 or newer (now: $(PYTHON))'
	@echo '  JOBS    test files that run at the same time (now: $(JOBS))'
	@echo '  ARGS    passed on: make test ARGS="tests/unit -k merge", make demo ARGS="--help"'

.PHONY: run
run: .venv/.installed-run ## Install from the lock, then start the whole platform (headrace up)
	@exec $(VENV_PYTHON) -m headrace.cli.main up $(ARGS)

.PHONY: demo
demo: .venv/.installed-run ## Replay real orders on a temporary platform; ends by itself
	@exec $(VENV_PYTHON) -m headrace.cli.main demo $(ARGS)

.PHONY: test
test: .venv/.installed-dev ## Every test that needs only Python packages
	$(VENV_PYTHON) -m pytest --numprocesses $(JOBS) --dist loadfile $(ARGS)

# What concerns Postgres or Redis alone is the same there as in `make test`, which runs these servers too.
ONE_STORE := access access_ingest access_rules capacity limits logs_hold_no_persons openapi redis_users profiles_api \
	profiles_arrays profiles_computed profiles_consents profiles_identifiers profiles_interleavings \
	profiles_quarantine profiles_redaction profiles_search profiles_storm profiles_suppression \
	profiles_tags profiles_timeline profiles_unmerge profiles_unmerge_random profiles_unmerge_storm \
	rfm rfm_api cut_points_json cut_points_sql batch_selection segment_commands segment_export \
	segment_forecast segment_history segment_lists segment_schema segment_unmerge segmenter_api \
	segmenter_store segmenter_timeline memberships_route survey_commands ingest_http demo
KAFKA_TESTS := tests/faults tests/conformance/test_kafka*.py tests/deploy/test_kubernetes_rights.py \
	$(filter-out $(ONE_STORE:%=tests/e2e/test_%.py),$(wildcard tests/e2e/test_*.py))

.PHONY: test-kafka
test-kafka: .venv/.installed-dev ## The suites that meet the log, on a real Kafka, Postgres and Redis; Java 17 and Maven
	$(VENV_PYTHON) -m tests.servers --numprocesses $(JOBS) --dist loadfile $(or $(ARGS),$(KAFKA_TESTS))

.PHONY: check
check: .venv/.installed-dev ## Lint, format, types, import rule, generated files, locks
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy
	$(VENV_PYTHON) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command(["--no-logo"]))'
	$(VENV_PYTHON) -m headrace.contracts.generate --check
	$(VENV_PYTHON) -m headrace.runtime.reference --check
	$(VENV_PYTHON) deploy/grafana/generate.py --check
	$(VENV_PYTHON) deploy/kubernetes/generate.py --check
	$(VENV_PYTHON) -m tests.http --check
	$(VENV_PYTHON) -m pytest --quiet tests/unit/repository

.PHONY: check-deploy
check-deploy: .venv/.installed-dev ## What is under deploy/: rendered, validated, and held against the code; kubectl or Go
	$(VENV_PYTHON) -m pytest --quiet --numprocesses $(JOBS) --dist loadfile tests/deploy

# The advisory database is on the network: ARGS=--if-reachable succeeds, saying so, where it cannot be asked.
.PHONY: audit
audit: .venv/.installed-dev ## Ask the database of known vulnerabilities about every package that may run
	@$(VENV_PYTHON) -m deploy.packages.audit requirements-tracing.lock $(ARGS)

.PHONY: sbom
sbom: .venv/.installed-run ## Write the bills of materials (CycloneDX, JSON) of requirements.lock and of the image to dist/
	@mkdir -p dist
	@$(VENV_PYTHON) -m deploy.packages.sbom requirements.lock >dist/headrace.cdx.json
	@$(VENV_PYTHON) -m deploy.packages.sbom requirements-tracing.lock run >dist/headrace-image.cdx.json
	@echo 'dist/headrace.cdx.json: all of the lock; dist/headrace-image.cdx.json: what the image has'

.PHONY: compose
compose: ## Build the image and start deploy/compose.yaml; needs Docker
	@command -v docker >/dev/null 2>&1 || { \
		echo 'make compose needs Docker with its compose plugin; without it: make run' >&2; exit 1; }
	@deploy/secrets.sh
	docker compose --file deploy/compose.yaml up --build --wait --detach $(ARGS)
	@echo 'Keys are in deploy/secrets. Mail: http://127.0.0.1:8025, Grafana (admin): http://127.0.0.1:3000'

.PHONY: retail
retail: .venv/.installed-dev ## The whole real file (HEADRACE_RETAIL_CSV=...) in peace and under kill -9; ARGS=profiles for one
	$(VENV_PYTHON) -m tests.faults.retail_year $(ARGS)

.PHONY: faults
faults: .venv/.installed-dev ## The fault suite by hand, 20,000 events a row (HEADRACE_FAULT_EVENTS); ARGS=word for some rows
	$(VENV_PYTHON) -m tests.faults $(ARGS)

.PHONY: fuzz
fuzz: .venv/.installed-dev ## Bad input at every door of a running platform, 30 s (HEADRACE_FUZZ_SECONDS=600 for longer)
	$(VENV_PYTHON) -m tests.fuzz $(ARGS)

.PHONY: bench
bench: .venv/.installed-dev ## Measure on this machine beside its limits; ARGS="ingest --json FILE" for one, as JSON too
	@$(VENV_PYTHON) -m tests.bench $(ARGS)

.PHONY: format
format: .venv/.installed-dev ## Format the code and apply the safe lint fixes
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .

.PHONY: generate
generate: .venv/.installed-dev ## Rewrite the schemas, the API documents, the reference, generated manifests
	$(VENV_PYTHON) -m headrace.contracts.generate
	$(VENV_PYTHON) -m headrace.runtime.reference
	$(VENV_PYTHON) deploy/grafana/generate.py
	$(VENV_PYTHON) deploy/kubernetes/generate.py
	$(VENV_PYTHON) -m tests.http

# The dev lock comes first: it holds everything, and the run lock takes its versions from it.
.PHONY: lock
lock: .venv/.installed-dev ## Resolve the locks anew (needs the package index); ARGS=--upgrade for newer versions
	$(LOCK) --group build --group dev $(ARGS) --output-file requirements-dev.lock
	$(LOCK) --group build --constraints requirements-dev.lock $(ARGS) --output-file requirements.lock
	$(LOCK) --group build --extra tracing --constraints requirements-dev.lock --output-file requirements-tracing.lock

.PHONY: clean
clean: ## Remove .venv and caches; the data folder .headrace stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .tools
	find headrace services tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Old interpreters must be able to read these two lines of Python, so that they can say what is wrong.
define require_python
@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
	echo 'Headrace needs Python 3.11 or newer; "$(PYTHON)" is not installed.' >&2; \
	echo 'Install it (Debian, Ubuntu: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3' >&2; \
	exit 1; }
@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Headrace needs Python 3.11 or newer; $(PYTHON) is $$("$(PYTHON)" -V 2>&1)." >&2; \
	echo 'Install a newer one (Debian, Ubuntu: apt-get install python3.11 python3.11-venv) and run: make PYTHON=python3.11' >&2; \
	exit 1; }
@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
	version=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	echo "$(PYTHON) has no venv module with ensurepip." >&2; \
	echo "Install it (Debian, Ubuntu: apt-get install python$$version-venv) and run make again." >&2; \
	exit 1; }
endef

# Made again when its interpreter is gone (an upgraded system, a copied folder).
ifneq ($(shell test -x $(VENV_PYTHON) && echo yes),yes)
.PHONY: .venv/.created
endif
.venv/.created:
	$(require_python)
	@echo 'Making .venv ...'
	@"$(PYTHON)" -m venv --clear .venv
	@touch $@

.venv/.installed-run: .venv/.created requirements.lock pyproject.toml
	@echo 'Installing from requirements.lock (the first time takes about a minute) ...'
	@$(PIP) install $(LOCKED) --requirement requirements.lock
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@$(VENV_PYTHON) -c 'import headrace.cli.main, headrace.local.prepare, services.ingest.main, \
		services.profiles.main, services.segmenter.main, services.messenger.main'
	@touch $@

.venv/.installed-dev: .venv/.installed-run requirements-dev.lock
	@echo 'Installing from requirements-dev.lock ...'
	@$(PIP) install $(LOCKED) --requirement requirements-dev.lock
	@touch $@
