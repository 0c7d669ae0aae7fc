"""How often a model is right, and whether two models say the same."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np

from . import measures
from .architecture.folding import fold
from .architecture.style import is_whole_number
from .bundle import rebuilt
from .classifier import Classifier
from .images.batches import WORKERS, Batch, each_picture, read_batches
from .images.dataset import Samples, samples_of
from .images.labels import Label
from .images.preprocessing import normalise, resized, ten_crops, whole
from .images.presets import with_mean_of_channels
from .inspection import gives_logits, input_size
from .models import origin_of
from .predictor import Predictor
from .registry import variant
from .weights.loading import HEAD

# Of a resized picture: the first maps of it and its mirror image take about 1.3 GB.
MOST_PIXELS = 10_000_000


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        images: Pictures that were answered.
        top1, top5: Share of them whose class was the best, or among the five best, answer.
        errors: One line for each picture that could not be read.
        sources: What the others were read from.
        scores: Probabilities, float32 (images, classes), in the order of the data.
        targets: The right class of each, int (images,).
        labels: What the classes are called.
    """

    images: int
    top1: float
    top5: float
    errors: tuple[str, ...]
    sources: tuple = dataclasses.field(repr=False)
    scores: np.ndarray = dataclasses.field(repr=False)
    targets: np.ndarray = dataclasses.field(repr=False)
    labels: tuple[Label, ...] = dataclasses.field(repr=False)

    @property
    def confusion(self) -> np.ndarray:
        """Pictures by their right class (rows) and their best answer (columns), int (classes, classes)."""
        return measures.confusion(self.scores.argmax(axis=1), self.targets, len(self.labels))

    @property
    def per_class(self) -> tuple[measures.ClassResult, ...]:
        """The classes that occur in the data or in the best answers, in the model's order."""
        confusion = self.confusion
        rows = measures.by_class(confusion, [label.name for label in self.labels])
        return tuple(rows[i] for i in np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1)))


def evaluate(
    model_or_bundle,
    data: str | os.PathLike | Samples,
    batch_size: int = 32,
    *,
    ten_crop: bool = False,
    scales: Iterable[int] | None = None,
    **options,
) -> Evaluation:
    """Count right answers over labelled pictures.

    Source of the measure: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge,
    arXiv:1409.0575, section 4.1; of ``ten_crop`` and ``scales``: He et al., arXiv:1512.03385, section 3.4.

    Args:
        model_or_bundle: What `Predictor` takes.
        data: A folder with a sub-folder a class, or with ``labels.csv``; or a pair of images, uint8
            (N, H, W, 3), and classes (N,). A class is called by its id (``n02123045``), its name or its
            number.
        batch_size: Pictures computed at once; with ``ten_crop`` these are the ten of one, and with ``scales``
            a picture and its mirror image.
        ten_crop: Average the probabilities of the four corners and the middle and of their mirror images
            (`images.preprocessing.ten_crops`).
        scales: Shorter sides in pixels, such as (224, 256, 384, 480, 640): average the probabilities of the
            whole picture and its mirror image at each. The network is built again to take pictures of any
            size, whose last map the global average takes as it comes, and run by Keras; of a mean for each
            pixel its average in each channel is subtracted.
        options: ``precision``, ``engine`` and ``calibration`` of `Predictor`; not with ``scales``.

    Raises:
        ValueError: A class of the data that the model does not know; no picture could be read; or arguments
            that do not go with each other or with the model.

    Example:

    >>> from keras_resnets import create, evaluate
    >>> from keras_resnets.images.dataset import Samples
    >>> red, blue = np.zeros((2, 32, 48, 3), "uint8")
    >>> red[..., 0] = blue[..., 2] = 255
    >>> model = create("resnet20", weights=None, classes=2)
    >>> result = evaluate(model, Samples((red, blue), ("class 0", "class 1")), ten_crop=True)
    >>> result.images, result.scores.shape, int(result.confusion.sum())
    (2, (2, 2), 2)
    """
    if ten_crop and scales is not None:
        raise ValueError(f"choose one of ten_crop and scales. Received: ten_crop=True, scales={scales!r}")
    classifier = Classifier.of(model_or_bundle)
    scales = None if scales is None else _checked(scales, classifier, options)
    samples = samples_of(data)
    numbers = _class_numbers(classifier.labels, samples.classes)
    if scales:
        predictor = _AtScales(classifier, scales)
    elif ten_crop:
        predictor = _OfTenCrops(classifier, 10, **options)
    else:
        predictor = Predictor(classifier, batch_size, **options)
    scores, errors = [], []
    for batch, rows in predictor.scores(samples.sources):
        scores += list(rows)
        errors += batch.errors
    if not scores:
        raise ValueError(f"no picture could be read: {errors[0]}")
    scores = np.array(scores)
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} scores of the model are NaN or infinite")
    answered = samples.take(number for number, error in enumerate(errors) if not error)
    targets = np.array([numbers[label] for label in answered.labels])
    order = np.argsort(-scores, axis=1, kind="stable")  # of equal scores one comes first, as in an answer
    ranks = (order == targets[:, None]).argmax(axis=1)
    return Evaluation(
        images=len(targets),
        top1=float((ranks < 1).mean()),
        top5=float((ranks < 5).mean()),
        errors=tuple(filter(None, errors)),
        sources=answered.sources,
        scores=scores,
        targets=targets,
        labels=classifier.labels,
    )


