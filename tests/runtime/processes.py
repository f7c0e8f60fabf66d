"""Functions in processes of their own, to be killed without an import of PyTorch for each.

multiprocessing's fork server has imported everything and computed nothing, so no threads
are lost in a fork.
"""

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from s10.runtime import checkpoints

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "pytest",
        "s10.cli.main",
        "torch._dynamo",
        "torch.distributed",
        "matplotlib.backends.backend_agg",
    ]
)


def start(function: Callable, *arguments, output: Path, **environment: str):
    """A process that calls the function and exits with what it returns.

    It has one thread, and its epochs are short: a checkpoint is written after each one
    all the same, as after those of real runs.

    Args:
        output: the file that gets its stdout and stderr.
        environment: variables that are set in it.
    """
    process = _CONTEXT.Process(
        target=_run, args=(function, arguments, output, environment), daemon=True
    )
    process.start()
    return process


def _run(function, arguments, output, environment):
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    torch.set_num_threads(1)
    checkpoints.SECONDS = 0
    sys.exit(function(*arguments))


def start_all(function: Callable, *arguments, output: Path, count: int = 2) -> list:
    """That many processes that find each other as `torchrun` would tell them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        start(function, *arguments, output=output.with_name(f"{output.name}-{rank}"),
              RANK=str(rank), LOCAL_RANK=str(rank), **world)
        for rank in range(count)
    ]  # fmt: skip


def exit_code(process) -> int:
    """Wait for its end; negative: the signal that ended it."""
    process.join()
    return process.exitcode


def wait_for(condition: Callable[[], bool], process) -> None:
    """Wait until the condition holds; fail if the process ends before."""
    while not condition():
        assert process.is_alive(), f"it ended with {process.exitcode}"
        time.sleep(0.002)
