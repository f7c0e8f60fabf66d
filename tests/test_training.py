"""The training loop: right arithmetic, the same weights for the same seed, hooks, a clear stop."""

import copy
import math
import os
import random
import re
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from s10 import (
    CustomResNet,
    FitResult,
    Hook,
    InputError,
    TrainingDiverged,
    evaluate,
    fit,
    seed_everything,
    train_epoch,
    triangular,
)
from s10.loaders import epoch_order
from s10.metrics import COLUMNS, RunningMetrics
from s10.runtime.device import OutOfMemory, Precision
from s10.runtime.progress import PrintEpochs
from s10.runtime.signals import StopOnSignal


def run(dataset, recipe, model=None, **options):
    """Train by the recipe; return the model and the result."""
    seed_everything(recipe.seed)
    model = model or recipe.initial_model(dataset)
    loaders = recipe.train_loader(dataset), recipe.test_loader(dataset)
    return model, fit(model, *loaders, recipe, dataset.classes, **options)


def assert_same_weights(one: nn.Module, other: nn.Module):
    expected = other.state_dict()
    for name, value in one.state_dict().items():
        assert torch.equal(value, expected[name]), name


# The same seed, the same run.


@pytest.mark.parametrize("augment", ["batched", "albumentations"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_run_bit_for_bit(few, tiny, augment, precision):
    recipe = replace(tiny, augment=augment, precision=precision)
    first, first_result = run(few, recipe)
    torch.rand(7)  # What was drawn before must not matter.
    second, second_result = run(few, recipe)
    assert_same_weights(first, second)
    columns = [column for column in COLUMNS if column != "seconds"]
    assert first_result.history[columns].equals(second_result.history[columns])
    assert np.array_equal(first_result.predictions.logits, second_result.predictions.logits)


def test_another_seed_gives_other_weights(few, tiny):
    first, _ = run(few, tiny)
    second, _ = run(few, replace(tiny, seed=1))
    assert not torch.equal(first.fc.weight, second.fc.weight)


def test_a_seed_is_that_of_all_generators():
    drawn = []
    for seed in (5, 5, 6):
        seed_everything(seed)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(*drawn[1:], strict=True))


# One epoch.


def test_one_epoch_is_what_a_plain_loop_gives(few, tiny):
    """PyTorch is the oracle: the same steps, written down plainly."""
    loader = tiny.train_loader(few)
    seed_everything(0)
    ours = CustomResNet(10, 4).eval()  # It is trained in training mode all the same.
    optimizer = torch.optim.Adam(ours.parameters(), 1e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    result = train_epoch(ours, loader, optimizer, scheduler)
    seed_everything(0)
    plain = CustomResNet(10, 4)
    plain.train()
    optimizer = torch.optim.Adam(plain.parameters(), 1e-3)
    for step, (images, labels) in enumerate(loader):
        optimizer.param_groups[0]["lr"] = 1e-3 * 0.5**step
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(plain(images), labels).backward()
        optimizer.step()
    assert_same_weights(ours, plain)
    # LR and momentum are those of the last step, not of the one that would follow.
    assert (result.lr, result.momentum) == (1e-3 / 8, 0.9)


def test_metrics_are_weighted_by_image_not_by_batch(few, tiny):
    """Batches of 64, 64, 64 and 8: a mean over batches would count the last one's images 8-fold."""

    class Fixed(nn.Module):
        """Predicts class 0 with the confidence of one learned number, whatever it sees."""

        def __init__(self):
            super().__init__()
            self.confidence = nn.Parameter(torch.tensor(2.0))

        def forward(self, images):
            logits = torch.zeros(len(images), 10)
            logits[:, 0] = 1
            return logits * self.confidence

    model = Fixed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    result = train_epoch(model, tiny.train_loader(few), optimizer)
    labels = torch.from_numpy(few.train_labels)
    logits = model(labels).detach()
    assert result.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-6)
    assert result.accuracy == (few.train_labels == 0).mean()


def test_label_smoothing_changes_the_weights_but_not_the_reported_loss(few, tiny):
    batch = next(iter(tiny.train_loader(few)))
    weights, losses = {}, {}
    for smoothing in (0.0, 0.3):
        for kind in ("ours", "by hand"):
            seed_everything(0)
            model = CustomResNet(10, 4)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            if kind == "ours":
                result = train_epoch(model, [batch], optimizer, label_smoothing=smoothing)
                losses[smoothing] = result.loss
            else:
                loss = nn.CrossEntropyLoss(label_smoothing=smoothing)
                loss(model(batch[0]), batch[1]).backward()
                optimizer.step()
            weights[kind, smoothing] = model.fc.weight.detach().clone()
        assert torch.equal(weights["ours", smoothing], weights["by hand", smoothing])
    assert not torch.equal(weights["ours", 0.0], weights["ours", 0.3])
    assert losses[0.0] == losses[0.3]


def test_gradients_scaled_by_a_power_of_two_give_the_same_weights(few, tiny):
    """As on a GPU in fp16: scaled before the backward pass, unscaled before the step."""
    loader = list(tiny.train_loader(few))
    models = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)):
        seed_everything(0)
        models.append(CustomResNet(10, 4))
        optimizer = torch.optim.Adam(models[-1].parameters(), 1e-3)
        train_epoch(models[-1], loader, optimizer, scaler=scaler)
    assert_same_weights(*models)
    assert scaler.get_scale() == 2.0**11  # It grew after three steps.


