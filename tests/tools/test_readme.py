"""The READMEs: their numbers are those of results/, their code runs, their links lead somewhere."""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from s10 import Recipe, load_dataset
from s10.cli.registry import CLASSES, RECIPES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "benchmarks/README.md", "results/README.md", "RELIABILITY.md",
         "CONTRIBUTING.md", "TEACHING.md", "CHANGELOG.md")  # fmt: skip
SUMMARIES = sorted((ROOT / "results").glob("*/seed*/summary.json"))


def check(root: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, root / "tools" / "update_readme.py", "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_their_numbers_are_those_of_results():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("page", "block"), [("README.md", "training"),
                                             ("benchmarks/README.md", "speed")])  # fmt: skip
def test_a_changed_number_would_be_seen(tmp_path, page, block):
    """The check can fail: with one digit of a table changed, it does."""
    for name in ("results", "benchmarks", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "README.md", tmp_path)
    text = (tmp_path / page).read_text()
    (table,) = re.findall(rf"<!-- results: {block} -->.*?<!-- end -->", text, re.S)
    digit = re.search(r"\d\d\.(\d)", table).start(1)
    changed = table[:digit] + str((int(table[digit]) + 1) % 10) + table[digit + 1 :]
    (tmp_path / page).write_text(text.replace(table, changed))
    done = check(tmp_path)
    assert (done.returncode, done.stdout) == (
        1,
        f"{page} differs from results/; run `make readme`\n",
    )


@pytest.fixture
def update():
    spec = importlib.util.spec_from_file_location("update", ROOT / "tools" / "update_readme.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "command", "shown"),
    [
        ("assignment --width 16", "assignment --width 16",
         "`s10 train --recipe assignment --width 16`"),
        ("laptop-94", shlex.join(["python", "benchmarks/once.py", "laptop-94", "--seed", "{seed}"]),
         "`python benchmarks/once.py laptop-94`"),
        ("airbench94", "airbench94 '{seed}'", "airbench94"),
    ],
)  # fmt: skip
def test_a_contender_is_shown_as_the_command_that_runs_it(update, name, command, shown):
    assert update.called(name, command) == shown


def test_accuracies_with_test_time_augmentation_stand_apart(update, monkeypatch):
    (stored, *_) = update.runs("cifar10-width64")
    viewed = [
        {**stored, "test_accuracy": 0.94, "tta_test_accuracy": over, "seed": seed}
        | {"recipe": {**stored["recipe"], "tta_views": 2}}
        for seed, over in enumerate((0.95, 0.96))
    ]
    monkeypatch.setattr(update, "TRAINED", {"x": "s10 train"})
    monkeypatch.setattr(update, "runs", lambda name: viewed)
    assert "**94.00 %** ± 0.00: 94.00, 94.00; over 2 views 95.50 % | 0, 1 |" in update.training()
    monkeypatch.setattr(update, "runs", lambda name: [stored])
    assert "views" not in update.training()


def test_no_measured_number_stands_outside_the_blocks():
    outside = re.sub(r"<!-- results:.*?<!-- end -->", "", README, flags=re.S)
    assert not re.search(r"\d\s*%", outside)


def test_it_is_a_learners_page():
    assert len(README.splitlines()) <= 130
    first_screen = "\n".join(README.splitlines()[:20])
    assert first_screen.count("colab-badge.svg") == 6
    assert "Start with notebook 0" in first_screen


def test_cifar10_at_quarter_width_passes_90_percent():
    """The three committed runs: 24 epochs of the recipe as it stands, on the real test images."""
    summaries = [
        json.loads((ROOT / "results" / "cifar10-width16" / f"seed{n}" / "summary.json").read_text())
        for n in (0, 1, 2)
    ]
    assert [summary["seed"] for summary in summaries] == [0, 1, 2]
    assert sum(summary["test_accuracy"] for summary in summaries) / 3 >= 0.90
    for summary in summaries:
        assert summary["epochs"] == 24
        assert summary["dataset"]["test_images"] == 10_000


def test_the_demo_reaches_95_percent():
    accuracies = [
        json.loads(path.read_text())["test_accuracy"]
        for path in (ROOT / "results" / "demo").glob("seed*/summary.json")
    ]
    assert len(accuracies) == 3
    assert min(accuracies) >= 0.95


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_results_have_their_provenance_and_the_recipe_as_it_stands(path):
    summary = json.loads(path.read_text())
    for name in ("commit", "device", "precision", "versions", "seed", "dataset"):
        assert summary[name] is not None
    # Made by committed code, and by the recipe that the package has now.
    assert re.fullmatch("[0-9a-f]{40}", summary["commit"])
    folder = path.parent.parent.name.removesuffix("-h200")  # the machine
    if folder in ("demo", "demo-avx2"):
        return  # Its settings are those of the Makefile.
    recipe = CLASSES[summary["recipe"]["class"]].from_dict(summary["recipe"])
    name = folder.removesuffix(f"-{recipe.data}")
    expected = replace(
        RECIPES.get(name, RECIPES["assignment"]),
        data=summary["dataset"]["name"], seed=summary["seed"], width=recipe.width,
    )  # fmt: skip
    if folder.startswith("no-augmentation-"):
        folder = folder.removeprefix("no-augmentation-")
        expected = replace(expected, pad=0, flip=False, cutout=0)
    assert recipe == expected
    assert name in RECIPES or folder == f"{recipe.data}-width{recipe.width}"


def test_the_committed_demo_used_the_shapes_as_they_are():
    path = ROOT / "results" / "demo" / "seed0" / "summary.json"
    assert json.loads(path.read_text())["dataset"]["fingerprint"] == (
        load_dataset("shapes").fingerprint()
    )


def test_the_lr_range_fits_the_recipe():
    """LRMAX of the recipe is what the range test found, to within its stated accuracy."""
    path = ROOT / "results" / "lr-range-cifar10-width16" / "lr_range.json"
    found = json.loads(path.read_text())
    assert 0.5 < found["lr_max"] / Recipe().lr_max < 2
    assert 0.2 < found["lr_min"] / Recipe().lr_min < 5
    assert found["spread"] < found["steepest_spread"]


def test_the_committed_benchmark_holds_its_promises():
    found = json.loads((ROOT / "results" / "throughput.json").read_text())
    assert min(found["augmentation"]["ratios"].values()) >= 20
    assert [row["width"] for row in found["training"]] == [64, 16]
    assert all(row["ratio"] >= 0.95 for row in found["training"])


def test_the_library_example_runs():
    """The README's Python, in its order, with few and short epochs in place of 24."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    code = "\n".join(blocks).replace("width=16)", "width=2).with_epochs(2)")
    assert len(blocks[0].strip().splitlines()) <= 10
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert len(scope["result"].history) == 2


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\((?!http)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            slugs = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in slugs, target


def test_the_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"`s10 ([\w-]+)|\bs10 (train|info)\b", README))
    for target in re.findall(r"`?make ([\w-]+)", README):
        assert f"\n{target}:" in makefile
    for command in {name for pair in commands for name in pair if name}:
        done = subprocess.run(
            [sys.executable, "-m", "s10", command, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0
