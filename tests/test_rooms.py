"""The layout of s10: imports flow one way, and the lesson stays small.

CONTRIBUTING.md draws the rooms. All checks read the syntax trees of the files, and each
of them is shown to fail on a small package that breaks its rule.
"""

import ast
import importlib.util
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

S10 = Path(__file__).resolve().parent.parent / "s10"

# A room may import from itself and from the rooms before it. The core is the modules at the
# top of s10/; __init__.py and __main__.py, which may import everything, come last.
ROOMS = (
    "runtime", "datasets", "core", "plots", "speed", "submissions", "course", "cli", "top",
)  # fmt: skip
PACKAGES = set(ROOMS) - {"core", "top"}
# What the core must not name, not even in a comment: variations, and how a run is distributed
# or saved. Hooks and subclasses in other rooms do that.
FOREIGN = re.compile(
    r"submission|pitfall|\btraps?\b|muon|laptop|whiten|torch\.distributed|process.group"
    r"|DistributedDataParallel|torchrun|checkpoint|safetensors|torch\.(save|load)\b",
    re.IGNORECASE,
)


class Package:
    """The modules of a package, their files and syntax trees, by name."""

    def __init__(self, folder: Path):
        self.files, self.trees = {}, {}
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            self.files[name] = path
            self.trees[name] = ast.parse(path.read_text(encoding="utf-8"))

    def room(self, module: str) -> str:
        """The room of a module: its package, or "core" or "top"."""
        parts = module.split(".")
        if len(parts) == 1 or parts[1] == "__main__":
            return "top"
        return parts[1] if len(parts) > 2 or self.is_package(module) else "core"

    def is_package(self, module: str) -> bool:
        return self.files[module].name == "__init__.py"

    def imports(self, module: str, functions: bool = True) -> set[str]:
        """The modules of this package that `module` imports.

        With functions=False, imports within functions are left out.
        """
        package = module if self.is_package(module) else module.rpartition(".")[0]
        names = set()
        for node in walk(self.trees[module], functions):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                source = "." * node.level + (node.module or "")
                source = importlib.util.resolve_name(source, package)
                for alias in node.names:
                    submodule = f"{source}.{alias.name}"
                    names.add(submodule if submodule in self.files else source)
        return names & set(self.files)

    def upward_imports(self) -> list[str]:
        """Imports from a room that comes later."""
        return [
            f"{module} imports {other}"
            for module in self.files
            for other in sorted(self.imports(module))
            if ROOMS.index(self.room(other)) > ROOMS.index(self.room(module))
        ]

    def cycle(self) -> list[str]:
        """Modules that import one another in a circle; empty if there are none."""
        try:
            TopologicalSorter({name: self.imports(name) for name in self.files}).prepare()
        except CycleError as error:
            return error.args[1]
        return []

    def closure(self, module: str, apart: str) -> set[str]:
        """All modules that importing `module` reads, without those of the room `apart`.

        Packages' __init__.py are followed where they are imported by name, but not counted.
        """
        found, new = set(), {module}
        while new:
            found |= new
            imported = set().union(*(self.imports(name, functions=False) for name in new))
            new = {name for name in imported if self.room(name) != apart} - found
        return {name for name in found if not self.is_package(name)}

    def foreign_words(self) -> list[str]:
        """Words in the core that belong in another room, with file and line."""
        return [
            f"{self.files[module].name}:{number} names {match[0]!r}"
            for module in self.files
            if self.room(module) == "core"
            for number, line in enumerate(self.lines(module), 1)
            for match in FOREIGN.finditer(line)
        ]

    def importers_of_unittest(self) -> list[str]:
        return [
            module
            for module, tree in self.trees.items()
            for node in ast.walk(tree)
            if (
                isinstance(node, ast.Import)
                and any(alias.name.split(".")[0] == "unittest" for alias in node.names)
            )
            or (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unittest"))
        ]

    def lines(self, module: str) -> list[str]:
        return self.files[module].read_text(encoding="utf-8").splitlines()

    def definition(self, module: str, name: str) -> ast.FunctionDef | ast.ClassDef:
        """The function or class of this name at the top of a module."""
        (node,) = [node for node in self.trees[module].body if getattr(node, "name", "") == name]
        return node


def walk(node: ast.AST, functions: bool):
    """All nodes below this one, on request without those within functions."""
    for child in ast.iter_child_nodes(node):
        yield child
        if functions or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from walk(child, functions)


def line_count(node: ast.AST) -> int:
    """Lines from `def` to the end, the docstring included."""
    return node.end_lineno - node.lineno + 1


def parameter_count(function: ast.FunctionDef) -> int:
    arguments = function.args
    return len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)


def field_count(cls: ast.ClassDef) -> int:
    return sum(isinstance(node, ast.AnnAssign) for node in cls.body)


@pytest.fixture(scope="module")
def package():
    return Package(S10)


@pytest.fixture
def make_package(tmp_path):
    """A function that writes a package named s10 from file name → text."""

    def make(**files) -> Package:
        for name, text in files.items():
            path = tmp_path / "s10" / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            (path.parent / "__init__.py").touch()
        return Package(tmp_path / "s10")

    return make


# The rules.


