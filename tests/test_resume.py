"""A training that was interrupted ends exactly as if it had not been: bit for bit, on a CPU."""

import itertools
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from s10 import InputError, eval_batches, fit, seed_everything, train_batches
from s10.checkpoints import CheckpointFolder
from s10.networks import make_network
from s10.runs import Run
from s10.schedules import one_cycle
from s10.team import Team
from s10.training import OutOfMemory, make_optimizer


class Died(Exception):
    """What a killed process looks like from inside: nothing runs after it."""


class Counted:
    """Batches that count how many were drawn, and end the training instead of the n-th of it.

    The count is what shows that a training went on: one that begins anew ends
    with the same bits, too.
    """

    starts_anywhere = True

    def __init__(self, batches, dies_before=None):
        self.batches, self.dies_before, self.drawn = batches, dies_before, 0
        self.fingerprint = batches.fingerprint

    def __len__(self):
        return len(self.batches)

    def set_epoch(self, *where):
        self.batches.set_epoch(*where)

    def __iter__(self):
        for batch in self.batches:
            if self.drawn + 1 == self.dies_before:
                raise Died
            self.drawn += 1
            yield batch


def train(few, recipe, folder=None, *, dies_before=None, workers=0, minutes=0, resume=False):
    """One training in a new network; gives back the fit and the network."""
    seed_everything(recipe.seed)
    model = make_network(recipe, len(few.classes))
    batches = Counted(train_batches(few, recipe, workers=workers), dies_before)
    result = fit(
        model, batches, eval_batches(few), recipe, few.classes, checkpoints=folder,
        resume=resume, minutes=minutes,
    )  # fmt: skip
    result.drawn = batches.drawn
    return result, model


def assert_same(one, other):
    """Weights, history and predictions are equal to the last bit."""
    (first, first_model), (second, second_model) = one, other
    for name, value in first_model.state_dict().items():
        assert torch.equal(value, second_model.state_dict()[name]), name
    columns = [name for name in first.history if name != "seconds"]
    assert first.history[columns].equals(second.history[columns])
    assert np.array_equal(first.predictions.logits, second.predictions.logits)


@pytest.fixture
def whole(few, tiny):
    """The training that nothing interrupted."""
    return train(few, tiny)


@pytest.mark.parametrize("dies_before", range(1, 13))
def test_wherever_it_dies_it_ends_the_same(few, tiny, tmp_path, whole, dies_before):
    """3 epochs of 4 batches, a checkpoint after each: before each of the 12 it dies once."""
    with pytest.raises(Died):
        train(few, tiny, tmp_path, dies_before=dies_before)
    again = train(few, tiny, tmp_path, resume=True)
    assert_same(whole, again)
    assert again[0].drawn == 12 - (dies_before - 1)  # Not a step is made twice.


