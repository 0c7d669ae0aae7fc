"""An export's answers against the model's, on pictures."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from ..architecture.rewriting import computing_in
from ..bundle import Bundle
from ..images import PHOTOS
from ..images.preprocessing import fit
from ..images.reading import ImageError, find_images, read_image
from ..inspection import gives_logits, input_size, network_input

MANY = 128  # more pictures than these are not looked at


class Examples(NamedTuple):
    """Pictures to try an export on.

    Attributes:
        files: Their bytes.
        fitted: Resized and cut for the network: float32 (N, H, W, 3), RGB, values in 0..255.
    """

    files: list[bytes]
    fitted: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """In whole grey levels, as a program that decodes and resizes has them: uint8."""
        return np.rint(np.clip(self.fitted, 0, 255)).astype("uint8")

    def halves(self) -> tuple["Examples", "Examples"]:
        """Every other picture."""
        return tuple(Examples(self.files[part::2], self.fitted[part::2]) for part in (0, 1))


def read_examples(pictures: str | os.PathLike | Sequence | None, bundle: Bundle, least: int = 1) -> Examples:
    """Pictures that can be read, evenly from all that are given.

    Args:
        pictures: A folder, or paths or bytes; None is this package's own.
        least: How many are needed.

    Raises:
        ValueError: Too few can be read.
    """
    if pictures is None or isinstance(pictures, (str, os.PathLike)):
        pictures = list(find_images([pictures or PHOTOS]))
    size, files, fitted = input_size(bundle.model, bundle.preset), [], []
    for source in pictures[:: -(-len(pictures) // MANY) or 1]:
        try:
            content = source if isinstance(source, bytes) else Path(source).read_bytes()
            fitted.append(fit(read_image(content), bundle.preset, size))
            files.append(content)
        except (ImageError, OSError):
            continue
    if len(files) < least:
        raise ValueError(
            f"{len(files)} of {len(pictures)} pictures can be read, and at least {least} are needed; "
            "give a folder of pictures, or a list of their paths"
        )
    return Examples(files, np.stack(fitted))


def expected(bundle: Bundle, pictures: np.ndarray) -> np.ndarray:
    """The model's own probabilities (N, C) for fitted pictures: in float32, nothing folded."""
    model = computing_in(bundle.model, "float32")

    def run(some):
        outputs = model(network_input(model, some, bundle.preset), training=False)
        return keras.ops.convert_to_numpy(keras.ops.softmax(outputs) if gives_logits(model) else outputs)

    return in_eights(run, pictures)


def in_eights(run: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """What a function says of pictures, a few at a time."""
    return np.concatenate([run(some) for some in np.array_split(pictures, -(-len(pictures) // 8))])
