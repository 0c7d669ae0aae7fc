"""Every published weight: one row a training, and under it one row a file; one table a publisher."""

from . import akamaster, bit, keras, own, timm, torchvision
from .rows import PublishedFile, Weight

__all__ = ["MEASURED", "WEIGHTS", "PublishedFile", "Weight", "default_weight"]

# An architecture's first row is its default: Keras' own, else torchvision's first, else timm's default, else
# what comes with this package.
WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for publisher in (keras, torchvision, timm, bit, own, akamaster)
    for weight in publisher.WEIGHTS
}

# What was reached here with the weights themselves, top-1, where they could be had.
MEASURED: dict[str, str] = {
    "resnet50.keras_in1k": "93 of 100 pictures of ImageNet",
    "resnet20.own_cifar10": "91.82 % of 10,000",
    "resnet20.own_fashion_mnist": "93.43 % of 10,000",
    "resnet20.akamaster_cifar10": "91.73 % of 10,000",
}


def default_weight(key: str, data: str | None = None) -> Weight | None:
    """What ``"imagenet"`` or ``"cifar10"`` means for an architecture: its first row (of this data)."""
    rows = (weight for weight in WEIGHTS.values() if weight.key == key)
    return next((weight for weight in rows if data in (None, weight.data)), None)
