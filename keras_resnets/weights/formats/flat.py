"""Formats that are one table of keys and arrays: ``.safetensors`` and ``.npz``."""

import math
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors

from .archives import is_zip, members, open_zip
from .contents import Contents, WeightsError, grouped
from .limits import HEADER, parse_json

# --- safetensors ----------------------------------------------------------------------------------


def is_safetensors(path: Path, begin: bytes) -> bool:
    return begin[8:9] == b"{" and _header_length(begin) <= path.stat().st_size - 8


def read_safetensors(path: Path) -> Contents:
    _check_header(path)
    with safetensors.safe_open(path, framework="np") as file:
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- it is no dictionary
    return Contents(path, ".safetensors", grouped(arrays))


def _header_length(begin: bytes) -> int:
    return int.from_bytes(begin[:8], "little")


def _check_header(path: Path) -> None:
    """The library takes the last of two equal keys; here neither is taken."""
    with path.open("rb") as file:
        length = _header_length(file.read(8))
        parse_json(file.read(min(length, HEADER + 1)), "the header")


# --- npz ------------------------------------------------------------------------------------------


def is_npz(path: Path, begin: bytes) -> bool:
    if not is_zip(begin):
        return False
    names = members(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(path: Path) -> Contents:
    """Arrays of numbers; a 2-byte void, NumPy's word for a type it does not know, is a bfloat16."""
    with open_zip(path) as archive:
        arrays = {
            member.filename.removesuffix(".npy"): _npy(archive, member) for member in archive.infolist()
        }
    return Contents(path, ".npz", grouped(arrays))


def _npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise WeightsError(f"{member.filename} has the .npy version {version}; 1.0 and 2.0 are read")
        old = version == (1, 0)
        header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = header(file)
        void = dtype == np.dtype("V2")
        if dtype.kind not in "fiub" and not void:
            raise WeightsError(f"{member.filename} holds {dtype} values, not plain numbers")
        stored = member.file_size - file.tell()
        if math.prod(shape) * dtype.itemsize != stored:
            raise WeightsError(f"{member.filename} declares {shape} {dtype} numbers in {stored} bytes")
        # In one piece, and its checksum with it: NumPy would read a member by pieces.
        array = np.frombuffer(bytearray(file.read()), dtype)
    array = array.reshape(shape, order="F" if fortran else "C")
    return array.view(ml_dtypes.bfloat16) if void else array
