"""Whatever is in a file from outside: one documented error, little memory, nothing of it is run."""

import contextlib
import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from s10 import (
    CustomResNet,
    InputError,
    Recipe,
    Run,
    TrainingDiverged,
    eval_batches,
    fit,
    load_images,
    train_batches,
)
from s10.checkpoints import CheckpointFolder, DamagedCheckpoint, read_checkpoint, write_checkpoint
from s10.images.cifar10 import load_cifar10
from s10.images.folder import load_folder
from s10.networks import make_network
from s10.runs import COLUMNS, MAX_BYTES

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
MEGABYTES = 64


@pytest.fixture
def memory():
    """What a reader takes, at its largest, is bounded."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEGABYTES << 20


READ = """
import resource, sys
import numpy, pandas, PIL.Image, PIL.PngImagePlugin, PIL.JpegImagePlugin, torch
from pathlib import Path
from s10 import InputError, Run
from s10.images.folder import _load_picture
path = Path(sys.argv[1])
read = Run(path.parent).history if path.suffix == ".csv" else lambda: _load_picture(path)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read()
    print("read", end=" ")
except InputError as error:
    print("refused", end=" ")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
RESIDENT = 160  # MiB


def resident_megabytes(path) -> tuple[str, int]:
    """ "read" or "refused", and what that took at its largest, of the whole process.

    In a process of its own: Python's own count sees neither Pillow nor torch.
    """
    done = subprocess.run(
        [sys.executable, "-c", READ, path], capture_output=True, text=True, check=True
    )
    what, kilobytes = done.stdout.split()
    return what, int(kilobytes) // 1024


@pytest.mark.parametrize(
    ("kind", "mode", "side", "expected"),
    [
        ("PNG", "RGB", 3_990, "read"),  # Just below the limit,
        ("PNG", "RGBA", 3_990, "read"),
        ("PNG", "RGB", 4_010, "refused"),  # just above it,
        ("PNG", "RGB", 9_000, "refused"),  # and not yet what Pillow refuses by itself.
        ("JPEG", "RGB", 7_990, "read"),
        ("JPEG", "RGB", 8_010, "refused"),
    ],
)
def test_the_largest_picture_takes_little_memory(tmp_path, kind, mode, side, expected):
    path = tmp_path / f"1.{kind.lower().replace('jpeg', 'jpg')}"
    Image.new(mode, (side, side)).save(path, kind)
    what, megabytes = resident_megabytes(path)
    assert what == expected
    assert megabytes < (RESIDENT if what == "read" else 16)


