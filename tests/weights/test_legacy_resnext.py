"""ResNeXt as keras-applications had it, written from its description, against the grouped network.

The legacy network computes a grouped convolution as a depthwise one with c outputs a channel, of which each
group's are summed: first by a function, later by a 1x1 convolution with a fixed kernel.
"""

import keras
import numpy as np
import pytest
from keras import layers

import keras_resnets
from keras_resnets import ResNet, load_weights, stack3

from ..conftest import as_numpy, randomise
from .legacy import write_legacy


class SumOfGroups(layers.Layer):
    """(N, H, W, F * c) -> (N, H, W, F): output m of a group adds multiplier m of the group's c channels."""

    def __init__(self, filters, groups, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.groups = filters, groups

    def call(self, x):
        _, height, width, _ = x.shape
        c = self.filters // self.groups
        x = keras.ops.reshape(x, (-1, height, width, self.groups, c, c))
        return keras.ops.reshape(keras.ops.sum(x, axis=4), (-1, height, width, self.filters))


def fixed_sum(filters, groups, name):
    """The later form: a 1x1 convolution whose kernel is ones where a multiplier belongs to an output."""
    c = filters // groups
    kernel = np.zeros((1, 1, filters * c, filters), "float32")
    for output in range(filters):
        group, multiplier = divmod(output, c)
        for channel in range(c):
            kernel[0, 0, (group * c + channel) * c + multiplier, output] = 1
    conv = layers.Conv2D(filters, 1, use_bias=False, name=name)
    conv.build((None, None, None, filters * c))
    conv.set_weights([kernel])
    return conv


def legacy_block(x, filters, stride, groups, project, name, as_conv, epsilon=1.001e-5):
    def norm(x, slot):
        return layers.BatchNormalization(epsilon=epsilon, name=f"{name}_{slot}_bn")(x)

    width = (64 // groups) * filters
    shortcut = x
    if project:
        shortcut = layers.Conv2D(width, 1, stride, use_bias=False, name=f"{name}_0_conv")(x)
        shortcut = norm(shortcut, 0)
    x = layers.ReLU()(norm(layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(x), 1))
    x = layers.ZeroPadding2D(1)(x)
    depth = filters // groups
    x = layers.DepthwiseConv2D(3, stride, depth_multiplier=depth, use_bias=False, name=f"{name}_2_conv")(x)
    summed = (
        fixed_sum(filters, groups, f"{name}_2_gconv")
        if as_conv
        else SumOfGroups(filters, groups, name=f"{name}_2_reduce")
    )
    x = layers.ReLU()(norm(summed(x), 2))
    x = norm(layers.Conv2D(width, 1, use_bias=False, name=f"{name}_3_conv")(x), 3)
    return layers.ReLU(name=f"{name}_out")(layers.Add()([shortcut, x]))


def legacy_network(blocks, filters, groups, size, as_conv=False, classes=1000, **options):
    images = keras.Input((size, size, 3))
    x = layers.ZeroPadding2D(3)(images)
    x = layers.Conv2D(64, 7, 2, use_bias=False, name="conv1_conv")(x)
    x = layers.ReLU()(layers.BatchNormalization(epsilon=1.001e-5, name="conv1_bn")(x))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    for stage, (count, width) in enumerate(zip(blocks, filters, strict=True), 2):
        for block in range(1, count + 1):
            stride = 2 if stage > 2 and block == 1 else 1
            name = f"conv{stage}_block{block}"
            x = legacy_block(x, width, stride, groups, block == 1, name, as_conv, **options)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(classes, "softmax", name="probs")(x))


def stage_outputs(model):
    last = {}
    for layer in model.layers:
        if layer.name.startswith("conv") and layer.name.endswith("_out"):
            last[layer.name.split("_")[0]] = layer.output
    return keras.Model(model.input, [*last.values(), model.output])


def largest_difference(ours, theirs, images):
    pairs = zip(stage_outputs(ours)(images), stage_outputs(theirs)(images), strict=True)
    return max(np.abs(as_numpy(a) - as_numpy(b)).max() / np.abs(as_numpy(b)).max() for a, b in pairs)


@pytest.mark.parametrize(
    ("constructor", "blocks"), [("ResNeXt50", (3, 4, 6, 3)), ("ResNeXt101", (3, 4, 23, 3))]
)
def test_the_networks_equal_the_legacy_ones(constructor, blocks, tmp_path, chance):
    theirs = randomise(legacy_network(blocks, (128, 256, 512, 1024), 32, 64))
    path = write_legacy(theirs, tmp_path / "resnext.h5")
    ours = getattr(keras_resnets, constructor)(weights=path, input_shape=(64, 64, 3))
    assert largest_difference(ours, theirs, chance.normal(size=(1, 64, 64, 3)).astype("float32")) <= 1e-5


def narrow(groups):
    def stack_fn(x):
        return stack3(
            stack3(x, 16, 1, stride1=1, groups=groups, name="conv2"), 32, 2, groups=groups, name="conv3"
        )

    return ResNet(stack_fn, False, False, weights=None, input_shape=(32, 32, 3), classes=5, name="narrow")


@pytest.mark.parametrize("groups", [1, 4, 16])
def test_files_with_the_sum_as_a_convolution(groups, tmp_path, chance):
    theirs = randomise(legacy_network((1, 2), (16, 32), groups, 32, as_conv=False, classes=5))
    with_conv = legacy_network((1, 2), (16, 32), groups, 32, as_conv=True, classes=5)
    for layer in theirs.layers:
        if layer.weights:
            with_conv.get_layer(layer.name).set_weights(layer.get_weights())
    ours = narrow(groups)
    report = load_weights(ours, write_legacy(with_conv, tmp_path / "narrow.h5"))
    assert "conv3_block2_2_conv" in report.loaded
    assert largest_difference(ours, with_conv, chance.normal(size=(2, 32, 32, 3)).astype("float32")) <= 1e-5


def test_a_trained_sum_is_refused(tmp_path):
    theirs = legacy_network((1, 2), (16, 32), 4, 32, as_conv=True, classes=5)
    layer = theirs.get_layer("conv3_block1_2_gconv")
    layer.set_weights([layer.get_weights()[0] * 1.5])
    with pytest.raises(ValueError, match="conv3_block1_2_gconv is not the fixed sum"):
        load_weights(narrow(4), write_legacy(theirs, tmp_path / "narrow.h5"))


def test_the_comparison_notices_a_change(tmp_path, chance):
    theirs = randomise(legacy_network((1, 2), (16, 32), 4, 32, classes=5, epsilon=1e-3))
    ours = narrow(4)
    load_weights(ours, write_legacy(theirs, tmp_path / "narrow.h5"))
    assert largest_difference(ours, theirs, chance.normal(size=(2, 32, 32, 3)).astype("float32")) > 1e-5
