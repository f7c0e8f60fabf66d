"""The command line: what it does, and one clear line for everything that is wrong."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from s10 import range_test_per_batch, range_test_per_epoch
from s10.cli.arguments import make_parser, recipe_from_options
from s10.cli.main import _resume_command, main
from s10.cli.registry import CLASSES, RECIPES
from s10.cli.runs import FIGURES, Run
from s10.training import TrainState

QUICK = ["--width", "4", "--epochs", "2", "--precision", "fp32"]


@pytest.fixture
def pets(image_folder):
    """The arguments of a run that takes a second: 8 images, two batches."""
    return ["train", "--data", f"folder:{image_folder}", *QUICK, "--set", "batch_size=4"]


@pytest.fixture
def small_run(demo):
    """The folder of a run on `shapes`."""
    return demo[0]


def contents(folder):
    """All files of a run, checkpoints included."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def recipe_of(*words):
    """The recipe of `s10 train` with these options."""
    return recipe_from_options(make_parser().parse_args(["train", *words]))


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


# s10 train.


def test_train_on_a_folder_of_images(pets, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*pets, "--out", str(out)]) == 0
    output = capsys.readouterr().out
    assert "2 classes" in output
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary["class_accuracy"]) == {"cat", "dog"}
    assert summary["dataset"]["name"] == "folder:pets"
    assert summary["epochs"] == 2
    assert output.endswith("".join(f"  {out / name}\n" for name in FIGURES))
    assert all((out / name).exists() for name in FIGURES)


def test_a_run_can_be_started_from_the_recipe_of_another(pets, tmp_path, capsys):
    first, again = tmp_path / "first", tmp_path / "again"
    assert main([*pets, "--seed", "3", "--out", str(first)]) == 0
    assert main(["train", "--recipe", str(first / "recipe.json"), "--out", str(again)]) == 0
    for name in ("recipe.json", "model.safetensors"):
        assert (again / name).read_bytes() == (first / name).read_bytes()


def test_without_out_each_run_has_a_folder_of_its_own(pets, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main(pets) == 0
    (folder,) = Path("runs").iterdir()
    assert folder.name.startswith("pets-width4-seed0-")
    assert str(folder) in capsys.readouterr().out


def test_views_are_tested_after_training(pets, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*pets, "--views", "2", "--out", str(out)]) == 0
    assert "with 2 views of each image" in capsys.readouterr().out
    assert json.loads((out / "summary.json").read_text())["tta_views"] == 2


def test_resume_uses_the_recipe_of_the_run(pets, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*pets, "--seed", "3", "--out", str(out)]) == 0
    before = contents(out)
    for words in ([], ["--seed", "3"], ["--recipe", str(out), "--set", "seed=3"]):
        assert main(["train", "--resume", str(out), *words]) == 0
        assert "resuming after 2 of 2 epochs" in capsys.readouterr().out
    fails(["train", "--resume", out, "--seed", "4"], capsys, f"cannot resume {out}",
          "seed is 4, was 3")  # fmt: skip
    fails(["train", "--resume", out, "--recipe", "assignment"], capsys, "its recipe differs")
    fails(["train", "--resume", out, "--overwrite"], capsys, "no --out, no --overwrite")
    fails(["train", "--resume", tmp_path / "no"], capsys, "there is no run in")
    assert contents(out) == before


def stop_in(monkeypatch, epoch):
    """Let a run end itself by SIGTERM in this epoch."""
    after_step = TrainState.after_step

    def stop(state):
        if state.epoch == epoch:
            os.kill(os.getpid(), signal.SIGTERM)
        after_step(state)

    monkeypatch.setattr(TrainState, "after_step", stop)


