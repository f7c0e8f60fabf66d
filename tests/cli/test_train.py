"""A run from the recipe to its folder: what is written when, and what is printed."""

import dataclasses
import json
import math
import os
import signal
from dataclasses import dataclass

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from s10 import InputError, TrainingDiverged, evaluate, fit, plot_schedule, seed_everything
from s10.cli.registry import CLASSES
from s10.cli.runs import FIGURES, Run
from s10.cli.stopwatch import Stopwatch
from s10.cli.train import MetricsFile, check_same_images, train_run
from s10.recipe import Recipe
from s10.runtime.checkpoint_files import CheckpointFolder
from s10.runtime.checkpoints import Checkpointer
from s10.runtime.distributed import SINGLE_PROCESS, DistributedContext
from s10.runtime.errors import S10Error
from s10.speed.tta import evaluate_with_tta
from s10.training import TrainState


class Died(Exception):
    """What a killed process looks like from inside: nothing runs after it."""


class OneOfTwo(DistributedContext):
    """A process that trains beside another one, which is always at the same point."""

    def __init__(self, rank, theirs=None):
        super().__init__(rank, 2)
        self.theirs = theirs

    def all_reduce_sum(self, numbers):
        return [2 * number for number in numbers]

    def all_reduce_max(self, number):
        return number

    def broadcast(self, value):
        return value

    def all_gather(self, value):
        return [value, self.theirs or value]

    def barrier(self):
        pass

    def wrap(self, model):
        return model


def metrics(run):
    """Its metrics.csv, to the last digit."""
    return pd.read_csv(run.folder / "metrics.csv", dtype=str).astype(float)


@pytest.fixture(autouse=True)
def small_shapes(few, monkeypatch):
    """200 + 100 images whatever the recipe says: each run takes a second."""
    monkeypatch.setattr("s10.cli.train.load_dataset", lambda *_: few)
    monkeypatch.setattr("s10.runtime.checkpoints.SECONDS", 0)  # These epochs are short.


def files(run):
    return {path: path.read_bytes() for path in run.existing_files()}


def stop_after_epoch(monkeypatch, epoch, number):
    """Let the run send itself a signal at the end of this epoch."""
    on_epoch = MetricsFile.on_epoch

    def write_and_stop(hook, state):
        on_epoch(hook, state)
        if len(state.history) == epoch:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(MetricsFile, "on_epoch", write_and_stop)


def test_a_run_is_written_completely(tiny, tmp_path, capsys):
    stopwatch = Stopwatch()
    run, result = train_run(tiny, tmp_path / "run", stopwatch=stopwatch)
    assert run.recipe() == tiny
    columns = [name for name in result.history if name != "seconds"]
    pd.testing.assert_frame_equal(metrics(run)[columns], result.history[columns], check_dtype=False)
    assert all((run.folder / name).exists() for name in FIGURES)
    assert run.is_finished()
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["test_accuracy"] == result.predictions.accuracy
    assert summary["epochs"] == 3
    assert list(summary["seconds"]) == ["data", "training", "evaluation", "figures"]
    assert sum(summary["seconds"].values()) == pytest.approx(summary["total_seconds"], abs=0.05)
    assert stopwatch.total >= summary["total_seconds"] - 0.01
    lines = capsys.readouterr().out.splitlines()
    words = [line.split()[0] for line in lines]
    assert words == ["device", "data", "network", "training", "LR", "epoch", "epoch", "epoch"]
    assert "CustomResNet, width 4: 26,350 parameters" in lines[2]
    assert lines[3].endswith("3 epochs of 4 batches of 64, AdamW, batched augmentation, seed 0")
    assert lines[4].endswith("1e-05 up to 0.01 in epoch 1, down to 1e-05")


def test_the_metrics_are_written_after_each_epoch(tiny, tmp_path, monkeypatch):
    counts, save_history = [], Run.save_history

    def count(run, history):
        save_history(run, history)
        counts.append(len(metrics(run)))

    monkeypatch.setattr(Run, "save_history", count)
    train_run(tiny, tmp_path / "run")
    assert counts == [0, 1, 2, 3, 3]  # At the start, after each epoch, at the end.


def count_rows(monkeypatch):
    """A list to which the rows of metrics.csv after each epoch are added."""
    counts, on_epoch = [], MetricsFile.on_epoch

    def count(hook, state):
        on_epoch(hook, state)
        counts.append(len(metrics(hook.run)))

    monkeypatch.setattr(MetricsFile, "on_epoch", count)
    return counts


def die_while_saving(monkeypatch, epoch):
    """Let the run die while it saves the checkpoint after this epoch."""
    save = CheckpointFolder.save

    def die(folder, content):
        if content["epoch"] == epoch + 1:
            raise Died
        return save(folder, content)

    monkeypatch.setattr(CheckpointFolder, "save", die)


