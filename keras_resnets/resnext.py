"""Drop-in for ``keras_applications.resnext``: models, `preprocess_input`, `decode_predictions`."""

from .images.labels import decode_predictions
from .images.preprocessing import normalise
from .images.presets import PRESETS
from .models import ResNeXt50, ResNeXt101

__all__ = ["ResNeXt50", "ResNeXt101", "decode_predictions", "preprocess_input"]


def preprocess_input(x, data_format=None):
    """What this family's ImageNet weights expect: 0..1, then ImageNet's mean and deviation a channel.

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
    return normalise(x, PRESETS["torch"], data_format)
