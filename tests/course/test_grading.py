"""Grading: exercises are found and judged, and nothing that a student's code does spoils the rest.

The handout is graded in tests/tools/test_handout.py.
"""

import re
from pathlib import Path

import nbformat
import pytest

from s10.course.cells import needed, read_cell, read_notebook
from s10.course.exercises import EXERCISES
from s10.course.grading import find_exercises, grade
from s10.runtime.errors import InputError

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9]*.ipynb"))

# Notebook 2, as somebody handed it in.
ENDLESS = "def triangular(*_):\n    while True:\n        print('x')\n"
DIES = "import os\n\nsteps = (176, 1055, 5279)\nos._exit(1)\n"
# The tag is lost, and what the function needs is in a cell of the student's own, below.
OTHER_PLACE = "!pip install s10\nexercises.one_cycle.one_cycle_lr(lambda step: line(step))"
HELPER = """
low, high, peak, last = 0.001, 0.01, 489, 2351

def line(step):
    if step <= peak:
        return low + (high - low) * step / peak
    return high - (high - low) * (step - peak) / (last - peak)
"""
CHEAT = """
from s10.course.exercises import EXERCISES, Verdict, one_cycle

praise = lambda *_, **__: Verdict(True, "Exercise 2.4: right")
one_cycle.fraction_of_the_rise = one_cycle.compare = praise
EXERCISES["2.4"] = ("pct_start", praise)
pct_start = 0.3
one_cycle.fraction_of_the_rise(pct_start)
"""
# The check is deleted, and the folder emptied.
TAG_ONLY = """%%time
import os, shutil

for name in os.listdir():
    shutil.rmtree(name, ignore_errors=True)
arguments = dict(max_lr=0.01, div_factor=10, final_div_factor=1)
exit()
"""


def cells(**sources):
    """Cells from number → source, such as _2_4="pct_start = 0.3"; others have no tag."""
    tags = {name: f"exercise-{name[1:].replace('_', '.')}" for name in sources if name[0] == "_"}
    return [read_cell(source, [tags.get(name, "")]) for name, source in sources.items()]


def test_each_exercise_of_the_notebooks_is_known_by_its_tag():
    tagged = {}
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, 4).cells:
            for tag in cell.metadata.get("tags", ()):
                if tag.startswith("exercise-"):
                    call = re.search(r"^exercises\.(\w+)\.(\w+)\((\w+)\)\Z", cell.source, re.M)
                    tagged[tag.removeprefix("exercise-")] = call.groups()
                    assert tag[9] == path.stem[1]
    assert list(tagged) == sorted(EXERCISES)
    for number, (room, check, answer) in tagged.items():
        assert EXERCISES[number][0] == answer
        assert EXERCISES[number][1].__module__.endswith(f".{room}")
        assert EXERCISES[number][1].__name__ == check
        assert EXERCISES[number][1](None).message.startswith(f"Exercise {number}: ")
    # And there are no others, but for a copy that is filled in already.
    texts = "".join(path.with_suffix(".py").read_text() for path in NOTEBOOKS)
    calls = re.findall(r"^exercises\.(\w+\.\w+)\(\w+\)$", texts, re.M)
    assert len(calls) == len(EXERCISES) + 1
    assert "network.same_network" in calls


def test_exercises_are_found_by_tag_or_by_call():
    found = find_exercises(cells(a="x = 1", _2_1="", b="exercises.one_cycle.triangular(x)"))
    assert found == {"2.1": [1, 2], "2.2": [], "2.3": [], "2.4": [], "2.5": []}
    found = find_exercises(cells(a="blocks.lowest_loss(0)", b="submissions.lowest_loss(0)"))
    assert {number for number in found if found[number]} == {"0.2", "4.4"}
    assert len(found) == 8
    # A function counts wherever it is, once it is known which notebook this is.
    found = find_exercises(cells(_2_1="", a="def one_cycle_lr(step):\n    pass", b="cutout = 1"))
    assert (found["2.1"], found["2.3"]) == ([0], [1])


def test_a_notebook_of_another_course_is_refused_before_a_kernel_starts():
    with pytest.raises(InputError, match="no exercise of this course"):
        grade(cells(a="print('hello')"))


def test_nothing_that_one_exercise_does_spoils_the_others():
    verdicts = grade(
        cells(
            _2_1=ENDLESS + "exercises.one_cycle.triangular(triangular)", _2_2=DIES, a=OTHER_PLACE,
            _2_4=CHEAT, _2_5=TAG_ONLY, slow="while True: pass", b=HELPER, c="broken = = 1",
        ),
        seconds=10,
    )  # fmt: skip
    assert {number: verdict.passed for number, verdict in verdicts.items()} == {
        "2.1": False, "2.2": False, "2.3": True, "2.4": False, "2.5": True,
    }  # fmt: skip
    messages = [verdicts[number].message for number in ("2.1", "2.2", "2.4")]
    assert messages == [
        "2.1: its cell, or one that it needs, takes longer than 10 seconds",
        "2.2: its cell, or one that it needs, ends the kernel",
        "2.4: 0.3 is PyTorch's default; it would put the peak into epoch 8.",
    ]


def test_hints_say_what_is_wrong():
    verdicts = grade(
        cells(
            _2_1="def triangular(step, half_cycle, low, high):\n    return np.abs(step)",
            _2_2="steps = (176, 1055, 5279\nexercises.one_cycle.steps_of_the_run(steps)",
            first="exercises.one_cycle.fraction_of_the_rise(5 / 24)",
            _2_4="pct_start = None",
            _2_5="arguments = dict(max_lr=0.01, div_factor=10, final_div_factor=1e4)",
            again="exercises.one_cycle.factors_without_annihilation(mine)",
        )
    )
    assert {number for number in verdicts if verdicts[number].passed} == {"2.4"}
    messages = [verdict.message for verdict in verdicts.values() if not verdict.passed]
    assert messages[0] == "2.1: your code stops with NameError: name 'np' is not defined"
    assert messages[1].startswith("2.2: no answer [SyntaxError: ")
    assert messages[2] == "2.3: its cell is missing"
    assert messages[3] == "2.5: no answer [NameError: name 'mine' is not defined]"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_exercise_of_ours_needs_a_data_set(path):
    """Grading a notebook takes seconds: what its exercises need is imports and definitions."""
    notebook = read_notebook(path)
    for number, (index,) in find_exercises(notebook).items():
        sources = needed(notebook, index, EXERCISES[number][0]).values()
        assert all(re.match("import|from|def|class|try:\n *import s10", each) for each in sources)
