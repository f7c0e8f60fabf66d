"""Classes and folders of any name, on a stdout that cannot encode them: from train to evaluate."""

import io
import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from s10.cli.main import main
from s10.cli.runs import FIGURES

CLASSES = ["$1", "$5 and $100", r"\alpha", "two\nlines", "100 % {}", "_x", "x" * 120, "猫", "кошка"]


@pytest.fixture
def stdout(monkeypatch):
    """Replace stdout by one of this encoding; what was printed is its `buffer`."""

    def replace(encoding):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        return stream.buffer

    return replace


@pytest.fixture
def folder(tmp_path):
    """Images of these classes, in a folder whose name is one of them."""
    root = tmp_path / "$5 and $100 猫"
    generator = np.random.default_rng(0)
    names = list(CLASSES)
    if sys.platform == "linux":
        names.append(os.fsdecode(b"bytes \xff"))
    for split in ("train", "test"):
        for name in names:
            (root / split / name).mkdir(parents=True)
            for number in range(3):
                pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def test_names_are_text_from_train_to_evaluate(folder, tmp_path, stdout, capsys):
    out = tmp_path / "run $1"
    data = ["--data", f"folder:{folder}"]
    printed = stdout("ascii")
    words = [
        "--width",
        "4",
        "--epochs",
        "2",
        "--set",
        "batch_size=8",
        "--precision",
        "fp32",
        "--out",
        str(out),
    ]
    assert main(["train", *data, *words]) == 0
    assert rb"folder:$5 and $100 \u732b: 30 training" in printed.getvalue()
    assert all((out / name).exists() for name in FIGURES)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert {*CLASSES} < {*summary["class_accuracy"]}
    for encoding, cat in (("ascii", r"\u043a\u043e\u0448\u043a\u0430"), ("cp1251", "кошка")):
        printed = stdout(encoding)
        assert main(["evaluate", str(out)]) == 0
        lines = printed.getvalue().decode(encoding).splitlines()
        assert sum(line.startswith("  two lines ") for line in lines) >= 1
        assert any(line.startswith(f"  {cat} ") for line in lines)
    assert "Traceback" not in capsys.readouterr().err


def test_an_error_is_one_line_whatever_the_name(tmp_path, capsys):
    assert main(["train", "--data", f"folder:{tmp_path}/two\nlines\x1b[2J"]) == 2
    error = capsys.readouterr().err
    assert error == f"s10: error: there is no folder {tmp_path}/two lines�[2J\n"
