"""Pictures to features, kept in a file, and which pictures are alike."""

import dataclasses
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np

from .classifier import Classifier
from .disk import written_whole
from .images.presets import Preset
from .inspection import backbone_of, check_takes_pictures, has_classifier
from .models import preset_of
from .predictor import outputs_of, runner


@dataclasses.dataclass(frozen=True)
class Features:
    """What a network says of pictures before its classifier.

    Attributes:
        sources: The path of each picture as text; ``picture <i>``, from 0, where it was none.
        array: float32, (N, F), a row each.
        errors: One line for each picture that could not be read; it has no row.

    Example:

    >>> import tempfile
    >>> found = Features(("a.jpg", "b.jpg"), np.array([[1, 0], [3, 4]], "float32"))
    >>> Features.load(found.save(tempfile.mkdtemp() + "/features.npz")).nearest(np.array([0, 1]), count=1)
    [('b.jpg', 0.800000011920929)]
    """

    sources: tuple[str, ...]
    array: np.ndarray = dataclasses.field(repr=False)
    errors: tuple[str, ...] = ()

    def nearest(self, row: np.ndarray, count: int = 5) -> list[tuple[str, float]]:
        """The pictures whose features point most nearly where these do.

        Args:
            row: Features of one picture, (F,).
            count: How many pictures; all where there are fewer.

        Returns:
            (source, cosine similarity), best first; features that are all zero are like nothing, 0.

        Raises:
            ValueError: ``row`` is of another length, or ``count`` below 1.
        """
        row = np.asarray(row, "float32")
        if row.shape != self.array.shape[1:]:
            raise ValueError(f"row must have the shape {self.array.shape[1:]}. Received: {row.shape}")
        if count < 1:
            raise ValueError(f"count must be at least 1. Received: count={count}")
        lengths = np.linalg.norm(self.array, axis=1) * np.linalg.norm(row)
        similarity = self.array @ row / np.where(lengths > 0, lengths, 1)
        order = np.argsort(-similarity, kind="stable")[:count]
        return [(self.sources[i], float(similarity[i])) for i in order]

    def save(self, path: str | os.PathLike) -> Path:
        """Write the arrays ``features`` and ``sources`` to an ``.npz`` file; one of that name is replaced.

        Raises:
            ValueError: ``path`` does not end in ``.npz``.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"path must end in .npz. Received: {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as beside:
            np.savez(beside, features=self.array, sources=np.array(self.sources, str))
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Features":
        """Read a file that `save` wrote; it knows no errors.

        Raises:
            FileNotFoundError: Nothing is there.
            ValueError: Another kind of file, or a damaged one.
        """
        try:
            # Opened here: NumPy leaves a damaged file open.
            with Path(path).open("rb") as file, np.load(file) as arrays:
                array, sources = arrays["features"], arrays["sources"]
        except (ValueError, KeyError, EOFError, IndexError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not a file of features, or damaged ({error})") from error
        if array.ndim != 2 or sources.shape != array.shape[:1]:
            raise ValueError(
                f"{path} is not a file of features: the shape of features is {array.shape}, of sources "
                f"{sources.shape}"
            )
        return cls(tuple(sources.tolist()), array)


def extract_features(model_or_bundle, sources: Iterable, batch_size: int = 32) -> Features:
    """Compute what a network says of pictures before its classifier.

    Args:
        model_or_bundle: A network of this package, or a `Bundle`. Without a classifier a network's output is
            taken, which must be (N, F): build it with ``pooling="avg"``.
        sources: Pictures, as `Predictor.predict` takes them.
        batch_size: Pictures computed at once.

    Returns:
        The features of the readable pictures, in order.

    Raises:
        ValueError: The network's output is no row a picture, or it does not say which preprocessing its
            weights need.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import ResNet18, extract_features
    >>> model = ResNet18(weights=None, input_shape=(32, 32, 3))
    >>> extract_features(model, [np.zeros((40, 50, 3), "uint8")]).array.shape
    (1, 512)
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1. Received: batch_size={batch_size}")
    network, preset = _backbone(model_or_bundle)
    run = runner(network, preset, batch_size)
    names, rows, errors = [], [np.empty((0, network.output_shape[-1]), "float32")], []
    for batch, outputs in outputs_of(run, network, sources, preset, batch_size):
        rows.append(outputs)
        for source, error in zip(batch.sources, batch.errors, strict=True):
            if error is None:
                names.append(_name(source, len(names) + len(errors)))
            else:
                errors.append(error)
    return Features(tuple(names), np.concatenate(rows), tuple(errors))


def _name(source, number: int) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else f"picture {number}"


def _backbone(model_or_bundle) -> tuple[keras.Model, Preset]:
    """A network from pictures to (N, F), and what it expects of them."""
    if not isinstance(model_or_bundle, keras.Model) or has_classifier(model_or_bundle):
        classifier = Classifier.of(model_or_bundle)
        return backbone_of(classifier.model), classifier.preset
    model = model_or_bundle
    if not isinstance(model.output_shape, tuple) or len(model.output_shape) != 2:
        raise ValueError(
            f"features are one row a picture; build {model.name!r} with include_top=False, pooling='avg'. "
            f"Received: a network with the output {model.output_shape}"
        )
    check_takes_pictures(model)
    return model, preset_of(model)
