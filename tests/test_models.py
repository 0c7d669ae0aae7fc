"""Constructors: what they build, and that every mistake is said before anything is built or fetched."""

import inspect

import keras
import numpy as np
import pytest

import keras_resnets
from keras_resnets import ResNet, ResNet50, create, describe, list_models, models, stack1
from keras_resnets.architecture.variants import VARIANTS

from .conftest import as_numpy, randomise, tiny

CONTRACT = (
    "include_top=True, weights={weights!r}, input_tensor=None, input_shape=None, pooling=None, classes={classes}, "
    "classifier_activation='softmax', name={key!r}, *, data_format=None, dtype=None, new_head=False, stem=None, "
    "shortcut=None, output_stride=32, features=None, in_channels=None, drop_path_rate=0.0, dropout_rate=0.0, "
    "se_ratio=None, zero_init_residual=False, activation='relu', norm=None, kernel_initializer=None, seed=None"
)
CONSTRUCTED = {key: row for key, row in VARIANTS.items() if row.constructor}


@pytest.mark.parametrize("row", CONSTRUCTED.values(), ids=CONSTRUCTED)
def test_a_constructor_is_a_row(row):
    build = getattr(keras_resnets, row.constructor)
    expected = CONTRACT.format(key=row.key, weights=row.weights, classes=row.classes)
    assert str(inspect.signature(build)) == f"({expected})"
    assert build.__name__ == row.constructor and f"{row.parameters:,}" in build.__doc__


@pytest.mark.parametrize("constructor", ["ResNet50", "ResNet50V2"])
def test_the_positional_order_is_that_of_keras(constructor):
    ours = list(inspect.signature(getattr(keras_resnets, constructor)).parameters)
    theirs = list(inspect.signature(getattr(keras.applications, constructor)).parameters)
    assert ours[: len(theirs)] == theirs
    from keras.src.applications.resnet import ResNet as KerasResNet

    theirs = list(inspect.signature(KerasResNet).parameters)
    assert list(inspect.signature(ResNet).parameters)[: len(theirs)] == theirs


def test_names_are_found_and_misspelt_ones_answered():
    assert list_models("*v2") == ["resnet50v2", "resnet101v2", "resnet152v2"]
    assert list_models("*next*") == [
        "resnext50", "resnext101", "resnext50_32x4d", "resnext101_32x4d", "resnext101_32x8d",
        "resnext101_64x4d", "se_resnext50_32x4d", "se_resnext101_32x4d",
    ]  # fmt: skip
    assert list_models("Wide") == [
        "wide_resnet50_2",
        "wide_resnet101_2",
        "wide_resnet28_10",
        "wide_resnet40_4",
    ]
    assert list_models("nothing*") == []
    assert describe("resnext50_32x4d")["trainable parameters"] == 25_028_904
    assert describe("ResNeXt50")["key"] == "resnext50"
    with pytest.raises(ValueError, match="unknown architecture 'resnet5O'; did you mean resnet50"):
        create("resnet5O")
    with pytest.raises(ValueError, match="did you mean .*resnext50"):
        describe("RexNeXt50")
    with pytest.raises(ValueError, match="did you mean resnet50v2 or resnetv2_50 or"):
        create("resnet50_v2")
    with pytest.raises(ValueError, match="did you mean se_resnet50 or"):
        create("seresnet50")
    with pytest.raises(ValueError, match="did you mean se_resnext50_32x4d or"):
        create("seresnext50")
    with pytest.raises(ValueError, match=r"did you mean .*, or another of list_models\('resnext'\)\?"):
        create("resnext")
    with pytest.raises(ValueError, match="unknown architecture"):
        create(["resnet18"])


# --- what they build ------------------------------------------------------------------------------


@pytest.mark.parametrize("include_top", [True, False])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((32, 32, 3), {}),
        ((33, 47, 5), {}),
        ((None, None, 3), {}),
        ((1, 40, 32), {"data_format": "channels_first"}),
    ],
)
def test_any_input_of_32_and_more(shape, options, include_top):
    model = tiny(input_shape=shape, include_top=include_top, **options)
    assert model.input_shape == (None, *shape)
    sample = [side or 50 for side in shape]
    out = model(np.zeros((2, *sample), "float32"))
    assert out.shape[0] == 2 and len(out.shape) == (2 if include_top else 4)


@pytest.mark.parametrize(
    ("pooling", "shape"), [(None, (None, 4, 4, 32)), ("avg", (None, 32)), ("max", (None, 32))]
)
def test_pooling_without_a_top(pooling, shape):
    assert tiny(include_top=False, pooling=pooling).output_shape == shape


