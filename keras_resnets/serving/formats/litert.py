"""LiteRT, with labels and preset behind the model: the file is a zip archive, too, as with its metadata."""

import json
import zipfile
from pathlib import Path

import numpy as np

from ...engines.litert import converted, opened
from ..comparing import Examples, in_eights
from ..served import Served

_FILE = "model.tflite"


def write(served: Served, folder: Path, precision: str, calibration: np.ndarray | None) -> None:
    network, path = served.answering(), folder / _FILE
    path.write_bytes(converted(network, network.input_shape, precision, calibration))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "".join(f"{name}\n" for name in served.classes))
        archive.writestr("bundle.json", json.dumps(served.described, indent=2))


def answers(folder: Path, examples: Examples) -> np.ndarray:
    return in_eights(opened(folder / _FILE), examples.whole)
