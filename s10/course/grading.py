"""Grading: the exercises of a student's notebook are run, and judged by our checks.

The cells of an exercise are those that have its tag or call its check. They run after the cells
that define what they use, and without all others: an experiment that trains for minutes, or that
no longer works, is not needed to see whether a function is right.
"""

import ast
import json
import os
import re
import subprocess
import symtable
import tempfile
import time
import warnings
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from s10.course.exercises import EXERCISES, Verdict
from s10.runtime.errors import InputError, one_line

MAX_MEGABYTES = 100  # of a file
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
GIVEN = frozenset({"s10", "exercises"})  # by START: no cell of the student's is needed for them
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


@dataclass(frozen=True)
class Cell:
    """A code cell, the names that it defines, and those that it uses and does not define.

    `calls`: check, such as "blocks.adam_step" → source of its argument. A cell that is not valid
    Python has no names and calls.
    """

    source: str
    tags: frozenset[str] = frozenset()
    defines: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    calls: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, source: str, tags=()) -> "Cell":
        """A cell from its source, which may have IPython's `!` and `%`."""
        from IPython.core.inputtransformer2 import TransformerManager

        tags = frozenset(map(str, tags))
        without_cell_magic = re.sub(r"\A\s*%%.*", "", source)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(TransformerManager().transform_cell(without_cell_magic))
                calls = {
                    ".".join(ast.unparse(node.func).split(".")[-2:]): ast.unparse(node.args[0])
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Call) and node.args
                }
                return cls(source, tags, *_names(tree), calls)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return cls(source, tags)


class Stopped(Exception):
    """Code took too long, or ended its kernel; the message says which."""


def read_cells(path: Path) -> list[Cell]:
    """The code cells of a notebook.

    Raises:
        InputError: the file is too large, cannot be read, or is not a notebook.
    """
    try:
        megabytes = path.stat().st_size / 1e6
        data = path.read_bytes() if megabytes <= MAX_MEGABYTES else b""
    except OSError as error:
        raise InputError(f"it cannot be read: {error.strerror}") from None
    if megabytes > MAX_MEGABYTES:
        raise InputError(f"it has {megabytes:.0f} MB: clear its outputs, and grade it again")
    try:
        return [
            Cell.read("".join(cell["source"]), cell.get("metadata", {}).get("tags", ()))
            for cell in json.loads(data)["cells"]
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError("it is not a Jupyter notebook, or damaged") from None


def find_exercises(cells: list[Cell]) -> dict[str, list[int]]:
    """Exercise → the cells that have its tag or call its check; none if its cell is missing.

    The exercises are those of each notebook of the course that at least one cell is from.

    Raises:
        InputError: there is no such cell.
    """
    found = {
        number: [
            index
            for index, cell in enumerate(cells)
            if f"exercise-{number}" in cell.tags or _call(number) in cell.calls
        ]
        for number in EXERCISES
    }
    notebooks = {notebook_of(number) for number, indices in found.items() if indices}
    if not notebooks:
        raise InputError("it has no exercise of this course")
    return {number: found[number] for number in found if notebook_of(number) in notebooks}


def notebook_of(number: str) -> str:
    """The notebook of an exercise: "1" of "1.4"."""
    return number.partition(".")[0]


def needed(cells: list[Cell], index: int, answer: str = "None") -> list[int]:
    """The other cells that a cell and its answer need, in the order of the notebook.

    They define what it uses, and what these use in turn: each name is from the nearest cell above
    that defines it, or else from one below.

    Args:
        answer: an expression.
    """
    found, new = set(), {index}
    answers = _names(ast.parse(answer))[1] - cells[index].defines
    while new:
        found |= new
        sources = set()
        for user in new:
            for name in (cells[user].uses | (answers if user == index else set())) - GIVEN:
                definers = [i for i, cell in enumerate(cells) if name in cell.defines and i != user]
                above = [i for i in definers if i < user]
                sources |= set(above[-1:] or definers[:1])
        new = sources - found
    return sorted(found - {index})


def grade(cells: list[Cell], seconds: float = 60) -> dict[str, Verdict]:
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
        self.ran = set()  # the cells that were run in this kernel
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
        for i in needed(cells, index, answer):
            if i not in sandbox.ran:
                sandbox.run(cells[i].source)
                sandbox.ran.add(i)
        outputs = sandbox.run(cells[index].source)
        sandbox.ran.add(index)
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


def _names(tree: ast.Module) -> tuple[frozenset[str], frozenset[str]]:
    """The global names that code defines or changes, and those that it uses before it does so.

    "*" stands for the names of `from module import *`, which any code may use.
    """
    defines, uses, inside = set(), {"*"}, set()
    for statement in tree.body:
        new, used = _globals(symtable.symtable(ast.unparse(statement), "cell", "exec"))
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            inside |= used  # What a function uses may be defined below it.
        else:
            uses |= used - defines
        defines |= new
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            defines.add("*")
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            while isinstance(node, ast.Subscript | ast.Attribute):
                node = node.value
            defines |= {node.id} if isinstance(node, ast.Name) else set()
    return frozenset(defines), frozenset(uses | (inside - defines))


def _globals(table: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """The global names that are assigned, and those that are read, in a scope and within it."""
    assigned, read = set(), set()
    for symbol in table.get_symbols():
        if table.get_type() == "module" or symbol.is_global():
            assigned |= (
                {symbol.get_name()} if symbol.is_assigned() or symbol.is_imported() else set()
            )
            read |= {symbol.get_name()} if symbol.is_referenced() else set()
    for child in table.get_children():
        more_assigned, more_read = _globals(child)
        assigned, read = assigned | more_assigned, read | more_read
    return assigned, read
