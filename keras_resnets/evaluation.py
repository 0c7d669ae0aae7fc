"""How often a model is right, and whether two models say the same."""

import dataclasses
import os
from collections.abc import Sequence

import keras
import numpy as np

from .bundle import Bundle
from .images.dataset import Samples, scan
from .images.labels import Label
from .inspection import input_size
from .models import origin_of
from .predictor import Predictor
from .registry import variant
from .weights.loading import HEAD


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes:
        images: Pictures that were answered.
        top1, top5: Share of them whose class was the best, or among the five best, answer.
        errors: One line for each picture that could not be read.
        scores: Probabilities, float32 (images, classes), in the order of the data.
        targets: The right class of each, int (images,).
    """

    images: int
    top1: float
    top5: float
    errors: tuple[str, ...]
    scores: np.ndarray = dataclasses.field(repr=False)
    targets: np.ndarray = dataclasses.field(repr=False)


def evaluate(
    model_or_bundle, data: str | os.PathLike | Samples, batch_size: int = 32, **options
) -> Evaluation:
    """Count right answers over labelled pictures.

    Source of the measure: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge,
    arXiv:1409.0575, section 4.1.

    Args:
        model_or_bundle: What `Predictor` takes.
        data: A folder with a sub-folder a class, or with ``labels.csv``. A class is called by its id
            (``n02123045``), its name or its number.
        batch_size: Pictures computed at once.
        options: ``precision``, ``engine`` and ``calibration`` of `Predictor`.

    Raises:
        ValueError: A class of the data that the model does not know; or no picture could be read.
    """
    samples = data if isinstance(data, Samples) else scan(data)
    predictor = Predictor(model_or_bundle, batch_size, **options)
    numbers = _class_numbers(predictor.bundle.labels, samples.classes)
    scores, errors = [], []
    for batch, rows in predictor.scores(samples.sources):
        scores += list(rows)
        errors += batch.errors
    if not scores:
        raise ValueError(f"no picture could be read: {errors[0]}")
    scores = np.array(scores)
    if not np.isfinite(scores).all():
        raise ValueError(f"{(~np.isfinite(scores)).sum()} scores of the model are NaN or infinite")
    readable = zip(samples.labels, errors, strict=True)
    targets = np.array([numbers[label] for label, error in readable if not error])
    order = np.argsort(-scores, axis=1, kind="stable")  # of equal scores one comes first, as in an answer
    ranks = (order == targets[:, None]).argmax(axis=1)
    return Evaluation(
        images=len(targets),
        top1=float((ranks < 1).mean()),
        top5=float((ranks < 5).mean()),
        errors=tuple(filter(None, errors)),
        scores=scores,
        targets=targets,
    )


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


def keras_twin(model_or_bundle) -> Bundle:
    """The network of keras.applications with a model's own arrays, preset and labels.

    Raises:
        ValueError: keras.applications has no such network.
    """
    ours = Bundle.of(model_or_bundle)
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
    return Bundle(twin, ours.preset, ours.labels)