def test_numpy_integers_are_numbers():
    assert tiny(classes=np.int64(4), input_shape=tuple(np.array([40, 40, 3]))).input_shape == (
        None,
        40,
        40,
        3,
    )


def test_default_shapes():
    assert create("resnet50", weights=None).input_shape == (None, 224, 224, 3)
    assert create("resnet50", weights=None, include_top=False).input_shape == (None, None, None, 3)
    first = create("resnet50", weights=None, data_format="channels_first")
    assert first.input_shape == (None, 3, 224, 224)


@pytest.mark.parametrize("activation", ["softmax", None, "sigmoid", keras.activations.softmax])
def test_classifier_activation(activation):
    model = tiny(classifier_activation=activation)
    assert model.get_layer("predictions").activation is keras.activations.get(activation)


def test_input_tensor_joins_what_is_before():
    images = keras.Input((40, 40, 3), name="raw")
    scaled = keras.layers.Rescaling(1 / 255, name="scale")(images)
    model = ResNet50(weights=None, input_tensor=scaled, classes=3)
    assert model.input is images or model.inputs[0] is images
    assert [layer.name for layer in model.layers[:3]] == ["raw", "scale", "conv1_pad"]
    assert tiny(input_tensor=keras.Input((40, 40, 3)), input_shape=None).input_shape == (None, 40, 40, 3)


@pytest.mark.parametrize("key", ["resnet50", "resnet50v2", "resnext50"])
def test_two_models_have_the_same_names_and_none_is_numbered(key):
    first, second = create(key, weights=None), create(key, weights=None)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    assert first.layers[0].name == "images" and first.name == key
    assert [v.path for v in first.weights] == [v.path for v in second.weights]
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in first.layers)


@pytest.mark.parametrize("preact", [False, True])
def test_the_two_data_formats_give_the_same(preact, chance):
    last = randomise(tiny(preact))
    first = tiny(preact, input_shape=(3, 32, 32), data_format="channels_first")
    first.set_weights(last.get_weights())
    images = chance.normal(size=(2, 32, 32, 3)).astype("float32")
    theirs = first(np.moveaxis(images, -1, 1))
    np.testing.assert_allclose(as_numpy(last(images)), as_numpy(theirs), atol=1e-5)
    assert keras.config.image_data_format() == "channels_last"


def test_dtype_is_the_model_s_own():
    model = tiny(dtype="mixed_bfloat16")
    assert {layer.dtype_policy.name for layer in model.layers[1:]} == {"mixed_bfloat16"}
    assert keras.config.dtype_policy().name == "float32"
    assert {v.dtype for v in model.variables} == {"float32"}


@pytest.mark.parametrize(
    "options", [{}, {"data_format": "channels_first", "input_shape": (3, 32, 32)}, {"dtype": "mixed_float16"}]
)
def test_a_model_survives_saving(options, tmp_path, chance):
    model = randomise(tiny(preact=True, **options))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    images = chance.normal(size=model.input_shape[1:]).astype("float32")[None]
    np.testing.assert_allclose(as_numpy(model(images)), as_numpy(again(images)), atol=1e-6)
    assert keras.models.clone_model(model).output_shape == model.output_shape


def test_stack_fn_is_the_one_free_variable():
    def stack_fn(x):
        return stack1(x, 4, 1, name="conv2")

    model = ResNet(stack_fn, False, True, weights=None, classes=2, model_name="mine")
    assert model.name == "mine" and model.count_params() < 20_000


# --- every mistake, before anything is built ------------------------------------------------------

