"""PyTorch's ``.pth``: a pickle, which only PyTorch's own safe reader opens, and only after a look at it."""

import pickletools
import re
import warnings
from pathlib import Path
from typing import BinaryIO

import ml_dtypes
import numpy as np

from .archives import is_zip, members, open_zip
from .contents import Contents, WeightsError, grouped

PICKLE = 16 << 20  # bytes; a deep network's names take a fiftieth of it
MAGIC = 0x1950A86A20F9469CFC6C  # the first thing in a file of PyTorch before 1.6

# What state dicts are made of. PyTorch's own list is longer: some of its types allocate what they are told.
_HARMLESS = re.compile(
    r"collections (OrderedDict|Counter)|(builtins|__builtin__) set"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|parameter)|torch\.nn\.parameter Parameter"
    r"|torch (\w+Storage|Size|device|[a-z]+\d+\w*)|torch\.storage (Untyped|Typed)Storage"
)
# Where weights are kept, best first: averaged ones are the ones published numbers were measured with.
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema", "model_averaged")
_PLAIN = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "weights",
    "module",
)


def is_torch(path: Path, begin: bytes) -> bool:
    if is_zip(begin):
        return any(name.endswith("data.pkl") for name in members(path))
    return begin[:1] == b"\x80" and begin[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def read(path: Path) -> Contents:
    with path.open("rb") as file:
        packed = is_zip(file.read(4))
    _check_packed(path) if packed else _check_old(path)
    torch = _torch()
    with warnings.catch_warnings(action="ignore"):
        # Mapped, every storage is a slice of the file: one that declares more than it has is cut there.
        saved = torch.load(str(path), map_location="cpu", weights_only=True, mmap=packed)
    if not isinstance(saved, dict):
        raise WeightsError(f"it holds a {type(saved).__name__}, not a state dict; {_RECIPE}")
    state, notes = _state_dict(torch, saved)
    tensors = {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}
    notes += _left_out([key for key in state if key not in tensors])
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > path.stat().st_size:
        raise WeightsError(
            "its tensors declare more than the file holds: damaged, or they share their values"
        )
    arrays = {str(key): _array(torch, tensor) for key, tensor in tensors.items()}
    return Contents(path, "PyTorch .pth", grouped(arrays), notes=notes)


_RECIPE = """where PyTorch is, and you trust the file, keep only its state dict:
    import torch, safetensors.torch
    state = torch.load("file.pth", weights_only=False)["state_dict"]
    safetensors.torch.save_file(state, "file.safetensors")"""


def _torch():
    try:
        import torch
    except ImportError:
        raise WeightsError(
            "a PyTorch file, and PyTorch is not installed. Install it (pip install 'keras-resnets[torch]') "
            """or turn the file into safetensors where it is:
    import torch, safetensors.torch
    safetensors.torch.save_file(torch.load("file.pth", weights_only=True), "file.safetensors")"""
        ) from None
    return torch


# --- a look at the pickle before it is read -------------------------------------------------------


def _check_packed(path: Path) -> None:
    with open_zip(path) as archive:
        pickles = [member for member in archive.infolist() if member.filename.endswith("data.pkl")]
        if len(pickles) > 1 or pickles[0].file_size > PICKLE:
            raise WeightsError(f"more than one data.pkl, or one of more than {PICKLE} bytes")
        if any(member.compress_type for member in archive.infolist()):
            raise WeightsError("its members are compressed, which PyTorch never writes")
        with archive.open(pickles[0]) as file:
            _check_pickle(file)


def _check_old(path: Path) -> None:
    """Magic number, version, machine, state dict and the list of storages, a pickle each."""
    with path.open("rb") as file:
        if _check_pickle(file) != MAGIC:
            raise WeightsError(f"a pickle, not a PyTorch file: reading it would run its code; {_RECIPE}")
        for _ in range(4):
            _check_pickle(file)


def _check_pickle(file: BinaryIO) -> object:
    """Refuse a pickle that names anything but tensors, numbers and texts; give back its last value."""
    last = None
    for operation, value, _ in pickletools.genops(file):
        if operation.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"):
            raise WeightsError(f"its pickle uses {operation.name}, which no state dict needs; {_RECIPE}")
        if operation.name == "GLOBAL" and not _HARMLESS.fullmatch(value):
            raise WeightsError(f"it holds a {value.replace(' ', '.')}, which is not read; {_RECIPE}")
        if file.tell() > PICKLE:
            raise WeightsError(f"its pickle is longer than {PICKLE} bytes")
        last = value if value is not None else last
    return last


# --- state dicts ----------------------------------------------------------------------------------


def _state_dict(torch, saved: dict) -> tuple[dict, tuple[str, ...]]:
    """The innermost container of tensors, and what was chosen on the way there."""
    notes: tuple[str, ...] = ()
    for _ in range(4):  # {"state_dict_ema": {"module": {...}}} is as deep as anybody goes
        if any(isinstance(value, torch.Tensor) for value in saved.values()):
            return saved, notes
        found = [key for key in _AVERAGED + _PLAIN if isinstance(saved.get(key), dict) and saved[key]]
        if not found:
            break
        if found[0] in _AVERAGED:
            notes += (f"EMA weights taken ({found[0]})",)
        notes += _left_out([key for key in saved if key not in found])
        saved = saved[found[0]]
    raise WeightsError(f"no tensors in it; its entries are {', '.join(map(str, list(saved)[:8])) or 'none'}")


def _left_out(keys: list) -> tuple[str, ...]:
    if not keys:
        return ()
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return (f"not weights: {', '.join(str(key)[:60] for key in keys[:5])}{more}",)


def _array(torch, tensor) -> np.ndarray:
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type of its own
        return tensor.contiguous().view(torch.int16).numpy().copy().view(ml_dtypes.bfloat16)
    return tensor.numpy().copy()
