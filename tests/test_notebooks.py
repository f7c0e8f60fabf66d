"""The notebooks as they are stored: run from top to bottom, clean, small, honest.

nbval, which `make test` runs after these tests, checks that their cells run, and that those
marked NBVAL_CHECK_OUTPUT still print what is stored. Pairs are tested in tests/tools/.
"""

import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import s10
from s10.recipe import Recipe
from s10.speed.recipes import FastRecipe, LaptopRecipe

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NAMES = [
    "00_building_blocks", "01_lr_range_test", "02_one_cycle", "03_train_24_epochs",
    "04_five_submissions", "05_fast_on_a_laptop",
]  # fmt: skip
RECIPES = {cls.__name__: cls for cls in (Recipe, FastRecipe, LaptopRecipe)}
TIMES, TIMES_AVX2 = (
    json.loads((ROOT / "results" / f"{name}.json").read_text())
    for name in ("notebooks", "notebooks-avx2")
)

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Notebook 0 trains nothing on CIFAR-10.
each_on_cifar10 = pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def texts(path):
    """All text in the outputs."""
    for cell in code_cells(path):
        for output in cell.outputs:
            if output.output_type == "stream":
                yield output.text
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield content


def test_there_are_six_notebooks():
    assert [path.stem for path in NOTEBOOKS] == NAMES


