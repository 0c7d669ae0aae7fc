"""What a training may change, and that everything is as before when it ends."""

import keras
import numpy as np
import pytest

from keras_resnets import create
from keras_resnets.training.freezing import first_trained, frozen_as, terms
from keras_resnets.training.recalibration import recalibrate
from keras_resnets.training.recipe import Recipe

from ..conftest import as_numpy, randomise


def recipe(**fields):
    return Recipe("test", **{"unfrozen": "conv1", "weight_decay": 0.1, **fields})


def paths(model):
    return {variable.path for variable in model.trainable_variables}


@pytest.mark.parametrize("key", ["resnet20", "preresnet164"])
def test_stages_below_stay_as_they_are(key):
    model = create(key, weights=None, input_shape=(32, 32, 3))
    before = [layer.trainable for layer in model.layers]
    with frozen_as(model, recipe(unfrozen="conv4", batch_norm="batch")):
        trained = {path.split("/")[0].split("_")[0] for path in paths(model)}
        assert trained == {"conv4", "predictions"} | ({"post"} if key == "preresnet164" else set())
        assert any("gamma" in path for path in paths(model))
    assert [layer.trainable for layer in model.layers] == before
    with frozen_as(model, recipe(unfrozen="conv3")):
        assert not any("gamma" in path or "beta" in path for path in paths(model))
    with frozen_as(model, recipe(unfrozen="last", batch_norm="batch")):
        assert {path.split("/")[0].split("_")[0] for path in paths(model)} == trained
    with frozen_as(model, recipe(unfrozen="predictions")):
        assert paths(model) == {"predictions/kernel", "predictions/bias"}


def test_what_the_user_froze_stays_frozen():
    model = create("resnet20", weights=None)
    model.get_layer("conv4_block1_1_conv").trainable = False
    with frozen_as(model, recipe(unfrozen="conv1")):
        assert not any(path.startswith("conv4_block1_1_conv") for path in paths(model))
    assert not model.get_layer("conv4_block1_1_conv").trainable


def test_rates_fall_stage_by_stage_and_only_kernels_decay():
    model = create("resnet20", weights=None)
    found = terms(model, recipe(stage_decay=0.5))
    assert found["predictions/kernel"] == found["conv4_block3_2_conv/kernel"] == (1.0, 0.1)
    assert found["conv3_block1_1_conv/kernel"] == (0.5, 0.1) and found["conv1_conv/kernel"] == (0.125, 0.1)
    assert found["predictions/bias"] == found["conv4_block1_1_bn/gamma"] == (1.0, 0.0)
    assert all(decay == 0.1 for _, decay in terms(model, recipe(decay_all=True)).values())
    assert set(found) == paths(model)


def test_an_unknown_stage_is_named():
    model = create("resnet20", weights=None)
    with pytest.raises(
        ValueError, match="unfrozen must be one of last, conv1, conv2, conv3, conv4, predictions"
    ):
        first_trained(model, recipe(unfrozen="conv5"))


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_recalibrated_statistics_are_those_of_the_pictures(chance, layout):
    model = randomise(create("resnet20", weights=None, data_format=layout))
    shape = (3, 32, 32) if layout == "channels_first" else (32, 32, 3)
    images = chance.normal(size=(12, *shape)).astype("float32")
    first = model.get_layer("conv1_bn")
    values = as_numpy(keras.Model(model.input, first.input)(images))
    axes = (0, 2, 3) if layout == "channels_first" else (0, 1, 2)
    weights = [as_numpy(v) for v in model.trainable_variables]
    recalibrate(model, [(images[:5], None), (images[5:], None)])
    np.testing.assert_allclose(as_numpy(first.moving_mean), values.mean(axes), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(as_numpy(first.moving_variance), values.var(axes), rtol=1e-3)
    for before, after in zip(weights, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(before, as_numpy(after))
    # With statistics of these very pictures both modes say nearly the same.
    recalibrate(model, [(images, None)])
    np.testing.assert_allclose(
        as_numpy(model(images, training=True)), as_numpy(model(images, training=False)), atol=0.02
    )


def test_frozen_norms_are_not_recalibrated(chance):
    model = randomise(create("resnet20", weights=None))
    before = as_numpy(model.get_layer("conv4_block1_1_bn").moving_mean).copy()
    with frozen_as(model, recipe(batch_norm="frozen")):
        recalibrate(model, [(chance.normal(size=(2, 32, 32, 3)).astype("float32"), None)])
    np.testing.assert_array_equal(before, as_numpy(model.get_layer("conv4_block1_1_bn").moving_mean))