def test_a_step_without_finite_gradients_is_left_out(few, tiny):
    """As on a GPU in fp16, where the first scales may be too large: the loss itself is fine."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1e38)
    model = CustomResNet(10, 4)
    before = model.fc.weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    batch = next(iter(tiny.train_loader(few)))
    train_epoch(model, [(100 * batch[0], batch[1])], optimizer, scaler=scaler)
    assert torch.equal(model.fc.weight, before)
    assert scaler.get_scale() < 1e38


@pytest.mark.filterwarnings("error")
def test_a_skipped_step_is_counted_and_not_blamed_on_the_scheduler(few, tiny):
    """PyTorch warns of a scheduler that steps before the optimizer, as fp16's first step does."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1e38)
    model = CustomResNet(10, 4)
    before = copy.deepcopy(dict(model.named_parameters()))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.5)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    metrics, skipped = RunningMetrics(), []

    def on_step():
        skipped.append(metrics.skipped)
        if skipped == [1]:
            for name, weight in model.named_parameters():
                assert torch.equal(weight, before[name])
            scaler.update(new_scale=1.0)

    batches = [(100 * images, labels) for images, labels in tiny.train_loader(few)]
    result = train_epoch(
        model, batches, optimizer, scheduler, scaler=scaler, metrics=metrics, on_step=on_step
    )
    assert skipped == [1] * 4
    assert result.skipped == 1
    assert result.lr == 1e-3 / 8  # Batch k is trained with the LR of step k all the same.
    assert not torch.equal(model.fc.weight, before["fc.weight"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("scale", "skips"), [(1e38, True), (1.0, False)])
def test_skipped_steps_are_said_after_the_epoch(few, tiny, monkeypatch, capsys, scale, skips):
    """Each halves the scale, until the large gradients of this network fit."""
    monkeypatch.setattr(
        Precision, "scaler", lambda self: torch.amp.GradScaler("cpu", init_scale=scale)
    )
    model = CustomResNet(10, 4)
    nn.init.constant_(model.prep[1].weight, 1e3)
    recipe = replace(tiny, epochs=2, batch_size=20)
    run(few, recipe, model)
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if "skipped" in line]
    assert len(lines) == 2 + len(said)
    assert bool(said) is skips
    for line in said:
        assert re.fullmatch(
            r"  (1 step was|\d+ steps were) skipped, as gradients overflowed in fp16", line
        )


