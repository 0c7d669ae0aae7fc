"""The same function with fewer layers: batch norms folded into the convolutions before them."""

import keras
import numpy as np

from .layers import Conv2D, StandardizedConv2D, ours, standardized
from .rewriting import holding, normed, padded_alike, rewrite


def fold(model: keras.Model) -> keras.Model:
    """Fold every batch norm that follows a convolution into its kernel and bias.

    What is left is a plain functional model of stock layers that computes what the network does at inference.
    Norms behind an addition stay (the first of a pre-activation block), and so do group norms; standardised
    convolutions become plain ones, and zeros around a picture a convolution's own where these are the same.

    Args:
        model: A network of this package; it is left as it is.

    Returns:
        A new model with weights of its own, under the same layer names without the folded ones.

    Example:

    >>> from keras_resnets import ResNet18, fold
    >>> folded = fold(ResNet18(weights=None))
    >>> sum(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    0
    """
    norms, pads = normed(model), padded_alike(model)
    gone = {norm.name for norm in norms.values()} | set(pads.values())

    def copy(layer):
        if layer.name in gone:
            return None
        if not isinstance(layer, keras.layers.Conv2D):
            return holding(layer, ours(layer), layer.get_weights())
        norm = norms.get(layer.name)
        changes = {"use_bias": layer.use_bias or norm is not None}
        if layer.name in pads:
            changes["padding"] = "same"
        return holding(layer, Conv2D, _folded(layer, norm), **changes)

    return rewrite(model, copy)


def _folded(convolution: keras.layers.Conv2D, norm) -> list[np.ndarray]:
    """A convolution's weights, with its norm's in them."""
    arrays = [np.asarray(array) for array in convolution.get_weights()]
    kernel, bias = arrays[0].astype("float64"), arrays[1].astype("float64") if len(arrays) > 1 else 0.0
    if isinstance(convolution, StandardizedConv2D):
        kernel = standardized(kernel)
    if norm is not None:
        gamma, beta, mean, variance = _statistics(norm)
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel, bias = kernel * scale, (bias - mean) * scale + beta
    folded = [kernel, bias] if convolution.use_bias or norm is not None else [kernel]
    return [array.astype(arrays[0].dtype) for array in folded]


def _statistics(norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Scale, offset, mean and variance; a norm may have no scale or no offset."""

    def values(variable, otherwise: float):
        if variable is None:
            return np.full(norm.moving_mean.shape, otherwise)
        return np.asarray(keras.ops.convert_to_numpy(variable), "float64")

    statistics = norm.moving_mean, norm.moving_variance
    return [values(norm.gamma, 1.0), values(norm.beta, 0.0), *(values(each, 0.0) for each in statistics)]