def test_an_epoch_that_is_trained_again_is_written_again(tiny, tmp_path, monkeypatch):
    """Killed between the writing of an epoch's row and of the checkpoint that holds it."""
    counts = count_rows(monkeypatch)
    with monkeypatch.context() as patch:
        die_while_saving(patch, epoch=2)
        with pytest.raises(Died):
            train_run(tiny, tmp_path / "run")
    assert counts == [1, 2]
    train_run(tiny, tmp_path / "run", resume=True)
    assert counts == [1, 2, 2, 3]


def test_a_run_without_a_checkpoint_starts_its_metrics_again(few, tiny, tmp_path, monkeypatch):
    """Its epochs are shorter than the time between two, and it died at the first checkpoint."""
    monkeypatch.setattr("s10.runtime.checkpoints.SECONDS", math.inf)
    run, counts = Run.start(tmp_path, tiny), count_rows(monkeypatch)

    def train():
        seed_everything(0)
        checkpointer = Checkpointer(run.checkpoints, resume=True, minutes=math.inf)
        hooks = [MetricsFile(run), checkpointer]
        fit(tiny.make_model(), tiny.train_loader(few), tiny.test_loader(few), tiny, few.classes,
            hooks=hooks)  # fmt: skip

    with monkeypatch.context() as patch:
        die_while_saving(patch, epoch=3)
        with pytest.raises(Died):
            train()
    train()
    assert counts == [1, 2, 3, 1, 2, 3]


