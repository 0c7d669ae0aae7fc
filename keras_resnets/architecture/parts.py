"""The parts every network is made of: a convolution, a norm, an activation, a pool, each named."""

import math
from typing import NamedTuple

import keras

from .layers import BatchNormalization, Conv2D, StandardizedConv2D
from .names import join
from .style import Style


class Conv(NamedTuple):
    """One convolution of a block.

    Attributes:
        kernel: Its size in pixels; a pair for (height, width).
        stride: In pixels; a pair for (height, width).
        pad: ``"valid"`` none; ``"same"`` TensorFlow's; ``"explicit"`` half a kernel of zeros on every
            side, a layer of its own: the two differ when a stride meets an even size.
        norm: Whether a norm follows a projection, where the block's order has one there.
    """

    filters: int
    kernel: int | tuple[int, int] = 1
    stride: int | tuple[int, int] = 1
    groups: int = 1
    bias: bool = False
    pad: str = "valid"
    dilation: int = 1
    norm: bool = True


class Pool(NamedTuple):
    """The pool of a stem.

    Attributes:
        kind: ``"max"`` or ``"average"``.
        pad: As a convolution's (``"explicit"`` pads zeros), or ``"lowest"``: half a window of minus infinity
            on every side, as PyTorch pads a maximum.
    """

    kind: str = "max"
    size: int = 3
    stride: int = 2
    pad: str = "explicit"


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def convolve(x, conv: Conv, name: str, style: Style, initializer=None):
    """``<name>_pad`` where the row asks for it, then ``<name>_conv``."""
    if conv.pad == "explicit":
        x = zero_pad(x, tuple(conv.dilation * (side // 2) for side in pair(conv.kernel)), name, style)
    layer = StandardizedConv2D if style.standardized else Conv2D
    return layer(
        conv.filters,
        conv.kernel,
        strides=conv.stride,
        padding="same" if conv.pad == "same" else "valid",
        dilation_rate=conv.dilation,
        groups=conv.groups,
        use_bias=conv.bias,
        kernel_initializer=initializer or style.initializer(),
        **style.spatial(join(name, "conv")),
    )(x)


def zero_pad(x, size, name: str, style: Style):
    """Zeros around height and width: as many on both sides, or a pair for each."""
    return keras.layers.ZeroPadding2D(size, **style.spatial(join(name, "pad")))(x)


def pad_channels(x, before: int, after: int, name: str, style: Style):
    """New channels of zeros.

    Keras' padding works on two neighbouring axes: told the other data format, one of them is the channels'.
    """
    last = style.data_format == "channels_last"
    padding, other = (
        (((0, 0), (before, after)), "channels_first")
        if last
        else (((before, after), (0, 0)), "channels_last")
    )
    return keras.layers.ZeroPadding2D(padding, **style.spatial(join(name, "pad")) | {"data_format": other})(x)


def max_pool(x, size, stride, name: str, style: Style, padding: str = "valid"):
    return keras.layers.MaxPooling2D(size, stride, padding, **style.spatial(join(name, "pool")))(x)


def average_pool(x, size, stride, name: str, style: Style, padding: str = "valid"):
    return keras.layers.AveragePooling2D(size, stride, padding, **style.spatial(join(name, "pool")))(x)


def pool(x, row: Pool, name: str, style: Style):
    """The pool that a row describes, in as many layers as its padding takes."""
    if row.pad == "lowest":
        # Without stride Keras' own padding is half a window on every side; the stride follows.
        x = max_pool(x, row.size, 1, join(name, 1), style, "same")
        return max_pool(x, 1, row.stride, join(name, 2), style)
    if row.pad == "explicit":
        x = zero_pad(x, row.size // 2, name, style)
    take = max_pool if row.kind == "max" else average_pool
    return take(x, row.size, row.stride, name, style, "same" if row.pad == "same" else "valid")


def normalise(x, name: str, style: Style, scale: str = "ones"):
    """``<name>_bn`` or, with group norm, ``<name>_gn``; ``scale`` is what its scale begins with."""
    shared = {
        "axis": style.channel_axis,
        "epsilon": style.epsilon,
        "gamma_initializer": scale,
        "dtype": style.dtype,
    }
    if style.norm == "group":
        groups = math.gcd(32, style.channels(x))
        return keras.layers.GroupNormalization(groups, name=join(name, "gn"), **shared)(x)
    return BatchNormalization(
        momentum=style.momentum,
        synchronized=style.norm == "sync_batch",
        name=join(name, "bn"),
        **shared,
    )(x)


def activate(x, name: str, style: Style):
    """The style's activation, called ``name``."""
    return keras.layers.Activation(style.activation, dtype=style.dtype, name=name)(x)


def drop(x, rate: float, name: str, style: Style):
    """``<name>_drop``, where there is something to drop."""
    if not rate:
        return x
    name = join(name, "drop")
    return keras.layers.Dropout(rate, seed=style.seed_of(name), dtype=style.dtype, name=name)(x)


def drop_path(x, rate: float, name: str, style: Style):
    """Drop a picture's whole branch: stochastic depth (Huang et al., arXiv:1603.09382, section 3)."""
    if not rate:
        return x
    name = join(name, "path_drop")
    return keras.layers.Dropout(
        rate, noise_shape=(None, 1, 1, 1), seed=style.seed_of(name), dtype=style.dtype, name=name
    )(x)


def squeeze_excite(x, name: str, style: Style):
    """Weigh the channels by what the whole picture says (Hu et al., arXiv:1709.01507, figure 2)."""
    if not style.se_ratio:
        return x
    name = join(name, "se")
    channels = style.channels(x)
    squeezed = max(8, int(channels * style.se_ratio + 4) // 8 * 8)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True, **style.spatial(join(name, "pool")))(x)
    for slot, filters, function in ((1, squeezed, "relu"), (2, channels, "sigmoid")):
        gate = Conv2D(
            filters, 1, kernel_initializer=style.initializer(), **style.spatial(join(name, slot, "conv"))
        )(gate)
        gate = keras.layers.Activation(function, dtype=style.dtype, name=join(name, slot, function))(gate)
    return keras.layers.Multiply(dtype=style.dtype, name=join(name, "out"))([x, gate])


def add(shortcut, x, name: str, style: Style):
    """The sum called ``name``; the shortcut comes first, as in keras.applications."""
    return keras.layers.Add(dtype=style.dtype, name=name)([shortcut, x])
