"""Requests that TensorFlow Serving plays to itself before it answers the first client.

A file of records, each a ``PredictionLog`` of tensorflow_serving/apis/prediction_log.proto. Its messages are
few and old: they are written here by their numbers, so that no server's package is needed to export.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from .comparing import Examples

PLACE = Path("assets.extra") / "tf_serving_warmup_requests"
Request = tuple[str, dict[str, np.ndarray]]


def requests(examples: Examples) -> list[Request]:
    """One alone and a few together for each signature: the shapes that a server meets first."""
    alone = Examples(*(values[:1] for values in examples))  # not all of them to grey levels for one
    shortest = np.array([min(examples.files, key=len)], object)
    return [
        (name, {key: np.repeat(value, count, axis=0)})
        for name, key, value in (
            ("serving_default", "images", alone.whole),
            ("image_bytes", "image_bytes", shortest),
            ("features", "image_bytes", shortest),
        )
        for count in (1, 4)
    ]


def write(folder: Path, requests: list[Request]) -> None:
    """Write them where a server looks for them."""
    path = folder / PLACE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as records:
        for name, inputs in requests:
            records.write(_log(name, inputs))


def _log(signature: str, inputs: dict[str, np.ndarray]) -> bytes:
    model = _field(3, signature.encode())  # ModelSpec.signature_name
    request = _field(1, model)  # PredictRequest.model_spec
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))  # PredictRequest.inputs
    return _field(6, _field(1, request))  # PredictionLog.predict_log, PredictLog.request


def _field(number: int, content: bytes) -> bytes:
    """A field of a message: its number and kind (2: so many bytes), how many bytes, the bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    return bytes([value]) if value < 128 else bytes([value % 128 | 128]) + _varint(value >> 7)
