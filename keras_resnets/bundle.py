"""A classifier in one folder: written, read on any machine, and asked."""

import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import keras

from . import matlab, models
from .architecture.layers import undrawn_kernels
from .classifier import Classifier
from .disk import written_whole
from .images.labels import Label
from .images.presets import PRESETS, Preset
from .predictor import Prediction, Predictor, check_asked
from .registry import weight_named
from .weights import loading, sources

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Bundle(Classifier):
    """A classifier with everything that is needed to use it, and to keep it.

    Attributes:
        model: A network of this package with a classifier.
        preset: What it expects of a picture.
        labels: What its outputs are called.
        notes: Plain data kept in ``bundle.json``: recipe, metrics.
        history: One dictionary of numbers an epoch, kept as ``history.csv``.

    Raises:
        ValueError: The model has no classifier, takes no pictures of 3 channels, or has another number of
            outputs than there are labels; a label has several lines.

    Example:

    >>> import tempfile
    >>> from keras_resnets import Bundle, ResNet50, preset_of
    >>> from keras_resnets.images.labels import numbered
    >>> model = ResNet50(weights=None, classes=2)
    >>> folder = Bundle(model, preset_of(model), numbered(["cat", "dog"])).save(tempfile.mkdtemp() + "/pets")
    >>> [label.name for label in Bundle.load(folder).labels]
    ['cat', 'dog']
    """

    notes: dict = dataclasses.field(default_factory=dict)
    history: tuple[dict, ...] = ()

    def described(self) -> dict:
        """All that is known of it but how it is built, as JSON has it."""
        origin = models.origin_of(self.model)
        return {
            "format": FORMAT,
            "key": origin.key,
            "preset": dataclasses.asdict(self.preset),
            "classes": len(self.labels),
            "class_ids": [label.id for label in self.labels],
            "weights": origin.weight,
            "weights_sha256": _sha256(origin.weight),
            **self.notes,
            "versions": versions(),
        }

    def save(self, path: str | os.PathLike, finish: Callable[[Path], object] = lambda folder: None) -> Path:
        """Write the folder: beside its place first, then renamed, so that it is whole or not there.

        Args:
            path: The folder; it must not exist.
            finish: Called with the written folder before it gets its name, to add to it.

        Raises:
            FileExistsError: ``path`` exists.
            ValueError: The model was not made by `create` or a constructor.
        """
        path = Path(path)
        if path.exists():
            raise FileExistsError(f"{path} exists; choose another name or remove it")
        check_can_be_bundled(self.model)
        described = self.described() | {"options": plain_options(self.model)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as folder:
            folder.mkdir()
            loading.save(self.model, folder / "model.weights.h5")
            (folder / "bundle.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
            lines = "".join(f"{label.name}\n" for label in self.labels)
            (folder / "labels.txt").write_text(lines, encoding="utf-8")
            if self.history:
                (folder / "history.csv").write_text(_write_table(self.history), encoding="utf-8")
            finish(folder)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Bundle":
        """Read a folder that `save` wrote.

        Raises:
            FileNotFoundError: No bundle there, or a file of it is missing.
            ValueError: Written by a newer version, or damaged.
        """
        path = Path(path)
        if not (path / "bundle.json").is_file():
            raise FileNotFoundError(f"{path} is not a bundle: no bundle.json in it")
        for name in ("model.weights.h5", "labels.txt"):
            if not (path / name).is_file():
                raise FileNotFoundError(f"{path} is not whole: {name} is missing")
        try:
            notes = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
            number = notes.pop("format")
            if number != FORMAT:
                raise ValueError(f"{path} has bundle format {number}; this version reads {FORMAT}. Update it")
            key, options, preset = notes.pop("key"), notes.pop("options"), _preset(notes.pop("preset"))
            ids, names = (
                notes.pop("class_ids"),
                (path / "labels.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n"),
            )
            labels = tuple(Label(*pair) for pair in zip(ids, names, strict=True))
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path}/bundle.json is damaged ({error!r})") from error
        history = path / "history.csv"
        rows = _read_table(history.read_text(encoding="utf-8")) if history.is_file() else ()
        model = rebuild(key, options)
        models.load_weights(model, path / "model.weights.h5")
        return cls(model, preset, labels, notes, rows)

    def predict(self, sources: Iterable, top: int = 5, **options) -> Iterator[Prediction]:
        """Answer pictures as `Predictor.predict` does: in order; one that cannot be read stops no other.

        Each call makes a `Predictor`, which compiles the network: for many calls make one yourself.

        Args:
            sources: Pictures, as `Predictor.predict` takes them.
            top: How many classes each answer has.
            options: Those of `Predictor`. A ``batch_size`` that is not given is 32, and no more than there
                are sources in a list.

        Example:

        >>> import tempfile
        >>> import numpy as np
        >>> from keras_resnets import Bundle, ResNet20
        >>> folder = Bundle.of(ResNet20(weights=None)).save(tempfile.mkdtemp() + "/planes")
        >>> [answer] = Bundle.load(folder).predict([np.zeros((60, 40, 3), "uint8")], top=2)
        >>> len(answer.top), answer.error
        (2, None)
        """
        check_asked(sources, top)  # before the network is compiled
        # A batch is filled up with zeros. What has a length and is no list may count batches by it.
        many = len(sources) if isinstance(sources, Sequence) and sources else 32
        options = {"batch_size": min(32, many)} | options
        return Predictor(self, **options).predict(sources, top)


def _preset(kept: dict | str) -> Preset:
    """The preset as `save` wrote it; the first bundles kept its name only."""
    if isinstance(kept, str):
        return PRESETS[kept]
    return Preset(**kept | {name: _tuples(kept[name]) for name in ("mean", "std")})


def _tuples(values):
    """JSON's lists as the tuples they were: numbers a channel, or a pixel."""
    return tuple(map(_tuples, values)) if isinstance(values, list) else values


def rebuild(key: str, options: dict) -> keras.Model:
    """A network from what `models.origin_of` says of it, its weights still to come."""
    with undrawn_kernels():
        if key == matlab.KEY:
            return matlab.residual_network(**options)
        return models.create(key, weights=None, **options)


def rebuilt(model: keras.Model, **changes) -> keras.Model:
    """The same network with other options, and the same weights: by layer names, as the order may be another.

    Raises:
        ValueError: It was not made by `create` or a constructor.
    """
    origin = models.origin_of(model)
    if not origin.options or not set(changes) <= set(origin.options):
        raise ValueError(
            "only a network made by create() or a constructor, without input_tensor, can be built again with "
            f"another {' and '.join(changes)}. Received: {model.name!r}"
        )
    again = rebuild(origin.key, origin.options | changes)
    for layer in model.layers:
        if layer.weights:
            again.get_layer(layer.name).set_weights(layer.get_weights())
            again.get_layer(layer.name).trainable = layer.trainable
    models.inherit(again, origin)
    return again


def versions() -> dict[str, str]:
    """Of what computes here."""
    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in ("keras", "keras_resnets", "numpy")},
        backend: sys.modules[backend].__version__,
    }


