"""OpenVINO's format, with labels and preset in it."""

from pathlib import Path

import openvino

from ...engines.openvino import converted, opened
from ..comparing import Answers, Examples, in_eights
from ..served import Served

_FILE = "model.xml"


def write(served: Served, folder: Path, precision: str, examples: Examples) -> None:
    network = served.answering()
    model = converted(network, network.input_shape, precision, examples.whole)
    # Under this name OpenVINO's own model server and samples look for what a model says of itself.
    model.set_rt_info(served.labels, ["model_info", "labels"])
    model.set_rt_info(served.description, ["model_info", "bundle"])
    openvino.save_model(model, folder / _FILE, compress_to_fp16=precision == "float16")


def answers(folder: Path, examples: Examples) -> Answers:
    return {"images": {"probabilities": in_eights(opened(folder / _FILE), examples.whole)}}
