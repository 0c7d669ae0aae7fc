"""TensorFlow checkpoints: Keras 2's by objects, Keras 3's exports, and older ones by variable names."""

import math
import re
from pathlib import Path, PurePosixPath

import numpy as np

from .contents import Contents, Layers, WeightsError, grouped
from .limits import HEADER, check_size, inside

MAGIC = bytes.fromhex("57fb808b247547db")  # ends every table that LevelDB writes
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
AVERAGE = "ExponentialMovingAverage"


def is_prefix(path: Path) -> bool:
    """Whether a checkpoint's files begin with this name."""
    return path.with_name(path.name + ".index").is_file()


def is_checkpoint(path: Path, begin: bytes) -> bool:
    if path.is_dir():
        return any((path / name).exists() for name in ("checkpoint", "variables", "variables.index"))
    if not path.exists():
        return is_prefix(path)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(MAGIC)))
        return file.read() == MAGIC


def read(path: Path) -> Contents:
    import tensorflow as tf

    prefix = _prefix(path)
    stored = sum(file.stat().st_size for file in _files(prefix))
    reader = tf.train.load_checkpoint(str(prefix))
    dtypes = {
        key: np.dtype(dtype.as_numpy_dtype)
        for key, dtype in reader.get_variable_to_dtype_map().items()
        if dtype.is_floating or dtype.is_integer or dtype.is_bool
    }
    shapes = reader.get_variable_to_shape_map()
    declared = sum(math.prod(shapes[key]) * dtypes[key].itemsize for key in dtypes)
    check_size(declared, stored, "the checkpoint")
    by_object = any("layer_with_weights-" in key for key in dtypes)
    if by_object:
        kept, notes = _of_objects(sorted(dtypes))
    elif f"variables/0{VALUE}" in dtypes:
        kept, notes = _of_export(reader), ()
    else:
        kept, notes = _of_names(sorted(dtypes))
    if not kept:
        raise WeightsError(f"no layers' weights in it; it has {', '.join(sorted(shapes)[:5])}")
    layers: Layers = grouped({name: reader.get_tensor(key) for name, key in kept.items()})
    return Contents(path, "TensorFlow checkpoint", layers, ordered=by_object, notes=notes)


# --- files ----------------------------------------------------------------------------------------


def _prefix(path: Path) -> Path:
    if not path.is_dir():
        return path.with_suffix("") if path.suffix == ".index" else path
    if (path / "variables").is_dir():
        return path / "variables" / "variables"
    if (path / "variables.index").exists():
        return path / "variables"
    with inside(path, "checkpoint").open("rb") as file:
        text = file.read(HEADER).decode()
    found = re.search(r'^model_checkpoint_path: "([^"\n]+)"', text, re.MULTILINE)
    if not found:
        raise WeightsError("its file called checkpoint names none")
    return path / PurePosixPath(found[1]).name  # wherever it was written: only this folder is read


def _files(prefix: Path) -> list[Path]:
    """The files TensorFlow will open, none of them outside the folder."""
    data = sorted(prefix.parent.glob(f"{_escaped(prefix.name)}.data-*-of-*"))
    names = [prefix.name + ".index", *(file.name for file in data)] if data else [prefix.name]
    if not data and is_prefix(prefix):
        raise WeightsError(f"{prefix.name}.data-00000-of-00001 is missing beside {prefix.name}.index")
    return [inside(prefix.parent, name) for name in names]


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


# --- keys: {our name: the checkpoint's key} -------------------------------------------------------


def _of_objects(keys: list[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """``layer_with_weights-7/kernel`` in the number's order, which is how Keras 2 itself reads it."""
    kept = [key for key in keys if re.search(r"layer_with_weights-\d+/[^.]*" + re.escape(VALUE), key)]
    kept.sort(key=lambda key: [int(number) for number in re.findall(r"layer_with_weights-(\d+)", key)])
    return {key.removesuffix(VALUE): key for key in kept}, _left_out(len(kept) < len(keys))


def _of_export(reader) -> dict[str, str]:
    """Keras 3 numbers the variables of a SavedModel; their names are in the description of its objects."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    names = {value.checkpoint_key: value.full_name for node in graph.nodes for value in node.attributes}
    keys = sorted(
        (key for key in names if re.match(r"variables/\d+/", key)), key=lambda key: int(key.split("/")[1])
    )
    named = {"/".join(names[key].split("/")[-2:]): key for key in keys}  # without the model's own name
    if len(named) < len(keys):
        raise WeightsError("its variables have no names of their own; save the model as .weights.h5")
    return named


def _of_names(keys: list[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """``resnet_v1_50/conv1/weights``; what stands below another variable belongs to the optimizer."""
    known = set(keys)
    slots = {key for key in keys if key.rpartition("/")[0] in known}
    kept = {key.removesuffix(VALUE): key for key in keys if "/" in key.removesuffix(VALUE)}
    kept = {name: key for name, key in kept.items() if key not in slots and not _is_state(name)}
    averages = {key.rpartition("/")[0]: key for key in slots if key.endswith("/" + AVERAGE)}
    notes = (f"EMA weights taken ({AVERAGE})",) if averages else ()
    left = len(kept) + len(averages) < len(keys)
    return {name: averages.get(name, key) for name, key in kept.items()}, notes + _left_out(left)


def _is_state(name: str) -> bool:
    return "optimizer" in name.lower().split("/")[0] or ".OPTIMIZER_SLOT" in name


def _left_out(anything: bool) -> tuple[str, ...]:
    return ("the optimizer's state and counters are not weights",) if anything else ()
