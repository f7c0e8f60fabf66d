"""The notebooks on a learner's own images: few of them, two classes or many, no mistakes at all."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from s10 import Predictions

# All but notebook 0, which loads no images of the learner's.
NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("0[1-9]*.py"))
SETUP = "env = setup()"


def make_images(folder, train: dict[str, int], test: int = 2):
    """A folder with so many training images of each class, which differ in their color."""
    generator = np.random.default_rng(0)
    for label, (name, count) in enumerate(train.items()):
        color = np.array([label % 2, label // 2 % 2, label // 4 % 2]) * 150
        for split, images in (("train", count), ("test", test)):
            (folder / split / name).mkdir(parents=True)
            for number in range(images):
                pixels = color + generator.integers(0, 100, (32, 32, 3))
                path = folder / split / name / f"{number}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder


def run_cells(script: Path, data: str) -> None:
    """Run all cells with `setup(data=data)`, and draw the figures that end them."""
    source = script.read_text()
    assert source.count(SETUP) == 1
    source = source.replace(SETUP, f"env = setup(data={data!r})")
    namespace = {"__name__": "__main__"}
    for cell in re.split(r"^# %%.*$", source, flags=re.M):
        body = ast.parse(cell).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), script.name, "exec"), namespace)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), script.name, "eval"), namespace)
            if hasattr(value, "_repr_png_"):
                value._repr_png_()


@pytest.fixture(autouse=True)
def smoke(monkeypatch):
    monkeypatch.setenv("S10_SMOKE", "1")
    monkeypatch.setenv("S10_STATIC", "1")


each = pytest.mark.parametrize("script", NOTEBOOKS, ids=lambda script: script.stem)


@each
def test_two_classes_few_images_and_no_mistakes(script, tmp_path, monkeypatch):
    """Sixteen images make one batch of the usual size, and one class has fewer than ten."""
    monkeypatch.setattr(Predictions, "predicted", property(lambda self: self.labels))
    folder = make_images(tmp_path / "pets", {"cat": 12, "dog": 4})
    run_cells(script, f"folder:{folder}")


@pytest.mark.slow
@each
@pytest.mark.parametrize(
    "train", [{"cat": 12, "dog": 4}, {f"class {n}": 3 for n in range(12)}, {"a": 300, "b": 150}],
    ids=["few", "twelve classes", "450 images"],
)  # fmt: skip
def test_own_images(script, train, tmp_path):
    run_cells(script, f"folder:{make_images(tmp_path / 'own', train)}")
