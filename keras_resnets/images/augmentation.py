"""A picture seen anew at every pass of a training: one row a way, in `AUGMENTATIONS`."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from .preprocessing import FILTERS, before_crop, box_of, fit, resized
from .presets import Preset

Size = tuple[int, int]


class Augmentation(NamedTuple):
    """One way to vary pictures.

    Attributes:
        shrink: From a picture uint8 (H, W, 3), the size that the network takes and the preset, to what is
            kept of it, uint8: done once.
        draw: From what was kept, the size, the preset and a random generator to (rows, columns, 3) in 0..255,
            uint8 or float32: done at every pass.
    """

    shrink: Callable[[np.ndarray, Size, Preset], np.ndarray]
    draw: Callable[[np.ndarray, Size, Preset, np.random.Generator], np.ndarray]


def middle(picture: np.ndarray, size: Size, preset: Preset) -> np.ndarray:
    """What the network sees of a picture when it answers, in whole grey levels."""
    if picture.shape[:2] == size == before_crop(*size, preset):
        return picture
    return np.rint(fit(picture, preset, size)).clip(0, 255).astype("uint8")


def _shorter(picture: np.ndarray, size: Size, preset: Preset, least: int | None = None) -> np.ndarray:
    """The whole picture, no larger than is needed to cover ``least`` (the preset's size before its crop)."""
    rows, columns = before_crop(*size, preset) if least is None else (least, least)
    height, width = resized(*picture.shape[:2], rows, columns)
    if height >= picture.shape[0]:
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), FILTERS[preset.interpolation]))


def _as_it_is(kept, size, preset, chance):
    return kept


def _mirrored(kept, size=None, preset=None, chance=None):
    return kept[:, ::-1] if chance.random() < 0.5 else kept


def _padded(kept, size, preset, chance):
    """He et al., arXiv:1512.03385, section 4.2: 4 pixels of the mean around it, a random crop, perhaps
    mirrored."""
    mean = np.rint(np.mean(np.reshape(preset.mean, (-1, 3)), axis=0))
    mean = mean if preset.order == "rgb" else mean[::-1]
    wide = np.empty((kept.shape[0] + 8, kept.shape[1] + 8, 3), "uint8")
    wide[:] = mean
    wide[4:-4, 4:-4] = kept
    top, left = chance.integers(0, 9, 2)
    return _mirrored(wide[top : top + kept.shape[0], left : left + kept.shape[1]], chance=chance)


def _part(kept, size, preset, chance):
    """A random part, half the area at least, resized; perhaps mirrored (after Szegedy et al.,
    arXiv:1409.4842, section 6, whose parts are down to a twelfth)."""
    rows, columns = size
    height, width = kept.shape[:2]
    area = chance.uniform(0.5, 1) * min(height * columns, width * rows) ** 2 / (rows * columns)
    ratio = np.exp(chance.uniform(np.log(3 / 4), np.log(4 / 3))) * columns / rows
    across, down = min(width, (area * ratio) ** 0.5), min(height, (area / ratio) ** 0.5)
    left, top = chance.uniform(0, width - across), chance.uniform(0, height - down)
    box = (left, top, left + across, top + down)
    part = Image.fromarray(kept).resize((columns, rows), FILTERS[preset.interpolation], box=box)
    return _mirrored(np.asarray(part), chance=chance)


_LEAST, _MOST = 256, 480

# Principal components of the colours of ImageNet's training pictures, in units of 0..1; published by many
# with the training of AlexNet.
_SPREAD = np.array([0.2175, 0.0188, 0.0045])
_COLOURS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]],
)


def _paper(kept, size, preset, chance):
    """He et al., arXiv:1512.03385, section 3.4: the shorter side of 256 to 480 pixels, a random crop, perhaps
    mirrored, and the colours of Krizhevsky et al., 2012, section 4.1. Smaller crops: smaller sides."""
    rows, columns = size
    side = chance.integers(_LEAST, _MOST + 1) / 224
    height, width = resized(*kept.shape[:2], round(rows * side), round(columns * side))
    corner = chance.integers(0, height - rows + 1), chance.integers(0, width - columns + 1)
    box = box_of(kept.shape, (height, width), corner, size)
    part = Image.fromarray(kept).resize((columns, rows), FILTERS[preset.interpolation], box=box)
    light = _COLOURS @ (chance.normal(0, 0.1, 3) * _SPREAD)
    return _mirrored(np.asarray(part, "float32") + np.float32(255 * light), chance=chance)


def _at_most(picture, size, preset):
    return _shorter(picture, size, preset, round(max(size) * _MOST / 224))


AUGMENTATIONS: dict[str, Augmentation] = {
    "none": Augmentation(middle, _as_it_is),
    "flip": Augmentation(middle, _mirrored),
    "pad": Augmentation(middle, _padded),
    "crop": Augmentation(_shorter, _part),
    "paper": Augmentation(_at_most, _paper),
}


def mixed(images, targets, mixup: float, cutmix: float, chance: np.random.Generator):
    """A batch mixed with itself in another order, targets alike.

    Source: Zhang et al., mixup, arXiv:1710.09412; Yun et al., CutMix, arXiv:1905.04899. With both, either is
    drawn for a batch.

    Args:
        images: (N, H, W, C).
        targets: (N, classes), rows that sum to 1.
        mixup, cutmix: Parameter of the beta distribution of the shares; 0 switches it off.
    """
    if not mixup and not cutmix:
        return images, targets
    order = chance.permutation(len(images))
    cut = cutmix and (not mixup or chance.random() < 0.5)
    share = chance.beta(*2 * [cutmix if cut else mixup])
    if cut:
        height, width = images.shape[1:3]
        down, across = (round(side * (1 - share) ** 0.5) for side in (height, width))
        top, left = chance.integers(0, height - down + 1), chance.integers(0, width - across + 1)
        images = images.copy()
        images[:, top : top + down, left : left + across] = images[
            order, top : top + down, left : left + across
        ]
        share = 1 - down * across / (height * width)
    else:
        images = share * images + (1 - share) * images[order]
    return images.astype("float32"), (share * targets + (1 - share) * targets[order]).astype("float32")
