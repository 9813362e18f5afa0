# The two commands of a fresh machine, `make demo` and `make test`: each first sets up a virtual environment in .venv.

VENV := .venv
PY := $(VENV)/bin/python
# A finished environment is kept (its bin/pip is written last); otherwise one is made with python3, or with
# make PYTHON=python3.12 test. The stamp carries the version, so that another PYTHON remakes the environment.
PYTHON ?= $(if $(wildcard $(VENV)/bin/pip),$(PY),python3)
SHOW_VERSION := import sys; print("%d.%d.%d" % sys.version_info[:3])
VERSION := $(shell $(PYTHON) -c '$(SHOW_VERSION)' 2>/dev/null)
STAMP := $(VENV)/.installed-$(VERSION)

# What the documentation is built with is installed by the first `make docs`.
DOCS_STAMP := $(VENV)/.docs-$(VERSION)

.PHONY: help demo test soak figures docs setup clean

help:
	@echo "make demo    the Gaussian blocks, then LDF on Ms. Pac-Man for four minutes; pictures in out/"
	@echo "make test    the tests"
	@echo "make soak    the long tests: 200 kills, half an hour of fuzzing, 5,000 oracles, 20,000 steps in flat memory and time"
	@echo "make figures every claim of the paper as an experiment, half an hour; the page is out/report/index.html"
	@echo "             (BUDGET=hours: models of up to three minutes; BUDGET=full: at budgets that decide;"
	@echo "             both say beforehand how long, and go on where they were ended;"
	@echo "             JOBS=2: two models at a time, each on its part of the cores)"
	@echo "make docs    lessons, pages and the API as a site to read without the network: out/docs/index.html"
	@echo "make setup   only the virtual environment in .venv that both use"
	@echo "make clean   removes .venv, out/ and what else these commands made here (not the cache of data)"
	@echo "PYTHON=...   the interpreter to use, 3.10 or newer (default python3): make PYTHON=python3.12 test"

demo: $(STAMP)
	$(PY) demos/gaussian_blocks.py --quick
	$(PY) demos/pacman.py --model ldf --minutes 4 --seeds 0

test: $(STAMP)
	@command -v g++ >/dev/null || echo "g++ was not found: the tests that run the CUDA kernels on the CPU are skipped." \
	    "To have them: apt install g++ (Debian, Ubuntu), or the like"
	$(PY) -m pytest -n auto --dist loadfile

soak: $(STAMP)
	LDF_KILLS=200 $(PY) -m pytest -m kill
	$(PY) tests/tools/fuzz_readers.py --seconds 600 --reader all --out out/fuzz
	$(PY) tests/tools/oracles.py --cases 5000
	$(PY) tests/tools/soak.py --json out/soak.json

figures: $(STAMP)
	$(PY) demos/paper/report.py --budget $(or $(BUDGET),short) --jobs $(or $(JOBS),1)

docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "Open out/docs/index.html"

setup: $(STAMP)

$(STAMP): setup.py pyproject.toml
	@test -n "$(VERSION)" || { \
	    echo "make: '$(PYTHON)' does not run. Install Python 3.10 or newer, or name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "make: '$(PYTHON)' is Python $(VERSION), but 3.10 or newer is needed. Name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@if ! [ -e $(VENV)/bin/pip ] || [ "$$($(PY) -c '$(SHOW_VERSION)' 2>/dev/null)" != "$(VERSION)" ]; then \
	    echo "Making a virtual environment with Python $(VERSION) in $(VENV) ..."; \
	    $(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	        echo "make: '$(PYTHON) -m venv' failed (its words are above). On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
	@echo "Installing ldf_np and what it needs (about a minute) ..."
	@$(PY) -m pip install -qq --disable-pip-version-check "pip>=22"
	@$(PY) -m pip install -qq --disable-pip-version-check --editable ".[demos,test,mpi]"
	@touch $@

$(DOCS_STAMP): $(STAMP)
	@echo "Installing what the documentation is built with ..."
	@$(PY) -m pip install -qq --disable-pip-version-check --editable ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) out build dist .pytest_cache .hypothesis .ruff_cache *.egg-info
	find ldf_np kernels demos tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
