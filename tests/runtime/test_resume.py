"""An interrupted run that is resumed ends as an uninterrupted one, bit for bit on a CPU."""

import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from interrupted import (
    Killed,
    Outcome,
    assert_same,
    counting,
    interrupt,
    snapshot,
    train,
)
from safetensors.torch import load_file
from torch.optim import lr_scheduler
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    Subset,
    TensorDataset,
)

from s10 import Checkpointer, CustomResNet, Hook, InputError, OneCycle, Recipe, fit, seed_everything
from s10.cli.registry import RECIPES
from s10.runtime.checkpoint_files import CheckpointFolder
from s10.runtime.checkpoints import _fingerprint
from s10.runtime.signals import SIGNALS
from s10.submissions.pitfalls import PITFALLS


@pytest.fixture(scope="module")
def dataset(shapes):
    """56 images make 3 batches of 16 and one of 8."""
    return shapes.subset(56, 20)


@pytest.fixture(scope="module")
def recipe(tiny):
    """3 epochs of 4 batches: 12 steps, and with `minutes=0` a checkpoint after each."""
    return replace(tiny, batch_size=16)


@pytest.fixture(scope="module")
def whole(dataset, recipe):
    """The uninterrupted run."""
    return train(dataset, recipe)


# Bit for bit.


@pytest.mark.parametrize("killed_before", range(1, 13))
def test_wherever_it_is_killed_it_ends_the_same(dataset, recipe, tmp_path, whole, killed_before):
    interrupt(dataset, recipe, tmp_path, killed_before)
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == 12 - (killed_before - 1)  # No step is made twice.


@pytest.mark.parametrize(("minutes", "left"), [(0, 12 - 5 - 3), (5, 12 - 4)])
def test_twice_interrupted(dataset, recipe, tmp_path, whole, minutes, left, monkeypatch):
    monkeypatch.setattr("s10.runtime.checkpoints.SECONDS", 0)  # These epochs are short.
    for killed_before in (6, 4):
        interrupt(dataset, recipe, tmp_path, killed_before, minutes=minutes)
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == left


@pytest.mark.parametrize(
    ("workers", "killed_before"),
    [(0, 3), (2, 7), *(pytest.param(w, k, marks=pytest.mark.slow)
                       for w, k in ((0, 5), (0, 7), (2, 3), (2, 5)))],
)  # fmt: skip
def test_albumentations_and_its_workers(dataset, recipe, tmp_path, workers, killed_before):
    recipe = replace(recipe, augment="albumentations", epochs=2)
    whole = train(dataset, recipe)
    interrupt(dataset, recipe, tmp_path, killed_before, workers=workers)
    # The number of workers does not matter either.
    resumed = train(dataset, recipe, tmp_path, workers=2 - workers)
    assert_same(whole, resumed)
    assert resumed.steps == 8 - (killed_before - 1)


class MomentsLikeWeights(Hook):
    """Each moment has the memory layout of its weight: another one may round otherwise."""

    def on_step(self, state):
        for weight, moments in state.optimizer.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                assert moments[name].stride() == weight.stride()
        assert any(not weight.is_contiguous() for weight in state.optimizer.state)


def test_the_optimizer_keeps_its_memory_layout(dataset, recipe, tmp_path):
    interrupt(dataset, recipe, tmp_path, 6, last_hooks=[MomentsLikeWeights()])
    assert train(dataset, recipe, tmp_path, last_hooks=[MomentsLikeWeights()]).steps == 7


class Draws(Hook):
    """Draw from all global random generators after each step, as a hook of a user may."""

    def __init__(self):
        self.numbers = []

    def on_step(self, state):
        # gauss and randn keep the second of two numbers for the next call.
        self.numbers.append(
            (random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(),
             float(torch.rand(())), float(torch.randn(())))
        )  # fmt: skip


def test_all_random_generators_continue(dataset, recipe, tmp_path):
    whole, first, second = Draws(), Draws(), Draws()
    train(dataset, recipe, hooks=[whole])
    interrupt(dataset, recipe, tmp_path, 6, hooks=[first])
    train(dataset, recipe, tmp_path, hooks=[second])
    assert first.numbers + second.numbers == whole.numbers


