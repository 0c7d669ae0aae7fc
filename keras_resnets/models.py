"""Architectures, weights, presets and labels are joined here, by name, and nowhere else."""

import contextlib
import dataclasses
import os
import weakref
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras

from .architecture.accelerating import accelerated
from .architecture.layers import undrawn_kernels
from .architecture.network import (
    Head,
    Input,
    Plan,
    assemble,
    channels_of,
    check_name,
    cut,
    keras_stem,
    resolve_input_shape,
)
from .architecture.shortcuts import resolve_shortcut
from .architecture.style import Style, check_rate
from .architecture.variants import VARIANTS, Variant
from .identification import identify, is_of
from .images.labels import SMALL, Label, imagenet_labels, numbered
from .images.preprocessing import normalise
from .images.presets import PRESETS, Preset, fitted
from .inspection import data_format_of, has_classifier, normalization_of
from .registry import variant, weight_named
from .weights import formats, loading, mapping, sources
from .weights.catalog import WEIGHTS, PublishedFile, Weight, default_weight
from .weights.formats import Contents, WeightsError
from .weights.loading import LoadReport

# --- models ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Origin:
    """How a model came about.

    Attributes:
        key: Its architecture, where that is known.
        weight: ``key.tag`` of the published weights it got.
        options: What `create` needs to build it again; None where that cannot be done.
        stem: How the weights were fitted to another number of input channels.
        swapped: Whether the first convolution was turned from RGB to BGR, or back.
    """

    key: str | None = None
    weight: str | None = None
    options: dict | None = None
    stem: str | None = None
    swapped: bool = False


_ORIGINS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def origin_of(model: keras.Model) -> Origin:
    """Where a model came from. One read from a file is known by its name, if it has that row's layers."""
    if model in _ORIGINS:
        return _ORIGINS[model]
    return Origin(model.name) if model.name in VARIANTS and is_of(model, model.name) else Origin()


def register(model: keras.Model, key: str | None, options: dict | None) -> None:
    """Remember how a model came about."""
    _ORIGINS[model] = Origin(key, None, options)


def inherit(model: keras.Model, origin: Origin) -> None:
    """Remember that a model, built again with other options, has the weights of another one."""
    _ORIGINS[model] = dataclasses.replace(origin, options=_ORIGINS[model].options)


def accelerate(model: keras.Model) -> keras.Model:
    """The same network on the same variables, in fewer and faster layers.

    A network read from a ``.keras`` file has Keras' own layers: here its convolutions and batch norms become
    this package's, which on TensorFlow run in its fused and grouped kernels. In networks built by this
    package, too, zeros around a picture become a convolution's own where these are the same, and in training
    a bias before a batch norm, which cancels it, costs nothing (so the convolution's output itself has no
    gradient there). Training the result trains the model: no weight is copied.

    Args:
        model: A functional network; it is left as it is.

    Returns:
        A new model. Its layers have the same names; some that only pad are gone.

    Raises:
        ValueError: The model is not a functional network.

    Example:

    >>> from keras_resnets import ResNet18, accelerate
    >>> model = ResNet18(weights=None)
    >>> fast = accelerate(model)
    >>> len(fast.layers) < len(model.layers), fast.weights[0] is model.weights[0]
    (True, True)
    """
    fast = accelerated(model)
    _ORIGINS[fast] = origin_of(model)
    return fast


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
    dropout_rate=0.0,
    activation="relu",
    norm="batch",
    epsilon=1.001e-5,
    kernel_initializer="glorot_uniform",
    seed=None,
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
        dropout_rate: Share of values dropped before the classifier.
        activation, norm, epsilon, kernel_initializer, seed: Of stem and head, as `Style` has them.

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
    check_name(name)
    if not callable(stack_fn):
        raise ValueError(f"stack_fn must be a function of a tensor. Received: stack_fn={stack_fn!r}")
    style = Style(
        data_format,
        dtype,
        norm,
        epsilon,
        activation=activation,
        kernel_initializer=kernel_initializer,
        seed=seed,
    )
    head = Head(bool(include_top), pooling, classes, classifier_activation, dropout_rate)
    shape = resolve_input_shape(input_shape, input_tensor, head.include_top, style.data_format, Input())
    stem = keras_stem(use_bias)
    plan = Plan(name, stem, stack_fn, preact, head, style, shape, input_tensor)
    return _build(plan, weights, weights_name or name, new_head)


