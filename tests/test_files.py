"""Weights files as a person meets them: what is this, the network for it, another format, a proof."""

import hashlib
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnets import (
    WeightsError,
    convert,
    create,
    from_weights,
    inspect_weights,
    load_weights,
    preprocess,
    preset_of,
    save_weights,
    verify,
)
from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.models import origin_of
from keras_resnets.weights.loading import fit_channels

from .conftest import as_numpy, randomise, write_picture

ENDINGS = [".weights.h5", ".h5", ".safetensors", ".npz"]


def small(key, **options):
    size = VARIANTS[key].input.smallest
    return create(key, **{"weights": None, "input_shape": (size, size, 3), "classes": 3, **options})


def assert_same(a, b):
    for ours, theirs in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# --- round trips ----------------------------------------------------------------------------------

FAMILIES = ["resnet50", "resnet50v2", "resnext50", "resnet18", "resnet50_d", "se_resnext50_32x4d",
            "resnetv2_18", "bit_r50x1", "resnet20", "preresnet164", "wide_resnet40_4", "resnet50_course"]  # fmt: skip


@pytest.mark.parametrize("key", FAMILIES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_family_through_every_format(key, ending, tmp_path):
    model, path = randomise(small(key)), tmp_path / f"weights{ending}"
    save_weights(model, path)
    again = small(key, weights=path)
    assert_same(model, again)
    found = inspect_weights(path).identity
    assert key in (found.key, *found.also) and found.fits and (found.classes, found.channels) == (3, 3)


@pytest.mark.slow
@pytest.mark.parametrize("key", VARIANTS)
def test_every_architecture_through_every_format(key, tmp_path):
    model = randomise(create(key, weights=None))
    for ending in ENDINGS:
        save_weights(model, tmp_path / f"weights{ending}")
        again = create(key, weights=tmp_path / f"weights{ending}")
        assert_same(model, again)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_names_of_a_library_come_back(library, ending, tmp_path):
    model = randomise(small("resnet18"))
    save_weights(model, tmp_path / f"weights{ending}", names=library)
    assert_same(model, from_weights(tmp_path / f"weights{ending}", input_shape=(32, 32, 3)))


def test_what_a_library_does_not_have_is_refused_by_name(tmp_path):
    with pytest.raises(
        ValueError,
        match="torchvision has no network with the weights of resnet50; did you mean resnet50_v1_5",
    ):
        save_weights(small("resnet50"), tmp_path / "a.safetensors", names="torchvision")
    with pytest.raises(ValueError, match="torchvision's resnet18 has other layers than this resnet18"):
        save_weights(small("resnet18", shortcut="C"), tmp_path / "a.safetensors", names="torchvision")
    with pytest.raises(
        ValueError, match="names must be one of 'keras', 'torchvision', 'timm'. Received: names='hf'"
    ):
        save_weights(small("resnet18"), tmp_path / "a.safetensors", names="hf")
    with pytest.raises(ValueError, match="names of timm go into .safetensors, .npz or .pth"):
        save_weights(small("resnet18"), tmp_path / "a.h5", names="timm")
    assert not list(tmp_path.iterdir())


# --- from a file ----------------------------------------------------------------------------------


def test_from_weights_builds_what_the_file_needs(tmp_path):
    model = randomise(small("resnet20", shortcut="B", in_channels=5, input_shape=(32, 32, 5), classes=7))
    save_weights(model, tmp_path / "mine.safetensors")
    again = from_weights(tmp_path / "mine.safetensors")
    assert origin_of(again).key == "resnet20" and again.input_shape == (None, 32, 32, 5)
    assert_same(model, again)
    headless = small("resnet18", include_top=False)
    save_weights(headless, tmp_path / "headless.npz")
    assert from_weights(tmp_path / "headless.npz").output_shape == (None, None, None, 512)


def test_a_file_that_fits_several_says_so(tmp_path):
    save_weights(small("resnext50"), tmp_path / "next.safetensors")
    found = inspect_weights(tmp_path / "next.safetensors").identity
    assert (found.key, found.also) == ("resnext50", ("resnext50_32x4d",))
    assert (
        origin_of(from_weights(tmp_path / "next.safetensors", key="resnext50_32x4d")).key == "resnext50_32x4d"
    )
    with pytest.raises(WeightsError, match="fits resnext50 or resnext50_32x4d. Received: key='resnet50'"):
        from_weights(tmp_path / "next.safetensors", key="resnet50")


def test_a_hash_is_compared_first(tmp_path):
    save_weights(small("resnet20"), tmp_path / "a.npz")
    digest = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    from_weights(tmp_path / "a.npz", sha256=digest)
    with pytest.raises(WeightsError, match="does not have the hash 0000"):
        from_weights(tmp_path / "a.npz", sha256="0" * 64)
    with pytest.raises(WeightsError, match="does not have the hash 0000"):
        load_weights(small("resnet20"), tmp_path / "a.npz", sha256="0" * 64)


REFUSED = {
    "another depth": ("resnet34", "resnet18", r"the file has \(3, 4, 6, 3\) blocks a stage, resnet18 \(2, 2, 2, 2\); the file fits resnet34"),
    "another family": ("resnet50_v1_5", "se_resnet50", "the file fits resnet50_v1_5"),
    "another block": ("resnet34", "resnet50_v1_5", "the file fits resnet34"),
    "another dialect": ("resnet50_v1_5", "resnet50", "torchvision or timm names belong to networks of the dialect torch or cifar; resnet50 is of the dialect keras; the file fits resnet50_v1_5"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_the_wrong_network_s_file_is_refused_with_the_right_one(case, tmp_path):
    theirs, ours, message = REFUSED[case]
    save_weights(small(theirs), tmp_path / "a.safetensors", names="timm")
    model = small(ours)
    before = [value.copy() for value in model.get_weights()]
    with pytest.raises(WeightsError, match=message):
        load_weights(model, tmp_path / "a.safetensors")
    for value, kept in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)


def test_another_depth_is_refused_and_the_one_that_fits_named(tmp_path):
    save_weights(small("resnet34"), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="the file fits resnet34"):
        create("resnet18", weights=tmp_path / "a.safetensors", classes=3)


# --- adaptation -----------------------------------------------------------------------------------


def test_one_band_in_place_of_three_equal_ones(tmp_path, chance):
    """``sum`` changes nothing for grey pictures."""
    key = "resnet18"
    model = randomise(small(key, input_shape=(64, 64, 3)))
    save_weights(model, tmp_path / "a.npz")
    grey = create(
        key, weights=tmp_path / "a.npz", classes=3, in_channels=1, input_shape=(64, 64, 1), stem="sum"
    )
    images = chance.normal(size=(2, 64, 64, 1)).astype("float32")
    theirs = as_numpy(model(np.repeat(images, 3, axis=-1)))
    np.testing.assert_allclose(as_numpy(grey(images)), theirs, rtol=2e-3, atol=1e-5)


def test_a_standardised_convolution_is_fitted_approximately(tmp_path):
    save_weights(small("bit_r50x1"), tmp_path / "a.npz")
    model = small("bit_r50x1", in_channels=4, input_shape=(32, 32, 4))
    [line] = load_weights(model, tmp_path / "a.npz", stem="zero").adapted
    assert "3 to 4 channels (zero, approximately" in line


def test_the_modes_of_a_stem():
    kernel = np.arange(1, 7, dtype="float32").reshape(1, 1, 3, 2)
    assert fit_channels(kernel, 1, "sum").tolist() == [[[[9, 12]]]]
    assert fit_channels(kernel, 2, "sum").tolist() == [[[[4.5, 6], [4.5, 6]]]]
    assert fit_channels(kernel, 2, "mean").tolist() == [[[[3, 4], [3, 4]]]]
    np.testing.assert_allclose(fit_channels(kernel, 6, "tile"), np.concatenate([kernel, kernel], 2) / 2)
    assert fit_channels(kernel, 4, "zero")[0, 0, 3].tolist() == [0, 0]
    assert fit_channels(kernel, 5, "copy:1")[0, 0, 3:].tolist() == [[3, 4], [3, 4]]


def test_stem_is_reported_and_the_preset_follows(tmp_path):
    save_weights(small("resnet18"), tmp_path / "a.npz")
    model = small("resnet18", in_channels=4, input_shape=(32, 32, 4))
    report = load_weights(model, tmp_path / "a.npz", stem="copy:0")
    assert report.adapted == ("conv1_conv/kernel: 3 to 4 channels (copy:0)",)
    preset = preset_of(model)
    assert len(preset.mean) == 4 and preset.mean[3] == preset.mean[0]
    assert preprocess(np.zeros((1, 8, 8, 4), "uint8"), model).shape == (1, 8, 8, 4)
    with pytest.raises(WeightsError, match="another number of input channels; pass stem="):
        load_weights(model, tmp_path / "a.npz")


def test_channels_are_swapped_on_request(tmp_path, chance):
    model = randomise(small("resnet50", input_shape=(64, 64, 3)))
    save_weights(model, tmp_path / "a.npz")
    turned = small("resnet50", input_shape=(64, 64, 3))
    report = load_weights(turned, tmp_path / "a.npz", swap_channels=True)
    assert report.adapted == ("conv1_conv/kernel: BGR and RGB swapped",)
    pixels = chance.integers(0, 255, (2, 64, 64, 3), dtype="uint8")
    assert (preset_of(model).order, preset_of(turned).order) == ("bgr", "rgb")
    ours, theirs = (as_numpy(m(preprocess(pixels, m))) for m in (turned, model))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_in_both_directions(dtype, tmp_path):
    half = randomise(small("resnet20", dtype=dtype))
    save_weights(half, tmp_path / "half.safetensors")
    assert inspect_weights(tmp_path / "half.safetensors").identity.dtypes == (dtype,)
    whole = small("resnet20")
    report = load_weights(whole, tmp_path / "half.safetensors")
    assert f"conv1_conv/kernel: {dtype} to float32" in report.adapted
    for a, b in zip(half.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(a, "float32"), b)
    save_weights(whole, tmp_path / "whole.safetensors")
    assert_same(half, small("resnet20", dtype=dtype, weights=tmp_path / "whole.safetensors"))


# --- conversion and proof -------------------------------------------------------------------------


def test_convert_writes_another_format(tmp_path):
    model = randomise(small("resnet18"))
    save_weights(model, tmp_path / "a.weights.h5")
    found = convert(tmp_path / "a.weights.h5", tmp_path / "a.safetensors", names="torchvision")
    assert (found.format, found.identity.publisher) == (".safetensors", "torchvision or timm names")
    assert_same(model, from_weights(tmp_path / "a.safetensors"))
    with pytest.raises(FileExistsError, match="exists"):
        convert(tmp_path / "a.weights.h5", tmp_path / "a.safetensors")


def test_verify_against_a_reference_goes_stage_by_stage(tmp_path):
    from keras_resnets.images.preprocessing import fit, normalise
    from keras_resnets.images.reading import read_image

    picture = write_picture(tmp_path / "a.png", (80, 70))
    model = randomise(small("resnet18", input_shape=(224, 224, 3), classifier_activation=None))
    save_weights(model, tmp_path / "a.npz")
    pixels = normalise(fit(read_image(picture), preset_of(model)), preset_of(model), "channels_last")[None]
    stage = keras.Model(model.input, model.get_layer("conv3_block2_out").output)
    arrays = {
        "picture": np.frombuffer(picture.read_bytes(), "uint8"),
        "pixels": pixels.transpose(0, 3, 1, 2),
        "conv3": as_numpy(stage(pixels)).transpose(0, 3, 1, 2),
        "logits": as_numpy(model(pixels)),
    }
    np.savez(tmp_path / "reference.npz", **arrays)
    rows = verify(tmp_path / "a.npz", tmp_path / "reference.npz")
    assert [row.place for row in rows] == ["pixels", "conv3", "logits"]
    assert max(row.relative for row in rows) <= 1e-5
    np.savez(tmp_path / "reference.npz", **arrays | {"conv3": arrays["conv3"] * 1.1})
    worse = {row.place: row.relative for row in verify(tmp_path / "a.npz", tmp_path / "reference.npz")}
    assert worse["conv3"] > 1e-3 and worse["logits"] <= 1e-5
    np.savez(tmp_path / "reference.npz", **arrays | {"conv9": arrays["conv3"]})
    with pytest.raises(ValueError, match="conv9 is not one of pixels, conv2, conv3, conv4, conv5, logits"):
        verify(tmp_path / "a.npz", tmp_path / "reference.npz")


def test_verify_two_files(tmp_path):
    model = randomise(small("resnet18"))
    save_weights(model, tmp_path / "a.safetensors", names="torchvision")
    save_weights(model, tmp_path / "b.weights.h5")
    picture = write_picture(Path(tmp_path / "a.png"))
    rows = verify(tmp_path / "a.safetensors", tmp_path / "b.weights.h5", picture)
    assert [row.place for row in rows] == ["pixels", "conv2", "conv3", "conv4", "conv5", "logits"]
    assert max(row.largest for row in rows) == 0
    with pytest.raises(ValueError, match="pass picture="):
        verify(tmp_path / "a.safetensors", tmp_path / "b.weights.h5")
