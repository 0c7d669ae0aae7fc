"""LiteRT, the runtime of phones and small boards."""

import os
import warnings

import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from .graph import frozen


def build(network, shape, precision, calibration):
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen(network, shape)])
    if precision == "int8":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _batches(calibration, shape[0])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Statistics for quantized inputs")  # they are what is measured here
        content = converter.convert()
    interpreter = Interpreter(model_content=content, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    [place], [answer] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images):
        interpreter.set_tensor(place["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return run


def _batches(pictures, size):
    """Whole batches; the last is filled up with pictures from the beginning."""
    for start in range(0, len(pictures), size):
        yield [pictures.take(range(start, start + size), axis=0, mode="wrap")]
