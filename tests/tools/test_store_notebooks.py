"""`tools/store_notebooks.py` keeps what a learner should see, and nothing else."""

import base64
import importlib
import io
import sys
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.py"))
new_output = nbformat.v4.new_output


@pytest.fixture(scope="module")
def store():
    """The script as a module; it imports its neighbor in tools/."""
    sys.path.insert(0, str(ROOT / "tools"))
    yield importlib.import_module("store_notebooks")
    sys.path.pop(0)


@pytest.mark.parametrize(
    ("output", "stored"),
    [
        (new_output("stream", name="stdout", text="\repoch 1: 10%|# | 1/10 [0:00<0:09]"), False),
        (new_output("stream", name="stderr", text="UserWarning: look"), True),
        (new_output("stream", name="stdout", text="epoch 1/24"), True),
        (
            new_output(
                "display_data",
                data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": "VBox"},
            ),
            False,
        ),
        (new_output("display_data", data={"text/plain": "a figure"}), True),
    ],
    ids=["bar", "warning", "text", "widget", "figure"],
)
def test_bars_and_widgets_are_left_out(store, output, stored):
    assert store.is_stored(store.clean(output)) is stored


def test_adjacent_streams_are_merged(store):
    parts = [
        new_output("stream", name=name, text=text)
        for name, text in (("stdout", "a\n"), ("stdout", "b\n"), ("stderr", "c\n"))
    ]
    assert [output.text for output in store.merge_streams(parts)] == ["a\nb\n", "c\n"]


def test_a_warning_beside_a_progress_bar_is_kept(store):
    drawn = io.StringIO()
    for number in tqdm(range(3), "epoch 1", file=drawn, leave=False, mininterval=0):
        if number == 1:
            text = warnings.formatwarning("look", UserWarning, "here.py", 1, "look()")
            drawn.write(text)
    output = store.clean(new_output("stream", name="stderr", text=drawn.getvalue()))
    assert output.text.rstrip() == text.rstrip()


def test_text_after_a_progress_bar_is_kept(store):
    drawn = io.StringIO()
    for _ in tqdm(range(3), "epoch 1/2, 5 s left", file=drawn, leave=False, mininterval=0):
        pass
    drawn.write("epoch  1/2  LR 0.01 [and brackets] | 1.0 s\n")
    assert "100%|" in drawn.getvalue()
    output = store.clean(new_output("stream", name="stdout", text=drawn.getvalue()))
    assert output.text == "epoch  1/2  LR 0.01 [and brackets] | 1.0 s\n"


def test_a_compressed_figure_looks_the_same(store):
    figure, buffer = Figure(), io.BytesIO()
    axes = figure.subplots()
    for power in range(1, 6):
        axes.plot(np.linspace(0, 1, 100) ** power)
    figure.savefig(buffer)
    before = base64.b64encode(buffer.getvalue()).decode()
    after = store.compress(before)
    assert len(after) < len(before)
    pixels = [
        np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), dtype=int)
        for data in (before, after)
    ]
    assert np.abs(pixels[0] - pixels[1]).mean() < 1


def test_notebooks_are_found_by_name(store):
    assert [path.stem for path in store.find_scripts([])] == NAMES
    assert [path.stem for path in store.find_scripts(NAMES[1:2])] == NAMES[1:2]
    with pytest.raises(SystemExit, match=f"no notebook 01_lr_range: there are {NAMES[0]}, "):
        store.find_scripts(["01_lr_range"])
