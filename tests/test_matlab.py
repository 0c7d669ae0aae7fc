"""MATLAB's resnetNetwork: the counts its documentation prints, its rules, and what it refuses."""

import keras
import numpy as np
import pytest

from keras_resnets import Bundle, Predictor, adapt, fine_tune, network_depth, residual_network
from keras_resnets.images.labels import numbered
from keras_resnets.models import preset_of

from .conftest import as_numpy, assert_near, randomise, write_picture

RESNET50 = {"input_size": (224, 224, 3), "num_classes": 10}
PLAIN = {"initial_pooling_layer": "none", "initial_stride": 1, "initial_filter_size": 3}


def layer_graph(model):
    """(layers, connections) as MATLAB counts: the normalisation belongs to the input, the last layer is a fully
    connected one, a softmax and an output, and nothing else is a layer of its own."""
    own = ("Conv2D", "BatchNormalization", "Activation", "MaxPooling2D", "AveragePooling2D", "Add",
           "GlobalAveragePooling2D", "InputLayer", "Dense")  # fmt: skip
    assert {type(layer).__name__ for layer in model.layers} <= {*own, "Normalization"}
    counted = [layer for layer in model.layers if type(layer).__name__ in own]
    connections = sum(
        len(layer._inbound_nodes[0].input_tensors)
        for layer in counted
        if type(layer).__name__ != "InputLayer"
    )
    return len(counted) + 2, connections + 2


@pytest.mark.parametrize(
    ("options", "layers", "connections"),
    [
        ({}, 177, 192),
        ({"residual_block_type": "batchnorm-after-add"}, 173, 188),
        ({"bottleneck_type": "none"}, 127, 142),
    ],
)
def test_the_documented_counts(options, layers, connections):
    assert layer_graph(residual_network(**RESNET50, **options)) == (layers, connections)


def test_depth_is_resnet_s():
    assert network_depth((3, 4, 6, 3)) == 50 and network_depth((2, 2, 2, 2), bottleneck=False) == 18
    for options in ({}, {"bottleneck_type": "none"}):
        model = residual_network(**RESNET50, **options)
        weighted = [
            layer for layer in model.layers if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
        ]
        on_the_way = [layer for layer in weighted if not layer.name.endswith("_0_conv")]
        assert len(on_the_way) == network_depth((3, 4, 6, 3), bottleneck=not options)


@pytest.mark.parametrize(
    ("bottleneck", "options"),
    [
        (True, {"stack_depth": [2, 2], "num_filters": [64, 128]}),
        (False, {"stack_depth": [2, 2, 2], "num_filters": [64, 128, 256], "bottleneck_type": "none"}),
    ],
)
def test_the_two_resnet_14(bottleneck, options):
    model = residual_network((224, 224, 3), 10, **options)
    assert network_depth(options["stack_depth"], bottleneck) == 14
    assert model.output_shape == (None, 10)


def test_bottlenecks_give_four_times_the_filters():
    model = residual_network((32, 32, 3), 2, stack_depth=(1, 1), num_filters=[4, 5])
    assert [model.get_layer(f"conv{n}_block1_out").output.shape[-1] for n in (2, 3)] == [16, 20]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("initial", "options", "projected"),
    [
        (64, {}, True),
        (256, {}, False),
        (64, {"bottleneck_type": "none"}, False),
        (32, {"bottleneck_type": "none"}, True),
    ],
)
def test_the_first_shortcut_projects_where_the_filters_differ(initial, options, projected, after):
    kind = "batchnorm-after-add" if after else "batchnorm-before-add"
    model = residual_network((64, 64, 3), 2, initial_num_filters=initial, residual_block_type=kind, **options)
    names = {layer.name for layer in model.layers}
    assert ("conv2_block1_0_conv" in names) is projected
    assert {f"conv{n}_block1_0_conv" in names for n in (3, 4, 5)} == {True}
    norms = {name for name in names if name.endswith("_0_bn")}
    assert len(norms) == (0 if after else 3 + projected)


