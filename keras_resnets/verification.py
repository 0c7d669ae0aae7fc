"""Proof of a person's own file: the same picture through two networks, compared from pixels to logits."""

import dataclasses
import os
from pathlib import Path

import keras
import numpy as np

from .architecture.names import Address
from .files import from_weights
from .images.preprocessing import fit
from .images.presets import PRESETS
from .images.reading import read_image
from .inspection import data_format_of, has_classifier, input_size, network_input
from .models import preset_of


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far two networks are from each other at one place.

    Attributes:
        place: ``pixels``, ``conv2`` to ``conv5``, ``logits``.
        largest: The largest absolute difference.
        relative: The same, divided by the reference's largest value.
    """

    place: str
    largest: float
    relative: float


def verify(
    path: str | os.PathLike,
    against: str | os.PathLike,
    picture=None,
    *,
    preset: str | None = None,
    **options,
) -> list[Difference]:
    """Compare a weights file's network with a reference, stage by stage, on the same picture.

    Args:
        path: A weights file in any format and names that `from_weights` reads.
        against: A ``.npz`` with what another program computed: ``picture`` (the file's bytes as uint8, or
            pixels (H, W, 3)), ``logits``, and any of ``pixels`` (what entered its network) and ``conv2`` to
            ``conv5`` (the end of each stage), channels first or last; or a second weights file.
        picture: A picture's path, bytes or pixels; needed where ``against`` holds none.
        preset: Name of the preprocessing; None is the architecture's own.
        **options: As `from_weights` has them.

    Returns:
        One row a place, in the order of computation.

    Raises:
        ValueError: No picture, a place that the network does not have, or arrays of another shape.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> from keras_resnets import ResNet20, save_weights, verify
    >>> folder, model = tempfile.mkdtemp(), ResNet20(weights=None)
    >>> save_weights(model, f"{folder}/mine.npz")
    >>> save_weights(model, f"{folder}/mine.weights.h5")
    >>> picture = np.zeros((32, 32, 3), "uint8")
    >>> [row.place for row in verify(f"{folder}/mine.npz", f"{folder}/mine.weights.h5", picture)]
    ['pixels', 'conv2', 'conv3', 'conv4', 'logits']
    """
    reference = _reference_arrays(Path(against))
    model = from_weights(path, **options, classifier_activation=None)
    if reference is None:
        if picture is None:
            raise ValueError("two weights files are compared on a picture: pass picture='photo.jpg'")
        other = from_weights(against, classifier_activation=None)
        theirs = _computed(other, _pixels(picture), PRESETS[preset] if preset else preset_of(other))
    else:
        theirs = {place: array for place, array in reference.items() if place != "picture"}
        picture = reference.get("picture") if picture is None else picture
        if picture is None:
            raise ValueError(f"{against} holds no 'picture'; pass picture='photo.jpg'")
    ours = _computed(model, _pixels(picture), PRESETS[preset] if preset else preset_of(model))
    unknown = sorted(set(theirs) - set(ours))
    if unknown:
        raise ValueError(f"{against}: {', '.join(unknown)} is not one of {', '.join(ours)}")
    return [_difference(place, ours[place], theirs[place]) for place in ours if place in theirs]


def _reference_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a reference; None for a file that holds weights."""
    if path.suffix != ".npz":
        return None
    with np.load(path, allow_pickle=False) as file:
        known = {"picture", "pixels", "logits"} | {name for name in file.files if Address.parse(name)}
        return dict(file) if known.issuperset(file.files) and "logits" in file.files else None


def _pixels(picture) -> np.ndarray:
    if isinstance(picture, np.ndarray) and picture.ndim == 1:
        picture = picture.tobytes()
    return read_image(picture)


def _computed(model: keras.Model, picture: np.ndarray, preset) -> dict[str, np.ndarray]:
    """Everything that can be compared, channels last."""
    images = network_input(model, fit(picture, preset, input_size(model, preset))[None], preset)
    ends = {}
    for layer in model.layers:
        address = Address.parse(layer.name)
        if address and address.block and address.role == "out" and address.slot is None:
            ends[address.stage] = layer.output
    places = [*ends, "logits" if has_classifier(model) else "features"]
    outputs = keras.Model(model.input, [*ends.values(), model.output])(images)
    arrays = {"pixels": images}
    arrays |= {
        place: keras.ops.convert_to_numpy(output) for place, output in zip(places, outputs, strict=True)
    }
    first = data_format_of(model) == "channels_first"
    return {
        place: np.moveaxis(array, 1, -1) if first and array.ndim == 4 else array
        for place, array in arrays.items()
    }


def _difference(place: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    theirs = theirs.reshape(ours.shape[:1] + theirs.shape[-(ours.ndim - 1) :])
    if theirs.ndim == 4 and theirs.shape != ours.shape:
        theirs = np.moveaxis(theirs, 1, -1)
    if theirs.shape != ours.shape:
        raise ValueError(f"{place}: the reference has shape {theirs.shape}, the network {ours.shape}")
    largest = float(np.abs(ours.astype("float64") - theirs).max())
    return Difference(place, largest, largest / max(float(np.abs(theirs).max()), 1e-30))
