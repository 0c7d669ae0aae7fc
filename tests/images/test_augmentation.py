"""Augmentations: what they may change, and that the same chance draws the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_resnets.images.augmentation import AUGMENTATIONS, middle, mixed
from keras_resnets.images.presets import PRESETS

SMALL, LARGE = PRESETS["cifar"], PRESETS["torch"]
sides = st.integers(1, 90)


def picture_of(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype="uint8")


@pytest.mark.parametrize("name", AUGMENTATIONS)
@settings(deadline=None, max_examples=25)
@given(
    height=sides, width=sides, rows=st.integers(8, 40), columns=st.integers(8, 40), seed=st.integers(0, 99)
)
def test_any_picture_becomes_what_the_network_takes(name, height, width, rows, columns, seed):
    shrink, draw = AUGMENTATIONS[name]
    kept = shrink(picture_of(height, width), (rows, columns), LARGE)
    assert kept.dtype == np.uint8
    drawn = draw(kept, (rows, columns), LARGE, np.random.default_rng(seed))
    assert drawn.shape == (rows, columns, 3) and np.isfinite(drawn).all()
    again = draw(kept, (rows, columns), LARGE, np.random.default_rng(seed))
    np.testing.assert_array_equal(drawn, again)


def test_none_is_what_the_network_sees_when_it_answers():
    picture = picture_of(60, 50)
    shrink, draw = AUGMENTATIONS["none"]
    drawn = draw(shrink(picture, (32, 32), SMALL), (32, 32), SMALL, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, middle(picture, (32, 32), SMALL))
    same = picture_of(32, 32)
    assert middle(same, (32, 32), SMALL) is same


def test_flip_mirrors_half_of_them():
    kept, chance = picture_of(8, 8), np.random.default_rng(0)
    drawn = [AUGMENTATIONS["flip"].draw(kept, (8, 8), SMALL, chance) for _ in range(200)]
    mirrored = sum(np.array_equal(picture, kept[:, ::-1]) for picture in drawn)
    assert mirrored + sum(np.array_equal(picture, kept) for picture in drawn) == 200
    assert 70 < mirrored < 130


@pytest.mark.parametrize("name", ["crop", "paper"])
def test_pictures_are_resized_as_the_weights_were_trained(name):
    """Beside an edge bicubic values swing beyond what is there; bilinear ones never do."""
    edge = np.zeros((400, 400, 3), "uint8")
    edge[:200], edge[200:] = 50, 200
    shrink, draw = AUGMENTATIONS[name]
    presets = PRESETS["torch"], PRESETS["torch_bicubic_224_256"]
    assert [shrink(edge, (64, 64), preset).max() > 200 for preset in presets] == [False, True]
    drawn = [np.float32(draw(edge, (64, 64), preset, np.random.default_rng(0))) for preset in presets]
    assert np.abs(drawn[1] - drawn[0]).max() > 2


def test_pad_shifts_by_four_pixels_at_most_and_fills_with_the_mean():
    kept, chance = picture_of(16, 16), np.random.default_rng(0)
    wide = np.full((24, 24, 3), np.rint(SMALL.mean), "uint8")
    wide[4:20, 4:20] = kept
    allowed = {}
    for top in range(9):
        for left in range(9):
            crop = wide[top : top + 16, left : left + 16]
            allowed[crop.tobytes()] = allowed[crop[:, ::-1].tobytes()] = (top, left)
    draws = [AUGMENTATIONS["pad"].draw(kept, (16, 16), SMALL, chance).tobytes() for _ in range(900)]
    assert set(draws) <= set(allowed)
    assert {allowed[draw] for draw in draws} >= {(0, 0), (8, 8), (0, 8), (8, 0), (4, 4)}


def test_the_papers_crops_come_from_shorter_sides_of_256_to_480():
    """A ramp from left to right: how much of it a crop spans says how large the picture was."""
    ramp = np.repeat(np.linspace(0, 255, 640)[None, :, None], 480, axis=0).repeat(3, axis=2).astype("uint8")
    shrink, draw = AUGMENTATIONS["paper"]
    kept, chance = shrink(ramp, (224, 224), LARGE), np.random.default_rng(0)
    assert kept.shape == (480, 640, 3)
    spans = [np.ptp(draw(kept, (224, 224), LARGE, chance)[..., 0]) / 255 for _ in range(300)]
    widest, narrowest = 224 / (640 * 256 / 480), 224 / (640 * 480 / 480)
    assert narrowest - 0.01 < min(spans) < narrowest + 0.03 and widest - 0.03 < max(spans) < widest + 0.01


def test_the_papers_colours_are_alexnets():
    """Mostly brighter or darker: 0.1 of the first component's deviation, 0.2175, a seventh of it colour."""
    grey, chance = np.full((480, 480, 3), 128, "uint8"), np.random.default_rng(0)
    draw = AUGMENTATIONS["paper"].draw
    shifts = np.array([draw(grey, (8, 8), LARGE, chance)[0, 0] for _ in range(500)]) - 128
    np.testing.assert_allclose(shifts.std(axis=0), 255 * 0.1 * 0.2175 / 3**0.5, rtol=0.1)
    assert 0.1 < (shifts - shifts.mean(axis=1, keepdims=True)).std() < 0.6


def test_crop_shows_half_of_the_picture_at_least():
    """Both ramps together: a part's area is the product of what it spans."""
    down, across = np.mgrid[0:256, 0:256]
    ramps = np.stack([down, across, across], axis=-1).astype("uint8")
    draw, chance = AUGMENTATIONS["crop"].draw, np.random.default_rng(0)
    areas = []
    for _ in range(300):
        drawn = draw(ramps, (224, 224), LARGE, chance).astype("float32")
        areas.append(np.ptp(drawn[..., 0]) * np.ptp(drawn[..., 1]) / 255**2)
    assert min(areas) > 0.42 and max(areas) > 0.9  # a long part is cut where the picture ends


@given(mixup=st.sampled_from([0.0, 0.2, 1.0]), cutmix=st.sampled_from([0.0, 1.0]), seed=st.integers(0, 99))
def test_mixed_targets_say_how_much_of_each_picture_is_there(mixup, cutmix, seed):
    images = np.zeros((6, 8, 8, 3), "float32") + np.arange(6)[:, None, None, None]
    targets = np.eye(6, dtype="float32")
    new, shares = mixed(images, targets, mixup, cutmix, np.random.default_rng(seed))
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    # A picture holds its own number everywhere, so the mean tells the mixture.
    np.testing.assert_allclose(new.mean(axis=(1, 2, 3)), shares @ np.arange(6), atol=1e-5)
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(6))  # left as they were
    if not mixup and not cutmix:
        assert new is images and shares is targets
