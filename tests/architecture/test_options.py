"""The options that every architecture takes: what they change in the graph, and that files keep it."""

import math

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import create, feature_info
from keras_resnets.architecture.variants import VARIANTS

from ..conftest import as_numpy, assert_near, randomise

tensorflow_only = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's own")

# One of each order, place of the stride, stem and shortcut.
KINDS = [
    "resnet18",
    "resnet50",
    "resnet50v2",
    "resnet50_d",
    "resnetv2_18",
    "bit_r50x1",
    "resnet20",
    "preresnet164",
]
LARGE = KINDS[:6]


def small(key, **options):
    size = VARIANTS[key].input.smallest
    return create(key, **{"weights": None, "input_shape": (size, size, 3), "classes": 3, **options})


def trainable(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


def same_numbers(a, b, chance):
    images = chance.normal(size=(2, *a.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(as_numpy(a(images)), as_numpy(b(images)), rtol=1e-4, atol=1e-6)


# --- shortcuts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "D", "none"])
@pytest.mark.parametrize("key", KINDS)
def test_every_shortcut_on_every_kind(key, shortcut):
    model = small(key, shortcut=shortcut)
    row = VARIANTS[key]
    projections = [layer.name for layer in model.layers if layer.name.endswith("_0_conv")]
    sums = [layer for layer in model.layers if isinstance(layer, keras.layers.Add)]
    blocks = sum(row.blocks)
    assert len(sums) == (0 if shortcut == "none" else blocks)
    # A stage begins with a projection, but for the first where basic blocks keep 64 (or 16) channels.
    needed = len(row.blocks) - (key in ("resnet18", "resnetv2_18", "resnet20"))
    expected = {"A": 0, "B": needed, "C": blocks, "D": needed, "none": 0}
    assert len(projections) == expected[shortcut]
    assert model.output_shape == (None, 3)


def test_the_paper_s_counts_of_resnet_34_by_shortcut():
    """arXiv:1512.03385, table 3: A has no extra parameters over the plain network, B a few, C more."""
    counts = {s: trainable(create("resnet34", weights=None, shortcut=s)) for s in ("none", "A", "B", "C")}
    projections = {"B": (64 * 128 + 256) + (128 * 256 + 512) + (256 * 512 + 1024)}
    same = [(64, 3), (128, 3), (256, 5), (512, 2)]
    projections["C"] = projections["B"] + sum(n * (c * c + 2 * c) for c, n in same)
    assert counts["A"] == counts["none"] == 21_797_672 - projections["B"]
    assert counts["B"] - counts["A"] == projections["B"]
    assert counts["C"] - counts["A"] == projections["C"]


def test_option_b_of_resnet20():
    assert trainable(create("resnet20", weights=None, shortcut="B")) == 272_474


@pytest.mark.parametrize(("zeros", "first"), [("after", 0), ("both", 4)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_option_a_adds_the_input_itself(data_format, zeros, first, chance):
    """With a branch of zeros a block is its shortcut: every second pixel, the new channels zero."""
    from keras_resnets import basic_block
    from keras_resnets.architecture.shortcuts import zero_channels

    images = chance.random((2, 7, 6, 8)).astype("float32")
    inputs = images if data_format == "channels_last" else np.moveaxis(images, -1, 1)
    tensor = keras.Input(inputs.shape[1:])
    options = {"conv_shortcut": zero_channels, "zeros": zeros, "data_format": data_format}
    model = keras.Model(
        tensor, basic_block(tensor, 16, stride=2, name="b", zero_init_residual=True, **options)
    )
    out = as_numpy(model(inputs))
    out = out if data_format == "channels_last" else np.moveaxis(out, 1, -1)
    expected = np.zeros((2, 4, 3, 16), "float32")
    expected[..., first : first + 8] = images[:, ::2, ::2]
    np.testing.assert_array_equal(out, expected)
    assert not any(type(layer).__module__.startswith("keras_resnets") for layer in model.layers)


def test_an_identity_cannot_lose_channels():
    from keras_resnets import basic_block
    from keras_resnets.architecture.shortcuts import zero_channels

    with pytest.raises(
        ValueError, match="b: an identity shortcut cannot leave channels out. Received: 16 channels"
    ):
        basic_block(keras.Input((8, 8, 16)), 8, conv_shortcut=zero_channels, name="b")


# --- output stride --------------------------------------------------------------------------------


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("key", LARGE)
def test_dilation_takes_the_place_of_strides(key, output_stride, chance):
    model = small(key, input_shape=(64, 64, 3), output_stride=output_stride, include_top=False)
    plain = small(key, input_shape=(64, 64, 3), include_top=False)
    side = 64 // output_stride
    assert model.output_shape[1:3] == (side, side)
    assert [v.path for v in model.weights] == [v.path for v in plain.weights]
    assert [v.shape for v in model.weights] == [v.shape for v in plain.weights]


def test_the_first_block_keeps_the_dilation_before_it():
    """timm's rule: in the first block of a dilated stage the old dilation, then the new one."""
    model = create("resnet34", weights=None, output_stride=8, include_top=False)
    rates = {
        layer.name: layer.dilation_rate[0]
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (3, 3)
    }
    assert {rates[f"conv3_block{b}_{s}_conv"] for b in (1, 2, 3, 4) for s in (1, 2)} == {1}
    assert (rates["conv4_block1_1_conv"], rates["conv4_block1_2_conv"], rates["conv4_block2_1_conv"]) == (
        1,
        2,
        2,
    )
    assert (rates["conv5_block1_1_conv"], rates["conv5_block1_2_conv"], rates["conv5_block2_1_conv"]) == (
        2,
        4,
        4,
    )


def test_with_the_stride_last_the_next_stage_is_dilated():
    """TF-slim's rule for its V2: the block that had the stride keeps the old dilation."""
    model = create("resnet50v2", weights=None, output_stride=16, include_top=False)
    rates = {
        layer.name: layer.dilation_rate[0] for layer in model.layers if isinstance(layer, keras.layers.Conv2D)
    }
    assert {rates[f"conv4_block{b}_2_conv"] for b in range(1, 7)} == {1}
    assert {rates[f"conv5_block{b}_2_conv"] for b in (1, 2, 3)} == {2}


def test_small_networks_have_no_output_stride():
    with pytest.raises(
        ValueError, match="output_stride means nothing for resnet20, .*Received: output_stride=16"
    ):
        create("resnet20", weights=None, output_stride=16)


# --- features -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 64])
@pytest.mark.parametrize("key", KINDS)
def test_features_are_the_stages_ends(key, size, chance):
    row = VARIANTS[key]
    model = create(key, weights=None, input_shape=(size, size, 3), features=row.stages)
    info = feature_info(model)
    assert [info[stage].reduction for stage in row.stages] == (
        [4, 8, 16, 32] if len(info) == 4 else [1, 2, 4]
    )
    images = chance.normal(size=(1, 64, 64, 3)).astype("float32")
    maps = model(images)
    for stage, feature in info.items():
        assert maps[stage].shape == (1, 64 // feature.reduction, 64 // feature.reduction, feature.channels)
        assert as_numpy(maps[stage]).min() >= 0  # behind the activation
    whole = create(key, weights=None, input_shape=(64, 64, 3), include_top=False)
    whole.set_weights(model.get_weights())
    assert_near(whole(images), maps[row.stages[-1]])


def test_features_channels_and_reductions():
    known = {key: [f.channels for f in feature_info(create(key, weights=None, features=VARIANTS[key].stages)).values()]
             for key in ("resnet18", "resnet50v2", "resnetv2_50", "resnet20")}  # fmt: skip
    assert known == {
        "resnet18": [64, 128, 256, 512],
        "resnet50v2": [256, 512, 1024, 2048],
        "resnetv2_50": [256, 512, 1024, 2048],
        "resnet20": [16, 32, 64],
    }
    model = create("resnet50v2", weights=None, features=("conv5", "conv3"), output_stride=8)
    assert {name: f.reduction for name, f in feature_info(model).items()} == {"conv5": 8, "conv3": 8}
    with pytest.raises(ValueError, match=r"build it with features=\('conv2', ...\)"):
        feature_info(small("resnet18"))


def test_features_keep_their_names_in_a_file(tmp_path, chance):
    model = create("resnet18", weights=None, features=("conv3", "conv5"), input_shape=(64, 64, 3))
    model.save(tmp_path / "features.keras")
    again = keras.saving.load_model(tmp_path / "features.keras")
    assert feature_info(again) == feature_info(model)
    images = chance.normal(size=(1, 64, 64, 3)).astype("float32")
    for name, value in again(images).items():  # by stock layers, where the model's own are fused
        assert_near(value, model(images)[name])


def test_features_with_weights_of_the_whole_network(tmp_path, chance):
    whole = randomise(small("resnet18", input_shape=(64, 64, 3)))
    keras_resnets.save_weights(whole, tmp_path / "whole.weights.h5")
    model = create(
        "resnet18", weights=tmp_path / "whole.weights.h5", features="conv3", input_shape=(64, 64, 3)
    )
    images = chance.normal(size=(1, 64, 64, 3)).astype("float32")
    inside = keras.Model(whole.input, whole.get_layer("conv3_block2_out").output)
    assert_near(model(images)["conv3"], inside(images))


# --- input channels -------------------------------------------------------------------------------


def test_any_number_of_channels():
    assert create("resnet18", weights=None, in_channels=13).input_shape == (None, 224, 224, 13)
    assert create("resnet18", weights=None, in_channels=1, include_top=False).input_shape == (
        None,
        None,
        None,
        1,
    )
    first = create("resnet20", weights=None, in_channels=4, data_format="channels_first")
    assert first.input_shape == (None, 4, 32, 32)
    assert create("resnet18_d2l", weights=None, in_channels=3).input_shape == (None, 224, 224, 3)


# --- regularisation -------------------------------------------------------------------------------


def drops(model):
    return {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}


@pytest.mark.parametrize("key", KINDS)
def test_stochastic_depth_rises_with_depth(key):
    rates = drops(small(key, drop_path_rate=0.2))
    blocks = sum(VARIANTS[key].blocks)
    assert list(rates.values()) == pytest.approx([0.2 * i / (blocks - 1) for i in range(1, blocks)])
    assert all(name.endswith("_path_drop") for name in rates)


def test_stochastic_depth_drops_whole_branches(chance):
    """In training a picture's branch is there, scaled by 1 / (1 - rate), or it is not."""
    from keras_resnets import basic_block

    x = keras.Input((6, 6, 4))
    model = randomise(keras.Model(x, basic_block(x, 4, conv_shortcut=False, name="b", drop_path_rate=0.5)))
    images = chance.normal(size=(64, 6, 6, 4)).astype("float32")
    branch = keras.Model(x, model.get_layer("b_path_drop").output)
    kept = as_numpy(keras.Model(x, model.get_layer("b_2_bn").output)(images))
    moved = as_numpy(keras.Model(x, model.get_layer("b_2_bn").output)(images, training=False))
    np.testing.assert_array_equal(kept, moved)
    out = as_numpy(model.get_layer("b_path_drop")(kept, training=True))
    gone = (out == 0).all(axis=(1, 2, 3))
    assert 15 < gone.sum() < 49
    np.testing.assert_allclose(out[~gone], 2 * kept[~gone], rtol=1e-6)
    np.testing.assert_array_equal(as_numpy(branch(images)), kept)


def test_dropout_is_before_the_classifier_but_for_wide_networks():
    assert drops(small("resnet18", dropout_rate=0.3)) == {"predictions_drop": 0.3}
    wide = drops(small("wide_resnet40_4", dropout_rate=0.3))
    assert len(wide) == 18 and set(wide.values()) == {0.3} and "conv2_block1_drop" in wide


def test_layers_that_drop_have_seeds_of_their_own():
    model = small("resnet18", drop_path_rate=0.2, dropout_rate=0.2, seed=7)
    seeds = [layer.seed for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    again = small("resnet18", drop_path_rate=0.2, dropout_rate=0.2, seed=7)
    assert len(set(seeds)) == len(seeds) and None not in seeds
    assert seeds == [layer.seed for layer in again.layers if isinstance(layer, keras.layers.Dropout)]


# --- squeeze-and-excitation, activation, norm -----------------------------------------------------


@pytest.mark.parametrize("key", KINDS)
def test_squeeze_and_excitation_everywhere(key):
    model, plain = small(key, se_ratio=0.25), small(key)
    extra = 0
    for layer in plain.layers:
        if layer.name.endswith("_out"):
            channels = layer.output.shape[-1]
            squeezed = max(8, int(channels * 0.25 + 4) // 8 * 8)
            extra += 2 * channels * squeezed + channels + squeezed
    assert trainable(model) - trainable(plain) == extra


def test_squeeze_and_excitation_is_its_definition(chance):
    """arXiv:1709.01507, equations 2 to 4, in NumPy."""
    model = randomise(small("se_resnet50"))
    inside = [model.get_layer(f"conv2_block1_{name}").output for name in ("3_bn", "se_out")]
    before, after = keras.Model(model.input, inside)(chance.normal(size=(2, 32, 32, 3)).astype("float32"))
    before, after = as_numpy(before), as_numpy(after)
    w1, b1 = map(as_numpy, model.get_layer("conv2_block1_se_1_conv").weights)
    w2, b2 = map(as_numpy, model.get_layer("conv2_block1_se_2_conv").weights)
    squeezed = before.mean(axis=(1, 2))
    gate = 1 / (1 + np.exp(-(np.maximum(squeezed @ w1[0, 0] + b1, 0) @ w2[0, 0] + b2)))
    assert w1.shape[-1] == 16
    np.testing.assert_allclose(after, before * gate[:, None, None], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("key", KINDS)
def test_activation_is_everywhere(key):
    model = small(key, activation="silu")
    found = {layer.activation for layer in model.layers if isinstance(layer, keras.layers.Activation)}
    assert found == {keras.activations.silu}
    own = small("resnet20", activation=lambda x: keras.ops.maximum(x, 0.1 * x))
    assert not any(layer.activation is keras.activations.relu for layer in own.layers if "relu" in layer.name)


def test_a_pool_is_padded_with_what_cannot_win(chance):
    """PyTorch pads a maximum with minus infinity, which matters where a V2 network has no rectifier before."""
    images = -chance.random((1, 8, 8, 3)).astype("float32")
    from keras_resnets.architecture.parts import Pool, pool
    from keras_resnets.architecture.style import Style

    for side in (7, 8):
        x = keras.Input((side, side, 3))
        model = keras.Model(x, pool(x, Pool(pad="lowest"), "pool1", Style()))
        padded = np.pad(images[:, :side, :side], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2]
        np.testing.assert_array_equal(as_numpy(model(images[:, :side, :side])), windows.max(axis=(-2, -1)))


@pytest.mark.parametrize("key", KINDS)
def test_group_norm(key):
    model = small(key, norm="group")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.GroupNormalization)]
    assert len(norms) > 5 and all(layer.name.endswith("_gn") for layer in norms)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers)
    assert {layer.groups for layer in norms} <= {16, 32}


@tensorflow_only
def test_synchronised_batch_norm():
    model = small("resnet18", norm="sync_batch")
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms and all(layer.synchronized for layer in norms)


def test_synchronised_batch_norm_is_tensorflow_s(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="works on Keras' TensorFlow backend alone.*the jax backend"):
        create("resnet18", weights=None, norm="sync_batch")


# --- beginnings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["resnet18", "resnet50", "resnet50v2", "resnetv2_18"])
def test_zero_init_residual_begins_with_the_identity(key, chance):
    """With nothing on the branches every block that is not the first of its stage gives what it gets."""
    model = small(key, zero_init_residual=True, input_shape=(64, 64, 3))
    block = "conv4_block2"
    before = model.get_layer("conv4_block1_out").output
    images = chance.normal(size=(1, 64, 64, 3)).astype("float32")
    a, b = keras.Model(model.input, [before, model.get_layer(f"{block}_out").output])(images)
    np.testing.assert_allclose(as_numpy(a), as_numpy(b), rtol=1e-6)


@pytest.mark.parametrize(("key", "name"), [("resnet50", "GlorotUniform"), ("resnet18", "HeNormal")])
def test_he_initialisation_but_for_the_keras_dialect(key, name):
    model = small(key)
    kernels = [layer for layer in model.layers if hasattr(layer, "kernel_initializer")]
    assert {type(layer.kernel_initializer).__name__ for layer in kernels} == {name}
    kernel = as_numpy(small("resnet18").get_layer("conv4_block1_2_conv").kernel)
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 256)), rel=0.02)


def test_the_course_s_initializer():
    model = small("resnet50_course", kernel_initializer="glorot_uniform", seed=0, input_shape=(64, 64, 3))
    for name in ("conv1_conv", "conv3_block2_2_conv", "predictions"):
        kernel = model.get_layer(name).kernel
        expected = keras.initializers.GlorotUniform(seed=0)(kernel.shape)
        np.testing.assert_array_equal(as_numpy(kernel), as_numpy(expected))
    an_object = small("resnet20", kernel_initializer=keras.initializers.RandomNormal(stddev=0.5))
    assert as_numpy(an_object.get_layer("conv4_block2_1_conv").kernel).std() == pytest.approx(0.5, rel=0.05)
    pair = [as_numpy(small("resnet20").get_layer(f"conv2_block{b}_1_conv").kernel) for b in (1, 2)]
    assert (pair[0] != pair[1]).any()


# --- files ----------------------------------------------------------------------------------------

SAVED = {
    "resnet18": {"shortcut": "A", "drop_path_rate": 0.1, "dropout_rate": 0.1, "zero_init_residual": True},
    "resnet50": {"shortcut": "C", "output_stride": 16, "activation": "gelu"},
    "resnet50v2": {"shortcut": "none", "se_ratio": 0.25, "seed": 3},
    "resnet50_course": {"data_format": "channels_first", "input_shape": (3, 32, 32)},
    "resnet50_d": {"output_stride": 8, "in_channels": 2, "input_shape": (32, 32, 2)},
    "resnetv2_18": {"norm": "group", "shortcut": "D"},
    "bit_r50x1": {"dtype": "mixed_bfloat16"},
    "resnet20": {"data_format": "channels_first", "input_shape": (3, 32, 32)},
    "se_resnet50": {"activation": keras.activations.relu, "kernel_initializer": "orthogonal", "seed": 1},
    "wide_resnet40_4": {"dropout_rate": 0.3},
}


@pytest.mark.parametrize("key", SAVED)
def test_options_survive_a_file_and_a_clone(key, tmp_path, chance):
    if SAVED[key].get("data_format") == "channels_first" and keras.backend.backend() == "torch":
        pytest.skip("the layout is tested with TensorFlow and JAX")
    model = randomise(small(key, **SAVED[key]))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    for other in (again, clone):
        assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
        assert [layer.get_config() for layer in other.layers] == [
            layer.get_config() for layer in model.layers
        ]
    clone.set_weights(model.get_weights())
    same_numbers(model, again, chance)
    same_numbers(model, clone, chance)


@pytest.mark.parametrize("key", SAVED)
def test_weights_go_through_our_own_files(key, tmp_path, chance):
    model = randomise(small(key, **SAVED[key]))
    keras_resnets.save_weights(model, tmp_path / "model.weights.h5")
    again = small(key, **SAVED[key], **{"weights": tmp_path / "model.weights.h5"})
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# --- deep ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "layers"), [("resnet1202", 1202), ("preresnet1001", 1001)])
def test_a_thousand_layers_build_and_answer(key, layers):
    model = create(key, weights=None, shortcut="A" if key == "resnet1202" else None)
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    on_the_way = [layer for layer in convs if not layer.name.endswith("_0_conv")]
    assert len(on_the_way) + 1 == layers
    assert np.isfinite(as_numpy(model(np.zeros((1, 32, 32, 3), "float32")))).all()
    assert len(keras.models.clone_model(model).layers) == len(model.layers)