MISTAKES = {
    "pooling": ({"pooling": "mean"}, "pooling must be None, 'avg' or 'max'. Received: pooling='mean'"),
    "classes 0": ({"classes": 0}, "classes must be an integer of at least 1. Received: classes=0"),
    "classes text": ({"classes": "ten"}, "Received: classes='ten'"),
    "activation": ({"classifier_activation": "sofmax"}, "Received: classifier_activation='sofmax'"),
    "too small": ({"input_shape": (31, 64, 3)}, r"height must be an integer of at least 32 or None.*Received: input_shape=\(31, 64, 3\)"),
    "two numbers": ({"input_shape": (64, 64)}, r"must be three numbers .*Received: input_shape=\(64, 64\)"),
    "no channels": ({"input_shape": (64, 64, None)}, "channels must be an integer of at least 1"),
    "a number": ({"input_shape": 224}, "Received: input_shape=224"),
    "half a pixel": ({"input_shape": (64.5, 64, 3)}, "height must be an integer"),
    "wrong order": (
        {"input_shape": (64, 64, 3), "data_format": "channels_first"},
        r"\(channels, height, width\). Received: input_shape=\(64, 64, 3\), data_format='channels_first'",
    ),
    "data_format": ({"data_format": "NCHW"}, "data_format must be 'channels_last', 'channels_first' or None.*Received: data_format='NCHW'"),
    "dtype": ({"dtype": "float33"}, "Received: dtype='float33'"),
    "input_tensor": ({"input_tensor": np.zeros((1, 64, 64, 3))}, "must be a Keras tensor.*Received: input_tensor of type ndarray"),
    "dtype of integers": ({"dtype": "int32"}, "must name a floating-point dtype.*Received: dtype='int32'"),
    "name": ({"name": "a/b"}, "name must be a text without '/'. Received: name='a/b'"),
    "a very long path": ({"weights": "x" * 5000}, "Received: weights='xxx"),
    "weights": ({"weights": "imagnet"}, "must be None, 'imagenet', 'resnet50.keras_in1k', the path of an existing file, an https:// or an hf:// address. Received: weights='imagnet'"),
    "another's weights": ({"weights": "resnet101.keras_in1k"}, "Received: weights='resnet101.keras_in1k'"),
    "weights of no kind": ({"weights": 3}, "Received: weights=3"),
    "empty weights": ({"weights": ""}, "Received: weights=''"),
    "classes of others": ({"weights": "imagenet", "classes": 10}, "has 1000 classes.*new_head=True.*Received: classes=10"),
    "channels of others": ({"weights": "imagenet", "input_shape": (64, 64, 4)}, "trained on 3 channels.*stem='sum'.*Received: 4 channels"),
    "stem": ({"stem": "add"}, "stem must be None or one of 'sum', 'mean', 'tile', 'zero', 'copy:<i>'. Received: stem='add'"),
    "shortcut": ({"shortcut": "E"}, "shortcut must be one of 'A', 'B', 'C', 'D', 'none'. Received: shortcut='E'"),
    "output_stride": ({"output_stride": 4}, "output_stride must be 8, 16 or 32. Received: output_stride=4"),
    "features": ({"features": ("conv2", "conv6")}, r"features of resnet50 must be some of 'conv2', 'conv3', 'conv4', 'conv5'.*Received: features=\('conv2', 'conv6'\)"),
    "no features": ({"features": ()}, r"Received: features=\(\)"),
    "pooled features": ({"features": "conv2", "pooling": "avg"}, "cannot be pooled. Received: pooling='avg'"),
    "in_channels": ({"in_channels": 0}, "in_channels must be an integer of at least 1. Received: in_channels=0"),
    "two depths": ({"in_channels": 4, "input_shape": (64, 64, 3)}, "must agree.*Received: in_channels=4"),
    "drop_path_rate": ({"drop_path_rate": 1.0}, "drop_path_rate must be at least 0 and less than 1. Received: drop_path_rate=1.0"),
    "dropout_rate": ({"dropout_rate": -0.1}, "Received: dropout_rate=-0.1"),
    "se_ratio": ({"se_ratio": 0}, "Received: se_ratio=0"),
    "an activation": ({"activation": "rellu"}, "activation must be the name of a Keras activation.*Received: activation='rellu'"),
    "no activation": ({"activation": None}, "Received: activation=None"),
    "plain, zero": ({"shortcut": "none", "zero_init_residual": True}, "plain network.*zero_init_residual=True"),
    "plain, dropped": ({"shortcut": "none", "drop_path_rate": 0.1}, "plain network.*drop_path_rate=0.1"),
    "dropout of nothing": ({"include_top": False, "dropout_rate": 0.1}, "before the classifier, and there is none"),
    "a stage's number": ({"features": 5}, "Received: features=5"),
    "shortcuts": ({"shortcut": ["A"]}, r"Received: shortcut=\['A'\]"),
    "lost channels": ({"weights": "imagenet", "in_channels": 1, "stem": "zero"}, "3 cannot become 1: use 'sum' or 'mean'"),
    "no channel 7": ({"weights": "imagenet", "in_channels": 4, "stem": "copy:7"}, "the weights have channels 0 to 2"),
    "a function": ({"kernel_initializer": np.zeros}, "Received: kernel_initializer=<built-in"),
    "norm": ({"norm": "layer"}, "norm must be 'batch', 'group' or 'sync_batch'. Received: norm='layer'"),
    "initializer": ({"kernel_initializer": "he"}, "Received: kernel_initializer='he'"),
    "seed": ({"seed": 0.5}, "seed must be an integer or None. Received: seed=0.5"),
    "sigmoid": ({"weights": "imagenet", "classifier_activation": "sigmoid"}, "must be 'softmax' or None .*Received: classifier_activation='sigmoid'"),
    "new head, no top": ({"include_top": False, "new_head": True}, "new_head=True needs include_top=True"),
}  # fmt: skip


