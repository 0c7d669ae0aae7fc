"""What can be read off a network as it stands: its classifier, data format and size."""

import keras
import numpy as np

from .architecture.network import channels_of
from .images.preprocessing import normalise
from .images.presets import Preset
from .weights.loading import HEAD


def has_classifier(model: keras.Model) -> bool:
    return any(layer.name == HEAD for layer in model.layers)


def check_answers_pictures(model: keras.Model) -> None:
    """Refuse a model that cannot be asked what is on a picture."""
    if not has_classifier(model):
        raise ValueError(f"the model {model.name!r} has no classifier; build it with include_top=True")
    if channels_of(model.input_shape[1:], data_format_of(model)) != 3:
        raise ValueError(f"pictures have 3 channels, the model {model.name!r} takes {model.input_shape}")


def gives_logits(model: keras.Model) -> bool:
    return model.get_layer(HEAD).activation is keras.activations.linear


def before_classifier(model: keras.Model) -> keras.KerasTensor:
    """The features that the classifier sees, (N, F)."""
    return model.get_layer(HEAD).input


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
    images = normalise(pictures, preset, "channels_last")
    return np.moveaxis(images, -1, 1) if data_format_of(model) == "channels_first" else images
