"""What publishers call the layers of a network: one entry a publisher, a rule on addresses each."""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..architecture.names import Address
from .formats import Variables


class Publisher(NamedTuple):
    """Attributes:
    address: The network's layer that a layer of the publisher's is, or None for none; the layer's
        variables say what its name leaves open.
    arrays: Its variables with Keras' names and layout.
    dialects: The networks that such names are given to (`Variant.dialect`); None for any.
    zero_biases: Whether its convolutions have no biases where the network has, and mean zero.
    """

    name: str
    address: Callable[[str, Variables], str | None]
    arrays: Callable[[Variables], Variables] = lambda variables: variables
    dialects: tuple[str, ...] | None = None
    zero_biases: bool = False


# --- Keras ----------------------------------------------------------------------------------------


def _keras(layer: str, variables: Variables) -> str | None:
    if layer in ("predictions", "probs"):
        return "predictions"
    if layer in ("zerocenter", "zscore"):
        return layer
    found = Address.parse(layer)
    return layer if found and found.role in ("conv", "bn", "gn") else None


_FCHOLLET = re.compile(r"(res|bn|scale)([2-5])([a-z])(\d*)_branch(1|2)([a-c]?)")


def _fchollet(layer: str, variables: Variables) -> str | None:
    """``res3b2_branch2c`` -> ``conv3_block3_3_conv``; blocks count a, b, c or (deep ones) a, b1, b2."""
    return None if layer.startswith("scale") else _caffe(layer, variables)


def _caffe(layer: str, variables: Variables) -> str | None:
    """The same names in Caffe, where a norm's scale is a layer of its own: both have one address."""
    outside = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn", "scale_conv1": "conv1_bn"}
    if layer in outside:
        return None if _is_torch(variables) else outside[layer]
    if re.fullmatch(r"fc\d+", layer):
        return "predictions"
    found = _FCHOLLET.fullmatch(layer)
    if not found:
        return None
    kind, stage, letter, number, branch, conv = found.groups()
    block = 1 + (int(number) if number else ord(letter) - ord("a"))
    slot = "0" if branch == "1" else str(1 + ord(conv) - ord("a"))
    return str(Address(f"conv{stage}", block, slot, "conv" if kind == "res" else "bn"))


_CAFFE_NAMES = {
    "weights": "kernel", "biases": "bias", "mean": "moving_mean", "variance": "moving_variance",
    "scale": "gamma", "offset": "beta",
}  # fmt: skip


def _from_caffe(variables: Variables) -> Variables:
    """caffe-tensorflow's names; kernels (out, in, height, width) as in Caffe, or turned already."""
    variables = {_CAFFE_NAMES.get(name, name): array for name, array in variables.items()}
    factor = variables.pop("scale_factor", None)  # Caffe keeps sums: mean = stored / factor
    if factor is not None and float(factor.ravel()[0]):
        for name in ("moving_mean", "moving_variance"):
            variables[name] = variables[name] / factor.ravel()[0]
    kernel = variables.get("kernel")
    if kernel is not None and kernel.ndim == 4 and kernel.shape[0] > 7:  # no kernel has larger sides
        variables["kernel"] = kernel.transpose(2, 3, 1, 0)
    if kernel is not None and kernel.ndim == 2 and kernel.shape[0] == variables["bias"].size:
        variables["kernel"] = kernel.T
    return variables


# --- PyTorch --------------------------------------------------------------------------------------

_TORCH_OUTSIDE = {
    "conv1": "conv1_conv", "bn1": "conv1_bn",
    "fc": "predictions", "head.fc": "predictions", "linear": "predictions",
}  # fmt: skip
_TORCH_STEM = re.compile(r"conv1\.(\d)")
_TORCH = re.compile(
    r"layer(?P<stage>\d)\.(?P<block>\d+)\."
    r"((conv|bn)(?P<slot>\d)|(?P<shortcut>downsample|shortcut)\.\d|se\.fc(?P<se>\d))"
)


