"""Blocks and stacks by themselves: shapes, names, both data formats, what they refuse."""

import keras
import numpy as np
import pytest

from keras_resnets import basic_block, basic_stack, block1, block2, block3, stack1, stack2, stack3

from ..conftest import as_numpy

BLOCKS = {basic_block: 8, block1: 32, block2: 32, block3: 16}
STACKS = {basic_stack: 8, stack1: 32, stack2: 32, stack3: 16}
GROUPS = {block3: {"groups": 4, "expansion": 2}, stack3: {"groups": 4, "expansion": 2}}


def build(part, shape=(16, 16, 12), **options):
    images = keras.Input(shape)
    return keras.Model(images, part(images, 8, **GROUPS.get(part, {}), **options))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_strides_and_projects(block, stride):
    model = build(block, stride=stride, conv_shortcut=True, name="b")
    side = -(-16 // stride)
    assert model.output_shape == (None, side, side, BLOCKS[block])


@pytest.mark.parametrize("block", BLOCKS)
def test_a_kernel_may_be_a_pair(block):
    pair, one = (build(block, kernel_size=size, conv_shortcut=True, name="b") for size in ((3, 5), 3))
    assert pair.output_shape == one.output_shape
    assert pair.get_layer("b_2_conv").kernel.shape[:2] == (3, 5)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_without_projection_adds_its_input(block):
    model = build(block, (16, 16, BLOCKS[block]), conv_shortcut=False, name="b")
    assert not any("_0_" in layer.name for layer in model.layers)
    addition = next(layer for layer in model.layers if isinstance(layer, keras.layers.Add))
    assert addition.input[0] is model.inputs[0]


@pytest.mark.parametrize("block", BLOCKS)
def test_an_identity_that_cannot_be_added_is_refused_by_name(block):
    with pytest.raises(
        ValueError, match=rf"b: .* {BLOCKS[block]} channels .*12 channels.*conv_shortcut=True"
    ):
        build(block, conv_shortcut=False, name="b")


@pytest.mark.parametrize("part", [*BLOCKS, *STACKS])
def test_the_two_data_formats_agree(part, chance):
    options = {"blocks": 2} if part in STACKS else {"stride": 2, "conv_shortcut": True}
    last = build(part, data_format="channels_last", **options)
    first = build(part, (12, 16, 16), data_format="channels_first", **options)
    first.set_weights(last.get_weights())
    images = chance.normal(size=(2, 16, 16, 12)).astype("float32")
    theirs = np.moveaxis(as_numpy(first(np.moveaxis(images, -1, 1))), 1, -1)
    np.testing.assert_allclose(as_numpy(last(images)), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", [*BLOCKS, *STACKS])
def test_names_are_the_same_in_every_build(part):
    options = {"blocks": 2} if part in STACKS else {"conv_shortcut": True}
    first, second = build(part, **options), build(part, **options)
    assert [x.name for x in first.layers[1:]] == [x.name for x in second.layers[1:]]
    assert all(x.name.startswith(part.__name__) for x in first.layers[1:])


@pytest.mark.parametrize(("stack", "strided"), [(stack1, 1), (stack3, 1), (basic_stack, 1), (stack2, 3)])
def test_a_stack_has_one_stride_and_one_projection(stack, strided):
    model = build(stack, blocks=3, name="s")
    widths = {layer.name: layer.output.shape[1] for layer in model.layers if layer.name.endswith("_out")}
    assert [widths[f"s_block{i}_out"] for i in (1, 2, 3)] == [16 if i < strided else 8 for i in (1, 2, 3)]
    projections = [layer.name for layer in model.layers if layer.name.endswith("_0_conv")]
    assert projections == ["s_block1_0_conv"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_of_one_block_and_of_none(stack):
    assert build(stack, blocks=1).output_shape == (None, 8, 8, STACKS[stack])
    with pytest.raises(ValueError, match="blocks must be at least 1. Received: blocks=0"):
        build(stack, blocks=0)


@pytest.mark.parametrize(("groups", "expansion"), [(1, None), (2, None), (8, 3), (8, None)])
def test_block3_takes_any_groups_that_divide(groups, expansion):
    images = keras.Input((16, 16, 12))
    out = block3(images, 8, groups=groups, expansion=expansion)
    assert out.shape[-1] == 8 * (64 // groups if expansion is None else expansion)


@pytest.mark.parametrize(
    ("groups", "match"), [(3, "groups=3, filters=8"), (0, "groups=0"), (128, "groups=128")]
)
def test_block3_refuses_other_groups(groups, match):
    with pytest.raises(ValueError, match=match):
        block3(keras.Input((16, 16, 12)), 8, groups=groups)


def test_a_misspelt_style_is_named():
    with pytest.raises(TypeError, match="data_formats"):
        block1(keras.Input((16, 16, 12)), 8, data_formats="channels_last")
    with pytest.raises(ValueError, match="Received: data_format='last'"):
        block1(keras.Input((16, 16, 12)), 8, data_format="last")
