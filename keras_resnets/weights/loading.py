"""Arrays to variables: compare everything, then assign everything, or nothing."""

import collections
import dataclasses
import math
import os
import re
from pathlib import Path

import keras
import ml_dtypes
import numpy as np

from ..architecture.layers import StandardizedConv2D, standardized
from ..disk import try_size, written_whole
from . import mapping
from .formats import Contents, Layers, WeightsError, by_number
from .formats.writing import ENTRY

HEAD = "predictions"


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What became of every layer that has weights.

    Attributes:
        loaded: Layers of the network that got the file's arrays.
        adapted: ``layer: how`` for those whose arrays were changed to fit.
        new: Layers of the network that keep their fresh values.
        skipped: ``layer: why`` for those of the file that were left out.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet20, load_weights, save_weights
    >>> save_weights(ResNet20(weights=None), path := tempfile.mkdtemp() + "/ten.weights.h5")
    >>> report = load_weights(ResNet20(weights=None, classes=3), path, new_head=True)
    >>> len(report.loaded), report.new
    (38, ('predictions',))
    """

    loaded: tuple[str, ...]
    adapted: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{len(self.loaded)} layers loaded"]
        for title in ("adapted", "new", "skipped"):
            lines += [f"{title}: {item}" for item in getattr(self, title)]
        return "\n".join(lines)


def check_classes(contents: Contents, classes: int) -> None:
    """Refuse, before anything is loaded, a file whose classifier has another number of classes."""
    layers, publisher = mapping.in_our_names(contents)
    head = layers.get(HEAD, {}) if publisher else {}
    theirs = head.get("bias", head.get("1", np.empty(classes))).shape
    if theirs != (classes,):
        raise WeightsError(f"{contents.path} ({contents.format}): {_other_classes(theirs[-1], classes)}")


def _other_classes(theirs: int, ours: int) -> str:
    return f"{theirs} classes against {ours}; pass new_head=True to load everything but the classifier"


STEM_MODES = ("sum", "mean", "tile", "zero", "copy:<i>")


def check_stem(stem: str | None, theirs: int | None = None, ours: int | None = None) -> None:
    """Refuse what is no mode, or one that cannot bring a file's channels to the network's."""
    if stem is not None and stem not in STEM_MODES[:4] and not re.fullmatch(r"copy:\d+", str(stem)):
        raise ValueError(
            f"stem must be None or one of {', '.join(map(repr, STEM_MODES))}. Received: stem={stem!r}"
        )
    if stem is None or None in (theirs, ours) or theirs == ours or stem in ("sum", "mean", "tile"):
        return
    if ours < theirs:
        raise ValueError(f"stem={stem!r} adds channels; {theirs} cannot become {ours}: use 'sum' or 'mean'")
    if stem != "zero" and int(stem.removeprefix("copy:")) >= theirs:
        raise ValueError(f"stem={stem!r}: the weights have channels 0 to {theirs - 1}")


def fit_channels(kernel: np.ndarray, channels: int, mode: str) -> np.ndarray:
    """A first convolution's kernel (height, width, C, filters) for another number of input channels.

    Args:
        mode: ``"sum"`` gives every channel the same share of the sum of all C kernels, so that C equal bands
            become one (or several) without any change; ``"mean"`` their mean; ``"tile"`` repeats the kernels
            in turn, scaled by C / channels; ``"zero"`` and ``"copy:<i>"`` keep the kernels there are and give
            every added channel zeros, or the kernel of channel i.

    Raises:
        ValueError: Channels would be lost, or there is no channel i.
    """
    theirs = kernel.shape[2]
    check_stem(mode, theirs, channels)
    if mode in ("sum", "mean"):
        share = kernel.sum(axis=2, keepdims=True) / (channels if mode == "sum" else theirs)
        return np.repeat(share, channels, axis=2)
    if mode == "tile":
        return kernel[:, :, np.arange(channels) % theirs] * (theirs / channels)
    if mode == "zero":
        return np.pad(kernel, ((0, 0), (0, 0), (0, channels - theirs), (0, 0)))
    band = int(mode.removeprefix("copy:"))
    added = np.repeat(kernel[:, :, band : band + 1], channels - theirs, axis=2)
    return np.concatenate([kernel, added], axis=2)


def load(
    model: keras.Model,
    contents: Contents,
    new_head: bool = False,
    stem: str | None = None,
    swap_channels: bool = False,
) -> LoadReport:
    """Load what a weights file holds into a network: all of it or nothing.

    Args:
        model: A network of this package (its layers are known by their names).
        contents: What `formats.read` read.
        new_head: Keep the network's fresh classifier, whatever the file's.
        stem: How a first convolution of another number of channels is fitted (`fit_channels`).
        swap_channels: Turn the first convolution's channels about: BGR to RGB, or back.

    Raises:
        WeightsError: The file does not fit; the network is as it was.
    """
    try:
        arrays = _in_our_names(contents, model)
        arrays, fitted = _fit_stem(arrays, model, stem, swap_channels)
        report = _assign(model, arrays, new_head)
        skipped = contents.notes + report.skipped
        return dataclasses.replace(report, adapted=fitted + report.adapted, skipped=skipped)
    except WeightsError as error:
        raise WeightsError(f"{contents.path} ({contents.format}) into {model.name}: {error}") from None


def _variables(model: keras.Model) -> dict[str, dict[str, keras.Variable]]:
    """Layer -> variable -> variable, in the network's order; layers without weights are left out."""
    return {layer.name: {v.name: v for v in layer.weights} for layer in model.layers if layer.weights}


