# For GNU make 3.81 and later. Everything runs through .venv/bin/python -m, from this folder, by relative paths: the name
# of the folder may hold spaces and Chinese letters, which the first lines of installed scripts do not survive.

.DEFAULT_GOAL := help
.PHONY: help run test check lint types schema release migrate seed bench soak real clean
export PYTHONUTF8 := 1
unexport PYTHONPATH PYTHONHOME
python := .venv/bin/python
pip := $(python) -m pip --disable-pip-version-check --quiet install

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: .venv/installed ## install, start PostgreSQL, load the sample, settle it, serve GraphQL
	@exec $(python) -m s2b2c.cli up

test: lint types ## everything that must pass: lint, types, architecture and the suite
	@exec $(python) -m pytest -n 2

check: lint types ## the quick part of it: lint, types, architecture
	@exec $(python) -m pytest tests/test_architecture.py

lint: .venv/installed ## ruff: rules and format
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

types: .venv/installed ## mypy --strict
	@$(python) -m mypy

schema: .venv/installed ## write graphql/schema.graphql from the code, and the ids of the operations
	@exec $(python) -m s2b2c.cli schema

release: schema ## promise the schema as it is to those who use it: graphql/released.graphql
	@cp graphql/schema.graphql graphql/released.graphql

migrate: .venv/installed ## bring the database to the newest migration
	@exec $(python) -m s2b2c.cli migrate

seed: .venv/installed ## make seed/sample again
	@exec $(python) seed/make_sample.py

bench: .venv/installed .venv/real ## measure against the floor of the same run
	@exec $(python) -m tests.bench

soak: .venv/installed ## the long tests: thousands of examples, storms of kills
	@exec $(python) -m pytest -n 2 --hypothesis-profile=soak tests/soak tests/properties

real: .venv/installed .venv/real ## the main job on a year of a real retailer
	@exec $(python) -m tests.bench.real

clean: ## remove .venv and caches; the data in .s2b2c stays
	rm -rf .venv dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find s2b2c migrations seed tests -name __pycache__ -prune -exec rm -rf {} +

define CHECK
import sys
if sys.version_info < (3, 11):
    sys.exit(1)
import os
try:
    import ensurepip, venv
except ImportError:
    sys.exit("Needed: the venv module of Python %d.%d, try: apt-get install python3-venv" % sys.version_info[:2])
try:
    libc, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
except (ValueError, OSError):
    libc = version = ""
if sys.platform == "linux" and (libc != "glibc" or tuple(map(int, version.split(".")[:2])) < (2, 28)):
    sys.exit("Needed: glibc 2.28 or newer, not %s: use Debian 10, Ubuntu 20.04 or later" % (libc or "musl"))
endef
export CHECK

.venv/installed: requirements.lock
	@problem='Needed: Python 3.11 or newer, try: apt-get install python3 python3-venv (macOS: brew install python)'; \
	for found in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3; do \
	    if said=$$("$$found" -c "$$CHECK" 2>&1); then problem=; break; fi; \
	    case "$$said" in Needed:*) problem=$$said ;; esac; \
	done; \
	if [ -n "$$problem" ]; then echo "$$problem" >&2; exit 1; fi; \
	echo "Installing into .venv (once; a minute or two)"; \
	exec "$$found" -m venv --clear .venv
	@$(pip) --require-hashes --requirement requirements.lock
	@$(pip) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/real: .venv/installed seed/requirements.lock
	@$(pip) --require-hashes --requirement seed/requirements.lock
	@touch $@
