"""A publisher's layer names to ours: one rule a publisher, on addresses."""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..architecture.names import Address
from .formats import Layers, Variables, WeightsError


class Publisher(NamedTuple):
    """Attributes:
    address: The network's layer that a layer of the publisher's is, or None for none; the layer's
        variables say what its name leaves open.
    arrays: Its variables with Keras' names and layout.
    """

    name: str
    address: Callable[[str, Variables], str | None]
    arrays: Callable[[Variables], Variables] = lambda variables: variables


def _keras(layer: str, variables: Variables) -> str | None:
    if layer in ("predictions", "probs"):
        return "predictions"
    found = Address.parse(layer)
    return layer if found and found.role in ("conv", "bn", "gn") else None


_FCHOLLET = re.compile(r"(res|bn)([2-5])([a-z])(\d*)_branch(1|2)([a-c]?)")


def _fchollet(layer: str, variables: Variables) -> str | None:
    """``res3b2_branch2c`` -> ``conv3_block3_3_conv``; blocks count a, b, c or (deep ones) a, b1, b2."""
    outside = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}
    if layer in outside:
        return outside[layer]
    if re.fullmatch(r"fc\d+", layer):
        return "predictions"
    found = _FCHOLLET.fullmatch(layer)
    if not found:
        return None
    kind, stage, letter, number, branch, conv = found.groups()
    block = 1 + (int(number) if number else ord(letter) - ord("a"))
    slot = "0" if branch == "1" else str(1 + ord(conv) - ord("a"))
    return str(Address(f"conv{stage}", block, slot, "conv" if kind == "res" else "bn"))


_TORCH_OUTSIDE = {"conv1": "conv1_conv", "bn1": "conv1_bn", "fc": "predictions", "linear": "predictions"}
_TORCH_STEM = re.compile(r"conv1\.(\d)")
_TORCH = re.compile(
    r"layer(?P<stage>\d)\.(?P<block>\d+)\."
    r"((conv|bn)(?P<slot>\d)|(?P<shortcut>downsample|shortcut)\.\d|se\.fc(?P<se>\d))"
)


def _torch(layer: str, variables: Variables) -> str | None:
    """``layer2.0.conv1`` -> ``conv3_block1_1_conv``: torchvision, timm, and CIFAR networks after them."""
    if "weight" not in variables:
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
    if "weight" not in variables:
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


def _torch_role(variables: Variables) -> str:
    if variables["weight"].ndim != 1:
        return "conv"
    return "bn" if "running_mean" in variables else "gn"


def _from_torch(variables: Variables) -> Variables:
    """PyTorch's names and layouts: kernels are (out, in, height, width), or (out, in) of a classifier."""
    weight = variables["weight"]
    norm = weight.ndim == 1
    names = {
        "weight": "gamma" if norm else "kernel",
        "bias": "beta" if norm else "bias",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    }
    turned = {4: (2, 3, 1, 0), 2: (1, 0)}.get(weight.ndim)
    arrays = variables | {"weight": weight.transpose(turned)}
    return {names[name]: array for name, array in arrays.items() if name in names}


PUBLISHERS = (
    Publisher("Keras names", _keras),
    Publisher("fchollet names", _fchollet),
    Publisher("torchvision or timm names", _torch, _from_torch),
    Publisher("timm V2 names", _timm_v2, _from_torch),
)


def recognise(layers: Layers) -> Publisher | None:
    """The publisher whose names these are, but for a few; None when they are nobody's."""
    counts = {publisher: len(_addresses(layers, publisher)) for publisher in PUBLISHERS}
    likeliest = max(counts, key=counts.get)
    return likeliest if 2 * counts[likeliest] > len(layers) else None


def rename(layers: Layers, publisher: Publisher) -> Layers:
    """The same arrays under the network's names; a name without a meaning stays as it is."""
    addresses = _addresses(layers, publisher)
    renamed = {
        addresses.get(layer, layer): publisher.arrays(variables) if layer in addresses else variables
        for layer, variables in layers.items()
    }
    head = renamed.get("predictions", {})
    if head.get("kernel", np.empty(0)).ndim == 4:  # a classifier kept as a 1x1 convolution
        renamed["predictions"] = head | {"kernel": head["kernel"][0, 0]}
    return renamed


def _addresses(layers: Layers, publisher: Publisher) -> dict[str, str]:
    found = {layer: publisher.address(layer, variables) for layer, variables in layers.items()}
    return {layer: address for layer, address in found.items() if address}


def has_depthwise(layers: Layers) -> bool:
    return any("depthwise_kernel" in variables for variables in layers.values())


def group_depthwise(layers: Layers) -> Layers:
    """Legacy ResNeXt to grouped convolutions: ``depthwise_kernel`` to ``kernel``, the fixed sum away.

    Raises:
        WeightsError: A ``_gconv`` layer that is not the fixed sum.
    """
    grouped = {}
    for layer, variables in layers.items():
        if layer.endswith("_gconv"):
            _check_is_sum(layer, *variables.values())
        elif "depthwise_kernel" in variables:
            grouped[layer] = {"kernel": _grouped(layer, variables["depthwise_kernel"])}
        else:
            grouped[layer] = variables
    return grouped


def _grouped(layer: str, depthwise: np.ndarray) -> np.ndarray:
    """(k, k, F, c) with depth multiplier c, summed over each group of c channels -> (k, k, c, F)."""
    if depthwise.ndim != 4 or not depthwise.size or depthwise.shape[2] % depthwise.shape[3]:
        raise WeightsError(f"{layer}: {depthwise.shape} is not the shape of a legacy ResNeXt kernel")
    height, width, filters, c = depthwise.shape
    parts = depthwise.reshape(height, width, filters // c, c, c)  # group, channel in, channel out
    return parts.transpose(0, 1, 3, 2, 4).reshape(height, width, c, filters)


def _check_is_sum(layer: str, kernel: np.ndarray) -> None:
    """The 1x1 kernel (1, 1, F * c, F) adds, for output i of a group, multiplier i of the group's channels."""
    if kernel.ndim != 4 or not kernel.size:
        raise WeightsError(f"{layer}: {kernel.shape} is not the shape of legacy ResNeXt's fixed sum")
    rows, filters = kernel.shape[2:]
    c = max(1, rows // filters)
    row, column = np.nonzero(kernel[0, 0])
    expected = (row // (c * c) == column // c) & (row % c == column % c)
    if len(row) != filters * c or not expected.all() or not (kernel[0, 0, row, column] == 1).all():
        raise WeightsError(f"{layer} is not the fixed sum of legacy ResNeXt; it was trained or damaged")
