"""Several processes, one training: PyTorch's `torchrun` starts them, this holds them together.

    torchrun --nproc-per-node 2 -m s10 train --data cifar10

Each process trains on its share of every batch, with DistributedDataParallel;
the batch as a whole, the LR and the number of steps stay those of one process.
Rank 0 prints and writes.
"""

import contextlib
import datetime
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from s10.errors import InputError, S10Error
from s10.meter import Meter

# A process that waits longer than this for the others gives up: one of them is gone.
# An hour, as the leader may have to download the images first.
PATIENCE = datetime.timedelta(hours=1)


class Team:
    """This process and those that train with it; alone it has one member."""

    def __init__(self, rank: int = 0, size: int = 1, local_rank: int = 0):
        self.rank, self.size, self.local_rank = rank, size, local_rank
        self.control = None

    @property
    def leads(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def share(self, start: int, stop: int) -> slice:
        """This process's part of start … stop; part after part they are the whole."""
        count = stop - start
        return slice(
            start + count * self.rank // self.size, start + count * (self.rank + 1) // self.size
        )

    def largest(self, number: int) -> int:
        """The largest of the numbers that the processes bring, the same in all of them.

        Over gloo also where the gradients go over NCCL, so that no GPU has to wait.
        """
        if self.size == 1:
            return number
        value = torch.tensor(number)
        dist.all_reduce(value, dist.ReduceOp.MAX, group=self.control)
        return int(value)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self.largest(0)

    def sums(self, numbers: list[float]) -> list[float]:
        """The numbers added up over the processes, float64."""
        if self.size == 1:
            return numbers
        values = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(values, group=self.control)
        return values.tolist()

    def from_leader(self, thing):
        """What rank 0 brings, in all processes."""
        if self.size == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box, group=self.control)
        return box[0]

    def gathered(self, thing) -> list:
        """What all processes bring, by rank."""
        if self.size == 1:
            return [thing]
        box = [None] * self.size
        dist.all_gather_object(box, thing, group=self.control)
        return box

    def wrap(self, model: nn.Module, batches) -> nn.Module:
        """The model to train with: gradients of the whole batch, and its batch norms shared."""
        if self.size == 1:
            return model
        if not hasattr(batches, "weight"):
            raise InputError("several processes need the batches of s10.train_batches(…, team=…)")
        share_batch_norms(model)
        return _Member(model, batches)


class _Member(nn.Module):
    """DistributedDataParallel that adds gradients up, each share counting as it has images.

    The plain mean over the processes would give the images of a smaller share
    more weight. The weight enters where the loss does, at the logits, because
    the shared batch norms carry gradients from one process to the other.
    """

    def __init__(self, model: nn.Module, batches):
        super().__init__()
        self.parallel, self.batches = DistributedDataParallel(model), batches
        self.parallel.register_comm_hook(None, _sum_of_gradients)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.parallel(x)
        if logits.requires_grad:
            weight = self.batches.weight
            logits.register_hook(lambda gradient: gradient * weight)
        return logits


def _sum_of_gradients(state, bucket):
    work = dist.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda future: future.value()[0])


class _Sum(torch.autograd.Function):
    """The sum over the processes; so is the gradient's."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return _Sum.apply(gradient.contiguous())


class TeamMeter(Meter):
    """A meter of which each process holds a part; `totals` and `result` add the parts up."""

    SUMS = ("images", "hits", "loss_sum")

    def __init__(self, team: Team):
        super().__init__()
        self.team = team

    def totals(self) -> dict:
        mine = super().totals()
        sums = self.team.sums([mine[name] for name in self.SUMS])
        return {**mine, **dict(zip(self.SUMS, sums, strict=True))}

    def go_on(self, totals: dict) -> None:
        # What was added up already is the leader's alone.
        super().go_on(totals if self.team.leads else {**totals, **dict.fromkeys(self.SUMS, 0)})


class SharedBatchNorm2d(nn.BatchNorm2d):
    """A batch norm over the shares of all processes, on a CPU; PyTorch's own needs GPUs.

    Ioffe & Szegedy 2015, with mean and variance of the whole batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        dims, shape = (0, 2, 3), (1, -1, 1, 1)
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = _Sum.apply(torch.cat([values.sum(dims), count]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean.view(shape)
        # In two passes: the mean of the squares minus the square of the mean loses digits.
        variance = _Sum.apply(centred.square().sum(dims)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)


def share_batch_norms(model: nn.Module) -> None:
    """Let every batch norm of the model see the batch of all processes."""
    if next(model.parameters()).device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # In place, but for the model itself.
        return
    for module in model.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm2d


@contextlib.contextmanager
def team(device: torch.device) -> Iterator[Team]:
    """The team that `torchrun` announces in the environment, or one of one; on this device.

    Raises:
        InputError: only a part of what torchrun announces is there.
        S10Error: another process of the team is gone.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    if "RANK" not in os.environ:
        raise InputError(f"WORLD_SIZE is {size}, but there is no RANK: start s10 with torchrun")
    found = Team(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK", "0")))
    on_gpus = device.type == "cuda"
    if on_gpus:
        if torch.cuda.device_count() <= found.local_rank:
            raise InputError(
                f"there are {torch.cuda.device_count()} GPUs here; give torchrun no more processes"
            )
        torch.cuda.set_device(found.local_rank)
    dist.init_process_group("nccl" if on_gpus else "gloo", timeout=PATIENCE)
    try:
        found.control = dist.new_group(backend="gloo", timeout=PATIENCE)
        yield found
    except RuntimeError as error:
        words = str(error).lower()
        if any(sign in words for sign in ("connection", "peer", "timed out", "timeout")):
            raise S10Error(
                f"process {found.rank} of {size}: another process of this training is gone"
            ) from None
        raise
    finally:
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()