def test_on_step_follows_the_scheduler(few, tiny):
    model = CustomResNet(10, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    metrics, seen = RunningMetrics(), []
    train_epoch(
        model, tiny.train_loader(few), optimizer, scheduler, metrics=metrics,
        on_step=lambda: seen.append((optimizer.param_groups[0]["lr"], metrics.batches)),
    )  # fmt: skip
    assert seen == [(0.5, 1), (0.25, 2), (0.125, 3), (0.0625, 4)]


def test_bf16_is_the_format_of_the_forward_pass_only(few, tiny):
    model = CustomResNet(10, 4)
    seen = []
    model.prep[0].register_forward_hook(
        lambda layer, inputs, output: seen.append((layer.training, output.dtype))
    )
    run(few, replace(tiny, precision="bf16", epochs=1), model)
    assert set(seen) == {(True, torch.bfloat16), (False, torch.bfloat16)}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    seen.clear()
    train_epoch(model, [next(iter(tiny.train_loader(few)))], tiny.make_optimizer(model))
    predictions = evaluate(model, tiny.test_loader(few), few.classes)
    assert {dtype for _, dtype in seen} == {torch.float32}
    bf16 = evaluate(
        model, tiny.test_loader(few), few.classes, precision=Precision("bf16", "cpu")
    )  # fmt: skip
    assert bf16.logits.dtype == predictions.logits.dtype == np.float32
    assert not np.array_equal(bf16.logits, predictions.logits)


# Evaluation.


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_changes_nothing_and_is_a_forward_pass(few, tiny, training):
    model = CustomResNet(10, 4).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (images, labels), *_ = tiny.test_loader(few)
    batches = [(images[:70], labels[:70]), (images[70:], labels[70:])]
    predictions = evaluate(model, batches, list(few.classes))
    assert model.training is training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    with torch.no_grad():
        logits = model.eval()(images)
    assert predictions.logits == pytest.approx(logits.numpy(), abs=1e-5)
    assert np.array_equal(predictions.labels, few.test_labels)
    assert predictions.classes == few.classes
    assert predictions.loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)
    assert predictions.accuracy == (logits.argmax(1) == labels).double().mean().item()


