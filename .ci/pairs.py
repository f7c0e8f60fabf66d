"""Keep each notebook and its .py (percent format) the same: the .py is the source.

    python .ci/pairs.py [--check] [FOLDER]

Writes the cells of notebooks/*.py into the .ipynb beside them; cells that did
not change keep their stored output. With --check nothing is written, and the
exit status is 1 where the two differ. Time stamps say nothing on a fresh
checkout, so only contents are compared.
"""

import hashlib
import sys
from pathlib import Path

import jupytext
import nbformat

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
FORMAT = "py:percent"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def read_py(text: str) -> list:
    """The cells of a percent script; `!pip` is a comment there and code here."""
    return jupytext.reads(text, fmt=FORMAT).cells


def write_py(cells: list) -> str:
    """The percent script of these cells, without any version in its header."""
    notebook = nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": KERNEL,
            "jupytext": {"notebook_metadata_filter": "kernelspec,-jupytext"},
        },
    )
    return jupytext.writes(notebook, fmt=FORMAT)


def parts(cell) -> tuple:
    """What of a cell the two files share."""
    return cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ()))


def difference(script: Path, notebook: Path) -> str:
    """What is different between the two files, in a line; empty if nothing is."""
    if not notebook.exists():
        return f"{notebook.name} is missing"
    text = script.read_text(encoding="utf-8")
    ours, theirs = read_py(text), nbformat.read(notebook, 4).cells
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if parts(mine) != parts(other):
            first = (mine.source or other.source).splitlines()[:1]
            return f"{notebook.name}: cell {number} differs from {script.name} ({first})"
    if len(ours) != len(theirs):
        return f"{notebook.name} has {len(theirs)} cells, {script.name} {len(ours)}"
    if write_py(theirs) != text:
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
        old = stored.get(parts(cell)) or [None]
        old = old.pop(0)
        if cell.cell_type == "code" and old is not None:
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
        cell.id = _identity(cell, ids)
    write(notebook, cells)


def write(notebook: Path, cells: list) -> None:
    """Write the .ipynb, always in the same form."""
    content = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    content.nbformat_minor = 5
    text = nbformat.writes(content, indent=1, ensure_ascii=False)
    notebook.write_text(text.rstrip("\n") + "\n", encoding="utf-8")


def _identity(cell, taken: set) -> str:
    """A name from the cell's content: random ones would change with every update."""
    digest, count = hashlib.sha256(repr(parts(cell)).encode()).hexdigest()[:8], 0
    while (name := f"{digest}-{count}") in taken:
        count += 1
    taken.add(name)
    return name


def main() -> int:
    arguments = [word for word in sys.argv[1:] if word != "--check"]
    folder = Path(arguments[0]) if arguments else NOTEBOOKS
    wrong = 0
    for script in sorted(folder.glob("[0-9]*.py")):
        notebook = script.with_suffix(".ipynb")
        if "--check" not in sys.argv[1:]:
            update(script, notebook)
        elif line := difference(script, notebook):
            print(line + "; run `make pairs`")
            wrong += 1
    for notebook in sorted(folder.glob("[0-9]*.ipynb")):
        if not notebook.with_suffix(".py").exists():
            print(f"{notebook.name} has no .py beside it")
            wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
