"""ONNX Runtime, through tf2onnx."""

import os

import onnxruntime

# It would copy the whole graph before every pass, in case one fails: 7 GB for ResNet50 in place of 4.
os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
import tf2onnx

from .graph import traced

OPSET = 17
# It makes zeros before a maximum the maximum's own padding, which is minus infinity: another network where
# values are negative, as before the first pool of V2.
_WRONG = "Pad_Fusion"


def build(network, shape, precision, calibration):
    function = traced(network, shape)
    graph, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=OPSET)
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"], disabled_optimizers=[_WRONG]
    )

    def run(images):
        return session.run(None, {"images": images})[0]

    return run
