"""TensorFlow's SavedModel, as TensorFlow Serving loads it."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from .. import warmup
from ..served import Served
from ..signatures import Signatures


def write(served: Served, folder: Path, precision: str, calibration: None) -> None:
    module = Signatures(served)
    tf.saved_model.save(module, folder, signatures=module.functions())


def answers(folder: Path, files: list[bytes], asked: np.ndarray) -> np.ndarray:
    """The requests that a server begins with are written and tried here, too."""
    functions = tf.saved_model.load(str(folder)).signatures
    requests = warmup.requests(files, asked)
    warmup.write(folder, requests)
    for name, inputs in requests:
        functions[name](**{key: tf.constant(value) for key, value in inputs.items()})
    rows = [functions["image_bytes"](image_bytes=tf.constant([file]))["probabilities"] for file in files]
    return np.concatenate(rows)