def _build(
    plan: Plan, weights, key: str, new_head: bool, stem: str | None = None, row: Variant | None = None
) -> keras.Model:
    """Settle the weights, read them while the network is built, load them: each only when all before held.

    Args:
        key: Whose weights ``"imagenet"`` means.
        row: The architecture, where the plan is that of a row.
    """
    source = _resolve_weights(weights, key)
    _check_weights(source, plan, new_head, stem)
    keep_head = plan.head.include_top and not new_head
    if source is None:
        model, contents = assemble(plan), None
    else:
        # Reading waits for disks and other processes; the network is built meanwhile.
        with ThreadPoolExecutor(1) as reader, undrawn_kernels():
            reading = reader.submit(_read, source, keep_head)
            model = assemble(plan)
            contents = reading.result()
        if keep_head:
            loading.check_classes(contents, plan.head.classes)
        _check_architecture(contents, row)
    register(model, key if key in VARIANTS else None, None)
    if contents:
        network = model
        if plan.input_tensor is not None:  # what comes before it is the user's, and not in the file
            network = keras.Model(plan.input_tensor, model.output, name=plan.name)
        swap = _needs_swap(source, plan, stem)
        _load(network, contents, new_head, stem, swap)
        tag = source.name if isinstance(source, Weight) else None
        _ORIGINS[model] = dataclasses.replace(origin_of(model), weight=tag, stem=stem, swapped=swap)
    return model


def _needs_swap(source, plan: Plan, stem: str | None) -> bool:
    """Whether weights of BGR pictures are turned first: `stem` speaks of channels as RGB has them."""
    channels = channels_of(plan.input_shape, plan.style.data_format)
    return (
        stem is not None
        and channels != 3
        and isinstance(source, Weight)
        and PRESETS[source.preset].order == "bgr"
    )


def _load(model: keras.Model, contents: Contents, new_head: bool, stem, swap: bool) -> LoadReport:
    try:
        return loading.load(model, contents, new_head, stem, swap)
    except WeightsError as error:
        raise WeightsError(f"{error}{_what_fits(contents)}") from None


def _check_architecture(contents: Contents, row: Variant | None) -> None:
    """Refuse, before anything is loaded, the file of another dialect or of another depth."""
    if row is None:
        return
    layers, publisher = mapping.in_our_names(contents)
    if publisher is None:
        return
    if publisher.dialects is not None and row.dialect not in publisher.dialects:
        dialects = " or ".join(publisher.dialects)
        raise WeightsError(
            f"{contents.path} ({contents.format}): {publisher.name} belong to networks of the dialect "
            f"{dialects}; {row.key} is of the dialect {row.dialect}{_what_fits(contents)}"
        )
    blocks = mapping.blocks_of(layers)
    if blocks and blocks != row.blocks[: len(blocks)]:
        raise WeightsError(
            f"{contents.path} ({contents.format}): the file has {blocks} blocks a stage, {row.key} "
            f"{row.blocks}{_what_fits(contents)}"
        )


