"""Drop-in for ``keras.applications.resnet_v2``: models, `preprocess_input`, `decode_predictions`."""

from .images.labels import decode_predictions
from .images.preprocessing import normalise
from .images.presets import PRESETS
from .models import ResNet50V2, ResNet101V2, ResNet152V2

__all__ = ["ResNet50V2", "ResNet101V2", "ResNet152V2", "decode_predictions", "preprocess_input"]


def preprocess_input(x, data_format=None):
    """What this family's ImageNet weights expect: scaled to -1..1.

    Args:
        x: RGB values in 0..255, (N, H, W, 3) or (H, W, 3), numpy or a tensor. It is not changed.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' global setting.

    Returns:
        The same shape and kind of array, float32 unless ``x`` was of another float dtype.

    Raises:
        ValueError: Not three channels, or an unknown data format.

    Example:

    >>> import numpy as np
    >>> preprocess_input(np.zeros((1, 224, 224, 3), "uint8")).shape
    (1, 224, 224, 3)
    """
    return normalise(x, PRESETS["tf"], data_format)
