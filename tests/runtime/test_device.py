"""Which device and number format a run uses, on machines that are not this one."""

import ctypes
import os
import platform
import resource

import pytest
import torch
from processes import exit_code, start

from s10 import InputError
from s10.runtime import device as module
from s10.runtime.device import (
    OutOfMemory,
    Precision,
    cpu_has_bf16,
    describe_device,
    enable_determinism,
    pick_device,
    pick_precision,
    report_out_of_memory,
    tune_malloc,
)

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize("has_gpu", [True, False])
def test_the_device(monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert pick_device("auto") == (GPU if has_gpu else CPU)
    assert pick_device("cpu") == CPU
    if has_gpu:
        assert pick_device("cuda") == GPU
    else:
        with pytest.raises(InputError, match="sees no CUDA GPU here; use --device cpu"):
            pick_device("cuda")
    with pytest.raises(InputError, match="no device 'gpu'; choose auto, cpu or cuda"):
        pick_device("gpu")


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize(
    ("capability", "expected"), [((8, 0), "bf16"), ((7, 5), "fp16"), ((6, 1), "fp32")]
)
def test_the_precision_of_a_gpu(monkeypatch, capability, expected):
    """An A100, a T4, and one without tensor cores."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    precision = pick_precision("auto", GPU)
    assert precision.name == expected
    assert precision.device_type == "cuda"


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx2 avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("avx2", "fp32")]
)
def test_the_precision_of_a_cpu(monkeypatch, flags, expected):
    monkeypatch.setattr(module, "_cpuinfo", lambda: f"flags : fpu {flags} sse")
    assert pick_precision("auto", CPU).name == expected
    assert cpu_has_bf16() == (expected == "bf16")


def test_a_precision_that_cannot_be():
    with pytest.raises(InputError, match="fp16 is for GPUs; on a CPU use precision bf16 or fp32"):
        pick_precision("fp16", CPU)
    with pytest.raises(InputError, match="no precision 'fp8'; choose auto, fp32, bf16 or fp16"):
        pick_precision("fp8", CPU)


def test_the_forward_pass_has_the_precision_and_only_fp16_a_scaler():
    linear, inputs = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        precision = Precision(name, "cpu")
        with precision.autocast():
            assert linear(inputs).dtype == dtype
        assert not precision.scaler().is_enabled()
    assert Precision("fp16", "cpu").scaler().is_enabled()


def test_the_name_of_a_cpu(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(module, "_cpuinfo", lambda: "processor : 0\nmodel name\t: AMD EPYC\n" * 2)
    assert describe_device(CPU) == "2 CPU cores (AMD EPYC)"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describe_device(CPU) == "1 CPU core (AMD EPYC)"
    monkeypatch.setattr(module, "_cpuinfo", lambda: "")  # Not Linux.
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert describe_device(CPU) == "1 CPU core (arm64)"


def test_determinism_is_switched_on(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    try:
        enable_determinism()
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)


def page_faults(tuned: bool) -> int:
    """Fill and free 64 MiB; print how many pages the kernel zeroes for that the fifth time."""
    libc = ctypes.CDLL("libc.so.6")
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    if tuned:
        tune_malloc()
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        memory = libc.malloc(64 << 20)
        ctypes.memset(memory, 1, 64 << 20)
        libc.free(memory)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return 0


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc here")
def test_freed_memory_is_kept(tmp_path):
    counts = []
    for tuned in (False, True):
        process = start(page_faults, tuned, output=tmp_path / str(tuned))
        assert exit_code(process) == 0
        counts.append(int((tmp_path / str(tuned)).read_text()))
    assert counts[0] > 1000
    assert counts[1] < 10


def test_without_glibc_memory_is_left_alone(monkeypatch):
    def missing(name):
        raise OSError("libc.so.6: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    tune_malloc()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # A C library without mallopt.
    tune_malloc()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ],
)
def test_a_gpu_without_memory_is_reported_with_what_to_do(error):
    for size, smaller in ((64, 32), (1, 1)):
        expected = rf"for batches of {size}; .* batches of {smaller} \(--set batch_size={smaller}\)"
        with pytest.raises(OutOfMemory, match=expected), report_out_of_memory(size):
            raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="another error"), report_out_of_memory(64):
        raise RuntimeError("another error")
