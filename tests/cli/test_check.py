"""`s10 check`: a learner's file, what it may define, and how it may fail."""

import pytest

from s10.cli.main import main

GOOD = """
import numpy as np
import s10
from neighbor import transform
from torchvision import transforms  # A module is no transform.

RECIPE = s10.Recipe()
model = s10.CustomResNet(width=16)
history = {"test_accuracy": np.linspace(0.5, 0.91, 24)}


def schedule(optimizer):
    return RECIPE.make_scheduler(optimizer, 98)


if __name__ == "__main__":
    raise SystemExit("this would train")
"""


@pytest.fixture
def check(tmp_path, capsys):
    """A function that checks a file with this text: exit status, output, errors."""

    def run(text):
        (tmp_path / "mine.py").write_text(text)
        (tmp_path / "neighbor.py").write_text("import s10\n\ntransform = s10.Recipe()\n")
        status = main(["check", str(tmp_path / "mine.py")])
        return status, *capsys.readouterr()

    return run


def test_a_file_that_meets_the_assignment(check):
    status, output, errors = check(GOOD)
    assert (status, errors) == (0, "")
    assert output.count("✓") == len(output.splitlines()) == 18


def test_what_is_missing_is_not_checked_and_what_is_wrong_fails(check):
    status, output, _ = check("history = [0.5] * 24\nnetwork = None\n")
    assert status == 1
    assert output.splitlines() == [
        "– network: not given",
        "– transforms: not given",
        "– schedule: not given",
        "✓ epochs: 24",
        "✗ accuracy: at least 90 % of the test images after the last epoch; yours 50.00%",
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x = 1", "defines none of network, model, transforms, train_transforms, "),
        ("from torchvision import transforms", "defines none of"),
        ("x = 1\n1 / 0\n", ", line 2, stops with ZeroDivisionError: division by zero"),
        ("def f():\n    g()\n\n\nf()\n", ", line 2, stops with NameError: name 'g'"),
        ("x = (", "stops with SyntaxError: '(' was never closed (mine.py, line 1)"),
        ("import sys\nsys.exit(3)", ", line 2, stops with SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_checked_is_one_line(check, text, part):
    status, output, errors = check(text)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert part in errors


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert main(["check", str(tmp_path / "none.py")]) == 2
    assert "there is no file" in capsys.readouterr().err
