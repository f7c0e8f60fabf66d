"""Whatever is in a file of images: one clear error, little memory, and none of it is run."""

import io
import struct
import zlib

import numpy as np
import pytest
from fuzzing import bounded_memory, error_of, mutated, pickled_command, resident_megabytes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s10 import InputError, load_dataset
from s10.datasets.folder import load_folder


def encoded(mode: str = "RGB", kind: str = "PNG") -> bytes:
    """An image file of 32×32 pixels."""
    file = io.BytesIO()
    pixels = np.arange(3072, dtype=np.uint8).reshape(32, 32, 3)
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG of a hundred bytes that claims side × side pixels."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def make_folder(root, first_class="cat"):
    for split in ("train", "test"):
        for name in (first_class, "dog"):
            (root / split / name).mkdir(parents=True)
            (root / split / name / "1.png").write_bytes(encoded())
    return root


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pets"))


KINDS = [
    ("RGB", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("RGB", "JPEG"), ("RGB", "MPO"),
    ("RGBA", "WEBP"), ("F", "TIFF"), ("P", "GIF"), ("RGB", "BMP"), ("RGBA", "TGA"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from(KINDS).flatmap(lambda kind: mutated(encoded(*kind))))
def test_a_damaged_image_is_read_or_named(shared_folder, content):
    path = shared_folder / "train" / "cat" / "1.png"
    path.write_bytes(content)
    error = error_of(lambda: load_folder(shared_folder))
    assert not error or str(path) in error


@pytest.mark.parametrize("side", [20_000, 60_000, 2_000_000])
def test_an_image_that_claims_to_be_huge_is_not_decoded(tmp_path, side):
    folder = make_folder(tmp_path)
    (folder / "train" / "cat" / "1.png").write_bytes(huge_png(side))
    with bounded_memory(), pytest.raises(InputError, match="is not a readable image"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("kind", "mode", "side", "expected", "megabytes"),
    [
        ("PNG", "RGB", 4_900, "read", 120),  # 24 megapixels of 4 bytes, whatever the mode
        ("PNG", "RGBA", 4_900, "read", 220),  # and once more with premultiplied colors
        ("PNG", "I;16", 4_900, "read", 250),
        ("PNG", "RGB", 7_080, "refused", 16),  # just above the limit
        ("JPEG", "RGB", 10_400, "read", 32),  # 108 megapixels
    ],
)
def test_a_large_image_takes_little_memory(tmp_path, kind, mode, side, expected, megabytes):
    path = tmp_path / "image"
    Image.new(mode, (side, side)).save(path, kind, compress_level=1)
    result, taken = resident_megabytes(
        "import PIL.PngImagePlugin, PIL.JpegImagePlugin\n"
        "from pathlib import Path\n"
        "from s10.datasets.folder import load_image",
        f"load_image(Path({str(path)!r}))",
    )
    assert result == expected
    assert taken < megabytes


def test_an_image_file_that_is_a_pickle_is_not_run(tmp_path):
    folder = make_folder(tmp_path)
    with pickled_command(tmp_path) as content:
        (folder / "train" / "cat" / "1.png").write_bytes(content)
        with pytest.raises(InputError, match="is not a readable image"):
            load_folder(folder)


def test_no_other_program_is_started_for_a_file_whatever_its_name_says(tmp_path, monkeypatch):
    folder, started = make_folder(tmp_path), []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *a, **k: started.append(a))
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n"
    (folder / "train" / "cat" / "1.png").write_bytes(postscript)
    with pytest.raises(InputError, match="is not a readable image"):
        load_folder(folder)
    assert not started


def test_any_folder_name_can_be_a_class(tmp_path):
    name = "C:\\evil; $(touch evil)"
    assert load_folder(make_folder(tmp_path, name)).classes == (name, "dog")


@pytest.fixture
def batches(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    return folder


def test_a_cifar10_batch_that_is_another_pickle_is_not_run(batches):
    with pickled_command(batches) as content:
        for name in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"):
            (batches / name).write_bytes(content)
        with pytest.raises(InputError, match="data_batch_1 is truncated or altered"):
            load_dataset("cifar10", batches)


@given(content=st.binary(max_size=200))
def test_cifar10_batches_with_random_content(tmp_path_factory, content):
    batches = tmp_path_factory.getbasetemp() / "random" / "cifar-10-batches-py"
    batches.mkdir(parents=True, exist_ok=True)
    (batches / "data_batch_1").write_bytes(content)
    with pytest.raises(InputError, match="data_batch_1 is truncated or altered"):
        load_dataset("cifar10", batches)


def test_a_cifar10_batch_of_any_size_takes_little_memory(batches):
    with open(batches / "data_batch_1", "wb") as file:
        file.truncate(1 << 32)
    with bounded_memory(), pytest.raises(InputError, match="truncated or altered"):
        load_dataset("cifar10", batches)
