"""Files to batches: labelled pictures found, split, read in parallel."""

import csv
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .reading import SUFFIXES, ImageError, read_image

_WORKERS = min(8, 2 * (os.cpu_count() or 1))  # decoding releases Python's lock


@dataclasses.dataclass(frozen=True)
class Samples:
    """Pictures and what each shows.

    Attributes:
        paths: One file a sample.
        labels: The class of each, as its folder or its row calls it.
    """

    paths: tuple[Path, ...]
    labels: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The different labels, sorted: their order is the order of a classifier's outputs."""
        return tuple(sorted(set(self.labels)))

    def take(self, numbers: Iterable[int]) -> "Samples":
        chosen = list(numbers)
        return Samples(tuple(self.paths[i] for i in chosen), tuple(self.labels[i] for i in chosen))


def scan(data: str | os.PathLike) -> Samples:
    """Find labelled pictures.

    Args:
        data: A folder with a sub-folder a class; a CSV file, or a folder with ``labels.csv``, whose
            first column is the path (from the CSV's folder) and whose second is the class.

    Raises:
        FileNotFoundError: Nothing is there, or no picture in it.
        ValueError: The CSV has no two columns.
    """
    data = Path(data)
    if data.is_file() and data.suffix != ".csv":
        raise ValueError(f"{data} is neither a folder nor a CSV file")
    if not data.exists():
        raise FileNotFoundError(f"no data at {data}")
    table = data / "labels.csv" if data.is_dir() else data
    samples = _from_table(table) if table.is_file() else _from_folders(data)
    if not samples.paths:
        raise FileNotFoundError(
            f"{data}: no labelled picture. Expected: a sub-folder a class with {' '.join(SUFFIXES)} files, "
            "or labels.csv with the columns file and class"
        )
    return samples


def _from_table(table: Path) -> Samples:
    with table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and not (table.parent / rows[0][0]).exists():
        rows = rows[1:]  # the columns' names
    if any(len(row) < 2 for row in rows):
        raise ValueError(f"{table}: every row needs two columns, file and class")
    return Samples(tuple(table.parent / row[0] for row in rows), tuple(row[1] for row in rows))


def _from_folders(folder: Path) -> Samples:
    found = sorted(
        path
        for path in folder.glob("*/*")
        if path.suffix.lower() in SUFFIXES and not path.parent.name.startswith(".")
    )
    return Samples(tuple(found), tuple(path.parent.name for path in found))


def split(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Two parts with the same mixture of classes, the second with ``share`` of each (at least one).

    Raises:
        ValueError: A class has fewer than two pictures.
    """
    chance, first, second = np.random.default_rng(seed), [], []
    for name in samples.classes:
        numbers = [i for i, label in enumerate(samples.labels) if label == name]
        if len(numbers) < 2:
            raise ValueError(f"class {name!r} has {len(numbers)} picture; at least 2 are needed to split")
        numbers = chance.permutation(numbers)
        cut = min(len(numbers) - 1, max(1, round(share * len(numbers))))
        first += [int(i) for i in numbers[cut:]]
        second += [int(i) for i in numbers[:cut]]
    return samples.take(first), samples.take(second)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Some pictures, in order.

    Attributes:
        sources: What each was read from.
        images: float32, (number of readable ones, H, W, 3).
        errors: One a source: None for a readable picture, else why it is not.
    """

    sources: tuple
    images: np.ndarray
    errors: tuple[str | None, ...]


def each_picture(sources: Iterable) -> Iterator:
    """One source after the other: of a dataset's batches every picture, of its pairs the first."""
    for source in sources:
        if isinstance(source, (tuple, list)):
            source = source[0]
        if hasattr(source, "shape"):  # an array of NumPy or of a backend
            source = np.asarray(source)
            yield from source if source.ndim == 4 else (source,)
        else:
            yield source


def read_batches(
    sources: Iterable, prepare: Callable[[np.ndarray], np.ndarray], batch_size: int
) -> Iterator[Batch]:
    """Read pictures in parallel, the next batch while the last one is computed on.

    Args:
        sources: Paths, bytes, or uint8 arrays (H, W, 3).
        prepare: From uint8 (H, W, 3) to the float32 array that the network takes, one shape for all.
        batch_size: Sources in a batch.
    """

    def read(source):
        try:
            return prepare(read_image(source)), None
        except ImageError as error:
            return None, str(error)

    def collect(group: Sequence, futures: Sequence) -> Batch:
        images, errors = zip(*(future.result() for future in futures), strict=True)
        readable = [image for image in images if image is not None]
        return Batch(tuple(group), np.stack(readable) if readable else np.empty((0,)), errors)

    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting = None
        for group in _groups(sources, batch_size):
            coming = group, [pool.submit(read, source) for source in group]
            if waiting:
                yield collect(*waiting)
            waiting = coming
        if waiting:
            yield collect(*waiting)


def _groups(items: Iterable, size: int) -> Iterator[list]:
    group = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
