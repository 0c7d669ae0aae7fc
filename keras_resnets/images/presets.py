"""What a network's weights expect of a picture: one row a convention."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Preset:
    """From a picture to the numbers a network was trained on.

    Attributes:
        size: Height and width of the crop that enters the network, in pixels.
        resize: Length of the shorter side before the crop, in pixels.
        order: ``"rgb"`` or ``"bgr"``: the order of channels that ``mean`` and ``std`` are in.
        mean: Subtracted, a channel each, in units of 0..255; or a picture of means, (H, W, 3).
        std: Divided by, a channel each, in units of 0..255.
        source: Where these numbers were published.
        interpolation: ``"bilinear"`` or ``"bicubic"``, antialiased.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    order: str = "rgb"
    size: int = 224
    resize: int = 256
    interpolation: str = "bilinear"

    def __str__(self) -> str:
        mean, std = map(_numbers, (self.mean, self.std))
        return (
            f"shorter side to {self.resize} ({self.interpolation}), {self.size}x{self.size} cut out; "
            f"{self.order}, minus {mean}, over {std}"
        )


def _numbers(values: tuple) -> str:
    if isinstance(values[0], tuple):
        return "a mean for each pixel"
    return f"({', '.join(f'{value:.6g}' for value in values)})"


_IMAGENET_MEAN = tuple(255 * value for value in (0.485, 0.456, 0.406))
_IMAGENET_STD = tuple(255 * value for value in (0.229, 0.224, 0.225))

_CONVENTIONS = (
    Preset(
        "caffe",
        mean=(103.939, 116.779, 123.68),
        std=(1.0, 1.0, 1.0),
        order="bgr",
        source="keras.applications.resnet; He et al., arXiv:1512.03385, section 3.4 (mean subtracted)",
    ),
    Preset(
        "tf",
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        source="keras.applications.resnet_v2",
    ),
    Preset(
        "torch",
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        source="keras-applications resnext; the mean and deviation of ImageNet's training pictures",
    ),
    Preset(
        "cifar",
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        size=32,
        resize=32,
        source="akamaster/pytorch_resnet_cifar10, trainer.py: CIFAR-10 whole, ImageNet's mean and deviation",
    ),
    Preset(
        "raw",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        resize=224,
        source="pixels as they are, for networks that normalise by themselves",
    ),
)


def _resized(of: str, interpolation: str, size: int, resize: int, source: str) -> Preset:
    """A convention with sizes of its own, which its name says."""
    base = next(preset for preset in _CONVENTIONS if preset.name == of)
    name = f"{of}_{interpolation}_{size}_{resize}"
    source = f"{base.source}; sizes: {source}"
    return dataclasses.replace(
        base, name=name, source=source, size=size, resize=resize, interpolation=interpolation
    )


_TV = "torchvision 0.28, transforms of the second weights"
_TIMM = "timm 1.0.31, pretrained_cfg; the shorter side is the size over crop_pct, rounded down"

# fmt: off
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        *_CONVENTIONS,
        _resized("torch", "bilinear", 224, 232, _TV),
        _resized("torch", "bicubic", 160, 168, _TIMM),
        _resized("torch", "bicubic", 224, 235, _TIMM),
        _resized("torch", "bicubic", 224, 256, _TIMM),
        _resized("torch", "bicubic", 256, 269, _TIMM),
        _resized("tf", "bicubic", 224, 235, _TIMM),
        _resized("tf", "bicubic", 224, 248, _TIMM),
        _resized("tf", "bicubic", 224, 256, _TIMM),
        _resized("tf", "bilinear", 448, 448, _TIMM),
    )
}
# fmt: on


def fitted(preset: Preset, channels: int = 3, stem: str | None = None, swapped: bool = False) -> Preset:
    """A preset for a network whose first convolution was changed as its weights were loaded.

    Args:
        channels, stem: How many channels it takes now, and by which mode (`fit_channels`) it got there: each
            channel gets the mean and deviation of what its kernel came from.
        swapped: Whether BGR became RGB, or the other way.
    """
    mean, std, order = preset.mean, preset.std, preset.order
    if swapped:
        mean, std, order = mean[::-1], std[::-1], {"rgb": "bgr", "bgr": "rgb"}[order]
    if channels == 3 or stem is None:
        return dataclasses.replace(preset, mean=mean, std=std, order=order)

    def spread(values: tuple[float, ...]) -> tuple[float, ...]:
        average = sum(values) / len(values)
        if stem in ("sum", "mean"):
            return (average,) * channels
        if stem == "tile":
            return tuple(values[i % len(values)] for i in range(channels))
        added = average if stem == "zero" else values[int(stem.removeprefix("copy:"))]
        return values + (added,) * (channels - len(values))

    return dataclasses.replace(preset, mean=spread(mean), std=spread(std), order="rgb")


def with_mean_of_channels(preset: Preset) -> Preset:
    """For pictures of any size: a mean for each pixel, which has one, becomes its average in each channel."""
    if not isinstance(preset.mean[0], tuple):
        return preset
    pixels = [pixel for row in preset.mean for pixel in row]
    return dataclasses.replace(
        preset, mean=tuple(sum(values) / len(pixels) for values in zip(*pixels, strict=True))
    )