def check_can_be_bundled(model: keras.Model) -> None:
    """Say before any work that a bundle could not keep how this model is built."""
    if not models.origin_of(model).options:
        raise ValueError(
            f"only a model made by create() or a constructor, without input_tensor, can be bundled. "
            f"Received: {model.name!r}"
        )
    json.dumps(plain_options(model))


def plain_options(model: keras.Model) -> dict:
    """How a model was built. JSON has no functions: an activation that Keras knows is kept by its name."""
    options = models.origin_of(model).options or {}
    return {name: _activation_name(value) if callable(value) else value for name, value in options.items()}


def _activation_name(activation) -> str:
    name = getattr(activation, "__name__", None)
    try:
        if keras.activations.get(name) is activation:
            return name
    except (ValueError, TypeError):
        pass
    raise ValueError(f"a bundle keeps activations of Keras only. Received: {activation!r}")


def _sha256(weight: str | None) -> str | None:
    """Of the published file that the weights came from, if it is still in the cache."""
    path = weight and sources.cached(weight_named(weight))
    return sources.sha256(path) if path else None


def _write_table(rows: tuple[dict, ...]) -> str:
    lines = [",".join(rows[0]), *(",".join(f"{value:.6g}" for value in row.values()) for row in rows)]
    return "\n".join(lines) + "\n"


def _read_table(text: str) -> tuple[dict, ...]:
    names, *rows = [line.split(",") for line in text.splitlines()]
    return tuple(dict(zip(names, map(float, row), strict=True)) for row in rows)
