"""The handout: what students get has no solutions, and what they make of it can be graded."""

import importlib.util
import itertools
import re
import sys
from pathlib import Path

import nbformat
import pytest

from s10.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
# Lines of solutions that stand elsewhere in the notebooks, too.
COMMON = {
    "import math", "import numpy as np", "super().__init__()", "for g in gradients:",
    "return images", ")", "}",
}  # fmt: skip


@pytest.fixture(scope="module")
def handout(tmp_path_factory):
    """The folder that `make handout` writes."""
    sys.path.insert(0, str(ROOT / "tools"))  # It imports its neighbor pairs.py.
    try:
        spec = importlib.util.spec_from_file_location("handout", ROOT / "tools" / "handout.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp("handout")
    module.main([str(folder)])
    return folder


def solutions(path):
    """Tag → code of the solution that follows its exercise."""
    notebook, found = nbformat.read(path, 4).cells, {}
    for cell, after in itertools.pairwise(notebook):
        for tag in cell.metadata.get("tags", ()):
            if tag.startswith("exercise-"):
                assert after.source.startswith("<details><summary>Solution</summary>")
                found[tag] = re.search(r"```python\n(.*?)```", after.source, re.S)[1]
    return found


def solve(source, target, solutions):
    """Write the notebook with these solutions in the cells of its exercises."""
    notebook = nbformat.read(source, 4)
    for cell in notebook.cells:
        for tag in set(cell.metadata.get("tags", ())) & set(solutions):
            cell.source = solutions[tag] + "\n" + cell.source.splitlines()[-1]
    target.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, target)
    return notebook


def shown(output):
    """The text of an output."""
    values = output.get("data", {"text/plain": output.get("text", "")})
    return "\n".join(str(values[kind]) for kind in values if kind.startswith("text/"))


def test_no_code_of_a_solution_is_left(handout):
    assert [path.name for path in sorted(handout.iterdir())] == [path.name for path in NOTEBOOKS]
    for path in NOTEBOOKS:
        cells = nbformat.read(handout / path.name, 4).cells
        given = {tag: cell.source for cell in cells for tag in cell.metadata.get("tags", ())}
        outputs = [shown(output) for cell in cells for output in cell.get("outputs", ())]
        left = "\n".join([cell.source for cell in cells] + outputs)
        lines = {line.strip() for line in left.splitlines()}
        assert "Solution" not in left
        assert len(solutions(path)) >= 3
        for tag, code in solutions(path).items():
            secret = {line.strip() for line in code.splitlines()} - {""} - COMMON
            secret -= {line.strip() for line in given[tag].splitlines()}
            assert secret
            assert not secret & lines
            assert not [line for line in secret if len(line) > 25 and line in left]


def test_everything_else_is_there(handout):
    for path in NOTEBOOKS:
        cells = {cell.source: cell for cell in nbformat.read(handout / path.name, 4).cells}
        for cell in nbformat.read(path, 4).cells[1:]:
            tags = cell.metadata.get("tags", ())
            if "solution" in tags or cell.source.startswith("<details><summary>Solution"):
                continue
            there = cells[cell.source]
            assert there.metadata.get("tags", ()) == tags
            if cell.cell_type == "code":
                hidden = cell.metadata.get("jupyter", {}).get("outputs_hidden")
                assert there.outputs == ([] if hidden else cell.outputs)
                assert cell.outputs or not hidden
        title = next(iter(cells))
        assert title.startswith("# ")
        assert "colab" not in title.split("**You need**")[0]


def grades(folder, capsys, *options):
    """Exit status of `s10 grade`, lines printed, table."""
    out = folder.parent / "grades.csv"
    status = main(["grade", str(folder), "--out", str(out), "--overwrite", *options])
    return status, capsys.readouterr().out.splitlines(), out.read_text(encoding="utf-8-sig")


def test_solved_it_has_all_points_and_blank_none(handout, tmp_path, capsys):
    """And files of one name in two folders, one of 50 MB, and one without a kernel are graded."""
    name, folder = "00_building_blocks.ipynb", tmp_path / "class"
    folder.mkdir()
    notebook = solve(handout / name, folder / "Anna" / "hw.ipynb", solutions(NOTEBOOKS[0]))
    del notebook.metadata["kernelspec"]
    notebook.cells[-1].source += "x" * 50_000_000
    nbformat.write(notebook, folder / "Anna" / "hw.ipynb")
    notebook = solve(handout / name, folder / "Bob" / "hw.ipynb", {})
    notebook.metadata.kernelspec = {"name": "no-such-kernel", "display_name": "?"}
    nbformat.write(notebook, folder / "Bob" / "hw.ipynb")
    status, lines, table = grades(folder, capsys, "--points", "0.3=2.5")
    assert status == 0
    assert lines[:2] == [
        "Anna/hw.ipynb: notebook 0, 4.5 of 4.5 points",
        "Bob/hw.ipynb: notebook 0, 0 of 4.5 points, without 0.1, 0.2, 0.3",
    ]
    assert table.splitlines()[:3] == [
        "file,notebook,0.1,0.2,0.3,score,max_score,feedback",
        "Anna/hw.ipynb,0,1,1,2.5,4.5,4.5,",
        'Bob/hw.ipynb,0,0,0,0,0,4.5,"0.1: not filled in yet: the function returns nothing (is '
        "there a return?).",
    ]


@pytest.mark.slow  # 12 kernels; notebook 0 is tested above
def test_all_six_solved_have_all_points_and_blank_none(handout, tmp_path, capsys):
    for path in NOTEBOOKS:
        solve(handout / path.name, tmp_path / "class" / path.name, solutions(path))
    for folder, solved in ((tmp_path / "class", True), (handout, False)):
        status, lines, _ = grades(folder, capsys)
        assert status == 0
        points = [re.search(r"(\d+) of (\d+) points", line).groups() for line in lines[:-1]]
        assert sum(int(all_) for _, all_ in points) == 30
        assert all(score == (all_ if solved else "0") for score, all_ in points)
