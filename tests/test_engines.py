"""Every engine against the network itself; what cannot be is said before anything is compiled."""

import importlib.util

import keras
import numpy as np
import pytest

from keras_resnets import Predictor, create
from keras_resnets.engines import ENGINES, compiled

from .conftest import as_numpy, assert_near, calm, tiny, write_picture

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="engines start from TensorFlow's graph"
)
# Relative to the largest logit. Folding is exact within 1e-4; bfloat16 has 8 bits of mantissa, int8 8 in all.
TOLERANCES = {"float32": 1e-4, "bfloat16": 3e-2, "int8": 1e-1}
WAYS = [(engine, precision) for engine, row in ENGINES.items() for precision in row.precisions]
KINDS = {
    "resnet18": {},
    "resnext50": {},
    "se_resnet50": {},
    "resnet50v2": {"data_format": "channels_first", "input_shape": (3, 64, 64)},
    "resnet20": {"dtype": "mixed_bfloat16", "input_shape": (32, 32, 3)},
    "bit_r50x1": {},
}


def small(key, **options):
    standard = {"weights": None, "classes": 5, "input_shape": (64, 64, 3), "classifier_activation": None}
    return calm(create(key, **standard | options))


@on_tensorflow
@pytest.mark.parametrize(("engine", "precision"), WAYS)
def test_an_engine_gives_the_network_s_answers(engine, precision, chance):
    model = small("resnet18")
    images = chance.normal(size=(6, 64, 64, 3)).astype("float32")
    run = compiled(model, engine, precision, 3, calibration=images if precision == "int8" else None)
    first, again = run(images[:3]), run(images[3:])
    assert first.dtype == "float32"
    assert_near(np.concatenate([first, again]), as_numpy(model(images)), TOLERANCES[precision])


# The deep ones take tf2onnx half a minute each.
FAMILIES = [
    (engine, key) for engine in ENGINES for key in KINDS if engine != "onnxruntime" or key == "resnet50v2"
]


@on_tensorflow
@pytest.mark.parametrize(("engine", "key"), FAMILIES)
def test_every_family_runs_in_every_engine(engine, key, chance):
    model = small(key, **KINDS[key])
    first = KINDS[key].get("data_format") == "channels_first"
    size = 32 if key == "resnet20" else 64
    images = chance.normal(size=(2, size, size, 3)).astype("float32")
    expected = as_numpy(model(np.moveaxis(images, -1, 1) if first else images)).astype("float32")
    answers = compiled(model, engine, batch_size=2)(images)
    assert_near(answers, expected, TOLERANCES["bfloat16" if "dtype" in KINDS[key] else "float32"])


@on_tensorflow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_missing_engine_is_named_with_its_install_line(engine, monkeypatch):
    found = importlib.util.find_spec
    missing = ENGINES[engine].modules[0]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else found(name))
    with pytest.raises(ModuleNotFoundError, match=f"the engine {engine} needs {missing}: pip install"):
        compiled(tiny(), engine)


@on_tensorflow
def test_what_an_engine_cannot_do_is_said_first():
    with pytest.raises(ValueError, match=r"engine must be one of tensorflow, .*Received: engine='mxnet'"):
        compiled(tiny(), "mxnet")
    with pytest.raises(
        ValueError, match=r"onnxruntime must be one of float32 \(int8 have: openvino,litert\)"
    ):
        compiled(tiny(), "onnxruntime", "int8")
    with pytest.raises(ValueError, match="needs calibration"):
        compiled(tiny(), "openvino", "int8")
    with pytest.raises(ValueError, match="size must be given"):
        compiled(tiny(input_shape=(None, None, 3)))


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="the other backends' answer")
def test_other_backends_say_where_engines_are():
    with pytest.raises(ValueError, match="set KERAS_BACKEND=tensorflow"):
        Predictor(tiny(), engine="openvino")
    with pytest.raises(ValueError, match="computes as the model was built"):
        Predictor(tiny(), precision="bfloat16")


# --- through the Predictor ------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    return [write_picture(tmp_path / f"{i}.png", size=(70 + i, 80), seed=i) for i in range(9)]


@on_tensorflow
@pytest.mark.parametrize("engine", ["openvino", "litert"])
def test_what_int8_loses_is_measured_and_printed(engine, pictures, capsys):
    predictor = Predictor(
        small("resnet18", classifier_activation="softmax"),
        2,
        precision="int8",
        engine=engine,
        calibration=pictures,
    )
    lost = predictor.quantization
    assert lost.images == 4 and 0 <= lost.same_top1 <= 4 and 0 < lost.largest_difference < 0.2
    assert (
        f"int8 gives the same best answer as float32 for {lost.same_top1} of 4 pictures"
        in capsys.readouterr().err
    )
    assert len(list(predictor.predict(pictures))) == 9


def test_calibration_goes_with_int8_alone(pictures):
    with pytest.raises(ValueError, match="goes with precision='int8' and with nothing else"):
        Predictor(tiny(), calibration=pictures)


@on_tensorflow
def test_int8_needs_pictures(pictures):
    with pytest.raises(
        ValueError, match="goes with precision='int8' and with nothing else.*calibration=None"
    ):
        Predictor(tiny(), engine="openvino", precision="int8")
    with pytest.raises(ValueError, match="calibration needs 4 readable pictures at least"):
        Predictor(tiny(), engine="openvino", precision="int8", calibration=[*pictures[:3], "gone.png"])


def test_memory_is_flat_over_ten_thousand_calls():
    import psutil

    predictor = Predictor(tiny(), batch_size=1)
    picture = np.zeros((32, 32, 3), "uint8")

    def resident(calls):
        for _ in range(calls):
            list(predictor.predict([picture]))
        return psutil.Process().memory_info().rss / 2**20

    before = resident(500)  # by then every pool and cache has its size
    assert resident(10_000) < before + 30
