"""Statistics of batch norms, computed anew over pictures with the weights as they are."""

from collections.abc import Iterable

import keras
import numpy as np
from keras import ops

from .workers import assign

PICTURES = 1024  # more change nothing that can be seen


def recalibrate(network: keras.Model, batches: Iterable) -> None:
    """Set the moving statistics of all trainable batch norms to those of some pictures.

    Moving averages forget slowly: after a few hundred steps they still hold the statistics of the data
    before, or of weights that are gone.

    Source: Wu and Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576, section 3.

    Args:
        batches: Each a tuple with images first, as the network takes them.
    """
    norms = [
        layer
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if not norms:
        return
    observer = keras.Model(network.input, [_moments(norm) for norm in norms])
    sums, count = None, 0
    for images, *_ in batches:
        values = keras.tree.map_structure(ops.convert_to_numpy, observer(images, training=True))
        values = [np.float64(len(images)) * np.array(moments) for moments in values]
        sums = values if sums is None else [total + value for total, value in zip(sums, values, strict=True)]
        count += len(images)
        if count >= PICTURES:
            break
    for norm, (first, second) in zip(norms, sums, strict=True):
        mean = first / count
        assign(norm.moving_mean, mean.astype("float32"))
        with np.errstate(invalid="ignore"):  # of a network that has diverged, which the next loss says
            assign(norm.moving_variance, (second / count - mean**2).clip(0).astype("float32"))


def _moments(norm: keras.layers.BatchNormalization) -> list:
    """Mean and mean square of what a norm gets, a channel each."""
    values = ops.cast(norm.input, "float32")
    axes = [axis for axis in range(len(values.shape)) if axis != norm.axis % len(values.shape)]
    return [ops.mean(values, axes), ops.mean(ops.square(values), axes)]
