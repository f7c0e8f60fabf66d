"""Which device and which number format a run uses, and why."""

import contextlib
import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

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
        return torch.autocast(self.device_type, DTYPES[self.name], enabled=self.name != "fp32")

    def scaler(self) -> torch.amp.GradScaler:
        return torch.amp.GradScaler(self.device_type, enabled=self.name == "fp16")


def pick_device(name: str = "auto") -> torch.device:
    """ "auto" (a CUDA GPU if there is one), "cpu" or "cuda".

    Raises:
        InputError: no such device, or no GPU where one was asked for.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"there is no device {name!r}; choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "PyTorch sees no CUDA GPU here; use --device cpu (with --width 16), or in Colab "
            "choose Runtime → Change runtime type → GPU"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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
            name = "bf16" if cpu_has_bf16() else "fp32"
    if name not in DTYPES:
        raise InputError(f"there is no precision {name!r}; choose auto, fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs; on a CPU use precision bf16 or fp32")
    return Precision(name, device.type)


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
    models = [
        line.split(":")[1].strip() for line in _cpuinfo().splitlines() if "model name" in line
    ]
    model = models[0] if models else platform.processor() or platform.machine()
    cores = torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({model})"


def tune(device: torch.device) -> None:
    """Settings of this process that make training on the device faster."""
    if device.type == "cpu":
        tune_malloc()
    elif device.type == "cuda" and not torch.are_deterministic_algorithms_enabled():
        # cuDNN tries its algorithms on the first batch of each shape, and keeps the fastest.
        torch.backends.cudnn.benchmark = True


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
    mallopt(m_mmap_threshold, 1 << 30)
    mallopt(m_trim_threshold, (1 << 31) - 1)


@contextlib.contextmanager
def report_out_of_memory(batch_size: int):
    """Raise OutOfMemory where PyTorch, cuBLAS or cuDNN run out of GPU memory."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "ALLOC_FAILED" not in str(error):
            raise
        smaller = max(1, batch_size // 2)
        raise OutOfMemory(
            f"the GPU's memory is too small for batches of {batch_size}; start a new run with "
            f"batches of {smaller} (--set batch_size={smaller}), or with a smaller --width"
        ) from None
