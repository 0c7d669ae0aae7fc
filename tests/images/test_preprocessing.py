import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.applications import resnet as keras_resnet
from keras.applications import resnet_v2 as keras_resnet_v2
from PIL import Image

import keras_resnets
from keras_resnets import preprocess, preset_of, resnet, resnet_v2, resnext
from keras_resnets.images.preprocessing import fit, resized
from keras_resnets.images.presets import PRESETS

from ..conftest import as_numpy, tiny


def torch_mode(x, data_format):
    from keras.applications import imagenet_utils

    return imagenet_utils.preprocess_input(x, data_format=data_format, mode="torch")


PEERS = [
    (resnet, keras_resnet.preprocess_input),
    (resnet_v2, keras_resnet_v2.preprocess_input),
    (resnext, torch_mode),
]


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("rank", [3, 4])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(("ours", "theirs"), PEERS, ids=["resnet", "resnet_v2", "resnext"])
def test_the_faces_do_what_keras_does(ours, theirs, data_format, rank, as_tensor, chance):
    shape = (2, 5, 6, 3) if data_format == "channels_last" else (2, 3, 5, 6)
    x = chance.uniform(0, 255, shape[4 - rank :]).astype("float32")
    kept = x.copy()
    expected = theirs(x.copy(), data_format=data_format)
    got = ours.preprocess_input(keras.ops.convert_to_tensor(x) if as_tensor else x, data_format=data_format)
    np.testing.assert_allclose(as_numpy(got), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x, kept)
    assert keras.ops.is_tensor(got) == as_tensor


@pytest.mark.parametrize(
    ("dtype", "expected"), [("uint8", "float32"), ("int64", "float32"), ("float64", "float64")]
)
def test_dtypes(dtype, expected):
    assert resnet.preprocess_input(np.ones((2, 2, 3), dtype)).dtype == expected


def test_a_symbolic_tensor_goes_through():
    images = keras.Input((8, 8, 3))
    assert keras.Model(images, resnet.preprocess_input(images)).output_shape == (None, 8, 8, 3)


def test_an_unknown_number_of_channels_is_left_to_the_data():
    """As `tf.io.decode_jpeg` leaves it inside a data set."""
    images = keras.Input((8, 8, None))
    assert keras.Model(images, resnet.preprocess_input(images)).output_shape[:3] == (None, 8, 8)


def test_a_thin_picture_needs_no_more_memory_than_its_crop():
    picture = np.arange(60_000, dtype="uint32").astype("uint8").reshape(1, -1, 1).repeat(3, axis=-1)
    assert fit(picture, PRESETS["caffe"]).shape == (224, 224, 3)


def test_the_global_data_format_is_heeded():
    keras.config.set_image_data_format("channels_first")
    assert resnet.preprocess_input(np.ones((2, 3, 5, 5))).shape == (2, 3, 5, 5)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((4, 4, 1), {}, r"Received: shape \(4, 4, 1\)"),
        ((4, 4), {}, r"Received: shape \(4, 4\)"),
        ((4, 4, 3), {"data_format": "channels_first"}, "data_format='channels_first'"),
        ((4, 4, 3), {"data_format": "NHWC"}, "Received: data_format='NHWC'"),
    ],
)
def test_what_cannot_be_preprocessed_is_said(shape, options, message):
    with pytest.raises(ValueError, match=message):
        resnet.preprocess_input(np.zeros(shape), **options)


def test_the_weight_decides_the_preset():
    assert preset_of("resnet50") == preset_of("resnet50.keras_in1k") == PRESETS["caffe"]
    assert preset_of("resnet101v2") == PRESETS["tf"] and preset_of("resnext50") == PRESETS["torch"]
    model = keras_resnets.create("resnext50", weights=None, name="mine")
    assert preset_of(model) == PRESETS["torch"]
    x = np.full((1, 4, 4, 3), 100, "uint8")
    np.testing.assert_array_equal(preprocess(x, model), preprocess(x, "resnext50.keras_in1k"))


def test_a_model_of_unknown_origin_is_not_guessed_at():
    with pytest.raises(ValueError, match="'my_net' does not say which weights it has; pass their name"):
        preset_of(tiny(name="my_net"))
    with pytest.raises(
        ValueError, match="unknown weights 'resnet50.kears_in1k'; did you mean resnet50.keras_in1k"
    ):
        preset_of("resnet50.kears_in1k")


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(32, 512), st.integers(32, 512))
def test_resizing_covers_and_keeps_the_shape(height, width, rows, columns):
    new_height, new_width = resized(height, width, rows, columns)
    assert new_height >= rows and new_width >= columns
    assert new_height == rows or new_width == columns
    scale = max(rows / height, columns / width)
    assert abs(new_height - height * scale) <= 1 and abs(new_width - width * scale) <= 1


@pytest.mark.parametrize("size", [None, (64, 64), (96, 64), (64, 160)])
@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (20, 500), (256, 256)])
def test_fit_gives_the_size_asked_for(shape, size, chance):
    picture = chance.integers(0, 255, (*shape, 3), dtype="uint8")
    fitted = fit(picture, PRESETS["caffe"], size)
    assert fitted.shape == (*(size or (224, 224)), 3) and fitted.dtype == "float32"
    assert fitted.min() >= 0 and fitted.max() <= 255


def test_fit_agrees_with_pillow_in_whole_grey_levels(chance):
    """The usual evaluation (resize 256, centre crop 224) is the same but for rounding to 8 bits."""
    picture = chance.integers(0, 255, (300, 400, 3), dtype="uint8")
    usual = Image.fromarray(picture).resize((341, 256), Image.Resampling.BILINEAR).crop((58, 16, 282, 240))
    difference = np.abs(fit(picture, PRESETS["caffe"]) - np.asarray(usual))
    assert difference.max() <= 1.01 and difference.mean() < 0.5
