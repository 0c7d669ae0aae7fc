"""TensorFlow's SavedModel, as TensorFlow Serving loads it."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from .. import warmup
from ..comparing import Examples
from ..served import Served
from ..signatures import Signatures


def write(served: Served, folder: Path, precision: str, calibration: None) -> None:
    module = Signatures(served)
    tf.saved_model.save(module, folder, signatures=module.functions())


def answers(folder: Path, examples: Examples) -> np.ndarray:
    """The requests that a server begins with are written and tried here, too."""
    functions = tf.saved_model.load(str(folder)).signatures
    requests = warmup.requests(examples)
    warmup.write(folder, requests)
    for name, inputs in requests:
        functions[name](**{key: tf.constant(value) for key, value in inputs.items()})
    ask = functions["image_bytes"]
    return np.concatenate([ask(image_bytes=tf.constant([file]))["probabilities"] for file in examples.files])
