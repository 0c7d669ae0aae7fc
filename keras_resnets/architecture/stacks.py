"""A stack repeats a block and places one stride: in the first block, or (V2) in the last.

Every stack takes what its block takes; ``blocks`` is how many there are, ``stride1`` the one stride.
The first block projects its shortcut, the others add their input.
"""

from .blocks import basic_block, block1, block2, block3


def _repeat(block, x, filters, strides, name, **options):
    for number, stride in enumerate(strides, 1):
        x = block(
            x, filters, stride=stride, conv_shortcut=number == 1, name=f"{name}_block{number}", **options
        )
    return x


def _at_first(stride: int, blocks: int) -> list[int]:
    return [stride] + [1] * (_at_least_one(blocks) - 1)


def _at_last(stride: int, blocks: int) -> list[int]:
    return _at_first(stride, blocks)[::-1]


def _at_least_one(blocks: int) -> int:
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1. Received: blocks={blocks}")
    return blocks


def basic_stack(x, filters, blocks, stride1=2, name=None, **style):
    """``blocks`` times `basic_block`, the stride in the first.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of every convolution and of the output.
        blocks: How many blocks, at least 1.
        stride1: Stride of the first block.
        name: First part of every layer name; ``"basic_stack"`` when None.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), filters).

    Example:

    >>> import keras
    >>> basic_stack(keras.Input((32, 32, 16)), 24, 2, name="conv2").shape
    (None, 16, 16, 24)
    """
    return _repeat(basic_block, x, filters, _at_first(stride1, blocks), name or "basic_stack", **style)


def stack1(x, filters, blocks, stride1=2, name=None, **style):
    """``blocks`` times `block1` (ResNet v1), the stride in the first.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Bottleneck channels; the output has ``4 * filters``.
        blocks: How many blocks, at least 1.
        stride1: Stride of the first block.
        name: First part of every layer name; ``"stack1"`` when None.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), 4 * filters).

    Example:

    >>> import keras
    >>> stack1(keras.Input((32, 32, 16)), 8, 3, name="conv2").shape
    (None, 16, 16, 32)
    """
    return _repeat(block1, x, filters, _at_first(stride1, blocks), name or "stack1", **style)


def stack2(x, filters, blocks, stride1=2, name=None, **style):
    """``blocks`` times `block2` (ResNet V2), the stride in the last.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Bottleneck channels; the output has ``4 * filters``.
        blocks: How many blocks, at least 1.
        stride1: Stride of the last block.
        name: First part of every layer name; ``"stack2"`` when None.
        **style: ``data_format``, ``dtype``, ``epsilon`` (of the norms), as `Style` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), 4 * filters).

    Example:

    >>> import keras
    >>> stack2(keras.Input((32, 32, 16)), 8, 3, name="conv2").shape
    (None, 16, 16, 32)
    """
    return _repeat(block2, x, filters, _at_last(stride1, blocks), name or "stack2", **style)


def stack3(x, filters, blocks, stride1=2, groups=32, name=None, **options):
    """``blocks`` times `block3` (ResNeXt), the stride in the first.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Bottleneck channels, a multiple of ``groups``.
        blocks: How many blocks, at least 1.
        stride1: Stride of the first block.
        groups: Groups of every 3x3 convolution.
        name: First part of every layer name; ``"stack3"`` when None.
        **options: ``expansion`` of `block3`; ``data_format``, ``dtype``, ``epsilon`` (of the norms).

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), (64 // groups) * filters).

    Example:

    >>> import keras
    >>> stack3(keras.Input((32, 32, 16)), 64, 3, name="conv2").shape
    (None, 16, 16, 128)
    """
    return _repeat(block3, x, filters, _at_first(stride1, blocks), name or "stack3", groups=groups, **options)
