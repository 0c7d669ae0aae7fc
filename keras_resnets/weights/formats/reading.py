"""The kind of a file is told by what is inside it, not by its name."""

import os
from collections.abc import Callable
from pathlib import Path

from . import checkpoints, flat, hdf5, onnx_graph, pytorch, tfjs
from .contents import Contents, WeightsError
from .trial import try_out

# (recognise, read, whether a trial comes first): the first that knows the path, or the first bytes of the
# file there, reads it. ONNX is last: its files have no signature, only a likely first byte.
READERS = (
    (tfjs.is_folder, tfjs.read_folder, False),
    (tfjs.is_packed, tfjs.read_packed, False),
    (hdf5.is_hdf5, hdf5.read, True),
    (hdf5.is_keras_archive, hdf5.read_keras_archive, True),
    (flat.is_npz, flat.read_npz, False),
    (flat.is_safetensors, flat.read_safetensors, False),
    (pytorch.is_torch, pytorch.read, False),
    (checkpoints.is_checkpoint, checkpoints.read, False),
    (onnx_graph.is_onnx, onnx_graph.read, True),
)
KNOWN = (
    "legacy Keras .h5, .weights.h5, .keras, .safetensors, .npz, .pth, TensorFlow checkpoints, .onnx, and "
    "folders or a .tgz with a tfjs model.json"
)


def read(path: str | os.PathLike) -> Contents:
    """Read a weights file or folder.

    Args:
        path: Legacy Keras ``.h5``, ``.weights.h5``, ``.keras``, ``.safetensors``, ``.npz``, ``.pth``,
            ``.onnx``, a tfjs folder or ``.tgz``, or a TensorFlow checkpoint (folder, prefix, ``.index``).

    Raises:
        FileNotFoundError: Nothing is there.
        WeightsError: It is something else, empty, cut short or damaged.
    """
    path = Path(path)
    if not path.exists() and not checkpoints.is_prefix(path):
        raise FileNotFoundError(f"no weights file at {path}")
    if path.exists() and not path.is_dir() and not path.is_file():
        raise WeightsError(f"{path}: neither a file nor a folder")
    try:
        return read_untried(path, try_out)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    except Exception as error:  # whatever a library makes of bytes that nobody has checked
        raise WeightsError(
            f"{path}: damaged or cut short ({type(error).__name__}: {_short(error)}); get it again"
        ) from error


def read_untried(path: Path, first: Callable[[Path], None] = lambda path: None) -> Contents:
    """Read without a context for errors; ``first`` is done to a file whose reader needs a trial."""
    begin = b""
    if path.is_file():
        with path.open("rb") as file:
            begin = file.read(512)
        if not begin:
            raise WeightsError("the file is empty")
    for recognise, read_it, needs_trial in READERS:
        if recognise(path, begin):
            if needs_trial:
                first(path)
            return read_it(path)
    raise WeightsError(f"{_what_else(path, begin)}. Read are {KNOWN}")


def _what_else(path: Path, begin: bytes) -> str:
    if path.is_dir():
        return "model.json is missing from this folder, and so is a TensorFlow checkpoint"
    if begin.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not weights: the download failed"
    if begin.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not weights: run `git lfs pull`"
    return "not a known weights file"


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) < 300 else text[:300] + " ..."
