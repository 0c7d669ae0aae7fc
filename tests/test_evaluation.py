"""evaluate: results a class, ten crops, several scales; each against another way to the same numbers."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, accelerate, create, evaluate, preset_of, residual_network
from keras_resnets.evaluation import Evaluation
from keras_resnets.images.dataset import Samples
from keras_resnets.images.labels import numbered
from keras_resnets.images.preprocessing import fit, normalise, ten_crops, whole
from keras_resnets.images.presets import PRESETS

from .conftest import as_numpy, calm, randomise, tiny, write_picture

# --- pictures resized by matrices: nothing here comes from Pillow ----------------------------------

KERNELS = {
    "bilinear": (1, lambda x: np.maximum(1 - x, 0)),
    "bicubic": (
        2,  # Keys, 1981, with a = -1/2
        lambda x: np.where(
            x < 1, (1.5 * x - 2.5) * x**2 + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0)
        ),
    ),
}


def along(length, new_length, interpolation):
    """(new_length, length): what each new pixel takes of each old one, antialiased."""
    _, kernel = KERNELS[interpolation]
    scale = length / new_length
    centres = (np.arange(new_length) + 0.5) * scale
    distances = np.abs(np.arange(length) + 0.5 - centres[:, None]) / max(scale, 1)
    weights = kernel(distances)
    return weights / weights.sum(axis=1, keepdims=True)


def at_size(picture, height, width, interpolation):
    down, across = (
        along(old, new, interpolation) for old, new in zip(picture.shape, (height, width), strict=False)
    )
    return across @ np.tensordot(down, picture.astype("float64"), 1)


def at_shorter_side(picture, side, interpolation):
    height, width = picture.shape[:2]
    if height < width:
        return at_size(picture, side, width * side // height, interpolation)
    return at_size(picture, height * side // width, side, interpolation)


PICKY = dataclasses.replace(PRESETS["torch"], size=32, resize=41)


@pytest.mark.parametrize(
    "preset",
    [PRESETS["cifar"], PICKY, dataclasses.replace(PICKY, interpolation="bicubic")],
    ids=["no margin", "bilinear", "bicubic"],
)
@pytest.mark.parametrize("shape", [(50, 77), (90, 45), (20, 21), (64, 64)])
def test_ten_crops_are_cut_from_the_resized_picture(shape, preset, chance):
    picture = chance.integers(0, 256, (*shape, 3), dtype="uint8")
    large = at_shorter_side(picture, preset.resize, preset.interpolation)
    bottom, right = large.shape[0] - 32, large.shape[1] - 32
    corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
    expected = [large[y : y + 32, x : x + 32] for y, x in corners]
    expected += [crop[:, ::-1] for crop in expected]
    crops = ten_crops(picture, preset)
    assert crops.shape == (10, 32, 32, 3) and crops.dtype == "float32"
    np.testing.assert_allclose(crops, expected, atol=2e-3)
    np.testing.assert_array_equal(crops[4], fit(picture, preset))
    np.testing.assert_allclose(whole(picture, preset, preset.resize), large, atol=2e-3)


def test_crops_of_another_size_leave_the_same_share_out(chance):
    picture = chance.integers(0, 256, (100, 200, 3), dtype="uint8")
    crops = ten_crops(picture, PICKY, (64, 48))
    large = at_size(picture, 82, 164, "bilinear")  # 82 = 64 * 41 / 32, and 200 = 2 * 100
    np.testing.assert_allclose(crops[3], large[-64:, -48:], atol=2e-3)
    np.testing.assert_array_equal(crops[4], fit(picture, PICKY, (64, 48)))


# --- ten crops and scales through a network -------------------------------------------------------


def probabilities(model, images):
    """What a model, built for any size or one, says of preprocessed channels-last images."""
    if model.input_shape[1] == 3:
        images = np.moveaxis(images, -1, 1)
    outputs = as_numpy(model(images.astype("float32"), training=False)).astype("float64")
    if model.layers[-1].activation is keras.activations.linear:
        powers = np.exp(outputs)
        outputs = powers / powers.sum(axis=1, keepdims=True)
    return outputs


@pytest.fixture
def samples(chance):
    shapes = [(40, 60), (70, 44), (32, 32)]
    pictures = [chance.integers(0, 256, (*shape, 3), dtype="uint8") for shape in shapes]
    return Samples(tuple(pictures), ("0", "3", "1"))


def cifar(**options):
    model = calm(create("resnet20", **{"weights": None, "classes": 4, "seed": 0, **options}))
    head = model.get_layer("predictions")
    head.kernel.assign(head.kernel * 0.01)  # far from sure of anything: every score can be seen
    return model


@pytest.fixture(scope="module")
def network():
    return cifar()


@pytest.mark.parametrize(
    "options",
    [{}, {"classifier_activation": None, "input_shape": (3, 48, 32), "data_format": "channels_first"}],
    ids=["softmax", "logits, channels_first"],
)
def test_ten_answers_are_averaged(options, samples):
    model = randomise(tiny(**options))
    size = (48, 32) if options.get("data_format") else (32, 32)
    preset = preset_of(model)
    expected = []
    for picture in samples.sources:
        crops = ten_crops(picture, preset, size)
        expected.append(probabilities(model, normalise(crops, preset, "channels_last")).mean(axis=0))
    result = evaluate(model, samples, ten_crop=True)
    np.testing.assert_allclose(result.scores, expected, atol=1e-5)
    assert result.scores.dtype == "float32" and result.targets.tolist() == [0, 3, 1]
    assert result.top1 == np.mean(np.argmax(expected, axis=1) == [0, 3, 1])
    assert np.abs(result.scores - evaluate(model, samples).scores).max() > 1e-4


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="engines start from TensorFlow's graph")
def test_ten_crops_in_another_precision(samples, network):
    exact = evaluate(network, samples, ten_crop=True).scores
    coarse = evaluate(network, samples, ten_crop=True, precision="bfloat16", engine="tensorflow").scores
    assert 0 < np.abs(exact - coarse).max() < 0.03


@pytest.mark.parametrize(
    "options",
    [{}, {"classifier_activation": None, "input_shape": (3, 32, 32), "data_format": "channels_first"}],
    ids=["softmax", "logits, channels_first"],
)
def test_whole_pictures_at_several_scales_are_averaged(options, samples):
    model = cifar(**options)
    anywhere = cifar(**options | {"input_shape": (3, None, None) if options else (None, None, 3)})
    anywhere.set_weights(model.get_weights())
    preset = preset_of(model)
    expected = []
    for picture in samples.sources:
        looks = []
        for side in (32, 45):
            image = normalise(
                at_shorter_side(picture, side, "bilinear").astype("float32"), preset, "channels_last"
            )
            looks += [probabilities(anywhere, image[None]), probabilities(anywhere, image[None, :, ::-1])]
        expected.append(np.mean(looks, axis=0)[0])
    result = evaluate(model, samples, scales=[32, np.int64(45)])
    np.testing.assert_allclose(result.scores, expected, atol=1e-5)
    assert result.scores.dtype == "float32" and result.images == 3
    assert np.ptp(np.array(expected), axis=0).max() > 1e-3


def test_at_scales_a_mean_for_each_pixel_is_one_for_each_channel(samples, network):
    preset = preset_of(network)
    ramp = np.arange(32 * 32 * 3, dtype="float32").reshape(32, 32, 3) / 50
    means = {
        "pixels": tuple(tuple(map(tuple, row)) for row in ramp.tolist()),
        "channels": tuple(ramp.mean(axis=(0, 1)).tolist()),
    }
    pixels, channels = (
        Bundle(network, dataclasses.replace(preset, mean=mean), numbered("abcd")) for mean in means.values()
    )
    scores = [evaluate(bundle, samples, scales=(32, 45)).scores for bundle in (pixels, channels)]
    np.testing.assert_allclose(*scores, atol=1e-6)
    assert np.abs(evaluate(network, samples, scales=(32, 45)).scores - scores[0]).max() > 1e-3


def test_an_accelerated_network_and_a_loaded_bundle_at_scales(samples, tmp_path, network):
    expected = evaluate(network, samples, scales=(40,)).scores
    bundle = Bundle(network, preset_of(network), numbered(["a", "b", "c", "d"]))
    for other in (accelerate(network), Bundle.load(bundle.save(tmp_path / "kept"))):
        np.testing.assert_allclose(evaluate(other, samples, scales=(40,)).scores, expected, atol=1e-5)


def test_a_picture_of_the_network_s_size_is_answered_as_ever(chance, network):
    """A square picture at its own size has no margin: only the mirror image is new."""
    picture = chance.integers(0, 256, (32, 32, 3), dtype="uint8")
    both = evaluate(network, Samples((picture, picture[:, ::-1]), ("0", "0"))).scores
    scores = evaluate(network, Samples((picture,), ("0",)), scales=(32,)).scores
    np.testing.assert_allclose(scores[0], both.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("how", [{"ten_crop": True}, {"scales": (32,)}])
def test_what_cannot_be_read_is_one_line(how, tmp_path, network):
    write_picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("file,class\ngone.png,1\na.png,0\n")
    result = evaluate(network, tmp_path, **how)
    assert (result.images, result.targets.tolist()) == (1, [0])
    assert result.errors == (f"{tmp_path}/gone.png: no such file",)
    (tmp_path / "labels.csv").write_text("file,class\ngone.png,1\n")
    with pytest.raises(ValueError, match="no picture could be read: .*gone.png: no such file"):
        evaluate(network, tmp_path, **how)


def test_a_picture_that_would_fill_the_memory_is_left_out(tmp_path, network):
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "long.png", size=(20_000, 1))
    (tmp_path / "labels.csv").write_text("file,class\na.png,0\nlong.png,0\n")
    result = evaluate(network, tmp_path, scales=(32, 64))
    assert result.errors == (
        f"{tmp_path}/long.png: 64 x 1280000 pixels at the scale 64; at most 10,000,000 are run",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ten_crop": True, "scales": (32,)}, "choose one of ten_crop and scales.*scales=\\(32,\\)"),
        ({"scales": ()}, "whole numbers of at least 4, such as .* Received: scales=\\(\\)"),
        ({"scales": (32, 3)}, "at least 4.*Received: scales=\\(32, 3\\)"),
        ({"scales": 224}, "whole numbers of at least 4.*Received: scales=224"),
        ({"scales": (32.5,)}, "Received: scales=\\(32.5,\\)"),
        ({"scales": (32,), "engine": "openvino"}, "run by Keras, .*leave out engine$"),
        (
            {"scales": (32,), "precision": "int8", "calibration": np.zeros((4, 8, 8, 3))},
            "leave out precision and calibration$",
        ),
    ],
)
def test_scales_that_cannot_be_are_refused_before_anything_is_looked_at(options, message, network):
    with pytest.raises(ValueError, match=message):
        evaluate(network, "nowhere", **options)


def test_networks_that_have_one_size_are_refused(network):
    matlab = residual_network((32, 32, 3), 4, stack_depth=(1,), num_filters=(4,))
    for model in (tiny(), matlab):
        with pytest.raises(ValueError, match=f"can be built again.*Received: '{model.name}'"):
            evaluate(model, "nowhere", scales=(32,))
    with pytest.raises(ValueError, match="at least 32.*Received: scales=\\(31,\\)"):
        evaluate(create("resnet18", weights=None), "nowhere", scales=(31,))


# --- class by class -------------------------------------------------------------------------------


def counted(targets, answers):
    scores = np.eye(5, dtype="float32")[answers]
    targets = np.array(targets)
    return Evaluation(len(targets), 0.0, 0.0, (), (), scores, targets, numbered(["a", "b", "c", "d", "e"]))


def test_classes_are_counted_one_by_one():
    result = counted([0, 0, 0, 1, 2, 1], [0, 0, 1, 1, 1, 3])
    assert result.confusion.tolist() == [
        [2, 1, 0, 0, 0],
        [0, 1, 0, 1, 0],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    a, b, c, d = result.per_class  # e is neither in the data nor in an answer
    assert a == ("a", 3, 1.0, 2 / 3, 4 / 5)
    assert b == ("b", 2, 1 / 3, 1 / 2, 2 / 5)
    assert c[:2] == ("c", 1) and np.isnan(c.precision) and c.recall == 0
    assert d[:2] == ("d", 0) and d.precision == 0 and np.isnan(d.recall)


def test_the_recall_of_all_classes_is_the_top_1(tmp_path):
    for number in range(12):
        (tmp_path / f"class {number % 3}").mkdir(exist_ok=True)
        write_picture(tmp_path / f"class {number % 3}" / f"{number}.png", seed=number)
    result = evaluate(randomise(tiny()), tmp_path)
    assert [row.images for row in result.per_class if row.images] == [4, 4, 4]
    recalls = [row.recall for row in result.per_class if row.images]
    assert np.mean(recalls) == pytest.approx(result.top1)
    assert result.confusion.sum() == 12 and np.trace(result.confusion) == round(12 * result.top1)
