"""What can be read off a network as it stands: its classifier, data format and size."""

import dataclasses

import keras
import numpy as np

from .architecture.network import channels_of
from .images.preprocessing import normalise
from .images.presets import Preset
from .weights.loading import HEAD

NORMALIZATIONS = ("zerocenter", "zscore")  # names of a layer at the front of a network


def normalization_of(model: keras.Model) -> keras.layers.Normalization | None:
    """The layer that makes raw pixels ready inside the network, where it has one."""
    found = (layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    return next((layer for layer in found if layer.name in NORMALIZATIONS), None)


def has_classifier(model: keras.Model) -> bool:
    return any(layer.name == HEAD for layer in model.layers)


def check_answers_pictures(model: keras.Model) -> None:
    """Refuse a model that cannot be asked what is on a picture."""
    if not has_classifier(model):
        raise ValueError(f"the model {model.name!r} has no classifier; build it with include_top=True")
    check_takes_pictures(model)


def check_takes_pictures(model: keras.Model) -> None:
    if channels_of(model.input_shape[1:], data_format_of(model)) != 3:
        raise ValueError(f"pictures have 3 channels, the model {model.name!r} takes {model.input_shape}")


def gives_logits(model: keras.Model) -> bool:
    return model.get_layer(HEAD).activation is keras.activations.linear


def before_classifier(model: keras.Model) -> keras.KerasTensor:
    """The features that the classifier sees, (N, F)."""
    return model.get_layer(HEAD).input


def backbone_of(model: keras.Model) -> keras.Model:
    """A network up to those features, on the same layers."""
    return keras.Model(model.input, before_classifier(model))


@dataclasses.dataclass(frozen=True)
class Feature:
    """A feature map: how many channels it has, and how many times smaller than the picture it is."""

    channels: int
    reduction: int


def feature_info(model: keras.Model) -> dict[str, Feature]:
    """What the outputs of a model built with ``features=`` are, by stage.

    Raises:
        ValueError: The model was built without ``features=``.

    Example:

    >>> from keras_resnets import ResNet18, feature_info
    >>> model = ResNet18(weights=None, features=("conv2", "conv5"), output_stride=16)
    >>> feature_info(model)["conv5"]
    Feature(channels=512, reduction=16)
    """
    if not isinstance(model.output, dict):
        raise ValueError(f"{model.name!r} has no named feature maps; build it with features=('conv2', ...)")
    axis = -1 if data_format_of(model) == "channels_last" else 1
    return {name: Feature(tensor.shape[axis], _reduction(tensor)) for name, tensor in model.output.items()}


def _reduction(tensor: keras.KerasTensor) -> int:
    """The strides on one way back to the picture, multiplied: all ways to a tensor have the same."""
    reduction, layer = 1, tensor._keras_history.operation
    while not isinstance(layer, keras.layers.InputLayer):
        reduction *= getattr(layer, "strides", (1, 1))[0]
        layer = layer._inbound_nodes[0].input_tensors[0]._keras_history.operation
    return reduction


def data_format_of(model: keras.Model) -> str:
    """The data format a network was built in, as its first convolution says."""
    return next(layer.data_format for layer in model.layers if isinstance(layer, keras.layers.Conv2D))


def input_size(model: keras.Model, preset: Preset) -> tuple[int, int]:
    """Height and width of the pictures that a network gets; the preset's where it takes any."""
    shape = model.input_shape
    sides = shape[2:] if data_format_of(model) == "channels_first" else shape[1:3]
    return tuple(preset.size if side is None else side for side in sides)


def network_input(model: keras.Model, pictures: np.ndarray, preset: Preset) -> np.ndarray:
    """Fitted pictures (N, H, W, 3), values in 0..255, as the network takes them, in its data format."""
    return in_layout_of(model, normalise(pictures, preset, "channels_last"))


def in_layout_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) in the data format of a network."""
    return np.moveaxis(images, -1, 1) if data_format_of(model) == "channels_first" else images
