"""Two processes train as one does: the same images, gradients, metrics and files."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from distributed_worker import (
    gradients,
    killed,
    network_with_shared_batch_norms,
    plain_network,
    run,
    work,
)
from processes import exit_code, start_all

from s10 import InputError, Recipe
from s10.runtime.checkpoints import CheckpointFolder, read_checkpoint
from s10.runtime.distributed import SINGLE_PROCESS

ROOT = Path(__file__).resolve().parents[2]


# Shards.


@pytest.mark.parametrize("world_size", [2, 4])
@pytest.mark.parametrize("augment", ["batched", "albumentations"])
def test_each_image_once_an_epoch_over_all_processes(few, tiny, world_size, augment):
    recipe = replace(tiny, augment=augment, flip=False, cutout=0, pad=0)
    shards = [recipe.train_loader(few, rank=r, world_size=world_size) for r in range(world_size)]
    for (images, labels), *parts in zip(recipe.train_loader(few), *shards, strict=True):
        assert len({len(part[1]) for part in parts}) == 1
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
        assert torch.equal(torch.cat([part[0] for part in parts]), images)


def test_batched_augmentation_does_not_depend_on_the_number_of_processes(few, tiny):
    shards = [tiny.train_loader(few, rank=rank, world_size=2) for rank in range(2)]
    for (images, _), *parts in zip(tiny.train_loader(few), *shards, strict=True):
        assert torch.equal(torch.cat([part[0] for part in parts]), images)


def test_albumentations_augments_the_shards_differently(few, tiny):
    """The same images in both: with the same random numbers they would look the same."""
    same = replace(few, train_images=few.train_images[:1].repeat(200, axis=0))
    recipe = replace(tiny, augment="albumentations")
    first, second = (
        next(iter(recipe.train_loader(same, rank=rank, world_size=2)))[0] for rank in range(2)
    )
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("batch_size", "world_size", "batch"), [(25, 2, 25), (64, 3, 64), (99, 3, 2), (500, 16, 200)]
)
def test_what_does_not_divide_equally_is_refused(few, tiny, batch_size, world_size, batch):
    """200 images in batches of 99: the last one has 2, for 3 processes."""
    with pytest.raises(InputError, match=f"one has {batch}, which {world_size} pro") as error:
        replace(tiny, batch_size=batch_size).train_loader(few, rank=0, world_size=world_size)
    assert "\n" not in str(error.value)


def test_the_assignment_divides_among_2_4_8_and_16_processes(few):
    big = replace(few, train_images=few.train_images.repeat(250, axis=0)[:50_000],
                  train_labels=few.train_labels.repeat(250)[:50_000])  # fmt: skip
    for world_size in (2, 4, 8, 16):
        loader = Recipe(pad=0).train_loader(big, rank=1, world_size=world_size)
        assert loader.shard(0) == slice(512 // world_size, 1024 // world_size)


# Two processes over gloo.


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds."""
    torch.set_num_threads(1)
    return run(SINGLE_PROCESS)


class StopAfter:
    """Stand-in for a kill: the run ends with an error before this step."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two processes found, by rank, and their folder."""
    folder = tmp_path_factory.mktemp("pair")
    # A run of one process, stopped within its second epoch, to be resumed by two.
    from distributed_worker import SignalAt

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
        # The signal comes while the hooks of step 6 run: one more step, or none.
        assert len(stopped["labels"]) == len(pair[0][0]["stopped"]["labels"])
        assert len(stopped["labels"]) in (6, 7)
    outputs = [(pair[1] / f"output-{rank}").read_text() for rank in range(2)]
    assert "the checkpoint in" in outputs[0]


def test_two_processes_resume_within_an_epoch(pair):
    """The sums of both are in the checkpoint, and counted once."""
    for found in pair[0]:
        assert len(found["resumed"]["labels"]) == 8 - len(found["stopped"]["labels"])
        assert found["resumed"]["history"] == found["whole"]["history"]
        assert torch.equal(found["resumed"]["logits"], found["whole"]["logits"])


def test_one_process_resumes_what_two_began(pair, alone, capsys):
    resumed = run(SINGLE_PROCESS, pair[1] / "two-to-one")
    assert len(resumed["labels"]) == 8 - len(pair[0][0]["stopped"]["labels"])
    assert_close(resumed, alone)
    assert "the last bits will differ from an uninterrupted run: " in (
        output := capsys.readouterr().out
    )
    assert "processes was 2, is 1" in output


def test_two_processes_resume_what_one_began(pair, alone):
    for found in pair[0]:
        assert len(found["one to two"]["labels"]) in (1, 2)
        assert_close(found["one to two"], alone)


def test_only_the_main_process_writes(pair):
    content = read_checkpoint(CheckpointFolder(pair[1] / "two").files()[-1])
    assert content["epoch"] == 3
    assert content["conditions"]["processes"] == 2
    assert "module.0.weight" not in content["model"]  # Without DistributedDataParallel.
    # 8 steps and 2 epochs; each process would have numbered its own.
    assert CheckpointFolder(pair[1] / "two").files()[-1].stem in ("000010", "000011")


def test_if_one_is_killed_the_other_stops_with_one_line(alone, tmp_path):
    first, second = start_all(killed, tmp_path / "run", output=tmp_path / "output")
    assert exit_code(second) == -signal.SIGKILL
    assert exit_code(first) == 1
    output = (tmp_path / "output-0").read_text()
    assert "process 0 of 2: another process of this run is gone" in output
    resumed = run(SINGLE_PROCESS, tmp_path / "run")
    assert len(resumed["labels"]) <= 3
    assert_close(resumed, alone)
