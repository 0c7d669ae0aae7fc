"""A network that somebody else built, or read from a file, in this package's layers."""

import keras

from .layers import ours
from .rewriting import padded_alike, rewrite, sharing


def accelerated(model: keras.Model) -> keras.Model:
    """The same network on the same variables in fewer and faster layers."""
    pads = padded_alike(model)
    gone = set(pads.values())

    def copy(layer):
        if layer.name in gone:
            return None
        changes = {"padding": "same"} if layer.name in pads else {}
        return sharing(layer, ours(layer), **changes)

    return rewrite(model, copy)
