"""Every format gives back, bit for bit and under its own names, what was written."""

import pickle
import sys
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from keras_resnets.weights.formats import WeightsError, grouped, read, writing
from keras_resnets.weights.formats.writing import write

from ..conftest import randomise, tiny

DTYPES = ("float16", "float32", "float64", ml_dtypes.bfloat16)
FLAT = (".safetensors", ".npz", ".pth")


def layers_of(dtype="float32", kernel="kernel"):
    chance = np.random.default_rng(0)
    return {
        "conv1_conv": {kernel: chance.normal(size=(3, 3, 2, 4)).astype(dtype), "bias": np.zeros(4, dtype)},
        "conv2_block1_1_bn": {"gamma": np.ones(4, dtype), "beta": np.array([], dtype)},
    }


def assert_same(before, after):
    assert before.keys() == after.keys()
    for layer in before:
        assert before[layer].keys() == after[layer].keys()
        for name, array in before[layer].items():
            assert array.dtype == after[layer][name].dtype and array.shape == after[layer][name].shape
            assert array.tobytes() == after[layer][name].tobytes()


def read_under_another_name(path):
    """The ending must not matter."""
    return read(path.rename(path.with_name("weights")))


# --- both ways ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ending", writing.WRITERS)
def test_what_is_written_is_read(ending, dtype, tmp_path):
    if ending == ".pth":
        pytest.importorskip("torch")
    before = layers_of(dtype)
    write(tmp_path / f"a{ending}", before)
    contents = read_under_another_name(tmp_path / f"a{ending}")
    assert_same(before, contents.layers)
    assert contents.ordered == (ending == ".h5") and not contents.notes


@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("ending", FLAT)
def test_names_of_flat_formats(ending, separator, tmp_path):
    if ending == ".pth":
        pytest.importorskip("torch")
    names = ("layer1.0.conv1", "fc") if separator == "." else ("resnet/block1/unit01/a/conv2d", "resnet/head")
    before = {name: {"weight": np.ones((2, 3), "float32"), "n": np.array(7)} for name in names}
    write(tmp_path / "a", before, ending, separator)
    assert_same(before, read(tmp_path / "a").layers)


def test_arrays_that_are_not_in_one_piece(tmp_path):
    turned = np.arange(6, dtype="float32").reshape(2, 3).T
    for ending in (".safetensors", ".npz", ".h5"):
        write(tmp_path / f"a{ending}", {"layer": {"kernel": turned}})
        np.testing.assert_array_equal(read(tmp_path / f"a{ending}").layers["layer"]["kernel"], turned)
    np.savez(tmp_path / "b.npz", **{"layer/kernel": turned})  # NumPy marks it as Fortran's order
    np.testing.assert_array_equal(read(tmp_path / "b.npz").layers["layer"]["kernel"], turned)


def test_a_key_without_a_layer_and_one_that_is_there_twice():
    assert list(grouped({"weight": np.ones(1)})) == [""]
    with pytest.raises(WeightsError, match="a/b is there twice"):
        grouped({"a.b": np.ones(1), "a/b": np.ones(1)})


# --- legacy .h5 and .keras ------------------------------------------------------------------------


def test_keras_itself_reads_our_legacy_file(tmp_path):
    model = randomise(tiny())
    layers = {
        layer.name: {v.name: np.array(v) for v in layer.weights} for layer in model.layers if layer.weights
    }
    write(tmp_path / "a.h5", layers)
    other = tiny()
    with h5py.File(tmp_path / "a.h5") as file:
        legacy_h5_format.load_weights_from_hdf5_group(file, other)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_long_lists_of_names_are_cut_as_keras_cuts_them(tmp_path):
    layers = {f"{'long' * 25}_{i}": {"bias": np.zeros(1, "float32")} for i in range(1000)}
    write(tmp_path / "a.h5", layers)
    with h5py.File(tmp_path / "a.h5") as file:
        assert "layer_names" not in file.attrs
        assert legacy_h5_format.load_attributes_from_hdf5_group(file, "layer_names") == list(layers)
    assert list(read(tmp_path / "a.h5").layers) == list(layers)


def test_of_a_keras_archive_the_weights_alone_are_read(tmp_path):
    model = randomise(tiny())
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "a.keras")
    model.save_weights(tmp_path / "a.weights.h5")
    spoilt = tmp_path / "spoilt.keras"
    with zipfile.ZipFile(tmp_path / "a.keras") as source, zipfile.ZipFile(spoilt, "w") as archive:
        archive.writestr("config.json", "not even JSON")
        archive.writestr("../../outside", "x")
        archive.writestr("model.weights.h5", source.read("model.weights.h5"))
    contents = read_under_another_name(spoilt)
    assert_same(read(tmp_path / "a.weights.h5").layers, contents.layers)
    assert contents.notes == ("the optimizer's state is not weights",)


