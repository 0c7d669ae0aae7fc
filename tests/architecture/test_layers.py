"""The grouped convolution: the stock layer's numbers, gradients and files."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

from keras_resnets import ResNet, stack3
from keras_resnets.architecture.layers import Conv2D

from ..conftest import as_numpy

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own op")


def by_hand(images, layer):
    """The definition: every group of channels through a convolution of its own."""
    axis = -1 if layer.data_format == "channels_last" else 1
    kernel = keras.ops.convert_to_tensor(layer.kernel)
    groups = zip(
        keras.ops.split(images, layer.groups, axis), keras.ops.split(kernel, layer.groups, -1), strict=True
    )
    return keras.ops.concatenate(
        [
            keras.ops.conv(x, k, layer.strides, layer.padding, data_format=layer.data_format)
            for x, k in groups
        ],
        axis,
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_groups_are_convolutions_side_by_side(data_format, strides, padding, chance):
    layer = Conv2D(12, 3, strides, padding, groups=4, use_bias=False, data_format=data_format)
    shape = (2, 9, 9, 8) if data_format == "channels_last" else (2, 8, 9, 9)
    images = keras.ops.convert_to_tensor(chance.normal(size=shape).astype("float32"))
    np.testing.assert_allclose(as_numpy(layer(images)), as_numpy(by_hand(images, layer)), atol=1e-5)


@pytest.mark.parametrize("width", [7, 8])
def test_a_bias_is_a_channel_s_at_every_width(width, chance):
    """Keras adds it along the width where the map is as wide as it has channels."""
    layer = Conv2D(8, 1, data_format="channels_first")
    images = chance.normal(size=(2, 3, 5, width)).astype("float32")
    layer.build(images.shape)
    layer.bias.assign(chance.normal(size=8))
    kernel, bias = map(as_numpy, layer.weights)
    expected = np.einsum("nchw,cf->nfhw", images, kernel[0, 0]) + bias[:, None, None]
    np.testing.assert_allclose(as_numpy(layer(images)), expected, rtol=1e-5, atol=1e-5)


@tensorflow_only
@pytest.mark.parametrize("native", [True, False])
def test_the_gradient_is_that_of_the_definition(native, chance, monkeypatch):
    import tensorflow as tf

    from keras_resnets.architecture import layers

    monkeypatch.setattr(layers, "_native_gradient_works", lambda dtype: native)
    layer = Conv2D(12, 3, groups=4, use_bias=False)
    images = tf.constant(chance.normal(size=(2, 9, 9, 8)).astype("float32"))
    layer.build(images.shape)
    gradients = []
    for call in (layer, lambda x: by_hand(x, layer)):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(tf.square(call(images)))
        gradients.append(tape.gradient(loss, [images, layer.kernel.value]))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def run(code, **environment):
    import os

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@tensorflow_only
def test_training_works_with_onednn_switched_off():
    out = run(
        """
        import numpy as np, keras
        from keras_resnets.architecture import layers
        model = keras.Sequential([keras.Input((9, 9, 8)), layers.Conv2D(8, 3, groups=4),
                                  keras.layers.GlobalAveragePooling2D()])
        model.compile("sgd", "mse")
        loss = model.fit(np.ones((4, 9, 9, 8)), np.ones((4, 8)), verbose=0).history["loss"]
        print(layers._native_gradient_works("float32"), bool(np.isfinite(loss).all()))
        """,
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    assert out == "False True"


def grouped_network():
    def stack_fn(x):
        return stack3(x, 16, 2, groups=4, name="conv2")

    return ResNet(stack_fn, False, False, weights=None, input_shape=(32, 32, 3), classes=3, name="next")


def test_a_file_opens_where_only_keras_is_installed(tmp_path, chance):
    model = grouped_network()
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    images = chance.normal(size=(1, 32, 32, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "expected.npy", as_numpy(model(images)))
    out = run(
        f"""
        import sys, keras, numpy as np
        sys.path = [place for place in sys.path if place]
        model = keras.saving.load_model(r"{tmp_path}/model.keras")
        model.load_weights(r"{tmp_path}/model.weights.h5")
        answer = keras.ops.convert_to_numpy(model(np.load(r"{tmp_path}/images.npy")))
        grouped = model.get_layer("conv2_block1_2_conv")
        print("keras_resnets" in sys.modules, type(grouped) is keras.layers.Conv2D,
              bool(np.abs(answer - np.load(r"{tmp_path}/expected.npy")).max() < 1e-6))
        """
    )
    assert out == "False True True"


def test_a_stock_file_loads_into_ours(tmp_path, chance):
    ours = grouped_network()
    stock = keras.Model.from_config(ours.get_config())
    stock.save_weights(tmp_path / "stock.weights.h5")
    ours.load_weights(tmp_path / "stock.weights.h5")
    for a, b in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_layer_is_custom_or_a_lambda():
    for layer in grouped_network().layers:
        assert not isinstance(layer, keras.layers.Lambda)
        assert keras.saving.serialize_keras_object(layer)["module"] == "keras.layers"
