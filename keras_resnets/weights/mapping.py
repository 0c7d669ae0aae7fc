"""A publisher's layer names to ours: one rule a publisher, on addresses."""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..architecture.names import Address
from .formats import Layers, WeightsError


class Publisher(NamedTuple):
    """``address`` gives the network's layer that a layer of the publisher's is, or None for none."""

    name: str
    address: Callable[[str], str | None]


def _keras(layer: str) -> str | None:
    if layer in ("predictions", "probs"):
        return "predictions"
    found = Address.parse(layer)
    return layer if found and found.role in ("conv", "bn") else None


_FCHOLLET = re.compile(r"(res|bn)([2-5])([a-z])(\d*)_branch(1|2)([a-c]?)")


def _fchollet(layer: str) -> str | None:
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


PUBLISHERS = (Publisher("Keras names", _keras), Publisher("fchollet names", _fchollet))


def recognise(layers: Layers) -> Publisher | None:
    """The publisher whose names these are, but for a few; None when they are nobody's."""
    counts = {p: sum(p.address(layer) is not None for layer in layers) for p in PUBLISHERS}
    likeliest = max(counts, key=counts.get)
    return likeliest if 2 * counts[likeliest] > len(layers) else None


def rename(layers: Layers, publisher: Publisher) -> Layers:
    """The same arrays under the network's names; a name without a meaning stays as it is."""
    return {publisher.address(layer) or layer: variables for layer, variables in layers.items()}


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
