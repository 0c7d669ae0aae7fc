"""A residual network is a stem, a stack_fn and a head.

What the arguments mean is settled first (`Head`, `resolve_input_shape`): every mistake is said before
the first layer exists. `assemble` then only builds.
"""

import dataclasses
import math
import sys
from collections.abc import Callable
from typing import NamedTuple

import keras

from .names import join
from .parts import Conv, Pool, activate, convolve, drop, normalise, pool
from .style import Style, check_rate, is_whole_number


class Stem(NamedTuple):
    """What comes before the first stage: convolutions, and perhaps a pool."""

    convs: tuple[Conv, ...]
    pool: Pool | None = None

    @property
    def reduction(self) -> int:
        """How much smaller a picture leaves it."""
        return math.prod(conv.stride for conv in self.convs) * (self.pool.stride if self.pool else 1)


def keras_stem(use_bias: bool) -> Stem:
    return Stem((Conv(64, 7, 2, bias=use_bias, pad="explicit"),), Pool())


@dataclasses.dataclass(frozen=True)
class Head:
    """What follows the last stage: a classifier, a global pool or nothing."""

    include_top: bool = True
    pooling: str | None = None
    classes: int = 1000
    activation: object = "softmax"
    dropout_rate: float = 0.0

    def __post_init__(self):
        check_rate("dropout_rate", self.dropout_rate)
        if self.pooling not in (None, "avg", "max"):
            raise ValueError(f"pooling must be None, 'avg' or 'max'. Received: pooling={self.pooling!r}")
        if not is_whole_number(self.classes) or self.classes < 1:
            raise ValueError(f"classes must be an integer of at least 1. Received: classes={self.classes!r}")
        object.__setattr__(self, "classes", int(self.classes))
        try:
            keras.activations.get(self.activation)
        except (ValueError, TypeError) as error:
            raise ValueError(
                "classifier_activation must be None, a callable or the name of a Keras activation. "
                f"Received: classifier_activation={self.activation!r}"
            ) from error


def check_name(name) -> None:
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"name must be a text without '/'. Received: name={name!r}")


class Input(NamedTuple):
    """What a network takes when it is not told: a square picture, no side shorter than ``smallest``."""

    size: int = 224
    channels: int = 3
    smallest: int = 32  # five halvings: one pixel is left at the end


def resolve_input_shape(
    input_shape, input_tensor, include_top: bool, data_format: str, default: Input, in_channels=None
):
    """Settle the shape of one picture, or say what is wrong with it.

    Args:
        input_shape: Three numbers in the data format's order, height and width possibly None; or None.
        input_tensor: Keras tensor to build on; or None.
        include_top: Whether a classifier follows: without one the default size is open.
        data_format: ``"channels_last"`` or ``"channels_first"``.
        default: What the network takes otherwise.
        in_channels: Channels, in place of a shape or in agreement with it; or None.

    Returns:
        A tuple of three, in the data format's order.

    Raises:
        ValueError: Wrong length or type, too small, or arguments at odds with each other.
    """
    shape = None
    if input_shape is not None:
        shape = _checked_shape(input_shape, data_format, "input_shape", default.smallest)
    if input_tensor is not None:
        if not keras.backend.is_keras_tensor(input_tensor):
            raise ValueError(
                "input_tensor must be a Keras tensor, such as keras.Input((224, 224, 3)). "
                f"Received: input_tensor of type {type(input_tensor).__name__}"
            )
        given = _checked_shape(
            input_tensor.shape[1:], data_format, "input_tensor.shape[1:]", default.smallest
        )
        if shape not in (None, given):
            raise ValueError(
                "input_shape and input_tensor must agree; one of them is enough. "
                f"Received: input_shape={tuple(input_shape)}, input_tensor.shape={tuple(input_tensor.shape)}"
            )
        shape = given
    if in_channels is not None and (not is_whole_number(in_channels) or in_channels < 1):
        raise ValueError(
            f"in_channels must be an integer of at least 1. Received: in_channels={in_channels!r}"
        )
    if shape is None:
        side = default.size if include_top else None
        channels = int(in_channels or default.channels)
        return (side, side, channels) if data_format == "channels_last" else (channels, side, side)
    if in_channels not in (None, channels_of(shape, data_format)):
        raise ValueError(
            "in_channels and the input's shape must agree; one of them is enough. "
            f"Received: in_channels={in_channels}, input shape {shape}, data_format={data_format!r}"
        )
    return shape


