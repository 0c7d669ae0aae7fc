"""The formats that a model is exported to: who runs each, and how exactly."""

import importlib
from typing import NamedTuple

from ...engines import ENGINES, check_backend


class Format(NamedTuple):
    """One file format, with a module of its name here that writes and opens it.

    Attributes:
        engine: What it is run with, in `ENGINES`; that has to be installed.
        precisions: Of the weights, or of the computations; the first is the most exact.
    """

    engine: str
    precisions: tuple[str, ...]


FORMATS = {
    "saved_model": Format("tensorflow", ("float32", "bfloat16")),
    "onnx": Format("onnxruntime", ("float32", "float16", "int8")),
    "openvino": Format("openvino", ("float32", "float16", "int8")),
    "litert": Format("litert", ("float32", "float16", "int8")),
}


def check(format: str, precision: str) -> None:
    """Refuse a format that is unknown or not installed, and a precision that it does not have.

    Raises:
        ValueError: Unknown, or not on the TensorFlow backend.
        ModuleNotFoundError: Not installed; the message has the line that installs it.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}. Received: format={format!r}")
    row = FORMATS[format]
    if precision not in row.precisions:
        raise ValueError(
            f"precision of the format {format} must be one of {', '.join(row.precisions)}. "
            f"Received: precision={precision!r}"
        )
    check_backend("an export")
    ENGINES[row.engine].check_installed(f"the format {format}")


def module_of(format: str):
    """What writes and opens this format."""
    return importlib.import_module(f".{format}", __name__)