class Scales(Hook):
    """The loss scaler's scale after each step."""

    def __init__(self):
        self.scales = []

    def on_step(self, state):
        self.scales.append(state.scaler.get_scale())


@pytest.fixture
def fp16_scaler(monkeypatch):
    """A GPU's loss scaler on a CPU: it doubles its scale after three finite steps."""
    monkeypatch.setattr(
        "s10.runtime.device.Precision.scaler",
        lambda self: torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3),
    )


def test_the_loss_scaler_continues(dataset, recipe, tmp_path, whole, fp16_scaler):
    first, second = Scales(), Scales()
    interrupt(dataset, recipe, tmp_path, 6, last_hooks=[first])
    resumed = train(dataset, recipe, tmp_path, last_hooks=[second])
    assert first.scales + second.scales == [1024.0 * 2 ** (step // 3) for step in range(1, 13)]
    assert_same(whole, resumed)  # Scaling by powers of two changes no bit.


@pytest.mark.parametrize("scaled_first", [True, False])
def test_from_fp16_to_another_precision_and_back(
    dataset, recipe, tmp_path, monkeypatch, scaled_first
):
    """Colab gave another GPU: only one of the two has a loss scaler."""
    for scaled, killed_before in ((scaled_first, 6), (not scaled_first, None)):
        with monkeypatch.context() as patch:
            if scaled:
                patch.setattr(
                    "s10.runtime.device.Precision.scaler",
                    lambda self: torch.amp.GradScaler("cpu", init_scale=1024.0),
                )
            if killed_before:
                interrupt(dataset, recipe, tmp_path, killed_before)
            else:
                assert train(dataset, recipe, tmp_path).steps == 7


def _small(recipe: Recipe) -> Recipe:
    """Any recipe over 3 epochs (or as many as its schedule needs), with a network of width 4."""
    recipe = recipe.with_epochs(3 if recipe.peak_epoch < 3 else 4)
    return replace(
        recipe, peak_epoch=max(recipe.peak_epoch, recipe.epochs // 2),
        data="shapes", width=4, batch_size=16, precision="fp32", augment="batched",
    )  # fmt: skip


ALL_RECIPES = {
    **{name: recipe for name, recipe in RECIPES.items() if name != "assignment"},
    **{f"pitfall: {name}": pitfall.recipe(Recipe()) for name, pitfall in PITFALLS.items()},
}
QUICK = {"laptop", "laptop-94", "beyond", "assignment-94"}


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL_RECIPES],
)
def test_whatever_the_recipe(dataset, tmp_path, name):
    recipe = _small(ALL_RECIPES[name])
    whole = train(dataset, recipe)
    interrupt(dataset, recipe, tmp_path, 6)
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == len(recipe.train_loader(dataset)) * recipe.epochs - 5


@pytest.mark.parametrize("killed_before", [4, 5, 6])
def test_the_images_of_later_epochs_are_chosen_as_without_interruption(
    dataset, tmp_path, killed_before
):
    recipe = replace(_small(RECIPES["laptop-94"]), epochs=6, peak_epoch=1, lr_max=0.02, lr_min=0.01)
    whole = train(dataset, recipe)
    interrupt(dataset, recipe, tmp_path, killed_before)
    assert_same(whole, train(dataset, recipe, tmp_path))


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
        return process.wait()

    assert s10(*arguments, "--out", tmp_path / "whole") == 0
    assert s10(*arguments, "--out", tmp_path / "part", stop=True) == 143
    assert s10("train", "--resume", tmp_path / "part", "--deterministic") == 0
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("part", "whole"))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


# Parts of a user's own.

OWN_PARTS = {
    "the recipe's classes with other settings": lambda model, recipe: (
        optimizer := replace(recipe, weight_decay=0.3).make_optimizer(model),
        replace(recipe, lr_max=0.02).make_scheduler(optimizer, 4),
    ),
    "SGD and a lambda": lambda model, recipe: (
        optimizer := torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True),
        lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step),
    ),
    # Their moments differ in shape and name.
    **{
        name: lambda model, recipe, name=name: (
            optimizer := getattr(torch.optim, name)(model.parameters(), lr=1e-3),
            lr_scheduler.ExponentialLR(optimizer, 0.9),
        )
        for name in ("Adafactor", "RMSprop", "NAdam")
    },
}


