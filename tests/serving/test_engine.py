"""Exports on the engine of TensorFlow Serving, set as the server sets it: the engine, not the server's binary."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_resnets import Bundle, Predictor, ResNet, export, stack3
from keras_resnets.images.labels import numbered
from keras_resnets.images.presets import PRESETS

from ..conftest import calm, randomise, tiny
from .questions import CLASSES, FAMILIES, FILES, READABLE, TOLERANCE, build, check, picture, questions, spread

ONEDNN = ("0", "1")  # the server's images have it off unless they are asked for it


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_the_predictor_does(family, ask, tmp_path):
    bundle = build(family)
    folder = export(bundle, tmp_path / "served")
    for onednn in ONEDNN:
        check(ask(questions(folder), TF_ENABLE_ONEDNN_OPTS=onednn), bundle)


def test_groups_whose_norms_were_to_stay_answer_too(ask, tmp_path):
    bundle = build("legacy ResNeXt")
    folder = export(bundle, tmp_path / "served", fold=False)
    check(ask(questions(folder), TF_ENABLE_ONEDNN_OPTS="0"), bundle)


def stock_resnext():
    """Figure 3 (c) of arXiv:1611.05431 in Keras' own layers, with this package's names."""

    def convolve(x, filters, size, name, **options):
        x = layers.Conv2D(filters, size, use_bias=False, name=f"{name}_conv", **options)(x)
        return layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(x)

    images = x = layers.Input((32, 32, 3), name="images")
    x = layers.ReLU()(convolve(layers.ZeroPadding2D(3)(x), 64, 7, "conv1", strides=2))
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    y = layers.ReLU()(convolve(x, 32, 1, "conv2_block1_1"))
    y = layers.ReLU()(convolve(y, 32, 3, "conv2_block1_2", groups=32, padding="same"))
    y = convolve(y, 64, 1, "conv2_block1_3")
    x = layers.ReLU()(layers.Add()([convolve(x, 64, 1, "conv2_block1_0"), y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(images, layers.Dense(3, activation="softmax", name="predictions")(x))


def test_keras_own_grouped_convolution_is_refused_and_ours_answers(ask, tmp_path, chance):
    stock = calm(stock_resnext())
    images = chance.normal(0, 1, (4, 32, 32, 3)).astype("float32")
    spread(stock, images)
    stock.export(tmp_path / "stock", verbose=False)
    asked = [(str(tmp_path / "stock"), "serving_default", {"images": images})]
    for onednn in ONEDNN:
        with pytest.raises(RuntimeError, match="the engine refuses: XLA compilation disabled"):
            ask(asked, TF_ENABLE_ONEDNN_OPTS=onednn)
    [answer] = ask(asked, XLA="1")  # nothing else is wrong with it
    np.testing.assert_allclose(answer["output_0"], stock.predict(images, verbose=0), atol=TOLERANCE)

    def stack_fn(x):
        return stack3(x, 32, 1, stride1=1, groups=32, name="conv2")

    ours = ResNet(stack_fn, False, False, weights=None, input_shape=(32, 32, 3), classes=3, name="mine")
    for layer in stock.layers:
        if layer.weights:
            ours.get_layer(layer.name).set_weights(layer.get_weights())
    bundles = [Bundle(model, PRESETS["torch"], numbered(CLASSES)) for model in (ours, stock)]
    folder = export(bundles[0], tmp_path / "ours")
    readable = [FILES[i] for i in READABLE]
    [(_, scores)] = Predictor(bundles[1], engine="keras").scores(readable)
    asked = [(str(folder), "image_bytes", {"image_bytes": np.array(readable, object)})]
    for onednn in ONEDNN:
        [answer] = ask(asked, TF_ENABLE_ONEDNN_OPTS=onednn)
        np.testing.assert_allclose(answer["probabilities"], scores, atol=TOLERANCE)


def test_the_warm_up_is_played(ask, tmp_path):
    """One record that fails, and the server does not load the model."""
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    folder = export(tiny(), tmp_path / "served")
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    assert path.is_file()
    records = [PredictionLog.FromString(record.numpy()) for record in tf.data.TFRecordDataset(str(path))]
    assert {record.WhichOneof("log_type") for record in records} == {"predict_log"}
    requests = [record.predict_log.request for record in records]
    assert {request.model_spec.signature_name for request in requests} == {
        "serving_default",
        "image_bytes",
        "features",
    }
    assert len(requests) <= 1000  # or the server refuses the file
    answers = ask([asked_by(folder, request) for request in requests])
    assert all(answer["valid"].all() for answer in answers if "valid" in answer)


def test_a_client_s_requests(ask, tmp_path):
    """As they come in over gRPC."""
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest

    folder = export(randomise(tiny()), tmp_path / "served")
    asked, sent = questions(folder), []
    for _, signature, inputs in asked:
        request = PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "served", signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        sent.append(asked_by(folder, PredictRequest.FromString(request.SerializeToString())))
    answers = ask(asked + sent)
    for plain, remote in zip(answers[: len(asked)], answers[len(asked) :], strict=True):
        assert plain.keys() == remote.keys()
        for name, value in plain.items():
            np.testing.assert_array_equal(remote[name], value)


def asked_by(folder, request):
    """A `PredictRequest` as `engine` takes it."""
    import tensorflow as tf

    inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
    return str(folder), request.model_spec.signature_name, inputs


def test_other_formats_are_read(ask, tmp_path):
    files = [picture("GIF", 0), picture("WEBP", 1, lossless=True), picture("PNG", 1)]
    folder = export(randomise(tiny()), tmp_path)
    [answer] = ask([(str(folder), "image_bytes", {"image_bytes": np.array(files, object)})])
    assert answer["valid"].all()
    np.testing.assert_allclose(*answer["probabilities"][1:], atol=TOLERANCE)


def test_what_the_engine_refuses_is_said(ask, tmp_path):
    with pytest.raises(RuntimeError, match="the engine refuses: Could not find SavedModel"):
        ask([(str(tmp_path), "serving_default", {})])
    folder = str(export(tiny(), tmp_path / "served"))
    images = np.zeros((1, 40, 40, 3), "uint8")
    for signature, inputs, said in (
        ("predict", {"images": images}, r"signatures are .*'image_bytes'.* Received: 'predict'"),
        ("serving_default", {"x": images}, r"serving_default takes \['images'\]. Received: \['x'\]"),
        (
            "serving_default",
            {"images": images.astype("float32")},
            r"Expects arg\[0\] to be uint8 but float is provided",
        ),
    ):
        with pytest.raises(RuntimeError, match=f"the engine refuses: {said}"):
            ask([(folder, signature, inputs)])
