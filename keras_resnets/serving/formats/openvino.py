"""OpenVINO's format, with labels and preset in it."""

import json
from pathlib import Path

import numpy as np
import openvino

from ...engines.openvino import converted, opened
from ..comparing import Examples, in_eights
from ..served import Served

_FILE = "model.xml"


def write(served: Served, folder: Path, precision: str, calibration: np.ndarray | None) -> None:
    network = served.answering()
    model = converted(network, network.input_shape, precision, calibration)
    # Under this name OpenVINO's own model server and samples look for what a model says of itself.
    model.set_rt_info("\n".join(served.classes), ["model_info", "labels"])
    model.set_rt_info(json.dumps(served.described), ["model_info", "bundle"])
    openvino.save_model(model, folder / _FILE, compress_to_fp16=precision == "float16")


def answers(folder: Path, examples: Examples) -> np.ndarray:
    return in_eights(opened(folder / _FILE), examples.whole)
