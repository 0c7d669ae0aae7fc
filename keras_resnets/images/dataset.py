"""Labelled pictures: found, looked through for what would spoil a training, split."""

import contextlib
import csv
import dataclasses
import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .reading import SUFFIXES

# All that a person takes for a picture. Those that are not read are sources, too, so that reading lists them.
PICTURES = (
    *SUFFIXES,
    ".tif", ".tiff", ".avif", ".heic", ".heif", ".jp2", ".jxl", ".pgm", ".ppm", ".svg", ".tga",
    ".arw", ".cr2", ".dng", ".nef",
)  # fmt: skip

END = 4096  # bytes of a file that tell almost any two pictures apart


@dataclasses.dataclass(frozen=True)
class Samples:
    """Pictures and what each shows.

    Attributes:
        sources: One a sample: the path of a file, or an array as `read_image` takes it.
        labels: The class of each, as its folder or its row calls it.
        order: All classes, where their publisher numbers them; None sorts them.
        left_out: What lay beside them and is no sample, a sentence each.

    Example:

    >>> from keras_resnets import Samples
    >>> samples = Samples(("1.jpg", "2.jpg", "3.jpg"), ("dog", "cat", "dog"))
    >>> samples.classes, samples.take([0, 2]).labels
    (('cat', 'dog'), ('dog', 'dog'))
    """

    sources: tuple
    labels: tuple[str, ...]
    order: tuple[str, ...] | None = None
    left_out: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The different labels: their order is the order of a classifier's outputs."""
        return self.order or tuple(sorted(set(self.labels)))

    def take(self, numbers: Iterable[int]) -> "Samples":
        chosen = list(numbers)
        return dataclasses.replace(
            self,
            sources=tuple(self.sources[i] for i in chosen),
            labels=tuple(self.labels[i] for i in chosen),
        )


def samples_of(data) -> Samples:
    """Labelled pictures, however they are given.

    Args:
        data: What `scan` takes; `Samples`; or a pair of images, uint8 (N, H, W, 3), and their classes, (N,),
            numbers or names.

    Raises:
        ValueError: None of these; images and classes of different number, or none at all.
    """
    if isinstance(data, str | os.PathLike):
        return scan(data)
    samples = data if isinstance(data, Samples) else _from_arrays(data)
    if not samples.sources:
        raise ValueError("data must hold at least one picture. Received: none")
    return samples


def _from_arrays(data) -> Samples:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        given = f"{len(data)} things" if isinstance(data, (tuple, list)) else type(data).__name__
        raise ValueError(f"data must be a folder, a CSV, or (images, classes). Received: {given}")
    images, labels = data
    labels = np.asarray(labels).reshape(-1)
    if len(images) != len(labels):
        raise ValueError(f"as many classes as images are needed. Received: {len(images)} and {len(labels)}")
    order = tuple(map(str, np.unique(labels)))  # numbers by size, names by letters
    return Samples(tuple(images), tuple(map(str, labels)), order)


def scan(data: str | os.PathLike) -> Samples:
    """Find labelled pictures.

    Args:
        data: A folder with a sub-folder a class; a CSV file, or a folder with ``labels.csv``, whose
            first column is the path (from the CSV's folder) and whose second is the class. A first row names
            the columns where its first cell is no file and does not end as a picture does.

    Raises:
        FileNotFoundError: Nothing is there, or no picture in it.
        ValueError: A row of the CSV has no two columns, or one of them is empty.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> table = Path(tempfile.mkdtemp(), "labels.csv")
    >>> _ = table.write_text("file,class\\n1.jpg,dog\\n2.jpg,cat\\n")
    >>> scan(table).labels
    ('dog', 'cat')
    """
    data = Path(data)
    if data.is_file() and data.suffix != ".csv":
        raise ValueError(f"{data} is neither a folder nor a CSV file")
    if not data.exists():
        raise FileNotFoundError(f"no data at {data}")
    table = data / "labels.csv" if data.is_dir() else data
    samples = _from_table(table) if table.is_file() else _from_folders(data)
    if not samples.sources:
        raise FileNotFoundError(
            f"{data}: no labelled picture. Expected: a sub-folder a class with {' '.join(SUFFIXES)} files, "
            "or labels.csv with the columns file and class"
        )
    return samples


def _from_table(table: Path) -> Samples:
    # A file's name may be any bytes: they are kept as the system's own listing of a folder keeps them.
    with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if rows and not _is_picture(first := table.parent / rows[0][0]) and not first.is_file():
        rows = rows[1:]  # the columns' names
    for row in rows:
        if not all((*row, "")[:2]):
            raise ValueError(
                f"{table}: every row needs two columns, file and class. Received: {','.join(row)}"
            )
    return Samples(tuple(table.parent / row[0] for row in rows), tuple(row[1] for row in rows))


