"""Architectures, weights, presets and labels are joined here, by name, and nowhere else."""

import contextlib
import dataclasses
import difflib
import fnmatch
import os
import weakref
from pathlib import Path

import keras

from .architecture.network import Head, assemble, channels_of, resolve_input_shape
from .architecture.parts import Style
from .architecture.variants import VARIANTS, Variant
from .images.labels import Label, imagenet_labels, numbered
from .images.preprocessing import normalise
from .images.presets import PRESETS, Preset
from .inspection import has_classifier
from .weights import formats, loading, sources
from .weights.catalog import WEIGHTS, Weight, default_weight
from .weights.formats import Contents
from .weights.loading import LoadReport

# --- names ----------------------------------------------------------------------------------------


def list_models(pattern: str = "*") -> list[str]:
    """The keys of all architectures, or of those that match a shell pattern.

    >>> list_models("*next*")
    ['resnext50', 'resnext101']
    """
    return [key for key in VARIANTS if fnmatch.fnmatch(key, pattern.lower())]


def describe(name: str) -> dict:
    """One card on an architecture: what it is, how large, and which weights are published for it.

    Args:
        name: A key such as ``"resnet50"`` or a constructor's name such as ``"ResNet50"``.

    Raises:
        ValueError: No such architecture; the message has the nearest names.

    Example:

    >>> card = describe("resnet50")
    >>> card["trainable parameters"], card["weights"][0]["name"]
    (25583592, 'resnet50.keras_in1k')
    """
    row = variant(name)
    weights = [weight for weight in WEIGHTS.values() if weight.key == row.key]
    return {
        "key": row.key,
        "constructor": row.constructor,
        "source": row.source,
        "blocks": row.blocks,
        "trainable parameters": row.parameters,
        "input": (row.size, row.size, 3),
        "classes": row.classes,
        "default weights": row.weights,
        "weights": [
            {
                "name": weight.name,
                "preset": weight.preset,
                "classes": weight.classes,
                "published top-1": weight.top1,
                "published top-5": weight.top5,
                "tested": weight.tested,
                "files": [(file.address, file.hash, file.size, file.licence) for file in weight.files],
                "at hand": sources.cached(weight) is not None,
            }
            for weight in weights
        ],
    }


def variant(name: str) -> Variant:
    """The row of an architecture, by key or constructor's name."""
    by_name = VARIANTS | {row.constructor: row for row in VARIANTS.values()}
    if name not in by_name:
        raise ValueError(f"unknown architecture {name!r}{_nearest(name, by_name)}; see list_models()")
    return by_name[name]


def weight_named(name: str) -> Weight:
    """The row of a published weight, by ``key.tag``, or by an architecture's name (its default)."""
    if name in WEIGHTS:
        return WEIGHTS[name]
    architectures = {*VARIANTS, *(row.constructor for row in VARIANTS.values())}
    if name in architectures and (found := default_weight(variant(name).key)):
        return found
    raise ValueError(f"unknown weights {name!r}{_nearest(name, [*VARIANTS, *WEIGHTS])}; see list_models()")


def _nearest(name: str, known) -> str:
    """What somebody probably meant, as a piece of an error message."""
    by_lower = {other.lower(): other for other in reversed(list(known))}  # a key before its constructor
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(by_lower[other] for other in close)}?" if close else ""


# --- models ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Origin:
    """How a model came about.

    Attributes:
        key: Its architecture, where that is known.
        weight: ``key.tag`` of the published weights it got.
        options: What `create` needs to build it again; None where that cannot be done.
    """

    key: str | None = None
    weight: str | None = None
    options: dict | None = None


_ORIGINS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def origin_of(model: keras.Model) -> Origin:
    """Where a model came from. One read from a file is known by its name, if it has that row's stages."""
    if model in _ORIGINS:
        return _ORIGINS[model]
    row = VARIANTS.get(model.name)
    names = {layer.name for layer in model.layers}
    if row and all(
        f"conv{stage}_block{blocks}_out" in names and f"conv{stage}_block{blocks + 1}_out" not in names
        for stage, blocks in enumerate(row.blocks, 2)
    ):
        return Origin(row.key)
    return Origin()