def _what_fits(contents: Contents) -> str:
    """The architecture that a file is of, as a piece of an error message."""
    identity = identify(contents)
    if identity.fits:
        return f"; the file fits {' or '.join((identity.key, *identity.also))}"
    return f"; nearest to it is {identity.key}" if identity.key else ""


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
    check_name(name)
    shortcut = row.shortcut if shortcut is None else shortcut
    resolve_shortcut(shortcut)
    _check_output_stride(output_stride, row)
    check_rate("drop_path_rate", drop_path_rate)
    check_rate("dropout_rate", dropout_rate)
    if shortcut == "none" and (zero_init_residual or drop_path_rate):
        raise ValueError(
            "a plain network cannot do without its branches: shortcut='none' goes with neither "
            f"zero_init_residual nor drop_path_rate. Received: zero_init_residual={zero_init_residual}, "
            f"drop_path_rate={drop_path_rate}"
        )
    ends = _resolve_features(features, pooling, row)
    if dropout_rate and not row.dropout_in_blocks and (ends or not include_top):
        raise ValueError(
            f"dropout_rate of {row.key} is before the classifier, and there is none. "
            f"Received: dropout_rate={dropout_rate}"
        )
    chosen = {
        "norm": norm,
        "kernel_initializer": kernel_initializer,
        "se_ratio": se_ratio,
        "seed": seed,
        "zero_init_residual": bool(zero_init_residual) or None,
        "dropout_rate": dropout_rate if row.dropout_in_blocks else None,
    }
    chosen = {option: value for option, value in chosen.items() if value is not None}
    style = Style(data_format, dtype, activation=activation, **row.style | chosen)
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
    weights = row.weights if weights == "default" else weights
    model = _build(plan, weights, row.key, new_head, stem, row)
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
        "output_stride": int(output_stride),
        "drop_path_rate": float(drop_path_rate),
        "dropout_rate": float(dropout_rate),
        "se_ratio": style.se_ratio and float(style.se_ratio),
        "zero_init_residual": style.zero_init_residual,
        "activation": style.activation,
        "norm": style.norm,
        "kernel_initializer": style.kernel_initializer,
        "seed": None if style.seed is None else int(style.seed),
    }
    # Layers before ``input_tensor`` are not ours to build again.
    again = options if input_tensor is None and not ends else None
    origin = dataclasses.replace(origin_of(model), options=again)
    model = cut(model, ends) if ends else model
    _ORIGINS[model] = origin
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
    stages = (
        (features,) if isinstance(features, str) or not isinstance(features, Iterable) else tuple(features)
    )
    if not stages or len(set(stages)) < len(stages) or not set(stages) <= set(known):
        raise ValueError(
            f"features of {row.key} must be some of {', '.join(map(repr, known))}, each once. "
            f"Received: features={features!r}"
        )
    if pooling is not None:
        raise ValueError(f"features are maps; they cannot be pooled. Received: pooling={pooling!r}")
    return {stage: known[stage] for stage in stages}


def _resolve_weights(weights, key: str, sha256: str | None = None) -> Weight | PublishedFile | Path | None:
    """What the argument means: a row of the catalogue, an address, a file, or None."""
    if weights is None:
        return None
    if isinstance(weights, (str, os.PathLike)):
        if found := _published(key, weights):
            return found
        if isinstance(weights, str) and sources.is_address(weights):
            return sources.parse_address(weights, sha256)
        with contextlib.suppress(OSError):  # a text longer than a file's name may be
            beside = f"{weights}.index"  # a TensorFlow checkpoint is called by what its files begin with
            if weights and (Path(weights).exists() or Path(beside).exists()):
                return Path(weights)
    rows = [weight for weight in WEIGHTS.values() if weight.key == key]
    names = dict.fromkeys([weight.data for weight in rows] + [weight.name for weight in rows])
    allowed = ["None", *map(repr, names), "the path of an existing file"]
    raise ValueError(
        f"weights of {key} must be {', '.join(allowed)}, an https:// or an hf:// address. "
        f"Received: weights={weights!r}"
    )


def _published(key: str, name) -> Weight | None:
    """A row of the catalogue for this architecture: ``key.tag``, or the data of its default."""
    if found := default_weight(key, name):
        return found
    found = WEIGHTS.get(name) if isinstance(name, str) else None
    return found if found and found.key == key else None


def _read(source: Weight | PublishedFile | Path, include_top: bool) -> Contents:
    if isinstance(source, Weight):
        source = sources.resolve(source, include_top)
    elif isinstance(source, PublishedFile):
        source = sources.fetch(source)
    return formats.read(source)


def _check_weights(source: Weight | Path | None, plan: Plan, new_head: bool, stem: str | None) -> None:
    """Refuse what the weights cannot be used for."""
    head, channels = plan.head, channels_of(plan.input_shape, plan.style.data_format)
    if new_head and not head.include_top:
        raise ValueError("new_head=True needs include_top=True: without a top there is no head to renew")
    loading.check_stem(stem, 3 if isinstance(source, Weight) else None, channels)
    if source is None:
        return
    _check_licence(source, allow_noncommercial=False)
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


