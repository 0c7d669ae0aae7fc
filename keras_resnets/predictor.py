"""Pictures to answers, at speed: batches are read while the last one is computed on."""

import os
from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import NamedTuple

import keras
import numpy as np

from . import engines
from .classifier import Classifier
from .images.batches import Batch, each_picture, read_batches
from .images.labels import best
from .images.preprocessing import fit, normalise
from .images.presets import Preset
from .inspection import gives_logits, in_layout_of, input_size
from .progress import bars, say


class Prediction(NamedTuple):
    """The answer to one picture.

    Attributes:
        source: What it was read from.
        top: (class id, name, score), best first; empty when there is an error.
        error: Why there is no answer, or None.

    Example:

    >>> from keras_resnets import Predictor, ResNet20
    >>> [answer] = Predictor(ResNet20(weights=None), batch_size=1).predict([b"no picture"])
    >>> answer.top, answer.error
    ((), 'these bytes: not a picture (JPEG, PNG, WEBP, BMP, GIF are read)')
    """

    source: object
    top: tuple[tuple[str, str, float], ...] = ()
    error: str | None = None


class Predictor:
    """A model made ready to answer pictures: batch norms folded, compiled once for batches of one size.

    Args:
        model_or_bundle: A network of this package, or a `Bundle` (its labels and preset are used then).
        batch_size: Pictures computed at once; the last batch is filled up.
        precision: Of the computations: ``"float32"``, ``"bfloat16"`` (about 3 digits) or ``"int8"``.
        engine: What computes: ``"tensorflow"``, ``"openvino"``, ``"onnxruntime"`` or ``"litert"``; see
            `engines.ENGINES` for how each is installed. ``"keras"`` is the model as it stands. None is
            TensorFlow on its backend and Keras on the others.
        calibration: For ``"int8"``: pictures like those to come, as `predict` takes them, 4 at least. Half of
            them set the ranges; over the other half int8 is compared with float32, and the result printed
            and kept as ``quantization``.

    Attributes:
        quantization: For ``"int8"`` the comparison with float32, a `Parity`; else None.

    Raises:
        ValueError: No classifier, the model does not say which preprocessing its weights need, or an
            argument that is not allowed.
        ModuleNotFoundError: The engine is not installed; the message says how it is.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import Predictor, ResNet50
    >>> predictor = Predictor(ResNet50(weights=None, classes=3), batch_size=1)
    >>> [answer] = predictor.predict([np.zeros((300, 400, 3), "uint8")], top=2)
    >>> len(answer.top), answer.error
    (2, None)
    """

    def __init__(
        self,
        model_or_bundle,
        batch_size: int = 32,
        *,
        precision: str = "float32",
        engine: str | None = None,
        calibration: Iterable | None = None,
    ):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
        engine = engine or _own_engine()
        _check(engine, precision, calibration)
        self.classifier = Classifier.of(model_or_bundle)
        self.batch_size = batch_size
        self.quantization = None
        pictures = None
        if precision == "int8":
            pictures = self._read(calibration)
            pictures, others = pictures[::2], pictures[1::2]
        model, preset = self.classifier.model, self.classifier.preset
        self._run = runner(model, preset, batch_size, engine, precision, pictures)
        if precision == "int8":
            exact = runner(model, preset, batch_size, engine, "float32")
            scores = [_in_batches(run, others, batch_size) for run in (exact, self._run)]
            self.quantization = lost = compare(*scores)
            say(
                f"{model.name}: int8 gives the same best answer as float32 for {lost.same_top1} of "
                f"{lost.images} pictures; scores differ by at most {lost.largest_difference:.3f}"
            )

    def predict(self, sources: Iterable, top: int = 5) -> Iterator[Prediction]:
        """Answer pictures one after the other, in order; one that cannot be read stops no other.

        A bar shows the progress on a terminal, where there is more than one batch.

        Args:
            sources: Paths, the bytes of files, uint8 arrays (H, W, 3), Pillow's images; or a dataset that
                yields pictures or batches of them, alone or first in a pair, values in 0..255.
            top: How many classes each answer has.
        """
        check_asked(sources, top)
        return self._answers(sources, top)

    def _answers(self, sources: Iterable, top: int) -> Iterator[Prediction]:
        total = length_hint(sources) or None  # a dataset may have a length and not know it
        progress = bars()
        progress.disable = not progress.console.is_terminal or (total or 0) <= self.batch_size
        with progress:
            task = progress.add_task("pictures", total=total)
            for batch, scores in self.scores(sources):
                rows = iter(scores)
                for source, error in zip(batch.sources, batch.errors, strict=True):
                    if error:
                        yield Prediction(source, error=error)
                    else:
                        yield Prediction(source, best(next(rows), self.classifier.labels, top))
                progress.advance(task, len(batch.sources))

    def scores(self, sources: Iterable) -> Iterator[tuple[Batch, np.ndarray]]:
        """Batches as they were read, each with the probabilities of its readable pictures (n, classes)."""
        model, preset = self.classifier.model, self.classifier.preset
        logits = gives_logits(model)
        for batch, outputs in outputs_of(self._run, model, sources, preset, self.batch_size):
            yield batch, _softmax(outputs) if logits else outputs

    def _read(self, calibration: Iterable) -> np.ndarray:
        """Pictures as an engine takes them; what cannot be read is left out."""
        batches = inputs_of(calibration, self.classifier.model, self.classifier.preset, 32)
        readable = [images for _, images in batches if len(images)]
        if sum(map(len, readable)) < 4:
            raise ValueError("calibration needs 4 readable pictures at least; a few hundred are better")
        return np.concatenate(readable)