@pytest.mark.parametrize("name", OWN_PARTS)
def test_another_optimizer_and_scheduler(dataset, recipe, tmp_path, name):
    def parts(model):
        return OWN_PARTS[name](model, recipe)

    whole = train(dataset, recipe, parts=parts)
    interrupt(dataset, recipe, tmp_path, 6, parts=parts)
    resumed = train(dataset, recipe, tmp_path, parts=parts)
    assert_same(whole, resumed)
    assert resumed.steps == 12 - 5


def test_an_lr_from_numpy(dataset, recipe, tmp_path):
    """Which is a float, too, but no checkpoint can hold it as it is."""

    def parts(model):
        optimizer = torch.optim.SGD(model.parameters(), np.geomspace(1e-4, 1e-2, 3)[1])
        return optimizer, lr_scheduler.ExponentialLR(optimizer, np.float64(0.9))

    whole = train(dataset, recipe, parts=parts)
    interrupt(dataset, recipe, tmp_path, 6, parts=parts)
    resumed = train(dataset, recipe, tmp_path, parts=parts)
    assert_same(whole, resumed)
    assert resumed.steps == 7


class WithFunction(OneCycle):
    """A scheduler that keeps what no checkpoint can hold."""

    def __init__(self, optimizer):
        super().__init__(
            optimizer, lr_max=0.01, lr_min=1e-5, epochs=3, steps_per_epoch=4, peak_epoch=1
        )
        self.function = lambda step: step


def test_without_a_checkpoint_training_continues(dataset, recipe, tmp_path, whole, capsys):
    def parts(model):
        return (optimizer := recipe.make_optimizer(model)), WithFunction(optimizer)

    assert_same(whole, train(dataset, recipe, tmp_path, parts=parts))
    output = capsys.readouterr().out
    assert output.count("no checkpoint: cannot write to") == 15  # After 12 steps and 3 epochs.
    assert "training continues, there is no checkpoint yet" in output
    assert "lambda" in output
    assert not CheckpointFolder(tmp_path).files()


def test_a_dataloader_resumes_after_its_last_epoch(dataset, recipe, tmp_path, capsys):
    """It cannot begin within an epoch, so there are no checkpoints there."""
    images, labels = recipe.test_loader(dataset)[0]

    class KilledAfter(Hook):
        """When the third epoch is trained, before anything of it is saved."""

        def on_epoch(self, state):
            if len(state.history) == 3:
                raise KeyError("killed")

    def run(folder, *hooks):
        seed_everything(0)
        model = recipe.initial_model(dataset)
        loader = DataLoader(TensorDataset(images, labels), batch_size=5, shuffle=True)
        result = fit(
            model, loader, recipe.test_loader(dataset), recipe, dataset.classes,
            hooks=[*hooks, Checkpointer(folder, resume=True, minutes=0)],
        )  # fmt: skip
        return result, model

    whole, weights = run(tmp_path / "whole")
    assert [path.stem for path in CheckpointFolder(tmp_path / "whole").files()] == [
        "000002", "000003",
    ]  # fmt: skip
    with pytest.raises(KeyError, match="killed"):
        run(tmp_path / "part", KilledAfter())
    capsys.readouterr()
    result, resumed = run(tmp_path / "part")
    assert "resuming after 2 of 3 epochs\n" in capsys.readouterr().out
    assert torch.equal(resumed.fc.weight, weights.fc.weight)
    assert result.history.drop(columns="seconds").equals(whole.history.drop(columns="seconds"))


LOADERS = {
    "its own": lambda data, generator: DataLoader(data, 5, shuffle=True, generator=generator),
    "its sampler's": lambda data, generator: DataLoader(
        data, 5, sampler=RandomSampler(data, generator=generator)
    ),
    "its batch sampler's": lambda data, generator: DataLoader(
        data, batch_sampler=BatchSampler(RandomSampler(data, generator=generator), 5, False)
    ),
}


