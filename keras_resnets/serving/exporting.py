"""A model to files that others run: written beside their place, run, compared, and only then renamed."""

import contextlib
import errno
import numbers
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..disk import check_room
from ..predictor import Parity
from ..progress import say
from . import beside, formats
from .comparing import compared, expected, read_examples
from .served import Served

# What a probability may differ by. float32: the order of additions; others: their digits.
TOLERANCES = {"float32": 1e-3, "float16": 1e-2, "bfloat16": 5e-2, "int8": 0.4}


class ExportError(RuntimeError):
    """An export that does not answer as the model does."""


def export(
    model_or_bundle,
    path: str | os.PathLike,
    version: int | None = None,
    *,
    format: str = "saved_model",
    precision: str = "float32",
    fold: bool = True,
    pictures: str | os.PathLike | Sequence | None = None,
    tolerance: float | None = None,
) -> Path:
    """Write a model for a server or a device. What was written is loaded again by the program that it is for,
    run on pictures and compared with the model before it gets its name.

    ``"saved_model"``, for TensorFlow Serving, has three signatures. ``serving_default(images)`` takes uint8
    (N, H, W, 3), RGB, any size; ``image_bytes(image_bytes)`` takes the bytes of JPEG, PNG, BMP, GIF or WebP
    files, (N,). Both give ``probabilities`` float32 (N, C) and the best five as ``class_ids`` int64,
    ``scores`` float32 and ``classes`` string, (N, min(5, C)); for bytes also ``valid`` bool (N,): an item
    that cannot be decoded is false, its scores 0, and its neighbours are answered. ``features(image_bytes)``
    gives ``features`` float32 (N, F) and ``valid``. Warm-up requests are in it; beside it are an example of
    a server's settings and the lines that start and ask one.

    The others take ``images`` uint8 (N, H, W, 3), RGB, resized and cut to the network's size, and give
    ``probabilities`` float32 (N, C). Labels and preset are in the file and beside it.

    Args:
        model_or_bundle: A network of this package with a classifier, or a `Bundle`.
        path: A folder. A SavedModel goes to ``path/<version>/``, beside earlier ones; for another format it
            must not exist.
        version: Of a SavedModel; None is the next free number.
        format: ``"saved_model"``, ``"onnx"``, ``"openvino"`` or ``"litert"``.
        precision: ``"float32"``; of a SavedModel also ``"bfloat16"``, of the others ``"float16"`` (weights)
            and ``"int8"``.
        fold: Whether batch norms go into the convolutions: fewer operations, the same function.
        pictures: Files to compare on, as a folder, paths or bytes; None is four photographs of this package.
            At most 400 are looked at, evenly from all. For ``"int8"`` a few hundred like those to come: half
            of them set the ranges of its numbers.
        tolerance: What a probability may differ by; None is the precision's own (`TOLERANCES`).

    Returns:
        The folder that was written.

    Raises:
        ValueError: No classifier, an argument that is not allowed, or not on the TensorFlow backend.
        FileExistsError: That version, or that folder, exists.
        OSError: No room, or no right to write there.
        ModuleNotFoundError: What runs the format is not installed; the message has the line that installs it.
        ExportError: The answers differ by more than the tolerance; nothing is left behind.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet18, export
    >>> export(ResNet18(weights=None, classes=3, input_shape=(64, 64, 3)), tempfile.mkdtemp()).name
    '1'
    """
    place = check(path, version, format=format, precision=precision, pictures=pictures, tolerance=tolerance)
    bundle = Bundle.of(model_or_bundle)
    weights = 4 * bundle.model.count_params()
    check_room(place.parent, weights * (4 if precision == "int8" else 2), "the export")
    examples = ranges = read_examples(pictures, bundle, least=4 if precision == "int8" else 1)
    if precision == "int8":
        examples, ranges = examples.halves()
    served = Served.of(bundle, precision, fold)

    with _written_whole(place) as folder:
        module = formats.module_of(format)
        module.write(served, folder, precision, ranges)
        # A SavedModel fits files itself; the others take pictures in whole grey levels.
        truth = expected(bundle, examples.fitted if format == "saved_model" else examples.whole)
        found, read = compared(module.answers(folder, examples), bundle, truth)
        limit = TOLERANCES[precision] if tolerance is None else tolerance
        _say(found, limit, [examples.names[number] for number in np.flatnonzero(~read)], place)
        told = {"format": format, "precision": precision, "folded": served.folded, "tolerance": limit}
        served.described["export"] = told | found._asdict()
        (folder / "bundle.json").write_text(f"{served.description}\n", encoding="utf-8")
        (folder / "labels.txt").write_text(f"{served.labels}\n", encoding="utf-8")
        if format == "saved_model":
            beside.write(place.parent)
    return place


def check(
    path: str | os.PathLike,
    version: int | None = None,
    *,
    format: str = "saved_model",
    precision: str = "float32",
    pictures: str | os.PathLike | Sequence | None = None,
    tolerance: float | None = None,
    **_,
) -> Path:
    """Refuse what `export` cannot do whatever the model; the folder that it would write."""
    formats.check(format, precision)
    path, numbered = Path(path), format == "saved_model"
    whole = isinstance(version, int) and not isinstance(version, bool) and version >= 0
    if version is not None and not (whole and numbered):
        raise ValueError(
            "version must be a whole number of at least 0, and goes with a SavedModel. "
            f"Received: version={version!r}, format={format!r}"
        )
    if precision == "int8" and pictures is None:
        raise ValueError("precision='int8' needs pictures: a few hundred like those that it is to answer")
    if tolerance is not None and not isinstance(tolerance, numbers.Real):
        raise ValueError(f"tolerance must be a number. Received: tolerance={tolerance!r}")
    place = _version(path, version) if numbered else path
    if place.exists():
        raise FileExistsError(
            f"{place} exists; choose another {'version' if numbered else 'name'} or remove it"
        )
    return place


@contextlib.contextmanager
def _written_whole(place: Path) -> Iterator[Path]:
    """A folder to fill, which then becomes ``place``; where something goes wrong, nothing is left of it."""
    new = [folder for folder in place.parents if not folder.exists()]
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=place.parent, prefix="writing-") as temporary:
            folder = Path(temporary) / place.name
            folder.mkdir()
            yield folder
            try:
                folder.replace(place)
            except OSError as error:  # whoever renames first has the name
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise FileExistsError(f"another export has written {place}; export again") from error
    finally:
        with contextlib.suppress(OSError):  # those that are not empty stay
            for folder in new:
                folder.rmdir()


def _version(path: Path, version: int | None) -> Path:
    """The folder of a SavedModel's version; by default the next free one."""
    taken = [int(child.name) for child in path.glob("*") if child.name.isdecimal()]
    return path / str(max(taken, default=0) + 1 if version is None else version)


def _say(found: Parity, limit: float, unread: list[str], place: Path) -> None:
    """How an export compares with its model; or refuse it.

    Args:
        unread: Pictures that it could not decode.
    """
    if not found.images:
        raise ExportError(f"{place}: none of the {len(unread)} pictures was answered; nothing is left of it")
    said = (
        f"{place}: the model's best answer for {found.same_top1} of {found.images} pictures, "
        f"probabilities differ by at most {found.largest_difference:.1e} ({limit:g} is allowed)"
    )
    if not found.largest_difference <= limit:
        raise ExportError(f"{said}; nothing is left of it. See precision=, tolerance= and pictures=")
    if unread:
        said += f"; {len(unread)} more it cannot decode: {', '.join(unread[:5])}"
    say(said)
