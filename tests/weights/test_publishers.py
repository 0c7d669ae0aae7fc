"""Publishers' own key lists, stored with the command that made them: recognised, and written back.

The lists in ``keys/`` come from the models that the publishers' libraries build (``keys/make.py``); none was made
from our mapping.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_resnets import create, from_weights, inspect_weights
from keras_resnets.architecture.variants import VARIANTS
from keras_resnets.identification import expected, identify
from keras_resnets.weights import formats, loading
from keras_resnets.weights.formats import Contents, WeightsError
from keras_resnets.weights.publishers import NETWORKS, to_torch, torch_name

from ..conftest import as_numpy, randomise

KEYS = {
    path.stem: json.loads(path.read_text())["models"] for path in Path(__file__).parent.glob("keys/*.json")
}

HUGGING_FACE = {
    "microsoft/resnet-18": "resnet18",
    "microsoft/resnet-34": "resnet34",
    "microsoft/resnet-50": "resnet50_v1_5",
    "microsoft/resnet-101": "resnet101_v1_5",
    "microsoft/resnet-152": "resnet152_v1_5",
}
BIT = {"resnetv2_50x1_bit": "bit_r50x1", "resnetv2_101x1_bit": "bit_r101x1"}
FOREIGN = [
    *[("torchvision", name, key) for key, name in NETWORKS["torchvision"].items()],
    *[("timm", name, key) for key, name in NETWORKS["timm"].items() if name in KEYS["timm"]],
    *[("transformers", name, key) for name, key in HUGGING_FACE.items() if name in KEYS["transformers"]],
    *[("bit", name, key) for name, key in BIT.items()],
]


def contents_of(keys, separator="."):
    """A file with these names and shapes; its arrays share one zero."""
    arrays = {key: np.broadcast_to(np.float32(0), shape) for key, shape in keys.items()}
    return Contents(Path("foreign"), "key list", formats.grouped(arrays))


@pytest.mark.parametrize(("publisher", "name", "key"), FOREIGN, ids=lambda value: str(value))
def test_a_publisher_s_names_are_recognised(publisher, name, key):
    identity = identify(contents_of(KEYS[publisher][name]))
    assert (identity.key, identity.also, identity.fits) == (key, (), True), identity
    assert (identity.classes, identity.channels) == (1000, 3)


@pytest.mark.parametrize(("library", "key"), [(lib, key) for lib, keys in NETWORKS.items() for key in keys])
def test_our_layers_are_written_in_the_library_s_names(library, key):
    theirs = KEYS[library].get(NETWORKS[library][key]) or KEYS["torchvision"][NETWORKS[library][key]]
    row = VARIANTS[key]
    ours = {}
    for layer, shapes in expected(key, row.shortcut).items():
        arrays = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
        written = to_torch(arrays, as_convolution=layer == "predictions" and row.preact)
        name = torch_name(layer, pooled=row.shortcut == "D", preact=row.preact)
        ours |= {f"{name}.{variable}": list(array.shape) for variable, array in written.items()}
    assert ours == {name: list(shape) for name, shape in theirs.items()}


@pytest.mark.parametrize("export", KEYS["onnx"])
def test_an_exported_graph_becomes_a_folded_network(export, tmp_path):
    """Nodes, names and shapes as PyTorch's exporters wrote them; the batch norms are in the convolutions."""
    onnx = pytest.importorskip("onnx")
    graph, chance = KEYS["onnx"][export], np.random.default_rng(0)
    value = onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, None)
    nodes = [
        onnx.helper.make_node(kind, inputs, outputs, name=name, **{"transB": 1} if kind == "Gemm" else {})
        for kind, name, inputs, outputs in graph["nodes"]
    ]
    arrays = {
        name: chance.normal(0, 0.02, shape).astype("float32") for name, shape in graph["arrays"].items()
    }
    initialisers = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    whole = onnx.helper.make_graph(nodes, "g", [value], [value], initialisers)
    onnx.save(onnx.helper.make_model(whole), str(tmp_path / "a.onnx"))
    found = inspect_weights(tmp_path / "a.onnx")
    assert (found.identity.key, found.identity.folded, found.identity.fits) == ("resnet18", True, True)
    model = from_weights(tmp_path / "a.onnx")
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    np.testing.assert_array_equal(as_numpy(model.get_layer("predictions").kernel).T, arrays["fc.weight"])


# As Caffe's prototxt of He et al. names layers (github.com/KaimingHe/deep-residual-networks); no biases but conv1's.
CAFFE = {
    "conv1_conv": ("conv1", None), "conv1_bn": ("bn_conv1", "scale_conv1"),
    "conv2_block1_0_conv": ("res2a_branch1", None), "conv2_block1_0_bn": ("bn2a_branch1", "scale2a_branch1"),
    "conv2_block1_1_conv": ("res2a_branch2a", None), "conv2_block1_1_bn": ("bn2a_branch2a", "scale2a_branch2a"),
    "conv4_block23_3_conv": ("res4b22_branch2c", None), "conv4_block23_3_bn": ("bn4b22_branch2c", "scale4b22_branch2c"),
    "conv5_block3_2_conv": ("res5c_branch2b", None), "conv5_block3_2_bn": ("bn5c_branch2b", "scale5c_branch2b"),
    "predictions": ("fc1000", None),
}  # fmt: skip