def ResNet(
    stack_fn,
    preact,
    use_bias,
    include_top=True,
    weights="imagenet",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=1000,
    classifier_activation="softmax",
    name="resnet",
    weights_name=None,
    *,
    model_name=None,
    data_format=None,
    dtype=None,
    new_head=False,
):
    """Build a residual network from a function that builds its stages.

    The signature is keras.applications': stem, ``stack_fn``, head.

    Source: He et al., arXiv:1512.03385, table 1; with ``preact`` He et al., arXiv:1603.05027.

    Args:
        stack_fn: Function from the stem's output tensor to the last stage's. Blocks made inside take
            ``data_format=`` and ``dtype=`` for themselves.
        preact: Whether norm and rectifier come before convolutions (V2) or after (v1, ResNeXt).
        use_bias: Whether the first convolution has a bias.
        include_top: Whether the classifier is part of the network.
        weights: None for random weights; ``"imagenet"`` (those published for ``weights_name``);
            ``"key.tag"``; or the path of a weights file or a tfjs folder.
        input_tensor: Keras tensor to build on.
        input_shape: (H, W, C), or (C, H, W) for ``"channels_first"``; 32 at least, H and W may be None.
            None is (224, 224, 3), without a top (None, None, 3).
        pooling: Without a top: None for the last feature map, ``"avg"`` or ``"max"`` for its global pool.
        classes: Outputs of the classifier.
        classifier_activation: Activation of the classifier; None for logits.
        name, model_name: What the model is called.
        weights_name: Key that ``"imagenet"`` looks up; ``name`` when None.
        data_format: ``"channels_last"``, ``"channels_first"``, or None for Keras' global setting.
        dtype: Dtype policy of every layer; None for Keras' global setting.
        new_head: Load everything but the classifier, which stays random.

    Returns:
        A functional ``keras.Model`` from float32 images (N, H, W, C), preprocessed, to (N, classes)
        probabilities, or without a top to features.

    Raises:
        ValueError: An argument is wrong; said before any layer is built and anything is downloaded.
        WeightsError: The weights file cannot be read or does not fit.
        SourceError: Published weights could not be fetched.

    Example:

    >>> from keras_resnets import ResNet, stack1
    >>> def stack_fn(x):
    ...     x = stack1(x, 8, 1, stride1=1, name="conv2")
    ...     return stack1(x, 16, 1, name="conv3")
    >>> model = ResNet(stack_fn, preact=False, use_bias=True, weights=None, classes=7, name="tiny")
    >>> model.output_shape
    (None, 7)
    """
    name = model_name or name
    _check_name(name)
    if not callable(stack_fn):
        raise ValueError(f"stack_fn must be a function of a tensor. Received: stack_fn={stack_fn!r}")
    style = Style(data_format, dtype)
    head = Head(bool(include_top), pooling, classes, classifier_activation)
    shape = resolve_input_shape(input_shape, input_tensor, head.include_top, style.data_format, 224)
    source = _resolve_weights(weights, weights_name or name)
    _check_weights(source, head, channels_of(shape, style.data_format), new_head)

    keep_head = head.include_top and not new_head
    contents = None if source is None else _read(source, keep_head)
    if contents and keep_head:
        loading.check_classes(contents, head.classes)
    model = assemble(stack_fn, preact, use_bias, shape, input_tensor, head, style, name)
    if contents:
        # What comes before ``input_tensor`` is the user's, and not in the file.
        network = model if input_tensor is None else keras.Model(input_tensor, model.output, name=name)
        loading.load(network, contents, new_head)
    tag = source.name if isinstance(source, Weight) else None
    _ORIGINS[model] = Origin(weights_name if weights_name in VARIANTS else None, tag)
    return model


def create(
    key,
    include_top=True,
    weights="default",
    input_tensor=None,
    input_shape=None,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    name=None,
    *,
    data_format=None,
    dtype=None,
    new_head=False,
):
    """Build an architecture of the table by its key.

    Args:
        key: One of `list_models()`.
        weights: As for `ResNet`; ``"default"`` is the architecture's own.
        classes: None is the architecture's own.
        name: None is the key.

    The other arguments, the result and the errors are `ResNet`'s.

    Example:

    >>> create("resnet50", weights=None, include_top=False, pooling="avg").output_shape
    (None, 2048)
    """
    row = variant(key)
    resolved = Style(data_format, dtype)
    style = {"data_format": resolved.data_format, "dtype": resolved.dtype}
    input_shape = resolve_input_shape(input_shape, input_tensor, include_top, resolved.data_format, row.size)
    head = {
        "include_top": include_top,
        "pooling": pooling,
        "classes": row.classes if classes is None else classes,
        "classifier_activation": classifier_activation,
    }
    model = ResNet(
        row.stack_fn(**style),
        row.preact,
        row.use_bias,
        weights=row.weights if weights == "default" else weights,
        input_tensor=input_tensor,
        input_shape=input_shape,
        name=row.key if name is None else name,
        weights_name=row.key,
        new_head=new_head,
        **head,
        **style,
    )
    # Layers before ``input_tensor`` are not ours to build again.
    options = head | {"input_shape": input_shape, "name": model.name, **style}
    again = options if input_tensor is None else None
    _ORIGINS[model] = Origin(row.key, _ORIGINS[model].weight, again)
    return model


