"""Whatever is in a file from outside: one documented error, little memory, nothing of it is run."""

import contextlib
import json
import os
import random
import struct
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from fuzzing import bounded_memory, error_of, mutated, pickled_command, resident_megabytes
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from s10 import (
    CustomResNet,
    InputError,
    Recipe,
    Run,
    TrainingDiverged,
    eval_loader,
    fit,
    load_dataset,
    train_batches,
)
from s10.cli.networks import make_network
from s10.cli.runs import COLUMNS, MAX_BYTES
from s10.runtime.checkpoints import (
    CheckpointFolder,
    DamagedCheckpoint,
    read_checkpoint,
    write_checkpoint,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_the_largest_metrics_take_little_memory(tmp_path):
    row = ",".join(["0.1234567890123456"] * len(COLUMNS)) + "\n"
    for size, expected in ((MAX_BYTES, "refused"), (2 * MAX_BYTES, "refused")):
        text = ",".join(COLUMNS) + "\n"
        (tmp_path / "metrics.csv").write_text(text + row * (size // len(row)))
        what, megabytes = resident_megabytes(
            f"import pandas; from s10 import Run; run = Run({str(tmp_path)!r})", "run.history()"
        )
        assert what == expected
        assert megabytes < 160


@given(st.binary(max_size=300) | json_values.map(lambda value: json.dumps(value).encode()))
def test_a_recipe_of_anything(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "recipe.json"
    path.write_bytes(content)
    assert "\n" not in error_of(lambda: Recipe.from_file(path))


@given(st.sampled_from(sorted(asdict(Recipe()))), json_values)
def test_a_recipe_with_anything_in_a_field(name, value):
    try:
        recipe = Recipe.from_dict({name: value})
    except InputError:
        return
    assert Recipe.from_dict(json.loads(recipe.to_json())) == recipe


def test_a_recipe_that_never_ends(tmp_path):
    with open(tmp_path / "recipe.json", "wb") as file:
        file.truncate(1 << 32)
    with bounded_memory(), pytest.raises(InputError, match="is not JSON"):
        Recipe.from_file(tmp_path / "recipe.json")
    (tmp_path / "recipe.json").write_text("[" * 100_000)
    with bounded_memory(), pytest.raises(InputError, match="is not JSON"):
        Recipe.from_file(tmp_path / "recipe.json")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "000001.checkpoint"
    write_checkpoint(path, {"a": torch.arange(12.0).view(3, 4)}, {"epoch": 1, "state": [1.5, None]})
    return path.read_bytes()


@given(data=st.data())
def test_a_changed_checkpoint_is_noticed(tmp_path_factory, checkpoint, data):
    path = tmp_path_factory.getbasetemp() / "000002.checkpoint"
    content = data.draw(mutated(checkpoint))
    path.write_bytes(content)
    if content == checkpoint:
        return
    with pytest.raises(DamagedCheckpoint) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


@given(body=st.binary(max_size=200))
def test_a_checkpoint_with_a_right_checksum_over_anything(tmp_path_factory, body):
    import hashlib

    from s10.runtime.checkpoints import MAGIC

    path = tmp_path_factory.getbasetemp() / "000003.checkpoint"
    for content in (body, struct.pack("<Q", 1 << 62) + body, save({"notes": torch.zeros(3)})):
        path.write_bytes(MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        with pytest.raises(DamagedCheckpoint):
            read_checkpoint(path)


def test_a_checkpoint_that_would_run_a_command(tmp_path):
    with pickled_command(tmp_path) as command:
        for number, content in enumerate((command, command + b"x" * 500)):
            path = tmp_path / f"{number:06d}.checkpoint"
            path.write_bytes(content)
            with pytest.raises(DamagedCheckpoint, match="is no checkpoint"):
                read_checkpoint(path)
    torch.save({"x": torch.zeros(2)}, tmp_path / "000009.checkpoint")
    with pytest.raises(DamagedCheckpoint, match="is whole"):
        CheckpointFolder(tmp_path).newest()


def test_a_checkpoint_that_never_ends(tmp_path, checkpoint):
    path = tmp_path / "000001.checkpoint"
    path.write_bytes(checkpoint)
    os.truncate(path, 1 << 28)
    with bounded_memory(), pytest.raises(DamagedCheckpoint, match="checksum"):
        read_checkpoint(path)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training that was stopped in its second epoch: images, recipe, and its checkpoint."""
    images = load_dataset("shapes").subset(40, 10)
    recipe = Recipe(data="shapes", width=2, batch_size=10, epochs=3, peak_epoch=1,
                    precision="fp32", network="eva8-s8")  # fmt: skip
    folder = tmp_path_factory.mktemp("stopped")

    def stop(row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt

    training(images, recipe, folder, on_epoch=stop, minutes=0)
    return images, recipe, *CheckpointFolder(folder).newest()


def training(images, recipe, folder, **options):
    model = make_network(recipe, len(images.classes))
    return fit(
        model, train_batches(images, recipe), eval_loader(images), recipe, images.classes,
        checkpoints=folder, resume=True, **options,
    )  # fmt: skip


def places(value, path=()):
    """The path of everything in nested lists and dicts."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, (dict, list)) else ():
        yield from (
            places(inner, (*path, key)) if isinstance(inner, (dict, list)) else [(*path, key)]
        )


@given(data=st.data(), value=json_values)
def test_a_checkpoint_with_anything_somewhere_in_it(tmp_path_factory, stopped, data, value):
    """With a right checksum, as only somebody who means it would make one."""
    images, recipe, tensors, notes = stopped
    *path, last = data.draw(st.sampled_from([place for place in places(notes) if place]))
    changed = json.loads(json.dumps(notes))
    inner = changed
    for key in path:
        inner = inner[key]
    inner[last] = value
    folder = tmp_path_factory.mktemp("changed")
    write_checkpoint(folder / "000001.checkpoint", tensors, changed)
    with contextlib.suppress(TrainingDiverged):  # An LR of 1e300 is a number, too.
        assert "\n" not in error_of(lambda: training(images, recipe, folder))
    # Whatever was set, the random generators can be used: NumPy's would read beyond its memory.
    np.random.rand(700)
    [random.random() for _ in range(700)]
    torch.rand(1)


@pytest.mark.parametrize("name", ["step", "exp_avg", "exp_avg_sq"])
def test_a_moment_under_another_name(tmp_path, stopped, name):
    images, recipe, tensors, notes = stopped
    changed = json.loads(json.dumps(notes))
    optimizer = dict(dict(changed["state"]["dict"])["optimizer"]["dict"])
    ((_, moments), *_) = optimizer["state"]["dict"]
    (pair,) = (pair for pair in moments["dict"] if pair[0] == name)
    pair[0] = "another"
    write_checkpoint(tmp_path / "000001.checkpoint", tensors, changed)
    with pytest.raises(DamagedCheckpoint, match="does not fit"):
        training(images, recipe, tmp_path)


@pytest.mark.parametrize("position", [-1, 625, 10**8, None])
def test_a_random_state_beyond_its_end(tmp_path, stopped, position):
    images, recipe, tensors, notes = stopped
    changed = json.loads(json.dumps(notes))
    state = dict(changed["state"]["dict"])["random"]["dict"]
    numpy_state = dict(state)["numpy"]["list"]
    assert 0 <= numpy_state[2] <= 624
    numpy_state[2] = position
    write_checkpoint(tmp_path / "000001.checkpoint", tensors, changed)
    with pytest.raises(DamagedCheckpoint, match="does not fit"):
        training(images, recipe, tmp_path)


TENSORS = {
    "gone": lambda value: None,
    "another type": lambda value: value.to(torch.float16),
    "numbers": lambda value: value.to(torch.int64),
    "longer": lambda value: torch.cat([value.reshape(-1), value.reshape(-1)]),
    "one number": lambda value: value.reshape(-1)[:1].clone(),
    "nothing": lambda value: value.reshape(-1)[:0].clone(),
    "not a number": lambda value: torch.full_like(value.float(), torch.nan),
    "huge": lambda value: torch.full_like(value.float(), 3e38),
}


@given(number=st.integers(0, 999), how=st.sampled_from(sorted(TENSORS)))
def test_a_checkpoint_with_another_tensor_in_it(tmp_path_factory, stopped, number, how):
    images, recipe, tensors, notes = stopped
    name = sorted(tensors)[number % len(tensors)]
    value = TENSORS[how](tensors[name])
    changed = {**tensors, name: value}
    folder = tmp_path_factory.mktemp("tensor")
    whole = {name: value for name, value in changed.items() if value is not None}
    write_checkpoint(folder / "000001.checkpoint", whole, notes)
    with contextlib.suppress(TrainingDiverged):
        assert "\n" not in error_of(lambda: training(images, recipe, folder))
    np.random.rand(700)
    [random.random() for _ in range(700)]


ROW = ",".join(["1", *["0.5"] * (len(COLUMNS) - 1)])


@given(
    st.binary(max_size=300)
    | st.lists(st.lists(st.text(max_size=8), max_size=9), max_size=4).map(
        lambda rows: "\n".join([",".join(COLUMNS), *map(",".join, rows)]).encode()
    )
)
def test_metrics_of_anything(tmp_path_factory, content):
    run = Run(tmp_path_factory.getbasetemp())
    (run.folder / "metrics.csv").write_bytes(content)
    error = error_of(run.history)
    assert "\n" not in error
    if not error:
        table = run.history()
        assert list(table.columns) == list(COLUMNS)
        assert list(table["epoch"]) == list(range(1, len(table) + 1))


def test_metrics_that_never_end(tmp_path):
    with open(tmp_path / "metrics.csv", "w") as file:
        file.write(",".join(COLUMNS) + "\n" + ROW + "\n")
        file.truncate(1 << 32)
    with bounded_memory(), pytest.raises(InputError, match="too large"):
        Run(tmp_path).history()


def test_metrics_are_read_back_to_the_last_digit(tmp_path):
    rows = [dict.fromkeys(COLUMNS, 0.1 + 0.2) | {"epoch": number} for number in (1, 2)]
    run = Run(tmp_path)
    run.save_history(rows)
    assert run.history().to_dict("records") == rows
    # The second epoch again, as after a resume, and a third.
    run.add_epoch(rows[1] | {"lr": 7.0})
    run.add_epoch(rows[1] | {"epoch": 3})
    assert run.history()["lr"].tolist() == [0.1 + 0.2, 7.0, 0.1 + 0.2]


def test_weights_do_not_take_the_memory_that_a_recipe_claims(tmp_path):
    """recipe.json says width 1024, 1.7 billion parameters; the file holds those of width 4."""
    run = Run.start(tmp_path / "run", Recipe(width=4))
    run.save_model(CustomResNet(10, 4), load_dataset("shapes").subset(10, 10))
    (run.folder / "recipe.json").write_text(Recipe(width=1024).to_json())
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="is damaged or is no network"):
        run.load_model()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


def test_names_of_classes_do_not_become_paths(tmp_path):
    dataset = load_dataset("shapes").subset(10, 10)
    classes = ("C:\\evil; $(touch evil)", "../evil", *dataset.classes[2:])
    run = Run.start(tmp_path / "run", Recipe(width=4))
    run.save_model(CustomResNet(10, 4), replace(dataset, classes=classes))
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
