"""Folding changes no answer, and leaves the network as it was."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_resnets import create, fold
from keras_resnets.architecture.variants import VARIANTS

from ..conftest import assert_near, calm

KINDS = {
    "resnet50": 0, "resnet50v2": 17, "resnext50": 0, "resnet18": 0, "resnet50_v1_5": 0, "resnet50_d": 0,
    "se_resnet50": 0, "resnetv2_18": 9, "bit_r50x1": 0, "resnet20": 0, "preresnet164": 54,
}  # fmt: skip


def small(key, **options):
    size = max(32, VARIANTS[key].input.smallest)
    return create(key, **{"weights": None, "input_shape": (size, size, 3), "classes": 5, **options})


def norms(model):
    return sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)


@pytest.mark.parametrize("key", KINDS)
def test_the_same_answers_with_fewer_norms(key, chance):
    model = calm(small(key, classifier_activation=None))
    before = model.get_weights()
    folded = fold(model)
    images = chance.normal(size=(2, *model.input_shape[1:])).astype("float32")
    assert_near(folded(images), model(images), 1e-4)
    assert norms(folded) == KINDS[key]
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert {layer.name for layer in folded.layers} < {
        layer.name for layer in model.layers
    } or key == "bit_r50x1"


@pytest.mark.parametrize("options", [{"data_format": "channels_first", "input_shape": (3, 32, 32)}, {"shortcut": "none"},
                                     {"norm": "group"}, {"activation": "silu", "output_stride": 8}])  # fmt: skip
def test_options_are_kept(options, chance):
    model = calm(small("resnet18", classifier_activation=None, **options))
    images = chance.normal(size=(2, *model.input_shape[1:])).astype("float32")
    assert_near(fold(model)(images), model(images), 1e-4)


def test_feature_maps_are_folded_too(chance):
    model = calm(create("resnet50v2", weights=None, features=("conv2", "conv4"), input_shape=(64, 64, 3)))
    images = chance.normal(size=(1, 64, 64, 3)).astype("float32")
    for name, value in fold(model)(images).items():
        assert_near(value, model(images)[name], 1e-4)


def test_a_folded_network_opens_where_only_keras_is_installed(tmp_path):
    folded = fold(calm(small("bit_r50x1")))
    folded.save(tmp_path / "folded.keras")
    code = "import keras, sys; m = keras.saving.load_model(sys.argv[1]); print(m.output_shape, 'keras_resnets' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "folded.keras"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "(None, 5) False", done.stderr
