"""Residual networks in the words of MATLAB's ``resnetNetwork``, built from the same blocks."""

import functools
from collections.abc import Sequence

import keras
import numpy as np

from .architecture.blocks import after_add, post_activation
from .architecture.network import Head, Plan, Stem, assemble, check_name
from .architecture.parts import Conv, Pool, pair
from .architecture.shortcuts import identity, projection, where_needed
from .architecture.stacks import basic_stack, stack1
from .architecture.style import Style, is_whole_number
from .inspection import NORMALIZATIONS, normalization_of
from .models import register
from .weights.loading import settle

KEY = "residual_network"

_FOLDS = {"batchnorm-before-add": post_activation, "batchnorm-after-add": after_add}
_STACKS = {
    "downsample-first-conv": stack1,
    "none": functools.partial(basic_stack, bias=True, pad="same"),
}
_POOLS = {"max": Pool("max", pad="same"), "average": Pool("average", pad="same"), "none": None}


def residual_network(
    input_size,
    num_classes,
    *,
    initial_filter_size=7,
    initial_num_filters=64,
    initial_stride=2,
    initial_pooling_layer="max",
    residual_block_type="batchnorm-before-add",
    bottleneck_type="downsample-first-conv",
    stack_depth=(3, 4, 6, 3),
    num_filters=(64, 128, 256, 512),
    normalization="zerocenter",
    data_format=None,
    dtype=None,
    name=KEY,
):
    """Build a residual network of any depth and width, as MATLAB's ``resnetNetwork`` describes it.

    Source: MathWorks, ``resnetNetwork``; He et al., arXiv:1512.03385 and 1603.05027. Convolutions have biases
    and SAME padding, kernels He's initialisation, the first layer a normalisation that `adapt` sets.

    Args:
        input_size: (height, width), or (height, width, channels); two numbers mean one channel.
        num_classes: Classes, at least 2.
        initial_filter_size: Size of the first convolution: a number, or (height, width).
        initial_num_filters: Its filters.
        initial_stride: Its stride: a number, or (height, width).
        initial_pooling_layer: ``"max"``, ``"average"`` (3x3, stride 2) or ``"none"``.
        residual_block_type: ``"batchnorm-before-add"``, or ``"batchnorm-after-add"``: the last norm behind
            the addition.
        bottleneck_type: ``"downsample-first-conv"``: 1x1, 3x3, 1x1 with four times the filters, the stride in
            the first; ``"none"``: 3x3, 3x3.
        stack_depth: Blocks in each stack.
        num_filters: Filters of the convolutions in each stack, as many numbers as ``stack_depth`` has.
        normalization: ``"zerocenter"`` subtracts the training data's mean, ``"zscore"`` also divides by its
            standard deviation, a channel each.
        data_format: ``"channels_last"``, ``"channels_first"``, or None for Keras' global setting.
        dtype: Dtype policy of every layer; None for Keras' global setting.
        name: What the model is called.

    Returns:
        A functional ``keras.Model`` from raw images, (N, height, width, channels), to (N, num_classes)
        probabilities.

    Raises:
        ValueError: An argument is wrong, or the picture too small for the strides; said before anything is
            built.

    Example:

    >>> from keras_resnets import network_depth, residual_network
    >>> model = residual_network((32, 32), 10, initial_filter_size=3, initial_stride=1,
    ...     initial_pooling_layer="none", bottleneck_type="none", stack_depth=(2, 2), num_filters=(8, 16))
    >>> model.input_shape, model.output_shape, network_depth((2, 2), bottleneck=False)
    ((None, 32, 32, 1), (None, 10), 10)
    """
    options = {
        option: value for option, value in locals().items() if option not in ("input_size", "num_classes")
    }
    check_name(name)
    for argument, allowed in (
        ("initial_pooling_layer", _POOLS),
        ("residual_block_type", _FOLDS),
        ("bottleneck_type", _STACKS),
        ("normalization", NORMALIZATIONS),
    ):
        if not isinstance(options[argument], str) or options[argument] not in allowed:
            raise ValueError(
                f"{argument} must be one of {', '.join(map(repr, allowed))}. "
                f"Received: {argument}={options[argument]!r}"
            )
    *sides, channels = _input_size(input_size)
    filter_size = _one_or_two("initial_filter_size", initial_filter_size)
    stride = _one_or_two("initial_stride", initial_stride)
    _whole("initial_num_filters", initial_num_filters)
    _whole("num_classes", num_classes, least=2)
    stack_depth = _list("stack_depth", stack_depth)
    num_filters = _list("num_filters", num_filters)
    if len(stack_depth) != len(num_filters):
        raise ValueError(
            "stack_depth and num_filters must be of the same length: one number a stack. Received: "
            f"stack_depth={stack_depth}, num_filters={num_filters}"
        )
    pool = _POOLS[initial_pooling_layer]
    _check_sides(sides, stride, pool.stride if pool else 1, len(stack_depth))

    style = Style(data_format, dtype, epsilon=1e-5, momentum=0.9, kernel_initializer="he_normal")
    fold, stack = _FOLDS[residual_block_type], _STACKS[bottleneck_type]

    def stack_fn(x):
        for number, (depth, filters) in enumerate(zip(stack_depth, num_filters, strict=True), 2):
            x = stack(
                x,
                filters,
                depth,
                stride1=1 if number == 2 else 2,
                name=f"conv{number}",
                fold=fold,
                shortcut=(where_needed(projection, identity), identity),
                **vars(style),
            )
        return x

    first = Conv(initial_num_filters, filter_size, stride, bias=True, pad="same")
    shape = (*sides, channels) if style.data_format == "channels_last" else (channels, *sides)
    normalise = keras.layers.Normalization(style.channel_axis, dtype=style.dtype, name=normalization)
    head = Head(classes=num_classes)
    model = assemble(Plan(name, Stem((first,), pool), stack_fn, False, head, style, shape, before=normalise))
    settled = {
        "input_size": (*sides, channels),
        "num_classes": int(num_classes),
        "initial_filter_size": filter_size,
        "initial_num_filters": int(initial_num_filters),
        "initial_stride": stride,
        "stack_depth": stack_depth,
        "num_filters": num_filters,
        "data_format": style.data_format,
        "dtype": style.dtype,
    }
    register(model, KEY, options | settled)
    return model


