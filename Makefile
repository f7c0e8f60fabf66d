# Everything runs in .venv, which `make` creates and updates when the dependencies change.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
DEMO := s10 train --data shapes --width 8 --epochs 14 --set batch_size=64 --out runs/demo --overwrite
# A process for each core, and a thread for each process; a file's tests stay together.
TEST := OMP_NUM_THREADS=1 $(BIN)/pytest --quiet --numprocesses=auto --dist=loadfile
SMOKE := S10_SMOKE=1 $(TEST) --nbval-lax --nbval-current-env \
	--nbval-cell-timeout=1800 notebooks

.PHONY: help demo lab test test-all lint format bench readme figures pairs links notebooks \
	handout site colab-check clean

## list the targets
help:
	@awk '/^## / {text = substr($$0, 4)} \
		/^[a-z-]+:/ {if (text) printf "make %-12s %s\n", substr($$1, 1, length($$1) - 1), text; text = ""}' \
		Makefile

$(READY): requirements.txt pyproject.toml
	@echo "setting up $(VENV): the first time takes a few minutes, mostly for PyTorch"
	$(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) --editable '.[dev]'
	touch $(READY)

## train a small network on the drawn shapes, in less than a minute
demo: $(READY)
	$(BIN)/$(DEMO)

## open the notebooks in JupyterLab
lab: $(READY)
	$(PIP_INSTALL) --editable '.[notebooks]'
	$(BIN)/jupyter lab --notebook-dir=notebooks

## run the tests, and all cells of the notebooks at a small size
test: $(READY)
	$(TEST)
	$(SMOKE)

## the same with the tests marked `slow`
test-all: $(READY)
	$(TEST) -m ""
	$(SMOKE)

## check style and common mistakes
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## fix style where ruff can
format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

## measure images per second: the training loop and the augmentations
bench: $(READY)
	$(BIN)/python benchmarks/throughput.py

## copy the numbers in results/ into README.md and the notebooks' reference values
readme: $(READY)
	$(BIN)/python tools/update_readme.py
	$(BIN)/python tools/update_reference.py

## draw the figures in images/
figures: $(READY)
	$(BIN)/python -m s10.course.figures images
	$(BIN)/python benchmarks/draw_time_to_accuracy.py images/accuracy_against_seconds.png

## make each notebook (.ipynb) reflect the .py beside it
pairs: $(READY)
	$(BIN)/python tools/pairs.py

## make README, badges and notebooks reflect the address in pyproject.toml
links: $(READY)
	$(BIN)/python tools/links.py

## run the notebooks on CIFAR-10 and store their outputs (half an hour on 2 cores)
notebooks: $(READY)
	$(BIN)/python tools/store_notebooks.py

## write the notebooks for students, without solutions, into build/handout
handout: $(READY)
	$(BIN)/python tools/handout.py

## build the course as a web page, in build/site
site: $(READY)
	$(PIP_INSTALL) --editable '.[site]'
	$(BIN)/sphinx-build -qE -c docs -d build/doctrees . build/site
	@echo "open build/site/index.html"

## check that installing s10 leaves Colab's packages alone
colab-check:
	tools/colab_check.sh

## remove .venv, caches and build files
clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache .hypothesis
