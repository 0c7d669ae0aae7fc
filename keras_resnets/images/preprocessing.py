"""Pixels to tensors: a picture resized and cropped, its channels ordered and scaled."""

import keras
import numpy as np
from PIL import Image

from .presets import Preset

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def fit(picture: np.ndarray, preset: Preset, size: tuple[int, int] | None = None) -> np.ndarray:
    """Resize with the shape kept, and cut the middle out.

    With antialiasing, in float: not rounded to whole grey levels, so that the same steps inside an exported
    TensorFlow graph give the same numbers.

    Args:
        picture: uint8, (H, W, 3).
        preset: Says both sizes and the interpolation.
        size: Height and width of the result; None is the preset's. What is cut off grows with it.

    Returns:
        float32, (height, width, 3), values in 0..255; beside an edge bicubic ones swing a little beyond.
    """
    rows, columns = size or (preset.size, preset.size)
    height, width = picture.shape[:2]
    new_height, new_width = resized(height, width, *before_crop(rows, columns, preset))
    top, left = (new_height - rows) // 2, (new_width - columns) // 2
    # Only what is kept is computed: a picture one pixel high would be enormous at full width.
    down, across = height / new_height, width / new_width
    kept = (left * across, top * down, (left + columns) * across, (top + rows) * down)
    channels = [
        Image.fromarray(picture[..., channel])
        .convert("F")
        .resize((columns, rows), _FILTERS[preset.interpolation], box=kept)
        for channel in range(3)
    ]
    return np.stack(channels, axis=-1)


def before_crop(rows: int, columns: int, preset: Preset) -> tuple[int, int]:
    """The least height and width that a picture is resized to before (rows, columns) are cut out."""
    return round(rows * preset.resize / preset.size), round(columns * preset.resize / preset.size)


def resized(height, width, rows: int, columns: int, maximum=max):
    """The smallest size of the same shape that covers (rows, columns), rounded down.

    Whole numbers only, so that Python and a TensorFlow graph (``maximum=tf.maximum``) agree.

    >>> resized(480, 640, 256, 256)
    (256, 341)
    """
    return maximum(rows, height * columns // width), maximum(columns, width * rows // height)


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
        ValueError: Not the preset's number of channels (three), or an unknown data format.
    """
    data_format = data_format or keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            "data_format must be 'channels_last', 'channels_first' or None. "
            f"Received: data_format={data_format!r}"
        )
    rank = len(images.shape)
    axis = -1 if data_format == "channels_last" else -3
    channels = np.shape(preset.mean)[-1]
    if rank not in (3, 4) or images.shape[axis] not in (channels, None):
        raise ValueError(
            f"images must be (N, H, W, {channels}) or (H, W, {channels}), channels first for "
            f"'channels_first'. Received: shape {tuple(images.shape)}, data_format={data_format!r}"
        )
    kind = keras.backend.standardize_dtype(images.dtype)
    dtype = kind if "float" in kind else "float32"
    mean, std = _as_images(preset.mean, rank, axis), _as_images(preset.std, rank, axis)
    if isinstance(images, np.ndarray):
        images = images if preset.order == "rgb" else np.flip(images, axis)
        return ((images.astype("float32", copy=False) - mean) / std).astype(dtype, copy=False)
    images = images if preset.order == "rgb" else keras.ops.flip(images, axis)
    mean, std = keras.ops.convert_to_tensor(mean), keras.ops.convert_to_tensor(std)
    return keras.ops.cast((keras.ops.cast(images, "float32") - mean) / std, dtype)


def _as_images(values, rank: int, axis: int) -> np.ndarray:
    """A preset's numbers, a channel (C,) or a pixel (H, W, C), in a shape that goes with images."""
    values = np.asarray(values, "float32")
    if values.ndim == 1:
        return values.reshape([len(values) if i == rank + axis else 1 for i in range(rank)])
    return np.moveaxis(values, -1, axis)


def preprocess_input_for(preset: Preset):
    """What a drop-in module calls ``preprocess_input``: `normalise` with the family's own preset."""

    def preprocess_input(x, data_format=None):
        return normalise(x, preset, data_format)

    preprocess_input.__doc__ = _DOC.format(preset=preset)
    return preprocess_input


_DOC = """What this family's ImageNet weights expect: preset {preset.name!r}.

Channels in {preset.order} order, minus {preset.mean}, over {preset.std}.

Args:
    x: RGB values in 0..255, (N, H, W, 3) or (H, W, 3), numpy or a tensor. It is not changed.
    data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' global setting.

Returns:
    The same shape and kind of array, float32 unless ``x`` was of another float dtype.

Raises:
    ValueError: Not three channels, or an unknown data format.

Example:

>>> import numpy as np
>>> from keras_resnets.resnet import preprocess_input
>>> preprocess_input(np.zeros((1, 224, 224, 3), "uint8")).shape
(1, 224, 224, 3)
"""