@pytest.mark.parametrize("name", LOADERS)
def test_a_dataloader_with_a_generator_of_its_own(dataset, recipe, tmp_path, name):
    class KilledAfter(Hook):
        def on_epoch(self, state):
            if len(state.history) == 2:
                raise Killed

    def run(*hooks):
        seed_everything(0)
        model = recipe.initial_model(dataset)
        data = TensorDataset(*recipe.test_loader(dataset)[0])
        loader = LOADERS[name](data, torch.Generator().manual_seed(1))
        result = fit(model, loader, recipe.test_loader(dataset), recipe, dataset.classes,
                     hooks=hooks)  # fmt: skip
        return Outcome(result, model, 0)

    whole = run()
    with pytest.raises(Killed):
        run(Checkpointer(tmp_path, minutes=0), KilledAfter())
    assert_same(whole, run(Checkpointer(tmp_path, resume=True)))


class Files(Dataset):
    """As torchvision's ImageFolder: what it holds are the files' names and labels."""

    def __init__(self, root, names=("a.png", "b.png")):
        self.root = root
        self.samples = [(f"{root}/cat/{name}", label) for label, name in enumerate(names)]
        self.transforms = [object()]
        self.classes = ["cat", "dog"]


def test_the_images_of_a_plain_loader():
    """Equal for equal images, from whatever folder; different for others."""
    pixels, labels = torch.arange(24).reshape(4, 3, 2), torch.arange(4)
    grey = SimpleNamespace(dataset=[pixels.numpy(), 1])
    loop = TensorDataset(pixels)
    loop.parent = loop
    same = [
        (Files("/data"), Files("C:\\moved\\here")),
        (TensorDataset(pixels, labels), TensorDataset(pixels.clone(), labels.clone())),
        (TensorDataset(pixels.bfloat16()), TensorDataset(pixels.bfloat16())),
        (Subset(TensorDataset(pixels), [1, 2]), Subset(TensorDataset(pixels), [1, 2])),
        ([(pixels, labels)], [(pixels, labels)]),
        (loop, loop),
        (SimpleNamespace(), SimpleNamespace()),
    ]
    others = [
        (Files("/data"), Files("/data", ("a.png", "c.png"))),
        (TensorDataset(pixels, labels), TensorDataset(pixels, labels.flip(0))),
        (Subset(TensorDataset(pixels), [1, 2]), Subset(TensorDataset(pixels), [2, 1])),
        (Subset(TensorDataset(pixels), [1, 2]), Subset(TensorDataset(pixels + 1), [1, 2])),
        (ConcatDataset([TensorDataset(pixels)]), ConcatDataset([TensorDataset(pixels + 1)])),
        (grey.dataset, [pixels.numpy() + 1, 1]),
    ]
    for pairs, equal in ((same, True), (others, False)):
        for pair in pairs:
            one, other = (_fingerprint(SimpleNamespace(dataset=data)) for data in pair)
            assert (one == other) == equal, pair


def test_other_images_behind_a_plain_loader(dataset, recipe, tmp_path):
    def start(images):
        loader = DataLoader(TensorDataset(images, labels), batch_size=5)
        hooks = [Checkpointer(tmp_path, resume=True, minutes=0)]
        return fit(recipe.initial_model(dataset), loader, recipe.test_loader(dataset), recipe,
                   dataset.classes, hooks=hooks)  # fmt: skip

    images, labels = recipe.test_loader(dataset)[0]
    start(images)
    assert_refused("these are not the images", tmp_path, lambda: start(images + 1))
    assert len(start(images.clone()).history) == 3


# When checkpoints are written.


def test_checkpoints_change_nothing_and_the_last_two_are_kept(dataset, recipe, tmp_path, whole):
    assert_same(whole, train(dataset, recipe, tmp_path, resume=False))
    # After each of 12 steps, and after 3 epochs.
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000014.checkpoint", "000015.checkpoint",
    ]  # fmt: skip


class Clock(Hook):
    """Each step takes `seconds` on it; a stand-in for the module `time`."""

    def __init__(self, seconds):
        self.seconds, self.now = seconds, 0.0

    def on_start(self, state):
        state.epoch_started = self.now

    def on_step(self, state):
        self.now += self.seconds

    def monotonic(self):
        return self.now

    perf_counter = monotonic


@pytest.fixture
def saved(monkeypatch):
    """(epoch, step) of each checkpoint, which is where it would be resumed."""
    positions, save = [], CheckpointFolder.save

    def note(folder, content):
        positions.append((content["epoch"], content["step"]))
        return save(folder, content)

    monkeypatch.setattr(CheckpointFolder, "save", note)
    return positions