# --- PyTorch --------------------------------------------------------------------------------------


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before 1.6"])
def test_state_dicts_wherever_they_are_kept(new, tmp_path):
    torch = pytest.importorskip("torch")
    plain = {"conv1.weight": torch.ones(2, 3), "bn1.num_batches_tracked": torch.tensor(3)}
    average = {"conv1.weight": torch.zeros(2, 3, dtype=torch.bfloat16)}
    rows = {
        "plain": (plain, plain, ()),
        "lightning": (
            {"state_dict": plain, "epoch": 3, "hyper_parameters": {}},
            plain,
            ("not weights: epoch, hyper_parameters",),
        ),
        "module": ({"model": {"module": plain}}, plain, ()),
        "ema": (
            {"state_dict": plain, "state_dict_ema": average, "optimizer": {}},
            average,
            ("EMA weights taken (state_dict_ema)", "not weights: optimizer"),
        ),
        "texts": ({**average, "version": "1"}, average, ("not weights: version",)),
        "parameter": (
            {"conv1.weight": torch.nn.Parameter(torch.ones(2, 3).T)},
            {"conv1.weight": torch.ones(3, 2)},
            (),
        ),
    }
    for name, (saved, expected, notes) in rows.items():
        path = tmp_path / name
        torch.save(saved, path, _use_new_zipfile_serialization=new)
        contents = read(path)
        found = {
            f"{layer}.{v}": a for layer, variables in contents.layers.items() for v, a in variables.items()
        }
        assert found.keys() == expected.keys() and contents.notes == notes
        for key, tensor in expected.items():
            assert str(tensor.dtype) == f"torch.{found[key].dtype}"
            np.testing.assert_array_equal(found[key].astype("float64"), tensor.double().numpy())


def test_without_pytorch_its_files_are_refused_with_a_way_on(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
    with pytest.raises(
        WeightsError, match=r"(?s)a\.pth: .*not installed.*import torch, safetensors\.torch\n.*save_file"
    ):
        read(tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"writing \.pth needs PyTorch"):
        write(tmp_path / "b.pth", layers_of())
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


# --- TensorFlow -----------------------------------------------------------------------------------


def variable(values, dtype="float32"):
    import tensorflow as tf

    return tf.Variable(tf.cast(values, dtype))


def test_keras_2_checkpoints_have_layers_in_their_number_s_order(tmp_path):
    import tensorflow as tf

    layers = {
        f"layer_with_weights-{number}": tf.train.Checkpoint(kernel=variable([number, 1.0], dtype))
        for number, dtype in ((0, "float32"), (10, "bfloat16"), (2, "float16"))
    }
    saved = tf.train.Checkpoint(**layers, optimizer=tf.train.Checkpoint(iter=variable(3)))
    prefix = saved.save(str(tmp_path / "checkpoint-of-mine"))
    for path in (tmp_path, prefix, prefix + ".index"):
        contents = read(path)
        assert list(contents.layers) == [f"layer_with_weights-{number}" for number in (0, 2, 10)]
        assert contents.layers["layer_with_weights-10"]["kernel"].dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(contents.layers["layer_with_weights-2"]["kernel"], [2, 1])
        assert contents.ordered and contents.notes == ("the optimizer's state and counters are not weights",)


@pytest.mark.parametrize("version", [1, 2])
def test_checkpoints_by_variable_names(version, tmp_path):
    import tensorflow as tf

    values = {"weights": 1.0, "weights/Momentum": 2.0, "weights/ExponentialMovingAverage": 3.0, "biases": 4.0}
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            v1.get_variable(f"resnet_v1_50/conv1/{name}", initializer=[value] * 5)
        v1.get_variable("global_step", initializer=np.int64(7))
        session.run(v1.global_variables_initializer())
        v1.train.Saver(write_version=version).save(session, str(tmp_path / "resnet.ckpt"))
    contents = read(tmp_path / "resnet.ckpt")
    assert list(contents.layers) == ["resnet_v1_50/conv1"] and not contents.ordered
    assert {name: array[0] for name, array in contents.layers["resnet_v1_50/conv1"].items()} == {
        "weights": 3,
        "biases": 4,
    }
    assert contents.notes[0] == "EMA weights taken (ExponentialMovingAverage)"


def test_a_saved_model_gives_its_weights(tmp_path):
    model = randomise(tiny())
    model.export(tmp_path / "a", verbose=False)
    contents = read(tmp_path / "a")
    assert_same(
        {layer.name: {v.name: np.array(v) for v in layer.weights} for layer in model.layers if layer.weights},
        contents.layers,
    )


def test_a_checkpoint_s_files_must_be_there(tmp_path):
    import tensorflow as tf

    prefix = tf.train.Checkpoint(
        **{"layer_with_weights-0": tf.train.Checkpoint(kernel=variable([1.0]))}
    ).save(str(tmp_path / "a"))
    data = tmp_path / "a-1.data-00000-of-00001"
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match=r"a-1\.data-00000-of-00001 is missing beside a-1\.index"):
        read(prefix)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "b")


# --- ONNX -----------------------------------------------------------------------------------------


def onnx_file(path, nodes, arrays):
    import onnx
    from onnx import helper, numpy_helper

    value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)
    rows = [
        helper.make_node(kind, inputs, [f"{name}_out"], name=name, **options)
        for kind, name, inputs, options in nodes
    ]
    initialisers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    onnx.save(helper.make_model(helper.make_graph(rows, "g", [value], [value], initialisers)), str(path))
    return path


