"""Bytes to arrays: what a weights file says, in its own names. No code in a file is ever run.

Every reader returns the same plain value, `Contents`; what the names mean is `mapping`'s business.
"""

import dataclasses
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import h5py
import ml_dtypes
import numpy as np

Variables = dict[str, np.ndarray]
Layers = dict[str, Variables]


class WeightsError(ValueError):
    """A weights file that cannot be read or does not fit; the message names it, the reason and a way on."""


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        layers: Layer -> variable -> array, in the file's order. A variable is a name (``kernel``)
            or, where the file has none, its number in the layer (``"0"``).
        ordered: Whether the order of layers is how Keras itself reads this format.
        places: For a Keras 3 file its own address of each layer, by class and number (``conv2d_7``);
            None when these are the only names it has, and so the keys of ``layers``.
    """

    path: Path
    format: str
    layers: Layers
    ordered: bool = False
    places: dict[str, str] | None = dataclasses.field(default_factory=dict)


def read(path: str | os.PathLike) -> Contents:
    """Read a legacy Keras ``.h5``, a ``.weights.h5``, a tfjs folder or a packed one (``.tgz``).

    The kind is told by what is inside, not by the name.

    Raises:
        FileNotFoundError: Nothing is there.
        WeightsError: It is something else, empty, cut short or damaged.
    """
    path = Path(path)
    if path.is_dir():
        return _read_tfjs(path, _folder_reader(path))
    if not path.exists():
        raise FileNotFoundError(f"no weights file at {path}")
    with path.open("rb") as file:
        begin = file.read(512)
    if not begin:
        raise WeightsError(f"{path}: the file is empty")
    if begin.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_hdf5(path)
    if begin.startswith(b"\x1f\x8b"):
        return _read_packed_tfjs(path)
    what = "a web page, not weights: the download failed" if _is_html(begin) else "not a known weights file"
    raise WeightsError(
        f"{path}: {what}. Read are legacy Keras .h5, .weights.h5 and folders with a tfjs model.json"
    )


def grouped(arrays: dict[str, np.ndarray]) -> Layers:
    """``{"layer1.0.conv1.weight": array}`` as layers and their variables."""
    layers: Layers = {}
    for key, array in arrays.items():
        layer, _, variable = key.rpartition(".")
        layers.setdefault(layer, {})[variable] = array
    return layers


def _is_html(begin: bytes) -> bool:
    return begin.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))


# --- HDF5 -----------------------------------------------------------------------------------------


def _read_hdf5(path: Path) -> Contents:
    try:
        with h5py.File(path, "r") as file:
            if "model_weights" in file:
                return _read_legacy(path, _group(file, "model_weights"))
            if "layer_names" in file.attrs or "layer_names0" in file.attrs:
                return _read_legacy(path, file)
            if "layers" in file:
                return _read_keras3(path, _group(file, "layers"))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{path}: damaged or cut short ({error})") from error
    raise WeightsError(f"{path}: an HDF5 file, but not one with Keras weights")


def _read_legacy(path: Path, file: h5py.Group) -> Contents:
    names = _texts(file.attrs, "layer_names")
    layers: Layers = {}
    for layer in names:
        group = _group(file, layer)
        variables = _texts(group.attrs, "weight_names")
        for number, variable in enumerate(variables):
            parts = PurePosixPath(variable.split(":")[0]).parts
            # A variable that says it belongs to another layer: the file was taken apart and put
            # together wrongly, and no shape would ever tell.
            if len(parts) > 1 and parts[-2] != layer and parts[-2] in names:
                raise WeightsError(f"layer {layer} holds the weights of {parts[-2]}: layers are swapped")
            name = _variable_name(parts[-1]) or str(number)
            layers.setdefault(layer, {})[name] = _array(group, variable)
    return Contents(path, "legacy Keras .h5", layers, ordered=True)


_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
_KERAS_2 = ("depthwise_kernel", "kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")


def _variable_name(text: str) -> str | None:
    """``conv1_W`` and ``kernel`` -> ``kernel``: Keras 1 put the layer's name before its own short ones."""
    if text in _KERAS_2:
        return text
    known = {**_KERAS_1, **{name: name for name in _KERAS_2}}
    return next((name for short, name in known.items() if text.endswith("_" + short)), None)