def test_the_stride_is_in_the_first_convolution():
    model = residual_network((64, 64, 3), 2)
    strided = [
        layer.name
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.strides != (1, 1)
    ]
    expected = [f"conv{n}_block1_{slot}_conv" for n in (3, 4, 5) for slot in (0, 1)]
    assert sorted(strided) == ["conv1_conv", *expected]


def test_after_add_moves_the_last_norm_behind_the_addition():
    model = residual_network((64, 64, 3), 2, residual_block_type="batchnorm-after-add")
    names = [layer.name for layer in model.layers]
    block = [name.removeprefix("conv3_block2_") for name in names if name.startswith("conv3_block2_")]
    assert block == ["1_conv", "1_bn", "1_relu", "2_conv", "2_bn", "2_relu", "3_conv", "add", "bn", "out"]


def test_sizes_and_strides_may_be_pairs():
    model = residual_network(
        (64, 32), 3, initial_filter_size=(5, 3), initial_stride=(4, 2), stack_depth=(1,), num_filters=(8,),
        initial_pooling_layer="average", initial_num_filters=6,
    )  # fmt: skip
    first = model.get_layer("conv1_conv")
    assert first.kernel.shape == (5, 3, 1, 6) and first.strides == (4, 2)
    assert model.get_layer("pool1_pool").output.shape == (None, 8, 8, 6)
    assert isinstance(model.get_layer("pool1_pool"), keras.layers.AveragePooling2D)


def test_he_initialisation_everywhere():
    model = residual_network((32, 32, 3), 2, stack_depth=(1, 1), num_filters=(8, 8))
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    assert {type(layer.kernel_initializer).__name__ for layer in kernels} == {"HeNormal"}
    assert "predictions" in {layer.name for layer in kernels}


# --- the normalisation ----------------------------------------------------------------------------


def tiny(**options):
    return residual_network((16, 16, 3), 3, stack_depth=(1,), num_filters=(4,), **PLAIN, **options)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("normalization", ["zerocenter", "zscore"])
def test_adapt_is_per_channel(normalization, data_format, chance):
    pictures = chance.normal([10, 100, 200], [1, 5, 30], (64, 16, 16, 3)).astype("float32")
    data = pictures if data_format == "channels_last" else np.moveaxis(pictures, -1, 1)
    model = tiny(normalization=normalization, data_format=data_format)
    model.predict(data[:2], verbose=0)  # what was traced before must not keep the old values
    adapt(model, data)
    layer = model.get_layer(normalization)
    mean, std = pictures.mean((0, 1, 2)), pictures.std((0, 1, 2))
    expected = (pictures - mean) / (1 if normalization == "zerocenter" else std)
    out = as_numpy(layer(data))
    out = out if data_format == "channels_last" else np.moveaxis(out, 1, -1)
    np.testing.assert_allclose(out, expected, atol=2e-3)
    assert_near(model.predict(data[:2], verbose=0), model(data[:2]), 1e-4)


@pytest.mark.parametrize("kind", ["batches", "pairs", "grey"])
def test_adapt_takes_batches(kind, chance):
    model = residual_network((16, 16), 3, stack_depth=(1,), num_filters=(4,), **PLAIN)
    pictures = chance.normal(7, 1, (12, 16, 16, 1)).astype("float32")
    halves = [pictures[:6], pictures[6:]]
    data = {
        "batches": iter(halves),
        "pairs": [(half, np.zeros(6)) for half in halves],
        "grey": pictures[..., 0],
    }[kind]
    adapt(model, data)
    assert float(model.get_layer("zerocenter").adapt_mean[0]) == pytest.approx(pictures.mean(), rel=1e-4)


def test_only_a_network_with_a_normalisation_is_adapted():
    from .conftest import tiny as another

    with pytest.raises(ValueError, match="'resnet50' has no normalisation to adapt"):
        adapt(another(), np.zeros((1, 32, 32, 3)))


def test_an_adapted_network_survives_every_file(tmp_path, chance):
    model = randomise(tiny(normalization="zscore"))
    pictures = chance.normal(100, 20, (8, 16, 16, 3)).astype("float32")
    adapt(model, pictures)
    model.save(tmp_path / "model.keras")
    bundle = Bundle(model, preset_of(model), numbered(["a", "b", "c"]))
    bundle.save(tmp_path / "bundle")
    for again in (keras.saving.load_model(tmp_path / "model.keras"), Bundle.load(tmp_path / "bundle").model):
        assert_near(again(pictures), model(pictures))
    assert preset_of(model).name == "raw"


