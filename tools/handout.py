"""Write the notebooks for students: without solutions, and without what a prediction asks for.

    python tools/handout.py [FOLDER]

The notebooks go to FOLDER (default: build/handout) without the cells that hold a solution, without
the stored outputs that answer a prediction, and without the badges, which open the originals.
`s10 grade` grades what students make of them.
"""

import argparse
import re
from pathlib import Path

import nbformat
import pairs

SOLUTION = "<details><summary>Solution</summary>"
BADGE = re.compile(r"^\[!\[Open in .*\n?", re.MULTILINE)


def handout(path: Path) -> list:
    """The cells for students of a notebook (.ipynb)."""
    cells = []
    for cell in nbformat.read(path, 4).cells:
        if cell.source.startswith(SOLUTION):
            continue
        cell.source = BADGE.sub("", cell.source)
        tags = cell.metadata.get("tags", [])
        if "solution" in tags:  # Later cells need what it defines, and the library has it, too.
            (name,) = re.findall(r"^class (\w+)", cell.source, re.MULTILINE)
            cell.source = f"from s10.custom_resnet import {name}"
        if any(tag.startswith("exercise-") for tag in tags):
            cell.metadata.deletable = False
        if cell.metadata.get("jupyter", {}).get("outputs_hidden"):
            cell.outputs, cell.execution_count = [], None
        cells.append(cell)
    return cells


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pairs.NOTEBOOKS.parent / "build" / "handout"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(pairs.NOTEBOOKS.glob("[0-9]*.ipynb")):
        pairs.write(folder / path.name, handout(path))
    print(f"handed out without solutions: {folder}")


if __name__ == "__main__":
    main()
