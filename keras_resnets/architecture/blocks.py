"""A block is a row of convolutions, a projection and an order.

Two folds turn the row into layers: `post_activation` (conv-bn-relu; He et al. 2015) and
`pre_activation` (bn-relu-conv; He et al. 2016). Every block below only writes its row down.
"""

import math
from collections.abc import Sequence

from .names import join
from .parts import Conv, Style, activate, add, convolve, max_pool, normalise


def post_activation(x, convs: Sequence[Conv], projection: Conv | None, name: str, style: Style):
    """Fold a row of convolutions into ``relu(shortcut + conv-bn-relu-...-conv-bn)``.

    Source: He et al., Deep Residual Learning, arXiv:1512.03385, section 3 and figure 5.
    """
    if projection:
        shortcut = convolve(x, projection, join(name, 0), style)
        shortcut = normalise(shortcut, join(name, 0), style)
    else:
        _check_identity(x, convs, _total_stride(convs), name, style)
        shortcut = x
    for slot, conv in enumerate(convs, 1):
        x = convolve(x, conv, join(name, slot), style)
        x = normalise(x, join(name, slot), style)
        if slot < len(convs):
            x = activate(x, join(name, slot, "relu"), style)
    x = add(shortcut, x, join(name, "add"), style)
    return activate(x, join(name, "out"), style)


def pre_activation(x, convs: Sequence[Conv], projection: Conv | None, name: str, style: Style):
    """Fold a row of convolutions into ``shortcut + bn-relu-conv-...-bn-relu-conv``.

    Source: He et al., Identity Mappings, arXiv:1603.05027, figure 1 (b). Without a projection a stride
    is followed on the shortcut by taking every stride-th pixel.
    """
    if not projection:
        _check_identity(x, convs, 1, name, style)
    shortcut, stride = x, _total_stride(convs)
    for slot, conv in enumerate(convs, 1):
        before = join(name, "preact" if slot == 1 else slot - 1)
        x = normalise(x, before, style)
        x = activate(x, join(before, "relu"), style)
        if slot == 1 and projection:
            shortcut = convolve(x, projection, join(name, 0), style)
        elif slot == 1 and stride > 1:
            shortcut = max_pool(shortcut, 1, stride, join(name, 0), style)
        x = convolve(x, conv, join(name, slot), style)
    return add(shortcut, x, join(name, "out"), style)


def _total_stride(convs: Sequence[Conv]) -> int:
    return math.prod(conv.stride for conv in convs)


def _check_identity(x, convs: Sequence[Conv], stride: int, name: str, style: Style) -> None:
    """Refuse, before any layer is made, an identity shortcut that could not be added."""
    channels = x.shape[style.channel_axis]
    if channels != convs[-1].filters or stride != 1:
        raise ValueError(
            f"{name}: an identity shortcut needs an input of {convs[-1].filters} channels and stride 1. "
            f"Received: {channels} channels and stride {stride}. Pass conv_shortcut=True to project."
        )


def basic_block(x, filters, kernel_size=3, stride=1, conv_shortcut=True, name=None, **style):
    """Two 3x3 convolutions, the block of ResNet-18 and -34.

    Source: He et al., arXiv:1512.03385, figure 5 (left). No bias (a batch norm follows), explicit padding.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of both convolutions and of the output.
        kernel_size: Size of both convolutions.
        stride: Stride of the first convolution and of the projection.
        conv_shortcut: Project the shortcut with a 1x1 convolution; else add the input itself.
        name: First part of every layer name; ``"basic_block"`` when None.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), filters).

    Example:

    >>> import keras
    >>> basic_block(keras.Input((32, 32, 16)), 24, stride=2, name="conv2_block1").shape
    (None, 16, 16, 24)
    """
    return post_activation(
        x,
        [
            Conv(filters, kernel_size, stride, pad="explicit"),
            Conv(filters, kernel_size, pad="explicit"),
        ],
        Conv(filters, stride=stride) if conv_shortcut else None,
        name or "basic_block",
        Style(**style),
    )


