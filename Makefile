# Two commands do it all: `make demo` and `make test`. Each makes .venv by itself, from the lock file.
PYTHON ?= python3
BIN    := .venv/bin
# one more than cores: the tests with real processes mostly wait
WORKERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)


.PHONY: demo test fault flood check bench format docs lock clean

demo: .venv/ready
	$(BIN)/vitaledger demo

test: .venv/ready
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

# Kills, stops and broken lines by a seeded plan, and every value held against the truth.
fault: .venv/ready
	$(BIN)/python -m tests.e2e.fault_bench $(ARGS)

# How long a quiet gateway waits for its receipts beside one that sends as much as it can.
flood: .venv/ready
	$(BIN)/python -m tests.e2e.flood_bench $(ARGS)

check: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready
	$(BIN)/python -m bench $(ARGS)

# Pages that are made from the code; a test compares them.
docs: .venv/ready
	$(BIN)/python -m tests.docs

format: .venv/ready
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The lock file holds every version and hash, for all platforms, and no address of an index.
lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/pip install --quiet uv
	.venv/lock/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --quiet --upgrade -o requirements.lock

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
