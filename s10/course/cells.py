"""The code cells of a notebook, and which of them a cell needs."""

import ast
import json
import re
import symtable
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from s10.runtime.errors import InputError

MAX_MEGABYTES = 100  # of a file
# An import, a function or a class can be run without the rest of its cell.
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Code:
    """Source, and the names that it uses from outside; `position`: of the statement in its cell."""

    source: str
    uses: frozenset[str] = frozenset()
    position: int = -1


@dataclass(frozen=True)
class Cell:
    """A code cell.

    `defines`: the global names that it assigns or changes. `parts`: name → the import, function
    or class that defines it. `calls`: function called, such as "blocks.adam_step" → its first
    argument, of calls outside of functions. A cell that is not valid Python has none of them.
    """

    code: Code
    tags: frozenset[str] = frozenset()
    defines: frozenset[str] = frozenset()
    parts: dict[str, Code] = field(default_factory=dict)
    calls: dict[str, str] = field(default_factory=dict)


def read_notebook(path: Path) -> list[Cell]:
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
            read_cell("".join(cell["source"]), cell.get("metadata", {}).get("tags", ()))
            for cell in json.loads(data)["cells"]
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError("it is not a Jupyter notebook, or damaged") from None


def read_cell(source: str, tags: Iterable[str] = ()) -> Cell:
    """A cell from its source, which may have IPython's `!` and `%`, and its tags."""
    from IPython.core.inputtransformer2 import TransformerManager

    tags = frozenset(map(str, tags))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as an invalid "\d" in the student's code
            without_cell_magic = re.sub(r"\A\s*%%.*", "", source)
            tree = ast.parse(TransformerManager().transform_cell(without_cell_magic))
            uses, defines, parts = _names(tree)
            calls = {
                ".".join(ast.unparse(node.func).split(".")[-2:]): ast.unparse(node.args[0])
                for statement in tree.body
                if not isinstance(statement, DEFINITIONS)
                for node in ast.walk(statement)
                if isinstance(node, ast.Call) and node.args
            }
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Cell(Code(source), tags)
    return Cell(Code(source, uses), tags, defines, parts, calls)


def needed(cells: list[Cell], index: int, answer: str = "None") -> dict[tuple[int, int], str]:
    """What must run before a cell, in the order of the notebook: (cell, position) → source.

    That is what defines the names that the cell uses, and what these use in turn. Each name is
    taken from the nearest cell above that defines it, or else from the first one below.

    Args:
        answer: an expression that will be evaluated after the cell.
    """
    code, found = cells[index].code, {}
    names = _names(ast.parse(answer))[0] - cells[index].defines
    todo = [(index, Code(code.source, code.uses | names))]
    while todo:
        user, code = todo.pop()
        if (user, code.position) in found:
            continue
        found[user, code.position] = code.source
        last = user if code.position >= 0 else user - 1  # A part may need its own cell.
        for name in code.uses:
            definers = [i for i, cell in enumerate(cells) if name in cell.defines and i != index]
            above = [i for i in definers if i <= last]
            nearest = above[-1:] or [i for i in definers if i != user][:1]
            todo += [(i, cells[i].parts.get(name, cells[i].code)) for i in nearest]
    del found[index, -1]
    return dict(sorted(found.items()))


def _names(tree: ast.Module) -> tuple[frozenset[str], frozenset[str], dict[str, Code]]:
    """Of code: the global names used from outside, those defined or changed, the parts.

    "*" stands for the names of `from module import *`, which any code may use.
    """
    uses, inside, defines, parts, changed = {"*"}, set(), set(), {}, set()
    for position, statement in enumerate(tree.body):
        source = ast.unparse(statement)
        new, used = _globals(symtable.symtable(source, "cell", "exec"))
        if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
            new = {"*"}
        if isinstance(statement, DEFINITIONS):
            inside |= used  # What a function uses may be defined below it.
            parts |= dict.fromkeys(new, Code(source, frozenset(used), position))
        else:
            uses |= used - defines
            changed |= new
        defines |= new
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            while isinstance(node, ast.Subscript | ast.Attribute):
                node = node.value
            changed |= {node.id} if isinstance(node, ast.Name) else set()
    parts = {name: part for name, part in parts.items() if name not in changed}
    return frozenset(uses | inside - defines), frozenset(defines | changed), parts


def _globals(table: symtable.SymbolTable) -> tuple[set[str], set[str]]:
    """The global names that are assigned, and those that are read, in a scope and within it."""
    assigned, read = set(), set()
    for symbol in table.get_symbols():
        if table.get_type() == "module" or symbol.is_global():
            if symbol.is_assigned() or symbol.is_imported():
                assigned.add(symbol.get_name())
            if symbol.is_referenced():
                read.add(symbol.get_name())
    for child in table.get_children():
        more_assigned, more_read = _globals(child)
        assigned, read = assigned | more_assigned, read | more_read
    return assigned, read
