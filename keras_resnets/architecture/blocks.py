"""A block is a row of convolutions, a projection and an order.

Three folds turn the row into layers: `post_activation` (conv-bn-relu; He et al. 2015), `pre_activation`
(bn-relu-conv; He et al. 2016) and `after_add` (the last norm behind the sum). Every block below only writes
its row down.

All blocks take the same keywords for the rest:

- ``dilation``: of the kernels larger than one pixel. A pair stands for a stride that was replaced: the
  dilation before it and after it (Yu & Koltun, arXiv:1511.07122).
- ``drop_path_rate``: how often a picture skips the branch in training.
- the fields of `Style`: ``data_format``, ``dtype``, ``norm``, ``activation``...
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras

from .names import join
from .parts import Conv, activate, add, convolve, drop, drop_path, normalise, pair, squeeze_excite
from .shortcuts import identity, projection
from .style import Style, check_rate


class Way(NamedTuple):
    """The shortcut of one block: how it gets from the input to the sum, and what may be dropped there."""

    shortcut: Callable | None
    projection: Conv
    drop_path_rate: float = 0.0


def post_activation(x, convs: Sequence[Conv], way: Way, name: str, style: Style):
    """Fold a row of convolutions into ``relu(shortcut + conv-bn-relu-...-conv-bn)``.

    Source: He et al., Deep Residual Learning, arXiv:1512.03385, section 3 and figure 5.
    """
    scale = "zeros" if style.zero_init_residual else "ones"
    shortcut = _shortcut(x, x, way, name, style)
    x = _conv_norm_relu(x, convs, name, style)
    x = normalise(x, join(name, len(convs)), style, scale)
    x = _branch_end(x, way, name, style)
    x = x if shortcut is None else add(shortcut, x, join(name, "add"), style)
    return activate(x, join(name, "out"), style)


def after_add(x, convs: Sequence[Conv], way: Way, name: str, style: Style):
    """Fold a row of convolutions into ``relu(bn(shortcut + conv-bn-relu-...-conv))``.

    Source: MATLAB's ``resnetNetwork``, option ``batchnorm-after-add``; its projections have no norm.
    """
    if style.zero_init_residual:
        raise ValueError("zero_init_residual needs a norm before the addition; this block has it after")
    shortcut = _shortcut(x, x, _bare(way), name, style)
    x = _conv_norm_relu(x, convs, name, style)
    x = _branch_end(x, way, name, style)
    x = x if shortcut is None else add(shortcut, x, join(name, "add"), style)
    return activate(normalise(x, name, style), join(name, "out"), style)


def pre_activation(x, convs: Sequence[Conv], way: Way, name: str, style: Style):
    """Fold a row of convolutions into ``shortcut + bn-relu-conv-...-bn-relu-conv``.

    Source: He et al., Identity Mappings, arXiv:1603.05027, figure 1 (b); a projection, which has no norm,
    begins behind the block's first activation.
    """
    shortcut = x
    for slot, conv in enumerate(convs, 1):
        before = join(name, "preact" if slot == 1 else slot - 1)
        last = slot == len(convs)
        activated = activate(normalise(x, before, style), join(before, "relu"), style)
        if slot == 1:
            shortcut = _shortcut(x, activated, _bare(way), name, style)
        if last:
            activated = drop(activated, style.dropout_rate, name, style)
        initializer = "zeros" if last and style.zero_init_residual else None
        x = convolve(activated, conv, join(name, slot), style, initializer)
    x = _branch_end(x, way, name, style)
    if shortcut is None:  # the end of a block keeps its address
        return keras.layers.Identity(dtype=style.dtype, name=join(name, "out"))(x)
    return add(shortcut, x, join(name, "out"), style)


def _conv_norm_relu(x, convs: Sequence[Conv], name: str, style: Style):
    """The branch of a block up to its last convolution."""
    *inner, last = convs
    for slot, conv in enumerate(inner, 1):
        x = convolve(x, conv, join(name, slot), style)
        x = normalise(x, join(name, slot), style)
        x = activate(x, join(name, slot, "relu"), style)
    x = drop(x, style.dropout_rate, name, style)
    return convolve(x, last, join(name, len(convs)), style)


def _shortcut(x, activated, way: Way, name: str, style: Style):
    return way.shortcut and way.shortcut(x, activated, way.projection, name, style)


def _bare(way: Way) -> Way:
    """The same way without a norm on its projection."""
    return way._replace(projection=way.projection._replace(norm=False))


def _branch_end(x, way: Way, name: str, style: Style):
    return drop_path(squeeze_excite(x, name, style), way.drop_path_rate, name, style)


def _fold(fold, x, convs, projection_row: Conv, conv_shortcut, name: str, dilation, drop_path_rate, options):
    """Settle what a block's arguments mean, then fold."""
    style = Style(**options)
    check_rate("drop_path_rate", drop_path_rate)
    before, after = pair(dilation)
    row = projection_row._replace(dilation=after // before)
    shortcut = {True: projection, False: identity}.get(conv_shortcut, conv_shortcut)
    return fold(x, convs, Way(shortcut, row, drop_path_rate), name, style)


def basic_block(
    x,
    filters,
    kernel_size=3,
    stride=1,
    conv_shortcut=True,
    name=None,
    *,
    fold=post_activation,
    bias=False,
    pad="explicit",
    projection_norm=True,
    dilation=1,
    drop_path_rate=0.0,
    **style,
):
    """Two 3x3 convolutions, the block of ResNet-18 and -34.

    Source: He et al., arXiv:1512.03385, figure 5 (left); with ``fold=pre_activation`` Zagoruyko & Komodakis,
    arXiv:1605.07146, figure 1 (a).

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of both convolutions and of the output.
        kernel_size: Size of both convolutions.
        stride: Stride of the first convolution and of the projection.
        conv_shortcut: True projects the shortcut with a 1x1 convolution, False adds the input itself; or a
            function of `shortcuts`, or None for no shortcut.
        name: First part of every layer name; ``"basic_block"`` when None.
        fold: The order of norms and convolutions.
        bias, pad: Of both convolutions, as `Conv` has them.
        projection_norm: Whether the projection has a norm, where the fold gives it one.
        dilation, drop_path_rate, **style: As in every block.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), filters).

    Example:

    >>> import keras
    >>> basic_block(keras.Input((32, 32, 16)), 24, stride=2, name="conv2_block1").shape
    (None, 16, 16, 24)
    """
    before, after = pair(dilation)
    first = Conv(filters, kernel_size, stride, bias=bias, pad=pad, dilation=before)
    convs = [first, first._replace(stride=1, dilation=after)]
    row = Conv(filters, stride=stride, bias=bias, norm=projection_norm)
    name = name or "basic_block"
    return _fold(fold, x, convs, row, conv_shortcut, name, dilation, drop_path_rate, style)


def block1(
    x,
    filters,
    kernel_size=3,
    stride=1,
    conv_shortcut=True,
    name=None,
    *,
    fold=post_activation,
    bias=True,
    dilation=1,
    drop_path_rate=0.0,
    **style,
):
    """The bottleneck of ResNet v1 as Keras has it: 1x1 with the stride, 3x3, 1x1 to four times the width.

    Source: He et al., arXiv:1512.03385, figure 5 (right); biases and SAME padding as keras.applications.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of the first two convolutions; the output has ``4 * filters``.
        kernel_size: Size of the middle convolution.
        stride: Stride of the first convolution and of the projection.
        conv_shortcut: True projects the shortcut with a 1x1 convolution, False adds the input itself; or a
            function of `shortcuts`, or None for no shortcut.
        name: First part of every layer name; ``"block1"`` when None.
        fold: The order of norms and convolutions.
        bias: Of every convolution.
        dilation, drop_path_rate, **style: As in every block.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), 4 * filters).

    Example:

    >>> import keras
    >>> block1(keras.Input((32, 32, 16)), 8, stride=2, name="conv2_block1").shape
    (None, 16, 16, 32)
    """
    before, _ = pair(dilation)
    convs = [
        Conv(filters, 1, stride, bias=bias),
        Conv(filters, kernel_size, bias=bias, pad="same", dilation=before),
        Conv(4 * filters, bias=bias),
    ]
    row = Conv(4 * filters, stride=stride, bias=bias)
    return _fold(fold, x, convs, row, conv_shortcut, name or "block1", dilation, drop_path_rate, style)


def block2(
    x,
    filters,
    kernel_size=3,
    stride=1,
    conv_shortcut=False,
    name=None,
    *,
    dilation=1,
    drop_path_rate=0.0,
    **style,
):
    """The pre-activation bottleneck of ResNet V2 as Keras has it: biases in the projection and the last.

    Source: He et al., arXiv:1603.05027, figure 1 (b); stride in the 3x3 as keras.applications.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of the first two convolutions; the output has ``4 * filters``.
        kernel_size: Size of the middle convolution.
        stride: Stride of the middle convolution and of the shortcut.
        conv_shortcut: True projects the shortcut with a 1x1 convolution, False takes the input itself, every
            stride-th pixel of it; or a function of `shortcuts`, or None for no shortcut.
        name: First part of every layer name; ``"block2"`` when None.
        dilation, drop_path_rate, **style: As in every block.

    Returns:
        Keras tensor, (N, ceil(H / stride), ceil(W / stride), 4 * filters).

    Example:

    >>> import keras
    >>> block2(keras.Input((32, 32, 32)), 8, stride=2, name="conv2_block3").shape
    (None, 16, 16, 32)
    """
    before, _ = pair(dilation)
    convs = [
        Conv(filters),
        Conv(filters, kernel_size, stride, pad="explicit", dilation=before),
        Conv(4 * filters, bias=True),
    ]
    row = Conv(4 * filters, stride=stride, bias=True)
    name = name or "block2"
    return _fold(pre_activation, x, convs, row, conv_shortcut, name, dilation, drop_path_rate, style)


def block3(
    x,
    filters,
    kernel_size=3,
    stride=1,
    groups=32,
    conv_shortcut=True,
    name=None,
    *,
    expansion=None,
    fold=post_activation,
    dilation=1,
    drop_path_rate=0.0,
    **style,
):
    """The bottleneck of ResNeXt: the 3x3 convolution has the stride, and works in groups.

    With one group and ``expansion=4`` it is the bottleneck of PyTorch, called v1.5, and with
    ``fold=pre_activation`` that of timm's V2 networks.

    Source: Xie et al., Aggregated Residual Transformations, arXiv:1611.05431, figure 3 (c).

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of the first two convolutions, a multiple of ``groups``.
        kernel_size: Size of the grouped convolution.
        stride: Stride of the grouped convolution and of the projection.
        groups: Number of groups (the paper's cardinality).
        conv_shortcut: True projects the shortcut with a 1x1 convolution, False adds the input itself; or a
            function of `shortcuts`, or None for no shortcut.
        name: First part of every layer name; ``"block3"`` when None.
        expansion: Output channels per filter; None is keras-applications' ``64 // groups``.
        fold: The order of norms and convolutions.
        dilation, drop_path_rate, **style: As in every block.

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
    before, _ = pair(dilation)
    convs = [
        Conv(filters),
        Conv(filters, kernel_size, stride, groups, pad="explicit", dilation=before),
        Conv(width),
    ]
    row = Conv(width, stride=stride)
    return _fold(fold, x, convs, row, conv_shortcut, name or "block3", dilation, drop_path_rate, style)