def _read_keras3(path: Path, file: h5py.Group) -> Contents:
    layers: Layers = {}
    places: dict[str, str] = {}
    named = True
    for place in sorted(file, key=by_number):
        group = _group(file, place)
        if "seed_generator" in group:
            continue  # a dropout's state, not a weight
        if "vars" not in group:
            raise WeightsError(f"layers/{place} is a model inside a model; save the inner one by itself")
        variables = _group(group, "vars")
        if not len(variables):
            continue
        named = named and "name" in variables.attrs
        layer = variables.attrs.get("name", place)
        if layer in layers:
            raise WeightsError(f"two layers are called {layer}")
        places[layer] = place
        layers[layer] = {key: _array(variables, key) for key in sorted(variables, key=by_number)}
    return Contents(path, "Keras 3 .weights.h5", layers, places=places if named else None)


def by_number(text: str) -> tuple[str, int]:
    """Sort ``conv2d_10`` behind ``conv2d_9``."""
    stem, _, number = text.rpartition("_")
    if number.isdigit():
        return (stem, int(number))
    return (text, 0)


def _texts(attributes: h5py.AttributeManager, name: str) -> list[str]:
    """A list of names; Keras cuts a long one into ``name0``, ``name1``, ..."""
    pieces = [name] if name in attributes else []
    while not pieces or pieces[-1] != name:
        if f"{name}{len(pieces)}" not in attributes:
            break
        pieces.append(f"{name}{len(pieces)}")
    texts = [text for piece in pieces for text in attributes[piece]]
    return [text.decode() if isinstance(text, bytes) else str(text) for text in texts]


def _member(group: h5py.Group, name: str):
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink) and "/" not in name:
        raise WeightsError(f"{name} is missing, or points out of the file")
    return group[name]


def _group(group: h5py.Group, name: str) -> h5py.Group:
    found = _member(group, name)
    if not isinstance(found, h5py.Group):
        raise WeightsError(f"{name} is not a group")
    return found


def _array(group: h5py.Group, name: str) -> np.ndarray:
    data = _member(group, name)
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise WeightsError(f"{name} is not an array inside this file")
    if data.attrs.get("dtype") == "bfloat16":
        return data[()].view(ml_dtypes.bfloat16)
    return data[()]


# --- tfjs -----------------------------------------------------------------------------------------


def _folder_reader(folder: Path) -> Callable[[str], bytes]:
    return lambda name: (folder / name).read_bytes()


def _read_packed_tfjs(path: Path) -> Contents:
    """A ``.tgz`` as the npm registry keeps it; members are read in memory, nothing is unpacked."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {m.name: m for m in archive.getmembers() if m.isfile()}
            found = sorted(name for name in members if PurePosixPath(name).name == "model.json")
            if not found:
                raise WeightsError(f"{path}: no tfjs model.json in this archive")
            folder = PurePosixPath(found[0]).parent
            # In the archive's order: going back in a gzip stream means unpacking it again.
            data = {
                PurePosixPath(name).name: archive.extractfile(member).read()
                for name, member in members.items()
                if PurePosixPath(name).parent == folder
            }
    except (OSError, EOFError, tarfile.TarError) as error:
        raise WeightsError(f"{path}: damaged or cut short ({error})") from error
    return _read_tfjs(path, data.__getitem__)


def _read_tfjs(path: Path, read_file: Callable[[str], bytes]) -> Contents:
    try:
        manifest = json.loads(read_file("model.json"))["weightsManifest"]
        layers: Layers = {}
        for group in manifest:
            data = b"".join(read_file(PurePosixPath(name).name) for name in group["paths"])
            for name, array in _tfjs_arrays(group["weights"], data):
                layer, variable = PurePosixPath(name).parts[-2:]
                layers.setdefault(layer, {})[variable] = array
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: {Path(error.filename).name} is missing from this tfjs folder") from None
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a tfjs layers model ({type(error).__name__}: {error})") from error
    return Contents(path, "tfjs", layers)


def _tfjs_arrays(rows: list[dict], data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    position = 0
    for row in rows:
        if row.get("quantization"):
            raise WeightsError(f"{row['name']} is quantised; convert the model without quantisation")
        dtype = np.dtype(row["dtype"])
        count = int(np.prod(row["shape"], dtype=np.int64))
        if position + count * dtype.itemsize > len(data):
            raise WeightsError(f"the shards end before {row['name']}: cut short")
        array = np.frombuffer(data, dtype, count, position).reshape(row["shape"])
        position += array.nbytes
        yield row["name"], array
    if position != len(data):
        raise WeightsError(f"the shards are {len(data) - position} bytes longer than model.json says")