def load_weights(
    model: keras.Model,
    source,
    new_head: bool = False,
    *,
    stem: str | None = None,
    swap_channels: bool = False,
    sha256: str | None = None,
    allow_noncommercial: bool = False,
) -> LoadReport:
    """Load weights into a network: all of them or none.

    Args:
        model: A network of this package.
        source: ``"imagenet"``, ``"key.tag"``, the path of a file or folder in any format that
            `inspect_weights` knows, ``https://...`` or ``hf://owner/repo[/file][@revision]``. Whose names the
            file uses is told from itself.
        new_head: Load everything but the classifier.
        stem: How a first convolution of another number of channels is fitted: ``"sum"``, ``"mean"``,
            ``"tile"``, ``"zero"`` or ``"copy:<i>"``.
        swap_channels: Turn the first convolution from BGR to RGB, or back; `preset_of` follows.
        sha256: The file's hash, compared before anything is read. An ``https://`` address needs it.
        allow_noncommercial: Take published weights whose licence forbids commercial use.

    Returns:
        What became of every layer.

    Raises:
        ValueError: ``source`` names nothing, or its licence was not accepted.
        WeightsError: The file cannot be read or does not fit; the model is as it was.
        SourceError: It could not be fetched.

    Example:

    >>> import tempfile
    >>> from keras_resnets import ResNet50, load_weights, save_weights
    >>> path = tempfile.mkdtemp() + "/mine.weights.h5"
    >>> save_weights(ResNet50(weights=None), path)
    >>> load_weights(ResNet50(weights=None, classes=10), path, new_head=True).new
    ('predictions',)
    """
    loading.check_stem(stem)
    origin = origin_of(model)
    found = _resolve_weights(source, origin.key or model.name, sha256)
    if found is None:
        raise ValueError("source must name weights. Received: source=None")
    _check_licence(found, allow_noncommercial)
    if isinstance(found, Path) and sha256 and sources.sha256(found) != sha256:
        raise WeightsError(f"{found} does not have the hash {sha256}: it is damaged, or another file")
    contents = _read(found, has_classifier(model) and not new_head)
    _check_architecture(contents, VARIANTS.get(origin.key) if origin.options else None)
    report = _load(model, contents, new_head, stem, swap_channels)
    tag = found.name if isinstance(found, Weight) else None
    _ORIGINS[model] = dataclasses.replace(origin, weight=tag, stem=stem, swapped=swap_channels)
    return report


def _check_licence(source, allow_noncommercial: bool) -> None:
    if isinstance(source, Weight) and not source.commercial and not allow_noncommercial:
        raise ValueError(
            f"{source.name} may not be used commercially ({source.files[0].licence}); where that is no "
            f"hindrance: load_weights(model, {source.name!r}, allow_noncommercial=True)"
        )


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
    name = origin.weight or origin.key
    if name is None:
        raise ValueError(
            f"the model {model_or_tag.name!r} does not say which weights it has; "
            f"pass their name instead, such as {next(iter(WEIGHTS))!r}"
        )
    unpublished = not origin.weight and not default_weight(origin.key)
    # Trained from random weights any preprocessing will do.
    plain = PRESETS["torch" if unpublished else weight_named(name).preset]
    if not origin.stem and not origin.swapped:
        return plain
    channels = channels_of(model_or_tag.input_shape[1:], data_format_of(model_or_tag))
    return fitted(plain, channels, origin.stem, origin.swapped)


def labels_of(model: keras.Model) -> tuple[Label, ...]:
    """What a classifier's outputs are called: by the data that its weights are from, ImageNet's names for any
    other 1000, else numbers."""
    classes, weight = model.output_shape[-1], WEIGHTS.get(origin_of(model).weight or "")
    names = SMALL.get(weight.data, ()) if weight else ()
    if classes == len(names):
        return numbered(names)
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
