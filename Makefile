# make demo    from nothing to a report and to files for the phone, without a model hub
# make test    the tests             make lint   ruff and mypy             make release   sdist and wheel in dist/, checked
# make ios-test  the app of ios/, as far as it can be checked without a Mac (installs Debian's Swift where there is none)
# Another Python for any of them: make PYTHON=python3.12 VENV=.venv-3.12 test
# make bench   training speed beside a plain loop and Keras (about 10 minutes, installs TensorFlow in .venv-keras)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# The demo court: every figure in the README was measured with these.
DEMO := --train 900 --test 300 --seed 7 --out data/demo

.PHONY: demo test ios-test lint bench release clean

# An editable install with exact versions; done again only when one of these two files has changed.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$($(PYTHON) --version 2>&1) found, Python 3.11 or newer needed: make PYTHON=python3.12 …"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip setuptools
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --group dev --editable '.[all]'
	@touch $@

demo: $(VENV)/installed
	$(BIN)/bball demo $(DEMO)
	$(BIN)/bball fit --config demo
	$(BIN)/bball evaluate
	$(BIN)/bball export

# With compiled modules, whatever the environment says: each of the hundreds of processes would compile them again.
test: $(VENV)/installed
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal

ios-test:
	ios/test.sh

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# TensorFlow in a place of its own: it must not decide which numpy or protobuf the project gets.
.venv-keras/installed: benchmarks/keras-constraints.txt
	$(PYTHON) -m venv .venv-keras
	.venv-keras/bin/python -m pip install --quiet --constraint benchmarks/keras-constraints.txt keras tensorflow-cpu
	@touch $@

bench: $(VENV)/installed .venv-keras/installed
	$(BIN)/python benchmarks/train_speed.py

# Built with the setuptools of the environment: nothing is downloaded, and the pinned version is the one that is used.
release: $(VENV)/installed
	rm -rf build dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

clean:
	rm -rf $(VENV) .venv-keras build dist *.egg-info
