"""Layers in a publisher's names and layout to layers in ours."""

import collections
import re

import numpy as np

from ..architecture.names import Address
from .formats import Contents, Layers, Variables, WeightsError
from .publishers import PUBLISHERS, Publisher

_WRAPPERS = re.compile(r"((module|backbone|model|net|ema|state_dict|_orig_mod)\.)+")


def recognise(layers: Layers) -> Publisher | None:
    """The publisher whose names these are, but for a few; None when they are nobody's."""
    layers = unwrapped(layers)
    counts = {publisher: len(_addresses(layers, publisher)) for publisher in PUBLISHERS}
    likeliest = max(counts, key=counts.get)
    return likeliest if 2 * counts[likeliest] > len(layers) else None


def unwrapped(layers: Layers) -> Layers:
    """Names without what training scripts put in front: ``module.backbone.layer1`` -> ``layer1``."""
    return {_WRAPPERS.sub("", layer, count=1) if _WRAPPERS.match(layer) else layer: variables
            for layer, variables in layers.items()}  # fmt: skip


def rename(layers: Layers, publisher: Publisher) -> Layers:
    """The same arrays under the network's names; a name without a meaning stays as it is."""
    layers = unwrapped(layers)
    addresses = _addresses(layers, publisher)
    renamed: Layers = {}
    for layer, variables in layers.items():
        if layer not in addresses:
            renamed[layer] = variables
            continue
        address, variables = addresses[layer], publisher.arrays(variables)
        renamed[address] = _scaled(renamed[address], variables) if address in renamed else variables
    head = renamed.get("predictions", {})
    if head.get("kernel", np.empty(0)).ndim == 4:  # a classifier kept as a 1x1 convolution
        renamed["predictions"] = head | {"kernel": head["kernel"][0, 0]}
    return renamed


def _addresses(layers: Layers, publisher: Publisher) -> dict[str, str]:
    found = {layer: publisher.address(layer, variables) for layer, variables in layers.items()}
    return {layer: address for layer, address in found.items() if address}


def _scaled(norm: Variables, scale: Variables) -> Variables:
    """A norm and the scale layer behind it, in either order, as one norm."""
    if "moving_mean" not in norm:
        norm, scale = scale, norm
    if not set(scale) <= {"gamma", "beta"} or "moving_mean" not in norm:
        raise WeightsError(f"two layers with one meaning: {', '.join(norm)} and {', '.join(scale)}")
    gamma = norm.get("gamma", 1) * scale["gamma"]
    beta = norm.get("beta", 0) * scale["gamma"] + scale["beta"]
    return {"gamma": gamma, "beta": beta, **{k: v for k, v in norm.items() if k not in ("gamma", "beta")}}


def blocks_of(layers: Layers) -> tuple[int, ...]:
    """Blocks in each stage, as the addresses of a file's layers say."""
    last: collections.Counter = collections.Counter()
    for layer in layers:
        found = Address.parse(layer)
        if found and found.block:
            last[found.stage] = max(last[found.stage], found.block)
    return tuple(last[stage] for stage in sorted(last))


def in_our_names(contents: Contents) -> tuple[Layers, Publisher | None]:
    """A file's layers under the network's names, as far as their own names say, and who published them."""
    publisher = recognise(contents.layers)
    if publisher is None:
        return contents.layers, None
    grouped = group_depthwise(contents.layers) if has_depthwise(contents.layers) else contents.layers
    return rename(grouped, publisher), publisher


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