def test_caffe_keeps_a_norm_s_scale_apart():
    from keras_resnets.weights import mapping

    chance, layers = np.random.default_rng(0), {}
    norm = {name: chance.random(8) for name in ("mean", "variance", "scale", "offset")}
    for address, (first, second) in CAFFE.items():
        if address.endswith("_conv"):
            layers[first] = {"weights": chance.random((16, 8, 3, 3))}
        elif address == "predictions":
            layers[first] = {"weights": chance.random((1000, 16)), "biases": chance.random(1000)}
        else:
            layers[first] = {name: 2 * norm[name] for name in ("mean", "variance")} | {
                "scale_factor": np.array([2.0])
            }
            layers[second] = {name: norm[name] for name in ("scale", "offset")}
    ours, publisher = mapping.in_our_names(Contents(Path("a"), ".npz", layers))
    assert publisher.name == "Caffe names" and publisher.zero_biases and set(ours) == set(CAFFE)
    for address, variables in ours.items():
        if address.endswith("_bn"):
            expected = dict(
                zip(("moving_mean", "moving_variance", "gamma", "beta"), norm.values(), strict=True)
            )
            for name, array in expected.items():
                np.testing.assert_allclose(variables[name], array)
        elif address.endswith("_conv"):
            assert variables["kernel"].shape == (3, 3, 8, 16)
    assert ours["predictions"]["kernel"].shape == (16, 1000)


def test_caffe_weights_load_with_zero_biases_and_into_its_dialect_alone():
    """The whole network: He's names for every layer of our ResNet-50, arrays as Caffe lays them out."""
    model = randomise(create("resnet50", weights=None, input_shape=(32, 32, 3)))
    layers = {}
    for layer in model.layers:
        arrays = dict(zip([v.name for v in layer.weights], layer.get_weights(), strict=True))
        if "moving_mean" in arrays:
            name = caffe_name(layer.name)
            layers[name] = {"mean": arrays["moving_mean"], "variance": arrays["moving_variance"]}
            layers[name.replace("bn", "scale", 1)] = {"scale": arrays["gamma"], "offset": arrays["beta"]}
        elif layer.name == "predictions":
            layers["fc1000"] = {"weights": arrays["kernel"].T, "biases": arrays["bias"]}
        elif arrays:
            layers[caffe_name(layer.name)] = {"weights": arrays["kernel"].transpose(3, 2, 0, 1)}
    contents = Contents(Path("he"), ".npz", layers)
    identity = identify(contents)
    assert (identity.key, identity.fits) == ("resnet50", True)
    other = create("resnet50", weights=None, input_shape=(32, 32, 3))
    loading.load(other, contents)
    for layer in other.layers:
        for variable, value in zip(layer.weights, model.get_layer(layer.name).get_weights(), strict=True):
            expected = 0 if variable.name == "bias" and layer.name != "predictions" else value
            np.testing.assert_array_equal(as_numpy(variable), np.broadcast_to(expected, variable.shape))


def caffe_name(layer):
    """``conv3_block2_1_bn`` -> ``bn3b_branch2a``, as the prototxt of ResNet-50 has it."""
    if layer.startswith("conv1"):
        return {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}[layer]
    stage, block, slot, role = layer.split("_")
    branch = "1" if slot == "0" else "2" + "abc"[int(slot) - 1]
    letter = "abcdef"[int(block.removeprefix("block")) - 1]
    return f"{'res' if role == 'conv' else 'bn'}{stage[-1]}{letter}_branch{branch}"


def test_wrappers_in_front_of_names_are_taken_off():
    keys = KEYS["torchvision"]["resnet18"]
    for wrapper in ("module.", "backbone.", "model.", "module.backbone.", "state_dict.model."):
        assert identify(contents_of({wrapper + key: shape for key, shape in keys.items()})).key == "resnet18"


def test_a_cifar_state_dict_is_not_an_imagenet_one():
    [keys] = KEYS["akamaster"].values()
    identity = identify(contents_of(keys))
    assert (identity.key, identity.shortcut, identity.classes, identity.fits) == ("resnet20", "A", 10, True)


def test_names_of_nobody_are_said_to_be_so(tmp_path):
    save = {
        "encoder.block.weight": np.zeros((3, 3), "float32"),
        "decoder.block.weight": np.zeros(3, "float32"),
    }
    np.savez(tmp_path / "a.npz", **save)
    assert inspect_weights(tmp_path / "a.npz").identity.publisher is None
    with pytest.raises(WeightsError, match="no known names, so no network can be chosen"):
        from_weights(tmp_path / "a.npz")