# --- file names to layer names --------------------------------------------------------------------


def _in_our_names(contents: Contents, model: keras.Model) -> Layers:
    layers = contents.layers
    if contents.places is None:
        names = dict(_class_places(model))
        layers = {names.get(place, place): variables for place, variables in layers.items()}
    elif mapping.recognise(layers):
        grouped = mapping.has_depthwise(layers)
        layers, publisher = mapping.in_our_names(contents)
        if publisher.zero_biases:
            layers = _with_zero_biases(layers, model)
        # Keras itself reads by order, or by places in the order of a class: where a file's names say
        # something else, one of the two is wrong.
        if contents.places:
            by_place = sorted(_class_places(model), key=lambda pair: by_number(pair[0]))
            _check_order(layers, [name for _, name in by_place])
        elif contents.ordered and not grouped and publisher.name == "Keras names":
            _check_order(layers, list(_variables(model)))
    elif contents.ordered:
        layers = _by_order(layers, model)
    return _number_to_name(layers, model)


def _with_zero_biases(layers: Layers, model: keras.Model) -> Layers:
    """A convolution that a norm follows may do without a bias; where the network has one it is zero."""
    needed = {
        layer: variables["bias"] for layer, variables in _variables(model).items() if "bias" in variables
    }
    return {
        layer: variables | {"bias": np.zeros(needed[layer].shape, "float32")}
        if layer in needed and "bias" not in variables
        else variables
        for layer, variables in layers.items()
    }


def _class_places(model: keras.Model) -> list[tuple[str, str]]:
    """(``conv2d_7``, the name of the eighth Conv2D), as Keras 3 counts layers in a file."""
    kinds = {
        "Conv2D": "conv2d",
        "StandardizedConv2D": "standardized_conv2d",
        "BatchNormalization": "batch_normalization",
        "GroupNormalization": "group_normalization",
        "Normalization": "normalization",
        "Dense": "dense",
    }
    seen, places = collections.Counter(), []
    for layer in model.layers:
        kind = kinds.get(type(layer).__name__)
        if kind:
            places.append((f"{kind}_{seen[kind]}" if seen[kind] else kind, layer.name))
            seen[kind] += 1
    return places


def _check_order(layers: Layers, names: list[str]) -> None:
    ours = [name for name in names if name in layers]
    theirs = [name for name in layers if name in set(ours)]
    for place, (here, there) in enumerate(zip(ours, theirs, strict=True), 1):
        if here != there:
            raise WeightsError(
                f"layer {place} is {here} in the network and {there} in the file: layers are swapped. "
                "Keras reads this file by order and would mix them up; load it into the model it came from "
                "and save that with model.save_weights('name.weights.h5')"
            )


def _by_order(layers: Layers, model: keras.Model) -> Layers:
    names = list(_variables(model))
    if len(layers) != len(names):
        raise WeightsError(
            f"the file has {len(layers)} layers with weights, the network {len(names)}; "
            f"the file's begin with {', '.join(list(layers)[:3])}"
        )
    return dict(zip(names, layers.values(), strict=True))


def _number_to_name(layers: Layers, model: keras.Model) -> Layers:
    """Variables that the file only numbers get the names of the network's layer, in its order."""
    known = {layer: dict(enumerate(variables)) for layer, variables in _variables(model).items()}
    return {
        layer: {
            known.get(layer, {}).get(int(name), name) if name.isdigit() else name: array
            for name, array in variables.items()
        }
        for layer, variables in layers.items()
    }


def _fit_stem(
    arrays: Layers, model: keras.Model, stem: str | None, swap: bool
) -> tuple[Layers, tuple[str, ...]]:
    """The arrays with their first convolution fitted to the network's, and what was done."""
    first = next((layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)), None)
    kernel = arrays.get(first.name, {}).get("kernel") if first else None
    if kernel is None or kernel.ndim != 4:
        return arrays, ()
    done = []
    if swap:
        kernel = kernel[:, :, ::-1]
        done.append(f"{first.name}/kernel: BGR and RGB swapped")
    theirs, ours, mode = kernel.shape[2], first.kernel.shape[2], stem
    if stem and theirs != ours:
        if isinstance(first, StandardizedConv2D):
            # The layer standardises what it gets once more: a gain of each filter is lost.
            kernel, stem = standardized(kernel), f"{stem}, approximately: the layer standardises its kernel"
        kernel = fit_channels(kernel, ours, mode).astype(kernel.dtype)
        done.append(f"{first.name}/kernel: {theirs} to {ours} channels ({stem})")
    return arrays | {first.name: arrays[first.name] | {"kernel": kernel}}, tuple(done)