def test_layers_of_an_onnx_graph(tmp_path):
    weight, vector, dense = (
        np.ones((4, 3, 1, 1), "float32"),
        np.arange(4, dtype="float32"),
        np.ones((5, 4), "float32"),
    )
    nodes = [
        ("Conv", "/layer1/layer1.0/conv1/Conv", ["x", "onnx::Conv_497", "onnx::Conv_498"], {}),
        ("Conv", "/layer1/layer1.0/downsample/downsample.0/Conv", ["x", "onnx::Conv_500"], {}),
        ("Conv", "Conv_7", ["x", "conv1.weight"], {}),
        ("Gemm", "/fc/Gemm", ["x", "fc.weight", "b"], {"transB": 1}),
        ("MatMul", "dense/MatMul", ["x", "turned"], {}),
        ("Add", "dense/Add", ["dense/MatMul_out", "b5"], {}),
        ("MatMul", "attention", ["x", "y"], {}),
    ]
    arrays = {
        "onnx::Conv_497": weight, "onnx::Conv_498": vector, "onnx::Conv_500": weight, "conv1.weight": weight,
        "fc.weight": dense, "turned": dense.T.copy(), "b": dense[:, 0], "b5": dense[:, 0],
    }  # fmt: skip
    contents = read_under_another_name(onnx_file(tmp_path / "a.onnx", nodes, arrays))
    expected = {
        "layer1.0.conv1": {"weight": weight, "bias": vector},
        "layer1.0.downsample.0": {"weight": weight},
        "conv1": {"weight": weight},
        "fc": {"weight": dense, "bias": dense[:, 0]},
        "dense": {"weight": dense, "bias": dense[:, 0]},
    }
    assert_same(expected, contents.layers)
    assert contents.notes == ("batch norms are folded into the convolutions",)


def test_batch_norms_of_an_onnx_graph_may_share_their_arrays(tmp_path):
    ones = np.ones(4, "float32")
    nodes = [
        ("Identity", "i", ["bn1.weight"], {}),
        ("BatchNormalization", "a", ["x", "bn1.weight", "i_out", "i_out", "bn1.weight"], {}),
    ]
    contents = read(onnx_file(tmp_path / "a.onnx", nodes, {"bn1.weight": ones}))
    names = ("weight", "bias", "running_mean", "running_var")
    assert_same({"bn1": dict.fromkeys(names, ones)}, contents.layers)
    assert contents.notes == ()


def test_onnx_weights_outside_the_file_are_not_followed(tmp_path):
    import onnx

    path = onnx_file(
        tmp_path / "a.onnx",
        [("Conv", "c", ["x", "w.weight"], {})],
        {"w.weight": np.ones((64, 64, 1, 1), "float32")},
    )
    onnx.save(
        onnx.load(path),
        str(tmp_path / "b.onnx"),
        save_as_external_data=True,
        location="beside",
        size_threshold=0,
    )
    with pytest.raises(WeightsError, match=r"w\.weight is kept in another file, which is not followed"):
        read(tmp_path / "b.onnx")


def test_quantised_onnx_is_refused(tmp_path):
    path = onnx_file(tmp_path / "a.onnx", [("Conv", "c", ["x", "dequantised"], {})], {})
    with pytest.raises(WeightsError, match="c: dequantised is computed, not stored: quantised"):
        read(path)


def test_without_the_onnx_package(tmp_path, monkeypatch):
    path = onnx_file(tmp_path / "a.onnx", [], {})
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(WeightsError, match=r"pip install 'keras-resnets\[onnx\]'"):
        read(path)


# --- what is not weights, and writing ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        (b"PK\x03\x04" + bytes(100), "BadZipFile"),
        (pickle.dumps({"a": 1}), "a pickle, not a PyTorch file: reading it would run its code"),
        (b"hello", r"not a known weights file. Read are legacy Keras .*\.onnx"),
    ],
)
def test_other_files_are_refused_by_name(data, message, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(WeightsError, match=message) as refusal:
        read(tmp_path / "a")
    assert str(tmp_path / "a") in str(refusal.value)


def test_other_endings_are_refused_before_anything_is_written(tmp_path):
    for name, message in (
        ("a.bin", r"ending must be one of \.safetensors, \.npz, \.pth, \.h5\. Received: .*a\.bin"),
        ("a.weights.h5", r"use save_weights for \.weights\.h5"),
    ):
        with pytest.raises(ValueError, match=message):
            write(tmp_path / name, layers_of())
    with pytest.raises(ValueError, match="separator must be"):
        write(tmp_path / "a.npz", layers_of(), separator="__")
    assert not list(tmp_path.iterdir())


def test_only_numbers_are_written(tmp_path):
    with pytest.raises(ValueError, match="layer/kernel holds object values, not numbers"):
        write(tmp_path / "a.npz", {"layer": {"kernel": np.array([object()])}})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    def fail(path, layers, separator):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setitem(writing.WRITERS, ".npz", fail)
    path = tmp_path / "a.npz"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="disk full"):
        write(path, layers_of())
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]
