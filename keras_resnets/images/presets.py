"""What a network's weights expect of a picture: one row a convention."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Preset:
    """From a picture to the numbers a network was trained on.

    Attributes:
        size: Height and width of the crop that enters the network, in pixels.
        resize: Length of the shorter side before the crop, in pixels.
        order: ``"rgb"`` or ``"bgr"``: the order of channels that ``mean`` and ``std`` are in.
        mean: Subtracted, a channel each, in units of 0..255.
        std: Divided by, a channel each, in units of 0..255.
        source: Where these numbers were published.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    source: str
    order: str = "rgb"
    size: int = 224
    resize: int = 256


_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
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
            mean=tuple(255 * value for value in _IMAGENET_MEAN),
            std=tuple(255 * value for value in _IMAGENET_STD),
            source="keras-applications resnext; the mean and deviation of ImageNet's training pictures",
        ),
        Preset(
            "raw",
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            resize=224,
            source="pixels as they are, for networks that normalise by themselves",
        ),
    )
}
