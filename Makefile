# make demo    from nothing to a report and to files for the phone, without a model hub
# make test    the tests             make lint   ruff and mypy
# make bench   training speed beside a plain loop and Keras (about 10 minutes, installs TensorFlow in .venv-keras)

PYTHON ?= python3
BIN := .venv/bin
# The demo court: every figure in the README was measured with these.
DEMO := --train 900 --test 300 --seed 7 --out data/demo

.PHONY: demo test lint bench clean

# An editable install with exact versions; done again only when one of these two files has changed.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version 2>&1) found, Python 3.11 or newer needed: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --group dev --editable .
	@touch $@

demo: .venv/installed
	$(BIN)/python scripts/demo.py $(DEMO)
	$(BIN)/python scripts/fit.py --config configs/demo.yaml
	$(BIN)/python scripts/evaluate.py
	$(BIN)/python scripts/export.py

test: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# TensorFlow in a place of its own: it must not decide which numpy or protobuf the project gets.
.venv-keras/installed: benchmarks/keras-constraints.txt
	$(PYTHON) -m venv .venv-keras
	.venv-keras/bin/python -m pip install --quiet --constraint benchmarks/keras-constraints.txt keras tensorflow-cpu
	@touch $@

bench: .venv/installed .venv-keras/installed
	$(BIN)/python benchmarks/train_speed.py

clean:
	rm -rf .venv .venv-keras build *.egg-info
