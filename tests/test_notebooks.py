"""The notebooks as they are stored: paired, run from top to bottom, clean, small, honest.

That their cells run, and that those marked NBVAL_CHECK_OUTPUT give what is
stored, is tested by nbval: `make test` runs it after these.
"""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from s10 import Recipe

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
NAMES = [
    "01_lr_range_test", "02_one_cycle", "03_train_24_epochs", "04_five_submissions",
    "05_fast_on_a_laptop",
]  # fmt: skip
TIMES = json.loads((ROOT / "results" / "notebooks.json").read_text())

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def script(name):
    """A module from .ci/, where they import one another."""
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def code_cells(path):
    return [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]


def texts(path):
    """All text that the outputs show."""
    for cell in code_cells(path):
        for output in cell.outputs:
            if output.output_type == "stream":
                yield output.text
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield content


def check(name, *arguments):
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / name, "--check", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_there_are_five():
    assert [path.stem for path in NOTEBOOKS] == NAMES


def test_each_is_what_its_script_says():
    done = check("pairs.py")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("change", ["script", "notebook", "added", "deleted", "lonely"])
def test_a_difference_is_noticed(tmp_path, change):
    for suffix in (".py", ".ipynb"):
        shutil.copy(ROOT / "notebooks" / f"{NAMES[0]}{suffix}", tmp_path)
    assert check("pairs.py", tmp_path).returncode == 0
    text, notebook = tmp_path / f"{NAMES[0]}.py", tmp_path / f"{NAMES[0]}.ipynb"
    if change == "script":
        text.write_text(text.read_text().replace("lr_low=1e-6", "lr_low=1e-5"))
    elif change == "lonely":
        text.unlink()
    else:
        content = nbformat.read(notebook, 4)
        if change == "notebook":
            content.cells[5].source += " "
        elif change == "added":
            content.cells.append(nbformat.v4.new_code_cell("1 + 1"))
        else:
            del content.cells[-1]
        nbformat.write(content, notebook)
    done = check("pairs.py", tmp_path)
    assert done.returncode == 1
    assert NAMES[0] in done.stdout


def test_an_update_keeps_the_outputs_of_what_did_not_change(tmp_path):
    for suffix in (".py", ".ipynb"):
        shutil.copy(ROOT / "notebooks" / f"{NAMES[1]}{suffix}", tmp_path)
    pairs = script("pairs")
    text, notebook = tmp_path / f"{NAMES[1]}.py", tmp_path / f"{NAMES[1]}.ipynb"
    before = notebook.read_text()
    pairs.update(text, notebook)
    assert notebook.read_text() == before
    text.write_text(text.read_text().replace("my_peak = None", "my_peak = 7"))
    pairs.update(text, notebook)
    old, new = code_cells(ROOT / "notebooks" / notebook.name), code_cells(notebook)
    changed = [number for number, cell in enumerate(new) if cell.source != old[number].source]
    assert len(changed) == 1
    assert all(
        cell.outputs == old[number].outputs
        for number, cell in enumerate(new)
        if number not in changed
    )
    assert check("pairs.py", tmp_path).returncode == 0


