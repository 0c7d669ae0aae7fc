"""LiteRT, the runtime of phones and small boards."""

import os
import warnings

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from .graph import frozen


def converted(network, shape, precision, calibration) -> bytes:
    """A network in LiteRT's format; ``shape`` may leave the number of pictures open."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(network, shape)])
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: _batches(calibration, shape[0] or 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")  # they are what is measured here
        return converter.convert()


def opened(model: bytes | os.PathLike):
    """A model's bytes, or the path of its file, as a function of pictures."""
    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": os.fspath(model)}
    interpreter = Interpreter(**source, num_threads=os.cpu_count())
    [place], [answer] = interpreter.get_input_details(), interpreter.get_output_details()
    taken = None

    def run(images):
        nonlocal taken
        if images.shape != taken:
            interpreter.resize_tensor_input(place["index"], images.shape)
            interpreter.allocate_tensors()
            taken = images.shape
        interpreter.set_tensor(place["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return run


def build(network, shape, precision, calibration):
    return opened(converted(network, shape, precision, calibration))


def _batches(pictures, size):
    """Whole batches; the last is filled up with pictures from the beginning."""
    for start in range(0, len(pictures), size):
        yield [pictures.take(range(start, start + size), axis=0, mode="wrap")]
