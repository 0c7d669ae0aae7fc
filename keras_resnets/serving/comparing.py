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
from ..predictor import Parity, compare
from ..weights.loading import HEAD
from .served import LONGEST

MANY = 400  # more pictures than these are not looked at
Answers = dict[str, dict[str, np.ndarray]]  # by signature, then by the name of an output


class Examples(NamedTuple):
    """Pictures to try an export on.

    Attributes:
        names: Where they came from.
        files: Their bytes.
        fitted: Resized and cut for the network: float32 (N, H, W, 3), RGB, values in 0..255.
    """

    names: list[str]
    files: list[bytes]
    fitted: np.ndarray

    @property
    def whole(self) -> np.ndarray:
        """In whole grey levels, as a program that decodes and resizes has them: uint8."""
        return np.rint(np.clip(self.fitted, 0, 255)).astype("uint8")

    def halves(self) -> tuple["Examples", "Examples"]:
        """Every other picture."""
        return tuple(Examples(*(values[part::2] for values in self)) for part in (0, 1))


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
    size, read = input_size(bundle.model, bundle.preset), []
    for place in np.linspace(0, len(pictures) - 1, min(MANY, len(pictures))).astype(int):
        source = pictures[place]
        try:
            content = source if isinstance(source, bytes) else Path(source).read_bytes()
            name = f"bytes {place}" if source is content else os.fspath(source)
            pixels = read_image(content)
            if max(pixels.shape) <= LONGEST:
                read.append((name, content, fit(pixels, bundle.preset, size)))
        except (ImageError, OSError):
            continue
    if len(read) < least:
        raise ValueError(
            f"{len(read)} of {len(pictures)} pictures can be read, and at least {least} are needed; "
            "give a folder of pictures, or a list of their paths"
        )
    names, files, fitted = zip(*read, strict=True)
    return Examples(list(names), list(files), np.stack(fitted))


def expected(bundle: Bundle, pictures: np.ndarray) -> np.ndarray:
    """The model's own probabilities (N, C) for fitted pictures: in float32, nothing folded."""
    model = computing_in(bundle.model, "float32")

    def run(some):
        return _probabilities(model, model(network_input(model, some, bundle.preset), training=False))

    return in_eights(run, pictures)


def in_eights(run: Callable[[np.ndarray], np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """What a function says of pictures, a few at a time."""
    return np.concatenate([run(some) for some in np.array_split(pictures, -(-len(pictures) // 8))])


def compared(answers: Answers, bundle: Bundle, truth: np.ndarray) -> tuple[Parity, np.ndarray]:
    """How an export's answers compare with the model's, at the worst of its signatures; and (N,) of what all
    of them could read. Features are compared by what the model's classifier makes of them."""
    read = np.ones(len(truth), bool)
    for outputs in answers.values():
        read &= outputs.get("valid", True)
    if not read.any():
        return Parity(0, 0, 0.0), read
    classifier = computing_in(bundle.model, "float32").get_layer(HEAD)
    found = []
    for outputs in answers.values():
        if "features" in outputs:
            outputs = {"probabilities": _probabilities(bundle.model, classifier(outputs["features"]))}
        found.append(compare(outputs["probabilities"][read], truth[read]))
    images, same, differences = zip(*found, strict=True)
    return Parity(images[0], min(same), max(differences)), read


def _probabilities(model: keras.Model, outputs) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.softmax(outputs) if gives_logits(model) else outputs)
