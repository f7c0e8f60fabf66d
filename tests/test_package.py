"""The package: complete, light to import, one list of dependencies, one minimum Python."""

import ast
import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import s10

tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "s10").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HEAVY = ("albumentations", "seaborn", "torchvision")
# Imported where they are present: by Jupyter, Colab, albumentations, and the extra `grade`.
OPTIONAL = {"IPython", "ipywidgets", "google", "cv2", "nbclient", "jupyter_client", "nbformat"}


def path_id(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """What `pip install` installs: file name → content, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("build")
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("s10", "tests", "tools"):  # the latter two must not be installed
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next((folder / "dist").glob("*.whl"))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def dist_info(wheel, name):
    return wheel[f"s10-{PROJECT['version']}.dist-info/{name}"].decode()


def test_all_modules_and_data_files_are_installed_and_nothing_else(wheel):
    data = [ROOT / "s10" / "course" / "reference.json"]
    logs = sorted((ROOT / "s10" / "submissions" / "logs").glob("*.csv"))
    assert len(logs) == 3
    stored = [path for path in (ROOT / "s10" / "cli" / "stored").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in stored) < 1_000_000
    expected = {path_id(path) for path in (*SOURCES, *data, *logs, *stored)}
    assert {name for name in wheel if ".dist-info/" not in name} == expected
    assert wheel["s10/course/reference.json"] == data[0].read_bytes()


def test_the_license_and_the_command_are_installed(wheel):
    metadata = Parser().parsestr(dist_info(wheel, "METADATA"))
    assert (metadata["Name"], metadata["Version"]) == ("s10", PROJECT["version"])
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    license_text = dist_info(wheel, "licenses/LICENSE")
    assert license_text.startswith("MIT License\n\nCopyright (c) 2026 the s10 authors\n")
    assert "s10 = s10.cli.main:main" in dist_info(wheel, "entry_points.txt")


def test_the_command_exists():
    module, function = PROJECT["scripts"]["s10"].split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_import_loads_no_heavy_package():
    """Those that take half a second or more are imported where they are needed."""
    code = f"import sys, s10; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == []


def test_an_import_makes_no_optimizer_and_so_runs_no_schedule():
    """Every command would wait for it."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "s10").rglob("[!_]*.py")
    )
    code = f"import torch; del torch.optim.Optimizer.__init__; import {', '.join(modules)}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


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


def test_requirements_txt_is_the_only_list_of_dependencies(wheel):
    lines = (ROOT / "requirements.txt").read_text().split()
    metadata = Parser().parsestr(dist_info(wheel, "METADATA"))
    built = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(map(str, map(Requirement, lines))) == sorted(map(str, map(Requirement, built)))
    for line in lines:
        requirement = Requirement(line)
        assert requirement.specifier.contains(importlib.metadata.version(requirement.name))


def test_every_import_is_a_declared_dependency():
    lines = (ROOT / "requirements.txt").read_text().split()
    declared = {Requirement(line).name.replace("-", "_") for line in lines}
    imported = {"pillow" if name == "PIL" else name for name in third_party_imports(SOURCES)}
    assert imported - OPTIONAL <= declared
    assert third_party_imports([Path(__file__)]) == {"pytest", "packaging"}


def third_party_imports(paths):
    """Top-level packages that these files import, without the standard library and s10."""
    names = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"s10"}


def test_the_version_ranges_admit_colab_as_of_late_2026():
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


@pytest.mark.parametrize("path", SOURCES, ids=path_id)
def test_the_code_is_valid_in_python_310(path):
    ast.parse(path.read_text(), feature_version=(3, 10))


@pytest.mark.parametrize("path", SOURCES, ids=path_id)
def test_files_are_small_and_have_a_docstring(path):
    text = path.read_text()
    assert len(text.splitlines()) < 400
    assert ast.get_docstring(ast.parse(text))


def test_the_changelog_describes_this_version():
    assert f"\n## {PROJECT['version']} (" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(("page", "lines"), [("CONTRIBUTING.md", 40), ("TEACHING.md", 60)])
def test_a_page_for_maintainers_is_short_and_names_what_exists(page, lines):
    text = (ROOT / page).read_text()
    assert len(text.splitlines()) <= lines
    makefile = (ROOT / "Makefile").read_text()
    for code in re.findall(r"`([^`]+)`", text):
        if code.startswith("make "):
            assert f"\n{code.split()[1]}:" in makefile, code
        elif "/" in code:
            assert list(ROOT.glob(code)), code
