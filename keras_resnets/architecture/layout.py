"""A channels_first network as one that takes pictures as they are decoded, channels last."""

import keras

from .rewriting import rewrite, sharing


def channels_last(model: keras.Model) -> keras.Model:
    """The same network on the same variables in the other layout: kernels have one for both."""
    if not any(_is_first(layer) for layer in model.layers):
        return model
    [first] = model.inputs
    inputs = keras.Input(_turned(first.shape)[1:], dtype=first.dtype, name=first.name)

    def copy(layer):
        shapes = [tensor.shape for tensor in layer._inbound_nodes[0].input_tensors]
        return sharing(layer, type(layer), _turned(shapes[0]), **_changes(layer))

    return rewrite(model, copy, inputs)


def _is_first(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Conv2D) and layer.data_format == "channels_first"


def _turned(shape: tuple) -> tuple:
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


def _changes(layer: keras.layers.Layer) -> dict:
    """What a layer's configuration says in the other layout."""
    config = layer.get_config()
    if config.get("data_format") == "channels_first":
        return {"data_format": "channels_last"}
    if config.get("data_format") == "channels_last":  # padding that means the channels, see `pad_channels`
        return {"data_format": "channels_first", "padding": config["padding"][::-1]}
    if config.get("axis") in (1, [1], (1,)):
        return {"axis": 3}
    return {}
