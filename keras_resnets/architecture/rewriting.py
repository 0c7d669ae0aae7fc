"""The same network in other layers: every layer is replaced by itself, by a better one or by nothing."""

from collections.abc import Callable, Iterable

import keras
import numpy as np


def rewrite(model: keras.Model, copy: Callable) -> keras.Model:
    """Join the copies of a network's layers as the layers are joined.

    Args:
        copy: From a layer to a built one in its place, or to None where its input passes on as it is.
    """
    tensors = {id(tensor): tensor for tensor in model.inputs}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        node = layer._inbound_nodes[0]
        inputs = [tensors[id(tensor)] for tensor in node.input_tensors]
        out = inputs[0] if len(inputs) == 1 else inputs
        new = copy(layer)
        tensors[id(node.output_tensors[0])] = out if new is None else new(out)
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    return keras.Model(model.input, outputs, name=model.name)


def sharing(layer: keras.layers.Layer, kind: type, **changes) -> keras.layers.Layer:
    """A layer of some kind that computes with another one's own variables."""
    variables = iter(layer.weights)

    def add_weight(_, *args, trainable=True, **kwargs):
        variable = next(variables)
        variable.trainable = trainable  # as when it was made; Keras files it accordingly
        return variable

    new = _built(layer, kind, changes, add_weight)
    new.trainable = layer.trainable
    return new


def holding(layer: keras.layers.Layer, kind: type, arrays: Iterable[np.ndarray], **changes):
    """A layer of some kind in the place of another one, whose variables begin with these arrays."""
    arrays = iter(arrays)

    def add_weight(make, *args, **kwargs):
        def value(shape, dtype=None):
            return keras.ops.convert_to_tensor(next(arrays), dtype)

        return make(*args, **kwargs | {"initializer": value})

    return _built(layer, kind, changes, add_weight)


def _built(layer, kind, changes, add_weight):
    new = kind.from_config(layer.get_config() | changes)
    if not layer.weights:
        return new
    make = new.add_weight
    new.add_weight = lambda *args, **kwargs: add_weight(make, *args, **kwargs)
    new.build(layer._inbound_nodes[0].input_tensors[0].shape)
    del new.add_weight
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()  # it computes with copies of its weights
    return new


def pairs(model: keras.Model, first: type, second: type):
    """(layer, the next one) of two kinds, where nothing else reads what the first gives."""
    readers: dict[int, int] = {}
    for layer in model.layers:
        for node in layer._inbound_nodes[:1]:
            for tensor in node.input_tensors:
                readers[id(tensor)] = readers.get(id(tensor), 0) + 1
    ends = {id(tensor) for tensor in keras.tree.flatten(model.output)}
    for layer in model.layers:
        if isinstance(layer, second):
            tensor = layer._inbound_nodes[0].input_tensors[0]
            before = tensor._keras_history.operation
            if isinstance(before, first) and readers[id(tensor)] == 1 and id(tensor) not in ends:
                yield before, layer


def padded_alike(model: keras.Model) -> dict[str, str]:
    """Convolutions, and the layers of zeros before them, that ``padding="same"`` does exactly: those without
    a stride, padded by half a kernel."""
    return {
        conv.name: pad.name
        for pad, conv in pairs(model, keras.layers.ZeroPadding2D, keras.layers.Conv2D)
        if pad.data_format == conv.data_format
        and (conv.padding, conv.strides) == ("valid", (1, 1))
        and pad.padding == _same(conv)
    }


def _same(conv: keras.layers.Conv2D) -> tuple[tuple[int, int], ...]:
    """What ``padding="same"`` adds at a stride of one."""
    added = [(side - 1) * rate for side, rate in zip(conv.kernel_size, conv.dilation_rate, strict=True)]
    return tuple((total // 2, total - total // 2) for total in added)
