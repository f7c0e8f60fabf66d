"""Which device and which number format a run uses, and why."""

import contextlib
import ctypes
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from s10.runtime.errors import InputError, S10Error

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class OutOfMemory(S10Error):
    """The GPU's memory is too small for the batch size."""


@dataclass(frozen=True)
class Precision:
    """A number format for the forward pass; the weights stay float32.

    `autocast()` is a context for the forward pass. `scaler()` is a new GradScaler,
    enabled for fp16 only, where small gradients would underflow.
    """

    name: str
    device_type: str

    def autocast(self) -> torch.autocast:
        if self.name == "fp32":  # Without its dtype, about which some devices warn.
            return torch.autocast(self.device_type, enabled=False)
        return torch.autocast(self.device_type, DTYPES[self.name])

    def scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def pick_device(name: str = "auto") -> torch.device:
    """ "auto" (a CUDA GPU or Apple's GPU if there is one), "cpu", "cuda" or "mps".

    Raises:
        InputError: no such device, or no GPU where one was asked for.
    """
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise InputError(f"there is no device {name!r}; choose auto, cpu, cuda or mps")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if has_cuda and name in ("auto", "cuda") and not _built_for_this_gpu():
        reason = f"this PyTorch was not built for the GPU here ({torch.cuda.get_device_name()})"
        if name == "cuda":
            raise InputError(f"{reason}; use --device cpu, or install a PyTorch that was")
        print(f"{reason}, so the CPU is used", flush=True)
        return torch.device("cpu")
    if name == "cuda" and not has_cuda:
        raise InputError(
            "PyTorch sees no CUDA GPU here; use --device cpu (with --width 16), or in Colab "
            "choose Runtime → Change runtime type → GPU"
        )
    if name == "mps" and not has_mps:
        raise InputError("PyTorch sees no GPU of Apple's here; use --device cpu")
    if name == "auto":
        name = "cuda" if has_cuda else "mps" if has_mps else "cpu"
    return torch.device(name)


def _built_for_this_gpu() -> bool:
    """Whether this PyTorch has code for the GPU: of its generation, or to be compiled for it.

    A recent one has none for a P100. AMD's names (gfx…) are not judged.
    """
    found = [re.match(r"(sm|compute)_(\d+)(\d)", name) for name in torch.cuda.get_arch_list()]
    if not found or None in found:
        return True
    here = torch.cuda.get_device_capability()
    built = [(match[1], (int(match[2]), int(match[3]))) for match in found]
    return any(code <= here and (kind == "compute" or code[0] == here[0]) for kind, code in built)


def device_of(model: nn.Module) -> torch.device:
    """Where the model's parameters are.

    Raises:
        InputError: it has none.
    """
    for parameter in model.parameters():
        return parameter.device
    raise InputError("the model has no parameters, so there is nothing to train or to test")


def widest_float(device: torch.device) -> torch.dtype:
    """The dtype for sums: float64, but float32 on Apple's GPUs, which have nothing wider."""
    return torch.float32 if device.type == "mps" else torch.float64


def pick_precision(name: str, device: torch.device) -> Precision:
    """The number format of that name; "auto" chooses bf16 or fp16 where they are fast.

    bf16 on GPUs since Ampere and on CPUs with avx512_bf16 or AMX, fp16 on older GPUs
    with tensor cores (a T4; PyTorch would emulate bf16 there), otherwise fp32.

    Raises:
        InputError: the name is unknown, or fp16 on a CPU.
    """
    device = torch.device(device)
    if name == "auto":
        if device.type == "cuda":
            capability = torch.cuda.get_device_capability(device)
            name = "bf16" if capability >= (8, 0) else "fp16" if capability >= (7, 0) else "fp32"
        else:
            name = "bf16" if device.type == "cpu" and cpu_has_bf16() else "fp32"
    if name not in DTYPES:
        raise InputError(f"there is no precision {name!r}; choose auto, fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs; on a CPU use precision bf16 or fp32")
    return Precision(name, device.type)


def update_scale(scaler: torch.amp.GradScaler, optimizer: Optimizer) -> bool:
    """Adapt the loss scale after a step; return whether the step was skipped.

    It is where gradients overflowed in fp16, as with the large scales of the first steps.
    """
    before = scaler.get_scale()
    scaler.update()
    skipped = scaler.get_scale() < before
    if skipped:  # Without gradients a step changes nothing, and no scheduler runs ahead of it.
        optimizer.zero_grad()
        optimizer.step()
    return skipped


def enable_determinism() -> None:
    """Make a GPU compute the same bits each time, at some cost; a CPU does so anyway.

    Call it before the first computation on the GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def _cpuinfo() -> str:
    """What Linux says of the CPU; empty elsewhere."""
    try:
        return Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return ""


def cpu_has_bf16() -> bool:
    """Whether the CPU has instructions for bf16 products (known on Linux only)."""
    return any(flag in _cpuinfo() for flag in ("avx512_bf16", "amx_bf16"))


def describe_device(device: torch.device) -> str:
    """The device's name, such as "Tesla T4" or "2 CPU cores (AMD EPYC)"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"Apple GPU ({platform.processor() or platform.machine()})"
    found = re.search(r"model name\s*:\s*(.*\S)", _cpuinfo())
    model = found[1] if found else platform.processor() or platform.machine()
    cores = torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({model})"


def tune_malloc() -> None:
    """Tell glibc to keep freed memory instead of returning it to Linux in each step.

    The kernel zeroes every page that it hands out again, which otherwise takes a
    sixth of the time of a training step on a CPU. Does nothing without glibc.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # from <malloc.h>
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    # glibc before 2.35 takes no more than 32 MiB. Where it refuses both, the other threshold
    # would freeze this one at 128 KiB, and all large tensors be returned in each step.
    if mallopt(m_mmap_threshold, 1 << 30) or mallopt(m_mmap_threshold, 1 << 25):
        mallopt(m_trim_threshold, (1 << 31) - 1)


@contextlib.contextmanager
def report_out_of_memory(batch_size: int):
    """Raise OutOfMemory where PyTorch, cuBLAS or cuDNN run out of GPU memory."""
    try:
        yield
    except RuntimeError as error:
        signs = ("ALLOC_FAILED", "MPS backend out of memory")
        is_sign = any(sign in str(error) for sign in signs)
        if not (isinstance(error, torch.OutOfMemoryError) or is_sign):
            raise
        smaller = max(1, batch_size // 2)
        raise OutOfMemory(
            f"the GPU's memory is too small for batches of {batch_size}; start a new run with "
            f"batches of {smaller} (--set batch_size={smaller}), or with a smaller --width"
        ) from None