class Stubborn(nn.Module):
    """Raises an error in evaluation mode."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 10)

    def forward(self, images):
        if not self.training:
            raise ZeroDivisionError
        return self.layer(images.flatten(1))


def test_a_network_that_fails_in_evaluation_is_in_its_mode_again(few, tiny):
    model = Stubborn()
    with pytest.raises(ZeroDivisionError):
        evaluate(model, tiny.test_loader(few), few.classes)
    assert model.training
    assert model.layer.training


def test_each_layer_is_in_its_own_mode_again(few, tiny):
    """A layer that is frozen on purpose stays so."""
    model = CustomResNet(10, 4)
    model.prep[1].eval()
    modes = [module.training for module in model.modules()]
    evaluate(model, tiny.test_loader(few), few.classes)
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2


def test_without_images_there_is_nothing_to_evaluate(few, tiny):
    batches = iter(tiny.test_loader(few))
    evaluate(CustomResNet(10, 4), batches, few.classes)
    for empty in ([], batches):
        with pytest.raises(InputError, match="the test loader gave no batch"):
            evaluate(CustomResNet(10, 4), empty, few.classes)


# A whole run.


def test_the_history_and_the_result(few, tiny, capsys):
    model, result = run(few, tiny)
    assert isinstance(result, FitResult)
    assert tuple(result.history.columns) == COLUMNS
    assert result.history["epoch"].tolist() == [1, 2, 3]
    # The LR of each epoch's last step: the peak, the middle of the way down, LRMIN.
    middle = (tiny.lr_max + tiny.lr_min) / 2
    assert result.history["lr"].tolist() == pytest.approx([tiny.lr_max, middle, tiny.lr_min])
    assert result.history["momentum"].tolist() == pytest.approx([0.85, 0.9, 0.95])
    test = evaluate(model, tiny.test_loader(few), few.classes)
    assert np.array_equal(result.predictions.logits, test.logits)
    last = result.history.iloc[-1]
    assert (last["test_loss"], last["test_accuracy"]) == (test.loss, test.accuracy)
    assert (result.history["seconds"] > 0).all()
    assert result.seconds >= result.history["seconds"].sum()
    assert (result.interrupted, result.signal, result.terminated) == (False, None, False)
    assert model.fc.weight.grad is not None
    assert model.prep[0].weight.is_contiguous(memory_format=torch.channels_last)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  LR ")[0] for line in lines] == [f"epoch  {n}/3" for n in (1, 2, 3)]


def test_the_run_takes_label_smoothing_and_optimizer_from_the_recipe(few, tiny):
    weights = [
        run(few, replace(tiny, epochs=1, **change))[0].fc.weight
        for change in ({}, {"label_smoothing": 0.0}, {"weight_decay": 5.0}, {"lr_max": 0.02})
    ]
    for number, other in enumerate(weights[1:]):
        assert not torch.equal(weights[0], other), number


def test_each_epoch_has_its_own_images(few, tiny):
    """In their order: a first epoch repeated would teach less."""
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3072, 10)

        def forward(self, images):
            if self.training:
                seen.append(images)
            return self.layer(images.flatten(1))

    run(few, replace(tiny, pad=0, flip=False, cutout=0), Spy())
    first = [torch.cat(seen[number : number + 4]) for number in (0, 4, 8)]
    for epoch in (2, 3):
        there = epoch_order(200, 0, 1).argsort()[epoch_order(200, 0, epoch)]
        assert torch.equal(first[epoch - 1], first[0][there])


def test_another_network_and_another_schedule(few, tiny):
    """What the README shows under "add your own"."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scheduler = triangular(optimizer, lr_min=0.001, lr_max=0.01, half_cycle=6)
    _, result = run(few, tiny, model, optimizer=optimizer, scheduler=scheduler)
    # 12 steps, 0 to 11: the peak is at step 6, so step 3 is halfway up and step 11 nearly down.
    expected = [0.001 + 0.009 * fraction for fraction in (3 / 6, 5 / 6, 1 / 6)]
    assert result.history["lr"].tolist() == pytest.approx(expected)
    assert result.history["momentum"].tolist() == [0.9] * 3


def test_another_optimizer_gets_the_schedule_of_the_recipe(few, tiny):
    model = CustomResNet(10, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=7.0, momentum=0.5)
    _, result = run(few, tiny, model, optimizer=optimizer)
    assert result.history["lr"].iloc[0] == pytest.approx(tiny.lr_max)
    assert result.history["momentum"].tolist() == pytest.approx([0.85, 0.9, 0.95])
    assert optimizer.state  # It is this one that made the steps.


def test_a_plain_dataloader_and_an_optimizer_without_momentum(few, tiny):
    images, labels = tiny.test_loader(few)[0]
    loader = DataLoader(TensorDataset(images, labels), batch_size=50)
    model = CustomResNet(10, 4)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    result = fit(
        model, loader, tiny.test_loader(few), tiny, few.classes,
        optimizer=optimizer, scheduler=scheduler,
    )  # fmt: skip
    assert result.history["momentum"].tolist() == [0, 0, 0]


def test_a_scheduler_without_its_optimizer_is_refused(few, tiny):
    """It would set the LR of an optimizer that trains nothing, and the run stay at LRMIN."""
    model = CustomResNet(10, 4)
    optimizer, other = (torch.optim.SGD(model.parameters(), lr=0.1) for _ in range(2))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    recorder = Recorder()
    for given in ({}, {"optimizer": other}):
        with pytest.raises(InputError, match="sets the LR of another optimizer") as caught:
            run(few, tiny, model, scheduler=scheduler, hooks=[recorder], **given)
        assert "\n" not in str(caught.value)
    assert recorder.calls == []  # Nothing was begun.
    with pytest.raises(InputError, match="sets the LR of another optimizer"):
        train_epoch(model, tiny.train_loader(few), other, scheduler)


