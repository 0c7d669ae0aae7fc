"""Grad-CAM: against automatic differentiation, and on a network whose answer is known."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, create, grad_cam, overlay, preset_of
from keras_resnets.images.labels import Label, numbered
from keras_resnets.images.preprocessing import fit, normalise
from keras_resnets.images.reading import read_image

from .conftest import as_numpy, randomise, tiny, write_picture

LOGITS = {"classifier_activation": None}
FIRST = {"input_shape": (3, 64, 48), "data_format": "channels_first"}


@pytest.fixture
def picture(tmp_path):
    return write_picture(tmp_path / "a.png", size=(90, 70))


def seen(model, picture):
    """The crop as the network gets it, and its size."""
    shape = model.input_shape[1:]
    size = shape[1:] if shape[0] == 3 else shape[:2]
    crop = fit(read_image(picture), preset_of(model), size)
    image = normalise(crop, preset_of(model), "channels_last")[None]
    return crop, np.moveaxis(image, -1, 1) if shape[0] == 3 else image


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is taken by TensorFlow")
@pytest.mark.parametrize("target", range(4))
@pytest.mark.parametrize(
    "options",
    [LOGITS, LOGITS | FIRST, LOGITS | {"preact": True, "dropout_rate": 0.5, "input_shape": (96, 64, 3)}],
    ids=["v1", "channels_first", "v2 with dropout"],
)
def test_the_heat_is_that_of_the_gradient(options, target, picture):
    import tensorflow as tf

    model = randomise(tiny(**options), seed=target)
    _, image = seen(model, picture)
    maps_and_logits = keras.Model(model.input, [model.get_layer("avg_pool").input, model.output])
    with tf.GradientTape() as tape:
        maps, logits = maps_and_logits(image, training=False)
        logit = logits[0, target]
    gradient, maps = tape.gradient(logit, maps).numpy()[0], maps.numpy()[0]
    if "data_format" in options:
        gradient, maps = np.moveaxis(gradient, 0, -1), np.moveaxis(maps, 0, -1)
    importance = gradient.mean(axis=(0, 1))  # equation 1
    heat = np.maximum((maps * importance).sum(axis=-1), 0)  # equation 2
    found = grad_cam(model, picture, target)
    heat = tf.image.resize(heat[..., None], found.heat.shape).numpy()[..., 0]
    expected = heat / heat.max() if heat.max() else heat
    assert found.heat.dtype == "float32" and found.label == Label(str(target), f"class {target}")
    np.testing.assert_allclose(found.heat, expected, atol=1e-4)


def test_the_answer_of_probabilities_and_of_logits_is_one(picture):
    sure, logits = tiny(), tiny(**LOGITS)
    logits.set_weights(randomise(sure).get_weights())
    ours, theirs = grad_cam(sure, picture), grad_cam(logits, picture)
    np.testing.assert_allclose(ours.heat, theirs.heat, atol=1e-5)
    crop, image = seen(sure, picture)
    scores = as_numpy(sure(image, training=False))[0]
    assert ours.label.id == theirs.label.id == str(scores.argmax())
    assert ours.score == pytest.approx(scores.max(), abs=1e-5) == theirs.score
    assert ours.picture.dtype == "uint8" and np.abs(ours.picture - crop).max() <= 0.501
    assert ours.heat.shape == (32, 32) and ours.heat.min() >= 0 and ours.heat.max() in (0, 1)
    assert 0 < grad_cam(sure, picture, 1).score < ours.score or ours.label.id == "1"


def bright(kernel):
    """A network whose one map is how bright a place is, and whose classes weigh it by ``kernel``."""
    images = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(1, 8, 8, kernel_initializer="ones", name="conv1_conv")(images)
    x = keras.layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = keras.layers.Dense(len(kernel), "softmax", name="predictions")(x)
    model = keras.Model(images, x, name="bright")
    model.get_layer("predictions").set_weights([np.array([kernel], "float32"), np.zeros(len(kernel))])
    preset = dataclasses.replace(preset_of("resnet50v2"), resize=224)  # -1..1, and nothing cut off
    return Bundle(model, preset, numbered(["dark", "light"]))


def test_heat_is_where_the_class_is_seen():
    pixels = np.zeros((64, 64, 3), "uint8")
    pixels[8:24, 40:56] = 255  # on a black, that is a negative, ground
    found = grad_cam(bright([0.0, 1.0]), pixels, "light")
    assert found.heat[16, 48] == 1 and found.heat[40:].max() == 0 and found.heat[:, :32].max() == 0
    dark = grad_cam(bright([-1.0, 0.0]), pixels, "dark").heat
    assert dark[16, 48] == 0 and dark[50, 10] == 1


def test_nothing_that_speaks_for_a_class_is_no_heat():
    found = grad_cam(bright([1.0, -1.0]), np.zeros((64, 64, 3), "uint8"), 0)
    assert found.heat.max() == 0 and np.isfinite(found.heat).all()


def test_a_class_is_called_by_number_name_or_id(picture):
    model = randomise(create("resnet18", weights=None, input_shape=(32, 32, 3)))
    expected = grad_cam(model, picture, 281)
    assert expected.label == Label("n02123045", "tabby")
    for target in ("tabby", "n02123045", np.int64(281)):
        found = grad_cam(model, picture, target)
        assert found.label == expected.label
        np.testing.assert_array_equal(found.heat, expected.heat)
    # Two classes are called crane: a bird and a machine.
    for target in ("crane", "unicorn", 1000, -1, True, 2.0):
        with pytest.raises(ValueError, match=f"one of the model's 1000 classes.*Received: target={target!r}"):
            grad_cam(model, "nowhere.png", target)
    assert grad_cam(model, picture, "n03126707").label.name == "crane"
    with pytest.raises(ValueError, match=r"nowhere\.png: no such file"):
        grad_cam(model, "nowhere.png")


def test_other_classifiers_are_refused(picture):
    with pytest.raises(ValueError, match="has no classifier; build it with include_top=True"):
        grad_cam(tiny(include_top=False), picture)
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(2, 3)(images)
    x = keras.layers.Dense(2, name="predictions")(keras.layers.Flatten()(x))
    flat = Bundle(keras.Model(images, x, name="flat"), preset_of("resnet50v2"), numbered("ab"))
    with pytest.raises(ValueError, match="on a GlobalAveragePooling2D.*'flat' with a Dense on a Flatten"):
        grad_cam(flat, picture)


def test_a_picture_shows_through_where_there_is_no_heat(chance):
    picture = chance.integers(0, 256, (5, 11, 3), dtype="uint8")
    heat = np.tile(np.linspace(0, 1, 11, dtype="float32"), (5, 1))
    drawn = overlay(picture, heat)
    assert drawn.dtype == "uint8" and drawn.shape == picture.shape
    np.testing.assert_array_equal(drawn[:, 0], picture[:, 0])
    for column, colour in ((5, (255, 255, 0)), (10, (255, 0, 0))):
        cover = 0.6 * heat[0, column]
        expected = (1 - cover) * picture[:, column] + cover * np.array(colour)
        assert np.abs(drawn[:, column] - expected).max() <= 0.51
    np.testing.assert_array_equal(overlay(picture.astype("float32"), heat), drawn)
    with pytest.raises(ValueError, match=r"Received: \(5, 11, 3\) and \(11, 5\)"):
        overlay(picture, heat.T)
    with pytest.raises(ValueError, match=r"Received: \(5, 11\) and \(5, 11\)"):
        overlay(picture[..., 0], heat)
