"""TensorFlow's SavedModel, as TensorFlow Serving loads it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from ...images.reading import read_image
from .. import warmup
from ..comparing import Answers, Examples
from ..served import Served
from ..signatures import Signatures


def write(served: Served, folder: Path, precision: str, examples: Examples) -> None:
    module = Signatures(served)
    tf.saved_model.save(module, folder, signatures=module.functions())
    warmup.write(folder, warmup.requests(examples))


def answers(folder: Path, examples: Examples) -> Answers:
    """Of every signature, file by file; the requests that a server begins with are tried, too."""
    signatures = tf.saved_model.load(str(folder)).signatures

    def ask(name: str, **inputs) -> dict[str, np.ndarray]:
        outputs = signatures[name](**{key: tf.constant(value) for key, value in inputs.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    for name, inputs in warmup.requests(examples):
        ask(name, **inputs)
    return {
        "image_bytes": _joined(ask("image_bytes", image_bytes=[file]) for file in examples.files),
        "features": _joined(ask("features", image_bytes=[file]) for file in examples.files),
        "serving_default": _joined(
            ask("serving_default", images=read_image(file)[None]) for file in examples.files
        ),
    }


def _joined(rows: Iterable[dict]) -> dict[str, np.ndarray]:
    rows = list(rows)
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