def network_depth(stack_depth: Sequence[int], bottleneck: bool = True) -> int:
    """Convolutions on the way from input to output, and the fully connected layer.

    >>> network_depth((3, 4, 6, 3)), network_depth((3, 4, 6, 3), bottleneck=False)
    (50, 34)
    """
    return 1 + (3 if bottleneck else 2) * sum(stack_depth) + 1


def adapt(model: keras.Model, data) -> None:
    """Set the normalisation at the front of a network from training data.

    Args:
        model: A network of `residual_network`.
        data: Images as the model takes them: an array (N, H, W, C), (N, H, W) where C is 1, a
            ``tf.data.Dataset`` or an iterable of batches, each perhaps with labels.

    Raises:
        ValueError: The model has no such layer.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import adapt, residual_network
    >>> model = residual_network((32, 32, 3), 2, stack_depth=(1, 1), num_filters=(4, 8))
    >>> adapt(model, np.full((8, 32, 32, 3), 7.0))
    >>> [float(mean) for mean in model.get_layer("zerocenter").mean[0, 0, 0]]
    [7.0, 7.0, 7.0]
    """
    layer = normalization_of(model)
    if layer is None:
        raise ValueError(
            f"{model.name!r} has no normalisation to adapt; networks of residual_network() have one. "
            "Others take pictures that preprocess() made ready"
        )
    if isinstance(data, np.ndarray):
        if data.ndim == 3 and model.input_shape[layer.axis[0]] == 1:
            data = np.expand_dims(data, layer.axis[0])
        if data.ndim != 4:
            raise ValueError(
                f"data must be images as the model takes them, {model.input_shape}. Received: {data.shape}"
            )
    layer.adapt(data)
    if layer.name == "zerocenter":
        layer.adapt_variance.assign(np.ones(layer.adapt_variance.shape))
    settle(model)


def _whole(name: str, value, least: int = 1) -> int:
    if not is_whole_number(value) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={value!r}")
    return int(value)


def _list(name: str, values) -> tuple[int, ...]:
    if is_whole_number(values):
        values = (values,)
    if not isinstance(values, (tuple, list, np.ndarray)) or not len(values):
        raise ValueError(f"{name} must be integers, such as 7 or (3, 4, 6, 3). Received: {name}={values!r}")
    return tuple(_whole(name, value) for value in values)


def _one_or_two(name: str, values) -> tuple[int, int]:
    numbers = _list(name, values)
    if len(numbers) > 2:
        raise ValueError(f"{name} must be a number or (height, width). Received: {name}={values!r}")
    return pair(numbers[0] if len(numbers) == 1 else numbers)


def _input_size(input_size) -> tuple[int, int, int]:
    if not isinstance(input_size, (tuple, list, np.ndarray)) or len(input_size) not in (2, 3):
        raise ValueError(
            "input_size must be (height, width) or (height, width, channels). "
            f"Received: input_size={input_size!r}"
        )
    height, width, channels = (*input_size, 1)[:3]
    return _whole("input_size", height), _whole("input_size", width), _whole("input_size", channels)


def _check_sides(sides, stride: tuple[int, int], pooling_stride: int, stacks: int) -> None:
    smallest = tuple(s * pooling_stride * 2 ** (stacks - 1) for s in stride)
    if any(side < least for side, least in zip(sides, smallest, strict=True)):
        raise ValueError(
            "height and width must be at least initial_stride * pooling_stride * 2**(stacks - 1) = "
            f"{' and '.join(f'{s} * {pooling_stride} * 2**{stacks - 1}' for s in stride)}: the smallest "
            f"picture is {smallest}. Received: {tuple(sides)}"
        )
