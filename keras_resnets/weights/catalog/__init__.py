"""Every published weight: one row a training, and under it one row a file; one table a publisher."""

from . import akamaster, bit, keras, own, timm, torchvision
from .rows import PublishedFile, Weight

__all__ = ["WEIGHTS", "PublishedFile", "Weight", "default_weight"]

# An architecture's first row is its default: Keras' own, else torchvision's first, else timm's default, else
# what comes with this package.
WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for publisher in (keras, torchvision, timm, bit, own, akamaster)
    for weight in publisher.WEIGHTS
}


def default_weight(key: str, data: str | None = None) -> Weight | None:
    """What ``"imagenet"`` or ``"cifar10"`` means for an architecture: its first row (of this data)."""
    rows = (weight for weight in WEIGHTS.values() if weight.key == key)
    return next((weight for weight in rows if data in (None, weight.data)), None)