def test_within_an_epoch_checkpoints_are_minutes_apart(
    dataset, recipe, tmp_path, monkeypatch, saved
):
    clock = Clock(20)
    monkeypatch.setattr("s10.runtime.checkpoints.time", clock)
    recipe = replace(recipe, epochs=2, batch_size=1)  # 56 steps an epoch
    train(dataset, recipe, tmp_path, minutes=5, hooks=[clock])
    # More than 5 minutes are 16 steps of 20 seconds; the end of an epoch counts, too.
    assert saved == [(1, 16), (1, 32), (1, 48), (2, 0), (2, 16), (2, 32), (2, 48), (3, 0)]


def test_after_short_epochs_checkpoints_are_ten_seconds_apart(
    dataset, recipe, tmp_path, monkeypatch, saved
):
    """Where an epoch takes a third of a second, a checkpoint after each would take as long."""
    clock = Clock(1)
    monkeypatch.setattr("s10.runtime.checkpoints.time", clock)
    recipe = replace(recipe, epochs=7, batch_size=16)  # 4 steps an epoch
    train(dataset, recipe, tmp_path, minutes=5, hooks=[clock])
    assert saved == [(4, 0), (7, 0), (8, 0)]  # After 12 and 24 seconds, and at the very end.


def test_the_seconds_of_an_epoch_do_not_count_the_interruption(
    dataset, recipe, tmp_path, monkeypatch
):
    clock = Clock(20)
    monkeypatch.setattr("s10.runtime.checkpoints.time", clock)
    monkeypatch.setattr("s10.training.time", clock)
    interrupt(dataset, recipe, tmp_path, 7, hooks=[clock])
    clock.now += 3600
    resumed = train(dataset, recipe, tmp_path, hooks=[clock])
    assert resumed.result.history["seconds"].tolist() == [80, 80, 80]


def test_a_finished_run_is_only_evaluated(dataset, recipe, tmp_path, whole):
    train(dataset, recipe, tmp_path)
    before = snapshot(tmp_path)
    again = train(dataset, recipe, tmp_path)
    assert_same(whole, again)
    assert again.steps == 0
    assert not again.result.interrupted
    assert snapshot(tmp_path) == before


def test_without_a_checkpoint_it_starts_at_the_beginning(dataset, recipe, tmp_path, whole, capsys):
    folder = tmp_path / "new"
    assert_same(whole, train(dataset, recipe, folder))
    assert f"no checkpoint in {folder} yet: starting at the beginning" in capsys.readouterr().out


# Signals.


class SignalAt(Hook):
    """Send this process a signal after this step (of the run), or after this epoch."""

    def __init__(self, number, *, step=None, epoch=None):
        self.number, self.step, self.epoch, self.count = number, step, epoch, 0

    def on_step(self, state):
        self.count += 1
        if self.count == self.step:
            os.kill(os.getpid(), self.number)

    def on_epoch(self, state):
        if len(state.history) == self.epoch:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("place", ["hooks", "last_hooks"])
def test_a_signal_between_two_steps_loses_nothing(
    dataset, recipe, tmp_path, whole, number, place, capsys
):
    """It comes while the hooks of step 7 run, where each of them has to see the same."""
    stopped = train(
        dataset, recipe, tmp_path, minutes=60, **{place: [SignalAt(number, step=7)]}
    )  # fmt: skip
    assert stopped.result.interrupted
    assert stopped.result.signal == number
    assert stopped.steps == 8
    position = stopped.result.position
    assert position == "1 of 3 epochs and 4 of 4 batches"
    output = capsys.readouterr().out
    assert f"stopped after {position}\n" in output
    assert f"the checkpoint in {tmp_path} is from after {position}\n" in output
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == 4


class SignalInEvaluation(Hook):
    """Send this process SIGTERM while it evaluates the second epoch."""

    def on_start(self, state):
        def forward(module, inputs):
            if not module.training and len(state.history) == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        state.model.register_forward_pre_hook(forward)


