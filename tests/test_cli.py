"""The command line: what it does, and one clear line for everything that is wrong."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from s10.arguments import make_parser
from s10.cli import _how_to_go_on, main
from s10.runs import PICTURES

QUICK = ["--width", "4", "--epochs", "2", "--precision", "fp32"]


def contents(folder):
    """All files of a run, checkpoints included."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fails(arguments, capsys, *parts):
    """Status 2, exactly one line on stderr with these parts in it, nothing on stdout."""
    status = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    assert status == 2, output
    assert output.err.startswith("s10: error: ")
    assert output.err.count("\n") == 1
    assert output.out == ""
    for part in parts:
        assert part in output.err


def test_train_on_a_folder_of_pictures(image_folder, tmp_path, capsys):
    out = tmp_path / "run"
    status = main(
        [
            "train",
            "--data",
            f"folder:{image_folder}",
            *QUICK,
            "--batch-size",
            "4",
            "--out",
            str(out),
        ]
    )
    assert status == 0
    assert "2 classes" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["class_accuracy"]) == {"cat", "dog"}
    assert summary["dataset"]["name"] == "folder:pets"
    assert summary["epochs"] == 2
    assert all((out / name).exists() for name in PICTURES)


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """A run over `shapes` that took seconds."""
    out = tmp_path_factory.mktemp("small") / "run"
    assert main(["train", "--data", "shapes", *QUICK, "--out", str(out)]) == 0
    return out


def test_a_run_can_be_started_from_the_recipe_of_another(small_run, tmp_path, capsys):
    out = tmp_path / "again"
    assert main(["train", "--recipe", str(small_run / "recipe.json"), "--out", str(out)]) == 0
    for name in ("recipe.json", "model.safetensors"):
        assert (out / name).read_bytes() == (small_run / name).read_bytes()


def test_options_change_the_recipe(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "--data", "shapes", *QUICK, "--out", str(out), "--seed", "3"]
    arguments += ["--lr-max", "0.02", "--lr-min", "0.001", "--augment", "albumentations"]
    assert main([*arguments, "--batch-size", "1000", "--peak-epoch", "2"]) == 0
    recipe = json.loads((out / "recipe.json").read_text())
    for name, value in {
        "seed": 3, "lr_max": 0.02, "lr_min": 0.001, "augment": "albumentations", "epochs": 2,
        "batch_size": 1000, "peak_epoch": 2, "width": 4, "data": "shapes",
    }.items():  # fmt: skip
        assert recipe[name] == value


def test_without_out_each_run_has_a_folder_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--data", "shapes", *QUICK]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("shapes-width4-seed0-")
    assert str(folder.relative_to(tmp_path)) in capsys.readouterr().out


def test_evaluate_repeats_the_result_and_draws(small_run, tmp_path, capsys):
    assert main(["evaluate", str(small_run), "--out", str(tmp_path / "pictures")]) == 0
    output = capsys.readouterr().out
    accuracy = json.loads((small_run / "summary.json").read_text())["test_accuracy"]
    assert f"test accuracy {accuracy:.2%}" in output
    assert (tmp_path / "pictures" / "confusion.png").exists()
    assert output.count("95 %") == 10


def test_evaluate_leaves_the_run_alone(small_run, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in small_run.iterdir()}
    assert main(["evaluate", str(small_run)]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in small_run.iterdir()} == before


@pytest.mark.parametrize(
    "method",
    [["--iterations", "12"], ["--method", "per-epoch", "--epochs", "3", "--images", "600"]],
    ids=["per-batch", "per-epoch"],
)
def test_lr_range(tmp_path, capsys, method):
    out = tmp_path / "range"
    arguments = ["lr-range", "--data", "shapes", "--width", "4", "--seeds", "2", *method]
    assert main([*arguments, "--batch-size", "64", "--out", str(out)]) == 0
    # Per epoch, ten steps for each LR may teach this network as good as nothing.
    words = "LRMAX|no choice to trust" if "per-epoch" in method else "LRMAX"
    assert re.search(words, capsys.readouterr().out)
    found = json.loads((out / "lr_range.json").read_text())
    assert found["lr_min"] < found["lr_max"]
    assert len(found["choices"]) == 2
    assert (out / "lr_range.png").exists()
    assert (out / "lr_range.csv").read_text().startswith("seed,lr,value,smooth\n")
    fails([*arguments, "--out", out], capsys, "already holds a range test")


