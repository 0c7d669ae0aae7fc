"""Architectures, weights, presets and labels are joined here, by name, and nowhere else."""

import contextlib
import dataclasses
import os
import weakref
from pathlib import Path

import keras

from .architecture.network import (
    Head,
    Input,
    Plan,
    assemble,
    channels_of,
    cut,
    keras_stem,
    resolve_input_shape,
)
from .architecture.shortcuts import resolve_shortcut
from .architecture.style import Style, check_rate
from .architecture.variants import VARIANTS, Variant
from .images.labels import Label, imagenet_labels, numbered
from .images.preprocessing import normalise
from .images.presets import PRESETS, Preset
from .inspection import has_classifier, normalization_of
from .registry import variant, weight_named
from .weights import formats, loading, sources
from .weights.catalog import WEIGHTS, Weight, default_weight
from .weights.formats import Contents
from .weights.loading import LoadReport

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


def register(model: keras.Model, key: str, options: dict | None, weight: str | None = None) -> None:
    """Remember how a model came about."""
    _ORIGINS[model] = Origin(key, weight, options)


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
    **style,
):
    """Build a residual network from a function that builds its stages.

    The signature is keras.applications': stem, ``stack_fn``, head.

    Source: He et al., arXiv:1512.03385, table 1; with ``preact`` He et al., arXiv:1603.05027.

    Args:
        stack_fn: Function from the stem's output tensor to the last stage's. Blocks made inside take
            ``data_format=``, ``dtype=`` and the other fields of `Style` for themselves.
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
        **style: Other fields of `Style` for stem and head: ``activation``, ``norm``, ``epsilon``...

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
    style = Style(data_format, dtype, **style)
    head = Head(bool(include_top), pooling, classes, classifier_activation)
    shape = resolve_input_shape(input_shape, input_tensor, head.include_top, style.data_format, Input())
    stem = keras_stem(use_bias)
    plan = Plan(name, stem, stack_fn, preact, head, style, shape, input_tensor)
    return _build(plan, weights, weights_name or name, new_head, None)


def _build(plan: Plan, weights, key: str, new_head: bool, stem: str | None) -> keras.Model:
    """Settle the weights, read them, build the network, load them: each step only when the last one held."""
    source = _resolve_weights(weights, key)
    _check_weights(source, plan, new_head, stem)
    keep_head = plan.head.include_top and not new_head
    contents = None if source is None else _read(source, keep_head)
    if contents and keep_head:
        loading.check_classes(contents, plan.head.classes)
    model = assemble(plan)
    if contents:
        network = model
        if plan.input_tensor is not None:  # what comes before it is the user's, and not in the file
            network = keras.Model(plan.input_tensor, model.output, name=plan.name)
        loading.load(network, contents, new_head, stem)
    tag = source.name if isinstance(source, Weight) else None
    _ORIGINS[model] = Origin(key if key in VARIANTS else None, tag)
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
    stem=None,
    shortcut=None,
    output_stride=32,
    features=None,
    in_channels=None,
    drop_path_rate=0.0,
    dropout_rate=0.0,
    se_ratio=None,
    zero_init_residual=False,
    activation="relu",
    norm=None,
    kernel_initializer=None,
    seed=None,
):
    """Build an architecture of the table by its key.

    Args:
        key: One of `list_models()`.
        weights: As for every constructor; ``"default"`` is the architecture's own.
        classes: None is the architecture's own.
        name: None is the key.

    The other arguments, the result and the errors are those of every constructor, such as `ResNet50`.

    Example:

    >>> create("resnet50_v1_5", weights=None, include_top=False, pooling="avg").output_shape
    (None, 2048)
    """
    row = variant(key)
    name = row.key if name is None else name
    _check_name(name)
    shortcut = row.shortcut if shortcut is None else shortcut
    resolve_shortcut(shortcut)
    _check_output_stride(output_stride, row)
    check_rate("drop_path_rate", drop_path_rate)
    check_rate("dropout_rate", dropout_rate)
    ends = _resolve_features(features, pooling, row)
    chosen = {
        "norm": norm,
        "kernel_initializer": kernel_initializer,
        "se_ratio": se_ratio,
        "activation": activation,
        "seed": seed,
        "zero_init_residual": bool(zero_init_residual) or None,
        "dropout_rate": dropout_rate if row.dropout_in_blocks else None,
    }
    style = Style(
        data_format, dtype, **row.style | {name: value for name, value in chosen.items() if value is not None}
    )
    head = Head(
        bool(include_top) and not ends,
        pooling,
        row.classes if classes is None else classes,
        classifier_activation,
        0.0 if row.dropout_in_blocks else dropout_rate,
    )
    shape = resolve_input_shape(
        input_shape, input_tensor, head.include_top, style.data_format, row.input, in_channels
    )
    stack_fn = row.stack_fn(style, shortcut, output_stride, drop_path_rate)
    plan = Plan(name, row.stem, stack_fn, row.preact, head, style, shape, input_tensor)
    model = _build(plan, row.weights if weights == "default" else weights, row.key, new_head, stem)
    options = {
        "include_top": head.include_top,
        "input_shape": shape,
        "pooling": pooling,
        "classes": head.classes,
        "classifier_activation": classifier_activation,
        "name": name,
        "data_format": style.data_format,
        "dtype": style.dtype,
        "shortcut": shortcut,
        "output_stride": output_stride,
        "drop_path_rate": drop_path_rate,
        "dropout_rate": dropout_rate,
        "se_ratio": style.se_ratio,
        "activation": style.activation,
        "norm": style.norm,
    }
    tag = origin_of(model).weight
    if ends:
        model = cut(model, ends)
    # Layers before ``input_tensor`` are not ours to build again.
    register(model, row.key, options if input_tensor is None and not ends else None, tag)
    return model


def _check_output_stride(output_stride, row: Variant) -> None:
    if output_stride not in (8, 16, 32):
        raise ValueError(f"output_stride must be 8, 16 or 32. Received: output_stride={output_stride!r}")
    if output_stride != 32 and row.input.smallest < 32:
        raise ValueError(
            f"output_stride means nothing for {row.key}, which makes a picture {row.input.smallest} times "
            f"smaller only. Received: output_stride={output_stride}"
        )


def _resolve_features(features, pooling, row: Variant) -> dict[str, str] | None:
    """Stage -> layer, for the stages asked for."""
    if features is None:
        return None
    known = row.feature_layers()
    stages = (features,) if isinstance(features, str) else tuple(features)
    if not stages or len(set(stages)) < len(stages) or not set(stages) <= set(known):
        raise ValueError(
            f"features of {row.key} must be some of {', '.join(map(repr, known))}, each once. "
            f"Received: features={features!r}"
        )
    if pooling is not None:
        raise ValueError(f"features are maps; they cannot be pooled. Received: pooling={pooling!r}")
    return {stage: known[stage] for stage in stages}


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


def _check_weights(source: Weight | Path | None, plan: Plan, new_head: bool, stem: str | None) -> None:
    """Refuse what the weights cannot be used for."""
    head, channels = plan.head, channels_of(plan.input_shape, plan.style.data_format)
    if new_head and not head.include_top:
        raise ValueError("new_head=True needs include_top=True: without a top there is no head to renew")
    loading.check_stem(stem)
    if source is None:
        return
    if isinstance(source, Weight) and channels != 3 and stem is None:
        raise ValueError(
            f"{source.name} was trained on 3 channels; pass weights=None, or to fit its first convolution "
            f"stem='sum' ('mean', 'tile', 'zero', 'copy:<i>'). Received: {channels} channels"
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

    An architecture for which no weights are published has PyTorch's; a network that normalises by itself (of
    `residual_network`) takes raw pixels.

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
    if normalization_of(model_or_tag):
        return PRESETS["raw"]
    origin = origin_of(model_or_tag)
    if origin.key and not origin.weight and not default_weight(origin.key):
        return PRESETS["torch"]  # trained from random weights, any will do
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
