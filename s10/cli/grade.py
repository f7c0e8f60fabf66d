"""`s10 grade`: a table of the exercises that the notebooks in a folder solve."""

import csv
import importlib.util
import io
from pathlib import Path

from tqdm import tqdm

from s10.cli.runs import report_write_errors
from s10.course.cells import read_notebook
from s10.course.exercises import EXERCISES
from s10.course.grading import grade as grade_cells
from s10.course.grading import notebook_of
from s10.runtime.errors import InputError, one_line
from s10.runtime.files import check_writable, write_atomically
from s10.runtime.progress import BatchBar

NEEDED = ("nbclient", "ipykernel")


def grade(options) -> int:
    """`s10 grade`: 0 if at least one notebook was graded."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        raise InputError(f"grading needs {' and '.join(NEEDED)}: pip install {' '.join(NEEDED)}")
    folder, out = Path(options.folder).expanduser(), Path(options.out).expanduser()
    points = dict.fromkeys(EXERCISES, 1.0)
    for number, value in options.points:
        if number not in points:
            raise InputError(f"there is no exercise {number}, only {', '.join(points)}")
        points[number] = value
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    if out.exists() and not options.overwrite:
        raise InputError(f"{out} exists; name another file with --out, or add --overwrite")
    check_writable(out.parent)
    files = _files(folder, out)
    if not files:
        raise InputError(f"there is no file in {folder}")
    rows = []
    for path in BatchBar(files, "grading", unit="file"):
        row = _row(path, one_line(path.relative_to(folder).as_posix()), points, options.seconds)
        rows.append(row)
        _write(out, rows)  # Now: grading may be interrupted.
        tqdm.write(_summary(row))
    graded = sum("notebook" in row for row in rows)
    print(f"{out}: {graded} of {len(rows)} files graded")
    return 0 if graded else 2


def _files(folder: Path, out: Path) -> list[Path]:
    """What was handed in: all files in the folder and below it, but hidden ones and the table.

    Beside a notebook, in a subfolder, only notebooks count: a whole working folder may be there.
    """

    def parts(path: Path) -> tuple[str, ...]:
        return path.relative_to(folder).parts

    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part[0] == "." or part == "__MACOSX" for part in parts(path))
        and path.resolve() != out.resolve()
    ]
    whole = {parts(path)[0] for path in files if path.suffix == ".ipynb" and len(parts(path)) > 1}
    return [path for path in files if path.suffix == ".ipynb" or parts(path)[0] not in whole]


def _row(path: Path, name: str, points: dict[str, float], seconds: float) -> dict:
    """The row of a file: column → value. Only that of a graded one has a notebook and a score."""
    try:
        verdicts = grade_cells(read_notebook(path), seconds)
    except InputError as error:
        return {"file": name, "feedback": f"not graded: {error}"}
    return {
        "file": name,
        "notebook": ", ".join(dict.fromkeys(map(notebook_of, verdicts))),
        "score": sum(points[number] for number in verdicts if verdicts[number].passed),
        "max_score": sum(points[number] for number in verdicts),
        **{number: points[number] * verdict.passed for number, verdict in verdicts.items()},
        "feedback": "\n".join(each.message for each in verdicts.values() if not each.passed),
    }


def _summary(row: dict) -> str:
    """A row in one line."""
    if "notebook" not in row:
        return f"{row['file']}: {row['feedback']}"
    missed = ", ".join(line.partition(":")[0] for line in row["feedback"].splitlines())
    points = f"{row['score']:g} of {row['max_score']:g} points"
    without = f", without {missed}" if missed else ""
    return f"{row['file']}: notebook {row['notebook']}, {points}{without}"


def _write(out: Path, rows: list[dict]) -> None:
    """Write the table, with a column for each exercise of the notebooks that were graded."""
    numbers = [number for number in EXERCISES if any(number in row for row in rows)]
    text = io.StringIO()
    columns = ["file", "notebook", *numbers, "score", "max_score", "feedback"]
    table = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({column: _cell(value) for column, value in row.items()})
    # With a byte order mark: without one, Excel takes UTF-8 for something else.
    with report_write_errors(out, "name another file with --out"):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, text.getvalue().encode("utf-8-sig"))


def _cell(value: str | float) -> str:
    """A value as text that no spreadsheet takes for a formula: students choose the file's name."""
    text = value if isinstance(value, str) else f"{value:g}"
    return f"'{text}" if text[0:1] in ("=", "+", "-", "@") else text
