"""Pixels to tensors: a picture resized and cropped, its channels ordered and scaled."""

import keras
import numpy as np
from PIL import Image

from .presets import Preset


def fit(picture: np.ndarray, preset: Preset, size: int | None = None) -> np.ndarray:
    """Resize the shorter side, keep the shape, and cut the middle out.

    Args:
        picture: uint8, (H, W, 3).
        preset: Says both sizes.
        size: Height and width of the result; None is the preset's. The resized side grows with it.

    Returns:
        uint8, (size, size, 3).
    """
    size = size or preset.size
    height, width = picture.shape[:2]
    new_height, new_width = resized(height, width, round(preset.resize * size / preset.size))
    image = Image.fromarray(picture).resize((new_width, new_height), Image.Resampling.BILINEAR)
    left, top = (new_width - size) // 2, (new_height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def resized(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width after the shorter side became ``shorter``; the longer is rounded down."""
    if height < width:
        return shorter, max(shorter, width * shorter // height)
    return max(shorter, height * shorter // width), shorter


def normalise(images, preset: Preset, data_format: str | None = None):
    """Order and scale the channels as the preset says, in a new array.

    Args:
        images: RGB values in 0..255, (N, H, W, 3) or (H, W, 3) (channels in front for
            ``"channels_first"``); a numpy array or a tensor of the backend. Left as it is.
        preset: The weights' own.
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' global setting.

    Returns:
        What came in, as the same kind of array and its float dtype (integers become float32).

    Raises:
        ValueError: Not three channels, or an unknown data format.
    """
    data_format = data_format or keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            "data_format must be 'channels_last', 'channels_first' or None. "
            f"Received: data_format={data_format!r}"
        )
    rank = len(images.shape)
    axis = -1 if data_format == "channels_last" else -3
    if rank not in (3, 4) or images.shape[axis] != 3:
        raise ValueError(
            f"images must be (N, H, W, 3) or (H, W, 3), channels first for 'channels_first'. "
            f"Received: shape {tuple(images.shape)}, data_format={data_format!r}"
        )
    kind = keras.backend.standardize_dtype(images.dtype)
    dtype = kind if "float" in kind else "float32"
    shape = [3 if i == rank + axis else 1 for i in range(rank)]
    mean = np.reshape(preset.mean, shape).astype("float32")
    std = np.reshape(preset.std, shape).astype("float32")
    if isinstance(images, np.ndarray):
        images = images if preset.order == "rgb" else np.flip(images, axis)
        return ((images.astype("float32", copy=False) - mean) / std).astype(dtype, copy=False)
    images = images if preset.order == "rgb" else keras.ops.flip(images, axis)
    scaled = (keras.ops.cast(images, "float32") - mean) / std
    return keras.ops.cast(scaled, dtype)
