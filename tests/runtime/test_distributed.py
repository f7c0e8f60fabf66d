"""Two processes train as one does: the same images, gradients, metrics and files."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from distributed_worker import (
    SignalAt,
    gradients,
    network_with_shared_batch_norms,
    plain_network,
    run,
    work,
)
from processes import exit_code, start, start_all, wait_for
from torch import nn

from s10 import InputError
from s10.cli.main import main
from s10.runtime.checkpoint_files import CheckpointFolder, read_checkpoint
from s10.runtime.distributed import SINGLE_PROCESS, distributed_context
from s10.runtime.errors import S10Error

# Two processes over gloo.


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds."""
    return run(SINGLE_PROCESS)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes found, by rank, and their folder."""
    folder = tmp_path_factory.mktemp("pair")
    # A run of one process, stopped within its second epoch, to be resumed by two.
    stopped = run(SINGLE_PROCESS, folder / "one-to-two", hooks=[SignalAt(6)])
    assert stopped["interrupted"]
    processes = start_all(work, folder, output=folder / "output")
    for rank, process in enumerate(processes):
        assert exit_code(process) == 0, (folder / f"output-{rank}").read_text()
    return [torch.load(folder / f"rank-{rank}.pt") for rank in range(2)], folder


def test_the_collectives(pair):
    for found in pair[0]:
        assert found["sum"] == [3.0, 1.0]
        assert found["max"] == 1
        assert found["broadcast"] == {"rank": 0}
        assert found["gather"] == ["rank 0", "rank 1"]


@pytest.mark.parametrize("name", ["plain", "shared"])
def test_the_gradients_are_those_of_the_whole_batch(pair, name):
    """In float64, where the order of sums hardly matters; batch norms' averages, too."""
    model = plain_network() if name == "plain" else network_with_shared_batch_norms(1)
    whole = gradients(model, SINGLE_PROCESS)
    ranks = [dict(found[name]) for found in pair[0]]
    labels = torch.cat([rank.pop("labels") for rank in ranks])
    assert torch.equal(labels, whole.pop("labels"))
    for key, value in whole.items():
        for rank in ranks:
            assert torch.allclose(rank[key], value, rtol=1e-9, atol=1e-12), key


def assert_close(found: dict, alone: dict) -> None:
    """The same history, to rounding."""
    assert found["history"]["epoch"] == [1, 2]
    for name, values in alone["history"].items():
        # Of 40 and 20 images; two logits that are equal but for rounding may go either way.
        close = {"abs": 1 / 30} if "accuracy" in name else {"rel": 1e-5}
        assert found["history"][name] == pytest.approx(values, **close), name
    assert torch.allclose(found["logits"], alone["logits"], rtol=1e-4, atol=1e-5)


def test_each_batch_is_that_of_one_process(pair, alone):
    """Each image once an epoch; more about the shards is in test_loaders.py."""
    first, second = (found["whole"]["labels"] for found in pair[0])
    assert len(alone["labels"]) == 8
    for labels, *shards in zip(alone["labels"], first, second, strict=True):
        assert torch.equal(torch.cat(shards), labels)


def test_the_metrics_are_those_of_all_images(pair, alone):
    for found in pair[0]:
        assert_close(found["whole"], alone)
    assert pair[0][0]["whole"]["history"] == pair[0][1]["whole"]["history"]


def test_both_see_the_same_network(pair):
    """The same weights and test predictions, bit for bit, also at a real LR."""
    first, second = pair[0]
    for name in ("whole", "trained", "resumed"):
        assert torch.equal(first[name]["logits"], second[name]["logits"])
        for key, value in first[name]["weights"].items():
            assert torch.equal(value, second[name]["weights"][key])
    moved = first["trained"]["weights"]["0.weight"] - first["whole"]["weights"]["0.weight"]
    assert moved.abs().max() > 1e-3


def test_a_signal_to_one_stops_both_after_the_same_step(pair):
    for found in pair[0]:
        stopped = found["stopped"]
        assert stopped["interrupted"]
        assert stopped["signal"] == signal.SIGTERM
        # It came while the hooks of step 6 ran, after they had agreed to continue.
        assert len(stopped["labels"]) == 7


def test_two_processes_resume_within_an_epoch(pair):
    """The sums of both are in the checkpoint, and counted once."""
    for found in pair[0]:
        assert len(found["resumed"]["labels"]) == 1
        assert found["resumed"]["history"] == found["whole"]["history"]
        assert torch.equal(found["resumed"]["logits"], found["whole"]["logits"])


def test_one_process_resumes_what_two_began(pair, alone, capsys):
    resumed = run(SINGLE_PROCESS, pair[1] / "two-to-one")
    assert len(resumed["labels"]) == 1
    assert_close(resumed, alone)
    assert "the last bits will differ from an uninterrupted run: " in (
        output := capsys.readouterr().out
    )
    assert "processes was 2, is 1" in output


