"""Pixels to tensors: a picture resized and cropped, its channels ordered and scaled."""

import keras
import numpy as np
from PIL import Image

from .presets import Preset

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


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
    return _crops(picture, preset, size, [(1, 1)])[0]


def ten_crops(picture: np.ndarray, preset: Preset, size: tuple[int, int] | None = None) -> np.ndarray:
    """Resize as `fit` does, and cut the four corners and the middle out, each also mirrored.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, 2012, section
    4.1; the "standard 10-crop testing" of He et al., arXiv:1512.03385, section 3.4.

    Args:
        picture, preset, size: As `fit` takes them.

    Returns:
        float32, (10, height, width, 3): the corners, upper ones first, and the middle; then the same five
        with left and right exchanged.

    Example:

    >>> from keras_resnets.images.presets import PRESETS
    >>> ten_crops(np.zeros((480, 640, 3), "uint8"), PRESETS["caffe"]).shape
    (10, 224, 224, 3)
    """
    five = _crops(picture, preset, size, [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)])
    return np.concatenate([five, five[:, :, ::-1]])


def whole(picture: np.ndarray, preset: Preset, side: int) -> np.ndarray:
    """Resize as `fit` does until the shorter side has ``side`` pixels, and cut nothing off: float32."""
    size = resized(*picture.shape[:2], side, side)
    return _cut(_planes(picture), size, (0, 0), size, preset)


def _crops(picture: np.ndarray, preset: Preset, size: tuple[int, int] | None, places) -> np.ndarray:
    """What `fit` would cut out, at other places too: (down, across) in halves of what is left over."""
    rows, columns = size or (preset.size, preset.size)
    height, width = resized(*picture.shape[:2], *before_crop(rows, columns, preset))
    planes = _planes(picture)
    corners = [(down * (height - rows) // 2, across * (width - columns) // 2) for down, across in places]
    return np.stack([_cut(planes, (height, width), corner, (rows, columns), preset) for corner in corners])


def _planes(picture: np.ndarray) -> list[Image.Image]:
    """A picture's channels, in float."""
    return [Image.fromarray(picture[..., channel]).convert("F") for channel in range(3)]


def _cut(planes: list[Image.Image], size, corner, crop, preset: Preset) -> np.ndarray:
    """The part of a picture resized to ``size`` that begins at ``corner``, as large as ``crop``: all of them
    (down, across), in pixels."""
    kept = box_of((planes[0].height, planes[0].width), size, corner, crop)
    resample = FILTERS[preset.interpolation]
    return np.stack([plane.resize(crop[::-1], resample, box=kept) for plane in planes], axis=-1)


def box_of(picture, size, corner, crop) -> tuple[float, float, float, float]:
    """What of a picture becomes a crop of it resized, as Pillow's `resize` takes it; all (down, across).

    Only what is kept is computed then: a picture one pixel high would be enormous at full width.

    Args:
        picture: Its size.
        size: The size that it is resized to.
        corner: Where the crop begins in that.
        crop: The size of the crop.
    """
    down, across = picture[0] / size[0], picture[1] / size[1]
    (top, left), (rows, columns) = corner, crop
    return left * across, top * down, (left + columns) * across, (top + rows) * down


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
    pixels = np.shape(preset.mean)[:2] if np.ndim(preset.mean) == 3 else ()
    sides = tuple(images.shape[axis - 2 : axis] if axis == -1 else images.shape[-2:])
    if pixels and sides != pixels:
        raise ValueError(
            f"a mean for each pixel goes with pictures of {pixels[0]} x {pixels[1]}. "
            f"Received: shape {tuple(images.shape)}"
        )
    kind = keras.backend.standardize_dtype(images.dtype)
    dtype = kind if "float" in kind else "float32"
    mean, std = _as_images(preset.mean, rank, axis), _as_images(preset.std, rank, axis)
    if isinstance(images, np.ndarray):
        images = images if preset.order == "rgb" else np.flip(images, axis)
        return ((images.astype("float32", copy=False) - mean) / std).astype(dtype, copy=False)
    images = images if preset.order == "rgb" else keras.ops.flip(images, axis)
    centred = keras.ops.subtract(keras.ops.cast(images, "float32"), mean)
    return keras.ops.cast(keras.ops.divide(centred, std), dtype)


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
