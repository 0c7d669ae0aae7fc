"""The catalogue: what can be recomputed is recomputed, what is a fact agrees with its publisher."""

import re

import pytest
from keras.src.applications import resnet as publisher

from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.images.labels import imagenet_labels
from keras_resnets.images.presets import PRESETS
from keras_resnets.weights.catalog import WEIGHTS, default_weight


@pytest.mark.parametrize("weight", WEIGHTS.values(), ids=WEIGHTS)
def test_a_row_is_complete(weight):
    assert VARIANTS[weight.key] and PRESETS[weight.preset]
    assert weight.classes == VARIANTS[weight.key].classes == len(imagenet_labels())
    assert 50 < weight.top1 < weight.top5 < 100
    assert {file.top for file in weight.files} == {True, False}
    for file in weight.files:
        assert re.fullmatch(r"https://\S+/" + re.escape(file.name) + r"|npm:[\w-]+@[\d.]+", file.address)
        assert re.fullmatch("md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", file.hash)
        assert file.licence
        assert file.size is None or file.size > 1_000_000


@pytest.mark.parametrize("key", publisher.WEIGHTS_HASHES)
def test_hashes_and_addresses_are_those_of_keras(key):
    top, no_top = default_weight(key).files[:2]
    assert (top.hash, no_top.hash) == tuple(f"md5:{digest}" for digest in publisher.WEIGHTS_HASHES[key])
    for file, ending in ((top, ""), (no_top, "_notop")):
        name = f"{key}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
        assert file.address == publisher.BASE_WEIGHTS_PATH + name


def test_every_published_weight_is_a_default():
    for key in {weight.key for weight in WEIGHTS.values()}:
        assert VARIANTS[key].weights == "imagenet"


def test_without_a_top_the_smaller_file_comes_first():
    weight = default_weight("resnet50")
    assert [file.top for file in weight.sources(include_top=True)] == [True, True]
    assert [file.top for file in weight.sources(include_top=False)] == [False, True, True]