def test_imports_flow_one_way(package):
    assert package.upward_imports() == []


def test_no_modules_import_one_another_in_a_circle(package):
    assert package.cycle() == []


def test_the_top_of_s10_stays_small(package):
    top = [path.name for path in S10.iterdir() if path.name[0] not in "_."]
    assert {name for name in top if (S10 / name).is_dir()} == PACKAGES
    modules = [name for name in package.files if package.room(name) == "core"]
    assert len(modules) <= 12, modules


def test_the_core_names_nothing_from_other_rooms(package):
    assert package.foreign_words() == []


def test_few_modules_are_needed_to_follow_fit(package):
    modules = package.closure("s10.training", apart="datasets")
    assert len(modules) <= 16, sorted(modules)
    assert sum(len(package.lines(name)) for name in modules) <= 1900


@pytest.mark.parametrize("name", ["train_epoch", "evaluate", "fit"])
def test_the_loops_fit_on_one_screen(package, name):
    assert line_count(package.definition("s10.training", name)) <= 45


def test_fit_has_few_parameters(package):
    assert parameter_count(package.definition("s10.training", "fit")) <= 9


def test_the_recipe_is_the_assignment(package):
    assert field_count(package.definition("s10.recipe", "Recipe")) <= 24


def test_the_library_needs_no_test_tools(package):
    assert package.importers_of_unittest() == []


# The rules can fail.


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("training", "from s10.speed.muon import Muon"),
        ("training", "def fit():\n    from s10.speed import muon"),
        ("training", "import s10.speed.muon as m"),
        ("training", "from .speed import muon"),
        ("training", "if True:\n    from s10.speed.muon import *"),
        ("runtime__in__device", "from .. import training"),
        ("training", "from s10 import fit"),
        ("training", "import s10"),
    ],
)
def test_an_upward_import_is_found(make_package, module, text):
    files = {"speed__in__muon": "", "training": "", module: text}
    (found,) = make_package(**files).upward_imports()
    assert found.startswith(f"s10.{module.replace('__in__', '.')} imports s10")


def test_imports_downward_and_from_other_packages_are_none(make_package):
    package = make_package(
        training="import torch\nfrom s10.runtime.device import pick_device\nimport speed.muon",
        runtime__in__device="from s10.runtime import errors",
        runtime__in__errors="",
        speed__in__muon="from s10 import training",
        __init__="from s10.training import fit",
    )
    assert package.upward_imports() == []
    assert package.imports("s10.training") == {"s10.runtime.device"}
    names = ("s10", "s10.training", "s10.speed", "s10.speed.muon")
    assert [package.room(name) for name in names] == ["top", "core", "speed", "speed"]
    assert package.cycle() == []


@pytest.mark.parametrize(
    "text", ["from s10 import metrics", "def f():\n    from s10.metrics import RunningMetrics"]
)
def test_a_cycle_is_found(make_package, text):
    package = make_package(training=text, metrics="import s10.training")
    assert set(package.cycle()) == {"s10.training", "s10.metrics"}


@pytest.mark.parametrize(
    "text",
    [
        "# as in the published submissions",
        '"""Not for Muon."""',
        "pitfalls = []",
        "import torch.distributed as dist",
        "group = dist.new_process_group()",
        "LAPTOP = Recipe(width=32)",
        "# a trap",
        "torch.save(state, path)",
        "def write_checkpoint(): ...",
    ],
)
def test_a_foreign_word_is_found(make_package, text):
    package = make_package(training=f"x = 1\n{text}", runtime__in__checkpoints=text)
    (found,) = package.foreign_words()
    assert found.startswith("training.py:2 names ")


def test_words_that_only_look_foreign_are_none(make_package):
    assert make_package(training="# momentum, strap, state_dict().load\n").foreign_words() == []


def test_the_closure_follows_imports(make_package):
    package = make_package(
        training="from s10.metrics import a\nfrom s10.plots import b\nimport s10.datasets.shapes",
        metrics="def f():\n    from s10.schedules import c",
        schedules="",
        plots__in__curves="from s10.runtime import hooks",
        runtime__in__hooks="",
        datasets__in__shapes="",
    )
    package.files["s10.plots"].write_text("from s10.plots.curves import b")
    package = Package(package.files["s10"].parent)
    names = {"training", "metrics", "plots.curves", "runtime.hooks"}
    assert package.closure("s10.training", apart="datasets") == {f"s10.{name}" for name in names}


def test_counts(make_package):
    package = make_package(
        training="def fit(a, /, b, *, c=1):\n    '''Train.\n    '''\n    return a\n",
        recipe="class Recipe:\n    width: int = 64\n    seed: int = 0\n    LIMIT = 3\n",
    )
    function = package.definition("s10.training", "fit")
    assert (line_count(function), parameter_count(function)) == (4, 3)
    assert field_count(package.definition("s10.recipe", "Recipe")) == 2


@pytest.mark.parametrize(
    "text", ["import unittest.mock", "def f():\n    from unittest import mock"]
)
def test_an_import_of_unittest_is_found(make_package, text):
    package = make_package(training=text, metrics="import unittestx")
    assert package.importers_of_unittest() == ["s10.training"]
