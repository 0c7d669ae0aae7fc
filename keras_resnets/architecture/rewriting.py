"""The same network in other layers: every layer is replaced by itself, by a better one or by nothing."""

from collections import Counter
from collections.abc import Callable, Iterable

import keras
import numpy as np


def rewrite(model: keras.Model, copy: Callable, inputs=None) -> keras.Model:
    """Join the copies of a network's layers as the layers are joined.

    Args:
        copy: From a layer to a built one in its place, or to None where its input passes on as it is.
        inputs: What takes the place of the network's inputs; None is these themselves.
    """
    inputs = model.input if inputs is None else inputs
    tensors = dict(zip(map(id, model.inputs), keras.tree.flatten(inputs), strict=True))
    copies = {}
    for node in _nodes(model):
        layer = node.operation
        if layer not in copies:
            copies[layer] = copy(layer) if isinstance(layer, keras.Layer) else layer
        args, kwargs = node.arguments.fill_in(tensors)
        outputs = args[0] if copies[layer] is None else copies[layer](*args, **kwargs)
        for old, new in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            tensors[id(old)] = new
    outputs = keras.tree.map_structure(lambda tensor: tensors[id(tensor)], model.output)
    return keras.Model(inputs, outputs, name=model.name)


def _nodes(model: keras.Model) -> list:
    """The calls of a network's layers, each after those whose results it takes."""
    depths = sorted(model._nodes_by_depth.items(), reverse=True)
    return [node for _, nodes in depths for node in nodes if not node.is_input]


def sharing(layer: keras.layers.Layer, kind: type, shape=None, **changes) -> keras.layers.Layer:
    """A layer of some kind that computes with another one's own variables; for inputs of another shape, if
    one is given. A layer made of layers is taken as it is."""
    if layer._layers:
        return layer
    variables = iter(layer.weights)

    def add_weight(_, *args, trainable=True, **kwargs):
        variable = next(variables)
        variable.trainable = trainable  # as when it was made; Keras files it accordingly
        return variable

    new = _built(layer, kind, changes | {"trainable": True}, add_weight, shape)
    new.trainable = layer.trainable  # after the variables: Keras passes on what changes only
    return new


def computing_in(network: keras.Model, policy: str) -> keras.Model:
    """The same network with its maps in another dtype; what becomes of their means is float32 always."""

    def policy_of(layer):
        return policy if len(layer.output.shape) == 4 else "float32"

    if all(layer.dtype_policy.name == policy_of(layer) for layer in network.layers):
        return network
    return rewrite(network, lambda layer: sharing(layer, type(layer), dtype=policy_of(layer)))


def holding(layer: keras.layers.Layer, kind: type, arrays: Iterable[np.ndarray], **changes):
    """A layer of some kind in the place of another one, whose variables begin with these arrays."""
    arrays = iter(arrays)

    def add_weight(make, *args, **kwargs):
        def value(shape, dtype=None):
            return keras.ops.convert_to_tensor(next(arrays), dtype)

        return make(*args, **kwargs | {"initializer": value})

    return _built(layer, kind, changes, add_weight)


def _built(layer, kind, changes, add_weight, shape=None):
    new = kind.from_config(layer.get_config() | changes)
    if not layer.weights:
        return new
    make = new.add_weight
    new.add_weight = lambda *args, **kwargs: add_weight(make, *args, **kwargs)
    new.build(layer._inbound_nodes[0].input_tensors[0].shape if shape is None else shape)
    del new.add_weight
    if isinstance(new, keras.layers.Normalization):
        new.finalize_state()  # it computes with copies of its weights
    return new


def pairs(model: keras.Model, first: type, second: type):
    """(layer, the next one) of two kinds, where nothing else reads what the first gives."""
    nodes = _nodes(model)
    readers = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    readers.update(id(tensor) for tensor in keras.tree.flatten(model.output))
    calls = Counter(node.operation for node in nodes)
    for node in nodes:
        if isinstance(node.operation, second):
            tensor = node.input_tensors[0]
            before = tensor._keras_history.operation
            once = calls[before] == calls[node.operation] == readers[id(tensor)] == 1
            if isinstance(before, first) and once:
                yield before, node.operation


def normed(model: keras.Model) -> dict[str, keras.layers.BatchNormalization]:
    """Convolutions, and the norms of their channels that alone read them."""
    return {
        conv.name: norm
        for conv, norm in pairs(model, keras.layers.Conv2D, keras.layers.BatchNormalization)
        if norm.axis % 4 == (1 if conv.data_format == "channels_first" else 3)
    }


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
