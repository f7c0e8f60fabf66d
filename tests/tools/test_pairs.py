"""Each notebook reflects the .py beside it, and `tools/pairs.py` notices when it does not."""

import importlib.util
import shutil
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]

spec = importlib.util.spec_from_file_location("pairs", ROOT / "tools" / "pairs.py")
pairs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pairs)

SCRIPT = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A lesson

# %% tags=["setup"]
# !pip install -q s10
answer = 41

# %% jupyter={"source_hidden": true}
print(answer)
"""


@pytest.fixture
def pair(tmp_path):
    """A script and its notebook, whose last cell has an output."""
    script, notebook = tmp_path / "1_lesson.py", tmp_path / "1_lesson.ipynb"
    script.write_text(SCRIPT)
    pairs.update(script, notebook)
    content = nbformat.read(notebook, 4)
    content.cells[2].outputs = [nbformat.v4.new_output("stream", name="stdout", text="41\n")]
    content.cells[2].execution_count = 2
    pairs.write(notebook, content.cells)
    return script, notebook


def check(folder):
    """The exit status."""
    return pairs.main(["--check", str(folder)])


def test_each_notebook_reflects_its_script(capsys):
    assert pairs.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("change", ["script", "notebook", "added", "deleted", "tag", "lonely"])
def test_a_difference_is_noticed(pair, change, capsys):
    script, notebook = pair
    assert check(script.parent) == 0
    content = nbformat.read(notebook, 4)
    if change == "script":
        script.write_text(SCRIPT.replace("41", "42"))
    elif change == "lonely":
        script.unlink()
    elif change == "notebook":
        content.cells[1].source += " "
    elif change == "added":
        content.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    elif change == "tag":
        content.cells[1].metadata.tags = []
    else:
        del content.cells[-1]
    nbformat.write(content, notebook)
    assert check(script.parent) == 1
    assert notebook.name in capsys.readouterr().out


def test_an_update_keeps_the_outputs_of_unchanged_cells(pair):
    script, notebook = pair
    before = notebook.read_text()
    pairs.update(script, notebook)
    assert notebook.read_text() == before

    script.write_text(SCRIPT.replace("41", "42"))
    pairs.update(script, notebook)
    _, setup, last = nbformat.read(notebook, 4).cells
    assert setup.source == "!pip install -q s10\nanswer = 42"
    assert last.outputs[0].text == "41\n"
    assert last.metadata == {"jupyter": {"source_hidden": True}}

    script.write_text(SCRIPT.replace("print(answer)", "print(answer + 1)"))
    pairs.update(script, notebook)
    assert nbformat.read(notebook, 4).cells[2].outputs == []
    assert check(script.parent) == 0


def test_an_output_that_answers_a_question_is_stored_collapsed(pair):
    script, notebook = pair
    script.write_text(SCRIPT.replace("source_hidden", "outputs_hidden"))
    pairs.update(script, notebook)
    last = nbformat.read(notebook, 4).cells[2]
    assert last.metadata == {"jupyter": {"outputs_hidden": True}, "collapsed": True}
    assert last.outputs[0].text == "41\n"
    assert check(script.parent) == 0
    pairs.write(notebook, nbformat.read(notebook, 4).cells)
    assert check(script.parent) == 0


def test_an_update_of_a_stored_notebook_changes_nothing(tmp_path):
    script = min((ROOT / "notebooks").glob("[0-9]*.py"))
    notebook = script.with_suffix(".ipynb")
    copy = Path(shutil.copy(notebook, tmp_path))
    pairs.update(script, copy)
    assert copy.read_text() == notebook.read_text()