@pytest.fixture
def nothing_happens(monkeypatch):
    """Fail as soon as a layer is made or a source is asked."""

    def refuse(*args, **kwargs):
        raise AssertionError("too late: work has begun")

    monkeypatch.setattr(models, "assemble", refuse)
    monkeypatch.setattr(models.sources, "resolve", refuse)
    monkeypatch.setattr(keras.layers.Layer, "__init__", refuse)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_said_before_work_begins(mistake, nothing_happens):
    options, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        ResNet50(**{"weights": None, **options})


def test_input_tensor_and_input_shape_must_agree():
    with pytest.raises(ValueError, match=r"must agree.*Received: input_shape=\(48, 48, 3\)"):
        ResNet50(weights=None, input_tensor=keras.Input((64, 64, 3)), input_shape=(48, 48, 3))
    with pytest.raises(ValueError, match="width must be an integer of at least 32"):
        ResNet50(weights=None, input_tensor=keras.Input((64, 16, 3)))


def test_the_file_s_classes_are_compared_first(tmp_path):
    path = tmp_path / "five.weights.h5"
    keras_resnets.save_weights(create("resnet50", weights=None, input_shape=(32, 32, 3), classes=5), path)
    with pytest.raises(ValueError, match="five.weights.h5.*5 classes against 10; pass new_head=True"):
        ResNet50(weights=path, classes=10)


def test_what_comes_before_input_tensor_is_not_looked_for_in_the_file(tmp_path):
    model = create("resnet50", weights=None, input_shape=(32, 32, 3), classes=5)
    keras_resnets.save_weights(model, tmp_path / "five.weights.h5")
    images = keras.Input((32, 32, 6))
    mixed = keras.layers.Conv2D(3, 1, name="stain")(images)
    joined = ResNet50(weights=tmp_path / "five.weights.h5", input_tensor=mixed, classes=5)
    for a, b in zip(model.get_weights(), joined.get_weights()[2:], strict=True):
        np.testing.assert_array_equal(a, b)
    assert models.origin_of(joined).options is None


def test_a_name_is_not_a_proof(tmp_path):
    impostor = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)], name="resnet50")
    assert models.origin_of(impostor).key is None
    another = create("resnet50_v1_5", weights=None, input_shape=(32, 32, 3), name="resnet50")
    another.save(tmp_path / "another.keras")
    assert models.origin_of(another).key == "resnet50_v1_5"
    assert models.origin_of(keras.saving.load_model(tmp_path / "another.keras")).key is None
    create("resnet50", weights=None, input_shape=(32, 32, 3)).save(tmp_path / "real.keras")
    assert models.origin_of(keras.saving.load_model(tmp_path / "real.keras")).key == "resnet50"


def test_stack_fn_must_be_a_function():
    with pytest.raises(ValueError, match="stack_fn must be a function"):
        ResNet(None, False, True, weights=None)


def test_an_unknown_keyword_is_named():
    with pytest.raises(TypeError, match="poling"):
        ResNet50(weights=None, poling="avg")


def test_imagenet_means_nothing_for_a_network_of_one_s_own():
    with pytest.raises(ValueError, match="weights of mine must be None, the path of an existing file"):
        ResNet(lambda x: x, False, True, name="mine")


def test_weights_from_a_path(tmp_path):
    model = randomise(create("resnet50", weights=None, input_shape=(32, 32, 3), classes=5))
    path = str(tmp_path / "five.weights.h5")
    keras_resnets.save_weights(model, path)
    again = ResNet50(weights=path, classes=5, input_shape=(32, 32, 3))
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="5 classes against 1000; pass new_head=True"):
        ResNet50(weights=path)
    with pytest.raises(ValueError, match="must be 'softmax' or None"):
        ResNet50(weights=path, classes=5, classifier_activation="relu")
    assert ResNet50(weights=path, classes=7, new_head=True, classifier_activation="sigmoid").output_shape == (
        None,
        7,
    )
    assert ResNet50(weights=path, include_top=False, pooling="avg").output_shape == (None, 2048)
