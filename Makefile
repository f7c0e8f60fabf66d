# Everything runs in .venv, which `make` sets up by itself and renews when the
# dependencies change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint format bench readme figures lab pairs links notebooks colab-check clean

$(READY): requirements.txt pyproject.toml
	@echo "setting up $(VENV): the first time takes a few minutes, most of them for PyTorch"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

## the whole main job on the embedded data set: 24 epochs, about a minute
demo: $(READY)
	$(BIN)/s10 train --data shapes --width 16 --out runs/demo --overwrite

## all tests, and every cell of the notebooks on small sizes
test: $(READY)
	$(BIN)/pytest --quiet
	S10_SMOKE=1 $(BIN)/pytest --quiet --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks

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

## write the numbers of results/ into README.md and the notebooks' bands
readme: $(READY)
	$(BIN)/python results/update_readme.py
	$(BIN)/python results/update_reference.py

## the drawn explanations of the notebooks, and accuracy against seconds, into images/
figures: $(READY)
	$(BIN)/python -m s10.figures images
	$(BIN)/python benchmarks/draw_time_to_accuracy.py images/accuracy_against_seconds.png

## JupyterLab with the notebooks
lab: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[notebooks]'
	$(BIN)/jupyter lab --notebook-dir=notebooks

## notebooks/*.py into the .ipynb beside them
pairs: $(READY)
	$(BIN)/python .ci/pairs.py

## the repository's address (pyproject.toml) into README, badges and notebooks
links: $(READY)
	$(BIN)/python .ci/links.py

## run the notebooks on real data and store their outputs (a quarter of an hour on 2 cores)
notebooks: $(READY)
	$(BIN)/python .ci/store_notebooks.py

## would installing s10 leave Colab's packages alone?
colab-check:
	.ci/colab_check.sh

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