def test_an_optimizer_of_another_model_is_refused(few, tiny):
    optimizer = torch.optim.SGD(CustomResNet(10, 4).parameters(), lr=0.1)
    with pytest.raises(InputError, match="holds no trainable weight of this model"):
        run(few, tiny, CustomResNet(10, 4), optimizer=optimizer)
    with pytest.raises(InputError, match="holds no trainable weight of this model"):
        train_epoch(CustomResNet(10, 4), tiny.train_loader(few), optimizer)
    with pytest.raises(InputError, match="holds no trainable weight of this model"):
        run(few, tiny, CustomResNet(10, 4).requires_grad_(False))


def test_lrs_of_parameter_groups_need_a_scheduler_that_keeps_them(few, tiny):
    model = CustomResNet(10, 4)
    optimizer = torch.optim.SGD(
        [{"params": model.prep.parameters()}, {"params": model.fc.parameters(), "lr": 1e-4}], lr=0.1
    )
    with pytest.raises(InputError, match="LRs of their own"):
        run(few, tiny, model, optimizer=optimizer)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1)
    run(few, replace(tiny, epochs=1), model, optimizer=optimizer, scheduler=scheduler)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1e-4]


def test_a_scheduler_that_needs_a_loss_is_refused_with_what_to_do(few, tiny):
    model = CustomResNet(10, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0)
    with pytest.raises(InputError, match="ReduceLROnPlateau needs a loss to step on"):
        run(few, tiny, model, optimizer=optimizer, scheduler=plateau)

    class StepOnPlateau(Hook):  # As the message says.
        def on_epoch(self, state):
            plateau.step(state.history[-1]["test_loss"])

    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1)
    _, result = run(
        few, tiny, model, optimizer=optimizer, scheduler=scheduler, hooks=[StepOnPlateau()]
    )
    assert result.history["lr"].tolist() == pytest.approx([0.1, 0.01, 0.001])


def test_an_optimizer_without_momentum_follows_the_recipes_schedule(few, tiny):
    model = CustomResNet(10, 4)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.01)
    _, result = run(few, tiny, model, optimizer=optimizer)
    assert result.history["lr"].iloc[0] == pytest.approx(tiny.lr_max)
    assert result.history["momentum"].tolist() == [0, 0, 0]


def test_a_model_without_parameters_is_refused(few, tiny):
    model = nn.Sequential(nn.Flatten(), nn.AvgPool1d(3, 307))
    for call in (
        lambda: run(few, tiny, model),
        lambda: evaluate(model, tiny.test_loader(few), few.classes),
        lambda: train_epoch(
            model, tiny.train_loader(few), tiny.make_optimizer(CustomResNet(10, 4))
        ),
    ):
        with pytest.raises(InputError, match=r"the model has no parameters|no trainable weight"):
            call()


def test_seeds_of_numpy_are_the_same_seeds():
    drawn = []
    for seed in (7, np.int64(7), np.uint8(7)):
        seed_everything(seed)
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert drawn[0] == drawn[1] == drawn[2]


# Hooks.


class Recorder(Hook):
    """Notes each call, with epoch, step and the number of finished epochs; then may act."""

    def __init__(self, at=None, action=None):
        self.calls, self.at, self.action, self.state = [], at, action, None

    def note(self, event, state):
        self.state = state
        self.calls.append((event, state.epoch, state.step, len(state.history)))
        if self.calls[-1] == self.at:
            self.action(state)

    def on_start(self, state):
        self.note("start", state)

    def on_step(self, state):
        assert state.metrics.batches == state.step
        # The scheduler has stepped, too; after the last step it stays where it is.
        steps = 4 * (state.epoch - 1) + state.step
        assert state.scheduler.last_epoch == min(steps, state.scheduler.total_steps - 1)
        self.note("step", state)

    def on_epoch(self, state):
        assert state.metrics.batches == 0
        self.note("epoch", state)

    def on_end(self, state):
        self.note("end", state)