def _torch(layer: str, variables: Variables) -> str | None:
    """``layer2.0.conv1`` -> ``conv3_block1_1_conv``: torchvision, timm, and CIFAR networks after them."""
    if not _is_torch(variables):
        return None
    if layer in _TORCH_OUTSIDE:
        return _TORCH_OUTSIDE[layer]
    role = _torch_role(variables)
    if found := _TORCH_STEM.fullmatch(layer):  # conv, norm and relu in turn; the last conv is number 6
        place = int(found[1])
        return str(Address("conv1", None, None if place == 6 else str(place // 3 + 1), role))
    found = _TORCH.fullmatch(layer)
    if not found:
        return None
    slot = found["slot"] or ("0" if found["shortcut"] else f"se_{found['se']}")
    return str(Address(f"conv{int(found['stage']) + 1}", int(found["block"]) + 1, slot, role))


_TIMM_V2_OUTSIDE = {"stem.conv": "conv1", "norm": "post"}
_TIMM_V2 = re.compile(r"stages\.(\d)\.blocks\.(\d+)\.(conv|norm|downsample)\.?(\d|conv)")


def _timm_v2(layer: str, variables: Variables) -> str | None:
    """``stages.1.blocks.0.norm1`` -> ``conv3_block1_preact_bn``: a norm has the slot of what is before it."""
    if not _is_torch(variables):
        return None
    if layer == "head.fc":
        return "predictions"
    role = _torch_role(variables)
    if layer in _TIMM_V2_OUTSIDE:
        return str(Address(_TIMM_V2_OUTSIDE[layer], role=role))
    found = _TIMM_V2.fullmatch(layer)
    if not found:
        return None
    stage, block, part, slot = found.groups()
    if part == "norm":
        slot = "preact" if slot == "1" else str(int(slot) - 1)
    if part == "downsample":
        slot = "0"
    return str(Address(f"conv{int(stage) + 2}", int(block) + 1, slot, role))


_HUGGING_FACE = re.compile(
    r"(resnet\.)?encoder\.stages\.(\d)\.layers\.(\d+)\.(?:layer\.(\d)|(shortcut))\.(convolution|normalization)"
)
_HUGGING_FACE_STEM = re.compile(r"(resnet\.)?embedder\.embedder\.(convolution|normalization)")


def _hugging_face(layer: str, variables: Variables) -> str | None:
    """``resnet.encoder.stages.0.layers.1.layer.2.convolution`` -> ``conv2_block2_3_conv``."""
    if not _is_torch(variables):
        return None
    if layer == "classifier.1":
        return "predictions"
    role = _torch_role(variables)
    if _HUGGING_FACE_STEM.fullmatch(layer):
        return str(Address("conv1", role=role))
    found = _HUGGING_FACE.fullmatch(layer)
    if not found:
        return None
    _, stage, block, conv, shortcut, _ = found.groups()
    return str(
        Address(f"conv{int(stage) + 2}", int(block) + 1, "0" if shortcut else str(int(conv) + 1), role)
    )


def _is_torch(variables: Variables) -> bool:
    return "weight" in variables


def _torch_role(variables: Variables) -> str:
    if variables["weight"].ndim != 1:
        return "conv"
    return "bn" if "running_mean" in variables else "gn"


_TORCH_LAYOUT = {4: (2, 3, 1, 0), 2: (1, 0)}  # (out, in, height, width), or (out, in) of a classifier


def _from_torch(variables: Variables) -> Variables:
    weight = variables["weight"]
    norm = weight.ndim == 1
    names = {
        "weight": "gamma" if norm else "kernel",
        "bias": "beta" if norm else "bias",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    arrays = variables | {"weight": weight.transpose(_TORCH_LAYOUT.get(weight.ndim))}
    return {names[name]: array for name, array in arrays.items() if name in names}


# --- BiT ------------------------------------------------------------------------------------------

_BIT = re.compile(r"(?:resnet/)?block(\d)/unit(\d+)/([abc])/(proj/)?(standardized_conv2d|group_norm)")
_BIT_OUTSIDE = {
    "root_block/standardized_conv2d": "conv1_conv",
    "group_norm": "post_gn",
    "head/conv2d": "predictions",
}


def _bit(layer: str, variables: Variables) -> str | None:
    """``resnet/block2/unit03/b/group_norm`` -> ``conv3_block3_1_gn``, as Google's npz files have it."""
    if outside := _BIT_OUTSIDE.get(layer.removeprefix("resnet/")):
        return outside
    found = _BIT.fullmatch(layer)
    if not found:
        return None
    stage, unit, letter, proj, kind = found.groups()
    slot, role = "abc".index(letter), "gn"
    if kind == "standardized_conv2d":
        slot, role = slot + 1, "conv"
    text = "0" if proj else str(slot) if slot else "preact"
    return str(Address(f"conv{int(stage) + 1}", int(unit), text, role))


PUBLISHERS = (
    Publisher("Keras names", _keras),
    Publisher("fchollet names", _fchollet, dialects=("keras", "course")),
    Publisher("Caffe names", _caffe, _from_caffe, dialects=("keras",), zero_biases=True),
    Publisher("torchvision or timm names", _torch, _from_torch, dialects=("torch", "cifar")),
    Publisher("timm V2 names", _timm_v2, _from_torch, dialects=("timm v2", "bit")),
    Publisher("Hugging Face names", _hugging_face, _from_torch, dialects=("torch",)),
    Publisher("BiT names", _bit, dialects=("bit",)),
)

# --- and back -------------------------------------------------------------------------------------

# Which of our networks a library has, and what it calls them.
NETWORKS: dict[str, dict[str, str]] = {
    "torchvision": {
        "resnet18": "resnet18",
        "resnet34": "resnet34",
        "resnet50_v1_5": "resnet50",
        "resnet101_v1_5": "resnet101",
        "resnet152_v1_5": "resnet152",
        "resnext50_32x4d": "resnext50_32x4d",
        "resnext101_32x8d": "resnext101_32x8d",
        "resnext101_64x4d": "resnext101_64x4d",
        "wide_resnet50_2": "wide_resnet50_2",
        "wide_resnet101_2": "wide_resnet101_2",
    },
    "timm": {
        "resnet18": "resnet18",
        "resnet34": "resnet34",
        "resnet50_v1_5": "resnet50",
        "resnet101_v1_5": "resnet101",
        "resnet152_v1_5": "resnet152",
        "resnet200_v1_5": "resnet200",
        "resnext50_32x4d": "resnext50_32x4d",
        "resnext101_32x4d": "resnext101_32x4d",
        "resnext101_32x8d": "resnext101_32x8d",
        "resnext101_64x4d": "resnext101_64x4d",
        "wide_resnet50_2": "wide_resnet50_2",
        "wide_resnet101_2": "wide_resnet101_2",
        "resnet18_d": "resnet18d",
        "resnet34_d": "resnet34d",
        "resnet50_d": "resnet50d",
        "resnet101_d": "resnet101d",
        "resnet152_d": "resnet152d",
        "se_resnet50": "seresnet50",
        "se_resnext50_32x4d": "seresnext50_32x4d",
        "se_resnext101_32x4d": "seresnext101_32x4d",
        "resnetv2_18": "resnetv2_18",
        "resnetv2_34": "resnetv2_34",
        "resnetv2_50": "resnetv2_50",
        "resnetv2_101": "resnetv2_101",
        "resnetv2_152": "resnetv2_152",
        "bit_r50x1": "resnetv2_50x1_bit",
        "bit_r101x1": "resnetv2_101x1_bit",
    },
}


def torch_name(layer: str, pooled: bool, preact: bool) -> str:
    """Our layer's name in torchvision and timm: ``conv3_block1_1_conv`` -> ``layer2.0.conv1``.

    Args:
        pooled: Whether the network is a D: its projections stand behind a pool, its stem has three parts.
        preact: Whether it is one of timm's V2.
    """
    if layer == "predictions":
        return "head.fc" if preact else "fc"
    stage, block, slot, role = Address.parse(layer)
    norm = role in ("bn", "gn")
    if stage == "post":
        return "norm"
    if block is None and preact:
        return "stem.conv"
    if block is None and pooled and not (norm and slot is None):  # the last norm is bn1 in D too
        place = 3 * (int(slot) - 1) if slot else 6
        return f"conv1.{place + norm}"
    if block is None:
        return "bn1" if norm else "conv1"
    number = int(stage.removeprefix("conv"))
    if preact:
        within = f"stages.{number - 2}.blocks.{block - 1}."
        if slot == "0":
            return within + "downsample.conv"
        return within + (f"norm{1 if slot == 'preact' else int(slot) + 1}" if norm else f"conv{slot}")
    within = f"layer{number - 1}.{block - 1}."
    if slot == "0":
        return within + f"downsample.{norm + pooled}"
    if slot.startswith("se_"):
        return within + f"se.fc{slot.removeprefix('se_')}"
    return within + ("bn" if norm else "conv") + slot


def to_torch(variables: Variables, as_convolution: bool = False) -> Variables:
    """Keras' variables with PyTorch's names and layout, and the count of batches that its norms keep.

    Args:
        as_convolution: Keep a classifier as a 1x1 convolution, as timm does in its V2 networks.
    """
    names = {
        "kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var",
    }  # fmt: skip
    kernel = variables.get("kernel")
    if kernel is not None:
        if as_convolution:
            kernel = kernel[None, None]
        layout = {4: (3, 2, 0, 1), 2: (1, 0)}[kernel.ndim]
        variables = variables | {"kernel": np.ascontiguousarray(kernel.transpose(layout))}
    arrays = {names[name]: array for name, array in variables.items()}
    if "running_mean" in arrays:
        arrays["num_batches_tracked"] = np.array(0, "int64")
    return arrays
