"""A run that is killed, or loses its power, at every moment from its first file on."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from faults import at_every_write, damage
from matplotlib.figure import Figure
from safetensors.torch import load_file

from s10 import InputError
from s10.cli.runs import Run
from s10.cli.train import train_run


@pytest.fixture
def recipe(few, tiny, monkeypatch):
    """2 epochs of 2 batches, with figures that take no time."""
    images = few.subset(20, 10)
    for name, value in {
        "s10.cli.train.load_dataset": lambda *_: images,
        "s10.cli.train.plot_schedule": lambda *_: Figure(),
        "s10.cli.train.plot_curves": lambda *_: Figure(),
        "s10.cli.train.plot_predictions": lambda *_: {"confusion.png": Figure()},
        "s10.plots.style._png": lambda figure: b"a figure",
        "s10.cli.runs.commit": lambda: "unknown",
    }.items():
        monkeypatch.setattr(name, value)
    return replace(tiny, epochs=2, batch_size=10)


class Moments:
    """What a kill would leave in the folder at each moment, without repetitions."""

    def __init__(self, folder: Path):
        self.folder, self.states = folder, []

    def add(self) -> None:
        files = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        if files and files not in self.states:
            self.states.append(files)

    def restore(self, number: int, folder: Path) -> None:
        """Write what was left at this moment to another folder; half of what was in progress."""
        for path, content in self.states[number].items():
            copy = folder / path.relative_to(self.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
            if copy.suffix == ".part":
                damage(copy, "truncated")


def assert_same(run: Run, whole: Run) -> None:
    assert run.is_finished()
    ours, theirs = (load_file(each.folder / "model.safetensors") for each in (run, whole))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())
    metrics = (pd.read_csv(each.folder / "metrics.csv", dtype=str) for each in (run, whole))
    ours, theirs = (table.drop(columns="seconds") for table in metrics)
    assert ours.equals(theirs)
    assert {path.name for path in run.folder.iterdir()} >= {"schedule.png", "confusion.png"}


@pytest.mark.parametrize("seconds", [0, 10])
def test_killed_at_every_moment_it_goes_on(recipe, tmp_path, monkeypatch, capsys, seconds):
    """With a checkpoint after each of these short epochs, and with one at the end only."""
    monkeypatch.setattr("s10.runtime.checkpoints.SECONDS", seconds)
    moments = Moments(tmp_path / "whole")
    with monkeypatch.context() as patch:
        at_every_write(patch, moments.add)
        whole, _ = train_run(recipe, tmp_path / "whole")
    begun_again = 0
    for number, files in enumerate(moments.states):
        folder = tmp_path / str(number)
        moments.restore(number, folder)
        is_run = (folder / "recipe.json").exists()
        capsys.readouterr()
        run, _ = train_run(recipe, folder, resume=is_run)
        assert_same(run, whole)
        output = capsys.readouterr().out
        saved = any(path.suffix == ".checkpoint" for path in files)
        assert ("resuming after" in output) == saved
        assert (f"no checkpoint in {run.checkpoints} yet: starting" in output) == (
            is_run and not saved
        )
        rows = files.get(tmp_path / "whole" / "metrics.csv", b"").count(b"\n") - 1
        begun_again += rows > 0 and not saved
    assert len(moments.states) >= 20
    assert begun_again >= 2


def test_killed_while_it_replaces_another_run(recipe, tmp_path, monkeypatch):
    """It resumes, or is refused in one line and replaced by the same command."""
    monkeypatch.setattr("s10.runtime.checkpoints.SECONDS", 0)
    whole, _ = train_run(recipe, tmp_path / "whole")
    train_run(replace(recipe, seed=1), tmp_path / "run")
    moments = Moments(tmp_path / "run")
    with monkeypatch.context() as patch:
        at_every_write(patch, moments.add)
        Run.start(tmp_path / "run", recipe, overwrite=True)
    refusals = set()
    for number in range(len(moments.states)):
        folder = tmp_path / str(number)
        moments.restore(number, folder)
        try:
            run, _ = train_run(recipe, folder, resume=True)
        except InputError as error:
            refusals.add(str(error).split(": ", 1)[1].split(";")[0])
            run, _ = train_run(recipe, folder, overwrite=True)
        assert_same(run, whole)
    assert len(moments.states) >= 8
    assert refusals == {"its recipe differs: seed is 0, was 1"}


def test_after_a_power_cut_nothing_is_there_before_what_it_stands_for(
    recipe, tmp_path, monkeypatch
):
    """A file is on the disk before it gets its name, and all others' names before the summary's.

    A disk may write a later rename first, and a name before the content.
    """
    synced, unsynced_names, replaced = set(), set(), []
    fsync, rename = os.fsync, os.replace

    def record_fsync(handle):
        fsync(handle)
        found = os.fstat(handle)
        synced.add((found.st_ino, found.st_size))
        unsynced_names.difference_update(
            [path for path in unsynced_names if path.parent.stat().st_ino == found.st_ino]
        )

    def record_rename(source, target):
        found = os.stat(source)
        assert (found.st_ino, found.st_size) in synced, target
        if target.name == "summary.json":
            assert not unsynced_names
        rename(source, target)
        unsynced_names.add(target)
        replaced.append(target.name)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_rename)
    run, _ = train_run(recipe, tmp_path / "run")
    assert replaced[-1] == "summary.json"
    files = [path for path in run.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} <= set(replaced)
    assert "model.safetensors" in replaced
    assert not unsynced_names