@each
def test_it_was_run_from_top_to_bottom(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each
def test_it_shows_no_error_no_warning_and_no_private_path(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output
    shown = "\n".join(texts(path))
    for word in ("/work/", "/root/", "/tmp/", "/home/", "Warning", "Traceback", "site-packages"):
        assert word not in shown
    assert "widgets" not in nbformat.read(path, 4).metadata
    assert "widget-view" not in path.read_text()


@each_on_cifar10
def test_it_shows_real_images(path):
    shown = "\n".join(texts(path))
    assert "data       cifar10: 50,000 training and 10,000 test images" in shown


@each
def test_it_shows_figures_and_stays_small(path):
    figures = [
        output
        for cell in code_cells(path)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(figures) >= 4
    assert path.stat().st_size < 1_500_000


@each_on_cifar10
def test_its_own_numbers_were_normal(path):
    """The stored run is one that the notebook itself calls normal."""
    shown = "\n".join(texts(path))
    words = {
        "01": "yours is within a factor of two",
        "02": "one cycle on cifar10: yours",
        "03": "yours is normal",
        "04": "the recipe as it is on cifar10: yours",
        "05": "yours is normal",
    }[path.stem[:2]]
    assert words in shown
    for bad in ("what is usual", "yours is below", "yours is above", "yours is smaller"):
        assert bad not in shown


@each
def test_strictly_compared_cells_have_something_to_compare(path):
    strict = [
        cell
        for cell in code_cells(path)
        if "NBVAL_CHECK_OUTPUT" in cell.source
        or "nbval-check-output" in cell.metadata.get("tags", ())
    ]
    assert strict
    assert all(cell.outputs for cell in strict)


@each_on_cifar10
def test_the_setup_is_the_same_in_each_and_short(path):
    def tagged(of):
        cells = code_cells(of)[:2]
        assert [cell.metadata.tags for cell in cells] == [["install"], ["setup"]]
        return [cell.source for cell in cells]

    assert tagged(path) == tagged(NOTEBOOKS[1])
    assert "!pip install -q git+https://" in tagged(path)[0]
    assert max(len(source.splitlines()) for source in tagged(path)) <= 6


def test_notebook_0_needs_no_data_and_installs_as_the_others_do():
    first, other = (code_cells(path)[0].source.splitlines() for path in NOTEBOOKS[:2])
    assert first[:-1] == other[:-1]
    assert other[-1].startswith(first[-1])
    assert "setup()" not in NOTEBOOKS[0].read_text()


def test_what_notebook_0_says_is_true_for_every_stored_seed():
    shown = re.sub(" +", " ", "\n".join(texts(NOTEBOOKS[0])))

    def row(start):
        (line,) = re.findall(rf"^ ?{start}(.*)$", shown, re.M)
        return np.array(re.findall(r"\d+(?:\.\d+)?(?:e-\d+)?", line), dtype=float)

    for seed in range(3):
        spreads = row(f"seed {seed} ")
        assert spreads[0] == pytest.approx(1, abs=0.15)
        assert (np.diff(spreads) < 0).all()
    # Momentum lengthens SGD's steps by 1 / (1 − β); β1 does not lengthen Adam's.
    for beta, length in (("0.85", 6.7), ("0.95", 20)):
        assert row(f"always 1 SGD {beta} ") == pytest.approx(length, abs=0.05)
        assert row(f"always 1 Adam {beta} ") == pytest.approx(1, abs=1e-3)
    for beta, length in (("0.85", 1.5), ("0.95", 2.5)):
        assert row(f"noise around 0 SGD {beta} ") == pytest.approx(length, abs=0.06)
    short, long = (row(f"noise around 0 Adam {beta} ") for beta in ("0.95", "0.85"))
    assert (short < long).all()
    # L2 in Adam depends on the gradient's size, decoupled decay does not.
    for seed in range(3):
        end = "mean weight at the end: "
        assert row(f"Adam, decoupled seed {seed} {end}") == pytest.approx(0.74, abs=0.01)
        large, small = row(f"Adam, L2 seed {seed} {end}")
        assert large > 0.85 > 0.05 > small
        first, fifth, tenth = row(rf"without batch norm seed {seed} std / mean \|x\|:")[1::2]
        assert first / fifth == pytest.approx(10, abs=2.5)
        assert first > 600 * tenth
        first, fifth, tenth = row(rf"with batch norm seed {seed} std / mean \|x\|:")[1::2]
        assert fifth == pytest.approx(first, rel=0.1)
        assert tenth == pytest.approx(first, rel=0.1)
    # What model.train() does at test time.
    right = row(r"eval (?=\d)")
    less = right - row("train, mixed")
    assert right.min() >= 96
    assert less.min() >= 1
    assert less.max() <= 4
    assert row("train, sorted") == pytest.approx(10, abs=2)
    assert (row("eval afterwards") < right).all()
    # The gradient of the first layer, divided by that of the last.
    plain, residual, plain_norm, residual_norm = (
        row(f"{norm} batch norm {kind} first layer's / last layer's gradient, by seed:")
        for norm in ("without", "with")
        for kind in ("plain", "residual")
    )
    assert 0.95e-6 <= plain.min() <= plain.max() <= 3e-6
    assert 1 / 6.5 <= residual.min() <= residual.max() <= 0.35
    assert plain_norm == pytest.approx(10, abs=1.5)
    assert 3 <= residual_norm.min() <= residual_norm.max() <= 7.5
    assert (residual_norm < plain_norm).all()


def test_the_gradients_of_notebook_0_that_vanish_are_below_adams_epsilon():
    text = NOTEBOOKS[0].with_suffix(".py").read_text()
    assert "its ε of 10⁻⁸, ten times a single weight's gradient there and more" in text
    scope = {"s10": s10, "torch": torch, "nn": nn, "F": F}
    for start in ("shapes = ", r"class Stack\("):
        exec(re.search(rf"^{start}.*?(?=^# %%)", text, re.M | re.S)[0], scope)
    for seed in range(3):
        torch.manual_seed(seed)
        model = scope["Stack"](16, shortcuts=False, norm=False)
        F.cross_entropy(model(scope["images"]), scope["labels"]).backward()
        gradient = model.layers[0][0].weight.grad
        assert gradient.numel() == 2304
        assert gradient.abs().mean() < 1e-9


def test_notebook_0_ends_with_a_recap_and_eight_questions():
    text = NOTEBOOKS[0].with_suffix(".py").read_text()
    recap, questions = text.split("# ## Recap")[1].split("# ## Questions")
    assert re.findall(r"^# (\d)\. ", recap, re.M) == list("12345")
    numbers = re.findall(r"^# <details><summary>(\d)\. .*\?.*</summary>\n#\n# \S", questions, re.M)
    assert numbers == list("12345678")


@each
def test_it_asks_for_a_prediction_and_compares(path):
    source = path.with_suffix(".py").read_text()
    guesses = re.findall(r"^(my_\w+) = None", source, re.M)
    assert guesses
    for guess in guesses:
        assert len(re.findall(rf"\b{guess}\b", source)) >= 2
    if path in NOTEBOOKS[1:]:
        assert "Is my number normal?" in source
    assert source.index("**Time**") < source.index("## Set-up")


@each
def test_the_answer_to_a_prediction_is_stored_collapsed(path):
    cells = code_cells(path)
    guesses = {name for cell in cells for name in re.findall(r"^(my_\w+) = ", cell.source, re.M)}
    answers = [c for c in cells if re.search(rf"\b({'|'.join(guesses)})\b(?! = )", c.source)]
    assert answers
    for cell in answers:
        assert cell.metadata.jupyter.outputs_hidden, cell.source
        assert cell.metadata.collapsed, cell.source


@each
def test_the_minutes_in_its_text_were_measured(path):
    found = TIMES[path.stem]
    assert re.fullmatch("[0-9a-f]{40}", found["commit"])
    text = re.sub(r"\n# ", " ", path.with_suffix(".py").read_text())
    minutes = found["seconds"] / 60
    without = TIMES_AVX2[path.stem]  # bf16 instructions
    if "less than a minute on 2 CPU cores (measured)" in text:
        assert max(minutes, without["seconds"] / 60) < 1
        return
    with_bf16, other = re.search(
        r"about (\d+) minutes on 2 CPU cores with bf16 instructions, about (\d+) without "
        r"\(both measured", text
    ).groups()  # fmt: skip
    assert int(with_bf16) == pytest.approx(minutes, abs=0.75)
    assert int(other) == pytest.approx(without["seconds"] / 60, rel=0.1)


def test_both_kinds_of_machine_were_measured():
    assert {found["precision"] for found in TIMES.values()} == {"bf16"}
    assert {found["precision"] for found in TIMES_AVX2.values()} == {"fp32"}
    assert set(TIMES_AVX2) == set(TIMES)


@each
def test_lecturers_are_told_the_same_minutes(path):
    text = re.sub(r"\n# ", " ", path.with_suffix(".py").read_text())
    cpu = re.search(r"(less than a minute|about \d+)(?: minutes)? on 2 CPU cores", text)[1]
    cpu += "".join(re.findall(r" bf16 instructions(, about \d+) without", text))
    gpu = re.search(r"on Colab's T4 GPU (about \d+)", text)
    exercises = re.search(r"Add (half an hour|an hour) for the exercises", text)[1]
    cells = [path.stem[1], cpu, gpu[1] if gpu else "no GPU needed", exercises]
    assert f"| {' | '.join(cells)} |" in (ROOT / "TEACHING.md").read_text()


@each
def test_the_code_that_it_shows_is_the_code_as_it_stands(path):
    shown = r", from (s10/\S+\.py)</summary>\n\n```python\n(.*?)\n```\n\n</details>"
    for text in texts(path):
        for file, code in re.findall(shown, text, re.S):
            assert code in (ROOT / file).read_text(), f"{file} has changed; run `make notebooks`"


@each
def test_a_recipe_that_it_prints_has_the_current_fields(path):
    for text in texts(path):
        if text.startswith("{") and '"lr_max"' in text:
            values = json.loads(text)
            assert RECIPES[values["class"]].from_dict(values).to_dict() == values
