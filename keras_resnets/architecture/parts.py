"""The parts every network is made of: a convolution, a norm, an activation, a pool, each named.

Two plain values say everything: a `Conv` is one row of a block, a `Style` is what all layers of one
network share.
"""

import dataclasses
from typing import NamedTuple

import keras

from .layers import Conv2D
from .names import join


class Conv(NamedTuple):
    """One convolution of a block.

    Attributes:
        kernel: Its size in pixels; a pair for (height, width).
        pad: ``"valid"`` none; ``"same"`` TensorFlow's; ``"explicit"`` half a kernel of zeros on every
            side, a layer of its own: the two differ when a stride meets an even size.
    """

    filters: int
    kernel: int | tuple[int, int] = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    pad: str = "valid"


@dataclasses.dataclass(frozen=True)
class Style:
    """What all layers of one network share.

    Attributes:
        data_format: ``"channels_last"`` or ``"channels_first"``; None becomes Keras' global setting.
        dtype: Name of the dtype policy of every layer; None becomes Keras' global setting.
        epsilon: Added to the variance in every batch normalisation.
    """

    data_format: str | None = None
    dtype: str | None = None
    epsilon: float = 1.001e-5

    def __post_init__(self):
        object.__setattr__(self, "data_format", _resolve_data_format(self.data_format))
        object.__setattr__(self, "dtype", _resolve_dtype(self.dtype))

    @property
    def channel_axis(self) -> int:
        return 3 if self.data_format == "channels_last" else 1

    def spatial(self, name: str) -> dict:
        """Keywords of a layer that looks at height and width."""
        return {"data_format": self.data_format, "dtype": self.dtype, "name": name}


def _resolve_data_format(data_format: str | None) -> str:
    if data_format is None:
        return keras.config.image_data_format()
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(
            "data_format must be 'channels_last', 'channels_first' or None (Keras' global setting). "
            f"Received: data_format={data_format!r}"
        )
    return data_format


def _resolve_dtype(dtype) -> str:
    try:
        policy = keras.dtype_policies.get(dtype)
        if "float" in policy.compute_dtype:
            return policy.name
    except (ValueError, TypeError, AttributeError):
        pass
    raise ValueError(
        "dtype must name a floating-point dtype policy of Keras, such as 'float32', 'mixed_bfloat16' or "
        f"'mixed_float16', or be None (Keras' global setting). Received: dtype={dtype!r}"
    )


def convolve(x, conv: Conv, name: str, style: Style):
    """``<name>_pad`` where the row asks for it, then ``<name>_conv``."""
    if conv.pad == "explicit":
        height, width = (conv.kernel, conv.kernel) if isinstance(conv.kernel, int) else conv.kernel
        x = zero_pad(x, (height // 2, width // 2), name, style)
    return Conv2D(
        conv.filters,
        conv.kernel,
        strides=conv.stride,
        padding="same" if conv.pad == "same" else "valid",
        groups=conv.groups,
        use_bias=conv.bias,
        **style.spatial(join(name, "conv")),
    )(x)


def zero_pad(x, size: int | tuple[int, int], name: str, style: Style):
    return keras.layers.ZeroPadding2D(size, **style.spatial(join(name, "pad")))(x)


def max_pool(x, size: int, stride: int, name: str, style: Style):
    return keras.layers.MaxPooling2D(size, strides=stride, **style.spatial(join(name, "pool")))(x)


def normalise(x, name: str, style: Style):
    return keras.layers.BatchNormalization(
        axis=style.channel_axis, epsilon=style.epsilon, dtype=style.dtype, name=join(name, "bn")
    )(x)


def activate(x, name: str, style: Style):
    """A rectifier called ``name``."""
    return keras.layers.Activation("relu", dtype=style.dtype, name=name)(x)


def add(shortcut, x, name: str, style: Style):
    """The sum called ``name``; the shortcut comes first, as in keras.applications."""
    return keras.layers.Add(dtype=style.dtype, name=name)([shortcut, x])
