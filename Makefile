# `make demo` and `make test` need nothing but Python 3.10, 3.11 or 3.12: they set up .venv themselves, and reuse it
# until pyproject.toml changes.
PYTHON ?= python3
VENV ?= .venv
OUT ?= out
PY := $(VENV)/bin/python

.PHONY: demo test lint wheel-check results results-check clean

demo: $(VENV)/.ready-demo
	$(PY) -m layered bench demo --out $(OUT)

# Tests use one thread each; four processes at most, for each imports torch.
test: lint
	$(PY) -m pytest -q -n logical --maxprocesses 4 --dist loadfile

lint: $(VENV)/.ready-test
	$(PY) -m ruff check .
	$(PY) -m mypy

# Measures everything on the results page again (many hours; what is measured already is not repeated), or a sample of
# it (minutes).  LAYERED_DATA names the folder of the test images.
results: $(VENV)/.ready-test
	$(PY) -m experiments.page run --out $(OUT)
	$(PY) -m experiments.page fill

results-check: $(VENV)/.ready-test
	$(PY) -m experiments.page check

# Builds the wheel, installs it elsewhere, and uses it from another directory.
wheel-check: $(VENV)/.ready-test
	$(PY) -m pytest -q tests/test_wheel.py

# The stamp is written last: an interrupted set-up is taken up again, not mistaken for a finished one.
$(VENV)/.ready-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || \
		{ echo "error: $(PYTHON) is not Python 3.10, 3.11 or 3.12; name one: make PYTHON=python3.12"; exit 1; } >&2
	@echo "Setting up $(VENV) with the packages for '$*': some minutes and, with CUDA builds of torch, some GB"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "error: $(PYTHON) has no working venv module (on Debian: apt install python3-venv)"; exit 1; } >&2
	$(PY) -m pip install --disable-pip-version-check --editable ".[$*]"
	@touch $@ $(if $(filter test,$*),$(VENV)/.ready-demo)  # what tests need has what the demo needs in it

clean:
	rm -rf $(VENV) out build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
