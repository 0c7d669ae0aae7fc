"""Pictures to answers, at speed: batches are read while the last one is computed on."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import keras
import numpy as np

from .architecture.network import channels_of
from .bundle import Bundle
from .images.dataset import read_batches
from .images.labels import best
from .images.preprocessing import fit, normalise
from .models import labels_of, preset_of


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
        ValueError: The model does not say which preprocessing its weights need.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import Predictor, ResNet50
    >>> predictor = Predictor(ResNet50(weights=None, classes=3))
    >>> [answer] = predictor.predict([np.zeros((300, 400, 3), "uint8")], top=2)
    >>> len(answer.top), answer.error
    (2, None)
    """

    def __init__(self, model_or_bundle, batch_size: int = 32):
        is_bundle = isinstance(model_or_bundle, Bundle)
        self.model = model_or_bundle.model if is_bundle else model_or_bundle
        if len(self.model.output_shape) != 2:
            raise ValueError(
                f"the model {self.model.name!r} has no classifier (output {self.model.output_shape}); "
                "build it with include_top=True"
            )
        if channels_of(self.model.input_shape[1:], data_format_of(self.model)) != 3:
            raise ValueError(
                f"pictures have 3 channels, the model {self.model.name!r} takes {self.model.input_shape}"
            )
        self.preset = model_or_bundle.preset if is_bundle else preset_of(self.model)
        self.labels = model_or_bundle.labels if is_bundle else labels_of(self.model)
        self.batch_size = batch_size

    def predict(self, sources: Iterable, top: int = 5) -> Iterator[Prediction]:
        """Answer pictures one after the other, in order; one that cannot be read stops no other.

        Args:
            sources: Paths, the bytes of files, or uint8 arrays (H, W, 3).
            top: How many classes each answer has.
        """
        for batch, scores in self.scores(sources):
            rows = iter(scores)
            for source, error in zip(batch.sources, batch.errors, strict=True):
                if error:
                    yield Prediction(source, error=error)
                else:
                    yield Prediction(source, best(next(rows), self.labels, top))

    def scores(self, sources: Iterable) -> Iterator[tuple]:
        """Batches as they were read, each with the probabilities of its readable pictures (n, classes)."""
        size = input_size(self.model)
        for batch in read_batches(sources, lambda p: fit(p, self.preset, size), self.batch_size):
            yield batch, self.probabilities(batch.images)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """From fitted pictures (N, H, W, 3), values in 0..255, to float32 (N, classes)."""
        if not len(images):
            return np.empty((0, len(self.labels)), "float32")
        outputs = self.model.predict_on_batch(network_input(self.model, images, self.preset))
        outputs = np.asarray(outputs, "float32")
        return _softmax(outputs) if _gives_logits(self.model) else outputs


def network_input(model: keras.Model, images: np.ndarray, preset) -> np.ndarray:
    """Fitted pictures (N, H, W, 3) as the network takes them, in its data format."""
    images = normalise(images, preset, "channels_last")
    return np.moveaxis(images, -1, 1) if data_format_of(model) == "channels_first" else images


def data_format_of(model: keras.Model) -> str:
    """The data format a network was built in, as its first convolution says."""
    return next(layer.data_format for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def input_size(model: keras.Model) -> tuple[int, int] | None:
    """Height and width that a network takes, or None where it takes any."""
    shape = model.input_shape
    size = shape[2:] if data_format_of(model) == "channels_first" else shape[1:3]
    return None if None in size else tuple(size)


def _gives_logits(model: keras.Model) -> bool:
    activation = getattr(model.layers[-1], "activation", None)
    return activation is keras.activations.linear


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
