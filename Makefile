# What people type. The work is in scripts/; `make help` lists it.

find-python = for p in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3
PYTHON ?= $(shell $(find-python))
VENV = .venv/bin
UV = UV_CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate

# Without these GCC drops what llama.cpp tells the AMX unit, and llama.cpp crashes on processors that have one.
LLAMA_CPP_FLAGS = -DCMAKE_CXX_FLAGS="-fno-dse -fno-tree-dse"

.DEFAULT_GOAL := help
.PHONY: help install dev up test check lint format types tree bench bench-text lock

help: ## list these
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1	/' | expand -t 18

install: ## what `make up` installs, without starting it
	@$(PYTHON) scripts/install.py

up: install ## start everything on http://127.0.0.1:8000 (TESSERA_PORT, TESSERA_DATA_DIR)
	@exec $(VENV)/python -m scripts.up

dev: ## also what checks the product
	@$(PYTHON) scripts/install.py --dev

test: dev ## every test: SQLite, PostgreSQL, real Chromium
	@exec $(VENV)/python -m scripts.test_all

check: lint types ## format, lint, types, imports and the fast tests, in two minutes
	@$(VENV)/pytest -q --numprocesses=logical --dist=worksteal -m "not slow and not browser and not stack"

lint: dev ## format and lint and import contracts, changing nothing
	@$(VENV)/ruff format --check --quiet .
	@$(VENV)/ruff check --quiet .
	@$(VENV)/lint-imports --no-logo

types: dev ## mypy strict
	@$(VENV)/mypy

format: dev ## put every file into the one format
	@$(VENV)/ruff format .
	@$(VENV)/ruff check --fix .

tree: dev ## redraw the tree in docs/ARCHITECTURE.md
	@$(VENV)/python -m scripts.tree

bench: dev ## measure text jobs from a client's side, the text mark, and the image engine
	@$(VENV)/python -m benchmarks.bench_jobs
	@$(VENV)/python -m benchmarks.bench_text_mark
	@$(VENV)/python -m benchmarks.bench_image

bench-text: dev ## measure the text engine beside transformers and llama.cpp, which is compiled first (minutes)
	@CMAKE_ARGS='$(LLAMA_CPP_FLAGS)' $(VENV)/pip install --quiet --require-hashes -r requirements/bench.txt
	@$(VENV)/python -m benchmarks.bench_text $(BENCH_TEXT)

lock: dev ## pin requirements/*.in anew (UPGRADE=--upgrade takes newer versions)
	@$(VENV)/pip install --quiet uv==0.13.8
	@$(UV) $(UPGRADE) requirements/runtime.in -o requirements/runtime.txt
	@$(UV) $(UPGRADE) -c requirements/runtime.txt requirements/dev.in -o requirements/dev.txt
	@$(UV) $(UPGRADE) -c requirements/dev.txt requirements/bench.in -o requirements/bench.txt
