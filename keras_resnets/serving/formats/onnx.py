"""ONNX, with labels and preset among the file's properties."""

from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quant_pre_process, quantize_static
from onnxruntime.transformers.float16 import convert_float_to_float16

from ...engines.onnxruntime import converted, opened
from ..comparing import Answers, Examples, in_eights
from ..served import Served

_FILE = "model.onnx"


def write(served: Served, folder: Path, precision: str, examples: Examples) -> None:
    network = served.answering()
    model = converted(network, network.input_shape)
    if precision == "float16":
        model = convert_float_to_float16(model, keep_io_types=True)
    if precision == "int8":
        model = _quantized(model, folder, examples.whole)
    onnx.helper.set_model_props(model, {"labels": served.labels, "bundle": served.description})
    onnx.save(model, folder / _FILE)


def answers(folder: Path, examples: Examples) -> Answers:
    return {"images": {"probabilities": in_eights(opened(folder / _FILE), examples.whole)}}


def _quantized(model: onnx.ModelProto, folder: Path, calibration: np.ndarray) -> onnx.ModelProto:
    """The library works on files; they go when it is done."""
    paths = before, ready, after = [folder / f"{name}.onnx" for name in ("before", "ready", "after")]
    onnx.save(model, before)
    quant_pre_process(before, ready, skip_symbolic_shape=True)
    quantize_static(ready, after, _Pictures(calibration), per_channel=True, weight_type=QuantType.QInt8)
    quantized = onnx.load(after)
    for path in paths:
        path.unlink()
    return quantized


class _Pictures(CalibrationDataReader):
    """Pictures one after the other, as the library asks for them."""

    def __init__(self, pictures: np.ndarray):
        self._pictures = iter(pictures)

    def get_next(self) -> dict | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"images": picture[None]}