def test_info_says_what_is_here_and_how_long_a_run_takes(tmp_path, capsys, monkeypatch):
    # The real measurement is tested in test_preflight; at full width it takes a minute.
    import s10.preflight

    monkeypatch.setattr(s10.preflight, "predicted_minutes", lambda recipe, _: recipe.width)
    assert main(["info", "--data-dir", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    for part in ("versions", "torch", "device", "precision", "not in", "width 64", "width 16"):
        assert part in output


def test_the_command_and_the_module_are_the_same(tmp_path):
    script = os.path.join(os.path.dirname(sys.executable), "s10")
    for command in ([script], [sys.executable, "-m", "s10"]):
        done = subprocess.run(
            [*command, "train", "--data", "shape"], capture_output=True, text=True, cwd=tmp_path,
            check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert done.stderr.strip().endswith("Did you mean shapes?")
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [[], ["train"], ["lr-range"], ["evaluate"], ["info"]])
def test_help_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    output = capsys.readouterr().out
    assert "usage: s10" in output
    if command == ["train"]:
        for option in ("--data", "--data-dir", "--data-url", "--recipe", "--width", "--epochs",
                       "--lr-max", "--seed", "--device", "--augment", "--out"):  # fmt: skip
            assert option in output


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--recipe", "asignment"], ["no recipe", "did you mean assignment"]),
        (["--data", "cifar"], ["no data source 'cifar'", "Did you mean cifar10"]),
        (["--data", "folder:nowhere"], ["there is no folder nowhere"]),
        (["--device", "tpu"], ["no device 'tpu'", "auto, cpu or cuda"]),
        (["--augment", "none"], ["augment must be batched or albumentations"]),
        (["--lr-max", "0"], ["lr_max must be a number above 0"]),
        (["--lr-max", "-1"], ["lr_max must be a number above 0"]),
        (["--lr-max", "nan"], ["lr_max must be a number above 0"]),
        (["--lr-max", "ten"], ["--lr-max", "ten"]),
        (["--width", "0"], ["width must be a whole number of at least 1"]),
        (["--width", "-3"], ["width"]),
        (["--width", "nan"], ["--width", "nan"]),
        (["--epochs", "0"], ["epochs must be a whole number of at least 1"]),
        (["--epochs", "-1"], ["epochs"]),
        (["--batch-size", "0"], ["batch_size must be a whole number of at least 1"]),
        (["--batch-size", "-512"], ["batch_size"]),
        (["--batch-size", "5000", "--epochs", "2"], ["no step to rise in"]),
        (["--seed", "-1"], ["seed must be a whole number from 0"]),
        (["--precision", "fp16"], ["fp16 is for GPUs"]),
        (["--workers", "-1"], ["at least 0"]),
        (["--unknown"], ["--unknown"]),
        (["--recipe", "missing.json"], ["cannot read the recipe missing.json"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_bad_input_gives_one_line_and_leaves_no_files(
    arguments, parts, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    defaults = ["--data", "shapes", "--width", "4", "--device", "cpu", "--out", "run"]
    fails(["train", *defaults, *arguments], capsys, *parts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--lr-low", "0"], "smallest LR must be a number above 0"),
        (["--lr-high", "nan"], "largest LR must be a number above 0"),
        (["--lr-low", "1", "--lr-high", "0.1"], "must be below"),
        (["--iterations", "0"], "whole number of at least 1"),
        (["--method", "per-epoch", "--epochs", "1"], "at least 2 LRs"),
        (["--seeds", "0"], "at least 1"),
        (["--images", "none"], "whole number"),
        (["--method", "both"], "per-batch"),
    ],
)
def test_bad_ranges_give_one_line_and_leave_no_files(
    arguments, part, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    defaults = ["--data", "shapes", "--width", "4", "--device", "cpu", "--out", "range"]
    fails(["lr-range", *defaults, *arguments], capsys, part)
    assert list(tmp_path.iterdir()) == []


def test_small_pictures_for_the_assignments_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text('{"data": "shapes", "width": 2, "small_until": 0.5}')
    fails(["train", "--recipe", "mine.json", "--out", "run"], capsys, "small_until", "32 pixels")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


def test_cuda_without_a_gpu(capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    fails(["train", "--data", "shapes", "--device", "cuda"], capsys, "no CUDA GPU", "--device cpu")


def test_no_command_and_a_wrong_command(capsys):
    fails([], capsys, "COMMAND")
    fails(["trian"], capsys, "trian", "train")


def test_a_mistyped_field_of_a_recipe(tmp_path, capsys):
    path = tmp_path / "mine.json"
    path.write_text('{"batchsize": 64}')
    fails(["train", "--recipe", path], capsys, "'batchsize'", "did you mean batch_size")
    path.write_text('{"epochs": "many"}')
    fails(["train", "--recipe", path], capsys, "epochs must be", "'many'")


def test_an_existing_run_is_kept(small_run, capsys):
    before = contents(small_run)
    fails(["train", "--data", "shapes", *QUICK, "--out", small_run], capsys, "already holds a run",
          "--overwrite")  # fmt: skip
    assert contents(small_run) == before


def test_an_existing_run_survives_bad_input_with_overwrite(small_run, capsys):
    before = contents(small_run)
    fails(["train", "--data", "folder:nowhere", "--out", small_run, "--overwrite"], capsys)
    assert contents(small_run) == before


def test_an_out_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    for command in (["train", *QUICK], ["lr-range", "--width", "4"]):
        out = ["--data", "shapes", "--out", tmp_path / "file" / "run"]
        fails([*command, *out], capsys, "cannot write", "ot a directory")


def test_evaluate_explains_what_is_wrong(small_run, image_folder, tmp_path, capsys):
    fails(["evaluate", tmp_path / "nowhere"], capsys, "there is no run")
    fails(["evaluate", tmp_path], capsys, "recipe.json")
    fails(["evaluate", small_run, "--data", f"folder:{image_folder}"], capsys, "cat, dog", "circle")


def test_divergence_keeps_what_there_is(tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["train", "--data", "shapes", *QUICK, "--out", str(out)]
    assert main([*arguments, "--lr-max", "1e30", "--lr-min", "1e30"]) == 1
    error = capsys.readouterr().err
    assert "the loss is" in error
    assert "LR 1e+30" in error
    assert error.count("\n") == 1
    assert (out / "recipe.json").exists()
    assert (out / "metrics.csv").read_text().startswith("epoch,lr")


def test_out_of_memory_names_a_batch_size(monkeypatch, capsys):
    import torch

    import s10.pipeline

    def too_much(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(s10.pipeline, "train_run", too_much)
    assert main(["train", "--data", "shapes"]) == 1
    assert "--batch-size 256" in capsys.readouterr().err


def test_damaged_cifar10_is_explained(tmp_path, capsys):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    train = ["train", "--data", "cifar10", "--data-dir", tmp_path]
    fails(train, capsys, "data_batch_1 is missing", f"delete {folder}")
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(np.zeros(100, np.uint8).tobytes())
    fails(train, capsys, "data_batch_1 is truncated or altered")


def test_the_command_to_go_on_has_what_the_recipe_does_not_hold():
    def command(*words):
        return _how_to_go_on(Path("my runs/1"), make_parser().parse_args(["train", *words]))

    assert command("--width", "16") == "s10 train --resume 'my runs/1'"
    words = command("--data-dir", "/tmp/my data", "--workers", "2", "--deterministic")
    assert words == (
        "s10 train --resume 'my runs/1' --data-dir '/tmp/my data' --workers 2 --deterministic"
    )
    again = make_parser().parse_args(shlex.split(words)[1:])
    assert (again.resume, again.data_dir, again.workers) == ("my runs/1", "/tmp/my data", 2)


def test_deterministic_algorithms_on_a_cpu(tmp_path):
    import torch

    try:
        assert main(["train", "--data", "shapes", *QUICK, "--deterministic", "--out",
                     str(tmp_path / "run")]) == 0  # fmt: skip
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