# --- compare, then assign -------------------------------------------------------------------------


def _assign(model: keras.Model, arrays: Layers, new_head: bool) -> LoadReport:
    variables, arrays, skipped = _variables(model), dict(arrays), []
    new = (HEAD,) if new_head and HEAD in variables else ()
    for layer in new:
        del variables[layer]
    if HEAD not in variables and HEAD in arrays:
        reason = "a new one was asked for" if new else "the network has no classifier"
        skipped.append(f"{HEAD}: {reason}")
        del arrays[HEAD]

    differences = [text for layer in variables if (text := _difference(layer, variables, arrays))]
    differences += [
        f"{layer} is in the file, not in the network" for layer in arrays if layer not in variables
    ]
    if differences:
        more = len(differences) - 1
        raise WeightsError(f"they differ first at {differences[0]}" + (f" (and {more} more)" if more else ""))
    adapted, pairs = [], []
    for layer, values in arrays.items():
        for name, array in values.items():
            variable = variables[layer][name]
            if str(array.dtype) != variable.dtype:
                adapted.append(f"{layer}/{name}: {array.dtype} to {variable.dtype}")
            pairs.append((variable, _cast(array, variable.dtype, f"{layer}/{name}")))
    for variable, array in pairs:
        variable.assign(array)
    settle(model)
    return LoadReport(tuple(variables), tuple(adapted), new, tuple(skipped))


def settle(model: keras.Model) -> None:
    """Make what Keras derived from variables follow their new values."""
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    for layer in layers:
        layer.finalize_state()
    if layers:  # functions that were traced before hold the old values
        model.train_function = model.test_function = model.predict_function = None


def _cast(array: np.ndarray, dtype: str, name: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise WeightsError(f"{name} holds NaN or infinite values")
    if str(array.dtype) == dtype:
        return array
    with np.errstate(over="ignore"):  # said below, with the value
        cast = array.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    if not np.isfinite(cast).all():
        raise WeightsError(
            f"{name} has values up to {np.abs(array.astype('float64')).max():.6g}, more than {dtype} can "
            "hold; build the network in float32, or in mixed_float16 to compute in half precision"
        )
    return cast


def _difference(layer: str, variables: dict, arrays: Layers) -> str | None:
    """What keeps the file's arrays out of one layer of the network, or None."""
    if layer not in arrays:
        way_on = "; pass new_head=True for a fresh one or include_top=False" if layer == HEAD else ""
        return f"{layer}, which the file does not have{way_on}"
    ours = {name: tuple(variable.shape) for name, variable in variables[layer].items()}
    theirs = {name: array.shape for name, array in arrays[layer].items()}
    if ours != theirs:
        way_on = ""
        if layer == HEAD and "kernel" in theirs:
            way_on = f": {_other_classes(theirs['kernel'][-1], ours['kernel'][-1])}"
        elif layer.startswith("conv1") and _differ_in_channels_alone(ours, theirs):
            way_on = (
                ": another number of input channels; pass stem='sum' (or 'mean', 'tile', 'zero', 'copy:<i>')"
            )
        return f"{layer}: the file has {_shapes(theirs)}, the network {_shapes(ours)}{way_on}"
    for name, array in arrays[layer].items():
        whole = "int" in variables[layer][name].dtype and array.dtype.kind in "iu"
        if array.dtype.kind != "f" and str(array.dtype) != "bfloat16" and not whole:
            return f"{layer}/{name}: the file has {array.dtype} numbers, not floating-point ones"
    return None


def _differ_in_channels_alone(ours: dict, theirs: dict) -> bool:
    a, b = ours.get("kernel", ()), theirs.get("kernel", ())
    return len(a) == len(b) == 4 and a[:2] + a[3:] == b[:2] + b[3:]


def _shapes(shapes: dict) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def save(model: keras.Model, path: str | os.PathLike) -> None:
    """Write a Keras 3 ``.weights.h5``: beside its place first, then renamed.

    Raises:
        ValueError: The name does not end in ``.weights.h5``.
        OSError: There is no room for it.
    """
    path = Path(path)
    if not path.name.endswith(".weights.h5"):
        raise ValueError(f"the file's name must end in .weights.h5. Received: {path}")
    with written_whole(path) as beside:
        # HDF5's library crashes the process where a file cannot grow any more.
        optimizer = getattr(model, "optimizer", None)  # Keras writes its variables, too
        variables = [*model.variables, *(optimizer.variables if optimizer else ())]
        try_size(beside, sum(4 * math.prod(variable.shape) + ENTRY for variable in variables))
        model.save_weights(beside)
