"""ONNX Runtime, through tf2onnx."""

import os

import numpy as np
import onnx
import onnxruntime

# It would copy the whole graph before every pass, in case one fails: 7 GB for ResNet50 in place of 4.
os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
import tf2onnx

from .graph import traced

OPSET = 17
# ONNX Runtime makes zeros before a maximum the maximum's own padding, which is minus infinity: another
# network where values are negative, as before the first pool of V2. It leaves what is not quite zero.
_ALMOST_ZERO = 1e-30


def converted(network, shape):
    """A network as an ONNX model; ``shape`` may leave the number of pictures open."""
    function = traced(network, shape)
    model, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    maxima = {name for node in model.graph.node if node.op_type == "MaxPool" for name in node.input}
    pads = [node for node in model.graph.node if node.op_type == "Pad" and node.output[0] in maxima]
    for node in pads:
        node.input[2:] = ["almost_zero"]
    if pads:
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(_ALMOST_ZERO), "almost_zero"))
    return model


def opened(model: bytes | os.PathLike):
    """A model's bytes, or the path of its file, as a function of pictures."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])

    def run(images):
        return session.run(None, {"images": images})[0]

    return run


def build(network, shape, precision, calibration):
    return opened(converted(network, shape).SerializeToString())
