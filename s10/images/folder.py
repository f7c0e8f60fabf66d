"""Pictures from a folder: `train/<class>/*` and `test/<class>/*`, PNG or JPEG."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from s10.errors import InputError
from s10.images.dataset import Images

ENDINGS = {".png", ".jpg", ".jpeg"}
SIZE = 32
# A small file may claim any size, and would be unpacked in memory. JPEG files are not: they are
# made smaller while they are read.
MAX_PIXELS = {"PNG": 16_000_000, "JPEG": 64_000_000}


def load_folder(folder: Path) -> Images:
    """All pictures of `folder`, as RGB of 32×32.

    A picture of another size is resized: its shorter side to 32, the middle of
    the longer side kept; a line on stderr says how many were.

    Raises:
        InputError: the folder is not laid out that way, the classes of train
            and test differ, or a picture cannot be read (it is named).
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    layout = "it must hold train/<class>/ and test/<class>/ with PNG or JPEG files"
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            raise InputError(f"{folder} has no folder {split}: {layout}")
    classes = _class_names(folder / "train")
    test_classes = _class_names(folder / "test")
    if classes != test_classes:
        only = sorted(set(classes) ^ set(test_classes))
        raise InputError(
            f"the class folders of train and test in {folder} differ: "
            f"{', '.join(only)} only in one of them"
        )
    if len(classes) < 2:
        raise InputError(f"{folder / 'train'} has {len(classes)} class folders: {layout}")
    train_images, train_labels, train_resized = _load_split(folder / "train", classes)
    test_images, test_labels, test_resized = _load_split(folder / "test", classes)
    resized, total = train_resized + test_resized, len(train_images) + len(test_images)
    if resized:
        print(
            f"{resized} of {total} pictures in {folder} were not 32×32: "
            "resized (shorter side to 32, middle kept)",
            file=sys.stderr,
        )
    return Images.measured(
        f"folder:{folder.resolve().name}", classes, train_images, train_labels,
        test_images, test_labels,
    )  # fmt: skip


def _class_names(split: Path) -> list[str]:
    return sorted(p.name for p in split.iterdir() if p.is_dir() and not p.name.startswith("."))


def _load_split(split: Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray, int]:
    pictures, labels, resized = [], [], 0
    for label, name in enumerate(classes):
        paths = sorted(p for p in (split / name).iterdir() if p.suffix.lower() in ENDINGS)
        paths = [p for p in paths if not p.name.startswith(".")]  # macOS leaves "._cat.png".
        if not paths:
            raise InputError(f"{split / name} holds no PNG or JPEG file")
        for path in paths:
            picture, was_resized = _load_picture(path)
            pictures.append(picture)
            labels.append(label)
            resized += was_resized
    return np.stack(pictures), np.array(labels, np.int64), resized


def _load_picture(path: Path) -> tuple[np.ndarray, bool]:
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            most = MAX_PIXELS[picture.format]
            if picture.width * picture.height > most:
                raise ValueError(
                    f"it has {picture.width}×{picture.height} pixels, and {most:,} are enough"
                )
            picture.draft("RGB", (4 * SIZE, 4 * SIZE))  # At least so large; of a JPEG only.
            ImageOps.exif_transpose(picture, in_place=True)
            if picture.mode != "RGB":
                picture = picture.convert("RGB")
    # Pillow raises all of these for a damaged file, SyntaxError among them.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} is not a readable PNG or JPEG file ({error}); mend or remove it"
        ) from None
    if picture.size == (SIZE, SIZE):
        return np.asarray(picture), False
    return np.asarray(ImageOps.fit(picture, (SIZE, SIZE), Image.Resampling.LANCZOS)), True
