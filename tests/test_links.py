"""The repository's address stands in pyproject.toml; everything else is written from it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ELSEWHERE = "https://github.com/some-one/an.other_repo"


def links(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / ".ci" / "links.py", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def copy(tmp_path):
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("notebooks", "s10"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def everything(root):
    paths = [path for path in root.rglob("*") if path.suffix in (".md", ".py", ".ipynb")]
    return {path: path.read_text() for path in paths}


def test_every_address_is_the_repositorys():
    done = links("--check")
    assert done.returncode == 0, done.stdout


def test_a_new_address_reaches_every_place(copy):
    project = copy / "pyproject.toml"
    (old,) = [
        line.split('"')[1]
        for line in project.read_text().splitlines()
        if line.startswith("Repository = ")
    ]
    project.write_text(project.read_text().replace(old, ELSEWHERE))
    before = everything(copy)
    name = "/".join(old.split("/")[-2:])
    places = sum(text.count(name) for text in before.values())
    assert places >= 3 * 2 * 2  # At the least two badges in each notebook and its script.
    done = links("--check", copy)
    assert done.returncode == 1
    for path in (
        "README.md",
        "notebooks/01_lr_range_test.py",
        "notebooks/03_train_24_epochs.ipynb",
    ):
        assert path in done.stdout

    assert links(copy).returncode == 0
    assert links("--check", copy).returncode == 0
    after = everything(copy)
    assert not any(name in text for text in after.values())
    assert sum(text.count("some-one/an.other_repo") for text in after.values()) == places
    # Nothing else was touched.
    for path, text in before.items():
        assert after[path].replace("some-one/an.other_repo", name) == text
