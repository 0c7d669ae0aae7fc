"""The plain values every format is read into."""

import dataclasses
from pathlib import Path

import numpy as np

Variables = dict[str, np.ndarray]
Layers = dict[str, Variables]


class WeightsError(ValueError):
    """A weights file that cannot be read or does not fit; the message names it, the reason and a way on.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet18, ResNet34, load_weights, save_weights
    >>> save_weights(ResNet18(weights=None), path := tempfile.mkdtemp() + "/mine.weights.h5")
    >>> load_weights(ResNet34(weights=None), path)
    Traceback (most recent call last):
    keras_resnets.weights.formats.contents.WeightsError: ...
    """


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        layers: Layer -> variable -> array, in the file's order. A variable is a name (``kernel``)
            or, where the file has none, its number in the layer (``"0"``).
        ordered: Whether the order of layers is how Keras itself reads this format.
        places: For a Keras 3 file its own address of each layer, by class and number (``conv2d_7``);
            None when these are the only names it has, and so the keys of ``layers``.
        notes: What was left out or chosen, a line each.
    """

    path: Path
    format: str
    layers: Layers
    ordered: bool = False
    places: dict[str, str] | None = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def grouped(arrays: dict[str, np.ndarray]) -> Layers:
    """``{"layer1.0.conv1.weight": array}`` as layers and their variables; ``/`` separates as ``.`` does.

    Raises:
        WeightsError: Two keys mean the same variable.
    """
    layers: Layers = {}
    for key, array in arrays.items():
        cut = max(key.rfind("."), key.rfind("/"))
        variables = layers.setdefault(key[: max(cut, 0)], {})
        if key[cut + 1 :] in variables:
            raise WeightsError(f"{key} is there twice, written with '.' and with '/'")
        variables[key[cut + 1 :]] = array
    return layers


def by_number(text: str) -> tuple[str, int]:
    """Sort ``conv2d_10`` behind ``conv2d_9``."""
    stem, _, number = text.rpartition("_")
    if number.isdecimal():
        return (stem, int(number))
    return (text, 0)
