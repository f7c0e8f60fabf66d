"""Images from three sources behind one function, `load_images`.

`cifar10`, `folder:PATH` and `shapes` all come back as one `Images`: arrays of
uint8 pictures, labels and class names.
"""

import difflib
import os
from pathlib import Path

from s10.errors import InputError
from s10.images.dataset import Images

SOURCES = "cifar10, shapes or folder:PATH"


def load_images(
    source: str = "cifar10", data_dir: str | Path | None = None, data_url: str | None = None
) -> Images:
    """Load the training and test images of one source.

    Args:
        source: "cifar10" (downloaded into `data_dir` if it is not there),
            "shapes" (drawn on the spot) or "folder:PATH", where PATH holds
            `train/<class>/*` and `test/<class>/*` as PNG or JPEG.
        data_dir: where CIFAR-10 lies or goes, as torchvision has it: the folder
            that holds `cifar-10-batches-py`. Default: the environment variable
            S10_DATA, else `data`.
        data_url: an address of `cifar-10-python.tar.gz` to try before all
            others. Default: the environment variable S10_DATA_URL.

    Raises:
        InputError: no such source, or its files are missing or damaged.
    """
    # Imported here so that a learner on `shapes` never waits for torchvision.
    if source == "cifar10":
        from s10.images.cifar10 import load_cifar10

        return load_cifar10(default_data_dir(data_dir), data_url or os.environ.get("S10_DATA_URL"))
    if source == "shapes":
        from s10.images.shapes import CLASSES, shapes

        return Images.measured("shapes", CLASSES, *shapes())
    if source.startswith("folder:"):
        from s10.images.folder import load_folder

        return load_folder(Path(source.removeprefix("folder:")).expanduser())
    nearest = difflib.get_close_matches(source, ["cifar10", "shapes", "folder:"], 1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    raise InputError(f"there is no data source {source!r}; it is {SOURCES}.{hint}")


def default_data_dir(data_dir: str | Path | None = None) -> Path:
    """The folder for CIFAR-10: the one given, else $S10_DATA, else `data`."""
    return Path(data_dir or os.environ.get("S10_DATA") or "data").expanduser()


__all__ = ["SOURCES", "Images", "default_data_dir", "load_images"]
