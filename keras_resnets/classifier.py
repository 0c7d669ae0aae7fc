"""What every use of a model takes: a network, what it expects of a picture, what its outputs are called."""

import dataclasses
from typing import Self

import keras

from .images.labels import Label
from .images.presets import Preset
from .inspection import check_answers_pictures
from .models import labels_of, preset_of


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A network that can be asked what is on a picture.

    Attributes:
        model: A network of this package with a classifier.
        preset: What it expects of a picture.
        labels: What its outputs are called.

    Raises:
        ValueError: The model has no classifier, takes no pictures of 3 channels, or has another number of
            outputs than there are labels; a label is no line of text.
    """

    model: keras.Model
    preset: Preset
    labels: tuple[Label, ...]

    def __post_init__(self):
        check_answers_pictures(self.model)
        outputs = self.model.output_shape[-1]
        if len(self.labels) != outputs:
            raise ValueError(
                f"{self.model.name!r} has {outputs} outputs. Received: {len(self.labels)} labels"
            )
        if broken := [label.name for label in self.labels if not _is_a_line(label.name)]:
            raise ValueError(
                f"a class name is one line of UTF-8; rename the class or its folder. Received: {broken[0]!r}"
            )

    @classmethod
    def of(cls, model_or_bundle) -> Self:
        """A bundle as it is; a model with its own preset and labels.

        Raises:
            TypeError: Neither of them.
            ValueError: The model does not say which preprocessing its weights need.
        """
        if isinstance(model_or_bundle, cls):
            return model_or_bundle
        if not isinstance(model_or_bundle, keras.Model):
            raise TypeError(
                "pass a model, such as ResNet50(), or a bundle, such as Bundle.load(path). "
                f"Received: {model_or_bundle!r}"
            )
        check_answers_pictures(model_or_bundle)
        return cls(model_or_bundle, preset_of(model_or_bundle), labels_of(model_or_bundle))


def _is_a_line(name: str) -> bool:
    """Whether labels.txt can keep it; what is not UTF-8 in a folder's name has no letters."""
    return name.encode(errors="ignore").decode() == name and not {"\n", "\r"} & set(name)