def test_a_signal_during_an_evaluation_stops_after_the_epoch(dataset, recipe, tmp_path, whole):
    stopped = train(dataset, recipe, tmp_path, minutes=60, hooks=[SignalInEvaluation()])
    assert stopped.result.interrupted
    assert stopped.result.history["epoch"].tolist() == [1, 2]
    assert stopped.steps == 8
    resumed = train(dataset, recipe, tmp_path)
    assert_same(whole, resumed)
    assert resumed.steps == 4


def test_a_signal_during_the_last_evaluation_comes_too_late(dataset, recipe, tmp_path):
    hook = SignalAt(signal.SIGTERM, epoch=3)
    stopped = train(dataset, recipe, tmp_path, hooks=[hook])
    assert not stopped.result.interrupted
    assert not stopped.result.terminated
    assert len(stopped.result.history) == 3


@pytest.mark.parametrize("number", SIGNALS)
def test_stopped_soon_after_it_was_resumed(dataset, recipe, tmp_path, number):
    """The cells after a run need predictions; for others than Ctrl-C there may be no time."""
    interrupt(dataset, recipe, tmp_path, 6)
    stopped = train(dataset, recipe, tmp_path, hooks=[SignalAt(number, step=1)])
    assert stopped.steps == 2
    assert len(stopped.result.history) == 1
    assert stopped.result.terminated == (number != signal.SIGINT)
    assert (stopped.result.predictions is None) == (number != signal.SIGINT)
    if stopped.result.predictions:
        assert len(stopped.result.predictions.labels) == 20


def test_workers_ignore_signals(dataset, recipe, tmp_path):
    """Ctrl-C is sent to the whole group of processes; the last step still needs its data."""
    recipe = replace(recipe, augment="albumentations")

    class SignalToAll(Hook):
        def on_step(self, state):
            if (state.epoch, state.step) == (2, 1):
                assert len(multiprocessing.active_children()) == 2
                for child in multiprocessing.active_children():
                    os.kill(child.pid, signal.SIGTERM)
                    os.kill(child.pid, signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(dataset, recipe, tmp_path, workers=2, hooks=[SignalToAll()])
    assert stopped.result.interrupted
    assert stopped.steps == 6
    resumed = train(dataset, recipe, tmp_path)
    assert_same(train(dataset, recipe), resumed)
    assert resumed.steps == 12 - 6


def test_outside_the_main_thread_it_trains_as_well(dataset, recipe, tmp_path, whole):
    """As in a notebook server; there signals are left alone."""
    found = []
    thread = threading.Thread(target=lambda: found.append(train(dataset, recipe, tmp_path)))
    thread.start()
    thread.join()
    assert_same(whole, found[0])


# Refused in one line, and nothing is touched.


def assert_refused(match: str, folder, start) -> None:
    """`start()` raises one line that names the folder, and changes nothing in it."""
    before = snapshot(folder)
    with pytest.raises(InputError, match=match) as error:
        start()
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"cannot resume from {folder}: ")
    assert str(error.value).endswith("to start again, use another folder")
    assert snapshot(folder) == before


