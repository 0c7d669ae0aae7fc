"""The same function with fewer layers: batch norms folded into the convolutions before them."""

import keras
import numpy as np

from .layers import Conv2D, StandardizedConv2D, standardized


def fold(model: keras.Model) -> keras.Model:
    """Fold every batch norm that follows a convolution into its kernel and bias.

    What is left is a plain functional model of stock layers that computes what the network does at inference.
    Norms behind an addition stay (the first of a pre-activation block), and so do group norms; standardised
    convolutions become plain ones.

    Args:
        model: A network of this package; it is left as it is.

    Returns:
        A new model with weights of its own, under the same layer names without the folded norms.

    Example:

    >>> from keras_resnets import ResNet18, fold
    >>> folded = fold(ResNet18(weights=None))
    >>> sum(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    0
    """
    norms = {convolution.name: norm for norm, convolution in _pairs(model)}
    gone = {norm.name for norm in norms.values()}
    tensors = {id(tensor): tensor for tensor in model.inputs}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        node = layer._inbound_nodes[0]
        inputs = [tensors[id(tensor)] for tensor in node.input_tensors]
        if layer.name in gone:
            out = inputs[0]
        else:
            copy = _copy(layer, norms.get(layer.name))
            out = copy(inputs if len(inputs) > 1 else inputs[0])
            copy.set_weights(_arrays(layer, norms.get(layer.name)))
            if isinstance(copy, keras.layers.Normalization):
                copy.finalize_state()
        tensors[id(node.output_tensors[0])] = out
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    return keras.Model(model.input, outputs, name=model.name)


def _pairs(model: keras.Model):
    """(norm, the convolution before it) where nothing else reads that convolution."""
    readers: dict[int, int] = {}
    for layer in model.layers:
        for node in layer._inbound_nodes[:1]:
            for tensor in node.input_tensors:
                readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    ends = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            tensor = layer._inbound_nodes[0].input_tensors[0]
            before = tensor._keras_history.operation
            if (
                isinstance(before, keras.layers.Conv2D)
                and readers[id(tensor)] == 1
                and id(tensor) not in ends
            ):
                yield layer, before


def _copy(layer: keras.layers.Layer, norm) -> keras.layers.Layer:
    config = layer.get_config()
    if not isinstance(layer, keras.layers.Conv2D):
        return type(layer).from_config(config)
    return Conv2D.from_config(config | {"use_bias": config["use_bias"] or norm is not None})


def _arrays(layer: keras.layers.Layer, norm) -> list[np.ndarray]:
    """A layer's weights, with its norm's in them."""
    arrays = [np.asarray(array) for array in layer.get_weights()]
    if not isinstance(layer, keras.layers.Conv2D):
        return arrays
    kernel, bias = arrays[0].astype("float64"), arrays[1].astype("float64") if len(arrays) > 1 else 0.0
    if isinstance(layer, StandardizedConv2D):
        kernel = standardized(kernel)
    if norm is not None:
        gamma, beta, mean, variance = (np.asarray(array, "float64") for array in norm.get_weights())
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel, bias = kernel * scale, (bias - mean) * scale + beta
    folded = [kernel, bias] if layer.use_bias or norm is not None else [kernel]
    return [array.astype(arrays[0].dtype) for array in folded]
