"""`s10 grade`: what it says of a folder, and what is in the table. No kernel is started here."""

import csv
import io

import pytest

from s10.cli import grade as module
from s10.cli.main import main
from s10.course.exercises import Verdict
from s10.runtime.errors import InputError


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """Grading finds what the first cell says: solved, not solved, or not of this course."""

    def grade(cells, seconds):
        if not cells:
            raise InputError("it has no exercise of this course")
        passed = [word == "right" for word in cells[0].code.source.split()]
        return {
            f"1.{i}": Verdict(each, f"1.{i}: a hint") for i, each in enumerate(passed, 1)
        }  # fmt: skip

    monkeypatch.setattr(module, "grade_cells", grade)


@pytest.fixture
def grade(tmp_path, capsys):
    """A function that grades files from name → content: status, output, errors, rows."""

    def run(*options, **files):
        folder, out = tmp_path / "class", tmp_path / "grades.csv"
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            cell = f'{{"cell_type": "code", "source": "{text}"}}' if text else ""
            path.write_text(f'{{"cells": [{cell}]}}' if text is not None else "an essay")
        status = main(["grade", str(folder), "--out", str(out), *options])
        output, errors = capsys.readouterr()
        table = out.read_text(encoding="utf-8-sig") if out.exists() else ""
        rows = list(csv.reader(io.StringIO(table)))
        return status, output.splitlines(), errors, rows

    return run


def test_each_file_has_a_line_and_a_row(grade):
    files = {
        "b/hw.ipynb": "right wrong", "a/hw.ipynb": "right right", "other.ipynb": "",
        "essay.docx": None, "=1+1.ipynb": None, "__MACOSX/._hw.ipynb": None, ".DS_Store": None,
        "a/.ipynb_checkpoints/hw-checkpoint.ipynb": "right", "a/runs/model.pt": None,
        "c/essay.docx": None,
    }  # fmt: skip
    status, output, errors, rows = grade("--points", "1.2=3", **files)
    assert (status, errors) == (0, "")
    no_notebook = "not graded: it is not a Jupyter notebook, or damaged"
    no_course = "not graded: it has no exercise of this course"
    assert output[:6] == [
        f"=1+1.ipynb: {no_notebook}",
        "a/hw.ipynb: notebook 1, 4 of 4 points",
        "b/hw.ipynb: notebook 1, 1 of 4 points, without 1.2",
        f"c/essay.docx: {no_notebook}",
        f"essay.docx: {no_notebook}",
        f"other.ipynb: {no_course}",
    ]
    assert output[6].endswith("grades.csv: 2 of 6 files graded")
    assert rows == [
        ["file", "notebook", "1.1", "1.2", "score", "max_score", "feedback"],
        ["'=1+1.ipynb", "", "", "", "", "", no_notebook],
        ["a/hw.ipynb", "1", "1", "3", "4", "4", ""],
        ["b/hw.ipynb", "1", "1", "0", "1", "4", "1.2: a hint"],
        ["c/essay.docx", "", "", "", "", "", no_notebook],
        ["essay.docx", "", "", "", "", "", no_notebook],
        ["other.ipynb", "", "", "", "", "", no_course],
    ]


def test_if_nothing_was_graded_the_table_says_why(grade):
    status, output, _, rows = grade(**{"essay.docx": None})
    assert (status, len(output), len(rows)) == (2, 2, 2)


def test_the_table_may_be_in_a_new_folder(grade, tmp_path):
    assert grade("--out", str(tmp_path / "a" / "b" / "c.csv"), **{"x.ipynb": "right"})[0] == 0
    assert (
        (tmp_path / "a" / "b" / "c.csv").read_bytes().startswith(b"\xef\xbb\xbffile,notebook,1.1")
    )


def test_bad_input(grade, tmp_path, monkeypatch):
    def error(*options):
        status, _, errors, _ = grade(*options)
        assert (status, len(errors.splitlines())) == (2, 1)
        return errors

    assert "there is no folder" in error()
    (tmp_path / "class" / ".hidden").mkdir(parents=True)
    assert "there is no file in" in error()
    assert "there is no exercise 9.1, only 0.1, 0.2" in error("--points", "9.1=2")
    assert "must be FIELD=VALUE, not 2" in error("--points", "2")
    assert "at least 0, not -1" in error("--points", "1.1=-1")
    (tmp_path / "grades.csv").write_text("by hand")
    assert "grades.csv exists; name another file with --out, or add --overwrite" in error()
    assert (tmp_path / "grades.csv").read_text() == "by hand"
    monkeypatch.setattr(module, "NEEDED", ("no_such_package",))
    assert "grading needs no_such_package: pip install no_such_package" in error()


def test_what_is_graded_is_saved_when_it_is_interrupted(grade, monkeypatch):
    def stop(cells, seconds):
        if cells[0].code.source == "stop":
            raise KeyboardInterrupt
        return {"1.1": Verdict(True, "")}

    monkeypatch.setattr(module, "grade_cells", stop)
    status, output, _, rows = grade(**{"a.ipynb": "right", "b.ipynb": "stop", "c.ipynb": "right"})
    assert status == 130
    assert output == ["a.ipynb: notebook 1, 1 of 1 points"]
    assert [row[0] for row in rows] == ["file", "a.ipynb"]
    assert grade("--overwrite", **{"b.ipynb": "right"})[0] == 0


def test_help_says_that_students_code_runs(capsys):
    with pytest.raises(SystemExit):
        main(["grade", "--help"])
    text = capsys.readouterr().out
    assert "THIS RUNS THE STUDENTS' CODE" in text
    assert "container or a throw-away\naccount" in text
