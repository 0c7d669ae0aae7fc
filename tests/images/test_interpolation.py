"""Bicubic pictures: as the libraries that trained on them make them, and the same inside a served graph."""

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets.images import PHOTOS
from keras_resnets.images.preprocessing import fit, resized
from keras_resnets.images.presets import PRESETS

PICTURES = sorted(PHOTOS.glob("*.jpg"))
SIZED = [name for name in PRESETS if "_" in name]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def as_libraries_do(picture, preset):
    """The shorter side resized, the middle cut out: whole grey levels, none beyond black and white."""
    height, width = resized(*picture.shape[:2], preset.resize, preset.resize)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    whole = np.asarray(Image.fromarray(picture).resize((width, height), filters[preset.interpolation]))
    top, left = (height - preset.size) // 2, (width - preset.size) // 2
    return whole[top : top + preset.size, left : left + preset.size]


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_photograph_is_fitted_as_where_it_was_trained(path, name):
    picture, preset = pixels(path), PRESETS[name]
    ours, theirs = fit(picture, preset), as_libraries_do(picture, preset)
    assert ours.shape == theirs.shape
    difference = np.abs(np.clip(ours, 0, 255) - theirs)
    # Beside the sharpest edges a bicubic one overshoots, which whole grey levels lose between the two passes.
    assert difference.mean() < 0.35 and (difference > 1.01).mean() < 1e-3


def test_bicubic_is_another_picture_than_bilinear():
    picture = pixels(PICTURES[0])
    difference = fit(picture, PRESETS["torch_bicubic_224_256"]) - fit(picture, PRESETS["torch"])
    assert np.abs(difference).max() > 5


def test_where_the_sizes_are_one_only_the_longer_side_is_cut(chance):
    picture = chance.integers(0, 255, (448, 600, 3), dtype="uint8")
    np.testing.assert_array_equal(fit(picture, PRESETS["tf_bilinear_448_448"]), picture[:, 76:524])
    small = chance.integers(0, 255, (32, 32, 3), dtype="uint8")
    np.testing.assert_array_equal(fit(small, PRESETS["cifar"]), small)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a served graph is TensorFlow's")
@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("way", ["fit", "fit_plainly"])
def test_a_served_graph_fits_the_same_picture(name, way):
    from keras_resnets.serving import fitting

    preset = PRESETS[name]
    size = preset.size, preset.size
    for path in PICTURES:
        picture = pixels(path)
        difference = np.abs(
            getattr(fitting, way)(picture[None], preset, size)[0].numpy() - fit(picture, preset)
        )
        # One curve: what is left is where float32 puts a pixel, times the step between two.
        assert difference.max() < 1e-2 and difference.mean() < 2.5e-4
        if picture.shape[0] % preset.resize == 0:  # where it can put them exactly
            assert difference.max() < 1e-3
