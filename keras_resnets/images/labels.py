"""Logits to labels: what the numbers of a classifier are called."""

import functools
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import keras
import numpy as np


class Label(NamedTuple):
    """One class: ``id`` is the wnid for ImageNet, the class number as text elsewhere."""

    id: str
    name: str


@functools.cache
def imagenet_labels() -> tuple[Label, ...]:
    """The 1000 classes of ILSVRC-2012 in the order of the networks' outputs.

    >>> imagenet_labels()[281]
    Label(id='n02123045', name='tabby')
    """
    text = resources.files(__package__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(Label(*line.split()) for line in text.splitlines())


# Data sets of ten classes, in the order of their publishers' numbers.
SMALL: dict[str, tuple[str, ...]] = {
    "cifar10": (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"
    ),
    "fashion_mnist": (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"
    ),
}  # fmt: skip


def numbered(names: Sequence[str]) -> tuple[Label, ...]:
    """Labels of one's own classes, in the order of the outputs."""
    return tuple(Label(str(number), name) for number, name in enumerate(names))


def best(scores: np.ndarray, labels: Sequence[Label], top: int) -> tuple[tuple[str, str, float], ...]:
    """The ``top`` best (id, name, score) of one row of scores, best first."""
    order = np.argsort(-scores, kind="stable")[:top]
    return tuple((*labels[i], float(scores[i])) for i in order)


def decode_predictions(preds, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Name the best classes of an ImageNet network.

    Args:
        preds: (N, 1000), numpy or a tensor of the backend.
        top: How many, best first.

    Returns:
        For each row a list of (wnid, name, score).

    Raises:
        ValueError: Any other shape, or ``top`` below 1.

    Example:

    >>> import numpy as np
    >>> decode_predictions(np.eye(1000)[[281]], top=1)
    [[('n02123045', 'tabby', 1.0)]]
    """
    labels = imagenet_labels()
    preds = np.asarray(keras.ops.convert_to_numpy(preds))
    if preds.ndim != 2 or preds.shape[1] != len(labels):
        raise ValueError(
            f"decode_predictions needs the output of an ImageNet classifier, (N, {len(labels)}). "
            f"Received: shape {preds.shape}"
        )
    if top < 1:
        raise ValueError(f"top must be at least 1. Received: top={top}")
    return [list(best(row, labels, top)) for row in preds]
