"""Grading: the exercises of a student's notebook are run, and judged by our checks.

The cells of an exercise run after the code that defines what they use, and without the rest: an
experiment that trains for minutes, or that no longer works, is not needed to see whether a function
is right.
"""

import os
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from s10.course.cells import Cell, needed
from s10.course.exercises import EXERCISES, Verdict
from s10.runtime.errors import InputError, one_line

MAX_HINT = 300  # characters
CELLS_LIMIT = 5  # all cells together may take that many times the limit of one
START_SECONDS = 120  # until a kernel has imported torch

# Shell commands do nothing, since they might install something; nor does exit(), which would end
# the kernel a moment later, in the next exercise. What is printed is lost: it may be without end.
START = """
def _start(shell):
    import os, sys
    sys.stdout = sys.stderr = open(os.devnull, "w")
    shell.system = shell.getoutput = shell.ask_exit = lambda *args, **settings: None
    for name in ("pip", "conda", "mamba", "uv"):
        shell.register_magic_function(lambda line: None, "line", name)
_start(get_ipython())
del _start
import s10
from s10.course import exercises
"""
# s10 is read anew from its files: whatever the student assigned to its parts is gone.
JUDGE = """
_answer = {answer}
def _check():
    import sys
    for name in [name for name in sys.modules if name.partition(".")[0] == "s10"]:
        del sys.modules[name]
    from s10.course.exercises import EXERCISES
    return EXERCISES["{number}"][1]
_check()(_answer)
"""


class Stopped(Exception):
    """Code took too long, or ended its kernel; the message says which."""


def find_exercises(cells: list[Cell]) -> dict[str, list[int]]:
    """Exercise → its cells; none if they are missing.

    They have its tag, call its check or define the function that it asks for. The exercises are
    those of each notebook of the course that at least one tag or call is from.

    Raises:
        InputError: there is no such tag or call.
    """

    def is_marked(cell: Cell, number: str) -> bool:
        return f"exercise-{number}" in cell.tags or _call(number) in cell.calls

    notebooks = {
        notebook_of(number)
        for number in EXERCISES
        if any(is_marked(cell, number) for cell in cells)
    }
    if not notebooks:
        raise InputError("it has no exercise of this course")
    return {
        number: [
            index
            for index, cell in enumerate(cells)
            if is_marked(cell, number) or answer in cell.parts
        ]
        for number, (answer, _) in EXERCISES.items()
        if notebook_of(number) in notebooks
    }


def notebook_of(number: str) -> str:
    """The notebook of an exercise: "1" of "1.4"."""
    return number.partition(".")[0]


def grade(cells: list[Cell], seconds: float = 30) -> dict[str, Verdict]:
    """Exercise, such as "1.4" → verdict. This runs the code of the cells: see `Sandbox`.

    Args:
        seconds: limit for one cell; for all of them it is five times as long.

    Raises:
        InputError: the notebook has no exercise of this course, or no kernel starts here.
    """
    verdicts = {}
    with Sandbox(seconds) as sandbox:
        for number, indices in find_exercises(cells).items():
            verdict = Verdict(False, f"{number}: its cell is missing")
            for index in indices:
                verdict = _judge(sandbox, cells, index, number)
                if verdict.passed:
                    break
            verdicts[number] = verdict
    return verdicts


class Sandbox:
    """A kernel in an empty folder; if code ends it or takes too long, a new one takes its place.

    That protects from accidents, not from malice: the code may do whatever this user may do.
    """

    def __init__(self, seconds: float):
        self.seconds, self.left = seconds, CELLS_LIMIT * seconds
        self.ran = set()  # places of code that was run in this kernel
        self.client, self.stack = None, ExitStack()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *error) -> None:
        self.stack.close()
        self.client, self.ran = None, set()

    def run(self, source: str) -> list:
        """Run code; returns its outputs as nbformat has them. An exception is an output, too.

        Raises:
            Stopped: it took too long, or ended the kernel.
            InputError: no kernel starts.
        """
        if self.left <= 0:
            raise Stopped(
                f"not run: the notebook's {CELLS_LIMIT * self.seconds:g} seconds are over"
            )
        if not self.client:
            self._start()
        start = time.monotonic()
        try:
            return self._execute(source, min(self.seconds, self.left))
        except TimeoutError:
            reason = f"takes longer than {min(self.seconds, self.left):.0f} seconds"
        except RuntimeError:  # nbclient's DeadKernelError
            reason = "ends the kernel"
        finally:
            self.left -= time.monotonic() - start
        self.__exit__()
        raise Stopped(f"its cell, or one that it needs, {reason}")

    def _start(self) -> None:
        from jupyter_client.kernelspec import KernelSpecManager
        from jupyter_client.manager import AsyncKernelManager
        from nbclient import NotebookClient
        from nbformat.v4 import new_notebook

        folder = self.stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        # This Python and this s10, whatever kernels are installed here or named in the notebook.
        manager = AsyncKernelManager(
            kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[])
        )
        paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
        settings = {
            "S10_SMOKE": "1", "S10_STATIC": "1", "MPLBACKEND": "agg", "IPYTHONDIR": folder,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }  # fmt: skip
        self.client = NotebookClient(
            new_notebook(), km=manager, allow_errors=True, shutdown_kernel="immediate"
        )
        try:
            kernel = self.client.setup_kernel(
                cleanup_kc=True, cwd=folder, env={**os.environ, **settings},
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.stack.enter_context(kernel)
            outputs = self._execute(START, START_SECONDS)
        except (RuntimeError, TimeoutError) as error:
            raise InputError(f"no kernel starts here: {error}") from None
        if outputs:
            raise InputError(f"no kernel starts here: {_errors(outputs)}")

    def _execute(self, source: str, seconds: float) -> list:
        from nbformat.v4 import new_code_cell

        cell = new_code_cell(source)
        self.client.nb.cells = [cell]
        self.client.timeout = max(1, round(seconds))
        return self.client.execute_cell(cell, 0).outputs


def _judge(sandbox: Sandbox, cells: list[Cell], index: int, number: str) -> Verdict:
    """Run this cell of an exercise, and what it needs, and judge the answer."""
    answer = cells[index].calls.get(_call(number), EXERCISES[number][0])
    try:
        for place, source in needed(cells, index, answer).items():
            if place not in sandbox.ran:
                sandbox.run(source)
                sandbox.ran.add(place)
        outputs = sandbox.run(cells[index].code.source)
        judged = sandbox.run(JUDGE.format(answer=answer, number=number))
    except Stopped as stop:
        return Verdict(False, f"{number}: {stop}")
    shown = [each.data["text/plain"] for each in judged if each.output_type == "execute_result"]
    text = shown[-1] if shown else f"✗ {number}: no answer"
    passed, message = text.startswith("✓ "), text[2:].removeprefix("Exercise ")
    if not passed:
        message += _errors(outputs + judged)
    return Verdict(passed, one_line(message)[:MAX_HINT])


def _errors(outputs: list) -> str:
    """The first exception among these outputs, in brackets, or nothing."""
    errors = [each for each in outputs if each.output_type == "error"]
    return f" [{errors[0].ename}: {errors[0].evalue}]" if errors else ""


def _call(number: str) -> str:
    """How the notebooks call the check of an exercise: "blocks.adam_step"."""
    check = EXERCISES[number][1]
    return f"{check.__module__.rpartition('.')[2]}.{check.__name__}"
