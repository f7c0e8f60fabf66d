"""Images from a folder: `train/<class>/*` and `test/<class>/*`, PNG or JPEG."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from s10.datasets.dataset import ImageDataset
from s10.runtime.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg"}
SIZE = 32
# A small file may claim any size, and would be decoded into memory. JPEG files may be larger:
# they are scaled down while they are decoded.
MAX_PIXELS = {"PNG": 16_000_000, "JPEG": 64_000_000}


def load_folder(folder: Path) -> ImageDataset:
    """All images of `folder`, as RGB, uint8 (N, 32, 32, 3).

    An image of another size is resized so that its shorter side is 32, and its
    center is kept; a line on stderr says how many there were.

    Raises:
        InputError: the layout is another one, the classes of train and test
            differ, or an image cannot be read (the message names it).
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    layout = "it must contain train/<class>/ and test/<class>/ with PNG or JPEG files"
    for split in ("train", "test"):
        if not (folder / split).is_dir():
            raise InputError(f"{folder} has no folder {split}: {layout}")
    classes = _class_names(folder / "train")
    test_classes = _class_names(folder / "test")
    if classes != test_classes:
        difference = ", ".join(sorted(set(classes) ^ set(test_classes)))
        raise InputError(
            f"the class folders of train and test in {folder} differ: "
            f"{difference} only in one of them"
        )
    if len(classes) < 2:
        raise InputError(f"{folder / 'train'} has {len(classes)} class folders: {layout}")
    train, train_resized = _load_split(folder / "train", classes)
    test, test_resized = _load_split(folder / "test", classes)
    if resized := train_resized + test_resized:
        print(
            f"{resized} of {len(train[0]) + len(test[0])} images in {folder} were not 32×32: "
            "resized (shorter side to 32) and center-cropped",
            file=sys.stderr,
        )
    return ImageDataset.from_arrays(f"folder:{folder.resolve().name}", classes, *train, *test)


def _class_names(split: Path) -> list[str]:
    return sorted(p.name for p in split.iterdir() if p.is_dir() and not p.name.startswith("."))


def _load_split(split: Path, classes: list[str]) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Images and labels, and how many images were resized."""
    images, labels, resized = [], [], 0
    for label, name in enumerate(classes):
        paths = sorted(p for p in (split / name).iterdir() if p.suffix.lower() in SUFFIXES)
        paths = [p for p in paths if not p.name.startswith(".")]  # macOS leaves "._cat.png".
        if not paths:
            raise InputError(f"{split / name} contains no PNG or JPEG file")
        for path in paths:
            image, was_resized = _load_image(path)
            images.append(image)
            labels.append(label)
            resized += was_resized
    return (np.stack(images), np.array(labels, np.int64)), resized


def _load_image(path: Path) -> tuple[np.ndarray, bool]:
    """The pixels, uint8 (32, 32, 3), and whether the image was resized."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            limit = MAX_PIXELS[image.format]
            if image.width * image.height > limit:
                raise ValueError(
                    f"it has {image.width}×{image.height} pixels; the limit is {limit:,}"
                )
            image.draft("RGB", (4 * SIZE, 4 * SIZE))  # At least this large; only for JPEG.
            ImageOps.exif_transpose(image, in_place=True)
            if image.mode != "RGB":
                image = image.convert("RGB")
    # Pillow raises all of these for a damaged file, SyntaxError among them.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path} is not a readable PNG or JPEG file ({error}); repair or remove it"
        ) from None
    if image.size == (SIZE, SIZE):
        return np.asarray(image), False
    return np.asarray(ImageOps.fit(image, (SIZE, SIZE), Image.Resampling.LANCZOS)), True
