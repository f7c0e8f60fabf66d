"""The package: light to import, one list of dependencies, one minimum Python."""

import ast
import importlib
import importlib.metadata
import subprocess
import sys
import time
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import s10

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "s10").rglob("*.py"))


def seconds_to_import(module: str) -> float:
    best = 1e9
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=ROOT)
        best = min(best, time.perf_counter() - start)
    return best


def test_import_costs_no_more_than_torch_and_half_a_second():
    assert seconds_to_import("s10") < seconds_to_import("torch") + 0.5


def test_import_brings_no_heavy_package():
    heavy = "albumentations seaborn torchvision pandas matplotlib scipy"
    code = f"import sys, s10; print(*[name for name in {heavy.split()} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", s10.__all__)
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(s10, name)
    assert name in dir(s10)
    if callable(value):
        assert value.__doc__
        assert len(value.__doc__) > 20


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = s10.nothing


def test_requirements_txt_is_the_one_list_of_dependencies():
    lines = (ROOT / "requirements.txt").read_text().split()
    installed = [r for r in importlib.metadata.requires("s10") if "extra ==" not in r]
    assert sorted(map(str, map(Requirement, lines))) == sorted(
        map(str, map(Requirement, installed))
    )


def test_the_ranges_admit_colab_as_of_late_2026():
    colab = {
        "torch": "2.11.0",
        "torchvision": "0.26.0",
        "numpy": "2.1.3",
        "albumentations": "2.0.8",
    }
    requirements = [Requirement(line) for line in (ROOT / "requirements.txt").read_text().split()]
    by_name = {requirement.name: requirement for requirement in requirements}
    for name, version in colab.items():
        assert by_name[name].specifier.contains(version)
    # No upper bounds and no pins: they are what breaks teaching notebooks.
    assert all(s.operator == ">=" for r in requirements for s in r.specifier)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_code_is_python_310(path):
    ast.parse(path.read_text(), feature_version=(3, 10))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_files_are_small_and_say_what_they_are(path):
    text = path.read_text()
    assert len(text.splitlines()) < 400
    assert ast.get_docstring(ast.parse(text))


def test_loops_fit_on_one_screen():
    tree = ast.parse((ROOT / "s10" / "training.py").read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name in ("train_epoch", "evaluate", "fit"):
        node = functions[name]
        docstring = node.body[0]
        lines = node.end_lineno - node.lineno - (docstring.end_lineno - docstring.lineno)
        assert lines < 55, name


def test_minimum_python_and_packages_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == ">=3.10"
    folders = {str(path.parent.relative_to(ROOT)).replace("/", ".") for path in SOURCES}
    assert set(project["tool"]["setuptools"]["packages"]) == folders