def block1(x, filters, kernel_size=3, stride=1, conv_shortcut=True, name=None, **style):
    """The bottleneck of ResNet v1 as Keras has it: 1x1 with the stride, 3x3, 1x1 to four times the width.

    Source: He et al., arXiv:1512.03385, figure 5 (right); biases and SAME padding as keras.applications.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of the first two convolutions; the output has ``4 * filters``.
        kernel_size: Size of the middle convolution.
        stride: Stride of the first convolution and of the projection.
        conv_shortcut: Project the shortcut with a 1x1 convolution; else add the input itself.
        name: First part of every layer name; ``"block1"`` when None.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), 4 * filters).

    Example:

    >>> import keras
    >>> block1(keras.Input((32, 32, 16)), 8, stride=2, name="conv2_block1").shape
    (None, 16, 16, 32)
    """
    return post_activation(
        x,
        [
            Conv(filters, 1, stride, bias=True),
            Conv(filters, kernel_size, bias=True, pad="same"),
            Conv(4 * filters, bias=True),
        ],
        Conv(4 * filters, stride=stride, bias=True) if conv_shortcut else None,
        name or "block1",
        Style(**style),
    )


def block2(x, filters, kernel_size=3, stride=1, conv_shortcut=False, name=None, **style):
    """The pre-activation bottleneck of ResNet V2: norm and rectifier before each convolution.

    Source: He et al., arXiv:1603.05027, figure 1 (b); stride in the 3x3 as keras.applications.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of the first two convolutions; the output has ``4 * filters``.
        kernel_size: Size of the middle convolution.
        stride: Stride of the middle convolution and of the shortcut.
        conv_shortcut: Project the shortcut with a 1x1 convolution; else take the input itself,
            every stride-th pixel of it.
        name: First part of every layer name; ``"block2"`` when None.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), 4 * filters).

    Example:

    >>> import keras
    >>> block2(keras.Input((32, 32, 32)), 8, stride=2, name="conv2_block3").shape
    (None, 16, 16, 32)
    """
    return pre_activation(
        x,
        [
            Conv(filters),
            Conv(filters, kernel_size, stride, pad="explicit"),
            Conv(4 * filters, bias=True),
        ],
        Conv(4 * filters, stride=stride, bias=True) if conv_shortcut else None,
        name or "block2",
        Style(**style),
    )


def block3(
    x, filters, kernel_size=3, stride=1, groups=32, conv_shortcut=True, name=None, *, expansion=None, **style
):
    """The bottleneck of ResNeXt: the 3x3 convolution works in groups.

    Source: Xie et al., Aggregated Residual Transformations, arXiv:1611.05431, figure 3 (c).

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of the first two convolutions, a multiple of ``groups``.
        kernel_size: Size of the grouped convolution.
        stride: Stride of the grouped convolution and of the projection.
        groups: Number of groups (the paper's cardinality).
        conv_shortcut: Project the shortcut with a 1x1 convolution; else add the input itself.
        name: First part of every layer name; ``"block3"`` when None.
        expansion: Output channels per filter; None is keras-applications' ``64 // groups``.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), expansion * filters).

    Raises:
        ValueError: ``groups`` does not divide ``filters``, or leaves no output channel.

    Example:

    >>> import keras
    >>> block3(keras.Input((32, 32, 16)), 64, stride=2, name="conv2_block1").shape
    (None, 16, 16, 128)
    """
    if groups < 1 or filters % groups:
        raise ValueError(f"groups must divide filters. Received: groups={groups}, filters={filters}")
    width = (64 // groups if expansion is None else expansion) * filters
    if width < 1:
        raise ValueError(
            "expansion must be at least 1 (None means 64 // groups). "
            f"Received: expansion={expansion}, groups={groups}"
        )
    return post_activation(
        x,
        [
            Conv(filters),
            Conv(filters, kernel_size, stride, groups, pad="explicit"),
            Conv(width),
        ],
        Conv(width, stride=stride) if conv_shortcut else None,
        name or "block3",
        Style(**style),
    )