def stop(state):
    state.stop = True


def interrupt(state):
    raise KeyboardInterrupt


def fail(state):
    raise ZeroDivisionError


def send_sigterm(state):
    os.kill(os.getpid(), signal.SIGTERM)


def test_hooks_see_the_run_in_its_order(few, tiny):
    recorder = Recorder()
    model, result = run(few, replace(tiny, epochs=2), hooks=[recorder])
    assert recorder.calls == [
        ("start", 1, 0, 0),
        *(("step", 1, step, 0) for step in (1, 2, 3, 4)),
        ("epoch", 2, 0, 1),
        *(("step", 2, step, 1) for step in (1, 2, 3, 4)),
        ("epoch", 3, 0, 2),
        ("end", 3, 0, 2),
    ]
    state = recorder.state
    assert state.finished
    assert state.model is model
    assert state.classes == few.classes
    assert state.predictions is result.predictions
    assert [type(hook) for hook in state.hooks] == [StopOnSignal, PrintEpochs, Recorder]
    assert state.history == result.history.to_dict("records")
    assert not state.scaler.is_enabled()


def test_hooks_are_called_in_the_order_given(few, tiny):
    order = []

    class Named(Hook):
        def __init__(self, name):
            self.name = name

        def on_step(self, state):
            order.append(self.name)

    run(few, replace(tiny, epochs=1, batch_size=100), hooks=[Named("a"), Named("b")])
    assert order == ["a", "b"] * 2


