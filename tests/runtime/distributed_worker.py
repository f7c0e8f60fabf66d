"""What each of two processes does in test_distributed.py."""

import functools
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributed.nn.functional import all_reduce

from s10 import Checkpointer, CustomResNet, Hook, Recipe, fit, load_dataset, seed_everything
from s10.runtime.distributed import DistributedContext, SyncProcesses, distributed_context

# The weights hardly move: what is measured is not blurred by what is learned.
RECIPE = Recipe(
    data="shapes", batch_size=12, epochs=2, peak_epoch=1, lr_max=1e-9, lr_min=1e-10,
    precision="fp32",
)  # fmt: skip


@functools.cache
def dataset():
    """40 images make 3 batches of 12 and one of 4."""
    return load_dataset("shapes").subset(40, 20)


def plain_network() -> nn.Module:
    """A network without batch norm, so that the shards do not interact."""
    seed_everything(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, stride=4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 7 * 7, 10)
    )


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm over the equal shards of all processes; PyTorch's own needs GPUs."""

    world_size = 1

    def forward(self, x):
        def mean(values):
            values = values.mean((0, 2, 3))
            return all_reduce(values) / self.world_size if self.world_size > 1 else values

        average = mean(x)
        centered = x - average.view(1, -1, 1, 1)
        variance = mean(centered.square())
        count = self.world_size * x.numel() / x.shape[1]
        with torch.no_grad():
            self.running_mean.lerp_(average, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centered * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


def network_with_shared_batch_norms(world_size: int) -> nn.Module:
    """The assignment's network, as SyncBatchNorm would make it on GPUs."""
    seed_everything(0)
    model = CustomResNet(10, 4)
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__, module.world_size = SharedBatchNorm2d, world_size
    return model


def gradients(model: nn.Module, context: DistributedContext) -> dict:
    """Gradients and buffers of one step in float64, and the labels of this shard."""
    loader = RECIPE.train_loader(dataset(), rank=context.rank, world_size=context.world_size)
    wrapped = context.wrap(model.double().train())
    images, labels = next(iter(loader))
    F.cross_entropy(wrapped(images.double()), labels).backward()
    return {
        **{name: weight.grad for name, weight in model.named_parameters()},
        **dict(model.named_buffers()),
        "labels": labels,
    }


class LabelsOf:
    """A loader that keeps the labels of its batches."""

    def __init__(self, loader):
        self.loader, self.seen = loader, []
        self.first_batch, self.fingerprint = 0, loader.fingerprint

    def __len__(self):
        return len(self.loader)

    def set_epoch(self, epoch, first_batch=0):
        self.first_batch = first_batch
        self.loader.set_epoch(epoch, first_batch)

    def __iter__(self):
        for images, labels in self.loader:
            self.seen.append(labels)
            yield images, labels


class SignalAt(Hook):
    """Send this process SIGTERM after these steps."""

    def __init__(self, steps: int):
        self.steps, self.count = steps, 0

    def on_step(self, state):
        self.count += 1
        if self.count == self.steps:
            os.kill(os.getpid(), signal.SIGTERM)


def run(context: DistributedContext, folder=None, *, hooks=(), recipe=RECIPE) -> dict:
    """Train the plain network; the outcome as numbers and tensors."""
    images = dataset()
    model = plain_network()
    loader = LabelsOf(recipe.train_loader(images, rank=context.rank, world_size=context.world_size))
    all_hooks = [SyncProcesses(context), *hooks]
    if folder:
        all_hooks.append(Checkpointer(folder, resume=True, minutes=0, context=context))
    result = fit(
        context.wrap(model), loader, recipe.test_loader(images), recipe, images.classes,
        hooks=all_hooks,
    )  # fmt: skip
    logits = result.predictions.logits if result.predictions is not None else None
    return {
        "history": result.history.drop(columns="seconds").to_dict("list"),
        "logits": None if logits is None else torch.from_numpy(logits),
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "labels": loader.seen,
        "interrupted": result.interrupted,
        "signal": result.signal,
    }


def work(folder: Path) -> int:
    """All that two processes are needed for; each writes `rank-<n>.pt`."""
    with distributed_context(torch.device("cpu")) as context:
        found = {
            "sum": context.all_reduce_sum([1.5, context.rank]),
            "max": context.all_reduce_max(context.rank),
            "broadcast": context.broadcast({"rank": context.rank}),
            "gather": context.all_gather(f"rank {context.rank}"),
            "plain": gradients(plain_network(), context),
            "shared": gradients(network_with_shared_batch_norms(2), context),
            "whole": run(context),
        }
        # A signal to the second process within the second epoch; then all goes on.
        hooks = [SignalAt(6)] if context.rank == 1 else []
        found["stopped"] = run(context, folder / "two", hooks=hooks)
        context.barrier()
        if context.is_main_process:
            shutil.copytree(folder / "two", folder / "two-to-one")
        context.barrier()
        found["resumed"] = run(context, folder / "two")
        found["one to two"] = run(context, folder / "one-to-two")
        # At a real LR the processes have to stay the same network.
        found["trained"] = run(context, recipe=replace(RECIPE, lr_max=0.01))
        torch.save(found, folder / f"rank-{context.rank}.pt")
    return 0