def constructor(key: str):
    """The function that stands for a row in Python, such as ``ResNet50``."""
    row = VARIANTS[key]

    def build(
        include_top=True,
        weights=row.weights,
        input_tensor=None,
        input_shape=None,
        pooling=None,
        classes=row.classes,
        classifier_activation="softmax",
        name=row.key,
        *,
        data_format=None,
        dtype=None,
        new_head=False,
    ):
        return create(
            key,
            include_top,
            weights,
            input_tensor,
            input_shape,
            pooling,
            classes,
            classifier_activation,
            name,
            data_format=data_format,
            dtype=dtype,
            new_head=new_head,
        )

    build.__name__ = build.__qualname__ = row.constructor
    build.__doc__ = _DOC.format(row=row, blocks=", ".join(map(str, row.blocks)))
    return build


_DOC = """{row.constructor}: {blocks} blocks, {row.parameters:,} trainable parameters.

Source: {row.source}.

Args:
    include_top: Whether the classifier is part of the network.
    weights: None for random weights, ``"imagenet"``, ``"key.tag"`` or the path of a weights file.
    input_tensor: Keras tensor to build on.
    input_shape: (H, W, C), or (C, H, W) for ``"channels_first"``; 32 at least, H and W may be None.
    pooling: Without a top: None, ``"avg"`` or ``"max"``.
    classes: Outputs of the classifier.
    classifier_activation: Activation of the classifier; None for logits.
    name: What the model is called.
    data_format: ``"channels_last"``, ``"channels_first"``, or None for Keras' global setting.
    dtype: Dtype policy of every layer; None for Keras' global setting.
    new_head: Load everything but the classifier, which stays random.

Returns:
    A functional ``keras.Model``: float32 images (N, {row.size}, {row.size}, 3), preprocessed by
    `preprocess`, to (N, {row.classes}) probabilities.

Raises:
    ValueError: An argument is wrong; said before any layer is built and anything is downloaded.
    WeightsError: The weights file cannot be read or does not fit.
    SourceError: Published weights could not be fetched.

Example:

>>> from keras_resnets import {row.constructor}
>>> {row.constructor}(weights=None, classes=10).output_shape
(None, 10)
"""


def _resolve_weights(weights, key: str) -> Weight | Path | None:
    """What the argument means: a row of the catalogue, a file, or None."""
    if weights is None:
        return None
    if isinstance(weights, (str, os.PathLike)):
        if weights == "imagenet" and (found := default_weight(key)):
            return found
        if weights in WEIGHTS and WEIGHTS[weights].key == key:
            return WEIGHTS[weights]
        with contextlib.suppress(OSError):  # a text longer than a file's name may be
            if weights and Path(weights).exists():
                return Path(weights)
    tags = [weight.name for weight in WEIGHTS.values() if weight.key == key]
    allowed = ["None", *(["'imagenet'"] if tags else []), *map(repr, tags), "the path of an existing file"]
    raise ValueError(f"weights of {key} must be {', '.join(allowed)}. Received: weights={weights!r}")


def _read(source: Weight | Path, include_top: bool) -> Contents:
    path = sources.resolve(source, include_top) if isinstance(source, Weight) else source
    return formats.read(path)


def _check_name(name) -> None:
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"name must be a text without '/'. Received: name={name!r}")


def _check_weights(source: Weight | Path | None, head: Head, channels: int, new_head: bool) -> None:
    """Refuse what the weights cannot be used for."""
    if new_head and not head.include_top:
        raise ValueError("new_head=True needs include_top=True: without a top there is no head to renew")
    if source is None:
        return
    if isinstance(source, Weight) and channels != 3:
        raise ValueError(
            f"{source.name} was trained on 3 channels; use weights=None for another number. "
            f"Received: {channels} channels"
        )
    if not head.include_top or new_head:
        return
    if isinstance(source, Weight) and head.classes != source.classes:
        raise ValueError(
            f"{source.name} has {source.classes} classes: classes must be {source.classes}, or pass "
            f"new_head=True to load everything but the classifier. Received: classes={head.classes}"
        )
    if keras.activations.get(head.activation) not in (keras.activations.softmax, keras.activations.linear):
        raise ValueError(
            "with a pretrained top classifier_activation must be 'softmax' or None (logits). "
            f"Received: classifier_activation={head.activation!r}"
        )


