"""LiteRT, with labels and preset behind the model: the file is a zip archive, too, as with its metadata."""

import zipfile
from pathlib import Path

from ...engines.litert import converted, opened
from ..comparing import Answers, Examples, in_eights
from ..served import Served

_FILE = "model.tflite"


def write(served: Served, folder: Path, precision: str, examples: Examples) -> None:
    network, path = served.answering(), folder / _FILE
    path.write_bytes(converted(network, network.input_shape, precision, examples.whole))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", f"{served.labels}\n")
        archive.writestr("bundle.json", served.description)


def answers(folder: Path, examples: Examples) -> Answers:
    return {"images": {"probabilities": in_eights(opened(folder / _FILE), examples.whole)}}