def test_the_largest_metrics_take_little_memory(tmp_path):
    row = ",".join(["0.1234567890123456"] * len(COLUMNS)) + "\n"
    for size, expected in ((MAX_BYTES, "refused"), (2 * MAX_BYTES, "refused")):
        text = ",".join(COLUMNS) + "\n"
        (tmp_path / "metrics.csv").write_text(text + row * (size // len(row)))
        what, megabytes = resident_megabytes(tmp_path / "metrics.csv")
        assert what == expected
        assert megabytes < RESIDENT


@pytest.fixture
def command(tmp_path):
    """A pickle that would make a file, and that file."""
    witness = tmp_path / "it-was-run"

    class Command:
        def __reduce__(self):
            return os.system, (f"touch {witness}",)

    yield pickle.dumps(Command())
    assert not witness.exists()


def error_of(read) -> str:
    """What `read` says is wrong; nothing if it reads. Any other error is the test's."""
    try:
        read()
    except InputError as error:
        return str(error)
    return ""


def mutated(data, whole: bytes) -> bytes:
    """The bytes with a few of them changed, cut off or doubled."""
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        kind = data.draw(st.sampled_from(["flip", "cut", "double", "random"]))
        if kind == "flip" and content:
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif kind == "cut":
            content = content[:place]
        elif kind == "double":
            content = content[:place] + content[place : place + 64] + content[place:]
        else:
            content[place : place + 8] = data.draw(st.binary(max_size=16))
    return bytes(content)


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


def test_a_recipe_that_never_ends(tmp_path, memory):
    with open(tmp_path / "recipe.json", "wb") as file:
        file.truncate(1 << 32)
    with pytest.raises(InputError, match="is not JSON"):
        Recipe.from_file(tmp_path / "recipe.json")
    (tmp_path / "recipe.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="is not JSON"):
        Recipe.from_file(tmp_path / "recipe.json")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "000001.checkpoint"
    write_checkpoint(path, {"a": torch.arange(12.0).view(3, 4)}, {"epoch": 1, "state": [1.5, None]})
    return path.read_bytes()


@given(data=st.data())
def test_a_changed_checkpoint_is_noticed(tmp_path_factory, checkpoint, data):
    path = tmp_path_factory.getbasetemp() / "000002.checkpoint"
    content = mutated(data, checkpoint)
    path.write_bytes(content)
    if content == checkpoint:
        return
    with pytest.raises(DamagedCheckpoint) as error:
        read_checkpoint(path)
    assert "\n" not in str(error.value)


@given(body=st.binary(max_size=200))
def test_a_checkpoint_with_a_right_checksum_over_anything(tmp_path_factory, body):
    import hashlib

    from s10.checkpoints import MAGIC

    path = tmp_path_factory.getbasetemp() / "000003.checkpoint"
    for content in (body, struct.pack("<Q", 1 << 62) + body, save({"notes": torch.zeros(3)})):
        path.write_bytes(MAGIC + hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
        with pytest.raises(DamagedCheckpoint):
            read_checkpoint(path)


def test_a_checkpoint_that_would_run_a_command(tmp_path, command):
    for number, content in enumerate((command, command + b"x" * 500)):
        path = tmp_path / f"{number:06d}.checkpoint"
        path.write_bytes(content)
        with pytest.raises(DamagedCheckpoint, match="is no checkpoint"):
            read_checkpoint(path)
    torch.save({"x": torch.zeros(2)}, tmp_path / "000009.checkpoint")
    with pytest.raises(DamagedCheckpoint, match="is whole"):
        CheckpointFolder(tmp_path).newest()


def test_a_checkpoint_that_never_ends(tmp_path, checkpoint, memory):
    path = tmp_path / "000001.checkpoint"
    path.write_bytes(checkpoint)
    os.truncate(path, 1 << 28)
    with pytest.raises(DamagedCheckpoint, match="checksum"):
        read_checkpoint(path)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training that was stopped in its second epoch: images, recipe, and its checkpoint."""
    images = load_images("shapes").subset(40, 10)
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
        model, train_batches(images, recipe), eval_batches(images), recipe, images.classes,
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


def picture(mode="RGB", kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)).convert(mode).save(
        file, kind
    )
    return file.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG of a hundred bytes that claims side × side pixels."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + pixels + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pets")
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            (folder / split / name / "1.png").write_bytes(picture())
    return folder


@given(data=st.data(), kind=st.sampled_from([("RGB", "PNG"), ("P", "PNG"), ("RGB", "JPEG")]))
def test_a_changed_picture_is_read_or_named(folder, data, kind):
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(mutated(data, picture(*kind)))
    error = error_of(lambda: load_folder(folder))
    path.write_bytes(picture())
    assert not error or str(path) in error


@pytest.mark.parametrize("side", [20_000, 60_000, 2_000_000])
def test_a_picture_that_claims_to_be_huge_is_not_unpacked(folder, side, memory):
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(huge_png(side))
    try:
        with pytest.raises(InputError, match="is not a readable PNG"):
            load_folder(folder)
    finally:
        path.write_bytes(picture())


def test_a_picture_that_would_run_a_command(folder, command):
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(command)
    try:
        with pytest.raises(InputError, match="is not a readable PNG"):
            load_folder(folder)
    finally:
        path.write_bytes(picture())


def test_a_batch_of_cifar10_that_would_run_a_command(tmp_path, command):
    """CIFAR-10 is pickled; only its very files are ever unpickled."""
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch", "batches.meta"]
    for name in names:
        (batches / name).write_bytes(command)
    with pytest.raises(InputError, match="truncated or altered"):
        load_cifar10(tmp_path)


@given(content=st.binary(max_size=200))
def test_batches_of_cifar10_of_anything(tmp_path_factory, content):
    batches = tmp_path_factory.getbasetemp() / "any" / "cifar-10-batches-py"
    batches.mkdir(parents=True, exist_ok=True)
    (batches / "data_batch_1").write_bytes(content)
    with pytest.raises(InputError, match=r"truncated or altered|is missing"):
        load_images("cifar10", batches.parent)


def test_a_batch_of_cifar10_that_never_ends(tmp_path, memory):
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    with open(batches / "data_batch_1", "wb") as file:
        file.truncate(1 << 28)
    with pytest.raises(InputError, match="truncated or altered"):
        load_images("cifar10", tmp_path)


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


def test_metrics_that_never_end(tmp_path, memory):
    with open(tmp_path / "metrics.csv", "w") as file:
        file.write(",".join(COLUMNS) + "\n" + ROW + "\n")
        file.truncate(1 << 32)
    with pytest.raises(InputError, match="too large"):
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
    run.save_model(CustomResNet(10, 4), load_images("shapes").subset(10, 10))
    (run.folder / "recipe.json").write_text(Recipe(width=1024).to_json())
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="is damaged or is no network"):
        run.load_model()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KB


def test_names_cannot_leave_their_folder(folder, tmp_path):
    """A class is a folder's name, and no name of a class becomes a path again."""
    escaped = folder / "train" / "C:\\evil; $(touch evil)"
    for split in ("train", "test"):
        target = folder / split / escaped.name
        target.mkdir()
        (target / "1.png").write_bytes(picture())
    images = load_folder(folder)
    assert escaped.name in images.classes
    run = Run.start(tmp_path / "run", Recipe(width=4))
    run.save_model(CustomResNet(3, 4), images)
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    for split in ("train", "test"):
        (folder / split / escaped.name / "1.png").unlink()
        (folder / split / escaped.name).rmdir()
