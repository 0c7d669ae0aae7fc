"""A residual network is a stem, a stack_fn and a head.

What the arguments mean is settled first (`Head`, `resolve_input_shape`): every mistake is said before
the first layer exists. `assemble` then only builds.
"""

import dataclasses
import numbers
from collections.abc import Callable

import keras

from .parts import Conv, Style, activate, convolve, max_pool, normalise, zero_pad

SMALLEST_INPUT = 32  # five halvings: one pixel is left at the end


@dataclasses.dataclass(frozen=True)
class Head:
    """What follows the last stage: a classifier, a global pool or nothing."""

    include_top: bool = True
    pooling: str | None = None
    classes: int = 1000
    activation: object = "softmax"

    def __post_init__(self):
        if self.pooling not in (None, "avg", "max"):
            raise ValueError(f"pooling must be None, 'avg' or 'max'. Received: pooling={self.pooling!r}")
        if not _is_whole_number(self.classes) or self.classes < 1:
            raise ValueError(f"classes must be an integer of at least 1. Received: classes={self.classes!r}")
        object.__setattr__(self, "classes", int(self.classes))
        try:
            keras.activations.get(self.activation)
        except (ValueError, TypeError) as error:
            raise ValueError(
                "classifier_activation must be None, a callable or the name of a Keras activation. "
                f"Received: classifier_activation={self.activation!r}"
            ) from error


def resolve_input_shape(input_shape, input_tensor, include_top: bool, data_format: str, size: int):
    """Settle the shape of one picture, or say what is wrong with it.

    Args:
        input_shape: Three numbers in the data format's order, height and width possibly None; or None.
        input_tensor: Keras tensor to build on; or None.
        include_top: Whether a classifier follows: without one the default size is open.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        size: Default height and width.

    Returns:
        A tuple of three, in the data format's order.

    Raises:
        ValueError: Wrong length or type, smaller than 32x32, or at odds with ``input_tensor``.
    """
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            raise ValueError(
                "input_tensor must be a Keras tensor, such as keras.Input((224, 224, 3)). "
                f"Received: input_tensor of type {type(input_tensor).__name__}"
            )
        shape = _checked_shape(input_tensor.shape[1:], data_format, "input_tensor.shape[1:]")
        if input_shape is not None and _checked_shape(input_shape, data_format, "input_shape") != shape:
            raise ValueError(
                "input_shape and input_tensor must agree; one of them is enough. "
                f"Received: input_shape={tuple(input_shape)}, input_tensor.shape={tuple(input_tensor.shape)}"
            )
        return shape
    if input_shape is None:
        side = size if include_top else None
        return (side, side, 3) if data_format == "channels_last" else (3, side, side)
    return _checked_shape(input_shape, data_format, "input_shape")


def _checked_shape(shape, data_format: str, argument: str) -> tuple:
    order = (
        ("height", "width", "channels") if data_format == "channels_last" else ("channels", "height", "width")
    )
    received = f"Received: {argument}={shape!r}"
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise ValueError(f"{argument} must be three numbers ({', '.join(order)}). {received}")
    sides = dict(zip(order, shape, strict=True))
    for side, length in sides.items():
        if length is None and side != "channels":
            continue
        smallest = 1 if side == "channels" else SMALLEST_INPUT
        if not _is_whole_number(length) or length < smallest:
            raise ValueError(
                f"{side} must be an integer of at least {smallest}"
                f"{'' if side == 'channels' else ' or None'} in {argument} = ({', '.join(order)}). "
                f"{received}, data_format={data_format!r}"
            )
    return tuple(length if length is None else int(length) for length in shape)


def _is_whole_number(value) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def channels_of(shape: tuple, data_format: str) -> int:
    """Channels in a shape that `resolve_input_shape` returned."""
    return shape[-1] if data_format == "channels_last" else shape[0]


def assemble(
    stack_fn: Callable,
    preact: bool,
    use_bias: bool,
    input_shape: tuple,
    input_tensor,
    head: Head,
    style: Style,
    name: str,
) -> keras.Model:
    """Build stem, stacks and head as one functional model; the input layer is called ``images``."""
    images = keras.Input(input_shape, name="images") if input_tensor is None else input_tensor
    x = _stem(images, preact, use_bias, style)
    x = stack_fn(x)
    if preact:
        x = normalise(x, "post", style)
        x = activate(x, "post_relu", style)
    x = _head(x, head, style)
    inputs = images if input_tensor is None else keras.utils.get_source_inputs(input_tensor)
    return keras.Model(inputs, x, name=name)


def _stem(x, preact: bool, use_bias: bool, style: Style):
    x = convolve(x, Conv(64, 7, 2, bias=use_bias, pad="explicit"), "conv1", style)
    if not preact:
        x = normalise(x, "conv1", style)
        x = activate(x, "conv1_relu", style)
    x = zero_pad(x, 1, "pool1", style)
    return max_pool(x, 3, 2, "pool1", style)


def _head(x, head: Head, style: Style):
    if head.include_top or head.pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(**style.spatial("avg_pool"))(x)
    elif head.pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(**style.spatial("max_pool"))(x)
    if head.include_top:
        x = keras.layers.Dense(
            head.classes, activation=head.activation, dtype=style.dtype, name="predictions"
        )(x)
    return x
