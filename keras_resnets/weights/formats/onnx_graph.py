"""ONNX: the initialisers of convolutions, dense layers and batch norms, in PyTorch's words and layouts."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .contents import Contents, Layers, Variables, WeightsError
from .limits import check_unique

_VARIABLE = re.compile(r"[._/](weight|weights|kernel|gamma|scale|W|w)$")


def is_onnx(path: Path, begin: bytes) -> bool:
    """Its first field is the version of the format, a small number; then come texts or the graph."""
    return (
        begin[:1] == b"\x08"
        and 0 < begin[1] < 32
        and begin[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a", b"B")
    )


def read(path: Path) -> Contents:
    onnx = _onnx()
    graph = onnx.load(str(path), load_external_data=False).graph
    arrays = _initialisers(onnx, graph)
    layers: Layers = {}
    for node in graph.node:
        for name, variables in _layer(onnx, node, graph, arrays):
            if name in layers and any(layers[name][key] is not variables.get(key) for key in layers[name]):
                raise WeightsError(f"two layers are called {name}")
            layers[name] = variables
    if not layers:
        raise WeightsError("no convolution, dense layer or batch norm with weights of its own in it")
    return Contents(path, "ONNX", layers, notes=_notes(layers, graph))


def _onnx():
    try:
        import onnx
    except ImportError:
        raise WeightsError(
            "an ONNX file, and the onnx package is not installed: pip install 'keras-resnets[onnx]'"
        ) from None
    return onnx


def _initialisers(onnx, graph) -> Variables:
    """Stored arrays by name; constants among the nodes and other names of the same array too."""
    if graph.sparse_initializer:
        raise WeightsError("its weights are sparse; export them as dense ones")
    stored = list(graph.initializer)
    check_unique((tensor.name for tensor in stored), "the initialiser")
    arrays = {tensor.name: _array(onnx, tensor) for tensor in stored}
    for node in graph.node:
        if node.op_type == "Constant":
            values = [a.t for a in node.attribute if a.name == "value" and a.HasField("t")]
            arrays.update(
                {name: _array(onnx, tensor) for name, tensor in zip(node.output, values, strict=False)}
            )
        elif node.op_type == "Identity" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    return arrays


def _array(onnx, tensor) -> np.ndarray:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise WeightsError(
            f"{tensor.name} is kept in another file, which is not followed; save the model in one file "
            "(onnx.save(onnx.load('a.onnx'), 'b.onnx'))"
        )
    declared = math.prod(tensor.dims)
    if min(tensor.dims, default=0) < 0 or declared > tensor.ByteSize():
        raise WeightsError(f"{tensor.name} declares the shape {list(tensor.dims)} and stores less")
    return onnx.numpy_helper.to_array(tensor)


# --- nodes to layers ------------------------------------------------------------------------------


def _layer(onnx, node, graph, arrays: Variables) -> Iterator[tuple[str, Variables]]:
    """The layer that a node is, if it is one with weights."""
    names = _VARIABLES.get(node.op_type)
    inputs = list(node.input)[1:]
    if names is None or (node.op_type == "MatMul" and inputs[0] not in arrays):
        return  # a product of two activations is no layer
    if missing := [name for name in inputs if name and name not in arrays]:
        raise WeightsError(
            f"{node.name or node.output[0]}: {missing[0]} is computed, not stored: "
            "quantised, or exported for training; export it in float32 for inference"
        )
    variables = {name: arrays[key] for name, key in zip(names, inputs, strict=False) if key}
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not _attribute(onnx, node, "transB")):
        variables["weight"] = variables["weight"].T
    if node.op_type == "MatMul" and (bias := _added(node, graph, arrays)) is not None:
        variables["bias"] = bias
    yield _layer_name(node), variables


_VARIABLES = {
    "Conv": ("weight", "bias"),
    "Gemm": ("weight", "bias"),
    "MatMul": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
}


def _attribute(onnx, node, name: str):
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), 0)


def _added(node, graph, arrays: Variables) -> np.ndarray | None:
    """The stored vector that is added to a product."""
    for other in graph.node:
        if other.op_type == "Add" and node.output[0] in other.input:
            found = [arrays[name] for name in other.input if name in arrays and arrays[name].ndim == 1]
            return found[0] if found else None
    return None


def _layer_name(node) -> str:
    """``layer1.0.conv1.weight`` or, where the exporter renamed it, ``/layer1/layer1.0/conv1/Conv``."""
    weight = node.input[1]
    if _VARIABLE.search(weight):
        return _VARIABLE.sub("", weight)
    parts: list[str] = []
    for part in node.name.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()  # layer1.0 says layer1 again
        parts.append(part)
    return ".".join(parts) or node.name or weight


def _notes(layers: Layers, graph) -> tuple[str, ...]:
    norms = any(node.op_type == "BatchNormalization" for node in graph.node)
    biased = any("bias" in variables for variables in layers.values() if variables["weight"].ndim == 4)
    return ("batch norms are folded into the convolutions",) if biased and not norms else ()
