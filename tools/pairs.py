"""Make each notebook reflect the .py (percent format) beside it, which is the source.

    python tools/pairs.py [--check] [FOLDER]

Writes the cells of FOLDER/*.py (default: notebooks/) into the .ipynb beside them;
cells that did not change keep their stored outputs. With --check nothing is
written, and the exit status is 1 if a pair differs. Contents are compared, not
time stamps, which mean nothing in a fresh checkout.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
FORMAT = "py:percent"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_py(text: str) -> list:
    """The cells of a percent script; `# !pip` in it is `!pip` in its cell."""
    return jupytext.reads(text, fmt=FORMAT).cells


def write_py(cells: list) -> str:
    """The percent script of these cells; its header names no version of jupytext."""
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": KERNEL,
            "jupytext": {"notebook_metadata_filter": "kernelspec,-jupytext"},
        },
    )
    return jupytext.writes(notebook, fmt=FORMAT)


def parts(cell) -> tuple:
    """The parts of a cell that both files hold: type, source and tags."""
    return cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ()))


def difference(script: Path, notebook: Path) -> str:
    """One line that says where the two files differ; empty if they do not."""
    if not notebook.exists():
        return f"{notebook.name} is missing"
    text = script.read_text(encoding="utf-8")
    expected, stored = read_py(text), nbformat.read(notebook, 4).cells
    for number, (new, old) in enumerate(zip(expected, stored, strict=False), 1):
        if parts(new) != parts(old):
            first = (new.source or old.source).splitlines()[:1]
            return f"{notebook.name}: cell {number} differs from {script.name} ({first})"
    if len(expected) != len(stored):
        return f"{notebook.name} has {len(stored)} cells, {script.name} {len(expected)}"
    if write_py(stored) != text:
        return f"{script.name} is not what jupytext makes of {notebook.name}"
    return ""


def update(script: Path, notebook: Path) -> None:
    """Write the script's cells into the notebook; unchanged cells keep their outputs."""
    cells = read_py(script.read_text(encoding="utf-8"))
    stored = {}
    if notebook.exists():
        for cell in nbformat.read(notebook, 4).cells:
            stored.setdefault(parts(cell), []).append(cell)
    ids = set()
    for cell in cells:
        same = stored.get(parts(cell))
        if same and cell.cell_type == "code":
            old = same.pop(0)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
        cell.id = _cell_id(cell, ids)
    write(notebook, cells)


def write(notebook: Path, cells: list) -> None:
    """Write the .ipynb, formatted so that diffs show only what changed.

    An output that is hidden in JupyterLab (`jupyter={"outputs_hidden": true}` in the script) is
    hidden in other front ends, too, which read `collapsed`; jupytext leaves that one out.
    """
    for cell in cells:
        if cell.metadata.get("jupyter", {}).get("outputs_hidden"):
            cell.metadata["collapsed"] = True
    content = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    content.nbformat_minor = 5
    text = nbformat.writes(content, indent=1, ensure_ascii=False)
    notebook.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _cell_id(cell, taken: set) -> str:
    """An id made from the cell's content: random ids would change with every update."""
    digest, count = hashlib.sha256(repr(parts(cell)).encode()).hexdigest()[:8], 0
    while (cell_id := f"{digest}-{count}") in taken:
        count += 1
    taken.add(cell_id)
    return cell_id


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=NOTEBOOKS)
    parser.add_argument("--check", action="store_true", help="only report differences")
    options = parser.parse_args(arguments)
    problems = []
    for script in sorted(options.folder.glob("[0-9]*.py")):
        notebook = script.with_suffix(".ipynb")
        if not options.check:
            update(script, notebook)
        elif line := difference(script, notebook):
            problems.append(f"{line}; run `make pairs`")
    for notebook in sorted(options.folder.glob("[0-9]*.ipynb")):
        if not notebook.with_suffix(".py").exists():
            problems.append(f"{notebook.name} has no .py beside it")
    print(*problems, sep="\n", end="\n" if problems else "")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
