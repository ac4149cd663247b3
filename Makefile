PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check clean

# The main job on the embedded data set: train, evaluate, tables and figures.
demo: $(VENV)/installed
	$(BIN)/kerascnn run adam-lr0.001 --dataset shapes --epochs 5

test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# torch first: what else asks for it is then content with this version.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) dist .pytest_cache .ruff_cache .hypothesis
