"""Features: the network's own, in order, kept and compared."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_resnets import Bundle, Features, create, extract_features, preset_of
from keras_resnets.images.labels import numbered
from keras_resnets.images.preprocessing import fit, normalise
from keras_resnets.images.reading import read_image

from .conftest import as_numpy, randomise, tiny, write_picture


@pytest.fixture
def pictures(tmp_path):
    return [write_picture(tmp_path / f"{i}.png", size=(40 + i, 50), seed=i) for i in range(3)]


def by_hand(model, paths):
    """The average of every map that the classifier's pool sees."""
    preset = preset_of(model)
    images = np.stack(
        [normalise(fit(read_image(p), preset, (32, 32)), preset, "channels_last") for p in paths]
    )
    first = model.get_layer("conv1_conv").data_format == "channels_first"
    maps = keras.Model(model.input, model.get_layer("avg_pool").input)
    values = as_numpy(maps(np.moveaxis(images, -1, 1) if first else images, training=False))
    return values.astype("float32").mean(axis=(2, 3) if first else (1, 2))


@pytest.mark.parametrize(
    "options",
    [
        {"dropout_rate": 0.5},
        {"input_shape": (3, 32, 32), "data_format": "channels_first", "classifier_activation": None},
        {"dtype": "mixed_bfloat16"},
    ],
    ids=["dropout", "channels_first", "bfloat16"],
)
def test_features_are_what_the_classifier_sees(options, pictures):
    model = randomise(tiny(**options))
    found = extract_features(model, pictures, batch_size=2)
    assert found.sources == tuple(map(str, pictures)) and found.errors == ()
    assert found.array.shape == (3, 32) and found.array.dtype == "float32"
    tolerance = 0.05 if "dtype" in options else 1e-5
    np.testing.assert_allclose(found.array, by_hand(model, pictures), rtol=tolerance, atol=tolerance)
    assert found.array.std(axis=0).max() > 10 * tolerance


def test_a_network_without_a_classifier_says_the_same(pictures):
    whole = create("resnet20", weights=None)
    pooled = create("resnet20", weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3))
    pooled.set_weights(whole.get_weights()[:-2])
    bundle = Bundle(whole, preset_of(whole), numbered("abcdefghij"))
    expected = extract_features(whole, pictures).array
    np.testing.assert_allclose(extract_features(pooled, pictures).array, expected, atol=1e-5)
    np.testing.assert_array_equal(extract_features(bundle, pictures).array, expected)


def test_what_cannot_be_read_has_a_line_and_no_row(pictures):
    model = randomise(tiny())
    expected = extract_features(model, pictures).array
    array, image = read_image(pictures[1]), Image.open(pictures[2])
    found = extract_features(
        model, [pictures[0], Path("gone.png"), array, image, pictures[0].read_bytes()], 2
    )
    assert found.sources == (str(pictures[0]), "picture 2", "picture 3", "picture 4")
    assert found.errors == ("gone.png: no such file",)
    np.testing.assert_allclose(found.array, expected[[0, 1, 2, 0]], atol=1e-6)
    nothing = extract_features(model, ["gone.png"])
    assert (nothing.sources, nothing.array.shape, len(nothing.errors)) == ((), (0, 32), 1)


def test_networks_without_a_row_a_picture_are_refused(pictures):
    for options in ({"include_top": False}, {"features": ("conv2",)}):
        with pytest.raises(ValueError, match="one row a picture; build 'resnet20' with .*pooling='avg'"):
            extract_features(create("resnet20", weights=None, **options), pictures)
    grey = create("resnet20", weights=None, include_top=False, pooling="avg", in_channels=1)
    with pytest.raises(ValueError, match="pictures have 3 channels, the model 'resnet20' takes"):
        extract_features(grey, pictures)
    with pytest.raises(TypeError, match="pass a model, such as ResNet50.*Received: 'resnet50'"):
        extract_features("resnet50", pictures)
    with pytest.raises(TypeError, match="sources must be a list"):
        extract_features(tiny(), str(pictures[0]))
    with pytest.raises(ValueError, match="Received: batch_size=0"):
        extract_features(tiny(), pictures, batch_size=0)


def test_the_nearest_point_the_same_way(chance):
    array = chance.normal(size=(20, 7)).astype("float32")
    array[3] = 0
    found = Features(tuple(f"{i}.png" for i in range(20)), array)
    row = chance.normal(size=7)
    cosines = {
        f"{i}.png": sum(a * b for a, b in zip(array[i], row, strict=True))
        / (sum(a * a for a in array[i]) * sum(b * b for b in row)) ** 0.5
        for i in range(20)
        if i != 3
    } | {"3.png": 0.0}
    expected = sorted(cosines, key=cosines.get, reverse=True)
    got = found.nearest(row, count=99)
    assert [source for source, _ in got] == expected
    np.testing.assert_allclose([cosine for _, cosine in got], [cosines[s] for s in expected], atol=1e-6)
    assert found.nearest(row) == got[:5] and found.nearest(array[11] * 3)[0][0] == "11.png"
    with pytest.raises(ValueError, match=r"row must have the shape \(7,\). Received: \(1, 7\)"):
        found.nearest(row[None])
    with pytest.raises(ValueError, match="Received: count=0"):
        found.nearest(row, count=0)


def test_what_was_saved_is_loaded(tmp_path, chance):
    found = Features(("a/ä.png", "b.png"), chance.normal(size=(2, 5)).astype("float32"), ("c: no such file",))
    path = found.save(tmp_path / "new" / "features.npz")
    assert [each.name for each in path.parent.iterdir()] == ["features.npz"]
    with np.load(path) as file:
        assert sorted(file) == ["features", "sources"] and file["sources"].dtype.kind == "U"
    again = Features.load(path)
    assert again.sources == found.sources and again.errors == ()
    np.testing.assert_array_equal(again.array, found.array)
    found.save(path)  # replaced
    empty = Features((), np.empty((0, 5), "float32")).save(tmp_path / "empty.npz")
    assert Features.load(empty).sources == () and Features.load(empty).array.shape == (0, 5)


def test_other_files_are_refused(tmp_path):
    found = Features(("a",), np.zeros((1, 2), "float32"))
    with pytest.raises(ValueError, match=r"path must end in \.npz. Received: .*features\.npy"):
        found.save(tmp_path / "features.npy")
    with pytest.raises(FileNotFoundError, match=r"gone\.npz"):
        Features.load(tmp_path / "gone.npz")
    whole = found.save(tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "array.npz.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    contents = {
        "empty": b"",
        "text": b"hello, this is a text",
        "cut": whole[: len(whole) // 2],
        "array": (tmp_path / "array.npz.npy").read_bytes(),
        "other": (tmp_path / "other.npz").read_bytes(),
    }
    for name, data in contents.items():
        (tmp_path / f"{name}.npz").write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}.npz is not a file of features"):
            Features.load(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "uneven.npz", features=np.zeros((3, 2)), sources=np.array(["a", "b"]))
    with pytest.raises(ValueError, match=r"features is \(3, 2\), of sources \(2,\)"):
        Features.load(tmp_path / "uneven.npz")