@pytest.mark.parametrize(
    "words",
    [(), ("--data", "folder:pets/"), ("--data", "folder:../here/pets"),
     ("--data", "folder:../elsewhere/pets"), ("--data", "folder:~/pets")],
    ids=" ".join,
)  # fmt: skip
def test_images_are_recognized_whatever_the_path(
    image_folder, tmp_path, monkeypatch, capsys, words
):
    """A run is resumed and evaluated from another working directory, with the images moved."""
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    shutil.copytree(image_folder, elsewhere / "pets")
    image_folder.rename(here / "pets")
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(here))
    out = tmp_path / "run"
    train = ["train", "--data", "folder:pets", *QUICK, "--set", "batch_size=4"]
    with monkeypatch.context() as patch:
        stop_in(patch, 2)
        assert main([*train, "--out", str(out)]) == 143
    if not words:
        monkeypatch.chdir(tmp_path)
    elif words[1].startswith("folder:.."):
        monkeypatch.chdir(elsewhere)
    assert main(["train", "--resume", str(out), *words]) == 0
    assert "resuming after 1 of 2 epochs" in capsys.readouterr().out
    assert main(["evaluate", str(out)]) == 0


def test_a_run_without_checkpoint_begins_again_on_its_own_images_only(pets, tmp_path, capsys):
    """No checkpoint knows them by their fingerprint."""
    out = tmp_path / "run"
    recipe = recipe_of(*pets[1:])
    Run.start(out, recipe)
    fails(["train", "--resume", out, "--data", "shapes"], capsys, "data is shapes, was folder:")
    assert main(["train", "--resume", str(out), "--data", f"{recipe.data}/../pets/"]) == 0
    assert "starting at the beginning" in capsys.readouterr().out


