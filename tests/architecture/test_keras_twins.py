"""The six networks of keras.applications, walked layer by layer and compared number by number."""

import keras
import numpy as np
import pytest

import keras_resnets

from ..conftest import as_numpy

TWINS = ["ResNet50", "ResNet101", "ResNet152", "ResNet50V2", "ResNet101V2", "ResNet152V2"]

# The layers that keras.applications leaves to be numbered by the process, and our names for them.
UNNAMED = {"InputLayer": "images", "MaxPooling2D": "_0_pool"}


def twins(constructor, **options):
    ours = getattr(keras_resnets, constructor)(weights=None, **options)
    theirs = getattr(keras.applications, constructor)(weights=None, **options)
    return ours, theirs


def assert_same_name(ours, theirs):
    ending = UNNAMED.get(type(theirs).__name__)
    if ending and (isinstance(theirs, keras.layers.InputLayer) or theirs.name.startswith("max_pooling2d")):
        assert ours.name.endswith(ending)
    else:
        assert ours.name == theirs.name


def settings(layer):
    """A layer's configuration without its name and without random seeds."""
    config = {key: value for key, value in layer.get_config().items() if key != "name"}
    for value in config.values():
        if isinstance(value, dict):
            value.get("config", {}).pop("seed", None)
    return config


def inputs_of(model):
    """For each layer the places, in the list of layers, of the layers that feed it."""
    place = {layer.name: i for i, layer in enumerate(model.layers)}
    return [
        [place[tensor._keras_history.operation.name] for tensor in node.input_tensors]
        for layer in model.layers
        for node in layer._inbound_nodes
    ]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("constructor", TWINS)
def test_the_same_graph(constructor, data_format):
    keras.config.set_image_data_format(data_format)
    ours, theirs = twins(constructor)
    assert len(ours.layers) == len(theirs.layers)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert_same_name(a, b)
        assert type(a).__name__ == type(b).__name__ and isinstance(a, type(b))
        assert settings(a) == settings(b), a.name
    assert inputs_of(ours) == inputs_of(theirs)
    layout = [(v.path.split("/")[-2:], v.shape, v.dtype, v.trainable) for v in ours.weights]
    assert layout == [(v.path.split("/")[-2:], v.shape, v.dtype, v.trainable) for v in theirs.weights]
    assert ours.name == theirs.name


@pytest.mark.parametrize(
    "options",
    [
        {"include_top": False},
        {"include_top": False, "pooling": "avg"},
        {"include_top": False, "pooling": "max"},
    ],
)
@pytest.mark.parametrize("constructor", ["ResNet50", "ResNet50V2"])
def test_the_same_graph_without_a_top(constructor, options):
    ours, theirs = twins(constructor, **options)
    assert [type(layer).__name__ for layer in ours.layers] == [
        type(layer).__name__ for layer in theirs.layers
    ]
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert_same_name(a, b)
    assert ours.output_shape == theirs.output_shape


def stages(model):
    """The model with the tensor at the end of every stage as an output."""
    last = {}
    for layer in model.layers:
        if layer.name.startswith("conv") and (layer.name.endswith("_out") or layer.name == "conv1_conv"):
            last[layer.name.split("_")[0]] = layer.output
    return keras.Model(model.input, [*last.values(), model.output])


def relative_difference(ours, theirs):
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("constructor", TWINS)
def test_the_same_numbers_at_every_stage(constructor, data_format, chance):
    keras.config.set_image_data_format(data_format)
    shape = (64, 64, 3) if data_format == "channels_last" else (3, 64, 64)
    ours, theirs = twins(constructor, input_shape=shape)
    # Kernels as they were drawn; statistics such that no norm is trivial and no activation grows or dies.
    values = [
        1 + 0.1 * chance.random(v.shape) if v.name in ("gamma", "moving_variance")
        else 0.1 * chance.normal(size=v.shape) if v.name in ("bias", "beta", "moving_mean")
        else keras.ops.convert_to_numpy(v)
        for v in ours.weights
    ]  # fmt: skip
    ours.set_weights(values)
    theirs.set_weights(values)
    images = chance.normal(0, 60, (2, *shape)).astype("float32")
    pairs = zip(stages(ours)(images), stages(theirs)(images), strict=True)
    differences = [relative_difference(*map(as_numpy, pair)) for pair in pairs]
    assert len(differences) == 6 and max(differences) <= 1e-5


def test_the_comparison_notices_a_change(chance):
    """The same walk fails for another epsilon, so it would fail for ours."""
    ours, theirs = twins("ResNet50", input_shape=(64, 64, 3))
    theirs.set_weights(ours.get_weights())
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.epsilon = 1e-3
    images = chance.normal(0, 60, (1, 64, 64, 3)).astype("float32")
    assert relative_difference(as_numpy(ours(images)), as_numpy(theirs(images))) > 1e-5
    assert settings(ours.get_layer("conv1_bn")) != settings(theirs.get_layer("conv1_bn"))
