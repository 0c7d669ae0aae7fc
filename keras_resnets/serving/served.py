"""What every format is made of: a network prepared for inference, with its preset and labels."""

import dataclasses
import json

import keras

from ..architecture.folding import fold
from ..architecture.layout import channels_last
from ..architecture.rewriting import computing_in
from ..bundle import Bundle
from ..images.preprocessing import normalise
from ..images.presets import Preset
from ..inspection import gives_logits, input_size
from ..models import accelerate

LONGEST = 20_000  # pixels of a side: a matrix as wide as a request asks for would take all memory


def _has_groups(network: keras.Model) -> bool:
    return any(isinstance(layer, keras.layers.Conv2D) and layer.groups > 1 for layer in network.layers)


@dataclasses.dataclass(frozen=True)
class Served:
    """Plain data for a format to write.

    Attributes:
        network: Takes preprocessed pictures, channels last.
        preset: What makes pictures ready for it.
        classes: Names of its outputs.
        described: What is written beside or into the file: a bundle's description, as JSON has it.
        folded: Whether batch norms are in the convolutions.
    """

    network: keras.Model
    preset: Preset
    classes: tuple[str, ...]
    described: dict
    folded: bool

    @classmethod
    def of(cls, bundle: Bundle, precision: str, folded: bool) -> "Served":
        network = channels_last(bundle.model)
        # Without oneDNN, TensorFlow Serving's default, the norm of a grouped convolution is fused with it in
        # a kernel that has no groups: there folding is no choice.
        folded = folded or _has_groups(network)
        network = fold(network) if folded else accelerate(network)
        # Files are float32; to fewer bits each format's own tool brings them.
        network = computing_in(network, "mixed_bfloat16" if precision == "bfloat16" else "float32")
        classes = tuple(label.name for label in bundle.labels)
        return cls(network, bundle.preset, classes, bundle.described(), folded)

    @property
    def labels(self) -> str:
        """A class a line."""
        return "\n".join(self.classes)

    @property
    def description(self) -> str:
        return json.dumps(self.described, indent=2)

    def answering(self) -> keras.Model:
        """The network with what is before and after it: RGB pictures of its size, (N, H, W, 3), uint8, to
        probabilities, (N, C)."""
        size = input_size(self.network, self.preset)
        images = keras.Input((*size, 3), dtype="uint8", name="images")
        outputs = self.network(normalise(images, self.preset, "channels_last"))
        final = "softmax" if gives_logits(self.network) else "linear"
        return keras.Model(
            images, keras.layers.Activation(final, dtype="float32", name="probabilities")(outputs)
        )
