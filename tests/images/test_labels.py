import hashlib
import json

import keras
import numpy as np
import pytest

from keras_resnets import decode_predictions
from keras_resnets.images.labels import imagenet_labels


def test_the_names_are_those_that_keras_downloads():
    """Keras' own file, byte for byte, from ours: its md5 is in keras/src/applications/imagenet_utils.py."""
    table = {str(number): list(label) for number, label in enumerate(imagenet_labels())}
    assert hashlib.md5(json.dumps(table).encode()).hexdigest() == "c2c37ea517e94d9795004a39431a14cb"


def test_decoding(chance):
    scores = chance.random((2, 1000)).astype("float32")
    for preds in (scores, keras.ops.convert_to_tensor(scores)):
        rows = decode_predictions(preds, top=3)
        for row, values in zip(rows, scores, strict=True):
            order = values.argsort()[::-1][:3]
            assert row == [(*imagenet_labels()[i], values[i]) for i in order]


@pytest.mark.parametrize("shape", [(1000,), (1, 10), (1, 1000, 1)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(N, 1000\). Received: shape"):
        decode_predictions(np.zeros(shape))


def test_top_must_be_positive():
    with pytest.raises(ValueError, match="Received: top=0"):
        decode_predictions(np.zeros((1, 1000)), top=0)
