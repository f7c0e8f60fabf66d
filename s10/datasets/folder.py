"""Images from a folder: `train/<class>/*` and `test/<class>/*`, or only `<class>/*`."""

import struct
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from s10.datasets.dataset import ImageDataset, stratified
from s10.datasets.pixels import SIZE, as_seen
from s10.runtime.errors import InputError

TRAIN_NAMES = ("train", "training")
TEST_NAMES = ("test", "testing", "val", "valid", "validation")
TEST_FRACTION = 0.2  # of each class, where there is no test folder
LAYOUT = "it must contain train/<class>/ and test/<class>/, or only <class>/, with images"

# Pillow starts Ghostscript for EPS; of the others it only knows the name, or how to write them.
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}
# A small file may claim any size, and would be decoded into memory. JPEG files may be larger
# (Pillow's limit is 179 million): they are scaled down while they are decoded.
MAX_PIXELS = 50_000_000
# Pillow's decoders raise all of these for damaged files.
DAMAGED = (
    OSError, ValueError, SyntaxError, TypeError, LookupError, RuntimeError, EOFError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip


def load_folder(folder: Path, train: bool = True) -> ImageDataset:
    """The images of `folder` as a person sees them: RGB, uint8 (N, 32, 32, 3).

    The test folder may be named val, and images may lie one folder below their class. Without
    a test folder, a fifth of each class, drawn with seed 0, becomes the test images. An image
    of another size is resized so that its shorter side is 32, and its center is kept;
    transparency is shown over white. Lines on stderr say what was drawn, passed over or resized.

    Args:
        train: False reads only the test folder, if there is one; there are no training images.

    Raises:
        InputError: the layout is another one, the classes of train and test
            differ, or images cannot be read (the message names each of them).
    """
    train_folder, test_folder = _find_splits(folder)
    if train_folder is None and train:
        raise InputError(f"{folder} has no folder train: {LAYOUT}")
    if test_folder and not train:
        train_folder = None
    splits = [split for split in (train_folder, test_folder) if split]
    classes = [path.name for path in _folders(splits[0])]
    if difference := set(classes) ^ {path.name for path in _folders(splits[-1])}:
        raise InputError(
            f"the class folders of train and test in {folder} differ: "
            f"{', '.join(sorted(difference))} only in one of them"
        )
    if len(classes) < 2:
        raise InputError(f"{splits[0]} has {len(classes)} class folders: {LAYOUT}")

    passed_over = Counter()
    files = [
        (path, label, split == test_folder)
        for split in splits
        for label, name in enumerate(classes)
        for path in image_files(split / name, passed_over)
    ]
    paths, labels, is_test = zip(*files, strict=True)
    images, resized = _load_images(paths)
    labels, is_test = np.array(labels, np.int64), np.array(is_test)
    if test_folder is None:
        is_test[stratified(labels, round(TEST_FRACTION * len(labels)))] = True
        _note(f"{folder} has no test images: {is_test.sum()} of its {len(labels)} images, "
              f"{TEST_FRACTION:.0%} of each class drawn with seed 0, are held out")  # fmt: skip
    if passed_over:
        counts = ", ".join(f"{count} {suffix}" for suffix, count in passed_over.most_common())
        _note(f"passed over in {folder}, because Pillow does not read such files: {counts}")
    if resized:
        _note(f"{resized} of {len(images)} images in {folder} were not {SIZE}×{SIZE}: "
              f"resized (shorter side to {SIZE}) and center-cropped")  # fmt: skip
    return ImageDataset.from_arrays(
        f"folder:{folder.resolve().name}", classes,
        images[~is_test], labels[~is_test], images[is_test], labels[is_test],
    )  # fmt: skip


def _note(line: str) -> None:
    print(line, file=sys.stderr)


def _find_splits(folder: Path) -> tuple[Path | None, Path | None]:
    """The folders of the training and of the test images, None where there is none."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    names = TRAIN_NAMES + TEST_NAMES
    while len(inner := _folders(folder)) == 1 and inner[0].name.lower() not in names:
        folder = inner[0]  # What an archive was unpacked into often contains one folder.
    # A folder "train" that directly contains images is a class: of vehicles, say.
    found = {p.name.lower(): p for p in inner if _folders(p) or not any(p.iterdir())}
    train = next((found.pop(name) for name in TRAIN_NAMES if name in found), None)
    test = next((found.pop(name) for name in TEST_NAMES if name in found), None)
    if unused := [str(found[name]) for name in names if name in found]:
        _note(f"not used: {', '.join(unused)}")
    return (train, test) if train or test else (folder, None)


def _folders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted; not hidden ones, nor what macOS puts into archives."""
    hidden = (".", "__MACOSX")
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(hidden))


def image_files(folder: Path, passed_over: Counter) -> list[Path]:
    """The files in a folder, of one class, say, that Pillow reads; it counts others by suffix.

    Raises:
        InputError: there are none.
    """
    Image.init()
    suffixes = {end for end, name in Image.registered_extensions().items() if name not in NOT_READ}
    images = []
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        inner = path.relative_to(folder)
        if any(part.startswith(".") for part in inner.parts) or path.is_dir():
            continue  # macOS leaves "._cat.png", Jupyter ".ipynb_checkpoints".
        suffix = path.suffix.lower()
        if suffix in suffixes:
            images.append(path)
        else:
            passed_over[suffix or "without suffix"] += 1
    if not images:
        raise InputError(f"{folder} contains no image that Pillow reads")
    return images


def _formats() -> list[str]:
    """The formats that Pillow decodes, those of imported plugins included; common ones first."""
    Image.preinit()
    Image.init()
    return [name for name in Image.ID if name not in NOT_READ]


def _load_images(paths: Sequence[Path]) -> tuple[np.ndarray, int]:
    """All pixels, uint8 (N, 32, 32, 3), and how many images were resized."""
    images, resized, unreadable = np.empty((len(paths), SIZE, SIZE, 3), np.uint8), 0, []
    for index, path in enumerate(paths):
        try:
            images[index], was_resized = load_image(path)
            resized += was_resized
        except InputError as error:
            unreadable.append(str(error))
    if unreadable:
        raise InputError(*unreadable)
    return images, resized


def load_image(file: Path | BinaryIO, name: object = None) -> tuple[np.ndarray, bool]:
    """The pixels, uint8 (32, 32, 3), and whether the image was resized.

    Raises:
        InputError: it cannot be read; the message calls it `name`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # Of 89 million pixels.
            return _decode(file)
    except UnidentifiedImageError:
        reason = "of no format that Pillow reads"
    except DAMAGED as error:
        reason = str(error)
    raise InputError(f"{name or file} is not a readable image ({reason}); repair or remove it")


def _decode(file: Path | BinaryIO) -> tuple[np.ndarray, bool]:
    with Image.open(file, formats=_formats()) as image:
        image.draft("RGB", (4 * SIZE, 4 * SIZE))  # At least this large; only for JPEG.
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(
                f"it has {image.width}×{image.height} pixels; the limit is {MAX_PIXELS:,}"
            )
        ImageOps.exif_transpose(image, in_place=True)
        return as_seen(image), image.size != (SIZE, SIZE)
