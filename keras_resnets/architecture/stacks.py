"""A stack repeats a block and places one stride: in the first block, or (V2) in the last.

Every stack takes what its block takes; ``blocks`` is how many there are, ``stride1`` the one stride.
``shortcut`` names an option of the paper (`shortcuts.SHORTCUTS`), or is such a pair of functions: by default
(B) the first block projects its shortcut and the others add their input. A pair of dilations changes where
the stride would have been, and
``drop_path_rate`` may be one number a block.
"""

from collections.abc import Callable

from .blocks import basic_block, block1, block2, block3
from .parts import pair
from .shortcuts import resolve_shortcut, where_needed


def _repeat(block: Callable, x, filters, places, name, shortcuts, drop_path_rate=0.0, **options):
    """``places``: stride and dilation of each block. ``shortcuts``: the first block's and the others'."""
    first, others = shortcuts
    rates = drop_path_rate if isinstance(drop_path_rate, (tuple, list)) else [drop_path_rate] * len(places)
    for number, ((stride, dilation), rate) in enumerate(zip(places, rates, strict=True), 1):
        x = block(
            x,
            filters,
            stride=stride,
            dilation=dilation,
            conv_shortcut=first if number == 1 else others,
            name=f"{name}_block{number}",
            drop_path_rate=rate,
            **options,
        )
    return x


def _at_first(stride: int, blocks: int, dilation) -> list[tuple]:
    _, after = pair(dilation)
    return [(stride, dilation)] + [(1, after)] * (_at_least_one(blocks) - 1)


def _at_last(stride: int, blocks: int, dilation) -> list[tuple]:
    before, _ = pair(dilation)
    return [(1, before)] * (_at_least_one(blocks) - 1) + [(stride, dilation)]


def _at_least_one(blocks: int) -> int:
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1. Received: blocks={blocks}")
    return blocks


def basic_stack(x, filters, blocks, stride1=2, name=None, *, shortcut="B", dilation=1, **options):
    """``blocks`` times `basic_block`, the stride in the first, which projects only where the shape changes.

    Source: He et al., arXiv:1512.03385, table 1 (18 and 34 layers).

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Channels of every convolution and of the output.
        blocks: How many blocks, at least 1.
        stride1: Stride of the first block.
        name: First part of every layer name; ``"basic_stack"`` when None.
        shortcut: ``"A"``, ``"B"``, ``"C"``, ``"D"`` or ``"none"``; or a pair of functions.
        dilation, **options: As `basic_block` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), filters).

    Raises:
        ValueError: ``blocks`` below 1, or no such ``shortcut``.

    Example:

    >>> import keras
    >>> basic_stack(keras.Input((32, 32, 16)), 24, 2, name="conv2").shape
    (None, 16, 16, 24)
    """
    changed, same = resolve_shortcut(shortcut)
    places = _at_first(stride1, blocks, dilation)
    ways = (changed and where_needed(changed, same), same)
    return _repeat(basic_block, x, filters, places, name or "basic_stack", ways, **options)


def stack1(x, filters, blocks, stride1=2, name=None, *, shortcut="B", dilation=1, **options):
    """``blocks`` times `block1` (ResNet v1), the stride in the first.

    Source: He et al., arXiv:1512.03385, table 1 (50 layers and more).

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Bottleneck channels; the output has ``4 * filters``.
        blocks: How many blocks, at least 1.
        stride1: Stride of the first block.
        name: First part of every layer name; ``"stack1"`` when None.
        shortcut: ``"A"``, ``"B"``, ``"C"``, ``"D"`` or ``"none"``; or a pair of functions.
        dilation, **options: As `block1` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), 4 * filters).

    Raises:
        ValueError: ``blocks`` below 1, or no such ``shortcut``.

    Example:

    >>> import keras
    >>> stack1(keras.Input((32, 32, 16)), 8, 3, name="conv2").shape
    (None, 16, 16, 32)
    """
    places = _at_first(stride1, blocks, dilation)
    return _repeat(block1, x, filters, places, name or "stack1", resolve_shortcut(shortcut), **options)


def stack2(x, filters, blocks, stride1=2, name=None, *, shortcut="B", dilation=1, **options):
    """``blocks`` times `block2` (ResNet V2), the stride in the last.

    Source: He et al., arXiv:1603.05027, section 3, as keras.applications builds it.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Bottleneck channels; the output has ``4 * filters``.
        blocks: How many blocks, at least 1.
        stride1: Stride of the last block.
        name: First part of every layer name; ``"stack2"`` when None.
        shortcut: ``"A"``, ``"B"``, ``"C"``, ``"D"`` or ``"none"``; or a pair of functions.
        dilation, **options: As `block2` has them.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), 4 * filters).

    Raises:
        ValueError: ``blocks`` below 1, or no such ``shortcut``.

    Example:

    >>> import keras
    >>> stack2(keras.Input((32, 32, 16)), 8, 3, name="conv2").shape
    (None, 16, 16, 32)
    """
    places = _at_last(stride1, blocks, dilation)
    return _repeat(block2, x, filters, places, name or "stack2", resolve_shortcut(shortcut), **options)


def stack3(x, filters, blocks, stride1=2, groups=32, name=None, *, shortcut="B", dilation=1, **options):
    """``blocks`` times `block3` (ResNeXt), the stride in the first.

    Source: Xie et al., arXiv:1611.05431, table 1.

    Args:
        x: Keras tensor, (N, H, W, C) or (N, C, H, W).
        filters: Bottleneck channels, a multiple of ``groups``.
        blocks: How many blocks, at least 1.
        stride1: Stride of the first block.
        groups: Groups of every 3x3 convolution.
        name: First part of every layer name; ``"stack3"`` when None.
        shortcut: ``"A"``, ``"B"``, ``"C"``, ``"D"`` or ``"none"``; or a pair of functions.
        dilation, **options: As `block3` has them, ``expansion`` too.

    Returns:
        Keras tensor, (N, ceil(H / stride1), ceil(W / stride1), (64 // groups) * filters).

    Raises:
        ValueError: ``blocks`` below 1, or no such ``shortcut``.

    Example:

    >>> import keras
    >>> stack3(keras.Input((32, 32, 16)), 64, 3, name="conv2").shape
    (None, 16, 16, 128)
    """
    places = _at_first(stride1, blocks, dilation)
    ways = resolve_shortcut(shortcut)
    return _repeat(block3, x, filters, places, name or "stack3", ways, groups=groups, **options)