def test_fine_tune_adapts_it(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            write_picture(tmp_path / "data" / name / f"{number}.png", seed=number)
    model = residual_network((32, 32, 3), 2, stack_depth=(1, 1), num_filters=(4, 8))
    run = fine_tune(model, tmp_path / "data", epochs=1, out=tmp_path / "bundle")
    means = as_numpy(model.get_layer("zerocenter").adapt_mean)
    assert (means > 100).all() and (means < 150).all()  # uniform pixels
    [answer] = Predictor(Bundle.load(tmp_path / "bundle")).predict([tmp_path / "data/cat/0.png"])
    [expected] = Predictor(run.bundle).predict([tmp_path / "data/cat/0.png"])
    assert answer.error is None and answer.top[0][:2] == expected.top[0][:2]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModel is TensorFlow's own")
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_it_is_exported_with_its_normalisation(data_format, tmp_path, chance):
    import tensorflow as tf

    from keras_resnets import export

    model = randomise(tiny(data_format=data_format))
    pictures = chance.integers(0, 255, (2, 16, 16, 3), dtype="uint8")
    data = pictures.astype("float32")
    data = data if data_format == "channels_last" else np.moveaxis(data, -1, 1)
    adapt(model, data)
    served = tf.saved_model.load(str(export(model, tmp_path))).signatures["serving_default"]
    answer = served(images=tf.constant(pictures))["probabilities"]
    np.testing.assert_allclose(answer, as_numpy(model(data)), atol=1e-5)


# --- what it refuses ------------------------------------------------------------------------------

MISTAKES = {
    "too small": (
        {"input_size": (31, 40, 3)},
        r"initial_stride \* pooling_stride \* 2\*\*\(stacks - 1\) = 2 \* 2 \* 2\*\*3.*smallest picture is "
        r"\(32, 32\). Received: \(31, 40\)",
    ),
    "too narrow": ({"input_size": (64, 60, 3), "initial_stride": (2, 4)}, r"smallest picture is \(32, 64\)"),
    "no pool": ({"input_size": (15, 16), "initial_pooling_layer": "none"}, r"smallest picture is \(16, 16\)"),
    "lengths": ({"stack_depth": (2, 2)}, r"same length.*Received: stack_depth=\(2, 2\), num_filters=\(64, 128"),
    "one class": ({"num_classes": 1}, "num_classes must be an integer of at least 2. Received: num_classes=1"),
    "four numbers": ({"input_size": (1, 2, 3, 4)}, r"input_size must be \(height, width\) or"),
    "pool": ({"initial_pooling_layer": "avg"}, "must be one of 'max', 'average', 'none'. Received: initial_pooling_layer='avg'"),
    "block": ({"residual_block_type": "after"}, "Received: residual_block_type='after'"),
    "bottleneck": ({"bottleneck_type": None}, "Received: bottleneck_type=None"),
    "normalization": ({"normalization": "none"}, "must be one of 'zerocenter', 'zscore'"),
    "depth": ({"stack_depth": (3, 0, 6, 3)}, "stack_depth must be an integer of at least 1. Received: stack_depth=0"),
    "filters": ({"num_filters": "64"}, "num_filters must be integers"),
    "three sizes": ({"initial_filter_size": (7, 7, 7)}, r"must be a number or \(height, width\)"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_with_its_rule(mistake, monkeypatch):
    options, message = MISTAKES[mistake]
    monkeypatch.setattr(keras.layers.Layer, "__init__", None)  # before any layer is made
    with pytest.raises(ValueError, match=message):
        residual_network(**{**RESNET50, **options})


@pytest.mark.parametrize("size", [(32, 32), (16, 48)])
def test_the_smallest_size_works(size):
    stride = (2, 2) if size == (32, 32) else (1, 2)
    model = residual_network(size, 2, num_filters=(2, 2, 2, 2), initial_stride=stride)
    assert model.get_layer("conv5_block3_out").output.shape[1] == 1
