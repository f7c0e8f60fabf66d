# Everything runs in .venv, which `make` sets up by itself and renews when the
# dependencies change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint format bench readme clean

$(READY): requirements.txt pyproject.toml
	@echo "setting up $(VENV): the first time takes a few minutes, most of them for PyTorch"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

## the whole main job on the embedded data set: 24 epochs, about a minute
demo: $(READY)
	$(BIN)/s10 train --data shapes --width 16 --out runs/demo --overwrite

## all tests
test: $(READY)
	$(BIN)/pytest --quiet

## style and common mistakes
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## images per second: the training loop against a bare one, the augmentations
bench: $(READY)
	$(BIN)/python benchmarks/throughput.py

## write the numbers of results/ into README.md
readme: $(READY)
	$(BIN)/python results/update_readme.py

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
