"""Which device and number format a run uses, on machines that are not this one."""

import ctypes
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import exit_code, start

import s10
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
    widest_float,
)

CPU, GPU, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.mark.parametrize("has_gpu", [True, False])
def test_the_device(monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    assert pick_device("auto") == (GPU if has_gpu else CPU)
    assert pick_device("cpu") == CPU
    if has_gpu:
        assert pick_device("cuda") == GPU
    else:
        with pytest.raises(InputError, match="sees no CUDA GPU here; use --device cpu"):
            pick_device("cuda")
    with pytest.raises(InputError, match="no device 'gpu'; choose auto, cpu, cuda or mps"):
        pick_device("gpu")


WHEEL = ["sm_75", "sm_80", "sm_86", "sm_90a", "sm_100", "sm_120", "compute_120"]


@pytest.mark.parametrize(
    ("capability", "built", "works"),
    [
        ((6, 0), WHEEL, False),  # A P100.
        ((7, 0), WHEEL, False),  # A V100: older than sm_75.
        ((7, 5), WHEEL, True),  # A T4.
        ((8, 9), WHEEL, True),  # An L4 runs the code for sm_86.
        ((10, 3), WHEEL, True),
        ((11, 0), WHEEL, False),
        ((12, 1), WHEEL, True),
        ((13, 0), WHEEL, True),  # The driver compiles compute_120 for it.
        ((13, 0), WHEEL[:-1], False),
        ((9, 4), ["gfx90a", "gfx942"], True),  # AMD's.
        ((7, 5), [], True),
    ],
    ids=str,
)
def test_a_gpu_that_pytorch_was_not_built_for(monkeypatch, capsys, capability, built, works):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Tesla P100-PCIE-16GB")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built)
    assert pick_device("auto") == (GPU if works else CPU)
    said = "this PyTorch was not built for the GPU here (Tesla P100-PCIE-16GB)"
    output = capsys.readouterr().out
    assert output == ("" if works else f"{said}, so the CPU is used\n")
    if works:
        assert pick_device("cuda") == GPU
    else:
        with pytest.raises(InputError, match=r"not built for .*; use --device cpu, or install"):
            pick_device("cuda")
    assert pick_device("cpu") == CPU


@pytest.mark.parametrize("has_mps", [True, False])
def test_apples_gpu(monkeypatch, has_mps):
    """A stand-in: there is none here."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: has_mps)
    assert pick_device("auto") == (MPS if has_mps else CPU)
    assert pick_device("cpu") == CPU
    if has_mps:
        assert pick_device("mps") == MPS
    else:
        with pytest.raises(InputError, match="no GPU of Apple's here; use --device cpu"):
            pick_device("mps")
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert describe_device(MPS) == "Apple GPU (arm)"


@pytest.mark.filterwarnings("error")
def test_apples_gpu_computes_in_float32(monkeypatch):
    """Whatever its CPU could do; and PyTorch warns of a float32 autocast there."""
    monkeypatch.setattr(module, "_cpuinfo", lambda: "flags : avx512_bf16")
    precision = pick_precision("auto", MPS)
    assert precision == Precision("fp32", "mps")
    assert not precision.scaler().is_enabled()
    with (autocast := precision.autocast()):
        assert not autocast._enabled
        assert autocast.fast_dtype is not torch.float32
    assert widest_float(MPS) is torch.float32
    assert widest_float(CPU) is widest_float(GPU) is torch.float64


def test_what_apples_gpu_cannot_do_is_done_by_the_cpu():
    """PyTorch reads the variable when it is imported, and warns of each operation once."""
    code = "import os, s10; print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'])"
    for given, expected in ({}, "1"), ({"PYTORCH_ENABLE_MPS_FALLBACK": "0"}, "0"):
        environment = {**os.environ, **given}
        if not given:
            environment.pop("PYTORCH_ENABLE_MPS_FALLBACK", None)
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert done.stdout == f"{expected}\n"
    lines = Path(s10.__file__).read_text().splitlines()
    assert lines.index('os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")') < min(
        number for number, line in enumerate(lines) if line.startswith("from s10")
    )


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


@pytest.mark.parametrize(
    ("largest", "expected"),
    [
        (1 << 40, [(-3, 1 << 30), (-1, (1 << 31) - 1)]),
        (1 << 25, [(-3, 1 << 30), (-3, 1 << 25), (-1, (1 << 31) - 1)]),  # glibc before 2.35
        (0, [(-3, 1 << 30), (-3, 1 << 25)]),
    ],
)
def test_a_threshold_that_is_refused_is_not_followed_by_the_other_one(
    monkeypatch, largest, expected
):
    """Alone, the second would freeze the first at 128 KiB: each step 1.5 times as slow."""
    calls = []

    class Libc:
        @staticmethod
        def mallopt(parameter, value):
            calls.append((parameter, value))
            return int(parameter != -3 or value <= largest)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Libc)
    tune_malloc()
    assert calls == expected


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
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)."),
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