class _OfTenCrops(Predictor):
    """A predictor of batches of ten: the crops of one picture, whose answers are averaged."""

    def scores(self, sources: Iterable) -> Iterator[tuple[Batch, np.ndarray]]:
        model, preset = self.classifier.model, self.classifier.preset
        size = input_size(model, preset)
        crops_of = functools.partial(ten_crops, preset=preset, size=size)
        for batch in read_batches(each_picture(sources), crops_of, WORKERS):
            outputs = [self._run(normalise(crops, preset, "channels_last")) for crops in batch.images]
            yield batch, np.array([_averaged(model, some) for some in outputs])


class _AtScales:
    """What a `Predictor` is, for whole pictures at several sizes: each is run by itself.

    Source: He et al., arXiv:1512.03385, section 3.4; Simonyan and Zisserman, arXiv:1409.1556, section 3.2.
    """

    def __init__(self, classifier: Classifier, scales: tuple[int, ...]):
        self._model, self._scales = classifier.model, scales
        self._preset = with_mean_of_channels(classifier.preset)
        self._network = fold(rebuilt(self._model, input_shape=(None, None, 3), data_format="channels_last"))
        self._network.jit_compile = False  # pictures differ in shape, and each would be compiled for

    def scores(self, sources: Iterable) -> Iterator[tuple[Batch, np.ndarray]]:
        for batch in read_batches(each_picture(sources), lambda picture: picture, 1):
            if len(batch.images) and (error := self._too_long(*batch.sources, *batch.images)):
                batch = Batch(batch.sources, np.empty((0,)), (error,))
            yield batch, np.array([self._answer(picture) for picture in batch.images])

    def _answer(self, picture: np.ndarray) -> np.ndarray:
        outputs = []
        for side in self._scales:
            image = normalise(whole(picture, self._preset, side), self._preset, "channels_last")
            outputs.append(self._network.predict_on_batch(np.stack([image, image[:, ::-1]])))
        return _averaged(self._model, np.concatenate(outputs).astype("float32"))

    def _too_long(self, source, picture: np.ndarray) -> str | None:
        """Why a picture is left out that would fill the memory at the largest scale; None for others."""
        side = max(self._scales)
        height, width = resized(*picture.shape[:2], side, side)
        if height * width <= MOST_PIXELS:
            return None
        name = "a picture" if isinstance(source, np.ndarray) else source
        return f"{name}: {height} x {width} pixels at the scale {side}; at most {MOST_PIXELS:,} are run"


def _averaged(model: keras.Model, outputs: np.ndarray) -> np.ndarray:
    """The mean probabilities (classes,) of several looks at one picture, from the network's outputs."""
    if gives_logits(model):
        outputs = keras.ops.convert_to_numpy(keras.ops.softmax(outputs))
    return outputs.mean(axis=0)


def _checked(scales: Iterable[int], classifier: Classifier, options: dict) -> tuple[int, ...]:
    """Shorter sides as numbers that this network can be run at, or why it cannot."""
    given = [
        name
        for name, value in options.items()
        if value is not None and (name, value) != ("precision", "float32")
    ]
    if given:
        raise ValueError(
            f"scales are run by Keras, with the model as it was built; leave out {' and '.join(given)}"
        )
    model, origin = classifier.model, origin_of(classifier.model)
    if "input_shape" not in (origin.options or ()):
        raise ValueError(
            "scales need a network that can be built again for pictures of any size, one made by create() or "
            f"a constructor without input_tensor. Received: {model.name!r}"
        )
    sides, least = tuple(scales) if isinstance(scales, Iterable) else (), variant(origin.key).input.smallest
    if not sides or not all(is_whole_number(side) and side >= least for side in sides):
        raise ValueError(
            f"scales of {model.name!r} must be whole numbers of at least {least}, such as (224, 256, 384). "
            f"Received: scales={sides or scales!r}"
        )
    return tuple(map(int, sides))


def _class_numbers(labels: Sequence[Label], classes: Sequence[str]) -> dict[str, int]:
    """What the data calls its classes -> the model's outputs: by names, by ids or by numbers, all alike."""
    names = [label.name for label in labels]
    by_name = {name: i for i, name in enumerate(names) if names.count(name) == 1}
    by_id = {label.id: i for i, label in enumerate(labels)}
    by_number = {str(i): i for i in range(len(labels))}
    for vocabulary in (by_name, by_id, by_number):
        if all(name in vocabulary for name in classes):
            return vocabulary
    known = max((by_name, by_id, by_number), key=lambda words: sum(name in words for name in classes))
    unknown = [name for name in classes if name not in known]
    raise ValueError(
        f"{len(unknown)} classes of the data are not among the model's {len(labels)} "
        f"({', '.join(list(known)[:3])}, ...): {', '.join(unknown[:5])}"
    )


def keras_twin(model_or_bundle) -> Classifier:
    """The network of keras.applications with a model's own arrays, preset and labels.

    Raises:
        ValueError: keras.applications has no such network.
    """
    ours = Classifier.of(model_or_bundle)
    key = origin_of(ours.model).key
    build = key and getattr(keras.applications, variant(key).constructor or "", None)
    if not build:
        raise ValueError(f"keras.applications has no network like {ours.model.name!r}")
    # It has no options of its own for these two.
    layout, policy = keras.config.image_data_format(), keras.config.dtype_policy()
    try:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_dtype_policy(ours.model.get_layer(HEAD).dtype_policy)
        size = input_size(ours.model, ours.preset)
        twin = build(weights=None, input_shape=(*size, 3), classes=len(ours.labels))
    finally:
        keras.config.set_image_data_format(layout)
        keras.config.set_dtype_policy(policy)
    twin.set_weights(ours.model.get_weights())
    return Classifier(twin, ours.preset, ours.labels)
