"""Which device and which number format a run takes, and why."""

import ctypes
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from s10.errors import InputError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """A number format for the forward pass; the weights stay float32.

    `autocast()` is a context for the forward pass, `scaler()` a new GradScaler,
    which does nothing but for fp16, whose small gradients would vanish.
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
        raise InputError(f"there is no device {name!r}; it is auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "PyTorch sees no CUDA GPU here; take --device cpu (with --width 16), or in Colab "
            "choose Runtime → Change runtime type → GPU"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> Precision:
    """The number format by its name; "auto" takes bf16 or fp16 where they are fast.

    bf16 on GPUs from Ampere on and on CPUs with avx512_bf16 or AMX, fp16 on older
    GPUs with tensor cores (a T4; PyTorch would emulate bf16 there), else fp32.

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
        raise InputError(f"there is no precision {name!r}; it is auto, fp32, bf16 or fp16")
    if name == "fp16" and device.type == "cpu":
        raise InputError("fp16 is for GPUs; on a CPU take precision bf16 or fp32")
    return Precision(name, device.type)


def be_deterministic() -> None:
    """Let a GPU compute the same bits each time, at some cost; a CPU does so anyway.

    To be called before the first computation on the GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers itself (Linux only: it asks /proc/cpuinfo)."""
    try:
        flags = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def describe(device: torch.device) -> str:
    """The device in words, such as "Tesla T4" or "2 CPU cores (AMD EPYC)"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if "model name" in line), model)
    except OSError:
        pass
    cores = torch.get_num_threads()
    return f"{cores} CPU core{'s' if cores > 1 else ''} ({model})"


def keep_freed_memory() -> None:
    """Tell glibc to keep what tensors free, instead of handing it back to Linux each step.

    The kernel zeroes each page that it hands out again: without this, a sixth
    of the time of a step on a CPU goes into that. Does nothing elsewhere.
    """
    m_trim_threshold, m_mmap_threshold = -1, -3  # from <malloc.h>
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(m_mmap_threshold, 1 << 30)
    mallopt(m_trim_threshold, (1 << 31) - 1)