def test_a_run_with_fp16_is_resumed_and_evaluated_on_a_cpu(pets, tmp_path, monkeypatch, capsys):
    """It was begun on a GPU, which is gone."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_in(patch, 2)
        assert main([*pets, "--out", str(out)]) == 143
    begun = (out / "recipe.json").read_text()
    (out / "recipe.json").write_text(begun.replace('"fp32"', '"fp16"'))
    monkeypatch.setattr("s10.runtime.device.cpu_has_bf16", lambda: True)
    capsys.readouterr()
    for words in (["train", "--resume", str(out)], ["evaluate", str(out)]):
        assert main([*words, "--device", "cpu"]) == 0
        assert "fp16 is for GPUs: continuing in bf16\n" in (output := capsys.readouterr().out)
        assert ("precision was fp32, is bf16" in output) == (words[0] == "train")
    # Who asks for it, is told so.
    new = tmp_path / "new"
    fails([*pets, "--precision", "fp16", "--device", "cpu", "--out", new], capsys, "for GPUs")


def test_deterministic_algorithms_on_a_cpu(pets, tmp_path):
    try:
        assert main([*pets, "--deterministic", "--out", str(tmp_path / "run")]) == 0
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


# The recipe that the options ask for.


def test_options_change_the_recipe():
    recipe = recipe_of(
        "--data", "shapes", "--width", "4", "--seed", "3", "--precision", "fp32",
        "--epochs", "48", "--lr-max", "0.02",
    )  # fmt: skip
    assert (recipe.data, recipe.width, recipe.seed) == ("shapes", 4, 3)
    assert recipe.precision == "fp32"
    assert (recipe.epochs, recipe.peak_epoch) == (48, 10)  # The peak keeps its fraction,
    assert (recipe.lr_max, recipe.lr_min) == (0.02, 2e-5)  # and LRMIN its ratio.
    assert recipe_of() == RECIPES["assignment"]
    assert recipe_of("--recipe", "laptop", "--width", "16").tta_views == 1


@pytest.mark.parametrize("name", ["assignment", "laptop-94", *list(RECIPES)[-1:]])
def test_set_changes_any_field_to_any_value(name):
    """The text of a value becomes the value again, whatever its type."""
    recipe = RECIPES[name]
    words = []
    for field, value in recipe.to_dict().items():
        words += ["--set", f"{field}={value}"]
    assert recipe_of("--set", f"class={type(recipe).__name__}", *words) == recipe


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("batch_size=256", 256), ("batch_size = 256", 256), ("lr_min=1e-6", 1e-6),
        ("lr_max=1", 1.0), ("peak_epoch=4.8", 4.8), ("flip=False", False), ("flip=true", True),
        ("augment=albumentations", "albumentations"), ("data=folder:a=b", "folder:a=b"),
        ("data=2024", "2024"), ("data=none", "none"),
    ],
)  # fmt: skip
def test_set_converts_by_the_type_of_the_field(setting, value):
    found = getattr(recipe_of("--set", setting), setting.split("=")[0].strip())
    assert found == value
    assert type(found) is type(value)


def test_set_comes_after_all_other_options():
    recipe = recipe_of("--set", "lr_min=0.001", "--lr-max", "0.02", "--set", "peak_epoch=2",
                       "--epochs", "2", "--width", "4", "--set", "width=8")  # fmt: skip
    assert (recipe.lr_max, recipe.lr_min, recipe.peak_epoch) == (0.02, 0.001, 2)
    assert recipe.width == 8


def test_set_works_for_any_class_and_may_change_it():
    recipe = recipe_of("--recipe", "laptop", "--set", "low_res_fraction=0", "--set", "tta_views=2")
    assert type(recipe) is CLASSES["LaptopRecipe"]
    assert (recipe.low_res_fraction, recipe.tta_views) == (0.0, 2)
    changed = recipe_of("--recipe", "laptop", "--set", "class=WithoutMuon")
    assert type(changed) is CLASSES["WithoutMuon"]
    assert changed.lr_max == RECIPES["laptop"].lr_max


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["batchsize=64"], ["--set has an unknown field 'batchsize'; did you mean batch_size?"]),
        (["batch_size"], ["argument --set: must be FIELD=VALUE, not batch_size"]),
        (["batch_size=many"], ["--set: batch_size must be an integer", "not 'many'"]),
        (["batch_size=64.5"], ["--set: batch_size must be an integer", "not 64.5"]),
        (["batch_size=none"], ["--set: batch_size must be an integer", "not None"]),
        (["lr_max=nan"], ["--set: lr_max must be a number above 0, not nan"]),
        (["flip=yes"], ["--set: flip must be true or false, not 'yes'"]),
        (["tta_views=2"], ["unknown field 'tta_views'"]),
        (["class=Recipes"], ["--set names a class that does not exist: 'Recipes'; did you mean"]),
        (["epochs=3", "peak_epoch=4"], ["must not be after the last epoch"]),
    ],
    ids=" ".join,
)
def test_bad_settings_are_explained(settings, parts, capsys):
    fails(["train", *(word for text in settings for word in ("--set", text))], capsys, *parts)


# s10 evaluate.


def test_evaluate_reproduces_the_result_and_draws(small_run, tmp_path, capsys):
    assert main(["evaluate", str(small_run), "--out", str(tmp_path / "figures")]) == 0
    output = capsys.readouterr().out
    accuracy = json.loads((small_run / "summary.json").read_text())["test_accuracy"]
    assert f"test accuracy {accuracy:.2%}" in output
    assert {path.name for path in (tmp_path / "figures").iterdir()} == set(FIGURES[2:])
    assert output.count("95%") == 10
    assert re.search(r"  \w+ misclassified as \w+: \d+ times", output)
    assert "views" not in output


def test_evaluate_with_several_views(small_run, capsys):
    before = contents(small_run)
    assert main(["evaluate", str(small_run), "--views", "2"]) == 0
    assert "1,000 images, 2 views of each\n" in capsys.readouterr().out
    assert contents(small_run) == before


def test_evaluate_explains_what_is_wrong(small_run, image_folder, tmp_path, capsys):
    fails(["evaluate", tmp_path / "nowhere"], capsys, "there is no run")
    fails(["evaluate", tmp_path], capsys, "recipe.json")
    fails(["evaluate", small_run, "--data", f"folder:{image_folder}"], capsys, "cat, dog", "circle")


def test_evaluate_needs_only_the_test_images(tmp_path, image_folder, capsys):
    run = tmp_path / "run"
    words = f"train --data folder:{image_folder} --width 4 --epochs 2 --out {run}"
    assert main([*words.split(), "--set", "batch_size=4"]) == 0
    accuracy = json.loads((run / "summary.json").read_text())["test_accuracy"]
    shutil.rmtree(image_folder / "train")
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    assert f"test accuracy {accuracy:.2%}" in capsys.readouterr().out


def test_figures_in_a_home_folder(small_run, tmp_path, monkeypatch):
    """In `--out=~/x` the shell leaves the ~ as it is."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(small_run), "--out=~/figures"]) == 0
    assert len(list((tmp_path / "home" / "figures").iterdir())) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# s10 lr-range.


