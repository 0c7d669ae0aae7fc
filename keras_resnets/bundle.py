"""A model, its preset and its labels in one folder: training writes it, serving reads it."""

import dataclasses
import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import keras

from . import models
from .images.labels import Label, numbered
from .images.presets import PRESETS, Preset
from .weights import loading

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A model with everything that is needed to use it.

    Attributes:
        model: A network of this package.
        preset: What it expects of a picture.
        labels: What its outputs are called.
        notes: Plain data kept in ``bundle.json``: recipe, metrics.
        history: One dictionary of numbers an epoch, kept as ``history.csv``.

    Example:

    >>> import tempfile
    >>> from keras_resnets import Bundle, ResNet50, preset_of
    >>> from keras_resnets.images.labels import numbered
    >>> model = ResNet50(weights=None, classes=2)
    >>> folder = Bundle(model, preset_of(model), numbered(["cat", "dog"])).save(tempfile.mkdtemp() + "/pets")
    >>> [label.name for label in Bundle.load(folder).labels]
    ['cat', 'dog']
    """

    model: keras.Model
    preset: Preset
    labels: tuple[Label, ...]
    notes: dict = dataclasses.field(default_factory=dict)
    history: tuple[dict, ...] = ()

    def save(self, path: str | os.PathLike) -> Path:
        """Write the folder: beside its place first, then renamed, so that it is whole or not there.

        Raises:
            FileExistsError: ``path`` exists.
            ValueError: The model was not made by `create` or a constructor.
        """
        path = Path(path)
        origin = models.origin_of(self.model)
        if path.exists():
            raise FileExistsError(f"{path} exists; choose another name or remove it")
        if not origin.options:
            raise ValueError(f"only a model made by create() can be bundled. Received: {self.model.name!r}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as temporary:
            folder = Path(temporary) / path.name
            folder.mkdir()
            loading.save(self.model, folder / "model.weights.h5")
            described = {
                "format": FORMAT,
                "key": origin.key,
                "options": _plain(origin.options),
                "preset": self.preset.name,
                "classes": len(self.labels),
                "weights": origin.weight,
                "versions": {name: version(name) for name in ("keras", "keras_resnets", "numpy")},
                **self.notes,
            }
            (folder / "bundle.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
            lines = "".join(f"{label.name}\n" for label in self.labels)
            (folder / "labels.txt").write_text(lines, encoding="utf-8")
            if self.history:
                (folder / "history.csv").write_text(_table(self.history), encoding="utf-8")
            shutil.move(folder, path)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Bundle":
        """Read a folder that `save` wrote.

        Raises:
            FileNotFoundError: No bundle there.
            ValueError: Written by a newer version, or damaged.
        """
        path = Path(path)
        if not (path / "bundle.json").is_file():
            raise FileNotFoundError(f"{path} is not a bundle: no bundle.json in it")
        try:
            notes = json.loads((path / "bundle.json").read_text(encoding="utf-8"))
            number, key, options = notes.pop("format"), notes.pop("key"), notes.pop("options")
            preset = PRESETS[notes.pop("preset")]
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}/bundle.json is damaged ({error!r})") from error
        if number != FORMAT:
            raise ValueError(f"{path} has bundle format {number}; this version reads {FORMAT}. Update it")
        model = models.create(key, weights=path / "model.weights.h5", **options)
        labels = numbered((path / "labels.txt").read_text(encoding="utf-8").splitlines())
        return cls(model, preset, labels, notes)


def _plain(options: dict) -> dict:
    """Options as JSON has them; an activation given as a function is called by its name."""
    return {
        name: keras.activations.serialize(value) if callable(value) else value
        for name, value in options.items()
    }


def _table(rows: tuple[dict, ...]) -> str:
    lines = [",".join(rows[0]), *(",".join(f"{value:.6g}" for value in row.values()) for row in rows)]
    return "\n".join(lines) + "\n"
