"""The README: its numbers are those of results/, its code runs, its links lead somewhere."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from s10 import RECIPES, Recipe, load_images

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
SUMMARIES = sorted((ROOT / "results").glob("*/seed*/summary.json"))


def test_its_numbers_are_those_of_results():
    done = subprocess.run(
        [sys.executable, ROOT / "results" / "update_readme.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_number_would_be_seen(tmp_path):
    """The check can fail: with one digit of the README's table changed, it does."""
    for name in ("results", "benchmarks", "README.md"):
        subprocess.run(["cp", "-r", ROOT / name, tmp_path], check=True)
    text = (tmp_path / "README.md").read_text()
    (block,) = re.findall(r"<!-- results: training -->.*?<!-- end -->", text, re.S)
    digit = re.search(r"\*\*\d\d\.(\d)", block).start(1)
    changed = block[:digit] + str((int(block[digit]) + 1) % 10) + block[digit + 1 :]
    check = [sys.executable, tmp_path / "results" / "update_readme.py", "--check"]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    (tmp_path / "README.md").write_text(text.replace(block, changed))
    assert subprocess.run(check, capture_output=True, check=False).returncode == 1


def test_accuracies_over_several_views_stand_apart(monkeypatch):
    spec = importlib.util.spec_from_file_location("update", ROOT / "results" / "update_readme.py")
    update = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(update)
    (stored, *_) = update.runs("cifar10-width64")
    viewed = [
        {**stored, "test_accuracy": 0.94, "test_accuracy_of_views": over, "seed": seed}
        | {"recipe": {**stored["recipe"], "test_views": 2}}
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


def test_cifar10_at_quarter_width_passes_90_per_cent_in_eleven_minutes():
    """The three committed runs: 24 epochs of the recipe as it stands, on the real test images."""
    summaries = [
        json.loads((ROOT / "results" / "cifar10-width16" / f"seed{n}" / "summary.json").read_text())
        for n in (0, 1, 2)
    ]
    assert [summary["seed"] for summary in summaries] == [0, 1, 2]
    assert sum(summary["test_accuracy"] for summary in summaries) / 3 >= 0.90
    for summary in summaries:
        assert summary["train_seconds"] <= 11 * 60
        assert summary["epochs"] == 24
        assert summary["dataset"]["test_images"] == 10_000


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_results_have_their_provenance_and_the_recipe_as_it_stands(path):
    summary = json.loads(path.read_text())
    for name in ("commit", "device", "precision", "versions", "seed", "dataset"):
        assert summary[name] is not None
    # Made by committed code, and by the recipe that the package has now.
    assert re.fullmatch("[0-9a-f]{40}", summary["commit"])
    recipe = Recipe.from_dict(summary["recipe"])
    name = path.parent.parent.name.removesuffix(f"-{recipe.data}")
    expected = replace(
        RECIPES.get(name, RECIPES["assignment"]),
        data=summary["dataset"]["name"], seed=summary["seed"], width=recipe.width,
    )  # fmt: skip
    assert recipe == expected
    assert name in RECIPES or path.parent.parent.name == f"{recipe.data}-width{recipe.width}"


def test_the_committed_demo_used_the_shapes_as_they_are():
    path = ROOT / "results" / "shapes-width16" / "seed0" / "summary.json"
    assert json.loads(path.read_text())["dataset"]["fingerprint"] == (
        load_images("shapes").fingerprint()
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
    """The README's Python, in its order, with one short epoch in place of 24."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    code = "\n".join(blocks).replace("width=16)", "width=2).with_epochs(2)")
    assert len(blocks[0].strip().splitlines()) <= 10
    scope = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert len(scope["result"].history) == 2


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()


def test_the_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert f"\n{target}:" in makefile
    for command in re.findall(r"\.venv/bin/s10 ([\w-]+)", README):
        done = subprocess.run(
            [sys.executable, "-m", "s10", command, "--help"], capture_output=True, check=False
        )
        assert done.returncode == 0