def _from_folders(folder: Path) -> Samples:
    beside, classes = _inside(folder)
    found, deeper, left_out = [], [], []
    for path in classes:
        pictures, folders = _inside(path)
        found += pictures
        deeper += folders
        if not pictures:
            left_out.append(f"the class folder {path.name} holds no picture; it is left out")
    left_out += _counted("folders inside a class folder are not looked into", deeper)
    left_out += _counted("pictures beside the class folders are left out", beside)
    return Samples(tuple(found), tuple(path.parent.name for path in found), left_out=tuple(left_out))


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures and the folders in a folder, sorted; hidden ones are neither."""
    pictures, folders = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            folders.append(path)
        elif _is_picture(path):
            pictures.append(path)
    return pictures, folders


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES


def _counted(what: str, examples: Sequence) -> list[str]:
    """One sentence on all of them, or none."""
    return [f"{what}: {len(examples)}, such as {examples[0]}"] if examples else []


def split(samples: Samples, share: float, seed: int) -> tuple[Samples, Samples]:
    """Two parts with the same mixture of classes, the second with ``share`` of each (at least one picture).
    The same picture twice in a class stays on one side.

    Raises:
        ValueError: A class has fewer than two different pictures.

    Example:

    >>> samples = Samples(("1.jpg", "2.jpg", "3.jpg", "4.jpg"), ("a", "b", "a", "b"))
    >>> train, held_out = split(samples, 0.5, seed=0)
    >>> train.labels, held_out.labels
    (('a', 'b'), ('a', 'b'))
    """
    chance, first, second = np.random.default_rng(seed), [], []
    same = {number: group for group in repeated(samples.sources) for number in group}
    by_class = defaultdict(dict)
    for number, label in enumerate(samples.labels):
        content = same[number][0] if number in same else number
        by_class[label].setdefault(content, []).append(number)
    for name in samples.classes:
        groups = list(by_class[name].values())
        if len(groups) < 2:
            again = " (the same picture again is no other)" if sum(map(len, groups)) > 1 else ""
            raise ValueError(
                f"class {name!r} has {len(groups)} picture; at least 2 are needed to split{again}"
            )
        order = chance.permutation(len(groups))
        cut = min(len(groups) - 1, max(1, round(share * len(groups))))
        first += [number for i in order[cut:] for number in groups[i]]
        second += [number for i in order[:cut] for number in groups[i]]
    return samples.take(first), samples.take(second)


def repeated(sources: Sequence) -> list[list[int]]:
    """Numbers of the sources that are the same to the byte, a list for each picture that comes again."""
    groups = [list(range(len(sources)))]
    for look in (_size, _end, _digest):  # ever more of a file, and only of those that were alike so far
        alike = defaultdict(list)
        for place, group in enumerate(groups):
            for number in group:
                with contextlib.suppress(OSError, TypeError):  # said when it is read
                    alike[place, look(sources[number])].append(number)
        groups = [group for group in alike.values() if len(group) > 1]
    return sorted(groups)


def _size(source) -> int | tuple:
    return source.shape if isinstance(source, np.ndarray) else Path(source).stat().st_size


def _end(source) -> bytes:
    if isinstance(source, np.ndarray):
        return source[-1:].tobytes()
    with Path(source).open("rb") as file:
        file.seek(-min(END, os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read()


def _digest(source) -> bytes:
    data = np.ascontiguousarray(source) if isinstance(source, np.ndarray) else Path(source).read_bytes()
    return hashlib.sha256(data).digest()


def check_classes(samples: Samples) -> None:
    """Refuse what cannot be told apart.

    Raises:
        ValueError: Fewer than two classes.
    """
    classes = sorted(set(samples.labels))
    if len(classes) < 2:
        raise ValueError(f"at least 2 classes are needed. Received: {len(classes)} ({', '.join(classes)})")


def findings(train: Samples, held_out: Samples) -> list[str]:
    """What in two parts of some data would spoil a training or its measure, a sentence each.

    Raises:
        ValueError: Fewer than two classes, or a class to validate with that is not in the training.
    """
    check_classes(train)
    if strange := sorted(set(held_out.labels) - set(train.classes)):
        raise ValueError(f"classes of the validation are not in the training: {', '.join(strange)}")
    found = list(dict.fromkeys(train.left_out + held_out.left_out))  # two parts of one folder share them
    for part, purpose in ((train, "train on, whose answers are never right"), (held_out, "validate with")):
        found += missing_classes(part, train.classes, purpose)
    sources, labels = train.sources + held_out.sources, train.labels + held_out.labels
    groups = repeated(sources)
    several = [group for group in groups if len({labels[number] for number in group}) > 1]
    across = [group for group in groups if group[0] < len(train.sources) <= group[-1]]
    for some, what in (
        (several, "in two classes"),
        (across, "both in the training and in the validation, which is then too good"),
    ):
        pairs = [[_called(sources[number], number) for number in (group[0], group[-1])] for group in some]
        found += _counted(f"the same pictures are {what}", [" = ".join(pair) for pair in pairs])
    return found


def missing_classes(samples: Samples, classes: Iterable[str], purpose: str = "validate with") -> list[str]:
    """One sentence on the classes that have no sample, or none."""
    missing = sorted(set(classes) - set(samples.labels))
    return [f"classes without a picture to {purpose}: {', '.join(missing)}"] if missing else []


def _called(source, number: int) -> str:
    return f"number {number}" if isinstance(source, np.ndarray) else str(source)