@pytest.mark.parametrize(("minutes", "left"), [(0, 12 - 5 - 3), (5, 12 - 4)])
def test_twice_interrupted(few, tiny, tmp_path, whole, minutes, left, monkeypatch):
    monkeypatch.setattr("s10.session.SECONDS", 0)  # These epochs are short.
    for dies_before in (6, 4):
        with pytest.raises(Died):
            train(few, tiny, tmp_path, dies_before=dies_before, resume=True, minutes=minutes)
    again = train(few, tiny, tmp_path, resume=True)
    assert_same(whole, again)
    assert again[0].drawn == left


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("dies_before", [3, 5, 7])
def test_with_albumentations_and_its_workers(few, tiny, tmp_path, workers, dies_before):
    recipe = replace(tiny, augment="albumentations", epochs=2)
    whole = train(few, recipe)
    with pytest.raises(Died):
        train(few, recipe, tmp_path, dies_before=dies_before, workers=workers)
    # Not even the number of workers matters.
    again = train(few, recipe, tmp_path, resume=True, workers=2 - workers)
    assert_same(whole, again)
    assert again[0].drawn == 8 - (dies_before - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"network": "eva8-s8"},  # Its dropout draws from the global random state.
        {"optimizer": "sgd"},
        {"precision": "bf16"},
        {"schedule": "one_cycle_per_epoch", "epochs": 4, "peak_epoch": 2},
        {"schedule": "one_cycle_stepped_once_an_epoch"},
        {"anneal": "cos", "final_lr": 1e-7, "peak_epoch": 1.5},
        {"optimizer": "muon", "lr_max": 0.1},
        {"network": "whitened_net", "flip_alternately": True, "small_until": 0.5},
    ],
)
@pytest.mark.parametrize("dies_before", [5, 7])
def test_whatever_the_recipe(few, tiny, tmp_path, change, dies_before):
    recipe = replace(tiny, **change)
    whole = train(few, recipe)
    with pytest.raises(Died):
        train(few, recipe, tmp_path, dies_before=dies_before)
    random.seed(5)  # A new process has another state.
    np.random.seed(5)
    again = train(few, recipe, tmp_path, resume=True)
    assert_same(whole, again)
    assert again[0].drawn == 4 * recipe.epochs - (dies_before - 1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_a_gpu_with_deterministic_algorithms(tmp_path, precision):
    """By the command line, in processes of their own, as the flag must come first of all."""
    arguments = ("train", "--data", "shapes", "--width", "8", "--epochs", "3", "--deterministic",
                 "--precision", precision, "--checkpoint-minutes", "0")  # fmt: skip

    def s10(*words, stop=False):
        process = subprocess.Popen([sys.executable, "-m", "s10", *map(str, words)])
        if stop:
            while len(CheckpointFolder(tmp_path / "part" / "checkpoints").files()) < 2:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
        return process.wait(timeout=300)

    assert s10(*arguments, "--out", tmp_path / "whole") == 0
    assert s10(*arguments, "--out", tmp_path / "part", stop=True) == 143
    assert s10("train", "--resume", tmp_path / "part", "--deterministic") == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("part", "whole"))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_finished_training_is_only_evaluated(few, tiny, tmp_path, whole):
    train(few, tiny, tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    again = train(few, tiny, tmp_path, resume=True)
    assert_same(whole, again)
    assert again[0].drawn == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_without_a_checkpoint_it_begins_at_the_beginning(few, tiny, tmp_path, whole):
    assert_same(whole, train(few, tiny, tmp_path / "new", resume=True))


def test_checkpoints_change_nothing_and_the_last_two_are_kept(few, tiny, tmp_path, whole):
    assert_same(whole, train(few, tiny, tmp_path))
    # After each of 12 steps, and of 3 epochs.
    assert [path.name for path in CheckpointFolder(tmp_path).files()] == [
        "000014.checkpoint",
        "000015.checkpoint",
    ]


def test_between_the_minutes_only_epochs_are_kept(few, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("s10.session.SECONDS", 0)
    train(few, tiny, tmp_path, minutes=60)
    assert CheckpointFolder(tmp_path).files()[-1].name == "000003.checkpoint"


@pytest.fixture
def slow_clock(monkeypatch):
    """Looks at the clock take `tick` seconds each; `saved` has (when, epoch, step)."""

    class Clock:
        tick, now, saved = 10.0, 0.0, []

        def monotonic(self):
            self.now += self.tick
            return self.now

    clock, save = Clock(), CheckpointFolder.save

    def note(folder, tensors, notes):
        clock.saved.append((clock.now, notes["epoch"], notes["step"]))
        return save(folder, tensors, notes)

    monkeypatch.setattr("s10.session.time.monotonic", clock.monotonic)
    monkeypatch.setattr(CheckpointFolder, "save", note)
    return clock


def test_within_an_epoch_it_is_kept_every_so_many_minutes(few, tiny, tmp_path, slow_clock):
    """By a clock on which each look at it takes 10 seconds: kept after 5 minutes, not before."""
    recipe = replace(tiny, epochs=1, peak_epoch=1, batch_size=2)  # 100 steps
    train(few, recipe, tmp_path, minutes=5)
    times = [0.0, *(when for when, _, step in slow_clock.saved if step)]
    assert len(times) > 3
    assert all(300 < b - a < 360 for a, b in itertools.pairwise(times))


def test_after_short_epochs_it_is_kept_every_ten_seconds_and_at_the_end(
    few, tiny, tmp_path, slow_clock
):
    """Where an epoch takes a third of a second, a checkpoint after each would take as long."""
    slow_clock.tick = 0.25
    recipe = replace(tiny, epochs=24, peak_epoch=5)  # 4 steps an epoch: below 2 seconds
    result, _ = train(few, recipe, tmp_path, minutes=5)
    assert len(result.history) == 24
    times = [when for when, _, _ in slow_clock.saved]
    assert len(times) > 3
    assert all(10 <= b - a < 13 for a, b in itertools.pairwise([0.0, *times[:-1]]))
    # (epoch, step) of where it would go on: each between two epochs, the last at the very end.
    assert all(step == 0 for _, _, step in slow_clock.saved)
    assert slow_clock.saved[-1][1] == 25


def test_stopped_soon_after_it_went_on_it_still_has_predictions(few, tiny, tmp_path):
    """What the cells and the pictures behind a training need, if one epoch at least is there."""
    with pytest.raises(Died):
        train(few, tiny, tmp_path, dies_before=6)
    seed_everything(0)
    model = make_network(tiny, len(few.classes))
    batches = Counted(train_batches(few, tiny))

    def stop_once(*_):
        handle.remove()
        os.kill(os.getpid(), signal.SIGINT)

    handle = model.register_forward_hook(stop_once)
    result = fit(
        model, batches, eval_batches(few), tiny, few.classes, checkpoints=tmp_path, resume=True,
    )  # fmt: skip
    assert result.interrupted
    assert batches.drawn == 1
    assert len(result.history) == 1
    assert len(result.predictions.labels) == len(few.test_labels)


@pytest.mark.parametrize(
    ("seconds", "dies_at", "history"), [(0, 3, [1, 2, 2, 3]), (10, 4, [1, 2, 3, 1, 2, 3])]
)
def test_metrics_csv_is_whole_wherever_it_was_killed(
    few, tiny, tmp_path, monkeypatch, seconds, dies_at, history
):
    """Also between the writing of an epoch's row and of a checkpoint that holds it."""
    monkeypatch.setattr("s10.session.SECONDS", seconds)
    run = Run.start(tmp_path, tiny)
    save, counts = CheckpointFolder.save, []

    def dies(folder, tensors, notes):
        if notes["epoch"] == dies_at:
            raise Died
        return save(folder, tensors, notes)

    def training():
        def on_epoch(row):
            run.add_epoch(row)
            counts.append(len(run.history()))

        seed_everything(0)
        fit(
            make_network(tiny, 10), train_batches(few, tiny), eval_batches(few), tiny, few.classes,
            checkpoints=run.checkpoints, resume=True, on_epoch=on_epoch,
        )  # fmt: skip

    monkeypatch.setattr(CheckpointFolder, "save", dies)
    with pytest.raises(Died):
        training()
    assert counts == history[: dies_at - 1]
    monkeypatch.undo()
    training()
    assert counts == history


def test_going_on_under_other_conditions_is_said(few, tiny, tmp_path, capsys, monkeypatch):
    with pytest.raises(Died):
        train(few, tiny, tmp_path, dies_before=6)
    monkeypatch.setattr("s10.session.describe", lambda device: "a Tesla T4")
    train(few, tiny, tmp_path, resume=True)
    assert "not to the same last bit as without a break: device was" in capsys.readouterr().out
    monkeypatch.undo()


def test_a_gpu_without_memory_is_named_wherever_it_finds_out(few, tiny):
    for error in (
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ):
        model = make_network(tiny, len(few.classes))

        def fails(*_, error=error):
            raise error

        model.layer1.register_forward_hook(fails)
        with pytest.raises(OutOfMemory, match=r"batches of 64 .* \(--batch-size 32\)"):
            fit(model, train_batches(few, tiny), eval_batches(few), tiny, few.classes)


def test_outside_the_main_thread_it_trains_as_well(few, tiny, tmp_path, whole):
    """As in a server of notebooks; signals are then left alone."""
    found = []
    thread = threading.Thread(target=lambda: found.append(train(few, tiny, tmp_path)))
    thread.start()
    thread.join()
    assert_same(whole, found[0])


OF_ONES_OWN = {
    "the recipe's with other settings": lambda model, recipe: (
        optimizer := make_optimizer(model, replace(recipe, weight_decay=0.3)),
        one_cycle(optimizer, replace(recipe, lr_max=0.02), 4),
    ),
    **{
        name: lambda model, recipe, name=name: (
            optimizer := getattr(torch.optim, name)(model.parameters(), lr=1e-3),
            torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
        )
        for name in ("Adafactor", "RMSprop", "AdamW")  # Their moments differ in shape and name.
    },
}


@pytest.mark.parametrize("name", OF_ONES_OWN)
def test_a_schedule_and_an_optimizer_of_ones_own(few, tiny, tmp_path, name):
    def run(folder, dies_before=None):
        seed_everything(0)
        model = make_network(tiny, len(few.classes))
        optimizer, scheduler = OF_ONES_OWN[name](model, tiny)
        batches = Counted(train_batches(few, tiny), dies_before)
        result = fit(
            model, batches, eval_batches(few), tiny, few.classes, optimizer=optimizer,
            scheduler=scheduler, checkpoints=folder, resume=True, minutes=0,
        )  # fmt: skip
        result.drawn = batches.drawn
        return result, model

    whole = run(tmp_path / "whole")
    with pytest.raises(Died):
        run(tmp_path / "part", 6)
    again = run(tmp_path / "part")
    assert_same(whole, again)
    assert again[0].drawn == 12 - 5


def test_batches_that_cannot_begin_in_the_middle_go_on_at_their_last_epoch(
    few, tiny, tmp_path, capsys
):
    """A DataLoader of one's own: nothing is kept within an epoch."""
    dataset = torch.utils.data.TensorDataset(
        torch.cat([images for images, _ in eval_batches(few)]),
        torch.cat([labels for _, labels in eval_batches(few)]),
    )

    def run(folder, dies_after=None):
        seed_everything(0)
        model = make_network(tiny, len(few.classes))
        loader = torch.utils.data.DataLoader(dataset, batch_size=50, shuffle=True)

        def die(row):
            if row["epoch"] == dies_after:
                raise Died

        result = fit(
            model, loader, eval_batches(few), tiny, few.classes, checkpoints=folder, resume=True,
            minutes=0, on_epoch=die,
        )  # fmt: skip
        return result, model

    whole = run(tmp_path / "whole")
    with pytest.raises(Died):
        run(tmp_path / "part", dies_after=3)
    capsys.readouterr()
    assert_same(whole, run(tmp_path / "part"))
    assert "going on after 2 of 3 epochs\n" in capsys.readouterr().out


def test_the_checkpoints_of_another_training_are_not_overwritten(few, tiny, tmp_path):
    train(few, tiny, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match="holds the checkpoints of a training; go on with it"):
        train(few, tiny, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_signal_between_two_steps_loses_nothing(few, tiny, tmp_path, whole, monkeypatch):
    """It comes just when the processes agree that there was none."""
    calls = []

    def largest(team, number):
        calls.append(number)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return number

    monkeypatch.setattr(Team, "largest", largest)
    result, _ = train(few, tiny, tmp_path, minutes=60)
    assert result.interrupted
    assert result.signal == signal.SIGTERM
    monkeypatch.undo()
    again = train(few, tiny, tmp_path, resume=True)
    assert_same(whole, again)
    assert 0 < again[0].drawn == 12 - result.drawn


def test_a_signal_in_the_last_evaluation_comes_too_late(few, tiny, tmp_path):
    def signal_at_the_end(row):
        if row["epoch"] == tiny.epochs:
            os.kill(os.getpid(), signal.SIGTERM)

    seed_everything(0)
    result = fit(
        make_network(tiny, 10), train_batches(few, tiny), eval_batches(few), tiny, few.classes,
        checkpoints=tmp_path, on_epoch=signal_at_the_end,
    )  # fmt: skip
    assert not result.interrupted
    assert len(result.history) == tiny.epochs


def test_workers_leave_signals_to_the_training(few, tiny, tmp_path):
    """A signal to the whole group of processes, as Ctrl-C is."""
    recipe = replace(tiny, augment="albumentations")
    whole = train(few, recipe)

    def to_all(row):
        if row["epoch"] == 1:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGTERM)
                os.kill(child.pid, signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)

    seed_everything(0)
    result = fit(
        make_network(recipe, 10), train_batches(few, recipe, workers=2), eval_batches(few), recipe,
        few.classes, checkpoints=tmp_path, on_epoch=to_all,
    )  # fmt: skip
    assert result.interrupted
    assert len(result.history) == 1
    again = train(few, recipe, tmp_path, resume=True, workers=2)
    assert_same(whole, again)
    assert again[0].drawn == 8


def test_what_cannot_be_kept_is_said_and_the_training_goes_on(few, tiny, tmp_path, capsys):
    seed_everything(0)
    model = make_network(tiny, len(few.classes))
    optimizer = make_optimizer(model, tiny)
    schedule = one_cycle(optimizer, tiny, 4)
    schedule.mine = {1, 2}  # Neither a tensor nor JSON.
    result = fit(
        model, train_batches(few, tiny), eval_batches(few), tiny, few.classes,
        optimizer=optimizer, scheduler=schedule, checkpoints=tmp_path,
    )  # fmt: skip
    assert len(result.history) == tiny.epochs
    assert "mine is a set, which cannot be saved; the training goes on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr_max": 0.02}, "lr_max was 0.01, not 0.02"),
        ({"seed": 3, "epochs": 4}, "seed was 0, not 3; epochs was 3, not 4"),
        ({"batch_size": 32}, "batch_size was 64, not 32"),
    ],
)
def test_another_recipe_is_refused(few, tiny, tmp_path, change, words):
    train(few, tiny, tmp_path)
    with pytest.raises(InputError, match=r"cannot go on with .*its recipe is another one") as error:
        train(few, replace(tiny, **change), tmp_path, resume=True)
    for word in words.split("; "):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_other_images_and_missing_classes_are_refused(few, shapes, tiny, tmp_path):
    train(few, tiny, tmp_path)
    brighter = replace(few, train_images=few.train_images // 2 + 100)
    with pytest.raises(InputError, match=r"fingerprint is [0-9a-f]{16}, not [0-9a-f]{16}"):
        train(brighter, tiny, tmp_path, resume=True)
    fewer = replace(few, classes=few.classes[:-1])
    with pytest.raises(InputError, match=f"other classes .*: {few.classes[-1]} missing"):
        train(fewer, tiny, tmp_path, resume=True)
    with pytest.raises(InputError, match="cannot go on"):
        train(shapes.subset(100, 100), tiny, tmp_path, resume=True)


def test_another_network_is_refused(few, tiny, tmp_path):
    """One of the learner's own, under the same recipe."""
    train(few, tiny, tmp_path)
    other = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
    with pytest.raises(InputError, match="does not fit this network"):
        fit(
            other, train_batches(few, tiny), eval_batches(few), tiny, few.classes,
            checkpoints=tmp_path, resume=True,
        )  # fmt: skip