def test_two_processes_resume_what_one_began(pair, alone):
    for found in pair[0]:
        assert len(found["one to two"]["labels"]) == 1
        assert_close(found["one to two"], alone)


def test_only_the_main_process_writes(pair):
    content = read_checkpoint(CheckpointFolder(pair[1] / "two").files()[-1])
    assert content["epoch"] == 3
    assert content["conditions"]["processes"] == 2
    assert "module.0.weight" not in content["model"]  # Without DistributedDataParallel.
    # After 8 steps and 2 epochs; the other process would have numbered its own.
    assert CheckpointFolder(pair[1] / "two").files()[-1].stem == "000010"


# The command line.


@pytest.fixture
def words(images):
    """8 epochs of 6 batches, with a checkpoint after each step."""
    return ("train", "--data", f"folder:{images}", "--width", "2", "--set", "batch_size=8",
            "--epochs", "8", "--precision", "fp32", "--checkpoint-minutes", "0")  # fmt: skip


def start_two(tmp_path, *words):
    """Two processes of `s10`, and the files with their output."""
    processes = start_all(main, list(map(str, words)), output=tmp_path / "output")
    return processes, [tmp_path / f"output-{rank}" for rank in range(2)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_if_one_is_gone_the_other_stops_with_one_line(words, tmp_path, number):
    """Told to stop, both stop, and exit with 143; then one process resumes."""
    folder = tmp_path / "run"
    (first, second), (output, other) = start_two(tmp_path, *words, "--out", folder)
    wait_for(lambda: len(CheckpointFolder(folder / "checkpoints").files()) == 2, first)
    os.kill(second.pid, number)
    codes = exit_code(first), exit_code(second)
    lines = output.read_text().splitlines()
    assert "processes  2, each trains on its shard of every batch" in lines
    assert "Traceback" not in output.read_text() + other.read_text()
    if number == signal.SIGKILL:
        assert codes == (1, -signal.SIGKILL)
        assert lines[-1] == "s10: process 0 of 2: another process of this run is gone"
    else:
        assert codes == (143, 143)
        assert lines[-1] == f"resume with: s10 train --resume {folder} --checkpoint-minutes 0.0"
    assert other.read_text() == ""  # Only the main process prints.
    process = start(main, ["train", "--resume", str(folder)], output=tmp_path / "resumed")
    assert exit_code(process) == 0
    resumed = (tmp_path / "resumed").read_text()
    assert "resuming after" in resumed
    assert "processes was 2, is 1" in resumed
    assert "test accuracy" in resumed


@pytest.mark.slow
def test_torchrun_starts_them(words, tmp_path):
    """By the command that the documentation gives."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "s10", *words, "--out", tmp_path / "run"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch  1/8") == 1
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_an_input_error_is_printed_once(words, tmp_path):
    """By the first process of each machine; batches of 9 cannot be divided by two."""
    processes, outputs = start_two(
        tmp_path, *words, "--set", "batch_size=9", "--out", tmp_path / "run"
    )
    assert [exit_code(process) for process in processes] == [2, 2]
    texts = [file.read_text() for file in outputs]
    assert "9, which 2 processes cannot divide equally" in texts[0].splitlines()[-1]
    assert texts[1] == ""
    assert not (tmp_path / "run").exists()


# One process, and half of two.


def test_half_of_what_torchrun_announces_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with (
        pytest.raises(InputError, match="WORLD_SIZE is 2, but RANK is not set: use torchrun"),
        distributed_context(torch.device("cpu")),
    ):
        pass


def test_more_processes_than_gpus_are_refused(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(InputError, match="there are 1 GPUs here; give torchrun no more processes"),
        distributed_context(torch.device("cuda")),
    ):
        pass


def test_a_single_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed_context(torch.device("cpu")) as context:
        assert context.is_main_process
        assert context.all_reduce_sum([1.5]) == [1.5]
        assert context.all_reduce_max(3) == 3
        assert context.broadcast("value") == "value"
        assert context.all_gather(3) == [3]
        context.barrier()
        model = nn.Linear(1, 1)
        assert context.wrap(model) is model


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("[../gloo/transport/tcp/pair.cc] Connection closed by peer [127.0.0.1]", S10Error),
        ("Timed out waiting 3600000ms for recv operation", S10Error),
        ("mat1 and mat2 shapes cannot be multiplied", RuntimeError),
    ],
)
def test_only_the_loss_of_a_process_is_reported_as_that(monkeypatch, message, error):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("init_process_group", "new_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_, **__: None)
    with pytest.raises(error) as caught, distributed_context(torch.device("cpu")):
        raise RuntimeError(message)
    assert isinstance(caught.value, S10Error) == (error is S10Error)
