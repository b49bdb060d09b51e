# The project's commands. Each first makes .venv where it is missing or older than the lists of dependencies.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python that is 3.11 or 3.12. It is run, not only looked up: a shim may exist for a version that does not.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for name in python3.11 python3.12 python3 python; do \
	if $$name -c '$(FITS)' 2>/dev/null; then echo $$name; break; fi; done)

EXTRAS := [k8s,test,torch]

# $(call install,$(EXTRAS)): no .venv/base while an install is under way, so what a killed one left is made anew.
define install
	@$(or $(PYTHON),false) -c '$(FITS)' 2>/dev/null || { \
		echo "mlops_assets needs Python 3.11 or 3.12; found: $$($(or $(PYTHON),python3) --version 2>&1 || true)." >&2; \
		echo "Install one and say which: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@[ -e .venv/base ] || { rm -rf .venv && $(PYTHON) -m venv .venv; }
	@rm -f .venv/base .venv/full
	@echo "installing into .venv (about a minute the first time) ..."
	@.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.$(1)'
	@touch .venv/base $@
endef

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 8

.venv/base: pyproject.toml constraints.txt
	$(call install)

.venv/full: pyproject.toml constraints.txt
	$(call install,$(EXTRAS))

.PHONY: demo
demo: .venv/base ## the whole loop on generated data, in a few minutes
	@.venv/bin/mlops-assets demo

.PHONY: up
up: .venv/base ## the Dagster UI and daemon, and the endpoints, until Ctrl-C
	@.venv/bin/mlops-assets up

.PHONY: test
test: .venv/full ## all tests, on two processes
	@OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile

.PHONY: check
check: .venv/full ## lint, format, types and layout
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/pyright
	@.venv/bin/pytest -q mlops_assets_tests/test_layout.py

.PHONY: bench
bench: .venv/full ## the headline figures, each beside its peer: make bench [ONLY=name]
	@.venv/bin/python -m benchmarks $(ONLY)

.PHONY: chaos
chaos: .venv/full ## kill all in N places, try the gate for STEPS steps, an endpoint for SOAK s: make chaos [N=3] [STEPS=100000] [SOAK=600]
	@CHAOS_PLACES=$(or $(N),3) GATE_STEPS=$(or $(STEPS),100000) FUZZ_BODIES=$(or $(BODIES),50000) SCHEMA_EXAMPLES=100 CHAOS_SOAK_S=$(or $(SOAK),600) CHAOS_SWAPS=100 CHAOS_KILLS=30 \
		CHAOS_ASKED=5000 CHAOS_ROWS=200 .venv/bin/pytest -m chaos -o faulthandler_timeout=1800

.PHONY: clean
clean: ## remove what can be made again; the evidence in .mlops_assets stays
	@rm -rf .venv .hypothesis .pytest_cache .ruff_cache build dist benchmarks/.data
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
