"""Images from three sources behind one function, `load_dataset`.

`cifar10`, `folder:PATH` and `shapes` are all returned as one `ImageDataset`: arrays of
uint8 images, labels and class names.
"""

import difflib
import os
from pathlib import Path

from s10.datasets.cifar10 import load_cifar10
from s10.datasets.dataset import ImageDataset
from s10.datasets.folder import load_folder
from s10.datasets.shapes import CLASSES, draw_shapes
from s10.runtime.errors import InputError

SOURCES = "cifar10, shapes or folder:PATH"


def load_dataset(
    source: str = "cifar10",
    data_dir: str | Path | None = None,
    data_url: str | None = None,
    train: bool = True,
) -> ImageDataset:
    """Load the training and test images of one source.

    Args:
        source: "cifar10" (downloaded into `data_dir` if it is not there),
            "shapes" (drawn, no files needed) or "folder:PATH", where PATH contains
            `train/<class>/*` and `test/<class>/*`, or only `<class>/*` (see `load_folder`).
        data_dir: the folder that contains `cifar-10-batches-py`, or will after
            the download (torchvision's layout). Default: the environment
            variable S10_DATA, else `data`.
        data_url: a URL of `cifar-10-python.tar.gz` to try before all others.
            Default: the environment variable S10_DATA_URL.
        train: False does without the training images of a folder, which may not be there.

    Raises:
        InputError: no such source, or its files are missing or damaged.
    """
    try:
        if source == "cifar10":
            data_dir = default_data_dir(data_dir)
            return load_cifar10(data_dir, data_url or os.environ.get("S10_DATA_URL"))
        if source == "shapes":
            return ImageDataset.from_arrays("shapes", CLASSES, *draw_shapes())
        if source.startswith("folder:"):
            return load_folder(Path(source.removeprefix("folder:")).expanduser(), train)
    except OSError as error:  # No permission, a full disk, a broken disk ...
        raise InputError(f"cannot load the data {source}: {error}") from None
    nearest = difflib.get_close_matches(source, ["cifar10", "shapes", "folder:"], 1)
    hint = f" Did you mean {nearest[0]}?" if nearest else ""
    raise InputError(f"there is no data source {source!r}; it is {SOURCES}.{hint}")


def absolute_source(source: str) -> str:
    """The same source from any working directory: the path of a folder becomes absolute."""
    if not source.startswith("folder:"):
        return source
    return "folder:" + os.path.abspath(os.path.expanduser(source.removeprefix("folder:")))


def default_data_dir(data_dir: str | Path | None = None) -> Path:
    """The folder for CIFAR-10: the one given, else $S10_DATA, else `data`."""
    return Path(data_dir or os.environ.get("S10_DATA") or "data").expanduser()


__all__ = ["SOURCES", "ImageDataset", "absolute_source", "default_data_dir", "load_dataset"]
