"""HDF5: the legacy Keras ``.h5``, the Keras 3 ``.weights.h5``, and the latter inside a ``.keras`` archive."""

import io
import math
import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import h5py
import ml_dtypes
import numpy as np

from .archives import is_zip, members, open_zip
from .contents import Contents, Layers, WeightsError, by_number
from .limits import check_size, check_unique

WEIGHTS = "model.weights.h5"
NAMES = 16 << 20  # bytes of one attribute
HEAPS = 200  # of 4 KB or more each; the names of a thousand layers need ten
FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF)

Datasets = dict[str, dict[str, h5py.Dataset]]


def is_hdf5(path: Path, begin: bytes) -> bool:
    return begin.startswith(b"\x89HDF\r\n\x1a\n")


def read(path: Path) -> Contents:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        _check_heaps(data)
    with h5py.File(path, "r") as file:
        return _read(path, file, path.stat().st_size)


def is_keras_archive(path: Path, begin: bytes) -> bool:
    return is_zip(begin) and WEIGHTS in members(path)


def read_keras_archive(path: Path) -> Contents:
    """The weights of a ``.keras`` archive; its config, which can name code, is not looked at."""
    with open_zip(path) as archive:
        data = archive.read(WEIGHTS)
    _check_heaps(data)
    with h5py.File(io.BytesIO(data), "r") as file:
        return _read(path, file, len(data))


def _read(path: Path, file: h5py.File, size: int) -> Contents:
    if _has(file, "model_weights"):
        layers, form = _legacy(_group(file, "model_weights")), "legacy Keras .h5"
    elif "layer_names" in file.attrs or "layer_names0" in file.attrs:
        layers, form = _legacy(file), "legacy Keras .h5"
    elif _has(file, "layers"):
        layers, form = _keras3(_group(file, "layers")), "Keras 3 .weights.h5"
    else:
        raise WeightsError("an HDF5 file, but not one with Keras weights")
    has_optimizer = any(_has(file, name) for name in ("optimizer", "optimizer_weights"))
    notes = ("the optimizer's state is not weights",) if has_optimizer else ()
    if form.startswith("legacy"):
        return Contents(path, form, _arrays(layers, size), ordered=True, notes=notes)
    places, layers = layers
    return Contents(path, form, _arrays(layers, size), places=places, notes=notes)


# --- legacy ---------------------------------------------------------------------------------------


def _legacy(file: h5py.Group) -> Datasets:
    names = _texts(file.attrs, "layer_names")
    check_unique(names, "the layer")
    layers: Datasets = {}
    for layer in names:
        group = _group(file, layer)
        for number, variable in enumerate(_texts(group.attrs, "weight_names")):
            parts = PurePosixPath(variable.split(":")[0]).parts
            # A variable that says it belongs to another layer: the file was taken apart and put
            # together wrongly, and no shape would ever tell.
            if len(parts) > 1 and parts[-2] != layer and parts[-2] in names:
                raise WeightsError(f"layer {layer} holds the weights of {parts[-2]}: layers are swapped")
            name = _variable_name(parts[-1]) or str(number)
            layers.setdefault(layer, {})[name] = _dataset(group, variable)
    return layers


_KERAS_1 = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}
_KERAS_2 = ("depthwise_kernel", "kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")


def _variable_name(text: str) -> str | None:
    """``conv1_W`` and ``kernel`` -> ``kernel``: Keras 1 put the layer's name before its own short ones."""
    if text in _KERAS_2:
        return text
    known = {**_KERAS_1, **{name: name for name in _KERAS_2}}
    return next((name for short, name in known.items() if text.endswith("_" + short)), None)


def _texts(attributes: h5py.AttributeManager, name: str) -> list[str]:
    """A list of names; Keras cuts a long one into ``name0``, ``name1``, ..."""
    pieces = [name] if name in attributes else []
    while not pieces or pieces[-1] != name:
        if f"{name}{len(pieces)}" not in attributes:
            break
        pieces.append(f"{name}{len(pieces)}")
    return [text for piece in pieces for text in _attribute(attributes, piece)]


# --- Keras 3 --------------------------------------------------------------------------------------


def _keras3(file: h5py.Group) -> tuple[dict[str, str] | None, Datasets]:
    """The places of layers, or None where places are all their names; and the layers."""
    layers: Datasets = {}
    places: dict[str, str] = {}
    named = True
    for place in sorted(file, key=by_number):
        group = _group(file, place)
        if _has(group, "seed_generator"):
            continue  # a dropout's state, not a weight
        if not _has(group, "vars"):
            raise WeightsError(f"layers/{place} is a model inside a model; save the inner one by itself")
        variables = _group(group, "vars")
        if not len(variables):
            continue
        named = named and "name" in variables.attrs
        layer = _attribute(variables.attrs, "name") if "name" in variables.attrs else place
        if layer in layers:
            raise WeightsError(f"two layers are called {layer}")
        places[layer] = place
        layers[layer] = {key: _dataset(variables, key) for key in sorted(variables, key=by_number)}
    return places if named else None, layers