@pytest.mark.parametrize(
    "method",
    [["--iterations", "12"], ["--method", "per-epoch", "--epochs", "3", "--images", "600"]],
    ids=["per-batch", "per-epoch"],
)
def test_lr_range(tmp_path, capsys, method):
    out = tmp_path / "range"
    arguments = ["lr-range", "--data", "shapes", "--width", "4", "--seeds", "2", *method]
    arguments += ["--set", "batch_size=64", "--out", str(out)]
    assert main(arguments) == 0
    # Per epoch, ten steps for each LR may teach this network almost nothing.
    words = "LRMAX|this choice means nothing" if "per-epoch" in method else "LRMAX"
    output = capsys.readouterr().out
    assert re.search(words, output)
    assert f"figure: {out / 'lr_range.png'}\n" in output
    found = json.loads((out / "lr_range.json").read_text())
    assert found["lr_min"] < found["lr_max"]
    assert [choice["seed"] for choice in found["choices"]] == [0, 1]
    assert found["recipe"]["class"] == "Recipe"
    assert found["recipe"]["batch_size"] == 64
    assert found["dataset"]["train_images"] == (600 if "per-epoch" in method else 5000)
    assert (out / "lr_range.png").exists()
    assert (out / "lr_range.csv").read_text().startswith("seed,lr,value,smooth\n")
    fails(arguments, capsys, "already holds a range test")


@pytest.mark.parametrize(
    "method",
    [["--iterations", "10"], ["--method", "per-epoch", "--epochs", "2", "--lr-high", "0.1"]],
    ids=["per-batch", "per-epoch"],
)
@pytest.mark.parametrize("name", ["laptop", "era1-s10-strided"])
def test_lr_range_tests_what_the_recipe_trains(name, method, few, tmp_path, monkeypatch):
    """Its own initial weights, images, normalization and optimizer, whatever the recipe."""
    monkeypatch.setattr("s10.cli.lr_range.load_dataset", lambda *_: few)
    words = [
        "lr-range", "--recipe", name, "--data", "shapes", "--width", "4", "--seeds", "2",
        "--precision", "fp32", "--set", "batch_size=100", "--device", "cpu",
    ]  # fmt: skip
    assert main([*words, *method, "--out", str(tmp_path)]) == 0
    recipe = replace(RECIPES[name], data="shapes", width=4, precision="fp32", batch_size=100)
    options = {"iterations": 10}, {"epochs": 2, "lr_high": 0.1}
    range_test, given = (
        (range_test_per_epoch, options[1]) if "--epochs" in method
        else (range_test_per_batch, options[0])
    )  # fmt: skip
    expected = range_test(
        lambda: recipe.initial_model(few), lambda each: each.train_loader(few), recipe,
        seeds=(0, 1), **given,
    ).curves  # fmt: skip
    found = pd.read_csv(tmp_path / "lr_range.csv")
    assert found["value"].tolist() == pytest.approx(expected["value"].tolist(), rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--lr-low", "0"], "smallest LR must be a number above 0"),
        (["--lr-high", "nan"], "largest LR must be a number above 0"),
        (["--lr-low", "1", "--lr-high", "0.1"], "must be below"),
        (["--iterations", "0"], "integer of at least 1"),
        (["--method", "per-epoch", "--epochs", "1"], "at least 2 LRs"),
        (["--method", "per-epoch", "--iterations", "7"], "--iterations is for --method per-batch"),
        (["--epochs", "7"], "--epochs for per-epoch"),
        (["--seeds", "0"], "at least 1"),
        (["--images", "none"], "must be an integer"),
        (["--method", "both"], "per-batch"),
    ],
)
def test_bad_ranges_give_one_line_and_leave_no_files(
    arguments, part, image_folder, monkeypatch, capsys
):
    monkeypatch.chdir(image_folder)
    before = list(image_folder.iterdir())
    defaults = ["--data", "folder:.", "--width", "4", "--device", "cpu", "--out", "range"]
    fails(["lr-range", *defaults, *arguments], capsys, part)
    assert list(image_folder.iterdir()) == before


