"""Pictures read in parallel: in batches while the last one is computed on, or all at once to be kept."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .reading import ImageError, read_image

WORKERS = min(8, 2 * (os.cpu_count() or 1))  # decoding releases Python's lock

# Where Linux says how much a container may take: control groups of version 2 and 1.
MEMORY_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


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

    with ThreadPoolExecutor(WORKERS) as pool:
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


class Pictures(Sequence):
    """What was kept of some pictures: in memory as far as that goes, the others are read anew each time.

    Args:
        sources: As `read_image` takes them; all can be read.
        kept: What was kept of each, or None.
        shrink: What is done to one that is read anew.
    """

    def __init__(self, sources: Sequence, kept: Sequence[np.ndarray | None], shrink: Callable):
        self._sources, self._kept, self._shrink = sources, kept, shrink

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, number: int) -> np.ndarray:
        kept = self._kept[number]
        return self._shrink(read_image(self._sources[number])) if kept is None else kept


def keep(
    sources: Sequence,
    shrink: Callable[[np.ndarray], np.ndarray],
    memory: float,
    advance: Callable[[int], object] = lambda count: None,
) -> tuple[Pictures, list[str | None]]:
    """Read every picture once and keep what fits.

    Args:
        sources: As `read_image` takes them.
        shrink: From uint8 (H, W, 3) to what is kept, uint8.
        memory: Bytes that may be kept.
        advance: Called with the number of pictures that were read since it was called last.

    Returns:
        The readable ones, and for every source None or why it cannot be read.
    """

    def read(source):
        try:
            return shrink(read_image(source)), None
        except ImageError as error:
            return None, str(error)

    readable, kept, errors = [], [], []
    with ThreadPoolExecutor(WORKERS) as pool:
        for group in _groups(sources, 256):
            for source, (picture, error) in zip(group, pool.map(read, group), strict=True):
                errors.append(error)
                if error is None:
                    memory -= picture.nbytes
                    readable.append(source)
                    kept.append(picture if memory >= 0 else None)
            advance(len(group))
    return Pictures(readable, kept, shrink), errors


def quarter_of_memory(limits: Iterable[str | os.PathLike] = MEMORY_LIMITS) -> float:
    """In bytes, of the machine's or, where that is less, the container's: what may be kept of pictures."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # where the system does not say
        memory = 8e9
    for limit in limits:
        with contextlib.suppress(OSError, ValueError):  # there is none: no such file, or "max"
            memory = min(memory, int(Path(limit).read_text()))
    return memory / 4