def load_weights(model: keras.Model, source, new_head: bool = False) -> LoadReport:
    """Load weights into a network: all of them or none.

    Args:
        model: A network of this package.
        source: ``"imagenet"``, ``"key.tag"``, or the path of a legacy Keras ``.h5``, a ``.weights.h5``
            or a folder with a tfjs ``model.json``.
        new_head: Load everything but the classifier.

    Returns:
        What became of every layer.

    Raises:
        ValueError: ``source`` names nothing.
        WeightsError: The file cannot be read or does not fit; the model is as it was.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet50, load_weights, save_weights
    >>> path = tempfile.mkdtemp() + "/mine.weights.h5"
    >>> save_weights(ResNet50(weights=None), path)
    >>> load_weights(ResNet50(weights=None, classes=10), path, new_head=True).new
    ('predictions',)
    """
    found = _resolve_weights(source, origin_of(model).key or model.name)
    if found is None:
        raise ValueError("source must name weights. Received: source=None")
    report = loading.load(model, _read(found, has_classifier(model) and not new_head), new_head)
    if isinstance(found, Weight):
        _ORIGINS[model] = dataclasses.replace(origin_of(model), weight=found.name)
    return report


def save_weights(model: keras.Model, path) -> None:
    """Write a model's weights as a Keras 3 ``.weights.h5``, which stock Keras reads too.

    Args:
        path: Ends in ``.weights.h5``. Written beside its place first, then renamed.

    Raises:
        ValueError: Another ending.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet50, save_weights
    >>> save_weights(ResNet50(weights=None), tempfile.mkdtemp() + "/mine.weights.h5")
    """
    loading.save(model, path)


# --- pictures for a model -------------------------------------------------------------------------


def preset_of(model_or_tag: keras.Model | str) -> Preset:
    """The preprocessing that belongs to a model's weights.

    Args:
        model_or_tag: A model of this package, ``"key.tag"`` or a key.

    Raises:
        ValueError: The model does not say where it came from, or no such weights.

    Example:

    >>> preset_of("resnet50.keras_in1k").order
    'bgr'
    """
    if isinstance(model_or_tag, str):
        return PRESETS[weight_named(model_or_tag).preset]
    origin = origin_of(model_or_tag)
    name = origin.weight or origin.key
    if name is None:
        raise ValueError(
            f"the model {model_or_tag.name!r} does not say which weights it has; "
            f"pass their name instead, one of {', '.join(WEIGHTS)}"
        )
    return preset_of(name)


def labels_of(model: keras.Model) -> tuple[Label, ...]:
    """What a classifier's outputs are called: ImageNet's names for 1000, else numbers."""
    classes = model.output_shape[-1]
    named = imagenet_labels()
    return named if classes == len(named) else numbered([f"class {i}" for i in range(classes)])


def preprocess(images, model_or_tag, data_format: str | None = None):
    """Pixels to the numbers that a model's weights were trained on.

    Args:
        images: RGB values in 0..255, (N, H, W, 3) or (H, W, 3), numpy or a tensor of the backend; not
            changed. Channels in front for ``"channels_first"``.
        model_or_tag: The model that will get them, or the name of its weights.
        data_format: Layout of ``images``; None is Keras' global setting.

    Returns:
        The same shape and kind of array, float32 unless ``images`` was of another float dtype.

    Raises:
        ValueError: Not three channels, or it cannot be told which preprocessing is right.

    Example:

    >>> import numpy as np
    >>> preprocess(np.full((1, 1, 1, 3), 255, "uint8"), "resnet50v2")
    array([[[[1., 1., 1.]]]], dtype=float32)
    """
    return normalise(images, preset_of(model_or_tag), data_format)


ResNet50 = constructor("resnet50")
ResNet101 = constructor("resnet101")
ResNet152 = constructor("resnet152")
ResNet50V2 = constructor("resnet50v2")
ResNet101V2 = constructor("resnet101v2")
ResNet152V2 = constructor("resnet152v2")
ResNeXt50 = constructor("resnext50")
ResNeXt101 = constructor("resnext101")