def _checked_shape(shape, data_format: str, argument: str, least: int) -> tuple:
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
        smallest = 1 if side == "channels" else least
        if not is_whole_number(length) or length < smallest:
            raise ValueError(
                f"{side} must be an integer of at least {smallest}"
                f"{'' if side == 'channels' else ' or None'} in {argument} = ({', '.join(order)}). "
                f"{received}, data_format={data_format!r}"
            )
    return tuple(length if length is None else int(length) for length in shape)


def channels_of(shape: tuple, data_format: str) -> int:
    """Channels in a shape that `resolve_input_shape` returned."""
    return shape[-1] if data_format == "channels_last" else shape[0]


@dataclasses.dataclass(frozen=True)
class Plan:
    """A network before its first layer.

    Attributes:
        stack_fn: Function from the stem's output to the last stage's.
        preact: Whether norm and activation come before the convolutions: then once more after the last stage.
        input_tensor: Keras tensor to build on; None for an input layer called ``images``.
        before: Function from the images to what the stem sees; None for the images themselves.
    """

    name: str
    stem: Stem
    stack_fn: Callable
    preact: bool
    head: Head
    style: Style
    input_shape: tuple
    input_tensor: object = None
    before: Callable | None = None


def assemble(plan: Plan) -> keras.Model:
    """Build stem, stacks and head as one functional model."""
    tensor, style = plan.input_tensor, plan.style
    images = keras.Input(plan.input_shape, name="images") if tensor is None else tensor
    x = plan.before(images) if plan.before else images
    x = _stem(x, plan.stem, plan.preact, style)
    x = plan.stack_fn(x)
    if plan.preact:
        x = normalise(x, "post", style)
        x = activate(x, "post_relu", style)
    x = _head(x, plan.head, style)
    return _model(images if tensor is None else keras.utils.get_source_inputs(tensor), x, plan.name)


def _model(inputs, outputs, name: str) -> keras.Model:
    """Keras walks a graph by recursion, a few calls a layer, which for 1000 layers and more is deeper than
    Python goes by default. The limit stays raised in this process: cloning and loading walk it again."""
    try:
        return keras.Model(inputs, outputs, name=name)
    except RecursionError:
        sys.setrecursionlimit(100_000)
        return keras.Model(inputs, outputs, name=name)


def cut(model: keras.Model, layers: dict[str, str]) -> keras.Model:
    """The network up to some of its layers: one output for each, under the name it is given."""
    outputs = {name: model.get_layer(layer).output for name, layer in layers.items()}
    return _model(model.input, outputs, model.name)


def _stem(x, stem: Stem, preact: bool, style: Style):
    for slot, conv in enumerate(stem.convs, 1):
        # The last one is plain conv1, however many there are: so publishers call its norm, too.
        name = join("conv1", slot if slot < len(stem.convs) else None)
        x = convolve(x, conv, name, style)
        if slot < len(stem.convs) or not preact:
            x = normalise(x, name, style)
            x = activate(x, join(name, "relu"), style)
    return pool(x, stem.pool, "pool1", style) if stem.pool else x


def _head(x, head: Head, style: Style):
    if head.include_top or head.pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(**style.spatial("avg_pool"))(x)
    elif head.pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(**style.spatial("max_pool"))(x)
    if head.include_top:
        x = drop(x, head.dropout_rate, "predictions", style)
        x = keras.layers.Dense(
            head.classes,
            activation=head.activation,
            kernel_initializer=style.initializer(),
            dtype=style.dtype,
            name="predictions",
        )(x)
    return x