class Parity(NamedTuple):
    """How two models' answers to the same pictures compare.

    Attributes:
        images: How many were compared.
        same_top1: For how many of them the best answer is the same. No more than the others can be lost or
            won of the accuracy.
        largest_difference: Of a score.
    """

    images: int
    same_top1: int
    largest_difference: float


def compare(ours: np.ndarray, theirs: np.ndarray) -> Parity:
    """Compare two arrays of probabilities (N, classes)."""
    same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()
    return Parity(len(ours), int(same), float(np.abs(ours - theirs).max()))


def _check(engine: str, precision: str, calibration) -> None:
    """Say before any work what an engine cannot do."""
    if engine != "keras":
        engines.check(engine, precision)
    elif precision != "float32":
        raise ValueError(
            "engine='keras' computes as the model was built; for another precision build it with "
            f"dtype='mixed_bfloat16'. Received: precision={precision!r}"
        )
    if (precision == "int8") != (calibration is not None):
        raise ValueError(
            "calibration, some of the pictures to come, goes with precision='int8' and with nothing else. "
            f"Received: precision={precision!r}, calibration={'None' if calibration is None else 'pictures'}"
        )


def check_asked(sources: Iterable, top: int = 1) -> None:
    """Refuse one picture in place of a list, and answers without a class."""
    if isinstance(sources, (str, bytes, os.PathLike)):
        raise TypeError(f"sources must be a list of pictures. Received one: {str(sources)[:80]!r}")
    if top < 1:
        raise ValueError(f"top must be at least 1. Received: top={top}")


def _own_engine() -> str:
    return "tensorflow" if keras.backend.backend() == "tensorflow" else "keras"


def runner(
    model: keras.Model,
    preset: Preset,
    batch_size: int,
    engine: str | None = None,
    precision: str = "float32",
    calibration: np.ndarray | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """A function of whole batches, float32 (batch_size, H, W, 3) as the network takes them."""
    engine = engine or _own_engine()
    if engine != "keras":
        size = input_size(model, preset)
        return engines.compiled(model, engine, precision, batch_size, size, calibration)

    def run(images):
        return np.asarray(model.predict_on_batch(in_layout_of(model, images)), "float32")

    return run


def outputs_of(
    run: Callable, model: keras.Model, sources: Iterable, preset: Preset, batch_size: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Run a network over pictures: batches as they were read, each with float32 outputs (n, ...)."""
    check_asked(sources)
    for batch, images in inputs_of(sources, model, preset, batch_size):
        if len(images):
            yield batch, _in_batches(run, images, batch_size)
        else:
            yield batch, np.empty((0, *model.output_shape[1:]), "float32")


def inputs_of(
    sources: Iterable, model: keras.Model, preset: Preset, batch_size: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches as they were read, each with its readable pictures as the network takes them, channels last."""
    size = input_size(model, preset)
    for batch in read_batches(each_picture(sources), lambda picture: fit(picture, preset, size), batch_size):
        yield batch, normalise(batch.images, preset, "channels_last") if len(batch.images) else batch.images


def _in_batches(run: Callable, images: np.ndarray, batch_size: int) -> np.ndarray:
    """What a function of whole batches says of any number of images; the last batch is filled with zeros."""
    answers = []
    for start in range(0, len(images), batch_size):
        some = images[start : start + batch_size]
        missing = batch_size - len(some)
        whole = np.pad(some, [(0, missing), (0, 0), (0, 0), (0, 0)]) if missing else some
        answers.append(run(whole)[: len(some)])
    return np.concatenate(answers)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