def test_training_continues_without_room_for_the_metrics(tiny, tmp_path, monkeypatch, capsys):
    save_history = Run.save_history

    def full(run, history):
        if len(history) == 2:
            raise OSError(28, "No space left on device")
        save_history(run, history)

    monkeypatch.setattr(Run, "save_history", full)
    run, _ = train_run(tiny, tmp_path / "run")
    assert len(metrics(run)) == 3
    assert capsys.readouterr().out.count("No space left on device; training continues") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_and_ends_the_same(tiny, tmp_path, monkeypatch, capsys, number):
    whole, _ = train_run(tiny, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_after_epoch(patch, 1, number)
        run, result = train_run(tiny, tmp_path / "run")
    assert result.interrupted
    assert result.signal == number
    assert len(metrics(run)) == 1
    # After SIGTERM there may be no time for more than the history.
    assert (run.folder / "model.safetensors").exists() == (number == signal.SIGINT)
    if number == signal.SIGINT:
        summary = json.loads((run.folder / "summary.json").read_text())
        assert summary["interrupted"]
        assert summary["epochs"] == 1
    assert not run.is_finished()
    capsys.readouterr()
    run, result = train_run(tiny, run.folder, resume=True)
    assert "resuming after 1 of 3 epochs" in capsys.readouterr().out
    assert run.is_finished()
    assert result.history["epoch"].tolist() == metrics(run)["epoch"].tolist() == [1, 2, 3]
    ours, theirs = (load_file(r.folder / "model.safetensors") for r in (run, whole))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize("resumed", [False, True])
def test_stopped_within_an_epoch_the_summary_is_that_of_the_weights(
    few, tiny, tmp_path, monkeypatch, capsys, resumed
):
    """Not that of the last whole epoch, whose weights are gone."""
    after_step = TrainState.after_step

    def stop_at(epoch, step, number):
        def stop(state):
            if (state.epoch, state.step + 1) == (epoch, step):
                os.kill(os.getpid(), number)
            after_step(state)

        monkeypatch.setattr(TrainState, "after_step", stop)

    if resumed:
        stop_at(2, 1, signal.SIGTERM)
        train_run(tiny, tmp_path / "run")
    stop_at(2, 3, signal.SIGINT)
    run, result = train_run(tiny, tmp_path / "run", resume=resumed)
    summary = json.loads((run.folder / "summary.json").read_text())
    model, _ = run.load_model()
    model.to(memory_format=torch.channels_last)
    found = evaluate(model, tiny.test_loader(few), few.classes)
    assert summary["test_accuracy"] == found.accuracy == result.predictions.accuracy
    assert summary["test_loss"] == found.loss != metrics(run)["test_loss"][0]
    assert list(summary["class_accuracy"].values()) == list(found.class_accuracy()["accuracy"])
    assert summary["position"] == result.position == "1 of 3 epochs and 3 of 4 batches"
    assert summary["train_loss"] == metrics(run)["train_loss"][0]


def test_a_finished_run_is_not_written_again(tiny, tmp_path, capsys):
    run, result = train_run(tiny, tmp_path / "run")
    before = files(run)
    again = train_run(tiny, run.folder, resume=True)[1]
    assert files(run) == before
    assert again.predictions.accuracy == result.predictions.accuracy
    assert "resuming after 3 of 3 epochs" in capsys.readouterr().out


def test_a_run_killed_before_its_first_figure_gets_it(tiny, tmp_path):
    run = Run.start(tmp_path, tiny)
    train_run(tiny, tmp_path, resume=True)
    assert (run.folder / "schedule.png").exists()


def test_a_full_disk_at_the_end_is_reported_and_the_results_can_be_written_later(
    tiny, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_model", full)
        with pytest.raises(S10Error, match="make room there, then s10 train --resume"):
            train_run(tiny, tmp_path / "run")
    assert not Run(tmp_path / "run").is_finished()
    run, _ = train_run(tiny, tmp_path / "run", resume=True)
    assert run.is_finished()


def test_another_recipe_is_refused_and_nothing_is_touched(tiny, tmp_path):
    run, _ = train_run(tiny, tmp_path / "run")
    before = files(run)
    changed = dataclasses.replace(tiny, lr_max=0.02, seed=3)
    with pytest.raises(InputError, match=r"cannot resume .*differs: seed is 3, was 0; lr_max is"):
        train_run(changed, run.folder, resume=True)
    assert files(run) == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_is_refused_before_the_data_are_loaded(tiny, tmp_path, monkeypatch, resume):
    Run.start(tmp_path, tiny)
    monkeypatch.setattr("s10.cli.train.load_dataset", lambda *_: pytest.fail("loaded the data"))
    with pytest.raises(InputError, match="recipe differs" if resume else "already holds a run"):
        train_run(dataclasses.replace(tiny, seed=1), tmp_path, resume=resume)


def test_bad_input_leaves_no_folder(tiny, tmp_path):
    impossible = dataclasses.replace(tiny, batch_size=200)  # The peak is the first step.
    for recipe, options in ((tiny, {"views": 3}), (tiny, {"device": "tpu"}), (impossible, {})):
        with pytest.raises(InputError):
            train_run(recipe, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_divergence_keeps_the_epochs_so_far(tiny, tmp_path, monkeypatch):
    def diverge(state):
        if state.epoch == 2:
            raise TrainingDiverged("the loss is nan")

    monkeypatch.setattr("s10.training.TrainState.after_step", diverge)
    with pytest.raises(TrainingDiverged):
        train_run(tiny, tmp_path / "run")
    run = Run(tmp_path / "run")
    assert len(metrics(run)) == 1
    assert len(CheckpointFolder(run.checkpoints).files()) == 1


# Test-time augmentation.


@dataclass(frozen=True)
class SixViews(Recipe):
    tta_views: int = 6


@pytest.mark.parametrize("by", ["option", "recipe"])
def test_test_time_augmentation_is_stated_separately(few, tiny, tmp_path, capsys, monkeypatch, by):
    fields = {name: value for name, value in tiny.to_dict().items() if name != "class"}
    monkeypatch.setitem(CLASSES, "SixViews", SixViews)
    recipe = SixViews(**fields) if by == "recipe" else tiny
    run, result = train_run(recipe, tmp_path / "run", views=6 if by == "option" else None)
    summary = json.loads((run.folder / "summary.json").read_text())
    model, _ = run.load_model()
    predictions = evaluate_with_tta(model, tiny.test_loader(few), few.classes, views=6)
    assert summary["tta_test_accuracy"] == predictions.accuracy
    assert summary["tta_views"] == 6
    assert summary["test_accuracy"] == result.predictions.accuracy
    accuracy = f"{summary['tta_test_accuracy']:.2%}"
    assert f"test accuracy {accuracy} with 6 views of each image\n" in capsys.readouterr().out


def test_an_interrupted_run_is_not_augmented(tiny, tmp_path, monkeypatch, capsys):
    stop_after_epoch(monkeypatch, 1, signal.SIGINT)
    train_run(tiny, tmp_path / "run", views=2)
    assert "views" not in capsys.readouterr().out


# Several processes.


def test_only_the_main_process_prints_and_writes(tiny, tmp_path, capsys):
    batches = dataclasses.replace(tiny, epochs=1)
    run, result = train_run(batches, tmp_path / "run", context=OneOfTwo(1))
    assert capsys.readouterr().out == ""
    assert not run.folder.exists()
    assert len(result.history) == 1
    train_run(batches, tmp_path / "run", context=OneOfTwo(0))
    output = capsys.readouterr().out
    assert "processes  2, each trains on its shard of every batch" in output
    assert output.count("epoch  1/1") == 1
    assert run.is_finished()


def test_a_machine_with_other_images_is_named(few, tiny, tmp_path):
    """Each process on its own machine, say, and one of them has another folder of images."""
    other = ("another fingerprint", few.classes)
    with pytest.raises(InputError, match="process 1 has other images than process 0"):
        train_run(tiny, tmp_path / "run", context=OneOfTwo(0, other))
    assert not (tmp_path / "run").exists()
    for context in (OneOfTwo(0), SINGLE_PROCESS):
        check_same_images(few, context)


def test_the_schedule_that_is_drawn_is_the_recipes(tiny, tmp_path, monkeypatch):
    drawn = []

    def plot(lrs, momenta, steps):
        drawn.append((lrs, momenta, steps))
        return plot_schedule(lrs, momenta, steps)

    monkeypatch.setattr("s10.cli.train.plot_schedule", plot)
    train_run(tiny, tmp_path / "run")
    ((lrs, momenta, steps),) = drawn
    assert (len(lrs), steps) == (12, 4)
    assert lrs[3] == max(lrs) == pytest.approx(tiny.lr_max)
    assert momenta[3] == min(momenta) == pytest.approx(tiny.momentum_min)