# --- what a file may make HDF5 do -----------------------------------------------------------------


def _check_heaps(data: bytes | mmap.mmap) -> None:
    """Refuse damaged heaps of texts: HDF5 goes round in them for ever, or reads and writes past their end."""
    widths = data[13:15] if data[8] < 2 else data[9:11]
    if widths != b"\x08\x08":
        raise WeightsError("its addresses are not of 8 bytes, as Keras writes them")
    # Signature, version and three zeros: eight bytes that no weights hold by chance.
    heaps = [found.start() for found in re.finditer(b"GCOL\x01\0\0\0", data)]
    if len(heaps) > HEAPS:
        raise WeightsError(f"it has more than {HEAPS} heaps of texts")
    for heap in heaps:
        _check_heap(data, heap)


def _check_heap(data: bytes | mmap.mmap, heap: int) -> None:
    (size,) = struct.unpack_from("<Q", data, heap + 8)
    place, end = heap + 16, min(heap + size, len(data))
    while place + 16 <= end:
        number, length = struct.unpack_from("<H6xQ", data, place)
        # Number 0 is the free space, which counts its own header.
        step = 16 + -(-length // 8) * 8 if number else length
        if not 0 < step <= end - place:
            raise WeightsError("its heap of texts is damaged")
        place += step


def _has(group: h5py.Group, name: str) -> bool:
    """Whether the name is there, without following it: h5py's ``in`` would open the file it links to."""
    return group.id.links.exists(name.encode())


def _member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """What is at a path of plain names, none of which is a link."""
    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or not part or not _has(group, part):
            raise WeightsError(f"{name} is missing")
        if group.id.links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise WeightsError(f"{name} is a link: it points out of the file, or elsewhere in it")
        group = group[part]
    return group


def _group(group: h5py.Group, name: str) -> h5py.Group:
    found = _member(group, name)
    if not isinstance(found, h5py.Group):
        raise WeightsError(f"{name} is not a group")
    return found


def _attribute(attributes: h5py.AttributeManager, name: str) -> str | list[str]:
    """A text or a list of them; h5py can crash over damaged values of other kinds."""
    declared = attributes.get_id(name)
    if declared.shape and not math.prod(declared.shape):
        return []  # Keras writes no names as no numbers
    if not h5py.check_string_dtype(declared.dtype):
        raise WeightsError(f"the attribute {name} is no text")
    if math.prod(declared.shape) * declared.dtype.itemsize > NAMES:
        raise WeightsError(f"the attribute {name} declares more than {NAMES} bytes")
    value = attributes[name]
    return [_decoded(text) for text in value] if declared.shape else _decoded(value)


def _decoded(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """An array that is stored whole in this file, as plain numbers."""
    data = _member(group, name)
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise WeightsError(f"{name} is not an array inside this file")
    if data.dtype.kind not in "fiub" or data.shape is None:
        raise WeightsError(f"{name} holds no plain numbers")
    filters = list(_filters(data))
    if not set(filters) <= set(FILTERS):
        raise WeightsError(f"{name} is packed in a way that is not read; save it without compression")
    declared, stored = _declared(data), data.id.get_storage_size()
    if declared > stored and not (filters and stored):
        raise WeightsError(f"{name} declares {declared} bytes and stores {stored}: damaged or cut short")
    if data.chunks:
        check_size(math.prod(data.chunks) * data.dtype.itemsize, stored, f"a chunk of {name}")
    return data


def _filters(data: h5py.Dataset) -> Iterator[int]:
    properties = data.id.get_create_plist()
    for place in range(properties.get_nfilters()):
        yield properties.get_filter(place)[0]


def _declared(data: h5py.Dataset) -> int:
    return math.prod(data.shape) * data.dtype.itemsize


def _arrays(layers: Datasets, size: int) -> Layers:
    """Read what was found, once it is known to fit in what the file can hold."""
    found = [data for variables in layers.values() for data in variables.values()]
    declared = sum(map(_declared, found))
    if any(any(_filters(data)) for data in found):
        check_size(declared, size, "the file")
    elif declared > size:
        raise WeightsError(
            f"the file declares {declared} bytes of arrays and has {size}: damaged or cut short"
        )
    return {
        layer: {name: _array(data) for name, data in variables.items()} for layer, variables in layers.items()
    }


def _array(data: h5py.Dataset) -> np.ndarray:
    if "dtype" in data.attrs and _attribute(data.attrs, "dtype") == "bfloat16":
        return data[...].view(ml_dtypes.bfloat16)
    return data[...]
