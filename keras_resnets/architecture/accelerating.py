"""A network that somebody else built, or read from a file, in this package's layers."""

import keras

from .layers import BatchNormalization, Conv2D
from .rewriting import padded_alike, rewrite, sharing

_OURS = {keras.layers.Conv2D: Conv2D, keras.layers.BatchNormalization: BatchNormalization}


def accelerated(model: keras.Model) -> keras.Model:
    """The same network on the same variables in fewer and faster layers."""
    pads = padded_alike(model)
    gone = set(pads.values())

    def copy(layer):
        if layer.name in gone:
            return None
        changes = {"padding": "same"} if layer.name in pads else {}
        return sharing(layer, _OURS.get(type(layer), type(layer)), **changes)

    return rewrite(model, copy)