@pytest.mark.parametrize(
    ("at", "epochs", "end"),
    [
        (("start", 1, 0, 0), [], ("end", 1, 0, 0)),
        (("step", 1, 2, 0), [], ("end", 1, 2, 0)),
        (("step", 2, 4, 1), [1], ("end", 2, 4, 1)),
        (("epoch", 3, 0, 2), [1, 2], ("end", 3, 0, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("action", [stop, interrupt])
def test_a_hook_stops_the_run(few, tiny, capsys, action, at, epochs, end):
    recorder = Recorder(at, action)
    _, result = run(few, tiny, hooks=[recorder])
    assert recorder.calls[-2:] == [at, end]
    assert result.interrupted
    assert (result.signal, result.terminated) == (None, False)
    assert (tuple(result.history), result.history["epoch"].tolist()) == (COLUMNS, epochs)
    assert (result.predictions is None) is (not epochs)
    batches = f" and {end[2]} of 4 batches" if end[2] else ""
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert last_line == f"stopped after {len(epochs)} of 3 epochs{batches}"


def test_stopping_after_the_last_epoch_is_no_interruption(few, tiny):
    _, result = run(few, tiny, hooks=[Recorder(("epoch", 4, 0, 3), stop)])
    assert not result.interrupted


@pytest.mark.parametrize("at", [("start", 1, 0, 0), ("step", 1, 2, 0), ("epoch", 2, 0, 1)], ids=str)
def test_hooks_end_after_an_error_too(few, tiny, at):
    before = signal.getsignal(signal.SIGTERM)
    recorder = Recorder(at, fail)
    with pytest.raises(ZeroDivisionError):
        run(few, tiny, hooks=[recorder])
    assert recorder.calls[-1][0] == "end"
    assert signal.getsignal(signal.SIGTERM) is before
    assert not recorder.state.stop


def test_sigterm_ends_the_run_after_the_step(few, tiny):
    before = signal.getsignal(signal.SIGTERM)
    recorder = Recorder(("step", 2, 1, 1), send_sigterm)
    _, result = run(few, tiny, hooks=[recorder])
    # It arrives after StopOnSignal was called for that step, so one more step is made.
    assert recorder.calls[-2:] == [("step", 2, 2, 1), ("end", 2, 2, 1)]
    assert (result.interrupted, result.signal, result.terminated) == (True, signal.SIGTERM, True)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (FitResult(None, None, 1.0), False),
        (FitResult(None, None, 1.0, True, signal.SIGINT), False),
        (FitResult(None, None, 1.0, True, signal.SIGTERM), True),
        (FitResult(None, None, 1.0, False, signal.SIGTERM), False),  # After the last epoch.
    ],
)
def test_terminated_is_by_sigterm_before_the_end(result, expected):
    assert result.terminated is expected


class Resume(Hook):
    """Begins within an epoch, as a run does that was saved there."""

    def __init__(self, history, epoch, step, number=None):
        self.history, self.epoch, self.step, self.number = history, epoch, step, number

    def on_start(self, state):
        state.history, state.epoch, state.step = list(self.history), self.epoch, self.step

    def on_step(self, state):
        if self.number is not None:
            state.signal, state.stop = self.number or None, True


def test_a_hook_can_begin_within_the_run(few, tiny):
    rows = [dict.fromkeys(COLUMNS, 0.5) | {"epoch": 1}]
    recorder = Recorder()
    recorder.on_step = lambda state: recorder.note("step", state)
    _, result = run(few, tiny, hooks=[Resume(rows, 2, 3), recorder])
    assert recorder.calls[:3] == [("start", 2, 3, 1), ("step", 2, 4, 1), ("epoch", 3, 0, 2)]
    assert len(recorder.calls) == 3 + 4 + 2
    assert result.history["epoch"].tolist() == [1, 2, 3]


def test_a_resumed_run_that_ends_no_epoch_has_predictions_all_the_same(few, tiny):
    rows = [dict.fromkeys(COLUMNS, 0.5) | {"epoch": 1}]
    model, result = run(few, tiny, hooks=[Resume(rows, 2, 1, 0)])
    expected = evaluate(model, tiny.test_loader(few), few.classes)
    assert np.array_equal(result.predictions.logits, expected.logits)
    # After SIGTERM the machine will be gone before the images are classified.
    assert run(few, tiny, hooks=[Resume(rows, 2, 1, signal.SIGTERM)])[1].predictions is None


# What goes wrong.


def test_fp16_on_a_cpu_is_refused(few, tiny):
    with pytest.raises(InputError, match="fp16 is for GPUs"):
        run(few, replace(tiny, precision="fp16"))


def test_a_loss_that_is_not_finite_stops_the_run(few, tiny):
    with pytest.raises(TrainingDiverged) as caught:
        run(few, replace(tiny, lr_max=1e30, lr_min=1e30))
    message = str(caught.value)
    assert "at batch" in message
    assert "LR 1e+30" in message
    assert "\n" not in message


def test_the_step_that_diverged_is_named(few, tiny):
    batches = list(tiny.train_loader(few))
    batches[2] = (batches[2][0] * math.nan, batches[2][1])
    model = CustomResNet(10, 4)
    with pytest.raises(TrainingDiverged, match=r"nan at batch 3 of this epoch, LR 0\.001"):
        train_epoch(model, batches, torch.optim.Adam(model.parameters(), 1e-3))


class Failing(nn.Module):
    """Raises an error at its first forward pass in one mode."""

    def __init__(self, error, training):
        super().__init__()
        self.layer, self.error, self.when = nn.Linear(3072, 10), error, training

    def forward(self, images):
        if self.training is self.when:
            raise self.error
        return self.layer(images.flatten(1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
    ],
)
def test_too_little_memory_is_explained(few, tiny, error, training):
    recorder = Recorder()
    recorder.on_step = recorder.on_epoch = lambda state: None
    with pytest.raises(OutOfMemory, match="batches of 64; start a new run with batches of 32"):
        run(few, tiny, Failing(error, training), hooks=[recorder])
    assert recorder.calls[-1][0] == "end"


def test_other_errors_are_left_as_they_are(few, tiny):
    with pytest.raises(RuntimeError, match="something else"):
        run(few, tiny, Failing(RuntimeError("something else"), True))
