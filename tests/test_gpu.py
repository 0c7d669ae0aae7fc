"""``pytest -m gpu``: on TensorFlow, JAX or PyTorch, wherever Keras' backend sees a GPU; else skipped."""

import keras
import numpy as np
import pytest

from keras_resnets import create, export

from .conftest import randomise, tiny


def gpus():
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return len(tf.config.list_physical_devices("GPU"))
        case "jax":
            import jax

            return sum(device.platform == "gpu" for device in jax.devices())
        case "torch":
            import torch

            return torch.cuda.device_count()
    return 0


@pytest.fixture(autouse=True)
def a_gpu():
    if not gpus():
        pytest.skip(f"no GPU is visible to Keras' backend, {keras.backend.backend()}")


pytestmark = pytest.mark.gpu

KEYS = [
    "resnet18",
    "resnet50",
    "resnet50v2",
    "resnext50_32x4d",
    "resnet50_d",
    "se_resnet50",
    "resnetv2_50",
    "bit_r50x1",
]


def images_for(model, chance):
    shape = [4, *model.input_shape[1:]]
    return chance.normal(0, 1, shape).astype("float32")


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("key", KEYS)
def test_a_training_step(key, data_format, dtype, jit_compile, chance):
    shape = (64, 64, 3) if data_format == "channels_last" else (3, 64, 64)
    model = create(key, weights=None, input_shape=shape, classes=5, data_format=data_format, dtype=dtype)
    if jit_compile and keras.backend.backend() == "torch":
        pytest.skip("torch.compile is not what this package promises")
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit_compile)
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.trainable_variables]
    loss = model.train_on_batch(images_for(model, chance), np.arange(4))
    assert np.isfinite(loss)
    after = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    assert any((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("preact", [False, True])
def test_the_two_data_formats_agree(preact, chance):
    last = randomise(tiny(preact))
    first = tiny(preact, input_shape=(3, 32, 32), data_format="channels_first")
    first.set_weights(last.get_weights())
    images = images_for(last, chance)
    theirs = first.predict(np.moveaxis(images, -1, 1), verbose=0)
    np.testing.assert_allclose(last.predict(images, verbose=0), theirs, atol=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own")
@pytest.mark.parametrize("key", KEYS)
def test_an_export_runs(key, tmp_path):
    import tensorflow as tf

    model = create(key, weights=None, input_shape=(64, 64, 3), classes=5)
    served = tf.saved_model.load(str(export(model, tmp_path))).signatures["serving_default"]
    answer = served(images=tf.zeros((2, 80, 90, 3), tf.uint8))
    assert answer["probabilities"].shape == (2, 5)
