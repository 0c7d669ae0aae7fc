"""Every picture that some places name to a row of a Parquet file, once, however often the run is killed."""

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import keras
from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

from ..bundle import Bundle
from ..images.reading import SUFFIXES
from ..models import origin_of
from ..progress import bars, say
from ..serving import export, formats
from . import runners

if TYPE_CHECKING:
    from .run import Run, Summary

SHARD = 1000  # pictures: what a kill can cost each worker


def predict_files(
    model_or_bundle,
    paths: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    top: int = 5,
    precision: str = "float32",
    batch_size: int = 32,
    shard_size: int = SHARD,
    runner: str = "local",
    workers: int | None = None,
    done: Callable[[dict], object] = lambda shard: None,
) -> "Summary":
    """Answer pictures, millions of them, and write Parquet shards: ``out/part-00000.parquet`` and on.

    A row is a picture: ``path`` string, ``status`` string (``"ok"``, or why there is no answer),
    ``class_ids`` and ``classes`` lists of strings and ``scores`` a list of float32, best first, empty without
    an answer. The model is exported once, into ``out``; whoever runs it loads TensorFlow alone.

    All pictures are listed before the first is answered. A shard is written beside its place and renamed, so
    the same call again after a kill makes the shards that are missing and no other.

    Args:
        model_or_bundle: A network of this package with a classifier, or a `Bundle`.
        paths: Folders, files, globs, addresses of a store (``s3://bucket/folder``); none twice is answered
            twice.
        out: A folder, or an address; new, empty, or of a run with the same arguments.
        top: Classes a picture.
        precision: ``"float32"`` or ``"bfloat16"``.
        batch_size: Pictures computed at once. It may be another when a run goes on.
        shard_size: Pictures in a shard.
        runner: ``"local"``, or ``"ray"`` for Ray Data. It may be another when a run goes on.
        workers: Ray's actors; None is one a GPU, or one for every four cores.
        done: Called with what is known of each shard that is written, see `worker.Worker`.

    Returns:
        What the whole run holds, with the shards that were there before.

    Raises:
        ValueError: An argument that is not allowed, another model or other arguments than the run began with.
        FileNotFoundError: There is no picture at one of the paths.
        FileExistsError: ``out`` is something else.
        OSError: No room, or no right to write there.
        ModuleNotFoundError: The runner is not installed; the message has the line that installs it.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet18
    >>> from keras_resnets.images import PHOTOS
    >>> from keras_resnets.scale import predict_files
    >>> model = ResNet18(weights=None, classes=3, input_shape=(64, 64, 3))
    >>> summary = predict_files(model, [PHOTOS], tempfile.mkdtemp())
    >>> summary.pictures, summary.unread
    (4, 0)
    """
    run = check(
        paths,
        out,
        top=top,
        precision=precision,
        batch_size=batch_size,
        shard_size=shard_size,
        runner=runner,
        workers=workers,
    )
    bundle, places = Bundle.of(model_or_bundle), [os.fspath(path) for path in paths]
    run.begin(
        {
            "paths": sorted(each if "://" in each else str(Path(each).absolute()) for each in places),
            "model": _identity(bundle),
            "precision": precision,
            "top": top,
            "shard size": shard_size,
            "versions": {name: version(name) for name in ("keras", "keras_resnets", "tensorflow", "pyarrow")},
        }
    )
    run.list_pictures(places, SUFFIXES, shard_size)
    shards, pictures = run.counted()
    missing = run.missing()
    if not run.has_model:
        run.check_room(run.needed(top, 4 * bundle.model.count_params()))
        with tempfile.TemporaryDirectory() as place:
            run.keep_model(export(bundle, place, precision=precision))
    if len(missing) < shards:
        say(f"{run.folder}: {shards - len(missing):,} of {shards:,} shards are there, going on")
    if missing:
        settings = {"folder": run.folder, "top": top, "batch_size": batch_size}
        there = pictures - sum(min(shard_size, pictures - shard_size * number) for number in missing)
        for row in _shown(runners.RUNNERS[runner].work(settings, missing, workers), there, pictures):
            done(row)
    return run.summary()


def check(
    paths: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    top: int = 5,
    precision: str = "float32",
    batch_size: int = 32,
    shard_size: int = SHARD,
    runner: str = "local",
    workers: int | None = None,
) -> "Run":
    """Refuse what `predict_files` cannot do whatever the model; the run that there would be."""
    for name, value in (("top", top), ("batch_size", batch_size), ("shard_size", shard_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
    formats.check("saved_model", precision)
    runners.check(runner, workers)
    from .run import Run

    run = Run.at(out)
    for path in map(os.fspath, paths):
        if next(run.files.found([path], SUFFIXES), None) is None:
            raise FileNotFoundError(f"{path}: no picture there ({' '.join(SUFFIXES)})")
    return run


def _identity(bundle: Bundle) -> dict:
    """What tells a model from another, whatever file it came from."""
    digest = hashlib.sha256(bundle.model.to_json().encode())
    digest.update(repr((bundle.preset, bundle.labels)).encode())
    for variable in bundle.model.weights:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    origin = origin_of(bundle.model)
    return {"key": origin.key, "weights": origin.weight, "sha256": digest.hexdigest()}


def _shown(rows: Iterable[dict], there: int, total: int) -> Iterator[dict]:
    """The same, with a bar and the rate since the first picture; where no terminal shows bars, with ten lines
    from start to end."""
    progress = bars("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress.disable = not progress.console.is_terminal
    begin, answered = math.inf, 0
    with progress:
        task = progress.add_task("starting", total=total, completed=there)
        for row in rows:
            before = there + answered
            answered += row["pictures"]
            begin = min(begin, row["began"])  # by the workers' clocks
            rate = f"{answered / max(time.time() - begin, 1e-9):,.1f} pictures/s"
            progress.update(task, advance=row["pictures"], description=rate)
            if progress.disable and 10 * (there + answered) // total > 10 * before // total:
                say(f"{there + answered:,} of {total:,} pictures, {rate}")
            yield row
