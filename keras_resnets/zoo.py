"""The constructors: one for each row of the table that has a name in Python."""

import inspect

from .architecture.variants import VARIANTS
from .models import create


def constructor(key: str):
    """The function that stands for a row in Python, such as ``ResNet50``."""
    row = VARIANTS[key]
    own = {"weights": row.weights, "classes": row.classes, "name": row.key}
    _, *parameters = inspect.signature(create).parameters.values()
    parameters = [p.replace(default=own.get(p.name, p.default)) for p in parameters]
    signature = inspect.Signature(parameters)

    def build(*arguments, **options):
        try:
            bound = signature.bind(*arguments, **options)
        except TypeError as error:
            raise TypeError(f"{row.constructor}() {error}") from None
        return create(key, **bound.arguments)

    build.__name__ = build.__qualname__ = row.constructor
    build.__signature__ = signature
    build.__module__ = __package__
    build.__doc__ = _DOC.format(
        row=row,
        side=row.input.size,
        channels=row.input.channels,
        blocks=", ".join(map(str, row.blocks)),
        initializer=row.style.get("kernel_initializer", "glorot_uniform, as in Keras"),
    )
    return build


_DOC = """{row.constructor}: {blocks} blocks, {row.parameters:,} trainable parameters.

Source: {row.source}.

Args:
    include_top: Whether the classifier is part of the network.
    weights: None for random weights, ``"imagenet"``, ``"key.tag"`` or the path of a weights file.
    input_tensor: Keras tensor to build on.
    input_shape: (H, W, C), or (C, H, W) for ``"channels_first"``; H and W {row.input.smallest} at least, or
        None.
    pooling: Without a top: None, ``"avg"`` or ``"max"``.
    classes: Outputs of the classifier.
    classifier_activation: Activation of the classifier; None for logits.
    name: What the model is called.
    data_format: ``"channels_last"``, ``"channels_first"``, or None for Keras' global setting.
    dtype: Dtype policy of every layer; None for Keras' global setting.
    new_head: Load everything but the classifier, which stays random.
    stem: How weights of another number of input channels are fitted: ``"sum"``, ``"mean"``, ``"tile"``,
        ``"zero"`` (for added channels) or ``"copy:<i>"`` (of channel i, for added ones).
    shortcut: What blocks add: ``"A"`` their input, new channels zero; ``"B"`` a projection of it where a
        stage begins; ``"C"`` always a projection; ``"D"`` as B, pooled first; ``"none"`` nothing: the
        paper's plain network. None is the architecture's own, {row.shortcut!r}.
    output_stride: 8, 16 or 32: how much smaller the last stage is; below 32 dilations stand for strides.
    features: Stages such as ``("conv2", "conv4")``: the model then gives a dictionary of their last
        tensors, behind norm and activation, and has no top. `feature_info` has their channels and reductions.
    in_channels: Channels of the input, in place of ``input_shape``.
    drop_path_rate: How often a picture skips the last block in training; the others less, rising from 0.
    dropout_rate: Share of values dropped before the classifier; in the wide CIFAR networks, in the blocks.
    se_ratio: Share of channels that a squeeze-and-excitation in every block keeps; None: the architecture's.
    zero_init_residual: Begin with blocks that add nothing.
    activation: Name of a Keras activation, or a function.
    norm: ``"batch"``, ``"group"`` or ``"sync_batch"``; None is the architecture's own.
    kernel_initializer: Of all kernels; None is {initializer} here.
    seed: Of every initializer; kernels of the same shape are then equal, as with ``glorot_uniform(seed=0)``.

Returns:
    A functional ``keras.Model`` from float32 images (N, {side}, {side}, {channels}), preprocessed by
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


ResNet50 = constructor("resnet50")
ResNet101 = constructor("resnet101")
ResNet152 = constructor("resnet152")
ResNet50V2 = constructor("resnet50v2")
ResNet101V2 = constructor("resnet101v2")
ResNet152V2 = constructor("resnet152v2")
ResNeXt50 = constructor("resnext50")
ResNeXt101 = constructor("resnext101")
ResNet18 = constructor("resnet18")
ResNet34 = constructor("resnet34")
ResNet50V1_5 = constructor("resnet50_v1_5")
ResNet101V1_5 = constructor("resnet101_v1_5")
ResNet152V1_5 = constructor("resnet152_v1_5")
ResNet200V1_5 = constructor("resnet200_v1_5")
ResNeXt50_32x4d = constructor("resnext50_32x4d")
ResNeXt101_32x4d = constructor("resnext101_32x4d")
ResNeXt101_32x8d = constructor("resnext101_32x8d")
ResNeXt101_64x4d = constructor("resnext101_64x4d")
WideResNet50_2 = constructor("wide_resnet50_2")
WideResNet101_2 = constructor("wide_resnet101_2")
ResNet18D = constructor("resnet18_d")
ResNet34D = constructor("resnet34_d")
ResNet50D = constructor("resnet50_d")
ResNet101D = constructor("resnet101_d")
ResNet152D = constructor("resnet152_d")
SEResNet50 = constructor("se_resnet50")
SEResNeXt50_32x4d = constructor("se_resnext50_32x4d")
SEResNeXt101_32x4d = constructor("se_resnext101_32x4d")
ResNetV2_18 = constructor("resnetv2_18")
ResNetV2_34 = constructor("resnetv2_34")
ResNetV2_50 = constructor("resnetv2_50")
ResNetV2_101 = constructor("resnetv2_101")
ResNetV2_152 = constructor("resnetv2_152")
BiT_R50x1 = constructor("bit_r50x1")
BiT_R101x1 = constructor("bit_r101x1")
ResNet20 = constructor("resnet20")
ResNet32 = constructor("resnet32")
ResNet44 = constructor("resnet44")
ResNet56 = constructor("resnet56")
ResNet110 = constructor("resnet110")
ResNet1202 = constructor("resnet1202")
PreResNet164 = constructor("preresnet164")
PreResNet1001 = constructor("preresnet1001")
WideResNet28_10 = constructor("wide_resnet28_10")
WideResNet40_4 = constructor("wide_resnet40_4")
