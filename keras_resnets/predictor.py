"""Pictures to answers, at speed: batches are read while the last one is computed on."""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import keras
import numpy as np

from .bundle import Bundle
from .images.dataset import Batch, read_batches
from .images.labels import best
from .images.preprocessing import fit
from .images.presets import Preset
from .inspection import gives_logits, input_size, network_input


class Prediction(NamedTuple):
    """The answer to one picture.

    Attributes:
        source: What it was read from.
        top: (class id, name, score), best first; empty when there is an error.
        error: Why there is no answer, or None.
    """

    source: object
    top: tuple[tuple[str, str, float], ...] = ()
    error: str | None = None


class Predictor:
    """A model made ready to answer pictures.

    Args:
        model_or_bundle: A network of this package, or a `Bundle` (its labels and preset are used then).
        batch_size: Pictures computed at once.

    Raises:
        ValueError: No classifier, or the model does not say which preprocessing its weights need.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import Predictor, ResNet50
    >>> predictor = Predictor(ResNet50(weights=None, classes=3))
    >>> [answer] = predictor.predict([np.zeros((300, 400, 3), "uint8")], top=2)
    >>> len(answer.top), answer.error
    (2, None)
    """

    def __init__(self, model_or_bundle, batch_size: int = 32):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        self.bundle = Bundle.of(model_or_bundle)
        self.batch_size = batch_size

    def predict(self, sources: Iterable, top: int = 5) -> Iterator[Prediction]:
        """Answer pictures one after the other, in order; one that cannot be read stops no other.

        Args:
            sources: Paths, the bytes of files, or uint8 arrays (H, W, 3).
            top: How many classes each answer has.
        """
        if top < 1:
            raise ValueError(f"top must be at least 1. Received: top={top}")
        return self._answers(sources, top)

    def _answers(self, sources: Iterable, top: int) -> Iterator[Prediction]:
        for batch, scores in self.scores(sources):
            rows = iter(scores)
            for source, error in zip(batch.sources, batch.errors, strict=True):
                if error:
                    yield Prediction(source, error=error)
                else:
                    yield Prediction(source, best(next(rows), self.bundle.labels, top))

    def scores(self, sources: Iterable) -> Iterator[tuple[Batch, np.ndarray]]:
        """Batches as they were read, each with the probabilities of its readable pictures (n, classes)."""
        logits = gives_logits(self.bundle.model)
        for batch, outputs in outputs_of(self.bundle.model, sources, self.bundle.preset, self.batch_size):
            yield batch, _softmax(outputs) if logits else outputs


def outputs_of(
    model: keras.Model, sources: Iterable, preset: Preset, batch_size: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Run a network over pictures: batches as they were read, each with float32 outputs (n, ...)."""
    if isinstance(sources, (str, bytes, os.PathLike)):
        raise TypeError(f"sources must be a list of pictures. Received one: {str(sources)[:80]!r}")
    size = input_size(model, preset)
    for batch in read_batches(sources, lambda picture: fit(picture, preset, size), batch_size):
        if len(batch.images):
            outputs = model.predict_on_batch(network_input(model, batch.images, preset))
            yield batch, np.asarray(outputs, "float32")
        else:
            yield batch, np.empty((0, *model.output_shape[1:]), "float32")


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
