"""Arrays to a file: beside its place first, then renamed, so that no half file is ever there."""

import os
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import safetensors.numpy

from ...disk import try_size, written_whole
from .contents import Layers

ENTRY = 4096  # bytes that HDF5 takes for a variable beside its values, at most
ATTRIBUTE = 64_512  # bytes; what HDF5 keeps of one attribute, and where Keras 2 cut its lists of names


def write(path: str | os.PathLike, layers: Layers, format: str | None = None, separator: str = ".") -> None:
    """Write layers to a file.

    Args:
        path: Where; its ending says the format: ``.safetensors``, ``.npz``, ``.pth`` (needs PyTorch) or
            ``.h5`` (as Keras 2 wrote it).
        layers: Layer -> variable -> array, written under these names.
        format: One of these endings, where the path has another.
        separator: Between layer and variable where a file is one table: ``"."`` as in PyTorch, or ``"/"``.

    Raises:
        ValueError: The ending or the separator is another, or an array holds no numbers.
    """
    path = Path(path)
    form = format or ("".join(path.suffixes[-2:]) if path.name.endswith(".weights.h5") else path.suffix)
    if form not in WRITERS:
        more = "; use save_weights for .weights.h5" if form == ".weights.h5" else ""
        raise ValueError(f"the file's ending must be one of {', '.join(WRITERS)}{more}. Received: {path}")
    if separator not in (".", "/"):
        raise ValueError(f"separator must be '.' or '/'. Received: separator={separator!r}")
    for layer, variables in layers.items():
        for name, array in variables.items():
            if array.dtype.kind not in "fiub" and array.dtype != ml_dtypes.bfloat16:
                raise ValueError(f"{layer}/{name} holds {array.dtype} values, not numbers")
    with written_whole(path) as beside:
        WRITERS[form](beside, layers, separator)


def _flat(layers: Layers, separator: str) -> dict[str, np.ndarray]:
    rows = [
        (f"{layer}{separator}{name}" if layer else name, np.ascontiguousarray(array).reshape(array.shape))
        for layer, variables in layers.items()
        for name, array in variables.items()
    ]
    return dict(rows)


def _safetensors(path: Path, layers: Layers, separator: str) -> None:
    # Its own way to a file makes one that nobody else may read.
    path.write_bytes(safetensors.numpy.save(_flat(layers, separator)))


def _npz(path: Path, layers: Layers, separator: str) -> None:
    with path.open("wb") as file:
        np.savez(file, **_flat(layers, separator))


def _torch(path: Path, layers: Layers, separator: str) -> None:
    try:
        import torch
    except ImportError:
        raise ValueError(
            "writing .pth needs PyTorch: pip install 'keras-resnets[torch]', or write .safetensors, which "
            "PyTorch's users can read too"
        ) from None

    def tensor(array: np.ndarray):
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(array.copy())

    torch.save({key: tensor(array) for key, array in _flat(layers, separator).items()}, path)


# --- legacy .h5 -----------------------------------------------------------------------------------


def _legacy(path: Path, layers: Layers, separator: str) -> None:
    arrays = [array for variables in layers.values() for array in variables.values()]
    try_size(path, sum(array.nbytes + ENTRY for array in arrays))  # see `loading.save`
    with h5py.File(path, "w") as file:
        _write_texts(file, "layer_names", list(layers))
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.15.0"
        for layer, variables in layers.items():
            group = file.create_group(layer)
            names = {f"{layer}/{name}:0": array for name, array in variables.items()}
            _write_texts(group, "weight_names", list(names))
            for name, array in names.items():
                _write_array(group, name, array)


def _write_array(group: h5py.Group, name: str, array: np.ndarray) -> None:
    if array.dtype != ml_dtypes.bfloat16:
        group[name] = array
        return
    group[name] = array.view(np.uint16)  # as Keras 3 does; HDF5 has no such type
    group[name].attrs["dtype"] = "bfloat16"


def _write_texts(group: h5py.Group, name: str, texts: list[str]) -> None:
    """A list of names; one that is too long for an attribute is cut into ``name0``, ``name1``, ..."""
    encoded = np.array([text.encode() for text in texts], "S")
    pieces = max(1, -(-encoded.nbytes // ATTRIBUTE))
    while max(piece.nbytes for piece in np.array_split(encoded, pieces)) > ATTRIBUTE:
        pieces += 1
    if pieces == 1:
        group.attrs[name] = encoded
        return
    for number, piece in enumerate(np.array_split(encoded, pieces)):
        group.attrs[f"{name}{number}"] = piece


WRITERS = {".safetensors": _safetensors, ".npz": _npz, ".pth": _torch, ".h5": _legacy}
