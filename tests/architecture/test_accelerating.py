"""The same network on the same variables: from files of stock layers, in another layout, trained through."""

import keras
import numpy as np
import pytest

from keras_resnets import accelerate, create, preset_of
from keras_resnets.architecture import layers
from keras_resnets.architecture.layout import channels_last

from ..conftest import as_numpy, calm, tiny

KINDS = {
    "resnet50": 0, "resnet18": 13, "resnext50": 13, "resnet50_d": 15, "se_resnet50": 13, "resnetv2_18": 13,
    "resnet20": 17, "preresnet164": 1, "wide_resnet40_4": 35,
}  # fmt: skip


def small(key, **options):
    return calm(create(key, **{"weights": None, "input_shape": (64, 64, 3), "classes": 5, **options}))


def loaded(model, tmp_path):
    """As a process gets it that has Keras alone."""
    model.save(tmp_path / "model.keras")
    return keras.saving.load_model(tmp_path / "model.keras")


@pytest.mark.parametrize("key", KINDS)
def test_a_file_of_stock_layers_becomes_fast_again(key, tmp_path, chance):
    stock = loaded(small(key), tmp_path)
    fast = accelerate(stock)
    assert {type(layer) for layer in fast.layers} >= {layers.Conv2D, layers.BatchNormalization}
    assert not {type(layer) for layer in fast.layers} & {keras.layers.Conv2D, keras.layers.BatchNormalization}
    assert all(a is b for a, b in zip(fast.weights, stock.weights, strict=True))
    assert len(stock.layers) - len(fast.layers) == KINDS[key]
    images = chance.normal(size=(2, 64, 64, 3)).astype("float32")
    np.testing.assert_allclose(as_numpy(fast(images)), as_numpy(stock(images)), atol=1e-5)
    assert preset_of(fast) == preset_of(small(key))


def test_training_the_fast_one_trains_the_model(tmp_path, chance):
    stock = loaded(tiny(), tmp_path)
    twin = keras.models.clone_model(stock)
    twin.set_weights(stock.get_weights())
    images = chance.normal(size=(4, *stock.input_shape[1:])).astype("float32")
    labels = np.eye(stock.output_shape[-1])[[0, 1, 2, 3]]
    for model in (accelerate(stock), twin):
        model.compile(keras.optimizers.SGD(0.01), "categorical_crossentropy")
        model.fit(images, labels, verbose=0)
    for variable, a, b in zip(stock.variables, stock.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3 * np.abs(b).max() + 1e-4, err_msg=variable.path)


def test_what_is_frozen_stays_so():
    model = tiny()
    model.trainable = False
    fast = accelerate(model)
    assert fast.weights and not fast.trainable_weights
    fast.get_layer("conv1_conv").trainable = True
    assert [variable.name for variable in fast.trainable_weights] == ["kernel", "bias"]


def test_a_user_s_own_layers_and_operations_stay(chance):
    inputs = keras.Input((32, 32, 3))
    model = create("resnet50", weights=None, classes=3, input_tensor=2 * keras.layers.Rescaling(0.5)(inputs))
    images = chance.normal(size=(1, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(as_numpy(accelerate(model)([images])), as_numpy(model([images])), atol=1e-6)


def test_a_network_that_is_not_functional_is_refused():
    with pytest.raises(ValueError, match="only a functional network"):
        accelerate(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]))


@pytest.mark.parametrize(
    "key", ["resnet50", "resnet18", "resnext50", "se_resnet50", "resnet50v2", "resnet20", "resnet50_d"]
)
def test_channels_first_turned_gives_the_same_answers(key, chance):
    model = small(key, data_format="channels_first", input_shape=(3, 64, 64))
    turned = channels_last(model)
    assert turned.input_shape == (None, 64, 64, 3)
    assert all(a is b for a, b in zip(turned.weights, model.weights, strict=True))
    images = chance.normal(size=(2, 64, 64, 3)).astype("float32")
    expected = as_numpy(model(np.moveaxis(images, -1, 1)))
    np.testing.assert_allclose(as_numpy(turned(images)), expected, atol=1e-5)
    assert channels_last(turned) is turned


def test_kernels_that_a_file_will_fill_are_not_drawn():
    with layers.undrawn_kernels():
        empty = tiny()
    assert not any(
        as_numpy(layer.kernel).any() for layer in empty.layers if isinstance(layer, keras.layers.Conv2D)
    )
    assert as_numpy(tiny().get_layer("conv1_conv").kernel).any()
    config = empty.get_layer("conv1_conv").get_config()
    assert config["kernel_initializer"] == tiny().get_layer("conv1_conv").get_config()["kernel_initializer"]
