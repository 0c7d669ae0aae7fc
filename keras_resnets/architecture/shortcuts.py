"""The way past a block's convolutions: one function a way, one row an option of the paper.

Each function takes the block's input ``x``; the same input ``activated`` where the block begins with a norm
and an activation, else ``x`` again; and the row of the projection, which says what shape is needed.
"""

from .names import join
from .parts import Conv, average_pool, convolve, max_pool, normalise, pad_channels, zero_pad
from .style import Style


def fits(x, conv: Conv, style: Style) -> bool:
    """Whether the input can be added as it is."""
    return conv.stride == 1 and style.channels(x) == conv.filters


def identity(x, activated, conv: Conv, name: str, style: Style):
    """The input itself; where the block has a stride, every stride-th pixel of it."""
    if style.channels(x) != conv.filters:
        raise ValueError(
            f"{name}: an identity shortcut needs {conv.filters} channels at its input. Received: "
            f"{style.channels(x)} channels. Pass conv_shortcut=True to project"
        )
    return x if conv.stride == 1 else max_pool(x, 1, conv.stride, join(name, 0), style)


def zero_channels(x, activated, conv: Conv, name: str, style: Style):
    """The input itself, its new channels zero (option A)."""
    new = conv.filters - style.channels(x)
    if new < 0:
        raise ValueError(
            f"{name}: an identity shortcut cannot leave channels out. Received: {style.channels(x)} channels "
            f"for a block of {conv.filters}; use shortcut='B'"
        )
    if conv.stride != 1:
        x = max_pool(x, 1, conv.stride, join(name, 0), style)
    if not new:
        return x
    before = new // 2 if style.zeros == "both" else 0
    return pad_channels(x, before, new - before, join(name, 0), style)


def projection(x, activated, conv: Conv, name: str, style: Style):
    """A 1x1 convolution and, where the row has one, a norm (options B and C)."""
    x = convolve(activated, conv._replace(dilation=1), join(name, 0), style)
    return normalise(x, join(name, 0), style) if conv.norm else x


def pooled_projection(x, activated, conv: Conv, name: str, style: Style):
    """Average what a stride would skip, then project (He et al., arXiv:1812.01187, figure 2 c).

    Where dilation stands for the stride the average keeps the size: its window meets zeros at the far edge.
    """
    if conv.dilation > 1:
        activated = zero_pad(activated, ((0, 1), (0, 1)), join(name, 0), style)
        activated = average_pool(activated, 2, 1, join(name, 0), style)
    elif conv.stride != 1:
        activated = average_pool(activated, conv.stride, conv.stride, join(name, 0), style, "same")
    return projection(x, activated, conv._replace(stride=1), name, style)


def where_needed(changed, same):
    """One way where the block changes the shape, another where the input fits."""

    def choose(x, activated, conv: Conv, name: str, style: Style):
        return (same if fits(x, conv, style) else changed)(x, activated, conv, name, style)

    return choose


# Option: (the way where a stage begins, the way of its other blocks). None is no way: the paper's plain
# networks. Source: He et al., arXiv:1512.03385, sections 3.3 and 4.1; D: arXiv:1812.01187, section 4.1.
SHORTCUTS = {
    "A": (zero_channels, zero_channels),
    "B": (projection, identity),
    "C": (projection, projection),
    "D": (pooled_projection, identity),
    "none": (None, None),
}


def resolve_shortcut(shortcut: str | tuple) -> tuple:
    """An option of the table, or a pair of functions as it is."""
    if (
        isinstance(shortcut, tuple)
        and len(shortcut) == 2
        and all(way is None or callable(way) for way in shortcut)
    ):
        return shortcut
    if not isinstance(shortcut, str) or shortcut not in SHORTCUTS:
        allowed = ", ".join(map(repr, SHORTCUTS))
        raise ValueError(f"shortcut must be one of {allowed}. Received: shortcut={shortcut!r}")
    return SHORTCUTS[shortcut]
