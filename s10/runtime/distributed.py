"""Several processes train one model: PyTorch's `torchrun` starts them.

    torchrun --nproc-per-node 2 -m s10 train --data cifar10

The caller wraps the model in DistributedDataParallel and gives each process its shard of
every batch; batch size, LR and number of steps stay those of one process.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from s10.runtime.errors import InputError, S10Error
from s10.runtime.hooks import Hook

# A process that waits longer than this for the others gives up: one of them is gone. An
# hour, as the main process may have to download the images first.
TIMEOUT = datetime.timedelta(hours=1)


class DistributedContext:
    """This process and those that train with it; by default it is the only one.

    Its collectives use gloo, also where the gradients go over NCCL, so that no GPU has
    to wait.
    """

    def __init__(self, rank: int = 0, world_size: int = 1):
        self.rank, self.world_size = rank, world_size
        self.group = None

    @property
    def is_main_process(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def all_reduce_sum(self, numbers: list[float]) -> list[float]:
        """The sums over the processes, in float64."""
        return self._all_reduce(numbers, dist.ReduceOp.SUM)

    def all_reduce_max(self, number: int) -> int:
        """The largest number over the processes."""
        return int(self._all_reduce([number], dist.ReduceOp.MAX)[0])

    def _all_reduce(self, numbers: list[float], operation) -> list[float]:
        if self.world_size == 1:
            return numbers
        values = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(values, operation, group=self.group)
        return values.tolist()

    def broadcast(self, value):
        """The main process's value, in all processes."""
        if self.world_size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, group=self.group)
        return values[0]

    def all_gather(self, value) -> list:
        """The values of all processes, by rank."""
        if self.world_size == 1:
            return [value]
        values = [None] * self.world_size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.world_size > 1:
            dist.barrier(group=self.group)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model for `fit`: its gradients are averaged over the processes.

        On GPUs its batch norms see the whole batch (SyncBatchNorm); on CPUs, where
        PyTorch has none, each process normalizes its own shard.
        """
        if self.world_size == 1:
            return model
        if next(model.parameters()).device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model.to(memory_format=torch.channels_last))


SINGLE_PROCESS = DistributedContext()


def unwrap(model: nn.Module) -> nn.Module:
    """The network itself, without a DistributedDataParallel around it."""
    return model.module if isinstance(model, DistributedDataParallel) else model


class SyncProcesses(Hook):
    """Metrics over all processes, and a signal to one of them stops all after the same step."""

    def __init__(self, context: DistributedContext):
        self.context = context

    def on_start(self, state) -> None:
        state.metrics.all_reduce = self.context.all_reduce_sum

    def on_step(self, state) -> None:
        state.signal = self.context.all_reduce_max(state.signal or 0) or None
        state.stop = bool(self.context.all_reduce_max(int(state.stop)))

    on_epoch = on_step


@contextlib.contextmanager
def distributed_context(device: torch.device) -> Iterator[DistributedContext]:
    """The processes that `torchrun` announces in the environment, or a single one.

    Raises:
        InputError: only a part of what torchrun announces is there.
        S10Error: another process is gone.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size == 1:
        yield SINGLE_PROCESS
        return
    if "RANK" not in os.environ:
        raise InputError(f"WORLD_SIZE is {world_size}, but RANK is not set: use torchrun")
    context = DistributedContext(int(os.environ["RANK"]), world_size)
    on_gpus = device.type == "cuda"
    if on_gpus:
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        if torch.cuda.device_count() <= local_rank:
            raise InputError(
                f"there are {torch.cuda.device_count()} GPUs here; give torchrun no more processes"
            )
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if on_gpus else "gloo", timeout=TIMEOUT)
    try:
        context.group = dist.new_group(backend="gloo", timeout=TIMEOUT)
        yield context
    except RuntimeError as error:
        message = str(error).lower()
        if any(part in message for part in ("connection", "peer", "timed out", "timeout")):
            raise S10Error(
                f"process {context.rank} of {world_size}: another process of this run is gone"
            ) from None
        raise
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
