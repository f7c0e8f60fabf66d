"""Loss and accuracy of an epoch: over images rather than batches, and never of a broken run."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from s10 import InputError, TrainingDiverged
from s10.metrics import COLUMNS, EpochResult, RunningMetrics


@pytest.fixture
def optimizer():
    return torch.optim.Adam(nn.Linear(1, 1).parameters(), lr=0.1, betas=(0.8, 0.99))


def batches(*sizes, seed=0):
    """Random logits (B, 10) and labels (B,) for batches of these sizes."""
    generator = torch.Generator().manual_seed(seed)
    for size in sizes:
        logits = torch.randn(size, 10, generator=generator)
        yield logits, torch.randint(10, (size,), generator=generator)


def measured(optimizer, parts):
    metrics = RunningMetrics()
    for logits, labels in parts:
        metrics.update(logits, labels, optimizer)
    return metrics


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_every_image_counts_the_same(sizes):
    """A mean over batches would count those of a small batch more."""
    optimizer = torch.optim.Adam([torch.zeros(1)], lr=0.1)
    parts = list(batches(*sizes))
    metrics = measured(optimizer, parts)
    logits, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    loss = F.cross_entropy(logits.double(), labels).item()
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    result = metrics.result()
    assert (metrics.images, metrics.batches) == (sum(sizes), len(sizes))
    assert result.loss == metrics.loss == pytest.approx(loss, rel=1e-6)
    assert result.accuracy == metrics.accuracy == pytest.approx(accuracy)


def test_lr_and_momentum_are_those_of_the_last_step(optimizer):
    metrics = RunningMetrics()
    assert math.isnan(metrics.lr)
    assert math.isnan(metrics.momentum)
    for lr, momentum in ((0.2, 0.9), (0.3, 0.7)):
        optimizer.param_groups[0].update(lr=lr, betas=(momentum, 0.99))
        metrics.update(*next(batches(4)), optimizer)
    assert metrics.lrs == [0.2, 0.3]
    assert metrics.result()[2:] == (0.3, 0.7, 0)
    assert EpochResult._fields == ("loss", "accuracy", "lr", "momentum", "skipped")


def test_logits_in_bf16_are_added_up_in_float32(optimizer):
    logits, labels = next(batches(50))
    logits = logits.bfloat16().requires_grad_()
    metrics = measured(optimizer, [(logits, labels)])
    expected = F.cross_entropy(logits.detach().float(), labels)
    assert metrics.losses == [expected]
    assert not metrics.losses[0].requires_grad


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_on_a_cpu_the_step_that_diverged_is_named_at_once(optimizer, bad):
    metrics = measured(optimizer, batches(4, 4))
    logits, labels = next(batches(4))
    optimizer.param_groups[0]["lr"] = 1.5
    with pytest.raises(TrainingDiverged) as caught:
        metrics.update(logits * bad, labels, optimizer)
    assert str(caught.value) == (
        "the loss is nan at batch 3 of this epoch, LR 1.5; use a smaller lr_max"
    )


def test_on_a_gpu_it_is_named_at_the_end(optimizer):
    """Reading a loss waits for a GPU, so the first one that is not finite is found later."""
    metrics = measured(optimizer, batches(4, 4, 4, 4))
    metrics.losses[1:3] = [torch.tensor(math.inf), torch.tensor(math.nan)]
    metrics.lrs[1] = 2.5
    with pytest.raises(TrainingDiverged, match=r"inf at batch 2 of this epoch, LR 2\.5;"):
        metrics.result()
    with pytest.raises(TrainingDiverged, match="nan at batch 3"):
        metrics.check_finite(since=2)
    metrics.check_finite(since=3)
    metrics.check_finite(since=4)


def test_an_interrupted_epoch_continues(optimizer):
    parts = list(batches(7, 3, 5))
    whole = measured(optimizer, parts).result()
    state = measured(optimizer, parts[:2]).state_dict()
    assert {type(value) for value in state.values()} == {int, float}
    metrics = measured(optimizer, parts[2:])  # What it held before is gone.
    metrics.load_state_dict(state)
    assert metrics.result().lr == 0.1
    metrics.update(*parts[2], optimizer)
    assert metrics.result() == whole
    # Batches are counted from the beginning of the epoch.
    with pytest.raises(TrainingDiverged, match="at batch 4 of this epoch"):
        metrics.update(torch.full((1, 10), math.nan), torch.tensor([0]), optimizer)


def test_a_new_epoch_begins_at_zero(optimizer):
    metrics = measured(optimizer, batches(4, 4))
    metrics.all_reduce = reduce = lambda sums: sums
    metrics.reset()
    fresh = RunningMetrics()
    assert (metrics.images, metrics.batches, metrics.loss_sum, metrics.correct) == (0, 0, 0, 0)
    assert (metrics.losses, metrics.lrs) == ([], [])
    assert math.isnan(metrics.lr)
    assert math.isnan(metrics.momentum)
    assert metrics.all_reduce is reduce
    for part in batches(5, 6, seed=1):
        metrics.update(*part, optimizer)
        fresh.update(*part, optimizer)
    assert metrics.result() == fresh.result()


def test_the_sums_of_all_processes(optimizer):
    """Two processes with a shard each: the result is that of all images."""
    parts = list(batches(6, 4))
    whole = measured(optimizer, parts).result()
    one, other = (measured(optimizer, [part]) for part in parts)
    sums = [other.images, int(other.correct), float(other.loss_sum)]
    one.all_reduce = lambda ours: [float(a + b) for a, b in zip(ours, sums, strict=True)]
    assert one.result() == whole
    assert one.state_dict()["images"] == 10
    assert {type(one.state_dict()[name]) for name in ("images", "correct", "batches")} == {int}


def test_columns_of_the_history():
    assert COLUMNS == (
        "epoch", "lr", "momentum", "train_loss", "train_accuracy", "test_loss", "test_accuracy",
        "seconds",
    )  # fmt: skip


def test_skipped_steps_are_counted_also_over_an_interruption(optimizer):
    metrics = RunningMetrics()
    for skipped in (True, False, True):
        metrics.update(*next(batches(4)), optimizer, skipped)
    resumed = RunningMetrics()
    resumed.load_state_dict(metrics.state_dict())
    resumed.update(*next(batches(4)), optimizer, True)
    assert (metrics.result().skipped, resumed.result().skipped) == (2, 3)
    state = metrics.state_dict()
    del state["skipped"]  # As saved before they were counted.
    resumed.load_state_dict(state)
    assert resumed.result().skipped == 0


def test_an_epoch_without_images_is_an_input_error():
    with pytest.raises(InputError, match="the training loader gave no batch"):
        RunningMetrics().result()


def test_there_is_no_float64_on_apples_gpus(optimizer, monkeypatch):
    """A stand-in: the sums are made in the dtype that is asked for the loss's device."""
    asked = []

    def widest_float(device):
        asked.append(device.type)
        return torch.float32

    monkeypatch.setattr("s10.metrics.widest_float", widest_float)
    metrics = measured(optimizer, batches(4, 4))
    assert metrics.loss_sum.dtype is torch.float32
    assert asked == ["cpu"] * 2
