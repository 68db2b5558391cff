# The checks of .ci/run, by name, in the environment at hand (pip install -e ".[dev]").
.PHONY: check format lint types test test-all

check: lint types test

format:
	ruff format .
	ruff check --fix .

lint:
	ruff format --check .
	ruff check .

types:
	mypy

test:
	pytest

test-all:
	pytest -m "slow or not slow"