@each
def test_it_was_run_from_top_to_bottom(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@each
def test_it_shows_no_error_no_warning_and_nobodys_folders(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output
    shown = "\n".join(texts(path))
    for word in ("/work/", "/root/", "/tmp/", "/home/", "Warning", "Traceback", "site-packages"):
        assert word not in shown
    assert "widgets" not in nbformat.read(path, 4).metadata
    assert "widget-view" not in path.read_text()


@each
def test_it_shows_real_images_and_pictures_and_stays_small(path):
    shown = "\n".join(texts(path))
    assert "data       cifar10: 50,000 training and 10,000 test images" in shown
    pictures = [
        output
        for cell in code_cells(path)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) >= 4
    assert path.stat().st_size < 1_500_000


@each
def test_its_own_numbers_were_normal(path):
    """What is stored is a run that the notebook itself calls normal."""
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
    strict = [cell for cell in code_cells(path) if "NBVAL_CHECK_OUTPUT" in cell.source]
    assert strict
    assert all(cell.outputs for cell in strict)


@each
def test_the_set_up_is_the_same_in_each(path):
    def setup(of):
        (cell,) = [c for c in code_cells(of) if "setup" in c.metadata.get("tags", ())]
        return cell.source

    assert setup(path) == setup(NOTEBOOKS[0])
    assert "!pip install -q git+https://" in setup(path)


@each
def test_it_asks_for_a_prediction_and_compares(path):
    source = path.with_suffix(".py").read_text()
    guesses = re.findall(r"^(my_\w+) = None", source, re.M)
    assert guesses
    for guess in guesses:
        assert len(re.findall(rf"\b{guess}\b", source)) >= 2
    assert "Is my number normal?" in source
    assert source.index("**Time**") < source.index("## Set-up")


@each
def test_the_minutes_in_its_text_were_measured(path):
    found = TIMES[path.stem]
    assert re.fullmatch("[0-9a-f]{40}", found["commit"])
    text = re.sub(r"\n# ", " ", path.with_suffix(".py").read_text())
    ((minutes, shapes),) = re.findall(
        r"about (\d+) minutes on 2 CPU cores \(measured.*?, with drawn shapes about (\d+);", text
    )
    assert int(minutes) == pytest.approx(found["seconds"] / 60, abs=0.75)
    assert int(shapes) == pytest.approx(found["seconds_on_shapes"] / 60, abs=0.75)


def test_stored_outputs_are_cleaned():
    store = script("store_notebooks")
    new = nbformat.v4.new_output
    kept = [
        store.kept(store.clean(output))
        for output in (
            new("stream", name="stdout", text="\repoch 1: 10%|# | 1/10 [00:00<00:09, 1.0batch/s]"),
            new("stream", name="stderr", text="UserWarning: look"),
            new("stream", name="stdout", text="epoch 1/24"),
            new("display_data", data={store.WIDGET: {}, "text/plain": "VBox"}),
            new("display_data", data={"text/plain": "a picture"}),
        )
    ]
    assert kept == [False, True, True, False, True]
    parts = [new("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    assert [output.text for output in store.joined(parts)] == ["a\nb\n"]


def test_a_warning_beside_a_progress_bar_is_not_swept_away_with_it():
    import io
    import warnings

    from tqdm import tqdm

    store = script("store_notebooks")
    drawn = io.StringIO()
    for number in tqdm(range(3), "epoch 1", file=drawn, leave=False, mininterval=0):
        if number == 1:
            text = warnings.formatwarning("look", UserWarning, "here.py", 1, "look()")
            drawn.write(text)
    output = store.clean(nbformat.v4.new_output("stream", name="stderr", text=drawn.getvalue()))
    assert output.text.rstrip() == text.rstrip()


def test_what_is_printed_behind_a_bar_stays(capsys):
    from tqdm import tqdm

    for _ in tqdm(range(3), "epoch 1/2, 5 s left", file=sys.stdout, leave=False, mininterval=0):
        pass
    print("epoch  1/2  LR 0.01 [and brackets] | 1.0 s")
    drawn = capsys.readouterr().out
    assert "100%|" in drawn
    output = script("store_notebooks").clean(
        nbformat.v4.new_output("stream", name="stdout", text=drawn)
    )
    assert output.text == "epoch  1/2  LR 0.01 [and brackets] | 1.0 s\n"


def test_a_mistyped_notebook_is_named():
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "store_notebooks.py", "01_lr_range"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.strip() == f"no notebook 01_lr_range: there are {', '.join(NAMES)}"


def test_a_stored_picture_is_smaller_and_looks_the_same():
    import base64
    import io

    import numpy as np
    from PIL import Image

    from s10 import plot_schedule

    store = script("store_notebooks")
    rates = np.linspace(0.1, 1, 980)
    before = base64.b64encode(plot_schedule(rates, rates, 98)._repr_png_()).decode()
    after = store.smaller(before)
    assert len(after) < len(before)
    pixels = [
        np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=int)
        for data in (before, after)
    ]
    assert np.abs(pixels[0] - pixels[1]).mean() < 1


@each
def test_the_code_that_it_shows_is_the_code_as_it_stands(path):
    for text in texts(path):
        for file, code in re.findall(r"from `(s10/\S+\.py)`:\n\n```python\n(.*?)\n```", text, re.S):
            assert code in (ROOT / file).read_text(), f"{file} has changed; run `make notebooks`"


@each
def test_a_recipe_that_it_prints_has_all_the_fields_of_today(path):
    for text in texts(path):
        if text.startswith("{") and '"network"' in text:
            assert Recipe.from_dict(json.loads(text)).to_json() == text.rstrip("\n") + "\n"
