"""Two processes train as one does: the same batches, gradients, metrics and files."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from team_worker import gradients, metrics

import s10.batches
from s10 import InputError, Recipe, load_images, train_batches
from s10.checkpoints import CheckpointFolder
from s10.cli import main
from s10.pipeline import _check_images
from s10.team import Team

HERE = Path(__file__).resolve().parent
# In float32 the sums over a batch are made in another order, share by share. That moves each by
# a few units in the last place (6e-8), and twenty steps of Adam, which divides by the gradient's
# size, make more of it: over five seeds the loss of the second epoch moved by up to 1.9e-3.
TOLERANCE = 6e-3

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)
}  # fmt: skip


def torchrun(*words, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=HERE.parent,
        env={**os.environ, **ENVIRONMENT}, **options,
    )  # fmt: skip


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("augment", ["batched", "albumentations"])
def test_each_image_once_an_epoch_over_all_processes(few, tiny, size, augment):
    recipe = replace(tiny, augment=augment, flip=False, cutout=0, pad=0)
    whole = list(train_batches(few, recipe))
    shares = [list(train_batches(few, recipe, team=Team(rank, size))) for rank in range(size)]
    for number, (images, labels) in enumerate(whole):
        parts = [share[number] for share in shares]
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
        assert torch.equal(torch.cat([part[0] for part in parts]), images)


def test_batched_augmentation_does_not_depend_on_the_number_of_processes(few, tiny):
    whole = list(train_batches(few, tiny))
    shares = [list(train_batches(few, tiny, team=Team(rank, 2))) for rank in range(2)]
    for number, (images, _) in enumerate(whole):
        assert torch.equal(torch.cat([share[number][0] for share in shares]), images)


def test_the_weights_of_the_shares_add_up(few, tiny):
    """200 images in batches of 64: the last one of 8; three processes get 2, 3 and 3."""
    members = [train_batches(few, tiny, team=Team(rank, 3)) for rank in range(3)]
    for batches in zip(*members, strict=True):
        assert sum(len(labels) for _, labels in batches) in (64, 8)
        assert sum(member.weight for member in members) == pytest.approx(1)


def test_a_batch_smaller_than_the_team_is_refused(few, tiny):
    with pytest.raises(InputError, match="the last batch has 2 images for 3 processes"):
        train_batches(few, replace(tiny, batch_size=99), team=Team(0, 3))


@pytest.fixture(scope="module")
def of_two(tmp_path_factory):
    """The folder where two processes put what they found."""
    folder = tmp_path_factory.mktemp("two")
    process = torchrun(HERE / "team_worker.py", folder)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return folder


def test_metrics_are_those_of_all_images(of_two, monkeypatch):
    """The sums of both processes, not those of one; and each test image once."""
    monkeypatch.setattr(s10.batches, "TEST_BATCH_SIZE", 100)  # As the worker sets it.
    alone = metrics(Team())
    for rank in range(2):
        found = torch.load(of_two / f"metrics-{rank}.pt")
        assert torch.equal(found["labels"], alone["labels"])
        assert torch.allclose(found["logits"], alone["logits"], rtol=1e-4, atol=1e-5)
        for name, values in alone["history"].items():
            # An image whose two largest logits are equal but for rounding may go either way.
            close = {"abs": 1 / 250} if "accuracy" in name else {"rel": 1e-5}
            assert found["history"][name] == pytest.approx(values, **close), name


def test_gradients_and_batch_norms_are_those_of_the_whole_batch(of_two):
    """In float64, where the order of sums hardly matters; also of unequal shares, 3 and 4."""
    for batch_size in (20, 7):
        alone = gradients(Team(), batch_size)
        ranks = [torch.load(of_two / f"{batch_size}-{rank}.pt") for rank in range(2)]
        assert sum(int(rank.pop("count")) for rank in ranks) == int(alone.pop("count"))
        for name, value in alone.items():
            for rank in ranks:
                assert torch.allclose(rank[name], value, rtol=1e-9, atol=1e-12), name


ARGUMENTS = ("train", "--data", "shapes", "--width", "4", "--epochs", "2", "--precision", "fp32",
             "--batch-size", "512", "--checkpoint-minutes", "0")  # fmt: skip


def run_s10(*words):
    done = subprocess.run(
        [sys.executable, "-m", "s10", *map(str, words)], capture_output=True, text=True,
        check=False, cwd=HERE.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    run_s10(*ARGUMENTS, "--out", folder)
    return folder


def assert_close(folder, alone):
    ours, theirs = (pd.read_csv(path / "metrics.csv") for path in (folder, alone))
    assert ours["epoch"].tolist() == theirs["epoch"].tolist()
    assert np.array_equal(ours["lr"], theirs["lr"])
    assert ours["train_loss"].to_numpy() == pytest.approx(theirs["train_loss"], rel=TOLERANCE)


def test_two_processes_end_as_one_and_the_leader_alone_writes(alone, tmp_path):
    process = torchrun("-m", "s10", *ARGUMENTS, "--out", tmp_path / "run")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "processes  2" in output
    assert output.count("epoch  1/2") == 1
    assert "Warning" not in output
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {path.name for path in alone.iterdir()}
    assert_close(tmp_path / "run", alone)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_one_is_gone_the_others_stop_and_one_process_goes_on(alone, tmp_path, number):
    """From two processes to one, and back to two."""
    folder = tmp_path / "run"
    process = torchrun("-m", "s10", *ARGUMENTS, "--out", folder, start_new_session=True)
    while len(CheckpointFolder(folder / "checkpoints").files()) < 2:
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0]
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    os.kill(int(children[-1]), number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    if number == signal.SIGKILL:
        assert "another process of this training is gone" in output
    else:
        assert "to go on: s10 train --resume" in output
    assert "s10/cli.py" not in output  # No traceback of ours; torchrun prints one of its own.
    said = run_s10("train", "--resume", folder)
    assert "going on after" in said
    assert "processes was 2, is 1" in said
    assert_close(folder, alone)


def test_from_one_process_to_two(alone, tmp_path):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "s10", *map(str, ARGUMENTS), "--out", folder], cwd=HERE.parent,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    while len(CheckpointFolder(folder / "checkpoints").files()) < 2:
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 143
    process = torchrun("-m", "s10", "train", "--resume", folder)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "going on after" in output
    assert_close(folder, alone)


def test_a_machine_with_other_images_is_named():
    """Each process on its own machine, say, and one of them has another folder of pictures."""

    class OfTwo(Team):
        def gathered(self, thing):
            return [thing, ("another fingerprint", thing[1])]

    images = load_images("shapes").subset(20, 10)
    with pytest.raises(InputError, match="process 1 has other images than process 0"):
        _check_images(images, OfTwo(0, 2))
    _check_images(images, Team())


def test_half_of_what_torchrun_announces_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    assert main(["train", "--data", "shapes"]) == 2
    assert "WORLD_SIZE is 2, but there is no RANK" in capsys.readouterr().err


def test_alone_a_team_changes_nothing():
    recipe = Recipe()
    team = Team()
    assert team.leads
    assert team.share(0, recipe.batch_size) == slice(0, 512)
    assert team.sums([1.5]) == [1.5]
    assert team.gathered(3) == [3]
