"""Which network a weights file is of: told by names and shapes, before anything is built for it."""

import dataclasses
import functools
from collections.abc import Iterator

import keras

from .architecture.folding import fold
from .architecture.names import Address
from .architecture.network import Head, Plan, assemble
from .architecture.shortcuts import SHORTCUTS
from .architecture.style import Style
from .architecture.variants import VARIANTS, Variant
from .weights import mapping
from .weights.formats import Contents
from .weights.loading import HEAD
from .weights.publishers import Publisher

Shapes = dict[str, dict[str, tuple[int, ...]]]


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a weights file is.

    Attributes:
        publisher: Whose names it uses; None when they are nobody's that is known.
        key: The architecture that its shapes fit, or the nearest one.
        also: Other architectures with the same shapes, that the file cannot be told from.
        shortcut: The option its shortcuts have (`Variant.shortcut`).
        folded: Whether its batch norms are folded into its convolutions.
        classes: Outputs of its classifier; None when it has none.
        channels: Channels of its pictures.
        dtypes: Of its arrays.
        missing: Layers of that architecture that the file does not have, or has in another shape.
        extra: Layers of the file that the architecture does not have.
    """

    publisher: str | None
    key: str | None
    also: tuple[str, ...] = ()
    shortcut: str | None = None
    folded: bool = False
    classes: int | None = None
    channels: int | None = None
    dtypes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the file has all of an architecture's layers, and no others."""
        return self.key is not None and not self.missing and not self.extra


def identify(contents: Contents) -> Identity:
    """Find the architecture that a file's arrays fit; where several do, the table's first."""
    dtypes = tuple(sorted({str(a.dtype) for layer in contents.layers.values() for a in layer.values()}))
    layers, publisher = mapping.in_our_names(contents)
    if publisher is None:
        return Identity(None, None, dtypes=dtypes)
    shapes = {layer: {name: a.shape for name, a in variables.items()} for layer, variables in layers.items()}
    known = {
        "publisher": publisher.name,
        "classes": (_kernel(shapes, HEAD) or (None,))[-1],
        "channels": _channels(shapes),
        "dtypes": dtypes,
    }
    compared = list(_compared(shapes, publisher))
    if not compared:
        return Identity(key=None, extra=tuple(shapes), **known)
    fewest = min(len(missing) + len(extra) for *_, missing, extra in compared)
    best = [row for row in compared if len(row[-2]) + len(row[-1]) == fewest]
    key, shortcut, folded, missing, extra = best[0]
    also = tuple(dict.fromkeys(other for other, *_ in best if other != key)) if not fewest else ()
    return Identity(
        key=key, also=also, shortcut=shortcut, folded=folded, missing=missing, extra=extra, **known
    )


def is_of(model: keras.Model, key: str) -> bool:
    """Whether a network has the layers of a row of the table, whatever its classes and channels."""
    shapes = {
        layer.name: {variable.name: tuple(variable.shape) for variable in layer.weights}
        for layer in model.layers
        if layer.weights
    }
    missing, extra = _differences(shapes, expected(key, VARIANTS[key].shortcut), zero_biases=False)
    return not missing and not extra


def _compared(shapes: Shapes, publisher: Publisher) -> Iterator[tuple]:
    """(key, shortcut, folded, missing, extra) for each architecture of the file's depth, or of any if none
    has it."""
    dialects = publisher.dialects
    rows = [row for row in VARIANTS.values() if dialects is None or row.dialect in dialects]
    # A convolution that a norm follows has a bias in the Keras dialects, else only when the norm is in it.
    folded = "conv1_bn" not in shapes and "bias" in shapes.get("conv1_conv", {}) and dialects is not None
    blocks = mapping.blocks_of(shapes)
    for row in [row for row in rows if row.blocks == blocks] or rows:
        for shortcut in dict.fromkeys((row.shortcut, *SHORTCUTS)):
            missing, extra = _differences(shapes, expected(row.key, shortcut, folded), publisher.zero_biases)
            yield row.key, shortcut, folded, missing, extra
            if not missing and not extra:
                break
            if {Address.parse(layer).slot for layer in extra + missing if Address.parse(layer)} - {"0"}:
                break  # another shortcut would not mend that


def _differences(shapes: Shapes, expected: Shapes, zero_biases: bool) -> tuple[tuple, tuple]:
    missing = [
        layer
        for layer, variables in expected.items()
        if not (layer == HEAD and HEAD not in shapes)
        and not _same(shapes.get(layer, {}), variables, _open_axes(layer), zero_biases)
    ]
    return tuple(missing), tuple(layer for layer in shapes if layer not in expected)


def _open_axes(layer: str) -> dict[str, int]:
    """The axes in which a network may differ from its row: classes, and channels of the picture."""
    if layer == HEAD:
        return {"kernel": 1, "bias": 0}
    return {"kernel": 2} if layer in ("conv1_conv", "conv1_1_conv") else {}


def _same(theirs: dict, ours: dict, open_axes: dict[str, int], zero_biases: bool) -> bool:
    if zero_biases and "bias" not in theirs:
        ours = {name: shape for name, shape in ours.items() if name != "bias"}
    if all(name.isdigit() for name in theirs):  # a file that only numbers them
        theirs = dict(zip(ours, theirs.values(), strict=False)) if len(theirs) == len(ours) else {}

    def closed(name, shape):
        return tuple(side for axis, side in enumerate(shape) if axis != open_axes.get(name))

    return theirs.keys() == ours.keys() and all(
        closed(name, theirs[name]) == closed(name, shape) for name, shape in ours.items()
    )


@functools.cache
def expected(key: str, shortcut: str, folded: bool = False) -> Shapes:
    """Layer -> variable -> shape of a network, read off one with two blocks a stage: the others are alike."""
    row = VARIANTS[key]
    small = dataclasses.replace(row, blocks=tuple(min(2, blocks) for blocks in row.blocks))
    found: Shapes = {}
    skeleton = _skeleton(small, shortcut)
    for layer in (fold(skeleton) if folded else skeleton).layers:
        if not layer.weights:
            continue
        shapes = {variable.name: tuple(variable.shape) for variable in layer.weights}
        address = Address.parse(layer.name)
        found[layer.name] = shapes
        if address.block == 2:
            blocks = dict(zip(row.stages, row.blocks, strict=True))[address.stage]
            for block in range(3, blocks + 1):
                found[str(address._replace(block=block))] = shapes
    return found


def _skeleton(row: Variant, shortcut: str) -> keras.Model:
    style = Style("channels_last", "float32", **row.style)
    stack_fn = row.stack_fn(style, shortcut, 32, 0.0)
    shape = (row.input.smallest, row.input.smallest, row.input.channels)
    return assemble(Plan(row.key, row.stem, stack_fn, row.preact, Head(classes=row.classes), style, shape))


def _channels(shapes: Shapes) -> int | None:
    kernels = (_kernel(shapes, name) for name in ("conv1_1_conv", "conv1_conv"))
    return next((kernel[2] for kernel in kernels if kernel and len(kernel) == 4), None)


def _kernel(shapes: Shapes, layer: str) -> tuple[int, ...] | None:
    """The shape of a layer's kernel; where a file only numbers variables it is the first."""
    variables = shapes.get(layer, {})
    return variables.get("kernel", variables.get("0"))
