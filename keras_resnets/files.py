"""Weights files as a person meets them: what is this, the network for it, the same in another format."""

import dataclasses
import os
from pathlib import Path

import keras
import ml_dtypes
import numpy as np

from .architecture.folding import fold
from .architecture.variants import VARIANTS
from .identification import Identity, expected, identify
from .inspection import has_classifier
from .models import create, origin_of
from .registry import nearest
from .weights import formats, loading, sources
from .weights.formats import WeightsError
from .weights.formats.writing import WRITERS, write
from .weights.loading import HEAD
from .weights.publishers import NETWORKS, to_torch, torch_name


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What is known of a weights file.

    Attributes:
        path: The file, or the folder.
        format: How the arrays are kept.
        sha256: Of the file; None for a folder.
        identity: Publisher, architecture, classes, channels, dtypes, missing and extra layers.
        notes: What in it is no weight, or was chosen among several.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet20, inspect_weights, save_weights
    >>> save_weights(ResNet20(weights=None), path := tempfile.mkdtemp() + "/mine.npz")
    >>> found = inspect_weights(path)
    >>> found.format, found.identity.key, found.identity.missing
    ('.npz', 'resnet20', ())
    """

    path: Path
    format: str
    sha256: str | None
    identity: Identity
    notes: tuple[str, ...]


def inspect_weights(path: str | os.PathLike) -> Inspection:
    """Say what a weights file is, without building its network.

    Raises:
        FileNotFoundError: Nothing is there.
        WeightsError: It cannot be read.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet18, inspect_weights, save_weights
    >>> path = tempfile.mkdtemp() + "/mine.safetensors"
    >>> save_weights(ResNet18(weights=None, classes=10), path, names="torchvision")
    >>> found = inspect_weights(path).identity
    >>> found.publisher, found.key, found.classes
    ('torchvision or timm names', 'resnet18', 10)
    """
    path = Path(path)
    contents = formats.read(path)
    digest = sources.sha256(path) if path.is_file() else None
    return Inspection(path, contents.format, digest, identify(contents), contents.notes)


def from_weights(path: str | os.PathLike, *, key: str | None = None, sha256: str | None = None, **options):
    """Build the network that a weights file is of, and load it.

    Args:
        path: A file or folder in any format that can be read.
        key: The architecture, where several fit (`Identity.also`); None is the first.
        sha256: The file's hash, compared before it is read.
        **options: What `create` takes: ``input_shape``, ``dtype``, ``output_stride``, ``features``...

    Returns:
        The network, with the file's classes and channels; folded (`fold`) where the file's norms are.

    Raises:
        WeightsError: No architecture fits; the nearest is named.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet18, from_weights, save_weights
    >>> path = tempfile.mkdtemp() + "/mine.safetensors"
    >>> save_weights(ResNet18(weights=None, classes=10), path, names="timm")
    >>> from_weights(path).output_shape
    (None, 10)
    """
    path = Path(path)
    if sha256 and sources.sha256(path) != sha256:
        raise WeightsError(f"{path} does not have the hash {sha256}: it is damaged, or another file")
    contents = formats.read(path)
    identity = identify(contents)
    if not identity.fits:
        raise WeightsError(f"{path}: {_misfit(identity)}")
    known = (identity.key, *identity.also)
    if key not in (None, *known):
        raise WeightsError(f"{path} fits {' or '.join(known)}. Received: key={key!r}")
    key = key or identity.key
    given = {"include_top": identity.classes is not None, "shortcut": identity.shortcut}
    given |= {"in_channels": identity.channels} if "input_shape" not in options else {}
    given |= {"classes": identity.classes} if identity.classes else {}
    if not identity.folded:
        return create(key, weights=path, **given | options)
    model = fold(create(key, weights=None, **given | options))
    loading.load(model, contents)
    return model


def _misfit(identity: Identity) -> str:
    if identity.publisher is None:
        return "its layers have no known names, so no network can be chosen; create one and load_weights"
    differences = [f"{layer} is missing or has another shape" for layer in identity.missing[:3]]
    differences += [f"{layer} has no place" for layer in identity.extra[:3]]
    return f"no architecture fits. Nearest is {identity.key}: {'; '.join(differences)}"


def save_weights(
    model: keras.Model, path: str | os.PathLike, names: str = "keras", dtype: str = "float32"
) -> None:
    """Write a model's weights: beside their place first, then renamed.

    Args:
        path: Ends in ``.weights.h5`` (Keras 3), ``.h5`` (legacy Keras), ``.safetensors``, ``.npz`` or
            ``.pth`` (which needs torch).
        names: ``"keras"``, or ``"torchvision"`` or ``"timm"`` for their state dicts; these load there with
            ``strict=True``.
        dtype: ``"float32"``, or for half the size ``"float16"`` or ``"bfloat16"``, which are float32 again
            once they are loaded; not for ``.weights.h5``.

    Raises:
        ValueError: Another ending or dtype, a network that the library does not have, or values beyond the
            dtype's range.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet50, save_weights
    >>> save_weights(ResNet50(weights=None), tempfile.mkdtemp() + "/mine.weights.h5")
    """
    path = Path(path)
    if not path.name.endswith(tuple(WRITERS)):
        endings = ", ".join((".weights.h5", *WRITERS))
        raise ValueError(f"the file's name must end in one of {endings}. Received: {path}")
    if dtype not in _DTYPES or (dtype != "float32" and path.name.endswith(".weights.h5")):
        raise ValueError(
            f"dtype must be one of {', '.join(_DTYPES)}, for .weights.h5 float32. "
            f"Received: dtype={dtype!r}, {path.name}"
        )
    if names == "keras":
        if path.name.endswith(".weights.h5"):
            loading.save(model, path)
        else:
            write(path, _in_dtype(_layers(model), dtype), separator="/")
        return
    if names not in NETWORKS:
        allowed = ", ".join(map(repr, ("keras", *NETWORKS)))
        raise ValueError(f"names must be one of {allowed}. Received: names={names!r}")
    if path.name.endswith(".h5"):
        raise ValueError(f"names of {names} go into .safetensors, .npz or .pth. Received: {path.name}")
    write(path, _in_dtype(_for_torch(model, names), dtype), separator=".")


_DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


def _in_dtype(layers: formats.Layers, dtype: str) -> formats.Layers:
    if dtype == "float32":
        return layers
    with np.errstate(over="ignore"):
        smaller = {
            layer: {name: array.astype(_DTYPES[dtype]) for name, array in variables.items()}
            for layer, variables in layers.items()
        }
    for layer, variables in smaller.items():
        for name, array in variables.items():
            if not np.isfinite(array.astype("float32")).all():
                raise ValueError(f"{layer}/{name} has values beyond the range of {dtype}")
    return smaller


def _layers(model: keras.Model) -> formats.Layers:
    return {
        layer.name: {v.name: keras.ops.convert_to_numpy(v) for v in layer.weights}
        for layer in model.layers
        if layer.weights
    }


def _for_torch(model: keras.Model, library: str) -> formats.Layers:
    key = origin_of(model).key
    if key not in NETWORKS[library]:
        raise ValueError(
            f"{library} has no network with the weights of {key or model.name}"
            f"{nearest(str(key), NETWORKS[library])}; it has {', '.join(NETWORKS[library])}"
        )
    row, layers = VARIANTS[key], _layers(model)
    theirs = set(expected(key, row.shortcut)) - (set() if has_classifier(model) else {HEAD})
    if set(layers) != theirs:
        differing = sorted(set(layers) ^ theirs)[:3]
        raise ValueError(
            f"{library}'s {NETWORKS[library][key]} has other layers than this {key} "
            f"({', '.join(differing)}, ...). Only a network without options that change layers has its names"
        )
    return {
        torch_name(layer, pooled=row.shortcut == "D", preact=row.preact): to_torch(
            variables, as_convolution=layer == HEAD and row.preact
        )
        for layer, variables in layers.items()
    }


def convert(
    path: str | os.PathLike,
    out: str | os.PathLike,
    names: str = "keras",
    dtype: str = "float32",
    **options,
) -> Inspection:
    """Read a weights file, prove that it fits a network, and write it in another format or names.

    Args:
        path, **options: As `from_weights` has them.
        out, names, dtype: As `save_weights` has them; ``out`` must not exist.

    Returns:
        What the new file is.

    Raises:
        FileExistsError: ``out`` exists.
        FileNotFoundError: Nothing is at ``path``.
        WeightsError: The file cannot be read, or fits no network.
        ValueError: Another ending, dtype or names than `save_weights` has.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet18, convert, save_weights
    >>> folder = tempfile.mkdtemp()
    >>> save_weights(ResNet18(weights=None), f"{folder}/mine.weights.h5")
    >>> convert(f"{folder}/mine.weights.h5", f"{folder}/mine.safetensors", "timm").identity.publisher
    'torchvision or timm names'
    """
    if Path(out).exists():
        raise FileExistsError(f"{out} exists; choose another name or remove it")
    save_weights(from_weights(path, **options), out, names, dtype)
    return inspect_weights(out)
