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
        pad: ``"valid"`` none; ``"same"`` TensorFlow's; ``"explicit"`` half a kernel of zeros on every
            side, a layer of its own: the two differ when a stride meets an even size.
    """

    filters: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    pad: str = "valid"


@dataclasses.dataclass(frozen=True)
class Style:
    """What all layers of one network share.

    Attributes:
        data_format: ``"channels_last"``, ``"channels_first"`` or None for Keras' global setting.
        dtype: Dtype or dtype policy of every layer; None for Keras' global setting.
        epsilon: Added to the variance in every batch normalisation.
    """

    data_format: str | None = None
    dtype: object = None
    epsilon: float = 1.001e-5

    def __post_init__(self):
        allowed = ("channels_last", "channels_first")
        if self.data_format is None:
            object.__setattr__(self, "data_format", keras.config.image_data_format())
        elif self.data_format not in allowed:
            raise ValueError(
                f"data_format must be one of {allowed} or None (Keras' global setting). "
                f"Received: data_format={self.data_format!r}"
            )
        try:
            keras.dtype_policies.get(self.dtype)
        except (ValueError, TypeError) as error:
            raise ValueError(
                "dtype must name a Keras dtype policy, such as 'float32', 'mixed_bfloat16' or "
                f"'mixed_float16'. Received: dtype={self.dtype!r}"
            ) from error

    @property
    def channel_axis(self) -> int:
        return 3 if self.data_format == "channels_last" else 1

    def spatial(self, name: str) -> dict:
        """Keywords of a layer that looks at height and width."""
        return {"data_format": self.data_format, "dtype": self.dtype, "name": name}


def convolve(x, conv: Conv, name: str, style: Style):
    """``<name>_pad`` where the row asks for it, then ``<name>_conv``."""
    if conv.pad == "explicit":
        x = zero_pad(x, conv.kernel // 2, name, style)
    return Conv2D(
        conv.filters,
        conv.kernel,
        strides=conv.stride,
        padding="same" if conv.pad == "same" else "valid",
        groups=conv.groups,
        use_bias=conv.bias,
        **style.spatial(join(name, "conv")),
    )(x)


def zero_pad(x, size: int, name: str, style: Style):
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