# s10 submissions, s10 info, and the command itself.


def test_submissions_are_tabled(capsys):
    assert main(["submissions"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Test and training accuracy after epoch 24, in %.\n")
    assert all(name in output for name in ("eva4-s11", "era1-s10-strided"))


def test_info_says_what_is_here_and_how_long_a_run_takes(tmp_path, capsys, monkeypatch):
    # The real measurement is the course's; at full width it takes a minute.
    monkeypatch.setattr("s10.cli.main.predicted_minutes", lambda recipe, _: recipe.width / 32)
    assert main(["info", "--data-dir", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    for part in ("versions", "torch", "device", "precision", "not in", "width 64: 2.0 minutes",
                 "assignment, width 16: 30 seconds", "laptop, width 32: 1.0 minutes"):  # fmt: skip
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
        for option in (
            "--data", "--data-dir", "--data-url", "--recipe", "--width", "--epochs", "--lr-max",
            "--seed", "--precision", "--set", "--device", "--workers", "--views", "--out",
            "--overwrite", "--resume", "--deterministic", "--checkpoint-minutes",
        ):  # fmt: skip
            assert option in output


# What is wrong.


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--recipe", "asignment"], ["no recipe", "did you mean assignment"]),
        (["--data", "cifar"], ["no data source 'cifar'", "Did you mean cifar10"]),
        (["--data", "folder:nowhere"], ["there is no folder nowhere"]),
        (["--device", "tpu"], ["no device 'tpu'", "auto, cpu, cuda or mps"]),
        (["--set", "augment=none"], ["augment must be batched or albumentations"]),
        (["--lr-max", "0"], ["lr_max must be a number above 0"]),
        (["--lr-max", "ten"], ["--lr-max", "ten"]),
        (["--width", "0"], ["width must be an integer from 1"]),
        (["--width", "nan"], ["--width", "nan"]),
        (["--epochs", "0"], ["epochs must be an integer of at least 1"]),
        (["--set", "batch_size=0"], ["batch_size must be an integer from 1"]),
        (["--set", "batch_size=5000", "--epochs", "2"], ["no step to rise in"]),
        (["--seed", "-1"], ["seed must be an integer from 0"]),
        (["--precision", "fp16"], ["fp16 is for GPUs"]),
        (["--workers", "-1"], ["at least 0"]),
        (["--checkpoint-minutes", "-1"], ["must be a number of at least 0"]),
        (["--views", "3"], ["--views", "1, 2, 6"]),
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


def test_low_resolution_for_the_assignments_network(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text('{"class": "FastRecipe", "low_res_fraction": 0.5}')
    fails(["train", "--recipe", "mine.json", "--out", "run"], capsys, "mine.json", "32 pixels",
          "low_res_fraction")  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["mine.json"]


def test_cuda_without_a_gpu(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    fails(["train", "--data", "shapes", "--device", "cuda"], capsys, "no CUDA GPU", "--device cpu")


def test_no_command_and_a_wrong_command(capsys):
    fails([], capsys, "COMMAND")
    fails(["trian"], capsys, "trian", "train")


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


LONG = 300 * "n"


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--out", LONG], ["train", "--resume", LONG], ["train", "--recipe", LONG],
        ["train", "--data", f"folder:{LONG}"], ["train", "--data", f"folder:{LONG}/pets"],
        ["train", "--data", "cifar10", "--data-dir", LONG], ["info", "--data-dir", LONG],
        ["lr-range", "--out", LONG], ["lr-range", "--data", f"folder:{LONG}"],
        ["evaluate", LONG], ["evaluate", "RUN", "--out", LONG],
        ["evaluate", "RUN", "--data", f"folder:{LONG}"],
    ],
    ids=lambda words: " ".join(words).replace(LONG, "LONG"),
)  # fmt: skip
def test_names_that_no_file_can_have(small_run, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("s10.cli.main.predicted_minutes", lambda *_: 1.0)
    words = [str(small_run) if word == "RUN" else word for word in words]
    status, output = main(words), capsys.readouterr()
    assert (status, output.err.count("\n")) == (2, 1), output
    assert LONG in output.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["lr-range", "evaluate"])
def test_a_full_disk_ends_with_one_line_after_the_result(
    small_run, tmp_path, monkeypatch, capsys, command
):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("s10.runtime.files.os.fsync", full)
    out = tmp_path / "out"
    if command == "evaluate":
        words = ["evaluate", small_run]
    else:
        words = ["lr-range", "--data", "shapes", "--width", "4", "--seeds", "1",
                 "--iterations", "12", "--set", "batch_size=16"]  # fmt: skip
    assert main([*map(str, words), "--out", str(out)]) == 1
    output = capsys.readouterr()
    assert output.err == (
        f"s10: cannot write to {out}: No space left on device; make room there, or name another "
        "folder with --out\n"
    )
    assert ("test accuracy" if command == "evaluate" else "LRMAX") in output.out


def test_divergence_keeps_what_there_is(pets, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*pets, "--lr-max", "1e30", "--set", "lr_min=1e30", "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "the loss is" in error
    assert "LR 1e+30" in error
    assert error.count("\n") == 1
    assert (out / "recipe.json").exists()
    assert (out / "metrics.csv").read_text().startswith("epoch,lr")


@pytest.mark.parametrize(
    ("command", "place"),
    [("train", "main.train_run"), ("lr-range", "lr_range.range_test_per_batch")],
)
def test_out_of_memory_names_a_batch_size(command, place, tmp_path, monkeypatch, capsys):
    def too_much(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(f"s10.cli.{place}", too_much)
    assert main([command, "--data", "shapes", "--out", str(tmp_path)]) == 1
    assert "--set batch_size=256" in capsys.readouterr().err


def test_damaged_cifar10_is_explained(tmp_path, capsys):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    train = ["train", "--data", "cifar10", "--data-dir", tmp_path, "--out", tmp_path / "run"]
    fails(train, capsys, "data_batch_1 is missing", f"delete {folder}")
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(np.zeros(100, np.uint8).tobytes())
    fails(train, capsys, "data_batch_1 is truncated or altered")


def test_half_of_what_torchrun_announces_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    fails(["train", "--data", "shapes"], capsys, "WORLD_SIZE is 2, but RANK is not set")


def test_other_processes_do_not_repeat_an_error(monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert main(["train", "--recipe", "nothing"]) == 2
    assert capsys.readouterr().err == ""


def test_ctrl_c_at_any_other_moment_ends_with_one_line(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("s10.cli.main.recipe_from_options", stop)
    assert main(["train"]) == 130
    assert capsys.readouterr().err == "s10: stopped\n"


def test_the_command_to_resume_has_what_the_recipe_does_not_hold():
    def command(*words):
        return _resume_command(Path("my runs/1"), make_parser().parse_args(["train", *words]))

    assert command("--width", "16", "--set", "pad=2") == "s10 train --resume 'my runs/1'"
    words = command("--data-dir", "/tmp/my data", "--workers", "2", "--views", "6",
                    "--deterministic")  # fmt: skip
    assert words == (
        "s10 train --resume 'my runs/1' --data-dir '/tmp/my data' --workers 2 --views 6 "
        "--deterministic"
    )
    again = make_parser().parse_args(shlex.split(words)[1:])
    assert (again.resume, again.data_dir, again.workers) == ("my runs/1", "/tmp/my data", 2)