@pytest.fixture(scope="module")
def stopped(dataset, recipe, tmp_path_factory):
    """A folder with the checkpoints of a run that was killed in its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    interrupt(dataset, recipe, folder, 6)
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lr_max": 0.02}, "its recipe differs: lr_max is 0.02, was 0.01"),
        ({"seed": 3, "epochs": 4}, "seed is 3, was 0; epochs is 4, was 3"),
        ({"batch_size": 32}, "batch_size is 32, was 16"),
    ],
)
def test_another_recipe(dataset, recipe, stopped, change, words):
    assert_refused(words, stopped, lambda: train(dataset, replace(recipe, **change), stopped))


def test_a_recipe_of_another_class(dataset, recipe, stopped):
    class Other(Recipe):
        """The same fields."""

    other = Other.from_dict(recipe.to_dict())
    assert_refused("class is Other, was Recipe", stopped, lambda: train(dataset, other, stopped))


def test_other_images(dataset, recipe, stopped):
    brighter = replace(dataset, train_images=dataset.train_images // 2 + 100)
    expected = (
        "not the images that it was trained on: their fingerprint is [0-9a-f]+, not [0-9a-f]+"
    )
    assert_refused(expected, stopped, lambda: train(brighter, recipe, stopped))


def test_another_path_or_precision_is_no_other_run(dataset, recipe, tmp_path, whole, capsys):
    """Images are compared by their fingerprint, and a precision as the device."""
    interrupt(dataset, recipe, tmp_path, 6)
    changed = replace(recipe, data="folder:/moved/pictures", precision="auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s10.runtime.device.cpu_has_bf16", lambda: False)
        resumed = train(dataset, changed, tmp_path)
    assert_same(whole, resumed)
    assert "differ" not in capsys.readouterr().out


def test_other_classes(dataset, recipe, stopped):
    classes = dataset.classes
    trained_on = f"than those it was trained on ({', '.join(classes)})"
    for change in (classes[:-1], (*classes[:-1], "cow"), classes[::-1]):
        words = re.escape(f"the images have other classes ({', '.join(change)}) {trained_on}")
        labels = dataset.train_labels % len(change), dataset.test_labels % len(change)
        other = replace(dataset, classes=change, train_labels=labels[0], test_labels=labels[1])
        assert_refused(words, stopped, lambda other=other: train(other, recipe, stopped))


def test_another_number_of_batches(dataset, recipe, stopped):
    """In a loader of one's own, whose images have no fingerprint."""
    folder = stopped

    def start():
        loader = counting(recipe.train_loader(dataset.subset(40, 20)))
        loader.fingerprint = dataset.fingerprint
        fit(recipe.initial_model(dataset), loader, [], recipe, dataset.classes,
            hooks=[Checkpointer(folder, resume=True)])  # fmt: skip

    assert_refused("an epoch had 4 batches, not 3", folder, start)


@pytest.mark.parametrize("classes", [10, 11])
def test_another_network(dataset, recipe, stopped, classes):
    """One of a user's own, with the same recipe."""

    class Own(Recipe):
        def initial_model(self, dataset):
            model = CustomResNet(classes, 4)
            return model if classes == 11 else torch.nn.Sequential(model)

        def to_dict(self):
            return {**super().to_dict(), "class": "Recipe"}

    own = Own.from_dict(recipe.to_dict())
    expected = (
        "its model is CustomResNet, not Sequential"
        if classes == 10
        else r"it does not fit this network \(size mismatch for fc.bias: .*torch.Size\(\[11\]\)"
    )
    assert_refused(expected, stopped, lambda: train(dataset, own, stopped))


OTHER_PARTS = {
    "SGD": lambda model, recipe: (
        optimizer := torch.optim.SGD(model.parameters(), 0.01),
        recipe.make_scheduler(optimizer, 4),
    ),
    "Adam": lambda model, recipe: (
        optimizer := torch.optim.Adam(model.parameters(), 0.01),
        recipe.make_scheduler(optimizer, 4),
    ),
    "ExponentialLR": lambda model, recipe: (
        optimizer := recipe.make_optimizer(model),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
    ),
}


@pytest.mark.parametrize("name", OTHER_PARTS)
def test_another_class_of_optimizer_or_scheduler(dataset, recipe, stopped, name):
    expected = {
        "SGD": "its optimizer is AdamW, not SGD",
        "Adam": "its optimizer is AdamW, not Adam",
        "ExponentialLR": "its scheduler is OneCycle, not ExponentialLR",
    }[name]

    def start():
        train(dataset, recipe, stopped, parts=lambda model: OTHER_PARTS[name](model, recipe))

    assert_refused(expected, stopped, start)


def test_the_checkpoints_of_another_run_are_not_replaced(dataset, recipe, stopped):
    before = snapshot(stopped)
    with pytest.raises(InputError, match=r"holds the checkpoints of a run; resume it \(resume="):
        train(dataset, recipe, stopped, resume=False)
    assert snapshot(stopped) == before


def test_other_conditions_are_reported(dataset, recipe, tmp_path, capsys, monkeypatch):
    interrupt(dataset, recipe, tmp_path, 6)
    assert "the last bits will differ" not in capsys.readouterr().out
    monkeypatch.setattr("s10.runtime.checkpoints.describe_device", lambda device: "a Tesla T4")
    train(dataset, recipe, tmp_path)
    output = capsys.readouterr().out
    assert "the last bits will differ from an uninterrupted run: device was" in output
    assert "is a Tesla T4\n" in output
