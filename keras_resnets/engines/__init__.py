"""The programs that run a network: each compiles it once, for batches of one size, and then only computes."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from ..architecture.folding import fold
from ..architecture.layout import channels_last
from ..architecture.rewriting import computing_in


class Engine(NamedTuple):
    """What one program can do, and how it is got.

    Attributes:
        modules: What it is imported as, with what turns a network into its format.
        install: The line that installs it.
        precisions: Of its computations; the first is the most exact.
    """

    modules: tuple[str, ...]
    install: str
    precisions: tuple[str, ...]

    def check_installed(self, wanted: str) -> None:
        """Refuse what is wanted where a module is missing.

        Raises:
            ModuleNotFoundError: The message has the line that installs it.
        """
        if missing := [name for name in self.modules if importlib.util.find_spec(name) is None]:
            raise ModuleNotFoundError(
                f"{wanted} needs {' and '.join(missing)}: {self.install}", name=missing[0]
            )


def _extra(name: str) -> str:
    return f"pip install 'keras-resnets[{name}]'"


ENGINES = {
    "tensorflow": Engine(("tensorflow",), "pip install tensorflow", ("float32", "bfloat16")),
    "openvino": Engine(("openvino", "nncf"), _extra("openvino"), ("float32", "bfloat16", "int8")),
    "onnxruntime": Engine(("onnxruntime", "tf2onnx"), _extra("onnxruntime"), ("float32",)),
    "litert": Engine(("ai_edge_litert",), _extra("litert"), ("float32", "int8")),
}


def check(engine: str, precision: str) -> None:
    """Refuse an engine that is unknown or not installed, and a precision that it does not have.

    Raises:
        ValueError: Unknown, or not on the TensorFlow backend, from whose graph every engine starts.
        ModuleNotFoundError: Not installed; the message has the line that installs it.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}. Received: engine={engine!r}")
    row = ENGINES[engine]
    if precision not in row.precisions:
        others = ",".join(name for name, other in ENGINES.items() if precision in other.precisions)
        raise ValueError(
            f"precision of the engine {engine} must be one of {', '.join(row.precisions)}"
            f"{f' ({precision} have: {others})' if others else ''}. "
            f"Received: precision={precision!r}"
        )
    check_backend("an engine")
    row.check_installed(f"the engine {engine}")


def check_backend(wanted: str) -> None:
    """Refuse what begins with a graph of TensorFlow on another backend."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"{wanted} begins with TensorFlow's graph of the network; set KERAS_BACKEND=tensorflow. "
            f"Received: the {keras.backend.backend()} backend"
        )


def compiled(
    model: keras.Model,
    engine: str = "tensorflow",
    precision: str = "float32",
    batch_size: int = 32,
    size: tuple[int, int] | None = None,
    calibration: np.ndarray | None = None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a network for batches of one size, its batch norms folded.

    Args:
        model: A network of this package with one output; it is left as it is.
        engine: One of `ENGINES`.
        precision: Of the computations; answers are float32 always.
        batch_size: Pictures in every batch.
        size: Height and width of every picture; may be None where the network says it.
        calibration: For ``"int8"``: pictures as the network takes them, float32 (n, H, W, 3). The range of
            every layer's values is measured on them; a few hundred are enough.

    Returns:
        A function from float32 (batch_size, H, W, 3), preprocessed, to float32 (batch_size, ...).

    Raises:
        ValueError: No such engine or precision, no size, or no pictures to calibrate with.
        ModuleNotFoundError: The engine is not installed.

    Example:

    >>> import numpy as np
    >>> from keras_resnets import ResNet18
    >>> from keras_resnets.engines import compiled
    >>> run = compiled(ResNet18(weights=None, classes=3, input_shape=(64, 64, 3)), batch_size=2)
    >>> run(np.zeros((2, 64, 64, 3), "float32")).shape
    (2, 3)
    """
    check(engine, precision)
    if precision == "int8" and (calibration is None or not len(calibration)):
        raise ValueError("precision='int8' needs calibration: some of the pictures that it is to answer")
    # Other engines choose their numbers themselves, and start from float32.
    halves = engine == "tensorflow" and precision == "bfloat16"
    network = computing_in(fold(channels_last(model)), "mixed_bfloat16" if halves else "float32")
    size = network.input_shape[1:3] if size is None else size
    if None in size:
        raise ValueError(f"size must be given: the network {model.name!r} takes pictures of any")
    shape = (batch_size, *size, network.input_shape[-1])
    build = importlib.import_module(f".{engine}", __name__).build
    return build(network, shape, precision, calibration)
